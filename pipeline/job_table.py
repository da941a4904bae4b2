"""A study as the workflow needs it: the jobs, and of each the runs, what it starts from, and the digests of its code.

Loading a study takes torch and every method and model, some 200 MB that Snakemake would carry beside the jobs of a study of
ten thousand runs. So a process of its own loads it, and prints this table: ``python -m pipeline.job_table --study STUDY``.
Reading the table takes the standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.yaml_source import StudyError

if TYPE_CHECKING:
    from pipeline.study import Study

CACHE = Path("results/cache")
USER_ERROR = 2


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job: runs that share a process, or one measurement of the loss surface."""

    name: str
    runs: tuple[str, ...]
    """Paths of the runs that it trains, or measures."""
    parents: tuple[str, ...]
    """Paths of the runs that those start from."""
    datasets: tuple[str, ...]
    snapshots: tuple[int, ...]
    """Steps whose weights the runs keep, run after run."""
    sources: tuple[str, ...]
    """Digests of the code that decides the runs' results, each once."""


@dataclass(frozen=True, slots=True)
class JobTable:
    """A study's jobs."""

    name: str
    runs: tuple[str, ...]
    """Paths of all runs, in the study's order."""
    caches: dict[str, str]
    """The tensor cache of each data set."""
    jobs: tuple[JobRow, ...]
    measurements: tuple[JobRow, ...]
    """Of the loss surface; empty where the study asks for none."""
    landscape: str | None
    """The study's key ``landscape`` as JSON."""


def job_table(study: Study) -> JobTable:
    """The table of a loaded study."""
    from pipeline.data.sources import cache_path
    from pipeline.provenance import source_digest

    # A path holds a digest of all fields, so each is made once.
    paths = {id(run): run.path for run in study.runs}

    def row(name: str, runs: Sequence, parents: Sequence = ()) -> JobRow:
        return JobRow(
            name=name,
            runs=tuple(paths.get(id(run)) or run.path for run in runs),
            parents=tuple(run.path for run in parents),
            datasets=tuple(sorted({run.dataset for run in runs})),
            snapshots=tuple(step for run in runs for step in run.snapshots),
            sources=tuple(sorted({source_digest(run) for run in runs})),
        )

    return JobTable(
        name=study.name,
        runs=tuple(paths.values()),
        caches={name: str(cache_path(name, CACHE)) for name in study.datasets},
        jobs=tuple(row(job.name, job.runs, job.parents) for job in study.jobs()),
        measurements=tuple(row(job.name, job.runs) for job in study.landscape_jobs()),
        landscape=study.landscape.model_dump_json() if study.landscape else None,
    )


def read_study(study: str) -> JobTable:
    """Load ``study``, a name or the path of a .yaml file, in a process of its own.

    Raises StudyError as ``load_study`` does, and RuntimeError with what the process said when it failed otherwise.
    """
    command = [sys.executable, "-m", "pipeline.job_table", "--study", study]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == USER_ERROR:
        raise StudyError(done.stderr.strip())
    if done.returncode != 0:
        raise RuntimeError(f"study {study} could not be loaded:\n{done.stderr.strip()}")
    sys.stderr.write(done.stderr)
    return _from_json(done.stdout)


def _from_json(text: str) -> JobTable:
    table = json.loads(text)
    rows = {
        key: tuple(JobRow(*(value if isinstance(value, str) else tuple(value) for value in row)) for row in table[key])
        for key in ("jobs", "measurements")
    }
    return JobTable(**{**table, "runs": tuple(table["runs"]), **rows})


def _to_json(table: JobTable) -> str:
    """Rows as lists: ten thousand times the names of their fields would be most of the text."""
    rows = {key: [list(asdict(row).values()) for row in getattr(table, key)] for key in ("jobs", "measurements")}
    return json.dumps({**{key: value for key, value in asdict(table).items() if key not in rows}, **rows})


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table as JSON; exit code 2 and a line or two on stderr for a study that cannot be."""
    from pipeline.study import load_study

    parser = argparse.ArgumentParser(description="Print the jobs of a study as the workflow needs them.")
    parser.add_argument("--study", required=True, help="a study's name, or the path of a .yaml file")
    options = parser.parse_args(arguments)
    try:
        # What a user's own module prints when it is imported is no part of the table.
        with contextlib.redirect_stdout(sys.stderr):
            table = job_table(load_study(options.study))
    except StudyError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    print(_to_json(table))
    return 0


if __name__ == "__main__":
    sys.exit(main())

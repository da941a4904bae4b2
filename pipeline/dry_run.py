"""What Snakemake takes to plan a study: ``snakemake --dry-run``, timed, in a folder where nothing is done yet.

Standard library only. ``python -m pipeline.dry_run COMMAND...`` runs a command and prints what it took.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SUITE = Path(__file__).parent.parent
HIDDEN = ("results", "build", "dist")
"""Folders of the suite that a dry run must not see."""


class DryRunError(ValueError):
    """A study that Snakemake cannot plan, or no suite to plan it with; the message says what is wrong."""


@dataclass(frozen=True)
class Usage:
    """What a command took."""

    wall_seconds: float
    cpu_seconds: float
    """User and system, of all its processes; on a busy machine the better measure."""
    peak_bytes: int
    """Resident, of its largest process."""


def dry_run(study: Path, folder: Path) -> Usage:
    """Plan everything of the study in the file ``study`` from ``folder``. Raises DryRunError with what Snakemake said."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(SUITE / "Snakefile"),
        "--dry-run",
        "--quiet",
        "all",
    ]
    command += ["--directory", str(folder), "--configfile", str(study), "--cores", "1"]
    paths = [str(SUITE), str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])]
    # By a small process: what a command is charged with for memory begins with that of the process that starts it.
    done = subprocess.run(
        [sys.executable, "-m", __name__, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise DryRunError(f"the dry run of {study.stem} ended with code {done.returncode}: {done.stderr.strip()}")
    return Usage(**json.loads(done.stdout))


@contextlib.contextmanager
def clean_folder() -> Iterator[Path]:
    """A folder with all that the workflow reads and no results but the committed ones; gone afterwards.

    Raises DryRunError where the suite is installed without its Snakefile.
    """
    if not (SUITE / "Snakefile").is_file():
        raise DryRunError(f"{SUITE} holds no Snakefile: a dry run needs a checkout of the repository")
    with tempfile.TemporaryDirectory(prefix="rigl-bench-") as name:
        folder = Path(name)
        (folder / "results").mkdir()
        committed = [SUITE / "results" / kept for kept in ("reference", "submissions")]
        for path in (*SUITE.iterdir(), *committed):
            if path.exists() and path.name not in HIDDEN and not path.name.startswith("."):
                (folder / path.relative_to(SUITE)).symlink_to(path)
        yield folder


def measured(command: Sequence[str]) -> tuple[int, Usage]:
    """Run ``command``, without its output; its exit code and what it took."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return process.returncode, Usage(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


if __name__ == "__main__":
    code, taken = measured(sys.argv[1:])
    print(json.dumps(asdict(taken)))
    sys.exit(code)

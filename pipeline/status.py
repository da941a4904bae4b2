"""How far a study is: which runs have a record, how they ended, and how long the rest takes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from pipeline.provenance import devices_of
from pipeline.run import Run
from pipeline.study import Study
from pipeline.worker import ATTEMPTS, CHECKPOINTS, KEPT, RECORD, UserError

LEFT = ("left", "started")


@dataclass(frozen=True)
class RunStatus:
    """One run's state."""

    run: str
    status: str
    """done | diverged | skipped: reason | failed: reason | started | left."""
    seconds: float | None
    """Measured wall time, or an estimate where the run is left and a similar one was measured."""
    devices: int = 1
    """That it was measured on."""


@dataclass(frozen=True)
class StudyStatus:
    """A study's state."""

    study: str
    runs: tuple[RunStatus, ...]
    counts: dict[str, int]
    """Runs by status, reasons left out."""
    seconds_left: float | None
    """Of one process working alone; null where some run has no measured relative."""


def study_status(study: Study, results: Path) -> StudyStatus:
    """Read the records that the study's runs have left. Raises UserError naming a record that cannot be read."""
    found = {run.path: _read(results / "runs" / run.path) for run in study.runs}
    rates = _seconds_per_step(study.runs, found)
    rows = []
    for run in study.runs:
        status, seconds, devices = found[run.path]
        if status in LEFT:
            rate = rates.get((run.model, run.dataset, run.method), rates.get((run.model, run.dataset, None)))
            seconds = None if rate is None else rate * run.steps
        rows.append(RunStatus(run.path, status, seconds, devices))
    left = [row.seconds for row in rows if row.status in LEFT]
    return StudyStatus(
        study=study.name,
        runs=tuple(rows),
        counts=dict(Counter(row.status.partition(":")[0] for row in rows)),
        seconds_left=None if None in left else sum(left),
    )


def clear_failed(study: Study, results: Path, kinds: Sequence[str]) -> list[str]:
    """Delete the records of the study's runs that ended in one of ``kinds``; their paths."""
    cleared = []
    for run in study.runs:
        folder = results / "runs" / run.path
        # The workflow removes the declared record of a job that failed; what is kept aside would put it back.
        name = RECORD if (folder / RECORD).exists() else KEPT
        if _read(folder, name)[0].partition(":")[0] in kinds:
            for name in (RECORD, KEPT):
                (folder / name).unlink(missing_ok=True)
            for log in (folder / ATTEMPTS).glob("*.log"):
                log.unlink()
            cleared.append(run.path)
    return cleared


def _read(folder: Path, name: str = RECORD) -> tuple[str, float | None, int]:
    """Status, seconds, devices."""
    path = folder / name
    if not path.exists():
        return ("started" if (folder / CHECKPOINTS).exists() else "left"), None, 1
    try:
        record = json.loads(path.read_text())
        timing = record["timing"]
        parts = ("train", "evaluation", "checkpoint")
        seconds = None if timing is None else sum(timing[f"{part}_seconds"] for part in parts)
        return record["status"], seconds, devices_of(record["provenance"]["hardware"])[0]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is corrupt ({error}); delete {folder} and run again") from error


def _seconds_per_step(
    runs: Iterable[Run], found: dict[str, tuple[str, float | None, int]]
) -> dict[tuple[str, str, str | None], float]:
    """Mean measured seconds a step by (model, data set, method), and by (model, data set, None) over all methods."""
    measured: dict[tuple[str, str, str | None], list[float]] = {}
    for run in runs:
        status, seconds, _ = found[run.path]
        if status == "done" and seconds is not None:
            for method in (run.method, None):
                measured.setdefault((run.model, run.dataset, method), []).append(seconds / run.steps)
    return {key: fmean(values) for key, values in measured.items()}

"""Marks of a run's attempts, by which a later one learns that an earlier one was killed.

A process that runs out of memory or time, or is cancelled, says nothing any more. So an attempt leaves a mark when it begins
and takes it away when it ends by itself, well or not: a mark that is still there tells of a kill.
"""

from __future__ import annotations

import contextlib
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

MARK = "attempt-{}.begun"


def forget(folder: Path) -> None:
    """Remove all marks, those of an earlier workflow: attempts are counted anew."""
    for mark in folder.glob(MARK.format("*")):
        mark.unlink(missing_ok=True)


def begin(folder: Path, attempt: int) -> None:
    """Leave the mark, with when and where the attempt began."""
    folder.mkdir(parents=True, exist_ok=True)
    job = f", Slurm job {os.environ['SLURM_JOB_ID']}" if "SLURM_JOB_ID" in os.environ else ""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    (folder / MARK.format(attempt)).write_text(f"begun {moment} on {platform.node()}{job}")


def end(folder: Path, attempt: int) -> None:
    """Take the mark away, and with the last one the folder, where no error has left its log."""
    (folder / MARK.format(attempt)).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def error_of(folder: Path, attempt: int) -> str | None:
    """The last line of what an attempt's processes wrote of an error since its mark was left; None where they wrote nothing.
    With several processes one may be ended by the end of another before it takes the mark away."""
    mark = folder / MARK.format(attempt)
    logs = sorted(folder.glob(f"attempt-{attempt}*.log"))
    told = [log for log in logs if mark.exists() and log.stat().st_mtime_ns >= mark.stat().st_mtime_ns]
    return told[0].read_text().strip().splitlines()[-1] if told else None


def killed(folder: Path, attempt: int) -> str | None:
    """When and where an attempt began that was killed; None for one that ended by itself, and for one that never began."""
    try:
        return (folder / MARK.format(attempt)).read_text()
    except FileNotFoundError:
        return None

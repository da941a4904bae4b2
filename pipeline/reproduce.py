"""``make reproduce``: the main job, safe to start again after a kill at any moment.

Holds a lock of its own, so that a second call waits for the first. A Snakemake that somebody started by hand is refused, not
disturbed; a lock that a killed one left behind is released. Becoming Snakemake by exec keeps our lock for exactly as long
as Snakemake lives.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import psutil

LOCK = Path("results/.reproduce.lock")
REPORT = "results/report.html"


def main(arguments: Sequence[str]) -> int:
    """Become the workflow that runs to its report. ``arguments`` go to Snakemake. Returns 2 where it cannot start."""
    try:
        LOCK.parent.mkdir(exist_ok=True)
        stream = open(LOCK, "a")  # noqa: SIM115 - kept open until this process, then Snakemake, ends
    except OSError as error:
        print(f"{error.filename}: {error.strerror}; results cannot be written here", file=sys.stderr)
        return 2
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another `make reproduce` is at work in this folder; waiting for it", file=sys.stderr)
        fcntl.flock(stream, fcntl.LOCK_EX)
    snakemake = [sys.executable, "-m", "snakemake"]
    if any(Path(".snakemake/locks").glob("*")):
        alive = _snakemakes_here()
        if alive:
            print(
                f"a Snakemake is at work in this folder (process {alive[0]}); wait for it, or end it", file=sys.stderr
            )
            return 2
        print("releasing the lock of a workflow that was killed", file=sys.stderr)
        code = subprocess.run([*snakemake, *arguments, "--unlock"]).returncode
        if code != 0:
            return code
    os.set_inheritable(stream.fileno(), True)
    return _become([*snakemake, "--report", REPORT, "--report-after-run", *arguments])


def _become(command: Sequence[str]) -> NoReturn:
    os.execv(command[0], command)


def _snakemakes_here() -> list[int]:
    """Process ids of the Snakemakes that work in this folder, those of jobs on a cluster of this machine left out."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            of_a_job = "--mode" in command  # started by another one, whose lock it works under
            named = any("snakemake" in Path(word).name for word in command[:4])
            if named and not of_a_job and process.cwd() == str(Path.cwd()):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue  # ended meanwhile, or another user's, who cannot hold a lock in our folder
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

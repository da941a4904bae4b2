"""``make reproduce``: the main job, safe to start again after a kill at any moment.

Holds a lock of its own, so that a second call waits for the first; whoever holds it knows that no other workflow is alive
in this folder and may release a lock that a killed Snakemake left behind. Becoming Snakemake by exec keeps the lock for
exactly as long as Snakemake lives.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LOCK = Path("results/.reproduce.lock")
REPORT = "results/report.html"


def main(arguments: Sequence[str]) -> int:
    """Run the workflow to its report, then become it. ``arguments`` go to Snakemake."""
    LOCK.parent.mkdir(exist_ok=True)
    stream = open(LOCK, "a")  # noqa: SIM115 - kept open until this process, then Snakemake, ends
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another `make reproduce` is at work in this folder; waiting for it", file=sys.stderr)
        fcntl.flock(stream, fcntl.LOCK_EX)
    snakemake = [sys.executable, "-m", "snakemake"]
    if any(Path(".snakemake/locks").glob("*")):
        print("releasing the lock of a workflow that was killed", file=sys.stderr)
        subprocess.run([*snakemake, *arguments, "--unlock"], check=True)
    os.set_inheritable(stream.fileno(), True)
    os.execv(sys.executable, [*snakemake, "--report", REPORT, "--report-after-run", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

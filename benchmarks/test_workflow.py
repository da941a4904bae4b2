"""What the workflow itself costs: all that is not training or evaluation over 40 short runs, and the plan of 10,000."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.paired import Rounds
from pipeline.dry_run import Usage, clean_folder, dry_run

ROOT = Path(__file__).parent.parent
CORES = 2
STUDY = """
extends: quick
title: Forty short runs
only: {method: [static, rigl], distribution: [uniform], sparsity: [0.8, 0.9]}
seeds: 10
"""
MANY_RUNS = """
extends: {quick}
title: Ten thousand runs
grid:
  - method: [static, rigl, set, snip, topkast]
    sparsity: [0.8, 0.9, 0.95, 0.98]
    distribution: [uniform, erk]
add: []
only: {{}}
seeds: 250
runs_per_job: {runs_per_job}
"""


def train_forty_runs(folder: Path) -> float:
    """Seconds of the wall that Snakemake took from the study to the last record, in a folder of its own."""
    (folder / "study.yaml").write_text(STUDY.replace("extends: quick", f"extends: {ROOT}/pipeline/studies/quick.yaml"))
    (folder / "analysis").symlink_to(ROOT / "analysis")
    (folder / "pipeline").symlink_to(ROOT / "pipeline")
    command = [sys.executable, "-m", "snakemake", "train", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(folder / "study.yaml"), "--cores", str(CORES)]
    command += ["--scheduler", "greedy", "--quiet", "all"]
    started = time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return time.perf_counter() - started


def test_overhead_of_forty_short_runs(
    rounds: Callable[..., Rounds], record: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Once, and once more if others were busy on the machine: it takes its time."""

    def share() -> float:
        folder = tmp_path_factory.mktemp("workflow")
        wall = train_forty_runs(folder)
        timings = [json.loads(path.read_text())["timing"] for path in (folder / "results/runs").rglob("record.json")]
        assert len(timings) == 40
        working = sum(timing["train_seconds"] + timing["evaluation_seconds"] for timing in timings)
        return 1 - working / (CORES * wall)

    found = rounds({"share": share}, wanted=1, least=1, warm=False).value("share")
    words = f"40 runs of the quick study on {CORES} cores: share of the wall time that is not training or evaluation"
    record("workflow-overhead", found, words=words, unit="of the wall")


@pytest.mark.parametrize("runs_per_job", [1, 12], ids=["alone", "batches"])
def test_plan_of_ten_thousand_runs(
    runs_per_job: int, rounds: Callable[..., Rounds], record: Callable[..., None]
) -> None:
    """``snakemake --dry-run`` of everything, its jobs planned and printed, where nothing is done yet."""
    taken: list[Usage] = []

    def plan() -> float:
        with clean_folder() as folder:
            study = folder / "many.yaml"
            quick = ROOT / "pipeline/studies/quick.yaml"
            study.write_text(MANY_RUNS.format(quick=quick, runs_per_job=runs_per_job))
            taken.append(dry_run(study, folder))
        return taken[-1].wall_seconds

    found = rounds({"plan": plan}, wanted=3, least=1, warm=False)
    megabytes = max(usage.peak_bytes for usage in taken) / 1e6
    kind = "alone" if runs_per_job == 1 else "batches"
    record(f"dag-seconds-{kind}", found.value("plan"), unit="s")
    record(f"dag-memory-{kind}", found.value("plan", lambda seconds: megabytes), unit="MB")

"""What the workflow itself costs over 200 short runs: everything that is not training or evaluation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
CORES = 2
STUDY = """
extends: quick
title: Two hundred short runs
only: {method: [static, rigl], distribution: [uniform], sparsity: [0.8, 0.9]}
seeds: 50
"""


def train_200_runs(folder: Path) -> float:
    """Seconds of the wall that Snakemake took from the study to the last record, in a folder of its own."""
    (folder / "study.yaml").write_text(STUDY.replace("extends: quick", f"extends: {ROOT}/pipeline/studies/quick.yaml"))
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "train",
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--directory",
        str(folder),
    ]
    command += [
        "--configfile",
        str(folder / "study.yaml"),
        "--cores",
        str(CORES),
        "--scheduler",
        "greedy",
        "--quiet",
        "all",
    ]
    (folder / "analysis").symlink_to(ROOT / "analysis")
    (folder / "pipeline").symlink_to(ROOT / "pipeline")
    started = time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return time.perf_counter() - started


def test_overhead_of_200_short_runs(benchmark, tmp_path: Path) -> None:
    wall = benchmark.pedantic(train_200_runs, args=(tmp_path,), rounds=1)
    timings = [json.loads(path.read_text())["timing"] for path in (tmp_path / "results/runs").rglob("record.json")]
    assert len(timings) == 200
    working = sum(timing["train_seconds"] + timing["evaluation_seconds"] for timing in timings)
    benchmark.extra_info["share_of_the_wall_that_is_not_training"] = round(1 - working / (CORES * wall), 3)

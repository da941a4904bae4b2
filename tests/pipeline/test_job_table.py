"""The study as Snakemake holds it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.job_table import _from_json, _to_json, job_table, read_study
from pipeline.provenance import source_digest
from pipeline.study import load_study
from pipeline.yaml_source import StudyError

STUDY = """\
title: Mine
base:
  dataset: digits
  model: lenet300
  protocol: {steps: 40, batch_size: 16, learning_rate: {peak: 0.1}, evaluations: 2}
grid:
  - method: rigl
    sparsity: 0.9
    snapshots: [[10, 20]]
  - method: rigl
    sparsity: 0.9
    start_from: {method: static, take: weights}
seeds: 2
runs_per_job: 3
"""


@pytest.mark.parametrize("name", ["quick", "zoo"])
def test_the_table_says_what_the_study_says(name: str) -> None:
    study = load_study(name)
    table = job_table(study)
    assert table.runs == tuple(run.path for run in study.runs)
    assert [(job.name, job.runs) for job in table.jobs] == [
        (job.name, tuple(run.path for run in job.runs)) for job in study.jobs()
    ]
    assert [row.name for row in table.measurements] == [job.name for job in study.landscape_jobs()]
    assert table.caches == {"digits": "results/cache/digits.safetensors"}
    assert _from_json(_to_json(table)) == table


def test_jobs_name_parents_snapshots_and_code(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(STUDY)
    study = load_study(tmp_path / "mine.yaml")
    *_, child = job_table(study).jobs
    first = job_table(study).jobs[0]
    assert set(child.parents) == {run.path for run in study.runs if run.method == "static"}
    assert first.snapshots == (10, 20, 10, 20)
    assert child.sources == tuple(sorted({source_digest(run) for run in study.runs if run.start_from}))


def test_reading_it_needs_no_torch() -> None:
    """What Snakemake imports: torch alone would be two thirds of its memory."""
    modules = "pipeline.job_table, pipeline.source_code, pipeline.lease, pipeline.record, pipeline.yaml_source"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_wrong_study_is_named_as_ever() -> None:
    with pytest.raises(StudyError, match="unknown study 'nobody'; there are charlm"):
        read_study("nobody")

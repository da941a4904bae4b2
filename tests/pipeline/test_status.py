"""How far a study is: counts, estimates, and what clearing leaves alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.run import LearningRate, Protocol, Run
from pipeline.status import RunStatus, clear_failed, study_status
from pipeline.study import Study
from pipeline.worker import UserError

PROTOCOL = Protocol(100, 8, LearningRate(0.1))
RIGL = Run("lenet300", "digits", "rigl", PROTOCOL, sparsity=0.9)
RUNS = (
    RIGL,
    replace(RIGL, seed=1),
    replace(RIGL, method="set"),
    replace(RIGL, method="set", multiplier=5.0),
    replace(RIGL, model="wrn22_2", dataset="cifar10"),
)
TIMING = {"train_seconds": 8.0, "evaluation_seconds": 1.5, "checkpoint_seconds": 0.5, "resumes": 0}


def study_of(*runs: Run) -> Study:
    return Study("mine", "Mine", "", runs, 1)


def leave(
    results: Path, run: Run, status: str = "done", timing: dict[str, Any] | None = TIMING, hardware: str = "a CPU"
) -> Path:
    """A record as a run leaves it; the folder."""
    folder = results / "runs" / run.path
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("record.json", ".record.json"):
        record = {"run": run.path, "status": status, "timing": timing, "provenance": {"hardware": hardware}}
        (folder / name).write_text(json.dumps(record))
    return folder


def test_nothing_is_done_at_first(tmp_path: Path) -> None:
    status = study_status(study_of(*RUNS), tmp_path)
    assert status.study == "mine"
    assert status.counts == {"left": 5}
    assert status.seconds_left is None
    assert status.runs == tuple(RunStatus(run.path, "left", None) for run in RUNS)
    assert list(tmp_path.iterdir()) == []


def test_runs_are_counted_by_status_without_reasons(tmp_path: Path) -> None:
    for run, ended in zip(RUNS, ("done", "diverged", "failed: KeyError: a", "skipped: no width"), strict=False):
        leave(tmp_path, run, ended, TIMING if ended in ("done", "diverged") else None)
    status = study_status(study_of(*RUNS), tmp_path)
    assert status.counts == {"done": 1, "diverged": 1, "failed": 1, "skipped": 1, "left": 1}
    assert [row.status for row in status.runs] == [
        "done",
        "diverged",
        "failed: KeyError: a",
        "skipped: no width",
        "left",
    ]
    assert [row.seconds for row in status.runs] == [10.0, 10.0, None, None, None]


def test_a_run_with_a_checkpoint_has_started(tmp_path: Path) -> None:
    (tmp_path / "runs" / RUNS[1].path / "checkpoints").mkdir(parents=True)
    (tmp_path / "runs" / RUNS[0].path).mkdir(parents=True)
    status = study_status(study_of(*RUNS[:2]), tmp_path)
    assert [row.status for row in status.runs] == ["left", "started"]
    assert status.counts == {"left": 1, "started": 1}


def test_a_checkpoint_beside_a_record_does_not_count(tmp_path: Path) -> None:
    (leave(tmp_path, RIGL) / "checkpoints").mkdir()
    assert study_status(study_of(RIGL), tmp_path).counts == {"done": 1}


def test_time_left_follows_the_steps_of_the_same_method(tmp_path: Path) -> None:
    leave(tmp_path, RUNS[0])
    leave(tmp_path, RUNS[2], timing={**TIMING, "train_seconds": 2.0})
    status = study_status(study_of(*RUNS[:4]), tmp_path)
    # RigL took 0.1 s a step; SET 0.04, and its second run has five times the steps.
    assert [row.seconds for row in status.runs] == [10.0, pytest.approx(10.0), 4.0, pytest.approx(20.0)]
    assert status.seconds_left == pytest.approx(30.0)


def test_time_left_of_a_method_without_measurement_follows_the_others(tmp_path: Path) -> None:
    leave(tmp_path, RUNS[0])
    leave(tmp_path, RUNS[1], timing={**TIMING, "train_seconds": 18.0})
    status = study_status(study_of(*RUNS[:3]), tmp_path)
    assert status.runs[2].seconds == pytest.approx(15.0)
    assert status.seconds_left == pytest.approx(15.0)


def test_time_left_is_unknown_where_some_run_has_no_relative(tmp_path: Path) -> None:
    leave(tmp_path, RUNS[0])
    status = study_status(study_of(RUNS[0], RUNS[1], RUNS[4]), tmp_path)
    assert status.runs[1].seconds == pytest.approx(10.0)
    assert status.seconds_left is None


def test_runs_that_did_not_finish_are_no_measure(tmp_path: Path) -> None:
    leave(tmp_path, RUNS[0], "diverged")
    assert study_status(study_of(*RUNS[:2]), tmp_path).seconds_left is None


def test_nothing_left_takes_no_time(tmp_path: Path) -> None:
    leave(tmp_path, RIGL)
    assert study_status(study_of(RIGL), tmp_path).seconds_left == 0


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "3", '{"status": "done"}', '{"status": "done", "timing": {}}', "\x00"],
    ids=["empty", "truncated", "list", "no keys", "number", "no timing", "no seconds", "bytes"],
)
def test_a_corrupt_record_is_named_with_the_way_out(tmp_path: Path, text: str) -> None:
    folder = leave(tmp_path, RUNS[1])
    (folder / "record.json").write_text(text)
    for look in (
        lambda: study_status(study_of(*RUNS), tmp_path),
        lambda: clear_failed(study_of(*RUNS), tmp_path, ["failed"]),
    ):
        with pytest.raises(UserError) as caught:
            look()
        assert str(caught.value).startswith(f"{folder / 'record.json'} is corrupt (")
        assert str(caught.value).endswith(f"delete {folder} and run again")


# -- clearing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "cleared"),
    [(["failed"], [1]), (["diverged"], [2]), (["failed", "diverged"], [1, 2]), ([], [])],
    ids=["failed", "diverged", "both", "none"],
)
def test_clearing_takes_the_kinds_asked_for_and_keeps_the_rest(
    tmp_path: Path, kinds: list[str], cleared: list[int]
) -> None:
    ends = ("done", "failed: KeyError: a", "diverged", "skipped: no width")
    folders = [leave(tmp_path, run, ended) for run, ended in zip(RUNS, ends, strict=False)]
    for folder in folders:
        (folder / "attempts").mkdir()
        (folder / "attempts" / "attempt-1.log").write_text("Traceback")
        (folder / "weights.safetensors").write_text("weights")
    assert clear_failed(study_of(*RUNS), tmp_path, kinds) == [RUNS[number].path for number in cleared]
    for number, folder in enumerate(folders):
        left = {path.name for path in folder.rglob("*") if path.is_file()}
        records = {"record.json", ".record.json", "attempt-1.log"}
        assert left == {"weights.safetensors"} | (set() if number in cleared else records)
    counts = study_status(study_of(*RUNS[:4]), tmp_path).counts
    assert counts.get("left", 0) == len(cleared)
    assert clear_failed(study_of(*RUNS), tmp_path, kinds) == []


def test_clearing_leaves_runs_of_other_studies_alone(tmp_path: Path) -> None:
    folder = leave(tmp_path, RUNS[1], "failed: KeyError: a")
    assert clear_failed(study_of(RUNS[0]), tmp_path, ["failed"]) == []
    assert (folder / "record.json").exists()


def test_a_failure_that_is_kept_aside_is_cleared_too(tmp_path: Path) -> None:
    # The workflow removes the declared record of a job that failed; what was kept aside would put the failure back.
    folder = leave(tmp_path, RIGL, "failed: KeyError: a", None)
    (folder / "record.json").unlink()
    assert clear_failed(study_of(RIGL), tmp_path, ["failed"]) == [RIGL.path]
    assert not (folder / ".record.json").exists()


def test_devices_are_those_of_the_record(tmp_path: Path) -> None:
    leave(tmp_path, RUNS[0], hardware="4 x NVIDIA H100")
    leave(tmp_path, RUNS[1], hardware="NVIDIA 2 x 1")
    assert [row.devices for row in study_status(study_of(*RUNS[:3]), tmp_path).runs] == [4, 1, 1]

"""Runs whose process is killed: tried again, then recorded as failed, however little the dead can say."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import attempts, train
from pipeline.plan import Spec
from pipeline.worker import ATTEMPTS, RECORD, RETRY, Bench, run_all

MakeBench = Callable[..., Bench]
MakeSpec = Callable[..., Spec]


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training RigL gets its process killed, as running out of memory would."""
    prepare = train.prepare

    def die_of_rigl(spec: Spec, *rest: object) -> train.Training:
        if spec.run.method == "rigl":
            os.kill(os.getpid(), signal.SIGKILL)
        return prepare(spec, *rest)

    monkeypatch.setattr(train, "prepare", die_of_rigl)


def call(specs: Sequence[Spec], bench: Bench, attempt: int) -> int | None:
    """The exit code of a job in a process of its own, negative for a signal."""
    job = multiprocessing.get_context("fork").Process(
        target=lambda: os._exit(run_all(specs, replace(bench, attempt=attempt)))
    )
    job.start()
    job.join()
    return job.exitcode


def status(bench: Bench, spec: Spec) -> str | None:
    record = bench.folder(spec.run) / RECORD
    return json.loads(record.read_text())["status"] if record.exists() else None


def marks(bench: Bench, spec: Spec) -> list[str]:
    return sorted(path.name for path in (bench.folder(spec.run) / ATTEMPTS).glob("*"))


@pytest.mark.usefixtures("deadly")
def test_what_is_killed_in_every_attempt_is_recorded_by_one_call_more(
    make_bench: MakeBench, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run before it in the job is not lost, and the one behind it is trained in the end."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    bench, before, dying, behind = make_bench(attempts=2), make_spec("static"), make_spec("rigl"), make_spec("set")
    job = [before, dying, behind]
    assert call(job, bench, attempt=1) == -signal.SIGKILL
    assert marks(bench, dying) == ["attempt-1.begun"]
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert call(job, bench, attempt=2) == -signal.SIGKILL
    assert status(bench, dying) is status(bench, behind) is None
    assert call(job, bench, attempt=3) == 0
    assert [status(bench, spec) for spec in (before, behind)] == ["done", "done"]
    said = status(bench, dying)
    assert said.startswith("failed: killed in attempt 2 of 2, begun 20")
    assert said.endswith(", Slurm job 17: out of memory, out of time, or cancelled")
    assert not marks(bench, before) and not marks(bench, behind)


@pytest.mark.usefixtures("deadly")
def test_kills_of_an_earlier_workflow_do_not_count(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    """Marks of a workflow that ended early may lie in folders that a later one does not reach."""
    bench, dying = make_bench(attempts=2), make_spec("rigl")
    behind = make_spec("rigl", sparsity=0.8)
    assert call([behind], bench, attempt=2) == -signal.SIGKILL
    assert call([dying, behind], bench, attempt=1) == -signal.SIGKILL
    assert marks(bench, behind) == []
    assert call([dying, behind], bench, attempt=2) == -signal.SIGKILL
    assert call([dying, behind], bench, attempt=3) == -signal.SIGKILL, "the run behind was never tried: it is, now"
    assert status(bench, dying).startswith("failed: killed")
    assert status(bench, behind) is None


def test_an_error_takes_its_mark_away(
    make_bench: MakeBench, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(train, "train", fail)
    bench, spec = make_bench(attempts=2), make_spec()
    assert run_all([spec], bench) == RETRY
    assert marks(bench, spec) == ["attempt-1.log"]


def test_a_folder_of_marks_goes_with_the_last(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    bench, spec = make_bench(), make_spec()
    assert run_all([spec], bench) == 0
    assert not (Path(bench.folder(spec.run)) / ATTEMPTS).exists()


def test_an_error_that_another_process_told_is_the_reason(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    """Of several processes the one that fails first ends those that would have recorded it."""
    bench, spec = make_bench(attempts=2), make_spec()
    folder = bench.folder(spec.run) / ATTEMPTS
    folder.mkdir(parents=True)
    (folder / "attempt-1-rank1.log").write_text("ValueError: an earlier one")
    attempts.begin(folder, 2)
    assert attempts.error_of(folder, 2) is None
    (folder / "attempt-2-rank1.log").write_text("Traceback\n  ...\nMasksDisagreeError: two digests\n")
    assert attempts.error_of(folder, 2) == "MasksDisagreeError: two digests"
    assert call([spec], bench, attempt=3) == 0
    assert status(bench, spec) == "failed: MasksDisagreeError: two digests"


def test_what_was_told_before_an_attempt_is_not_its_error(tmp_path: Path) -> None:
    log = tmp_path / "attempt-2-rank1.log"
    log.write_text("ValueError: of the workflow before")
    os.utime(log, (1, 1))
    attempts.begin(tmp_path, 2)
    assert attempts.error_of(tmp_path, 2) is None

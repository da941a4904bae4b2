"""What a job leaves when things go wrong, and what it finds when it is started again."""

from __future__ import annotations

import dataclasses
import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline import checkpoint, memory, plan, provenance, train, worker
from pipeline.data.tensors import save
from pipeline.plan import Spec, resolve
from pipeline.study import load_study, parse_run
from pipeline.worker import ATTEMPTS, CHECKPOINTS, KEPT, RECORD, RETRY, USER_ERROR, Bench, run_all

MakeBench = Callable[..., Bench]
MakeSpec = Callable[..., Spec]


class Fragile(nn.Module):
    """Fails in its first forward pass in train mode, so that it can be built and costed but not trained."""

    def __init__(self, input_shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(64, classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise RuntimeError("out of luck\nand a second line")
        return self.fc(inputs.flatten(1))


class Narrow(nn.Module):
    """A model without a width option."""

    def __init__(self, input_shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(64, classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.fc(inputs.flatten(1))


def status(bench: Bench, spec: Spec) -> str:
    return json.loads((bench.folder(spec.run) / RECORD).read_text())["status"]


def test_a_failure_is_retried_then_recorded_and_spares_the_others(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    fragile, sound = make_spec(model=f"{__name__}:Fragile"), make_spec("static")
    first = make_bench(attempt=1, attempts=2)
    assert run_all([fragile, sound], first) == RETRY
    assert status(first, sound) == "done"
    folder = first.folder(fragile.run)
    assert not (folder / RECORD).exists()
    assert "out of luck" in (folder / ATTEMPTS / "attempt-1.log").read_text()
    last = Bench(first.results, first.device, attempt=2, attempts=2)
    assert run_all([fragile, sound], last) == 0
    assert status(last, fragile) == "failed: RuntimeError: out of luck"
    record = json.loads((folder / RECORD).read_text())
    assert record["result"] is None
    assert record["layers"] == []


def test_a_method_that_cannot_do_a_run_skips_it_with_a_reason(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    bench, spec = make_bench(), make_spec("small_dense", model=f"{__name__}:Narrow")
    assert run_all([spec], bench) == 0
    assert status(bench, spec).startswith("skipped: ")
    assert "'width'" in status(bench, spec)


def test_a_loss_that_is_not_finite_is_a_status(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    bench = make_bench()
    specs = [make_spec(method, protocol={"learning_rate": {"peak": 1e18}}) for method in ("static", "rigl", "snfs")]
    assert run_all(specs, bench) == 0
    for spec in specs:
        assert status(bench, spec) == "diverged"
        record = json.loads((bench.folder(spec.run) / RECORD).read_text())
        assert record["result"] is None
        assert record["work"]["gradient_steps"] <= spec.run.steps


def test_a_deleted_record_is_put_back_without_training(
    make_bench: MakeBench, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snakemake deletes every declared output of a failed job; finished runs must not be lost."""
    bench, spec = make_bench(), make_spec()
    assert run_all([spec], bench) == 0
    before = (bench.folder(spec.run) / RECORD).read_bytes()
    (bench.folder(spec.run) / RECORD).unlink()
    monkeypatch.setattr(train, "prepare", lambda *_, **__: pytest.fail("trained again"))
    assert run_all([spec], bench) == 0
    assert (bench.folder(spec.run) / RECORD).read_bytes() == before


@pytest.mark.parametrize("field", ["comparability_version", "schema_version"])
def test_a_kept_record_of_another_version_is_trained_anew(
    field: str, make_bench: MakeBench, make_spec: MakeSpec
) -> None:
    bench, spec = make_bench(), make_spec()
    assert run_all([spec], bench) == 0
    kept = bench.folder(spec.run) / KEPT
    record = json.loads(kept.read_text())
    kept.write_text(json.dumps({**record, field: -1}))
    assert run_all([spec], bench) == 0
    assert json.loads(kept.read_text())[field] == record[field]


def test_changed_code_discards_record_and_checkpoint(
    make_bench: MakeBench, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, spec = make_bench(), make_spec()
    assert run_all([spec], bench) == 0
    folder = bench.folder(spec.run)
    checkpoint.save(folder / CHECKPOINTS, 3, {"nonsense": 1}, spec.run.digest)
    for module in (worker, provenance):
        monkeypatch.setattr(module, "source_digest", lambda run: "0123456789ab")
    assert run_all([spec], bench) == 0
    record = json.loads((folder / RECORD).read_text())
    assert record["provenance"]["source_digest"] == "0123456789ab"
    assert record["timing"]["resumes"] == 0
    assert "comes from other code or data and is discarded" in capsys.readouterr().err


def test_a_foreign_checkpoint_is_refused_and_left_alone(
    make_bench: MakeBench, make_spec: MakeSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, spec = make_bench(), make_spec()
    folder = bench.folder(spec.run) / CHECKPOINTS
    checkpoint.save(folder, 7, {"a": 1}, "deadbeef")
    assert run_all([spec], bench) == USER_ERROR
    message = capsys.readouterr().err
    assert "deadbeef" in message
    assert f"delete {folder}" in message
    assert len(message.strip().splitlines()) <= 2
    assert (folder / "0000000007").is_dir()
    assert not (bench.folder(spec.run) / RECORD).exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_is_the_users_to_put_right(
    code: int,
    make_bench: MakeBench,
    make_spec: MakeSpec,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench, spec = make_bench(checkpoint_seconds=0.0), make_spec()

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code), "somewhere")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_bytes", refuse)
        assert run_all([spec], bench) == USER_ERROR
    message = capsys.readouterr().err
    assert f"somewhere: {os.strerror(code)}" in message
    assert not (bench.folder(spec.run) / RECORD).exists()
    assert run_all([spec], bench) == 0
    assert status(bench, spec) == "done"


def test_results_that_are_a_file_are_named(
    tmp_path: Path, make_spec: MakeSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").write_text("")
    assert run_all([make_spec()], Bench(tmp_path / "results", torch.device("cpu"))) == USER_ERROR
    assert str(tmp_path / "results") in capsys.readouterr().err


def test_a_missing_or_corrupt_cache_and_kept_record_are_named(
    make_bench: MakeBench, make_spec: MakeSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, spec = make_bench(), make_spec()
    cache = bench.results / "cache" / "digits.safetensors"
    content = cache.read_bytes()
    cache.unlink()
    assert run_all([spec], bench) == USER_ERROR
    assert str(cache) in capsys.readouterr().err
    cache.write_bytes(content[: len(content) // 2])
    assert run_all([spec], bench) == USER_ERROR
    assert str(cache) in capsys.readouterr().err
    cache.write_bytes(content)
    kept = bench.folder(spec.run) / KEPT
    kept.write_text("{")
    assert run_all([spec], bench) == USER_ERROR
    assert f"{kept} is corrupt" in capsys.readouterr().err


def test_a_start_that_diverged_is_refused_naming_both(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    protocol = {"learning_rate": {"peak": 1e18}}
    bench, parent = make_bench(), make_spec("static", protocol=protocol)
    child = make_spec("rigl", protocol=protocol, start_from={"take": "both", "method": "static"})
    assert run_all([parent, child], bench) == 0
    assert (
        status(bench, child)
        == f"failed: OriginFailedError: {child.run.path} starts from {parent.run.path}, which is diverged"
    )


def test_what_a_method_finds_out_on_its_first_batch_is_a_skip(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    """50 weights of 50,200 for all layers, ranked together by SNIP: none is left for the first one."""
    bench = make_bench()
    spec = make_spec("snip", 0.999, method_options={"ranking": "global"})
    assert spec.skip is None
    assert run_all([spec], bench) == 0
    assert status(bench, spec) == "skipped: ranking all layers together leaves fc1 without a weight"


def test_a_second_process_waits_for_the_first(make_bench: MakeBench, make_spec: MakeSpec, tmp_path: Path) -> None:
    """An orphan of a killed workflow may still be writing: the next one waits for its lock, then finds its record."""
    bench, spec = make_bench(), make_spec(protocol={"steps": 400})
    plan.write_plan(tmp_path / "plan.json", {"job": [spec]})
    command = [sys.executable, "-m", "pipeline.worker", "--plan", str(tmp_path / "plan.json"), "--job", "job"]
    command += ["--results", str(bench.results), "--device", "cpu", "--checkpoint-seconds", "0"]
    first = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while not list((bench.folder(spec.run) / CHECKPOINTS).glob("[0-9]*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert second.returncode == 0, second.stderr
    assert first.wait(timeout=60) == 0
    assert json.loads((bench.folder(spec.run) / RECORD).read_text())["timing"]["resumes"] == 0


def test_a_killed_process_is_resumed_by_the_next(make_bench: MakeBench, make_spec: MakeSpec, tmp_path: Path) -> None:
    bench, spec = make_bench(), make_spec(protocol={"steps": 400})
    plan.write_plan(tmp_path / "plan.json", {"job": [spec]})
    command = [sys.executable, "-m", "pipeline.worker", "--plan", str(tmp_path / "plan.json"), "--job", "job"]
    command += ["--results", str(bench.results), "--device", "cpu", "--checkpoint-seconds", "0"]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while not list((bench.folder(spec.run) / CHECKPOINTS).glob("[0-9]*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert subprocess.run(command, timeout=120).returncode == 0
    assert json.loads((bench.folder(spec.run) / RECORD).read_text())["timing"]["resumes"] == 1


def test_worker_imports_nothing_but_what_a_bare_machine_has() -> None:
    """The training process runs where only torch, numpy, pyarrow and safetensors are installed."""
    code = "import sys, pipeline.worker; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    forbidden = {
        "pydantic",
        "fvcore",
        "datasets",
        "sklearn",
        "pandas",
        "typer",
        "rich",
        "yaml",
        "PIL",
        "snakemake",
        "matplotlib",
    }
    assert forbidden.isdisjoint(loaded)


def test_an_unknown_job_lists_the_jobs(tmp_path: Path, make_spec: MakeSpec, capsys: pytest.CaptureFixture[str]) -> None:
    plan.write_plan(tmp_path / "plan.json", {"rigl-000": [make_spec()]})
    assert worker.main(["--plan", str(tmp_path / "plan.json"), "--job", "rigl", "--device", "cpu"]) == USER_ERROR
    assert f"unknown job 'rigl'; {tmp_path / 'plan.json'} has rigl-000" in capsys.readouterr().err
    assert worker.main(["--study", "quick", "--job", "rigl", "--device", "cpu"]) == USER_ERROR
    assert "unknown job 'rigl'; quick has dense-000, " in capsys.readouterr().err


def test_a_job_of_a_study_resolves_itself(
    make_bench: MakeBench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = make_bench()
    (tmp_path / "two.yaml").write_text(
        "extends: quick\ngrid: [{method: static, sparsity: [0.8, 0.9]}]\nseeds: 1\n"
        "base: {protocol.steps: 20, protocol.learning_rate.milestones: [10]}\n"
    )
    study = load_study(tmp_path / "two.yaml")
    arguments = ["--study", str(tmp_path / "two.yaml"), "--job", "static-000", "--device", "cpu"]
    assert worker.main([*arguments, "--results", str(tmp_path / "nowhere")]) == USER_ERROR
    assert "there is no data set cache" in capsys.readouterr().err
    assert worker.main([*arguments, "--results", str(bench.results)]) == 0
    assert all(json.loads((bench.folder(run) / RECORD).read_text())["status"] == "done" for run in study.runs)


def test_wrn22_2_trains_20_steps_on_cifar10_jpeg(data_root: Path, tmp_path: Path) -> None:
    """The real images, with crop and flip; the loss of the last steps is below the first's."""
    from pipeline.data import sources

    path = sources.prepare("cifar10-jpeg", tmp_path, data_root)
    dataset = worker.load_data(path)
    protocol = {
        "steps": 20,
        "batch_size": 16,
        "learning_rate": {"peak": 0.05},
        "optimizer": {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
        "topology": {"update_every": 5, "end": 15},
        "augmentation": "crop-flip",
    }
    fields = {"model": "wrn22_2", "dataset": "cifar10-jpeg", "method": "rigl", "sparsity": 0.9, "distribution": "erk"}
    spec = resolve(parse_run({**fields, "protocol": protocol}), dataset.input_shape, dataset.classes)
    training = train.prepare(spec, dataset)
    losses = []
    while training.sparse.steps < 20:
        before = float(training.loss_sum)
        train.take_batch(training)
        losses.append(float(training.loss_sum) - before)
    assert training.sparse.updates == 4
    assert sum(losses[-5:]) < sum(losses[:5])
    counts = {row.layer: row for row in training.sparse.counts()}
    assert not counts["conv1"].masked
    assert [row.nonzeros for row in spec.layers()] == [row.nonzeros for row in training.sparse.counts()]


def test_a_failure_keeps_its_checkpoint_for_a_retry(
    make_bench: MakeBench, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that is full late in a long run, then `rigl-bench retry`: the run goes on from where it was."""
    bench, spec = make_bench(checkpoint_seconds=0.0), make_spec()
    take_batch = train.take_batch
    sizes = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.5 GiB is free."

    def fail_late(training: train.Training) -> bool:
        if training.sparse.steps == 25:
            raise torch.OutOfMemoryError(sizes)
        return take_batch(training)

    with monkeypatch.context() as patch:
        patch.setattr(train, "take_batch", fail_late)
        assert run_all([spec], bench) == 0
    assert status(bench, spec) == f"failed: OutOfMemoryError: {sizes} A smaller protocol.microbatch needs less."
    for name in (RECORD, KEPT):
        (bench.folder(spec.run) / name).unlink()
    steps = []
    monkeypatch.setattr(
        train, "take_batch", lambda training: steps.append(training.sparse.steps) or take_batch(training)
    )
    assert run_all([spec], bench) == 0
    assert status(bench, spec) == "done"
    assert steps[0] == 25


def test_checkpoints_take_a_hundredth_of_the_time_at_most(
    make_bench: MakeBench, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk on which each takes six seconds, by a clock that moves a minute a batch."""
    clock, saved = [0.0], []

    def batch(training: train.Training, take_batch: Callable[..., bool] = train.take_batch) -> bool:
        clock[0] += 60
        return take_batch(training)

    def save_slowly(folder: Path, step: int, *_: object) -> None:
        clock[0] += 6
        saved.append(step)

    monkeypatch.setattr(train.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(train, "take_batch", batch)
    monkeypatch.setattr(train.checkpoint, "save", save_slowly)
    assert run_all([make_spec(protocol={"topology": {"update_every": 100}})], make_bench(checkpoint_seconds=120)) == 0
    assert saved == [2, 12, 22, 32]  # 6 s are a hundredth of 10 minutes


def test_a_checkpoint_of_another_comparability_version_is_discarded(
    make_bench: MakeBench, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, spec = make_bench(checkpoint_seconds=0.0), make_spec()
    process = multiprocessing.get_context("fork").Process(target=run_all, args=([spec], bench))
    process.start()
    while not list((bench.folder(spec.run) / CHECKPOINTS).glob("[0-9]*")):
        time.sleep(0.001)
    process.kill()
    process.join()
    monkeypatch.setattr(worker, "COMPARABILITY_VERSION", -1)
    assert run_all([spec], bench) == 0
    assert json.loads((bench.folder(spec.run) / RECORD).read_text())["timing"]["resumes"] == 0


def test_other_data_of_the_same_name_trains_anew(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    bench, spec = make_bench(), make_spec()
    assert run_all([spec], bench) == 0
    record = json.loads((bench.folder(spec.run) / RECORD).read_text())
    cache = bench.cache(spec.run)
    dataset = worker.load_data(cache)
    assert record["provenance"]["data_digest"] == dataset.content_digest()
    cache.unlink()
    save(dataclasses.replace(dataset, train_labels=dataset.train_labels.flip(0)), cache)
    assert run_all([spec], bench) == 0
    again = json.loads((bench.folder(spec.run) / RECORD).read_text())
    assert again["provenance"]["data_digest"] != record["provenance"]["data_digest"]
    assert again["result"] != record["result"]


def test_a_parent_that_is_not_trained_is_asked_for(
    make_bench: MakeBench, make_spec: MakeSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, child = make_bench(), make_spec("rigl", start_from={"method": "static"})
    assert run_all([child], bench) == USER_ERROR
    assert "which is not trained yet: run it first" in capsys.readouterr().err
    assert not (bench.folder(child.run) / RECORD).exists()


def test_peak_memory_is_the_runs_own(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    """A large run before a small one in the same process does not count for the small one."""
    bench = make_bench()
    ballast = torch.ones(2**27)
    peak = (memory.reset_peak(bench.device), memory.peak_bytes(bench.device))[1]
    assert peak is not None
    del ballast
    memory.reset_peak(bench.device)
    after = memory.peak_bytes(bench.device)
    assert after is not None
    assert after < peak - 2**28

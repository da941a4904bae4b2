"""Several processes that share a run: the same losses, masks and statistics as one, resuming on another number, dying."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pipeline import checkpoint, train
from pipeline.data import sources, tensors
from pipeline.data.batches import Batches, TextBatches
from pipeline.data.tensors import TextSet
from pipeline.plan import Spec, resolve, write_plan
from pipeline.ranks import ALONE, Ranks, RanksError, RunningStatistics
from pipeline.record import MASKS, WEIGHTS
from pipeline.study import load_study, parse_run
from pipeline.worker import CHECKPOINTS, RECORD, Bench, run_all
from pipeline.yaml_source import StudyError
from tests.pipeline import rank_session

REPOSITORY = Path(__file__).resolve().parents[2]
LONG = {"steps": 100, "topology": {"update_every": 10, "end": 90}, "evaluations": 2}
TEXT = {
    "steps": 24,
    "batch_size": 4,
    "sequence_length": 16,
    "learning_rate": {"peak": 5e-3},
    "optimizer": {"name": "adam"},
    "topology": {"update_every": 5, "end": "never"},
    "clip_norm": 10.0,
    "evaluations": 3,
}


def torchrun(*arguments: str, ranks: int = 2, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(ranks),
        *arguments,
    ]
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def text_set(characters: int = 2000) -> TextSet:
    generator = torch.Generator().manual_seed(0)
    train_text, test_text = (
        torch.randint(97, 123, (n,), generator=generator, dtype=torch.uint8) for n in (characters, 300)
    )
    return TextSet("wikitext-mini", train_text, test_text)


def digits(method: str, sparsity: float, protocol: dict[str, Any], model: str = "lenet300") -> Spec:
    base = {
        "batch_size": 16,
        "learning_rate": {"peak": 0.05, "decay": "step", "milestones": [50], "factor": 0.5},
        "optimizer": {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    }
    run = {
        "model": model,
        "dataset": "digits",
        "method": method,
        "sparsity": sparsity,
        "protocol": {**base, **protocol},
    }
    return resolve(parse_run(run), (1, 8, 8), 10)


def charlm(model: str = "charlm_gru", **protocol: Any) -> Spec:
    run = {
        "model": model,
        "dataset": "wikitext-mini",
        "method": "rigl",
        "sparsity": 0.75,
        "model_options": {"width": 1 / 16},
        "protocol": {**TEXT, **protocol},
    }
    return resolve(parse_run(run), (16,), 256)


def specs() -> dict[str, Spec]:
    """Runs that differ in what ranks share: gradients, dense gradients, first masks, random numbers, statistics, state."""
    methods = ("rigl", "set", "snfs", "snip", "grasp", "topkast")
    options = {method: digits(method, 0.9, LONG) for method in methods}
    # A slow learner: normalising a handful of samples multiplies what rounding differs in.
    slow = {"peak": 0.003, "decay": "step", "milestones": [50], "factor": 0.5}
    parts = {**LONG, "microbatch": 8, "augmentation": "crop-flip", "label_smoothing": 0.1, "learning_rate": slow}
    options["normalised"] = digits("rigl", 0.8, parts, model="convnet")
    options["text"] = charlm()
    options["text-in-parts"] = charlm(microbatch=1)
    return options


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, digits_cache: Path) -> dict[str, dict[int, Any]]:
    """What one process and two saw of every specification, by name and number of processes."""
    folder = tmp_path_factory.mktemp("ranks")
    plans = specs()
    text = sources.cache_path("wikitext-mini", folder)
    tensors.save(text_set(), text)
    (folder / "datasets.json").write_text(json.dumps({"digits": str(digits_cache), "wikitext-mini": str(text)}))
    write_plan(folder / "plan.json", {name: [spec] for name, spec in plans.items()})
    rank_session.main(folder / "plan.json", folder, ALONE)
    ended = torchrun("tests/pipeline/rank_session.py", str(folder / "plan.json"), str(folder))
    assert ended.returncode == 0, ended.stderr[-3000:]
    return {
        name: {count: json.loads((folder / f"{name}-{count}.json").read_text()) for count in (1, 2)} for name in plans
    }


NAMES = ("rigl", "set", "snfs", "snip", "grasp", "topkast", "normalised", "text", "text-in-parts")


@pytest.mark.parametrize("name", NAMES)
def test_two_ranks_lose_what_one_loses_with_the_same_batch(name: str, seen: dict[str, dict[int, Any]]) -> None:
    one, two = seen[name][1], seen[name][2]
    assert len(one["losses"]) == {"text": 24, "text-in-parts": 24}.get(name, 100)
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-5)
    assert two["point"] == pytest.approx(one["point"], abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_ranks_have_the_same_masks_after_every_batch(name: str, seen: dict[str, dict[int, Any]]) -> None:
    (ours,), (first, second) = seen[name][1]["digests"], seen[name][2]["digests"]
    assert first == second == ours
    assert len(set(ours)) > (
        8 if name in ("rigl", "set", "snfs", "normalised") else 1 if name not in ("snip", "grasp") else 0
    )


def test_running_statistics_are_those_of_one_process(seen: dict[str, dict[int, Any]]) -> None:
    one, two = (seen["normalised"][count]["statistics"] for count in (1, 2))
    assert any(name.endswith("running_var") for name in one) and set(one) == set(two)
    for name, values in one.items():
        assert two[name] == pytest.approx(values, rel=1e-4, abs=1e-5), name
        assert any(value not in (0.0, 1.0) for value in values)


def test_a_text_is_read_on_from_the_state_of_every_rank(seen: dict[str, dict[int, Any]]) -> None:
    for name in ("text", "text-in-parts"):
        one, two = (seen[name][count]["state"] for count in (1, 2))
        assert len(one) == 4 * 32 and any(one)
        assert two == pytest.approx(one, abs=1e-5)
    assert seen["text"][1]["losses"] == pytest.approx(seen["text-in-parts"][1]["losses"], abs=1e-5)


def test_masks_that_differ_end_the_run_with_both_digests(seen: dict[str, dict[int, Any]]) -> None:
    message = seen["rigl"][2]["disagreement"]
    digests = [word.strip(",:") for word in message.split() if len(word.strip(",:")) == 64]
    assert "rank 0" in message and "rank 1" in message and len(set(digests)) == 2


def test_a_killed_rank_ends_the_run_which_resumes_on_one_and_on_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank 1 is killed in batch 130; one process goes on from the checkpoint at batch 100, and two from its last."""
    study = tmp_path / "fragile.yaml"
    protocol = {**TEXT, "steps": 140, "evaluations": 7}
    base = {"dataset": "wikitext-mini", "model": "tests.pipeline.fragile:FragileCharLM", "protocol": protocol}
    grid = [{"method": "rigl", "sparsity": 0.75, "model_options.width": 1 / 16}]
    study.write_text(json.dumps({"title": "t", "description": "d", "base": base, "grid": grid, "seeds": 1}))
    (run,) = load_study(str(study)).runs
    spec = resolve(run, (16,), 256)
    benches = {}
    for name, seconds in (("unbroken", 1e9), ("broken", 0.0)):
        tensors.save(text_set(), sources.cache_path("wikitext-mini", tmp_path / name / "cache"))
        benches[name] = Bench(tmp_path / name, torch.device("cpu"), checkpoint_seconds=seconds)
    unbroken, broken = benches.values()
    assert run_all([spec], unbroken) == 0

    job = ("-m", "pipeline.worker", "--study", str(study), "--job", load_study(str(study)).jobs()[0].name)
    options = ("--results", str(broken.results), "--device", "cpu", "--checkpoint-seconds", "0", "--attempts", "2")
    started = time.monotonic()
    ended = torchrun(*job, *options, RIGL_BENCH_TEST_KILL="1:130")
    assert (
        ended.returncode != 0 and time.monotonic() - started < 60 + 30
    )  # torch's own start on a busy machine included
    assert not (broken.folder(run) / RECORD).exists()
    saved = checkpoint.load(broken.folder(run) / CHECKPOINTS, run.digest)
    assert saved["sparse"]["steps"] + saved["sparse"]["updates"] == 100
    assert saved["state"].shape == (1, 4, 32)

    take_batch = train.take_batch

    def stop(training: train.Training) -> bool:
        if training.ledger.batches == 120:
            raise KeyboardInterrupt
        return take_batch(training)

    with monkeypatch.context() as patch:
        patch.setattr(train, "take_batch", stop)
        with pytest.raises(KeyboardInterrupt):
            run_all([spec], broken)
    ended = torchrun(*job, *options)
    assert ended.returncode == 0, ended.stderr[-3000:]
    ours, theirs = (json.loads((bench.folder(run) / RECORD).read_text()) for bench in (broken, unbroken))
    assert ours["timing"]["resumes"] == 2 and ours["work"] == theirs["work"]
    assert ours["provenance"]["hardware"] == f"2 x {theirs['provenance']['hardware']}"
    assert ours["result"]["test_loss_nats"] == pytest.approx(theirs["result"]["test_loss_nats"], abs=1e-5)
    for name in (WEIGHTS, MASKS):
        ours, theirs = (load_file(bench.folder(run) / name) for bench in (broken, unbroken))
        assert all(torch.allclose(ours[key].float(), theirs[key].float(), atol=1e-5) for key in theirs)


def test_a_batch_is_shared_equally_or_not_at_all(make_spec: Callable[..., Spec], digits_cache: Path) -> None:
    assert [Ranks(index, 4).part_of(12) for index in range(4)] == [range(3), range(3, 6), range(6, 9), range(9, 12)]
    with pytest.raises(RanksError, match="16 samples cannot be shared equally among 3 processes"):
        Ranks(0, 3).part_of(16)
    dataset = tensors.load(digits_cache)
    with pytest.raises(RanksError, match=r"norm1 normalises over the whole batch of 16.*at most 8"):
        train.prepare(make_spec(model="convnet"), dataset, ranks=Ranks(0, 2))
    with pytest.raises(RanksError, match="2 microbatches of 8 cannot be shared among 4 processes"):
        train.prepare(make_spec(model="convnet", protocol={"microbatch": 8}), dataset, ranks=Ranks(0, 4))
    with pytest.raises(StudyError, match="a divisor of the batch size 16"):
        make_spec(protocol={"microbatch": 5})


def test_sparse_layers_train_in_one_process(make_spec: Callable[..., Spec], digits_cache: Path) -> None:
    spec, dataset = make_spec(protocol={"execution": "sparse"}), tensors.load(digits_cache)
    with pytest.raises(ValueError, match="execution 'sparse' trains in one process, not in 2"):
        train.prepare(spec, dataset, ranks=Ranks(0, 2))
    with pytest.raises(StudyError, match="with a microbatch"):
        make_spec(protocol={"execution": "sparse", "microbatch": 4})


def test_parts_are_those_of_the_whole_batch(digits_cache: Path) -> None:
    images = Batches(tensors.load(digits_cache), 10, order_seed=1, augment_seed=2, augmentation="crop-flip")
    text = TextBatches(text_set(), 10, 8)
    for batches in (images, text):
        for number in (0, 7, 200):
            parts = [batches.part(number, start, stop) for start, stop in ((0, 3), (3, 4), (4, 10))]
            for whole, ours in zip(batches[number], zip(*parts, strict=True), strict=True):
                assert torch.equal(whole, torch.cat(ours))


def test_microbatches_add_up_to_the_batch(make_spec: Callable[..., Spec], digits_cache: Path) -> None:
    dataset = tensors.load(digits_cache)
    whole, parted = (train.prepare(make_spec(protocol={"microbatch": size}), dataset) for size in (None, 4))
    for training in (whole, parted):
        training.optimizer.zero_grad()
    assert float(parted.passes.learn(3)) == pytest.approx(float(whole.passes.learn(3)), abs=1e-6)
    for ours, theirs in zip(parted.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-4)


def test_running_statistics_by_hand() -> None:
    """r = 8, momentum 1/2: parts of means 0, 4 on rank 0 and 2, 6 on rank 1 leave 8/16 + 0/8 + 4/8 + 2/4 + 6/2... of one."""
    model = nn.Sequential(nn.BatchNorm1d(1, momentum=0.5))
    module, means = model[0], [0.0, 4.0, 2.0, 6.0]
    module.running_mean.fill_(8.0)
    expected = 8.0
    for mean in means:
        expected = (expected + mean) / 2

    class Exchanged(Ranks):
        """Rank 0 of two; the other's part of the sum is put in by hand."""

        def sum(self, tensor: torch.Tensor) -> torch.Tensor:
            other = torch.tensor([(8.0 / 2 + 2.0 / 2) / 2 + 6.0 / 2 - 8.0 / 4, 0.0])
            return tensor + other

    statistics = RunningStatistics(model, Exchanged(0, 2), parts=2)
    statistics.begin()
    for mean in means[:2]:
        module.running_mean.mul_(0.5).add_(mean / 2)
    statistics.end()
    assert float(module.running_mean) == pytest.approx(expected)
    assert int(module.num_batches_tracked) == 2
    with pytest.raises(RanksError, match="0 averages over all batches"):
        RunningStatistics(nn.Sequential(nn.BatchNorm1d(1, momentum=None)), Ranks(0, 2), parts=1)


def test_alone_nothing_communicates() -> None:
    tensor = torch.tensor([1.0, math.pi])
    assert ALONE.sum(tensor) is tensor and ALONE.mean(tensor) is tensor and ALONE.joined(tensor, 0) is tensor
    assert ALONE.from_first(lambda: "value") == "value" and ALONE.share == (0, 1)

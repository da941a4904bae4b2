"""Steps that are recorded once and replayed give what steps made one by one give; on a CPU with a recorder that only keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline import train
from pipeline.data import tensors
from pipeline.plan import Spec
from pipeline.ranks import ALONE, Ranks
from pipeline.recorded import RecordedStep, cuda_recorder
from sparse_methods import CannotError

PARTED = {"microbatch": 4, "clip_norm": 1.0}
ADAM = {"optimizer": {"name": "adam", "weight_decay": 1e-3}}


class Kept:
    """A recorder for the CPU: the work is not done when it is recorded, and counted when it is replayed."""

    def __init__(self) -> None:
        self.replays = 0

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        def replay() -> None:
            self.replays += 1
            work()

        return replay


def recorded(training: train.Training, recorder: Callable[..., Any]) -> train.Training:
    training.graph = RecordedStep(training.passes, training.sparse, training.run.protocol.clip_norm, recorder)
    return training


@pytest.mark.parametrize(
    ("method", "protocol", "replays"),
    # 40 steps; 3 are made before; updates come in no step's place (RigL), or with 6 of them (5, 10, ..., 30).
    [
        ("rigl", {}, 37),
        ("set", {}, 31),
        ("static", PARTED, 37),
        ("rigl", ADAM, 37),
        ("pruning", {}, 31),
        ("snfs", {}, 0),
    ],
)
def test_replayed_steps_are_steps(
    method: str, protocol: dict[str, Any], replays: int, make_spec: Callable[..., Spec], digits_cache: Path
) -> None:
    spec, dataset, recorder = make_spec(method, protocol=protocol), tensors.load(digits_cache), Kept()
    plain, replayed = train.prepare(spec, dataset), recorded(train.prepare(spec, dataset), recorder)
    for training in (plain, replayed):
        while training.sparse.steps < 40:
            train.take_batch(training)
    assert recorder.replays == replays
    assert replayed.sparse.digest() == plain.sparse.digest() and replayed.ledger.batches == plain.ledger.batches
    assert replayed.ledger.total_flops == plain.ledger.total_flops
    # Adam divides by a rate that is a float32 tensor when recorded and a Python number otherwise.
    tolerance = 1e-6 if protocol is ADAM else 0
    torch.testing.assert_close(replayed.loss_sum, plain.loss_sum, rtol=tolerance, atol=0)
    for ours, theirs in zip(replayed.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=10 * tolerance, atol=tolerance)


def test_a_recorded_run_resumes(make_spec: Callable[..., Spec], digits_cache: Path) -> None:
    spec, dataset = make_spec("rigl"), tensors.load(digits_cache)
    whole, begun, resumed = (recorded(train.prepare(spec, dataset), Kept()) for _ in range(3))
    for _ in range(40):
        train.take_batch(whole)
    for _ in range(22):
        train.take_batch(begun)
    resumed.load_state_dict(begun.state_dict())
    for _ in range(18):
        train.take_batch(resumed)
    for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_graphs_are_of_cuda_and_of_one_process(make_spec: Callable[..., Spec], digits_cache: Path) -> None:
    with pytest.raises(CannotError, match="cannot be recorded on cpu"):
        train.prepare(make_spec(), tensors.load(digits_cache), cuda_graph=True)
    with pytest.raises(CannotError, match="by one process, not by 2"):
        cuda_recorder(torch.device("cuda"), Ranks(0, 2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("method", "protocol"), [("rigl", {}), ("set", PARTED), ("static", ADAM), ("pruning", {})])
def test_a_cuda_graph_trains_as_eager_steps_do(
    method: str, protocol: dict[str, Any], make_spec: Callable[..., Spec], digits_cache: Path
) -> None:
    spec, dataset = make_spec(method, protocol=protocol), tensors.load(digits_cache).to(torch.device("cuda"))
    plain = train.prepare(spec, dataset)
    replayed = train.prepare(spec, dataset, ranks=ALONE, cuda_graph=True)
    for training in (plain, replayed):
        while training.sparse.steps < 40:
            train.take_batch(training)
    assert replayed.sparse.digest() == plain.sparse.digest()
    for ours, theirs in zip(replayed.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)

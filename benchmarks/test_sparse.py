"""What the truly sparse execution buys over dense training and inference, by sparsity and batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from benchmarks.paired import Rounds, Spread, timed
from pipeline import models, train
from pipeline.data.tensors import DataSet
from pipeline.plan import resolve
from pipeline.study import parse_run
from sparse_methods import sparsify

pytest.importorskip("numba", reason="the sparse execution needs numba, an optional extra")

SHAPE, CLASSES, SAMPLES = (1, 28, 28), 10, 10_000
STEPS = 250
"""In a block: about half a second of dense ones."""
FEW = {"wanted": 5}
"""Rounds of the many small measurements."""
SPARSITIES, BATCHES = (0.8, 0.9, 0.95, 0.98, 0.99), (1, 16, 128)
PROTOCOL = {
    "steps": 10**9,
    "learning_rate": {"peak": 1e-3},
    "optimizer": {"momentum": 0.9, "weight_decay": 1e-4},
    "topology": {"update_every": 100, "end": "never"},
}


@pytest.fixture(scope="module")
def images() -> DataSet:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(256, (SAMPLES, *SHAPE), generator=generator, dtype=torch.uint8)
    labels = torch.randint(CLASSES, (SAMPLES,), generator=generator)
    return DataSet("made-up", CLASSES, inputs, labels, inputs[:100], labels[:100], "divide:255")


def training(images: DataSet, method: str, sparsity: float, execution: str, batch_size: int = 100) -> train.Training:
    """LeNet-300-100 in this suite's own loop, loading included."""
    protocol = PROTOCOL | {"batch_size": batch_size, "execution": execution}
    run = {"model": "lenet300", "dataset": "mnist", "method": method, "sparsity": sparsity, "protocol": protocol}
    return train.prepare(resolve(parse_run(run), SHAPE, CLASSES), images)


def steps(one: train.Training) -> Callable[[], float]:
    return timed(lambda: train.take_batch(one), STEPS)


@pytest.mark.parametrize("sparsity", [0.9, 0.98])
def test_step(sparsity: float, images: DataSet, rounds: Callable[..., Rounds], record: Callable[..., None]) -> None:
    loops = {
        "dense": training(images, "dense", 0.0, "masked"),
        "sparse": training(images, "static", sparsity, "sparse"),
    }
    found = rounds({name: steps(one) for name, one in loops.items()})
    record(f"sparse-step-lenet300-{sparsity:.0%}".removesuffix("%"), found.ratio("dense", "sparse"))


@pytest.mark.parametrize("sparsity", [0.9, 0.98])
def test_rigl(sparsity: float, images: DataSet, rounds: Callable[..., Rounds], record: Callable[..., None]) -> None:
    loops = {"dense": training(images, "dense", 0.0, "masked"), "sparse": training(images, "rigl", sparsity, "sparse")}
    found = rounds({name: steps(one) for name, one in loops.items()})
    words = f"LeNet-300-100 at {sparsity:.0%}, the dense eager loop over RigL's truly sparse one, updates included"
    record(
        f"sparse-rigl-lenet300-{sparsity:.0%}", found.ratio("dense", "sparse"), words=words, unit="x", better="higher"
    )


@pytest.mark.parametrize("batch_size", BATCHES)
def test_step_by_sparsity_and_batch(
    batch_size: int, images: DataSet, rounds: Callable[..., Rounds], record: Callable[..., None]
) -> None:
    loops = {"dense": training(images, "dense", 0.0, "masked", batch_size)}
    loops |= {f"{s:.0%}": training(images, "static", s, "sparse", batch_size) for s in SPARSITIES}
    found = rounds({name: steps(one) for name, one in loops.items()}, **FEW)
    for sparsity in SPARSITIES:
        words = f"LeNet-300-100 at {sparsity:.0%}, batch {batch_size}: the dense eager loop over the truly sparse step"
        ratio = found.ratio("dense", f"{sparsity:.0%}")
        record(f"sparse-step-{sparsity:.0%}-batch-{batch_size}", ratio, words=words, unit="x", better="higher")


@pytest.mark.parametrize("batch_size", BATCHES)
def test_inference(batch_size: int, rounds: Callable[..., Rounds], record: Callable[..., None]) -> None:
    dense = models.build("lenet300", SHAPE, CLASSES).eval()
    networks = {"dense": dense}
    for sparsity in (0.9, 0.98):
        network = models.build("lenet300", SHAPE, CLASSES).eval()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        sparsify(network, optimizer, "static", sparsity, total_steps=1, execution="sparse")
        networks[f"{sparsity:.0%}"] = network
    inputs = torch.rand(batch_size, *SHAPE)

    @torch.no_grad()
    def judge(network: torch.nn.Module) -> torch.Tensor:
        return network(inputs)

    found = rounds({name: timed(lambda n=network: judge(n), 2 * STEPS) for name, network in networks.items()}, **FEW)
    for name in list(networks)[1:]:
        words = f"LeNet-300-100 at {name}, batch {batch_size}: dense inference over truly sparse inference"
        record(
            f"sparse-inference-{name}-batch-{batch_size}",
            found.ratio("dense", name),
            words=words,
            unit="x",
            better="higher",
        )


def test_memory(images: DataSet, record: Callable[..., None], benchmark) -> None:
    """Weights, gradients, momentum and, of the sparse one, indices: bytes, counted and not timed."""

    def held(one: train.Training) -> int:
        train.take_batch(one)
        state = [tensor for slots in one.optimizer.state.values() for tensor in slots.values()]
        parameters = list(one.model.parameters())
        indices = sum(layer.module.pattern.nbytes for layer in getattr(one.sparse, "_sparse", {}).values())
        return indices + sum(tensor.nbytes for tensor in [*parameters, *(p.grad for p in parameters), *state])

    dense, sparse = training(images, "dense", 0.0, "masked"), training(images, "static", 0.9, "sparse")
    train.take_batch(sparse)
    ratio = benchmark.pedantic(lambda: held(sparse) / held(dense), rounds=1)
    record("sparse-memory-90", Spread(ratio, ratio, ratio, kept=1, dropped=0))

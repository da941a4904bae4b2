"""What masks cost over a dense loop: a step, its work after the backward pass, a topology update."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.loops import LENET, NEVER, RESNET, WRN, Loop, Network
from benchmarks.paired import Rounds, timed

STEPS = 100
"""In a block of LeNet's, and between two of its updates."""
LARGE = pytest.mark.parametrize("network", [WRN, RESNET], ids=lambda network: network.model)
FEW = {"wanted": 5, "least": 3}
"""Rounds of large networks, whose steps take seconds each."""


def test_lenet_step(rounds: Callable[..., Rounds], record: Callable[..., None]) -> None:
    """Between updates."""
    loops = {kind: Loop(LENET, kind, begin=NEVER) for kind in ("default", "fused", "masked")}
    found = rounds({kind: timed(loop.batch, STEPS) for kind, loop in loops.items()})
    record("step-lenet300-default", found.ratio("masked", "default"))
    record("step-lenet300-fused", found.ratio("masked", "fused"))


def test_lenet_amortised(rounds: Callable[..., Rounds], record: Callable[..., None]) -> None:
    dense, masked = Loop(LENET, "default"), Loop(LENET, "masked", update_every=STEPS)
    found = rounds({"dense": timed(dense.batch, STEPS), "masked": lambda: masked.gradient_steps(STEPS)})
    record("amortised-lenet300", found.ratio("masked", "dense"))


def test_lenet_update(rounds: Callable[..., Rounds], record: Callable[..., None]) -> None:
    dense, masked = Loop(LENET, "default"), Loop(LENET, "masked", update_every=1)
    found = rounds({"dense": timed(dense.batch, STEPS), "update": lambda: masked.update(STEPS)})
    record("update-lenet300", found.ratio("update", "dense"))


@LARGE
def test_after_backward(network: Network, rounds: Callable[..., Rounds], record: Callable[..., None]) -> None:
    """The same gradients again and again: what they are does not change what is done with them."""
    loops = {kind: Loop(network, kind, begin=NEVER) for kind in ("default", "masked")}
    for loop in loops.values():
        loop.backward()
    found = rounds({kind: timed(loop.step, network.steps_after_backward) for kind, loop in loops.items()})
    record(f"after-backward-{network.model}", found.ratio("masked", "default"))


@LARGE
def test_step_and_update(network: Network, rounds: Callable[..., Rounds], record: Callable[..., None]) -> None:
    """Of one batch each; a network of this size has one copy for steps and updates, so that two fit into memory."""
    dense, masked = Loop(network, "default"), Loop(network, "masked", update_every=1)

    def masked_step() -> float:
        masked.sparse.last_update = masked.sparse.steps  # none is due now
        return timed(masked.batch, 1)()

    def update() -> float:
        masked.sparse.last_update = -1
        return masked.update(1)

    found = rounds({"dense": timed(dense.batch, 1), "masked": masked_step, "update": update}, **FEW)
    record(f"update-{network.model}", found.ratio("update", "dense"))
    words = f"{network.label}, masked step over a dense one with torch's default SGD"
    record(f"step-{network.model}-default", found.ratio("masked", "dense"), words=words)

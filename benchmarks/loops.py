"""Training loops on made-up batches, as users of the library write them: dense, or with the engine for an optimizer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pipeline import models
from sparse_methods import sparsify

SPARSITY = 0.9
CLASSES = 10
NEVER = 10**9
"""A step that no loop here reaches."""


@dataclass(frozen=True)
class Network:
    """A model with the batches that it is timed on."""

    model: str
    label: str
    input_shape: tuple[int, ...]
    batch_size: int
    steps_after_backward: int
    """How many optimizer steps take about half a second."""


LENET = Network("lenet300", "LeNet-300-100", (1, 28, 28), 100, 1000)
WRN = Network("wrn22_2", "WRN-22-2", (3, 32, 32), 128, 60)
RESNET = Network("resnet50", "ResNet-50 at 32 x 32", (3, 32, 32), 128, 4)


class Loop:
    """One network in training with SGD and momentum: dense with torch's default or its fused implementation, or masked.

    The masked one is RigL with all layers masked, fused like every run of this suite, at the drop fraction that updates begin
    with.
    """

    def __init__(self, network: Network, kind: str, update_every: int = 100, begin: int = 0) -> None:
        torch.manual_seed(0)
        self.network = network
        self.model = models.build(network.model, network.input_shape, CLASSES)
        settings = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4}
        fused = {} if kind == "default" else {"fused": True}
        self.optimizer = torch.optim.SGD(self.model.parameters(), **settings, **fused)
        self.sparse = None
        if kind == "masked":
            cadence = {"total_steps": NEVER, "update_every": update_every, "begin": begin, "end": "never"}
            self.sparse = sparsify(self.model, self.optimizer, "rigl", SPARSITY, "erk", **cadence)
        self.step = self.optimizer.step if self.sparse is None else self.sparse.step
        self._batches = itertools.cycle(list(_batches(network)))

    def backward(self) -> None:
        """Gradients of the next batch."""
        inputs, labels = next(self._batches)
        self.optimizer.zero_grad()
        functional.cross_entropy(self.model(inputs), labels).backward()

    def batch(self) -> None:
        """All of one batch."""
        self.backward()
        self.step()

    def gradient_steps(self, steps: int) -> float:
        """Seconds of one gradient step, the mean of ``steps`` of them and of all topology updates that fall among them."""
        started, last = time.perf_counter(), self.sparse.steps + steps
        while self.sparse.steps < last:
            self.batch()
        return (time.perf_counter() - started) / steps

    def update(self, times: int) -> float:
        """Seconds of one topology update, the mean of ``times``; for a loop that makes one at every step.

        Batches, and the step between two updates, are not counted.
        """
        seconds = 0.0
        for _ in range(times):
            self.backward()
            started = time.perf_counter()
            stepped = self.step()
            seconds += time.perf_counter() - started
            if stepped:
                raise RuntimeError("the engine took a step where an update was due")
            self.step()
        return seconds / times


def _batches(network: Network) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(8):
        inputs = torch.randn(network.batch_size, *network.input_shape, generator=generator)
        yield inputs, torch.randint(CLASSES, (network.batch_size,), generator=generator)

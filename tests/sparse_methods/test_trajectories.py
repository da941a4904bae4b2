"""60 steps of training against a plain, slow reference in numpy, written from the design's section 6 and nothing else.

The reference takes gradients from autograd at its own weights; selection, counting, cadence and the optimizers'
arithmetic are its own, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sparse_methods import sparsify
from sparse_methods.method import Layer

Arrays = dict[str, np.ndarray]

STEPS, EVERY, END, ALPHA = 60, 7, 45, 0.4
LR = {"sgd": 0.05, "momentum": 0.03, "nesterov": 0.03, "adam": 0.01}


# -- optimizers --------------------------------------------------------------------------------------------------------


@dataclass
class NumpySGD:
    lr: float
    momentum: float
    nesterov: bool
    weight_decay: float
    slots: dict[str, Arrays] = field(default_factory=dict)

    def step(self, weights: Arrays, gradients: Arrays) -> None:
        for name, weight in weights.items():
            gradient = gradients[name] + self.weight_decay * weight
            velocity = self.slots.setdefault(name, {"velocity": np.zeros_like(weight)})["velocity"]
            velocity[...] = self.momentum * velocity + gradient
            weights[name] = weight - self.lr * (gradient + self.momentum * velocity if self.nesterov else velocity)


@dataclass
class NumpyAdam:
    lr: float
    weight_decay: float
    slots: dict[str, Arrays] = field(default_factory=dict)
    steps: int = 0

    def step(self, weights: Arrays, gradients: Arrays) -> None:
        self.steps += 1
        for name, weight in weights.items():
            gradient = gradients[name] + self.weight_decay * weight
            slots = self.slots.setdefault(name, {"mean": np.zeros_like(weight), "square": np.zeros_like(weight)})
            slots["mean"][...] = 0.9 * slots["mean"] + 0.1 * gradient
            slots["square"][...] = 0.999 * slots["square"] + 0.001 * gradient**2
            mean = slots["mean"] / (1 - 0.9**self.steps)
            square = slots["square"] / (1 - 0.999**self.steps)
            weights[name] = weight - self.lr * mean / (np.sqrt(square) + 1e-8)


def numpy_optimizer(kind: str, weight_decay: float) -> NumpySGD | NumpyAdam:
    if kind == "adam":
        return NumpyAdam(LR[kind], weight_decay)
    return NumpySGD(LR[kind], 0.0 if kind == "sgd" else 0.9, kind == "nesterov", weight_decay)


def torch_optimizer(kind: str, weight_decay: float) -> Callable[[Any], torch.optim.Optimizer]:
    if kind == "adam":
        return partial(torch.optim.Adam, lr=LR[kind], weight_decay=weight_decay)
    momentum = 0.0 if kind == "sgd" else 0.9
    return partial(
        torch.optim.SGD, lr=LR[kind], momentum=momentum, nesterov=kind == "nesterov", weight_decay=weight_decay
    )


# -- the reference -----------------------------------------------------------------------------------------------------


def best(scores: np.ndarray, candidates: list[int], count: int) -> list[int]:
    """Indices of the ``count`` largest scores, the lower index first among equals."""
    return sorted(candidates, key=lambda index: (-scores[index], index))[:count]


class Reference:
    """One sparse training. ``masks`` and ``weights`` are flat-indexed only inside ``update`` and ``prune``."""

    def __init__(
        self,
        method: str,
        weights: Arrays,
        masks: Arrays,
        optimizer: NumpySGD | NumpyAdam,
        gradients: Callable[[Arrays, int], Arrays],
        random: Callable[[str, int], np.ndarray],
        begin: int,
        target: float,
    ) -> None:
        self.method, self.weights, self.masks, self.optimizer = method, weights, masks, optimizer
        self.gradients, self.random, self.begin, self.target = gradients, random, begin, target
        self.steps, self.batches, self.updates, self.last_update = 0, 0, 0, begin - EVERY
        self.mean_gradient = {name: np.zeros_like(weights[name]) for name in masks}
        for name, mask in masks.items():
            weights[name] = weights[name] * mask

    def batch(self) -> bool:
        gradients = self.gradients(self.weights, self.batches)
        self.batches += 1
        if self.method == "rigl" and self.due():
            self.update({name: np.abs(gradients[name]) for name in self.masks})
            return False
        for name in self.masks:
            self.mean_gradient[name] += 0.1 * (gradients[name] - self.mean_gradient[name])
            gradients[name] = gradients[name] * self.masks[name]
        self.optimizer.step(self.weights, gradients)
        self.steps += 1
        if self.method == "set" and self.due():
            self.update({name: self.random(name, self.updates) for name in self.masks})
        elif self.method == "snfs" and self.due():
            self.update({name: np.abs(self.mean_gradient[name]) for name in self.masks})
        elif self.method == "pruning" and self.on_grid():
            self.prune()
        return True

    def due(self) -> bool:
        return self.begin <= self.steps <= END and self.last_update + EVERY <= self.steps

    def on_grid(self) -> bool:
        inside = self.begin <= self.steps <= END
        return inside and ((self.steps - self.begin) % EVERY == 0 or self.steps == END)

    def update(self, grow_scores: Arrays) -> None:
        span = END - self.begin
        fraction = ALPHA / 2 * (1 + math.cos(math.pi * min(self.steps, span) / span))
        for name, scores in grow_scores.items():
            magnitude, grow = np.abs(self.weights[name]).ravel(), scores.ravel()
            active = [index for index, one in enumerate(self.masks[name].ravel()) if one]
            count = int(np.float32(len(active)) * np.float32(fraction))
            kept = set(best(magnitude, active, len(active) - count))
            others = [index for index in range(magnitude.size) if index not in kept]
            self.install(name, kept | set(best(grow, others, count)))
        self.last_update = self.steps
        self.updates += 1

    def prune(self) -> None:
        progress = (self.steps - self.begin) / (END - self.begin)
        sparsity = self.target + (0.0 - self.target) * (1 - progress) ** 3
        for name, mask in self.masks.items():
            active = [index for index, one in enumerate(mask.ravel()) if one]
            ones = mask.size - math.floor(sparsity * mask.size)
            self.install(name, set(best(np.abs(self.weights[name]).ravel(), active, ones)))
        self.updates += 1

    def install(self, name: str, active: set[int]) -> None:
        """New weights and their slots start at zero, as do those that are gone; the others are left alone."""
        mask = self.masks[name]
        arrays = [self.weights[name], *self.optimizer.slots.get(name, {}).values()]
        for index in range(mask.size):
            if index not in active or not mask.flat[index]:
                for array in arrays:
                    array.flat[index] = 0.0
        for index in range(mask.size):
            mask.flat[index] = index in active


# -- networks ----------------------------------------------------------------------------------------------------------


def network(kind: str) -> tuple[nn.Module, tuple[int, ...]]:
    """The network, always the same, and the shape of its inputs."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return untrained(kind)


def untrained(kind: str) -> tuple[nn.Module, tuple[int, ...]]:
    if kind == "two layers":
        return nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 4)).double(), (6,)
    return (
        nn.Sequential(
            nn.Conv2d(2, 5, 3, bias=False),
            nn.BatchNorm2d(5),
            nn.ReLU(),
            nn.Conv2d(5, 4, 2),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(16, 4),
        ).double(),
        (2, 5, 5),
    )


def batch_loss(outputs: Callable[[Tensor], Tensor], shape: tuple[int, ...], index: int) -> Tensor:
    generator = torch.Generator().manual_seed(1000 + index)
    images = torch.randn(6, *shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(4, (6,), generator=generator)
    return functional.cross_entropy(outputs(images), labels)


def gradients_of(model: nn.Module, shape: tuple[int, ...], weights: Mapping[str, np.ndarray], index: int) -> Arrays:
    """Autograd at the reference's weights."""
    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in weights.items()}
    loss = batch_loss(lambda images: torch.func.functional_call(model, leaves, (images,)), shape, index)
    return {
        name: gradient.numpy()
        for name, gradient in zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True)
    }


def score_at(name: str, update: int, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform scores that both sides of a comparison can look up."""
    return np.random.default_rng([update, *name.encode()]).random(shape)


CASES = [("two layers", kind, decay) for kind in LR for decay in (0.0, 0.01)]
CASES += [("conv", "nesterov", 0.01), ("conv", "adam", 0.0)]


@pytest.mark.parametrize(("net", "optimizer", "weight_decay"), CASES)
@pytest.mark.parametrize("method", ["static", "set", "snfs", "rigl", "pruning"])
def test_training_follows_the_reference(
    method: str, net: str, optimizer: str, weight_decay: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = 0 if net == "two layers" else 4
    model, shape = network(net)
    twin, _ = network(net)
    start = {name: parameter.detach().numpy().copy() for name, parameter in model.named_parameters()}
    made = torch_optimizer(optimizer, weight_decay)(model.parameters())
    sparse = sparsify(
        model, made, method, 0.6, total_steps=STEPS, update_every=EVERY, begin=begin, end=END, drop_fraction=ALPHA
    )
    monkeypatch.setattr(
        Layer,
        "random",
        lambda layer: torch.from_numpy(score_at(f"{layer.name}.weight", sparse.updates, tuple(layer.weight.shape))),
    )
    first = {f"{name}.weight": mask.numpy().copy() for name, mask in sparse.masks.items()}
    for mask in first.values():
        assert (~mask).sum() == (0 if method == "pruning" else math.floor(0.6 * mask.size))
    reference = Reference(
        method,
        start,
        first,
        numpy_optimizer(optimizer, weight_decay),
        partial(gradients_of, twin, shape),
        lambda name, update: score_at(name, update, start[name].shape),
        begin,
        target=0.6,
    )

    moved = 0
    for index in range(STEPS + len(range(begin, END + 1, EVERY)) * (method == "rigl")):
        before = sparse.digest()
        made.zero_grad()
        batch_loss(model, shape, index).backward()
        assert sparse.step() == reference.batch()
        moved += sparse.digest() != before
        assert (sparse.steps, sparse.updates) == (reference.steps, reference.updates)
        for name, mask in sparse.masks.items():
            assert np.array_equal(mask.numpy(), reference.masks[f"{name}.weight"]), (index, name)
        for name, parameter in model.named_parameters():
            assert np.abs(parameter.detach().numpy() - reference.weights[name]).max() < 1e-9, (index, name)
    assert sparse.steps == STEPS
    assert moved == 0 if method == "static" else moved >= 4

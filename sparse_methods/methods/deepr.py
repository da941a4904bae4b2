"""DeepR: deep rewiring (Bellec, Kappel, Maass & Legenstein, ICLR 2018, arXiv:1711.05136, Algorithm 1).

Every position has a fixed sign and a parameter theta; w = sign * theta while theta >= 0. After each step
theta <- theta - eta * l1 + eta * noise * N(0, 1); connections whose theta fell below zero become dormant, and as many random
dormant ones are activated, so that each layer keeps its count. The paper's temperature is T = eta * noise^2 / 2.

Deviations from the authors' code (guillaumeBellec/deep_rewiring): the gradient step is the protocol's optimizer with its
momentum and weight decay, not plain SGD; an active weight keeps the sign it was initialised with, so that runs of other
methods stay paired; new connections start at 0 and not at 1e-12; those that just died come back only where no other is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sparse_methods.method import Layer, Method

if TYPE_CHECKING:
    from sparse_methods.schedules import UpdateSchedule


@dataclass(frozen=True)
class DeepR(Method):
    """Drop what changed its sign, grow at random, after every step."""

    name, label = "deepr", "DeepR"
    citation, year, family = "bellec2018deepr", 2018, "sparse-to-sparse"
    dense_parts = ("signs, and who died in a step, of all positions: bits",)
    updates = "after_step"
    elementwise = True
    exempt = {"plain steps": "noise and an L1 drift are added to every step"}
    ignores = ("topology",)

    l1: float = 1e-5
    noise: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.l1 >= 0, "l1", "at least 0")
        self.require(self.noise >= 0, "noise", "at least 0")

    def start(self, layer: Layer) -> None:
        drawn = torch.where(layer.random() < 0.5, -1.0, 1.0).to(layer.weight)
        layer.state["sign"] = torch.where(layer.mask & (layer.weight != 0), layer.weight.sign(), drawn)
        layer.state["died"] = torch.zeros_like(layer.mask)

    def is_due(self, step: int, last_update: int, schedule: UpdateSchedule) -> bool:
        return True

    def drop_fraction(self, step: int, schedule: UpdateSchedule) -> float:
        return 0.0

    def after_step(self, layer: Layer) -> Tensor:
        walk = torch.zeros_like(layer.weight)
        walk[layer.mask] = self.noise * layer.normal(int(layer.mask.sum())) - self.l1
        theta = layer.state["sign"] * layer.weight + layer.learning_rate * walk
        layer.state["died"] = theta < 0
        return layer.state["sign"] * theta.clamp(min=0)

    def drop_score(self, layer: Layer) -> Tensor:
        """theta of every connection, below all others where it fell below zero in this step."""
        return torch.where(layer.state["died"], -1.0, layer.state["sign"] * layer.weight)

    def drop_count(self, layer: Layer, active: int, fraction: float) -> int:
        return int((layer.state["died"] & layer.mask).sum())

    def grow_score(self, layer: Layer) -> Tensor:
        return layer.random() - layer.mask.to(layer.weight.dtype)

    def peak_parameters(self, sparse: int, dense: int) -> int:
        """Signs, and who died, are held for every position; a bit each would do."""
        return 2 * sparse + 2 * dense

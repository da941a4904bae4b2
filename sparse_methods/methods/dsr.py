"""DSR: dynamic sparse reparameterization (Mostafa & Wang, ICML 2019, arXiv:1902.05967, Algorithm 1).

At each update all weights below one threshold H, the same in every layer, are dropped; as many are grown at random, shared
among the layers in proportion to their surviving weights, so that only the network's total stays. Then H doubles when fewer
than (1 - tolerance) of the intended number fell, and halves when more than (1 + tolerance) did.

Deviations: the intended number is the share ``dropped`` of all active weights (the authors set a count per experiment,
whatever the sparsity: 20,000 for WRN-28-2, which is 14 % of its active weights at 90 %); shares are rounded by largest
remainders, not by a random layer; positions just dropped may grow again, as everywhere in this suite; the cadence is the
protocol's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sparse_methods import topology
from sparse_methods.method import Layer, Method, Request

if TYPE_CHECKING:
    from sparse_methods.schedules import UpdateSchedule


@dataclass(frozen=True)
class DSR(Method):
    """Drop by an adaptive global threshold, grow at random where weights survive."""

    name, label = "dsr", "DSR"
    citation, year, family = "mostafa2019dsr", 2019, "sparse-to-sparse"
    updates = "after_step"
    cannot = ("a uniform distribution: weights move between layers",)
    exempt = {"layer counts": "weights move between layers, the total stays"}
    layers_are_free = True

    dropped: float = 0.14
    threshold: float = 1e-3
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 < self.dropped < 1, "dropped", "within (0, 1)")
        self.require(self.threshold > 0, "threshold", "above 0")
        self.require(0 <= self.tolerance < 1, "tolerance", "within [0, 1)")

    def skip(self, request: Request) -> str | None:
        return self.cannot[0] if request.distribution == "uniform" else None

    def start(self, layer: Layer) -> None:
        layer.state["threshold"] = torch.tensor(self.threshold, dtype=torch.float64)

    def drop_fraction(self, step: int, schedule: UpdateSchedule) -> float:
        return 0.0

    def drop_count(self, layer: Layer, active: int, fraction: float) -> int:
        """Never all: a layer without survivors would have no share in what is grown."""
        below = (layer.weight.abs() < layer.state["threshold"].item()) & layer.mask
        return min(int(below.sum()), max(active - 1, 0))

    def redistribute(self, layers: Sequence[Layer], wanted: Mapping[str, int]) -> dict[str, int]:
        survivors = [int(layer.mask.sum()) - wanted[layer.name] for layer in layers]
        room = [layer.mask.numel() - left for layer, left in zip(layers, survivors, strict=True)]
        fallen = sum(wanted.values())
        self._adapt(layers, fallen, self.dropped * (fallen + sum(survivors)))
        return dict(zip(wanted, topology.apportion(fallen, survivors, room), strict=True))

    def _adapt(self, layers: Sequence[Layer], fallen: int, intended: float) -> None:
        factor = 1.0
        if fallen < (1 - self.tolerance) * intended:
            factor = 2.0
        elif fallen > (1 + self.tolerance) * intended:
            factor = 0.5
        for layer in layers:
            layer.state["threshold"] *= factor

    def grow_score(self, layer: Layer) -> Tensor:
        return layer.random()

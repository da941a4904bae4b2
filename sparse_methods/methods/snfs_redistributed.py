"""SNFS with redistribution: sparse momentum as published (Dettmers & Zettlemoyer 2019, arXiv:1907.04840, section 3.2).

Each layer drops its smallest weights; all that were dropped are shared anew among the layers in proportion to the mean
momentum magnitude of their active weights before the update, and grown where the momentum is largest.

Deviations from the authors' code (TimDettmers/sparse_learning): momentum is the running mean of the dense gradient, as in
``snfs``, and not the optimizer's buffer; what a full layer cannot take is shared by the same proportions; new weights start
without optimizer momentum; nearly dense layers drop as others do, theirs less; the cadence and the drop fraction are the
protocol's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparse_methods import growth, topology
from sparse_methods.method import Layer, Request, TrainingCost
from sparse_methods.methods.snfs import SNFS


@dataclass(frozen=True)
class SNFSRedistributed(SNFS):
    """SNFS whose layers exchange weights."""

    name, label = "snfs_redistributed", "SNFS, redistributed"
    cannot = ("a uniform distribution: weights move between layers",)
    exempt = {"layer counts": "weights move between layers, the total stays"}
    layers_are_free = True

    def skip(self, request: Request) -> str | None:
        return self.cannot[0] if request.distribution == "uniform" else None

    def redistribute(self, layers: Sequence[Layer], wanted: Mapping[str, int]) -> dict[str, int]:
        active = [int(layer.mask.sum()) for layer in layers]
        sums = [float(growth.SCORES["momentum"](layer)[layer.mask].sum()) for layer in layers]
        shares = [total / max(count, 1) for total, count in zip(sums, active, strict=True)]
        room = [layer.mask.numel() - count + wanted[layer.name] for layer, count in zip(layers, active, strict=True)]
        return dict(zip(wanted, topology.apportion(sum(wanted.values()), shares, room), strict=True))

    def train_flops(self, cost: TrainingCost) -> None:
        """None: f_S follows where the weights went; a run's record has the sum."""

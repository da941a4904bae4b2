"""SNFS: sparse networks from scratch, grown by gradient momentum (Dettmers & Zettlemoyer 2019, arXiv:1907.04840).

e <- e + (1 - momentum) (g - e) over dense gradients, every step; grow the largest |e|. This is RigL's variant, without
the redistribution of weights among layers (``SparseMomentumOptimizer``, commit d39fc7d): e starts at 0, is not corrected
for it, and includes the current batch.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sparse_methods import growth
from sparse_methods.method import Layer, TrainingCost
from sparse_methods.methods.set import SET


@dataclass(frozen=True)
class SNFS(SET):
    """Drop by magnitude, grow by the running mean of the dense gradient."""

    name, label = "snfs", "SNFS"
    citation, year, family = "dettmers2019snfs", 2019, "sparse-to-sparse"
    dense_parts = ("gradient, at every step", "running mean of the gradient")

    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.momentum < 1, "momentum", "within [0, 1)")

    def needs_dense_gradient(self, step: int, update_due: bool) -> bool:
        return True

    def observe(self, layer: Layer) -> None:
        growth.remember(layer, self.momentum)

    def grow_score(self, layer: Layer) -> Tensor:
        return growth.SCORES["momentum"](layer)

    def train_flops(self, cost: TrainingCost) -> float:
        """2 f_S + f_D, Appendix H."""
        return 2 * cost.sparse + cost.dense

    def peak_parameters(self, sparse: int, dense: int) -> int:
        """Weights, the gradient, and its running mean."""
        return sparse + 2 * dense

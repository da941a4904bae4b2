"""RigL: SET, grown where the gradient is largest (Evci et al., ICML 2020, arXiv:1911.11134v3, Algorithm 1).

The update takes the place of a gradient step and scores inactive weights by |dL/dw| of its batch, so that the dense
gradient is needed once in (interval + 1) batches. Follows the authors' ``SparseRigLOptimizer`` (commit d39fc7d), except
that ties are broken by index and not by noise. Ablations are options; the decay of the drop fraction (Appendix G) is the
protocol's ``topology.decay``.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sparse_methods import growth
from sparse_methods.method import Layer, TrainingCost
from sparse_methods.methods.set import SET


@dataclass(frozen=True)
class RigL(SET):
    """Drop by magnitude, grow by gradient; ``growth`` and ``initial`` replace the score and the start of grown weights."""

    name, label = "rigl", "RigL"
    citation, year, family = "evci2020rigl", 2020, "sparse-to-sparse"
    dense_parts = ("gradient, at topology updates (momentum growth: always)",)
    updates = "instead_of_step"

    growth: Literal["gradient", "random", "momentum"] = "gradient"
    initial: Literal["zeros", "random", "gradient"] = "zeros"

    @property
    def elementwise(self) -> bool:
        return self.initial != "random"  # whose spread is that of the whole tensor

    def needs_dense_gradient(self, step: int, update_due: bool) -> bool:
        return self.growth == "momentum" or (update_due and "gradient" in (self.growth, self.initial))

    def observe(self, layer: Layer) -> None:
        if self.growth == "momentum":
            growth.remember(layer, momentum=0.9)

    def grow_score(self, layer: Layer) -> Tensor:
        return growth.SCORES[self.growth](layer)

    def grown_weight(self, layer: Layer) -> Tensor | None:
        return growth.STARTS[self.initial](layer)

    def train_flops(self, cost: TrainingCost) -> float:
        """(3 f_S dT + 2 f_S + f_D) / (dT + 1), Appendix H; the mean over the run's batches for other growth."""
        if self.growth != "gradient":
            return cost.replayed()
        interval = cost.schedule.update_every
        return (3 * cost.sparse * interval + 2 * cost.sparse + cost.dense) / (interval + 1)

    def peak_parameters(self, sparse: int, dense: int) -> int:
        if self.growth == "random" and self.initial != "gradient":
            return 2 * sparse
        return sparse + (2 if self.growth == "momentum" else 1) * dense

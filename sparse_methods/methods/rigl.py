"""RigL: SET, grown where the gradient is largest (Evci et al., ICML 2020, arXiv:1911.11134v3, Algorithm 1).

The update takes the place of a gradient step and scores inactive weights by |dL/dw| of its batch, so that the dense
gradient is needed once in (interval + 1) batches. Follows the authors' ``SparseRigLOptimizer`` (commit d39fc7d), except
that ties are broken by index and not by noise.
"""

from torch import Tensor

from sparse_methods.method import Layer, TrainingCost
from sparse_methods.methods.set import SET


class RigL(SET):
    """Drop by magnitude, grow by gradient."""

    name, label = "rigl", "RigL"
    citation, year, family = "evci2020rigl", 2020, "sparse-to-sparse"
    dense_parts = ("gradient, at topology updates",)
    updates = "instead_of_step"

    def needs_dense_gradient(self, step: int, update_due: bool) -> bool:
        return update_due

    def grow_score(self, layer: Layer) -> Tensor:
        return layer.gradient.abs()

    def train_flops(self, cost: TrainingCost) -> float:
        """(3 f_S dT + 2 f_S + f_D) / (dT + 1), Appendix H."""
        interval = cost.schedule.update_every
        return (3 * cost.sparse * interval + 2 * cost.sparse + cost.dense) / (interval + 1)

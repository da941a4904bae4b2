"""GraNet: gradual pruning with zero-cost neuroregeneration (Liu et al., NeurIPS 2021, arXiv:2106.10404, section 3.2).

Gradual magnitude pruning from an already sparse network along the cubic s(t); at every update the share ``regenerated`` of
what is left, annealed by a cosine over the whole run, is dropped by magnitude and regrown where the gradient of the same
batch is largest. Pruning ends at the protocol's ``end``, regeneration with the run.

Deviations from the authors' code (VITA-Group/GraNet): ``ranking: layer`` by default, theirs is ``global``; a layer whose
requested sparsity is below ``initial_sparsity`` starts at its own; the cosine ends at 0, theirs at 1 % of its start; a weight
that is pruned and regrown in one update keeps its value.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sparse_methods.method import Layer, TrainingCost
from sparse_methods.methods.pruning import Pruning
from sparse_methods.schedules import UpdateSchedule, explored_to_the_end


@dataclass(frozen=True)
class GraNet(Pruning):
    """Pruning with regrowth; ``initial_sparsity: 0`` is the paper's dense-to-sparse GraNet."""

    name, label = "granet", "GraNet"
    citation, year, family = "liu2021granet", 2021, "sparse-to-sparse"
    dense_parts = ("gradient, at topology updates", "weights, at a lower sparsity until pruned")
    starts = "random"

    initial_sparsity: float = 0.5
    regenerated: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.regenerated <= 1, "regenerated", "within [0, 1]")

    def first_sparsity(self, final: float) -> float:
        return min(self.initial_sparsity, final)

    def is_due(self, step: int, last_update: int, schedule: UpdateSchedule) -> bool:
        return schedule.on_grid(step) or step == schedule.end

    def drop_fraction(self, step: int, schedule: UpdateSchedule) -> float:
        return explored_to_the_end(schedule, self.regenerated).drop_fraction_at(step)

    def needs_dense_gradient(self, step: int, update_due: bool) -> bool:
        return update_due

    def grow_score(self, layer: Layer) -> Tensor:
        return layer.gradient.abs()

    def train_flops(self, cost: TrainingCost) -> float | None:
        """Mean over the run's batches of 3 f_S(t), or of 2 f_S(t) + f_D at updates."""
        return super().train_flops(cost)

    def peak_parameters(self, sparse: int, dense: int) -> int:
        """Weights at the initial sparsity and the dense gradient of the first update."""
        return max(sparse, dense - int(self.initial_sparsity * dense)) + dense

"""Gradual magnitude pruning (Zhu & Gupta 2018, arXiv:1710.01878).

s(t) = s_f + (s_i - s_f) (1 - (t - begin) / (end - begin))^3: from dense to the target along a cubic, removing the
smallest magnitudes; what is pruned stays pruned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sparse_methods.method import Method, TrainingCost

if TYPE_CHECKING:
    from sparse_methods.schedules import UpdateSchedule


@dataclass(frozen=True)
class Pruning(Method):
    """Prunes after the gradient step; reaches the target exactly at ``end``."""

    name, label = "pruning", "Pruning"
    citation, year, family = "zhu2018prune", 2018, "dense-to-sparse"
    dense_parts = ("weights and gradient, until pruned",)
    starts = "dense"
    updates = "after_step"
    elementwise = True

    initial_sparsity: float = 0.0
    ranking: Literal["layer", "global"] = "layer"
    """global: the smallest weights of the network, as in the MLRC report, so that layers share the zeros freely."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.initial_sparsity < 1, "initial_sparsity", "within [0, 1)")

    @property
    def layers_are_free(self) -> bool:
        return self.ranking == "global"

    def is_due(self, step: int, last_update: int, schedule: UpdateSchedule) -> bool:
        return schedule.on_pruning_grid(step)

    def drop_fraction(self, step: int, schedule: UpdateSchedule) -> float:
        return 0.0

    def sparsity_at(self, step: int, final: float, schedule: UpdateSchedule) -> float:
        return schedule.cubic_sparsity(step, min(self.initial_sparsity, final), final)

    def train_flops(self, cost: TrainingCost) -> float | None:
        """Mean over the steps of 3 f_S(t): Appendix H's E_t[3 f_D (1 - s_t)], with the unmasked layers counted."""
        return None if self.layers_are_free else cost.replayed()

    def peak_parameters(self, sparse: int, dense: int) -> int:
        return 2 * dense

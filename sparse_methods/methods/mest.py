"""MEST: memory-economic sparse training by elastic mutation (Yuan et al., NeurIPS 2021, arXiv:2110.14032, section 3).

Importance is |w| + gradient_weight * |g| over active weights; the least important mutate: they are dropped, and random
positions grown. The mutated share falls by stages: whole for three quarters of the update period, then half, and none at
its end. ``bound: hard`` (EM) mutates within the target's count. ``bound: soft`` (EM&S) trains with the grown weights on top:
each update prunes to the target and then grows above it; the last one only prunes.

Defaults are those of the authors' scripts at 90 % (boone891214/MEST): gradient_weight 0, in none of them set; mutated shares
of 20 % (hard) and 50 % (soft) of the target's weights. Their stages end at epochs 90 and 120 of 160.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from sparse_methods import topology
from sparse_methods.method import Layer, TrainingCost
from sparse_methods.methods.set import SET

if TYPE_CHECKING:
    from sparse_methods.schedules import UpdateSchedule


@dataclass(frozen=True)
class MEST(SET):
    """Random growth with elastic mutation; ``mutated`` None is the authors' share for the bound."""

    name, label = "mest", "MEST"
    citation, year, family = "yuan2021mest", 2021, "sparse-to-sparse"

    bound: Literal["hard", "soft"] = "soft"
    mutated: float | None = None
    gradient_weight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.mutated is None or 0 <= self.mutated <= 1, "mutated", "within [0, 1]")
        self.require(self.gradient_weight >= 0, "gradient_weight", "at least 0")

    @property
    def _share(self) -> float:
        return {"hard": 0.2, "soft": 0.5}[self.bound] if self.mutated is None else self.mutated

    @property
    def elementwise(self) -> bool:
        return self.bound == "hard"  # soft bounds count what a layer could hold

    def first_sparsity(self, final: float) -> float:
        return self._above(final, self._share)

    def is_due(self, step: int, last_update: int, schedule: UpdateSchedule) -> bool:
        return schedule.on_pruning_grid(step)

    def sparsity_at(self, step: int, final: float, schedule: UpdateSchedule) -> float:
        return self._above(final, self.drop_fraction(step, schedule))

    def drop_fraction(self, step: int, schedule: UpdateSchedule) -> float:
        """The mutated share of the target's weights at this stage."""
        schedule.require_reached("MEST")
        progress = (step - schedule.begin) / schedule.span
        return self._share * (1.0 if progress < 0.75 else 0.5 if progress < 1 else 0.0)

    def drop_count(self, layer: Layer, active: int, fraction: float) -> int:
        """Hard: the share of what is active. Soft: what is above the target."""
        if self.bound == "hard":
            return topology.drop_count(active, fraction)
        return active - (layer.mask.numel() - topology.zero_count(layer.sparsity, layer.mask.numel()))

    def drop_score(self, layer: Layer) -> Tensor:
        """The gradient is that of the batch, masked: inactive weights have none."""
        return layer.weight.abs() + self.gradient_weight * layer.gradient.abs()

    def train_flops(self, cost: TrainingCost) -> float:
        """Mean of 3 f_S(t) over the run: above the target by what soft bounds add."""
        return cost.replayed()

    def peak_parameters(self, sparse: int, dense: int) -> int:
        return 2 * (sparse if self.bound == "hard" else min(dense, int(sparse * (1 + self._share)) + 1))

    def _above(self, final: float, share: float) -> float:
        return max(0.0, final - share * (1 - final)) if self.bound == "soft" else final

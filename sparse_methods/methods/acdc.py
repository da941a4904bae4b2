"""AC/DC: alternating compressed and decompressed training (Peste et al., NeurIPS 2021, arXiv:2106.12379, Algorithm 1).

After a dense warm-up (the protocol's ``begin``) phases of one update interval alternate: compressed, in which the largest
magnitudes alone are trained under a fixed mask, and decompressed, in which all are; pruned weights come back at zero. From
``end`` on the network stays compressed.

Deviations from the authors' code (IST-DASLab/ACDC): ``ranking: layer`` by default, theirs is ``global``; only the momentum
of the weights that come back is zero after decompression, theirs is reset for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from sparse_methods.method import Layer, Method, TrainingCost

if TYPE_CHECKING:
    from sparse_methods.schedules import UpdateSchedule


@dataclass(frozen=True)
class ACDC(Method):
    """Prune to the target, grow back to dense, and again."""

    name, label = "acdc", "AC/DC"
    citation, year, family = "peste2021acdc", 2021, "dense-to-sparse"
    dense_parts = ("weights and gradient, in decompressed phases",)
    starts = "dense"
    updates = "after_step"

    ranking: Literal["layer", "global"] = "layer"

    @property
    def layers_are_free(self) -> bool:
        return self.ranking == "global"

    def is_due(self, step: int, last_update: int, schedule: UpdateSchedule) -> bool:
        # Updates follow a step, so that without a warm-up the first one falls at step 1.
        return schedule.on_pruning_grid(step) or step == max(schedule.begin, 1)

    def drop_fraction(self, step: int, schedule: UpdateSchedule) -> float:
        return 0.0

    def sparsity_at(self, step: int, final: float, schedule: UpdateSchedule) -> float:
        schedule.require_reached("AC/DC")
        phase = (step - schedule.begin) // schedule.update_every
        return final if phase % 2 == 0 or step == schedule.end else 0.0

    def grow_score(self, layer: Layer) -> Tensor:
        """All come back, whatever their score."""
        return layer.mask.to(layer.weight.dtype)

    def train_flops(self, cost: TrainingCost) -> float | None:
        """Mean of 3 f_S(t) over the run, f_S = f_D in decompressed phases."""
        return None if self.layers_are_free else cost.replayed()

    def peak_parameters(self, sparse: int, dense: int) -> int:
        return 2 * dense

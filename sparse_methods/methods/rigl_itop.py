"""RigL-ITOP: RigL explored in time (Liu, Yin, Mocanu & Pechenizkiy, ICML 2021, arXiv:2102.02887, section 4).

What counts is how many weights were ever active, R_s (``explored`` in the record); so topology moves to the end of training
and drops half of the weights at first. The paper pairs this with long intervals (4,000 steps on CIFAR), which the protocol
sets. As in the authors' code an update follows the gradient step.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparse_methods.method import TrainingCost
from sparse_methods.methods.rigl import RigL
from sparse_methods.schedules import UpdateSchedule, explored_to_the_end


@dataclass(frozen=True)
class RigLITOP(RigL):
    """RigL with ITOP's exploration schedule; the protocol's ``end``, drop fraction and decay have no say."""

    name, label = "rigl_itop", "RigL-ITOP"
    citation, year = "liu2021itop", 2021
    updates = "after_step"

    drop: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.drop <= 1, "drop", "within [0, 1]")

    def is_due(self, step: int, last_update: int, schedule: UpdateSchedule) -> bool:
        return explored_to_the_end(schedule, self.drop).is_due(step, last_update)

    def drop_fraction(self, step: int, schedule: UpdateSchedule) -> float:
        return explored_to_the_end(schedule, self.drop).drop_fraction_at(step)

    def train_flops(self, cost: TrainingCost) -> float:
        """Mean over the run's batches of 3 f_S, or 2 f_S + f_D once an interval."""
        return cost.replayed()

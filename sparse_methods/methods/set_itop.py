"""SET-ITOP: SET explored in time (Liu, Yin, Mocanu & Pechenizkiy, ICML 2021, arXiv:2102.02887, section 4).

SET with the exploration schedule of ``rigl_itop``; the paper's interval is 1,500 steps on CIFAR.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparse_methods.methods.set import SET
from sparse_methods.schedules import UpdateSchedule, explored_to_the_end


@dataclass(frozen=True)
class SETITOP(SET):
    """SET with ITOP's exploration schedule; the protocol's ``end``, drop fraction and decay have no say."""

    name, label = "set_itop", "SET-ITOP"
    citation, year = "liu2021itop", 2021

    drop: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.drop <= 1, "drop", "within [0, 1]")

    def is_due(self, step: int, last_update: int, schedule: UpdateSchedule) -> bool:
        return schedule.is_over(step, last_update)

    def drop_fraction(self, step: int, schedule: UpdateSchedule) -> float:
        return explored_to_the_end(schedule, self.drop).drop_fraction_at(step)

"""RigL-ITOP: RigL explored in time (Liu, Yin, Mocanu & Pechenizkiy, ICML 2021, arXiv:2102.02887, section 4).

What counts is how many weights were ever active, R_s (``explored`` in the record); so topology moves to the end of training
and drops half of the weights at first. The paper pairs this with long intervals (4,000 steps on CIFAR), which the protocol
sets. As in the authors' code an update follows the gradient step; deviations: the first one falls at the first step, theirs
after an interval, and the cosine ends at 0, theirs at 1 % of its start.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparse_methods.method import TrainingCost
from sparse_methods.methods.rigl import RigL
from sparse_methods.methods.set_itop import SETITOP


@dataclass(frozen=True)
class RigLITOP(SETITOP, RigL):
    """RigL with ITOP's exploration schedule; the protocol's ``end``, drop fraction and decay have no say."""

    name, label = "rigl_itop", "RigL-ITOP"
    citation, year = "liu2021itop", 2021
    updates = "after_step"

    def train_flops(self, cost: TrainingCost) -> float:
        """Mean over the run's batches of 3 f_S, or 2 f_S + f_D once an interval."""
        return cost.replayed()

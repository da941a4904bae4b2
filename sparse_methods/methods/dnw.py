"""DNW: discovering neural wirings (Wortsman, Farhadi & Rastegari, NeurIPS 2019, arXiv:1906.00586).

All weights are kept; the network computes with the largest magnitudes of each layer, chosen anew after every step, and the
gradient of what it computes with goes straight through to all of them. As in RigL's comparison (``SparseDNWOptimizer``,
commit d39fc7d), which ranks per layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparse_methods.method import Method, TrainingCost

if TYPE_CHECKING:
    from sparse_methods.schedules import UpdateSchedule


class DNW(Method):
    """The largest dense parameters, after every step."""

    name, label = "dnw", "DNW"
    citation, year, family = "wortsman2019dnw", 2019, "dense-to-sparse"
    dense_parts = ("weights and their optimizer state", "gradient, at every step")
    parameters = "dense"
    starts = "magnitude"
    updates = "after_step"
    exempt = {
        "zero state": "inactive weights are trained too",
        "plain steps": "the step is taken by the dense parameters",
    }
    ignores = ("topology",)

    def is_due(self, step: int, last_update: int, schedule: UpdateSchedule) -> bool:
        return True

    def needs_dense_gradient(self, step: int, update_due: bool) -> bool:
        return True

    def train_flops(self, cost: TrainingCost) -> float:
        """2 f_S + f_D: forward and the gradient of activations through active weights, the gradient of all weights."""
        return 2 * cost.sparse + cost.dense

    def peak_parameters(self, sparse: int, dense: int) -> int:
        return sparse + 2 * dense

"""SNIP: single-shot network pruning by connection sensitivity (Lee, Ajanthan & Torr, ICLR 2019).

Equation 5 of the paper: keep the largest |g * w| of one batch, g the gradient of the loss at the dense initial network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sparse_methods.method import Layer, Method


@dataclass(frozen=True)
class SNIP(Method):
    """Scored on the first batch, before step 0; then frozen.

    Follows RigL's code (``SparseSnipOptimizer``, commit d39fc7d): g includes the L2 term, and each layer keeps its own
    count. SNIP's paper ranks all layers together: ``ranking: global``.
    """

    name, label = "snip", "SNIP"
    citation, year, family = "lee2019snip", 2019, "one-shot"
    dense_parts = ("weights and gradient, for the first batch",)
    starts = "first_batch"

    ranking: Literal["layer", "global"] = "layer"

    def initialize(self, layer: Layer) -> Tensor:
        total_gradient = layer.gradient + layer.weight_decay * layer.weight
        return (total_gradient * layer.weight).abs()

    @property
    def layers_are_free(self) -> bool:
        return self.ranking == "global"

    def peak_parameters(self, sparse: int, dense: int) -> int:
        return 2 * dense

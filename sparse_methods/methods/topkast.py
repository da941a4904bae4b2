"""Top-KAST: top-k always sparse training (Jayakumar et al., NeurIPS 2020, arXiv:2106.03517, sections 2.1-2.3).

The network computes with A, the largest weights of each layer; gradients reach B, a larger set of largest weights; what is
outside B keeps its value until it is inside again. The exploration loss pulls B \\ A to zero more strongly than A, by 1/D,
D the share of weights in A: here the protocol's L2 coefficient lambda gives lambda * w on A and lambda * w / D on B \\ A.

Deviations: both sets are chosen anew after every step (the paper finds no difference to every 100); weights that leave B
lose their optimizer state; there is no final phase that trains A alone. Decoupled decay (AdamW) is no part of the loss, so
that there is no exploration loss then.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_methods import topology
from sparse_methods.method import Layer, TrainingCost
from sparse_methods.methods.dnw import DNW


@dataclass(frozen=True)
class TopKAST(DNW):
    """``backward_ratio`` is the size of B over that of A; the paper's 80 % goes with 2.5, its 90 % and 95 % with 2."""

    name, label = "topkast", "Top-KAST"
    citation, year, family = "jayakumar2020topkast", 2020, "sparse-to-sparse"
    dense_parts = ("weights, though only the backward set is read and written in a step",)

    backward_ratio: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.backward_ratio >= 1, "backward_ratio", "at least 1")

    def needs_dense_gradient(self, step: int, update_due: bool) -> bool:
        return False

    def trainable(self, layer: Layer) -> Tensor:
        """B: chosen with A, of which it is a superset because ties are broken alike."""
        return layer.state["backward"]

    def active(self, layer: Layer, count: int) -> Tensor:
        larger = min(int(self.backward_ratio * count), layer.mask.numel())
        layer.state["backward"] = topology.largest(layer.dense.abs(), larger, among=torch.ones_like(layer.mask))
        return super().active(layer, count)

    def parameter_gradient(self, layer: Layer) -> Tensor:
        share = layer.mask.to(layer.dense.dtype).mean()
        outer = layer.dense * ~layer.mask * (layer.weight_decay * (1 / share - 1))
        # The optimizer adds lambda * w to what it is given, everywhere.
        return layer.gradient + outer

    def train_flops(self, cost: TrainingCost) -> float:
        """2 f_A + f_B: forward and the gradient of activations through A, the gradient of the weights in B."""
        return 2 * cost.sparse + cost.at(lambda sparsity: max(0.0, 1 - self.backward_ratio * (1 - sparsity)))

    def peak_parameters(self, sparse: int, dense: int) -> int:
        """The dense weights, A, the gradient of B, and a mask of B that this implementation keeps."""
        return 2 * dense + sparse + min(int(self.backward_ratio * sparse), dense)

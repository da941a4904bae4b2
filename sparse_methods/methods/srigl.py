"""SRigL: structured RigL with constant fan-in (Lasby et al., ICLR 2024, arXiv:2305.02299, section 3.1).

All active neurons of a layer have the same number of weights, its fan-in k. An update finds K weights to drop and as many to
grow as RigL does, and calls both the kept ones and the K largest gradients salient; neurons with fewer than
``ablation`` * k salient weights are ablated; the layer's budget is then shared equally among the remaining ones: the K
smallest weights are dropped, and each neuron grows by gradient up to the new fan-in.

As in the authors' code (calgaryml/condensed-sparsity) fan-ins are rounded down from the layer's budget, an ablated neuron
may come back by its gradients, and the last layer keeps all its neurons. Deviations: the threshold is relative to the sparse
fan-in, as the paper says (their default is the dense one); a neuron with more than k kept weights keeps its largest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_methods import topology
from sparse_methods.method import Layer, Request
from sparse_methods.methods.rigl import RigL


@dataclass(frozen=True)
class SRigL(RigL):
    """RigL whose neurons have equal fan-in; ``ablation: 0`` keeps every neuron."""

    name, label = "srigl", "SRigL"
    citation, year = "lasby2024srigl", 2024
    cannot = ("fewer weights in a layer than it has neurons", "masks from elsewhere")
    exempt = {
        "layer counts": "fan-ins are whole: a layer holds fewer weights than asked for, by less than one a neuron",
        "total count": "fan-ins are whole, in every layer",
    }

    elementwise = False

    ablation: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.ablation <= 1, "ablation", "within [0, 1]")

    def skip(self, request: Request) -> str | None:
        if request.masks_given:
            return "masks from elsewhere have no constant fan-in"
        for name, sparsity in request.sparsities.items():
            neurons, weights = request.shapes[name][0], math.prod(request.shapes[name])
            left = weights - topology.zero_count(sparsity, weights)
            if left < neurons:
                return f"{name} would have {left} weights for {neurons} neurons"
        return None

    def random_mask(self, shape: tuple[int, ...], zeros: int, generator: torch.Generator) -> Tensor:
        fan_in = (math.prod(shape) - zeros) // shape[0]
        counts = torch.full((shape[0],), fan_in)
        return topology.largest_per_row(
            torch.rand(shape, generator=generator), counts, torch.ones(shape, dtype=torch.bool)
        )

    def start(self, layer: Layer) -> None:
        layer.state["neurons"] = layer.mask.flatten(1).any(dim=1)

    def keep(self, layer: Layer, score: Tensor, count: int) -> Tensor:
        """The ``count`` largest weights of the neurons that are not ablated, and no more of each than its new fan-in."""
        grown = int(layer.mask.sum()) - count
        gradients = topology.checked(self.grow_score(layer), layer.name)
        largest_gradients = topology.largest(gradients, grown, among=torch.ones_like(layer.mask))
        salient = largest_gradients | topology.largest(score, count, among=layer.mask)
        if self.ablation > 0 and not layer.is_last:
            layer.state["neurons"] = self._salient_neurons(layer, salient.flatten(1).sum(dim=1))
        fan_ins = self._fan_ins(layer)
        remaining = layer.mask & (fan_ins > 0).view(-1, *[1] * (score.ndim - 1))
        kept = topology.largest(score, min(count, int(remaining.sum())), among=remaining)
        return topology.largest_per_row(score, fan_ins, kept)

    def grow(self, layer: Layer, kept: Tensor, score: Tensor, count: int) -> Tensor:
        """Every remaining neuron grows up to the fan-in, whatever ``count`` the rounding leaves over."""
        missing = self._fan_ins(layer) - kept.flatten(1).sum(dim=1)
        return kept | topology.largest_per_row(score, missing, ~kept)

    def _salient_neurons(self, layer: Layer, salient: Tensor) -> Tensor:
        """Those with enough salient weights, and at least as many as can hold the layer's budget."""
        fan_in = int(layer.mask.flatten(1).sum(dim=1).max())
        threshold = max(1, int(self.ablation * fan_in))
        needed = math.ceil(_budget(layer) / (layer.mask.numel() // len(salient)))
        return salient >= min(threshold, int(salient.sort(descending=True).values[needed - 1]))

    def _fan_ins(self, layer: Layer) -> Tensor:
        """The layer's budget shared equally among its neurons; 0 for ablated ones."""
        neurons = layer.state["neurons"]
        return neurons * (_budget(layer) // int(neurons.sum()))


def _budget(layer: Layer) -> int:
    return layer.mask.numel() - topology.zero_count(layer.sparsity, layer.mask.numel())

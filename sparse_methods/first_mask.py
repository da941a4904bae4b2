"""First masks that are chosen by scores: SNIP, GraSP, SynFlow on a first batch, a lottery ticket from a finished run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sparse_methods import agreement, topology
from sparse_methods.method import Batch, CannotError, Layer, Method


@torch.no_grad()
def choose(method: Method, layers: Mapping[str, Layer], batch: Batch | None = None) -> None:
    """Give every layer the mask that the method's scores choose, in ``method.rounds`` rounds.

    Layers of a masked batch see only what earlier rounds left: their weights are zeroed along the way. Raises CannotError
    when layers that are ranked together leave one of them without a weight, NonFiniteScoreError for a score that is NaN.
    """
    probes = batch is not None and type(method).probe is not Method.probe
    for number in range(1, method.rounds + 1):
        if probes:
            with torch.enable_grad():
                method.probe(list(layers.values()), batch)
        scores = {name: method.initialize(layer) for name, layer in layers.items()}
        if probes:
            # No passes that are averaged over ranks: kernels of a GPU give each its own last bits, and other masks.
            scores = {name: agreement.from_first(score) for name, score in scores.items()}
        scores = {name: topology.checked(score, name) for name, score in scores.items()}
        keep = {name: _keep(layer, number / method.rounds) for name, layer in layers.items()}
        among = {name: layer.mask for name, layer in layers.items()}
        if method.layers_are_free:
            masks = topology.largest_of_all(scores, sum(keep.values()), among)
            refuse_emptied(masks, keep)
        else:
            masks = {name: topology.largest(scores[name], keep[name], among[name]) for name in layers}
        for name, layer in layers.items():
            layer.mask = masks[name]
            layer.weight.mul_(masks[name])


def _keep(layer: Layer, progress: float) -> int:
    sparsity = layer.sparsity if progress == 1 else 1 - (1 - layer.sparsity) ** progress
    return layer.mask.numel() - topology.zero_count(sparsity, layer.mask.numel())


def refuse_emptied(masks: Mapping[str, Tensor], asked: Mapping[str, int]) -> None:
    """Raise CannotError for layers that should have weights and have none."""
    emptied = [name for name, mask in masks.items() if asked[name] and not mask.any()]
    if emptied:
        raise CannotError(f"ranking all layers together leaves {', '.join(emptied)} without a weight")

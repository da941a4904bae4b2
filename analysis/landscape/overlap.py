"""How alike masks are, how much of a layer was tried, how fast topology moves, and which inputs it reads.

Masks are boolean tensors by layer name, as runs leave them; two sets of masks that are compared have the same layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import hypergeom
from torch import Tensor

Masks = Mapping[str, Tensor]


@dataclass(frozen=True)
class Overlap:
    """Two masks of one layer, or of a whole network."""

    weights: int
    first: int
    """Active in the first mask."""
    second: int
    both: int
    jaccard: float
    """Active in both over active in either; not a number where nothing is active."""
    chance: float
    """The Jaccard overlap expected of two random masks of the same counts."""


def overlap(first: Masks, second: Masks) -> tuple[dict[str, Overlap], Overlap]:
    """Every layer's overlap, and the network's. Raises ValueError for other layers or shapes.

    A layer's ``chance`` is exact. The network's is the expected intersection over the expected union, layers being drawn each
    for itself: the mean of a ratio by the ratio of means, which is off by less than one part in the active weights of both.
    """
    _require_same_layers(first, second)
    layers = {name: _of_layer(first[name], second[name]) for name in first}
    weights, ours, theirs, both = (
        sum(getattr(layer, field) for layer in layers.values()) for field in ("weights", "first", "second", "both")
    )
    expected = sum(layer.first * layer.second / layer.weights for layer in layers.values())
    chance = _ratio(expected, ours + theirs - expected)
    return layers, Overlap(weights, ours, theirs, both, _ratio(both, ours + theirs - both), chance)


def chance_jaccard(weights: int, first: int, second: int) -> float:
    """Expected Jaccard overlap of two random masks of ``weights`` weights with these numbers of active ones.

    The intersection of random masks is hypergeometric; this is the mean of x / (first + second - x) over it, a finite sum.
    """
    if first + second == 0:
        return np.nan
    x = np.arange(max(0, first + second - weights), min(first, second) + 1)
    chances = np.exp(
        hypergeom.logpmf(x, weights, first, second)
    )  # by beta functions; pmf factorises, a hundred times slower
    return float((chances * x / (first + second - x)).sum())


def explored(masks: Sequence[Masks]) -> tuple[dict[str, float], float]:
    """The share of each layer's weights, and of all, that was active in at least one of ``masks``."""
    for later in masks[1:]:
        _require_same_layers(masks[0], later)
    ever = {name: torch.stack([mask[name] for mask in masks]).any(0) for name in masks[0]}
    total = sum(int(tried.sum()) for tried in ever.values()) / sum(tried.numel() for tried in ever.values())
    return {name: int(tried.sum()) / tried.numel() for name, tried in ever.items()}, total


def churn(before: Masks, after: Masks) -> tuple[dict[str, float], float]:
    """The share of the weights active in ``after`` that were not in ``before``, by layer and in all; 0 where none is."""
    _require_same_layers(before, after)
    new = {name: int((after[name] & ~before[name]).sum()) for name in after}
    active = {name: int(mask.sum()) for name, mask in after.items()}
    layers = {name: new[name] / max(1, active[name]) for name in after}
    return layers, sum(new.values()) / max(1, sum(active.values()))


def distance(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> tuple[dict[str, float], float]:
    """Euclidean distance between tensors of the same names, each and all together. Raises ValueError for other names."""
    _require_same_layers(first, second)
    parts = {name: float(torch.linalg.vector_norm(second[name].double() - first[name].double())) for name in first}
    return parts, float(np.linalg.norm(list(parts.values())))


def input_degrees(mask: Tensor, input_shape: Sequence[int]) -> Tensor:
    """Active weights that read each input, int64 of ``input_shape``, from the mask [out, in] of a layer that sees the
    flattened sample. Raises ValueError where the layer has another number of inputs."""
    degrees = mask.sum(0)
    if mask.ndim != 2 or degrees.numel() != int(np.prod(input_shape)):
        raise ValueError(f"a mask of shape {list(mask.shape)} does not read samples of shape {list(input_shape)}")
    return degrees.view(tuple(input_shape))


def _of_layer(first: Tensor, second: Tensor) -> Overlap:
    ours, theirs, both = (int(mask.sum()) for mask in (first, second, first & second))
    chance = chance_jaccard(first.numel(), ours, theirs)
    return Overlap(first.numel(), ours, theirs, both, _ratio(both, ours + theirs - both), chance)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else np.nan


def _require_same_layers(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
    ours, theirs = ({name: tuple(tensor.shape) for name, tensor in tensors.items()} for tensors in (first, second))
    if ours != theirs:
        raise ValueError(f"these are not of one network: {ours} and {theirs}")

"""Exact-k selection on tensors: random masks, the largest scores, shares of a total.

Pure functions. Masks are boolean, True where a weight is active. Ties go to the lowest row-major index, so a mask is a
function of the scores alone and not of the device or of a sorting algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor


class NonFiniteScoreError(ArithmeticError):
    """A score is NaN: training has diverged, and no topology can be chosen from it."""


def checked(score: Tensor, layer: str) -> Tensor:
    """``score``; raises NonFiniteScoreError that names the layer when it holds a NaN."""
    if bool(score.isnan().any()):
        raise NonFiniteScoreError(f"a score of layer {layer!r} is NaN: training has diverged")
    return score


def zero_count(sparsity: float, weights: int) -> int:
    """Zeros of a layer: floor(sparsity * weights) in float64, as the authors' ``get_mask_random`` counts."""
    return math.floor(sparsity * weights)


def sparsity_of(zeros: int, weights: int) -> float:
    """A sparsity of which ``zero_count`` makes ``zeros`` again, whatever the rounding of ``zeros / weights``."""
    sparsity = zeros / weights
    return sparsity if zero_count(sparsity, weights) == zeros else math.nextafter(sparsity, 1.0)


def drop_count(active: int, fraction: float) -> int:
    """Weights that an update drops: trunc(float32(active) * float32(fraction)), the authors' arithmetic."""
    return int(np.float32(active) * np.float32(fraction))


def random_mask(shape: torch.Size | tuple[int, ...], zeros: int, generator: torch.Generator) -> Tensor:
    """A mask of ``shape`` with exactly ``zeros`` zeros at uniformly random positions, drawn on the CPU."""
    mask = torch.ones(math.prod(shape), dtype=torch.bool)
    mask[torch.randperm(mask.numel(), generator=generator)[:zeros]] = False
    return mask.view(tuple(shape))


def largest(score: Tensor, count: int, among: Tensor) -> Tensor:
    """The ``count`` largest scores among the True positions of ``among``, as a mask of the same shape.

    Raises ValueError when there are fewer candidates than ``count``.
    """
    candidates = among.flatten().nonzero().squeeze(1)
    if count > candidates.numel():
        raise ValueError(f"cannot select {count} of {candidates.numel()} candidates")
    chosen = torch.zeros(among.numel(), dtype=torch.bool, device=among.device)
    if count > 0:
        values = score.flatten()[candidates]
        threshold = values.topk(count, sorted=False).values.min()
        above = values > threshold
        # `candidates` ascends, so the first of the tied ones are those of the lowest row-major index.
        tied = (values == threshold).nonzero().squeeze(1)[: count - int(above.sum())]
        chosen[candidates[above]] = True
        chosen[candidates[tied]] = True
    return chosen.view(among.shape)


def largest_of_all(scores: Mapping[str, Tensor], count: int, among: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The ``count`` largest scores of several tensors ranked together, as a mask for each."""
    flat = torch.cat([score.flatten() for score in scores.values()])
    chosen = largest(flat, count, torch.cat([among[name].flatten() for name in scores]))
    parts = chosen.split([score.numel() for score in scores.values()])
    return {name: part.view(scores[name].shape) for name, part in zip(scores, parts, strict=True)}


def largest_per_row(score: Tensor, counts: Tensor, among: Tensor) -> Tensor:
    """In row i, all that leads to neuron i, the ``counts[i]`` largest scores among the True positions, as a mask."""
    candidates = among.flatten(1)
    ordered = score.flatten(1).masked_fill(~candidates, -math.inf).argsort(dim=1, descending=True, stable=True)
    ranks = torch.arange(ordered.shape[1], device=ordered.device).expand_as(ordered)
    rank = torch.empty_like(ordered).scatter_(1, ordered, ranks)
    return ((rank < counts.unsqueeze(1)) & candidates).view(among.shape)


def apportion(total: int, shares: Sequence[float], capacities: Sequence[int]) -> list[int]:
    """``total`` as whole numbers in proportion to ``shares``, none above its capacity; what does not fit is shared anew.

    Largest remainders round up, the lowest index first among equals, in exact arithmetic. Where all shares that are left
    are 0, room is filled in proportion to the capacities. Raises ValueError when the capacities are too small,
    NonFiniteScoreError for a share that is not a finite number.
    """
    if total > sum(capacities):
        raise ValueError(f"cannot place {total} in capacities that sum to {sum(capacities)}")
    if not all(map(math.isfinite, shares)):
        raise NonFiniteScoreError(f"shares are {list(shares)}: training has diverged")
    full: set[int] = set()
    while True:
        left = total - sum(capacities[i] for i in full)
        weights = {i: Fraction(share) for i, share in enumerate(shares) if i not in full}
        if not any(weights.values()):
            weights = {i: Fraction(capacities[i]) for i in weights}
        whole = sum(weights.values()) or 1
        exact = {i: left * weight / whole for i, weight in weights.items()}
        over = [i for i in exact if exact[i] > capacities[i]]
        if not over:
            break
        full.update(over)
    given = [capacities[i] if i in full else math.floor(exact[i]) for i in range(len(shares))]
    for i in sorted(exact, key=lambda i: (given[i] - exact[i], i))[: total - sum(given)]:
        given[i] += 1
    return given

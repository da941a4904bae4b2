"""Exact-k selection on tensors: random masks, the largest scores, one drop-and-grow.

Pure functions. Masks are boolean, True where a weight is active. Ties go to the lowest row-major index, so a mask is a
function of the scores alone and not of the device or of a sorting algorithm.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def zero_count(sparsity: float, weights: int) -> int:
    """Zeros of a layer: floor(sparsity * weights) in float64, as the authors' ``get_mask_random`` counts."""
    return math.floor(sparsity * weights)


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


def drop_and_grow(mask: Tensor, drop_score: Tensor, grow_score: Tensor, count: int) -> Tensor:
    """The mask after one topology update of ``count`` weights; as many are active as before.

    Keeps the active weights of the largest ``drop_score`` and grows the ``count`` largest ``grow_score`` among all
    others, the just-dropped included (RigL, Algorithm 1; authors' ``sparse_optimizers_base.py``).
    """
    kept = largest(drop_score, int(mask.sum()) - count, among=mask)
    return kept | largest(grow_score, count, among=~kept)

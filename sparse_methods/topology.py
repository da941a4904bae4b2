"""Exact-k selection on tensors: random masks, the largest scores, shares of a total.

Pure functions. Masks are boolean, True where a weight is active. Ties go to the lowest row-major index, so a mask is a
function of the scores alone and not of the device or of a selection algorithm.

Nothing here sorts a layer. On a CPU numpy's views of the same memory do the work: torch's own topk, nonzero and comparisons
take 4 to 40 times as long there.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor


class NonFiniteScoreError(ArithmeticError):
    """A score is NaN: training has diverged, and no topology can be chosen from it."""


SAMPLED = 1 << 12
"""Positions of a layer that are looked at to guess the smallest score that is chosen."""
BLOCK = 1 << 17
"""Positions that are compared at a time, so that they stay in a processor's cache from one comparison to the next."""


def checked(score: Tensor, layer: str) -> Tensor:
    """``score``; raises NonFiniteScoreError that names the layer when it holds a NaN."""
    # A maximum is NaN when any score is, and takes a tenth of the time of asking each.
    if score.numel() and bool(score.amax().isnan()):
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


def active_count(mask: Tensor) -> int:
    """Active weights of a mask."""
    return int(np.count_nonzero(mask.numpy()) if mask.device.type == "cpu" else mask.count_nonzero())


def largest(score: Tensor, count: int, among: Tensor) -> Tensor:
    """The ``count`` largest scores among the True positions of ``among``, as a mask of the same shape.

    Raises ValueError when there are fewer candidates than ``count``.
    """
    flat, candidates = score.detach().reshape(-1), among.reshape(-1)
    if _is_numpys(flat):
        chosen = torch.from_numpy(_partitioned(flat.numpy(), count, candidates.numpy()))
    else:
        chosen = _topk(flat, count, candidates)
    return chosen.view(among.shape)


def _partitioned(scores: np.ndarray, count: int, among: np.ndarray) -> np.ndarray:
    """``largest`` of vectors, on a CPU.

    A guess of the smallest score that is chosen settles nearly all positions by two comparisons; only those whose scores are
    about as large are then ranked. A guess that was wrong is noticed, and all candidates are ranked.
    """
    for low, high in (_guess(scores, count, among), (-math.inf, math.inf)):
        chosen, positions = _compared(scores, low, high, among)
        missing = count - np.count_nonzero(chosen)
        if 0 <= missing <= positions.size:
            break
    else:
        raise ValueError(f"cannot select {count} of {positions.size} candidates")
    if missing:
        values = scores[positions]
        threshold = np.partition(values, values.size - missing)[values.size - missing]
        above = values > threshold
        # Positions ascend, so the first of the tied ones are those of the lowest row-major index.
        above[np.flatnonzero(values == threshold)[: missing - np.count_nonzero(above)]] = True
        chosen[positions] = above
    return chosen


def _compared(scores: np.ndarray, low: float, high: float, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Candidates whose score is above ``high``, as a mask, and those within [low, high], as positions."""
    above, within = np.empty(scores.size, dtype=bool), []
    for start in range(0, max(scores.size, 1), BLOCK):
        part = slice(start, start + BLOCK)
        np.greater(scores[part], high, out=above[part])
        above[part] &= among[part]
        reached = scores[part] >= low
        reached &= among[part]
        reached ^= above[part]
        within.append(np.flatnonzero(reached) + start)
    return above, np.concatenate(within)


def _guess(scores: np.ndarray, count: int, among: np.ndarray) -> tuple[float, float]:
    """Two scores between which the smallest of the ``count`` largest is likely to be, from a sample."""
    if scores.size < 8 * SAMPLED:
        return -math.inf, math.inf
    looked_at = _spread(scores.size)
    sample = np.sort(scores[looked_at][among[looked_at]])
    expected = count * SAMPLED / scores.size
    margin = 3 * (math.sqrt(expected) + 1)
    # In ascending order the r-th largest is at size - r.
    low, high = sample.size - math.ceil(expected + margin), max(0, sample.size - math.floor(expected - margin))
    return sample[low] if low >= 0 else -math.inf, sample[high] if high < sample.size else math.inf


@functools.lru_cache(maxsize=256)
def _spread(size: int) -> np.ndarray:
    """Positions spread evenly over ``size``, by multiples of the golden ratio: they prefer no row and no column."""
    return (np.arange(SAMPLED) * ((math.sqrt(5) - 1) / 2) % 1 * size).astype(np.int64)


def _topk(scores: Tensor, count: int, among: Tensor) -> Tensor:
    """``largest`` of vectors, on any device and of any type."""
    candidates = active_count(among)
    if count > candidates:
        raise ValueError(f"cannot select {count} of {candidates} candidates")
    if count == 0:
        return torch.zeros_like(among)
    lowest = -math.inf if scores.is_floating_point() else torch.iinfo(scores.dtype).min
    values = scores.masked_fill(~among, lowest)
    threshold = values.topk(count, sorted=False).values.min()
    above = values > threshold
    tied = (values == threshold) & among
    return above | (tied & (tied.cumsum(0) <= count - above.sum()))


def _is_numpys(values: Tensor) -> bool:
    """Whether numpy can see and compare ``values`` where they are."""
    ranked = not values.is_floating_point() or values.dtype in (torch.float32, torch.float64)
    return ranked and values.device.type == "cpu"


def largest_of_all(scores: Mapping[str, Tensor], count: int, among: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The ``count`` largest scores of several tensors ranked together, as a mask for each."""
    flat = torch.cat([score.flatten() for score in scores.values()])
    chosen = largest(flat, count, torch.cat([among[name].flatten() for name in scores]))
    parts = chosen.split([score.numel() for score in scores.values()])
    return {name: part.view(scores[name].shape) for name, part in zip(scores, parts, strict=True)}


def largest_per_row(score: Tensor, counts: Tensor, among: Tensor) -> Tensor:
    """In row i, all that leads to neuron i, the ``counts[i]`` largest scores among the True positions, as a mask."""
    candidates = among.flatten(1)
    values = score.detach().flatten(1).masked_fill(~candidates, -math.inf)
    wanted = counts.clamp(max=values.shape[1]).unsqueeze(1)
    # Rows want different counts, so their values are sorted, though not their positions: ties are counted off.
    ordered = torch.from_numpy(np.sort(values.numpy())) if _is_numpys(values) else values.sort(dim=1).values
    threshold = ordered.gather(1, (values.shape[1] - wanted).clamp(max=values.shape[1] - 1))
    above = values > threshold
    tied = (values == threshold) & candidates
    return (above | (tied & (tied.cumsum(1) <= wanted - above.sum(dim=1, keepdim=True)))).view(among.shape)


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

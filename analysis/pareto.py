"""The Pareto front: what nothing else beats at once in cost and in quality."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def front(cost: ArrayLike, quality: ArrayLike) -> np.ndarray:
    """Which points are on the front, a boolean for each; ``leaderboard/pareto.js`` is its twin in the page.

    A point is on it unless another costs no more, is no worse, and differs in one of the two: equal points are on it
    together. Both are one-dimensional and of one length; lower cost and higher quality are better. A point whose cost or
    quality is not finite is never on it, and keeps no other from it. Raises ValueError when the lengths differ.
    """
    cost, quality = np.asarray(cost, dtype=np.float64), np.asarray(quality, dtype=np.float64)
    if cost.shape != quality.shape or cost.ndim != 1:
        raise ValueError(
            f"cost and quality must be lists of one length, they have the shapes {cost.shape} and {quality.shape}"
        )
    found = np.zeros(cost.size, dtype=bool)
    known = np.flatnonzero(np.isfinite(cost) & np.isfinite(quality))
    best, best_cost = -np.inf, np.nan
    for index in known[np.lexsort((-quality[known], cost[known]))]:
        equal = quality[index] == best and cost[index] == best_cost
        if quality[index] > best or equal:
            found[index] = True
            best, best_cost = quality[index], cost[index]
    return found

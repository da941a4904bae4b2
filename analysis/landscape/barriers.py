"""How high the way from one solution to another is: what is read off the losses along a curve.

The *excess* at t is the loss less the straight line between the losses of the two ends. The barrier's height is the largest
excess over t in [0, 1]; the excess is 0 at the ends, so no height is negative. (Frankle et al. 2020, arXiv:1912.05671, take
the mean of the two ends' losses for the line.) Places outside of [0, 1] do not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NEARLY_MONOTONIC = 0.1
"""The share of its descent that a nearly monotonic way climbs at most. Ours: the paper says "nearly monotonic" by eye."""


@dataclass(frozen=True)
class Barrier:
    """The way from t = 0 to t = 1; heights and areas in the unit of the losses."""

    height: float
    """Largest excess. A lower bound where there are gaps."""
    place: float
    """The t of the largest excess, the first of equals; not a number where the height is 0."""
    area: float
    """Integral over t of the excess where it is positive, by trapezoids through the points."""
    signed_area: float
    """Integral over t of the excess."""
    climb: float
    """The most that the loss rises above what it had come down to, on the way from the higher end to the lower: what a search
    along the path must climb, 0 where it only goes down. Rises that stay below the lower end do not count."""
    descent: float
    """Loss of the higher end less that of the lower."""
    points: int
    """Finite losses that all this was read off, both ends included."""
    gaps: int
    """Losses that were not finite, which are passed over."""

    def is_nearly_monotonic(self, tolerance: float = NEARLY_MONOTONIC) -> bool:
        """Whether the climb is at most ``tolerance`` of the descent."""
        return self.climb <= tolerance * self.descent


def barrier(t: Sequence[float], losses: Sequence[float]) -> Barrier:
    """The barrier of the losses at increasing places ``t``, which contain 0 and 1.

    Raises ValueError when they do not, when the places do not increase, or for a loss at an end that is not finite.
    """
    places, values = np.asarray(t, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    if places.shape != values.shape or not (np.diff(places) > 0).all():
        raise ValueError(f"there must be one loss at each of increasing places t: {list(t)}")
    inside = (places >= 0) & (places <= 1)
    places, values = places[inside], values[inside]
    if not len(places) or places[0] != 0 or places[-1] != 1:
        raise ValueError(f"the places t must contain 0 and 1: {list(t)}")
    if not np.isfinite(values[[0, -1]]).all():
        raise ValueError(f"the losses at the ends are {values[0]} and {values[-1]}, they must be finite")
    finite = np.isfinite(values)
    places, values = places[finite], values[finite]
    excess = values - ((1 - places) * values[0] + places * values[-1])
    peak = int(excess.argmax())
    height = max(float(excess[peak]), 0.0)
    downhill = values if values[0] >= values[-1] else values[::-1]
    needed = downhill.clip(min=downhill[-1])
    return Barrier(
        height=height,
        place=float(places[peak]) if height > 0 else math.nan,
        area=float(np.trapezoid(excess.clip(min=0), places)),
        signed_area=float(np.trapezoid(excess, places)),
        climb=float((needed - np.minimum.accumulate(needed)).max()),
        descent=float(downhill[0] - downhill[-1]),
        points=len(values),
        gaps=int((~finite).sum()),
    )

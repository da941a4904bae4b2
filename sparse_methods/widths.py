"""The width of a network that meets a target, solved for rather than looked up."""

from __future__ import annotations

from collections.abc import Callable

WIDEST = 64.0


def widest(measure: Callable[[float], float], limit: float, unit: str) -> float:
    """The largest width multiplier, to within 1e-4, whose ``measure`` does not exceed ``limit``, both in ``unit``.

    The measure (parameters, FLOPs, bytes) must grow with the width; channels are whole, so it does in steps. Raises
    ValueError when the narrowest network exceeds the limit, or a network 64 times as wide does not reach it.
    """
    low, high = 0.0, 1.0
    while measure(high) <= limit:
        low, high = high, 2 * high
        if high > WIDEST:
            raise ValueError(f"no width up to {WIDEST:g} reaches {limit} {unit}: there it is {measure(low)}")
    while high - low > 1e-4:
        width = (low + high) / 2
        low, high = (width, high) if measure(width) <= limit else (low, width)
    low = low or high  # the narrowest network, at a width that is one
    if measure(low) > limit:
        raise ValueError(f"no width gives at most {limit} {unit}: the narrowest network has {measure(low)}")
    return low

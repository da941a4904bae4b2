"""The Pareto front against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.pareto import front

# Few distinct values, so that ties are common; and any number, so that nothing is special about them.
VALUES = st.one_of(st.sampled_from([0.0, -0.0, 0.5, 1.0, math.nan, math.inf, -math.inf]), st.floats())
POINTS = st.lists(st.tuples(VALUES, VALUES), max_size=30)


def by_force(points: list[tuple[float, float]]) -> list[bool]:
    known = [point for point in points if all(map(math.isfinite, point))]

    def beaten(cost: float, quality: float) -> bool:
        return any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in known)

    return [all(map(math.isfinite, point)) and not beaten(*point) for point in points]


@given(POINTS)
def test_front_is_what_no_other_point_beats(points: list[tuple[float, float]]) -> None:
    costs, qualities = [cost for cost, _ in points], [quality for _, quality in points]
    assert front(costs, qualities).tolist() == by_force(points)


@given(POINTS, st.randoms())
def test_order_does_not_matter(points: list[tuple[float, float]], random) -> None:
    order = list(range(len(points)))
    random.shuffle(order)
    costs, qualities = np.array(points or np.empty((0, 2))).T
    assert front(costs[order], qualities[order]).tolist() == front(costs, qualities)[order].tolist()


def test_by_hand() -> None:
    """At 0.2 the better of two; at 0.5 two equal ones; 0.8 costs more for less; the last has no cost."""
    cost = [0.2, 0.2, 0.5, 0.5, 0.8, math.nan]
    quality = [0.70, 0.72, 0.75, 0.75, 0.74, 0.99]
    assert front(cost, quality).tolist() == [False, True, True, True, False, False]
    assert front([], []).tolist() == []


def test_lengths_that_differ_are_an_error() -> None:
    with pytest.raises(ValueError, match="lists of one length"):
        front([1.0], [1.0, 2.0])

"""What an interval says of a region, by hand and by simulation."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import stats
from analysis.stats import Interval
from analysis.verdicts import ABOVE_ZERO, Region, prevailing, together, verdict

EQUAL = Region(-0.2, 0.2)
NO_WORSE = Region(low=-0.2)


@pytest.mark.parametrize(
    ("low", "high", "claimed", "expected"),
    [
        (0.1, 0.3, ABOVE_ZERO, "supported"),
        (-0.3, -0.1, ABOVE_ZERO, "contradicted"),
        (-0.1, 0.3, ABOVE_ZERO, "undecided"),
        (0.0, 0.3, ABOVE_ZERO, "undecided"),  # the bound is no part of the region
        (0.0, 0.0, ABOVE_ZERO, "undecided"),
        (-0.1, 0.1, EQUAL, "supported"),
        (-0.1, 0.3, EQUAL, "undecided"),
        (-0.3, 0.3, EQUAL, "undecided"),
        (0.3, 0.4, EQUAL, "contradicted"),
        (-0.4, -0.3, EQUAL, "contradicted"),
        (-0.1, 9.0, NO_WORSE, "supported"),
        (-0.9, -0.3, NO_WORSE, "contradicted"),
        (nan, nan, ABOVE_ZERO, "undecided"),
    ],
)
def test_by_hand(low: float, high: float, claimed: Region, expected: str) -> None:
    assert verdict(Interval((low + high) / 2, 3, low, high), claimed) == expected


def test_fewer_seeds_than_asked_for_decide_nothing() -> None:
    found = Interval(1.0, 2, 0.9, 1.1)
    assert verdict(found) == "undecided"
    assert verdict(found, least=2) == "supported"
    assert verdict(Interval(1.0, 0, 1.0, 1.0), least=0) == "supported"


@given(
    st.floats(-9, 9),
    st.floats(0, 9),
    st.floats(-9, 9) | st.just(-inf),
    st.floats(0, 9) | st.just(inf),
    st.integers(0, 9),
)
def test_a_region_and_its_mirror_agree(mean: float, half: float, low: float, width: float, n: int) -> None:
    """What is turned about 0 with its region says the same, and nothing is both supported and contradicted."""
    high = inf if width == inf else (low if low > -inf else 0.0) + width
    found, claimed = Interval(mean, n, mean - half, mean + half), Region(low, high)
    mirrored = verdict(Interval(-mean, n, -mean - half, -mean + half), Region(-high, -low))
    assert verdict(found, claimed) == mirrored
    if verdict(found, claimed) == "supported":
        assert low < mean < high


@pytest.mark.parametrize("n", [3, 5])
def test_at_the_bound_chance_supports_and_contradicts_one_in_forty_each(n: int) -> None:
    """5,000 experiments whose true difference is 0: 2.5 % each way, within four standard errors (0.22 %)."""
    values = np.random.default_rng(n).normal(0.0, 1.3, (5_000, n))
    verdicts = [verdict(stats.interval(row)) for row in values]
    for one in ("supported", "contradicted"):
        assert verdicts.count(one) / len(verdicts) == pytest.approx(0.025, abs=0.009)


def test_equality_is_seldom_found_where_sides_differ_by_the_margin() -> None:
    """At the margin itself at most one in forty supports it; well inside of it nearly all do."""
    rng = np.random.default_rng(1)
    claimed = Region(-1.0, 1.0)

    def share(mean: float) -> float:
        rows = rng.normal(mean, 0.3, (3_000, 5))
        return np.mean([verdict(stats.interval(row), claimed) == "supported" for row in rows])

    assert share(1.0) == pytest.approx(0.025, abs=0.012)
    assert share(0.0) > 0.9


def test_parts_together() -> None:
    assert together([]) == "not tested here"
    assert together(["supported", "supported"]) == "supported"
    assert together(["supported", "undecided"]) == "undecided"
    assert together(["supported", "undecided", "contradicted"]) == "contradicted"


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, "not tested here"),
        ({"supported": 2, "undecided": 2}, "supported"),
        ({"supported": 1, "undecided": 2}, "undecided"),
        ({"supported": 5, "contradicted": 1}, "undecided"),
        ({"contradicted": 1}, "contradicted"),
        ({"undecided": 3}, "undecided"),
    ],
)
def test_over_settings(counts: dict, expected: str) -> None:
    assert prevailing(counts) == expected

"""Barriers by hand."""

from __future__ import annotations

import math

import pytest

from analysis.landscape.barriers import barrier

T = [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_barrier_by_hand() -> None:
    """Chord 1, 1.5, 2, 2.5, 3: excess 0, 1.5, 2, -0.5, 0."""
    found = barrier(T, [1.0, 3.0, 4.0, 2.0, 3.0])
    assert (found.height, found.place) == (2.0, 0.5)
    assert found.area == pytest.approx(0.25 * (1.5 + 2.0))
    assert found.signed_area == pytest.approx(0.25 * (1.5 + 2.0 - 0.5))
    assert (found.points, found.gaps) == (5, 0)


def test_the_climb_is_counted_from_the_higher_end_downhill() -> None:
    """From 3: down to 2, up to 4, down to 1. The other way round it would be 3, from 1 to 4."""
    found = barrier(T, [1.0, 3.0, 4.0, 2.0, 3.0])
    assert (found.climb, found.descent) == (2.0, 2.0)
    assert barrier(T, [3.0, 2.0, 4.0, 3.0, 1.0]).climb == 2.0
    assert not found.is_nearly_monotonic(0.9)
    assert found.is_nearly_monotonic(1.0)


@pytest.mark.parametrize("losses", [[5.0, 4.0, 3.0, 2.0, 1.0], [1.0, 1.0, 1.5, 4.0, 5.0]], ids=["straight", "sagging"])
def test_a_path_that_only_goes_down_has_no_climb(losses: list[float]) -> None:
    for way in (losses, losses[::-1]):
        found = barrier(T, way)
        assert found.climb == 0
        assert found.is_nearly_monotonic(0)


def test_a_path_below_the_chord_has_no_barrier_and_no_place() -> None:
    found = barrier(T, [2.0, 1.0, 0.5, 1.0, 2.0])
    assert (found.height, found.area) == (0.0, 0.0)
    assert math.isnan(found.place)
    assert found.signed_area == -0.25 * (1.0 + 1.5 + 1.0)


def test_below_the_lower_end_there_is_nothing_to_climb() -> None:
    """From 4 down to 1, then up to 2, where the way was to lead: it was there before. The hump from 2 to 3 counts."""
    assert barrier(T, [4.0, 3.0, 1.0, 1.5, 2.0]).climb == 0
    assert barrier(T, [4.0, 1.0, 3.0, 1.5, 2.0]).climb == 1.0


def test_places_beyond_the_ends_do_not_count() -> None:
    inner = [1.0, 3.0, 4.0, 2.0, 3.0]
    assert barrier([-0.2, *T, 1.2], [99.0, *inner, 99.0]) == barrier(T, inner)


@pytest.mark.parametrize("gap", [math.nan, math.inf])
def test_gaps_are_passed_over_and_counted(gap: float) -> None:
    found = barrier(T, [0.0, 1.0, gap, 3.0, 0.0])
    assert (found.height, found.place, found.gaps, found.points) == (3.0, 0.75, 1, 4)
    assert found.area == pytest.approx(0.25 * 0.5 + 0.5 * 2.0 + 0.25 * 1.5)


@pytest.mark.parametrize(
    ("t", "losses", "told"),
    [
        ([0.0, 1.0], [math.nan, 1.0], "the losses at the ends are nan and 1.0, they must be finite"),
        ([0.1, 1.0], [1.0, 1.0], "must contain 0 and 1"),
        ([0.0, 0.9], [1.0, 1.0], "must contain 0 and 1"),
        ([2.0, 3.0], [1.0, 1.0], "must contain 0 and 1"),
        ([0.0, 1.0, 0.5], [1.0, 1.0, 1.0], "one loss at each of increasing places"),
        ([0.0, 1.0], [1.0], "one loss at each of increasing places"),
    ],
)
def test_losses_without_both_ends_are_refused(t: list[float], losses: list[float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        barrier(t, losses)

"""When an update falls, how much it moves, and the cubic of gradual pruning."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sparse_methods.schedules import UpdateSchedule, explored_to_the_end


def due_steps(schedule: UpdateSchedule, first: int, last: int) -> list[int]:
    """Steps of first..last at which an update is due, each update taking place."""
    found, last_update = [], schedule.begin - schedule.update_every
    for step in range(first, last + 1):
        if schedule.is_due(step, last_update):
            found.append(step)
            last_update = step
    return found


@pytest.mark.parametrize(
    ("options", "first", "expected"),
    [
        # In place of the step: asked from step 0 on.
        ({"end": 300}, 0, [0, 100, 200, 300]),
        ({"end": 299}, 0, [0, 100, 200]),
        ({"begin": 50, "end": 250}, 0, [50, 150, 250]),
        ({"begin": 400, "end": 400, "decay": "constant"}, 0, [400]),
        ({"end": "never"}, 0, [0, 100, 200, 300, 400]),
        # After the step: asked from step 1 on.
        ({"end": 300}, 1, [1, 101, 201]),
        ({"end": 301}, 1, [1, 101, 201, 301]),
        ({"begin": 50, "end": 250}, 1, [50, 150, 250]),
        ({"begin": 1, "end": 250}, 1, [1, 101, 201]),
    ],
)
def test_cadence(options: dict[str, Any], first: int, expected: list[int]) -> None:
    assert due_steps(UpdateSchedule(total_steps=400, **options), first, 400) == expected


def test_an_update_that_came_late_postpones_the_next() -> None:
    schedule = UpdateSchedule(total_steps=400, end="never")
    assert not schedule.is_due(199, last_update=100)
    assert schedule.is_due(200, last_update=100)
    assert schedule.is_due(250, last_update=100)
    assert not schedule.is_due(300, last_update=250)


def test_default_end_is_three_quarters_of_the_run() -> None:
    assert UpdateSchedule(total_steps=1000).end == 750
    assert UpdateSchedule(total_steps=97656).end == 73242


def test_cosine_by_hand() -> None:
    """alpha/2 (1 + cos(pi t / D)): cos is 1, 1/sqrt 2, 0, -1/2, -1 at D times 0, 1/4, 1/2, 2/3, 1."""
    schedule = UpdateSchedule(total_steps=160, end=120, drop_fraction=0.4)
    expected = {0: 0.4, 30: 0.2 * (1 + math.sqrt(0.5)), 60: 0.2, 80: 0.1, 120: 0.0}
    assert {t: schedule.drop_fraction_at(t) for t in expected} == pytest.approx(expected, abs=1e-15)


def test_cosine_is_not_shifted_by_begin_and_is_clipped() -> None:
    """D = 150 - 50 = 100, and the step counts from 0: half gone at begin, all gone at 100, nothing after."""
    schedule = UpdateSchedule(total_steps=200, begin=50, end=150, drop_fraction=0.3)
    expected = {50: 0.15, 100: 0.0, 125: 0.0, 150: 0.0}
    assert {t: schedule.drop_fraction_at(t) for t in expected} == pytest.approx(expected, abs=1e-15)


def test_cosine_spans_the_run_when_updates_never_end() -> None:
    schedule = UpdateSchedule(total_steps=200, begin=20, end="never", drop_fraction=0.1)
    assert schedule.drop_fraction_at(100) == pytest.approx(0.05)
    assert schedule.drop_fraction_at(200) == pytest.approx(0.0, abs=1e-15)


def test_constant() -> None:
    schedule = UpdateSchedule(total_steps=100, decay="constant", drop_fraction=0.25)
    assert [schedule.drop_fraction_at(t) for t in (0, 10, 75, 100)] == [0.25] * 4


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        ("inverse_power:1", {2: 0.4, 7: 0.2, 10: 0.08, 12: 0.0}),
        ("inverse_power:3", {2: 0.4, 7: 0.05, 10: 0.0032, 12: 0.0}),
    ],
)
def test_inverse_power_is_shifted_by_begin(decay: str, expected: dict[int, float]) -> None:
    """alpha (1 - (t - 2)/10)^k: at t = 10 a fifth is left, (1/5)^3 = 0.008."""
    schedule = UpdateSchedule(total_steps=20, begin=2, end=12, drop_fraction=0.4, decay=decay)
    assert {t: schedule.drop_fraction_at(t) for t in expected} == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("decay", ["cosine", "inverse_power:1", "inverse_power:3"])
def test_no_span_is_an_error_that_names_the_way_out(decay: str) -> None:
    schedule = UpdateSchedule(total_steps=20, begin=5, end=5, decay=decay)
    with pytest.raises(ValueError, match="constant"):
        schedule.drop_fraction_at(5)


def test_constant_needs_no_span() -> None:
    assert UpdateSchedule(total_steps=20, begin=5, end=5, decay="constant").drop_fraction_at(5) == 0.3


def test_pruning_grid_counts_from_begin_and_includes_the_end() -> None:
    schedule = UpdateSchedule(total_steps=60, update_every=10, begin=5, end=38)
    assert [t for t in range(61) if schedule.on_pruning_grid(t)] == [5, 15, 25, 35, 38]


def test_cubic_by_hand() -> None:
    """From 0.2 to 0.8 over 10..18: 0.8 - 0.6 (1 - p)^3 at p = 0, 1/4, 1/2, 1."""
    schedule = UpdateSchedule(total_steps=30, begin=10, end=18)
    expected = {10: 0.2, 12: 0.8 - 0.6 * 27 / 64, 14: 0.8 - 0.6 / 8, 18: 0.8}
    assert {t: schedule.cubic_sparsity(t, 0.2, 0.8) for t in expected} == pytest.approx(expected, abs=1e-15)


def test_cubic_is_clipped_outside_and_exact_at_the_end() -> None:
    schedule = UpdateSchedule(total_steps=30, begin=10, end=17)
    assert schedule.cubic_sparsity(3, 0.2, 0.8) == pytest.approx(0.2)
    for final in (0.1, 0.7, 0.9, 0.965):
        assert schedule.cubic_sparsity(17, 0.3, final) == final
        assert schedule.cubic_sparsity(29, 0.3, final) == final


def test_cubic_needs_a_span() -> None:
    with pytest.raises(ValueError, match="begin < end"):
        UpdateSchedule(total_steps=30, begin=10, end=10).cubic_sparsity(10, 0.0, 0.8)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"total_steps": 0}, "total_steps"),
        ({"update_every": 0}, "update_every"),
        ({"begin": -1}, "begin"),
        ({"begin": 10, "end": 9}, "end"),
        ({"end": "soon"}, "end"),
        ({"drop_fraction": 1.1}, "drop_fraction"),
        ({"drop_fraction": -0.1}, "drop_fraction"),
        ({"drop_fraction": float("nan")}, "drop_fraction"),
        ({"decay": "linear"}, "cosine.*constant.*inverse_power"),
        ({"decay": "inverse_power"}, "decay"),
        ({"decay": "inverse_power:fast"}, "decay"),
    ],
)
def test_values_out_of_range_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        UpdateSchedule(**({"total_steps": 100} | options))


def test_exploring_to_the_end_keeps_the_cadence_and_drops_the_rest() -> None:
    """begin and interval stay; the end, the drop fraction and the decay are its own. Due at 5, 15, 25, 35 of 40."""
    schedule = UpdateSchedule(total_steps=40, update_every=10, begin=5, end=12, drop_fraction=0.1, decay="constant")
    explored = explored_to_the_end(schedule, 0.6)
    assert explored == UpdateSchedule(40, 10, 5, "never", 0.6, "cosine")
    assert due_steps(schedule, 1, 40) == [5]
    assert due_steps(explored, 1, 40) == [5, 15, 25, 35]
    assert [t for t in range(41) if explored.on_pruning_grid(t)] == [5, 15, 25, 35]


def test_exploring_to_the_end_falls_to_zero_over_the_whole_run() -> None:
    """0.6/2 (1 + cos(pi t/40)), not shifted by begin: cos is 1, 1/sqrt 2, 0, -1/2 and -1 at t = 0, 10, 20, 80/3, 40."""
    explored = explored_to_the_end(UpdateSchedule(total_steps=40, begin=5, end=12), 0.6)
    expected = {0: 0.6, 10: 0.3 * (1 + math.sqrt(0.5)), 20: 0.3, 30: 0.3 * (1 - math.sqrt(0.5)), 40: 0.0}
    assert {t: explored.drop_fraction_at(t) for t in expected} == pytest.approx(expected, abs=1e-15)


def test_exploring_to_the_end_needs_no_span() -> None:
    explored = explored_to_the_end(UpdateSchedule(total_steps=40, begin=5, end=5), 0.6)
    assert explored.drop_fraction_at(20) == pytest.approx(0.3)


def test_exploring_to_the_end_differs_by_schedule_and_by_fraction() -> None:
    """It is remembered, for it is asked at every step: never another's."""
    one, other = UpdateSchedule(total_steps=40), UpdateSchedule(total_steps=80)
    fractions = [explored_to_the_end(s, drop).drop_fraction_at(20) for s in (one, other) for drop in (0.6, 0.2)]
    assert fractions == pytest.approx([0.3, 0.1, 0.3 * (1 + math.sqrt(0.5)), 0.1 * (1 + math.sqrt(0.5))])
    assert explored_to_the_end(one, 0.6).drop_fraction_at(20) == fractions[0]


def test_exploring_by_an_impossible_fraction_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"drop_fraction is 1\.5"):
        explored_to_the_end(UpdateSchedule(total_steps=40), 1.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"end": "never"}, "this method needs an end at which its target is reached, it is 'never'"),
        ({"end": 31}, "this method would reach its target at step 31, the run ends at 30"),
        ({"begin": 10, "end": 10}, "this method needs begin < end, both are 10"),
        ({"begin": 40}, "this method would reach its target at step 40, the run ends at 30"),
    ],
)
def test_a_target_that_is_not_reached_is_an_error_that_says_why(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UpdateSchedule(total_steps=30, **options).require_reached("this method")


@pytest.mark.parametrize("options", [{}, {"end": 30}, {"end": 1}, {"begin": 29, "end": 30}])
def test_a_target_that_is_reached_is_none(options: dict[str, Any]) -> None:
    UpdateSchedule(total_steps=30, **options).require_reached("this method")


@pytest.mark.parametrize("end", ["never", 31])
def test_cubic_needs_an_end_within_the_run(end: Any) -> None:
    with pytest.raises(ValueError, match="gradual pruning"):
        UpdateSchedule(total_steps=30, end=end).cubic_sparsity(10, 0.0, 0.8)


@pytest.mark.parametrize("power", ["0", "-1", "nan", "inf", ""])
def test_powers_that_make_no_decay_are_errors(power: str) -> None:
    with pytest.raises(ValueError, match=r"decay is .*inverse_power:K"):
        UpdateSchedule(total_steps=30, decay=f"inverse_power:{power}")

"""Learning rates by hand, over warm-up, steps, cosine and multipliers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.learning_rate import learning_rate_at
from pipeline.run import LearningRate, Protocol, Run


def run_with(rate: LearningRate, steps: int = 100, multiplier: float = 1.0) -> Run:
    return Run("lenet300", "digits", "dense", Protocol(steps, 4, rate), multiplier=multiplier)


def rates(run: Run, *steps: int) -> list[float]:
    return [learning_rate_at(step, run) for step in steps]


def test_constant() -> None:
    assert rates(run_with(LearningRate(0.5)), 0, 50, 99) == [0.5, 0.5, 0.5]


def test_a_milestone_is_the_first_step_at_the_lower_rate() -> None:
    run = run_with(LearningRate(1.0, "step", milestones=(30, 60), factor=0.5))
    assert rates(run, 0, 29, 30, 59, 60, 99) == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_warm_up_rises_to_the_peak_at_its_last_step() -> None:
    run = run_with(LearningRate(1.0, warmup_steps=4))
    assert rates(run, 0, 1, 2, 3, 4, 99) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_milestones_count_from_the_start_of_the_run_and_not_of_the_warm_up() -> None:
    run = run_with(LearningRate(1.0, "step", warmup_steps=4, milestones=(2, 10), factor=0.5))
    assert rates(run, 1, 2, 3, 9, 10) == [0.5, 0.375, 0.5, 0.5, 0.25]


def test_cosine_falls_from_the_peak_to_zero_after_the_last_step() -> None:
    run = run_with(LearningRate(1.0, "cosine"))
    assert rates(run, 0, 50) == [1.0, pytest.approx(0.5)]
    assert learning_rate_at(25, run) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert learning_rate_at(100, run) == pytest.approx(0)


def test_cosine_starts_after_the_warm_up() -> None:
    run = run_with(LearningRate(1.0, "cosine", warmup_steps=20))
    assert rates(run, 9, 19, 20) == [0.5, 1.0, 1.0]
    assert learning_rate_at(60, run) == pytest.approx(0.5)


def test_a_warm_up_as_long_as_the_run_is_no_division_by_zero() -> None:
    assert rates(run_with(LearningRate(1.0, "cosine", warmup_steps=100)), 0, 99) == [0.01, 1.0]


@pytest.mark.parametrize("multiplier", [0.5, 2.0, 5.0])
def test_every_anchor_scales_with_the_multiplier(multiplier: float) -> None:
    for rate in (
        LearningRate(1.0, "step", milestones=(40, 80)),
        LearningRate(1.0, "cosine", warmup_steps=20),
        LearningRate(1.0, warmup_steps=20),
    ):
        plain, scaled = run_with(rate), run_with(rate, multiplier=multiplier)
        for step in (20, 40, 60, 80):
            assert learning_rate_at(int(step * multiplier), scaled) == pytest.approx(learning_rate_at(step, plain))


def test_the_last_step_before_a_scaled_milestone_keeps_the_rate() -> None:
    run = run_with(LearningRate(1.0, "step", milestones=(30,), factor=0.1), multiplier=5.0)
    assert rates(run, 149, 150) == [1.0, pytest.approx(0.1)]


def test_a_multiplier_that_rounds_the_warm_up_away_starts_at_the_peak() -> None:
    assert rates(run_with(LearningRate(1.0, warmup_steps=2), multiplier=0.2), 0) == [1.0]


RATES = st.builds(
    LearningRate,
    peak=st.floats(1e-4, 10),
    decay=st.sampled_from(["constant", "cosine"]),
    warmup_steps=st.integers(0, 150),
) | st.builds(
    LearningRate,
    peak=st.floats(1e-4, 10),
    decay=st.just("step"),
    warmup_steps=st.integers(0, 150),
    milestones=st.lists(st.integers(0, 120), min_size=1, max_size=4, unique=True).map(sorted).map(tuple),
    factor=st.floats(0.01, 1),
)


@given(RATES, st.sampled_from([0.2, 1.0, 5.0]), st.data())
def test_rates_stay_within_zero_and_the_peak_and_scale_with_it(
    rate: LearningRate, multiplier: float, data: st.DataObject
) -> None:
    run = run_with(rate, multiplier=multiplier)
    step = data.draw(st.integers(0, run.steps - 1))
    found = learning_rate_at(step, run)
    assert 0 < found <= rate.peak
    double = run_with(replace(rate, peak=2 * rate.peak), multiplier=multiplier)
    assert learning_rate_at(step, double) == pytest.approx(2 * found)


@given(RATES, st.data())
def test_after_the_warm_up_rates_never_rise(rate: LearningRate, data: st.DataObject) -> None:
    run = run_with(rate, steps=200)
    step = data.draw(st.integers(rate.warmup_steps, 198))
    assert learning_rate_at(step + 1, run) <= learning_rate_at(step, run)

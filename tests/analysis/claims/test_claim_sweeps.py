"""Whether a choice is the best of a sweep, by hand and by simulation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from analysis.claims import sweeps


def swept(ask: SimpleNamespace, counts: dict[tuple[int, float], Sequence[int]], **topology: Any) -> list:
    return [
        made
        for (every, fraction), row in counts.items()
        for made in ask.runs({"rigl": row}, protocol=ask.moved(update_every=every, drop_fraction=fraction, **topology))
    ]


SWEEP = {
    "test": "best_of_sweep",
    "side": {"method": "rigl", "decay": "cosine"},
    "over": ["update_every", "drop_fraction"],
    "chosen": [{"update_every": 100, "drop_fraction": 0.3}],
}


def test_the_best_of_a_sweep_by_hand(tmp_path: Path, ask: SimpleNamespace) -> None:
    """Ahead of the best other by 1 point in each seed, with no spread: supported, and the other is named."""
    made = swept(ask, {(100, 0.3): [9700, 9710, 9720], (50, 0.3): [9600, 9610, 9620], (100, 0.1): [9500, 9510, 9520]})
    made += swept(ask, {(100, 0.3): [9990] * 3}, decay="constant")  # not of this sweep
    (one,) = ask.found(tmp_path, made, SWEEP)
    assert 100 * one.found.mean == pytest.approx(1)
    assert one.verdict == "supported"
    assert one.test == "RigL (cosine decay) with every 100 steps, drop fraction 0.3 beats the best of a sweep"
    assert one.note == "the best of 2 others is every 50 steps, drop fraction 0.3"


def test_what_is_beaten_in_a_sweep_is_contradicted_and_within_a_margin_it_is_not(
    tmp_path: Path, ask: SimpleNamespace
) -> None:
    made = swept(ask, {(100, 0.3): [9700] * 3, (50, 0.3): [9730] * 3, (100, 0.1): [9500] * 3})
    best, near = ask.found(tmp_path, made, SWEEP, SWEEP | {"within": 0.5})
    assert (best.verdict, near.verdict) == ("contradicted", "supported")


def test_chosen_values_are_taken_together(tmp_path: Path, ask: SimpleNamespace) -> None:
    made = swept(ask, {(100, 0.3): [9700] * 3, (100, 0.5): [9600] * 3, (50, 0.3): [9630] * 3, (50, 0.5): [9500] * 3})
    chosen = [{"update_every": 100, "drop_fraction": fraction} for fraction in (0.3, 0.5)]
    (one,) = ask.found(tmp_path, made, SWEEP | {"chosen": chosen})
    assert 100 * one.found.mean == pytest.approx(0.2)  # 96.5 less 96.3


def test_a_sweep_without_what_was_chosen_or_with_too_few_others_is_none(tmp_path: Path, ask: SimpleNamespace) -> None:
    few = swept(ask, {(100, 0.3): [9700] * 3, (50, 0.3): [9600] * 3})
    assert ask.found(tmp_path / "a", few, SWEEP) == []
    without = swept(ask, {(100, 0.5): [9700] * 3, (50, 0.3): [9600] * 3, (50, 0.1): [9600] * 3})
    assert ask.found(tmp_path / "b", without, SWEEP) == []


def test_a_sweep_of_decays_is_one_for_each_cadence(tmp_path: Path, ask: SimpleNamespace) -> None:
    made: list = []
    for decay in ("cosine", "constant", "inverse_power:3"):
        made += swept(ask, {(100, 0.3): [9700] * 3, (1000, 0.3): [9600] * 3}, decay=decay)
    test = {"test": "best_of_sweep", "side": "rigl", "over": ["decay"], "chosen": [{"decay": "cosine"}], "within": 0.5}
    asked = ask.found(tmp_path, made, test)
    settings = ["lenet300 on mnist, uniform, 90 %", "lenet300 on mnist, uniform, 90 %, every 1,000 steps"]
    assert [one.setting for one in asked] == settings


def test_an_option_that_is_not_given_has_its_default(tmp_path: Path, ask: SimpleNamespace) -> None:
    made = ask.runs({"snfs": [9700] * 3})
    for momentum, count in ((0.0, 9600), (0.5, 9610), (0.99, 9650)):
        made += ask.runs({"snfs": [count] * 3}, method_options={"momentum": momentum})
    test = {
        "test": "best_of_sweep",
        "side": "snfs",
        "over": ["options.momentum"],
        "chosen": [{"options.momentum": 0.9}],
    }
    (one,) = ask.found(tmp_path, made, test)
    assert 100 * one.found.mean == pytest.approx(0.5)
    assert one.note == "the best of 3 others is momentum 0.99"


def test_behind_the_best_by_hand() -> None:
    """Against one other it is the paired interval; against two the upper end takes the quantile of 1.25 %."""
    chosen = pd.Series([1.0, 2.0, 3.0])
    one = sweeps.behind_best(chosen, [pd.Series([0.0, 0.0, 0.0])])
    half = scipy_stats.t.ppf(0.975, 2) / 3**0.5
    assert (one.mean, one.low, one.high) == pytest.approx((2, 2 - half, 2 + half))
    two = sweeps.behind_best(chosen, [pd.Series([0.0, 0.0, 0.0]), pd.Series([1.0, 1.0, 1.0])])
    wider = scipy_stats.t.ppf(1 - 0.0125, 2) / 3**0.5
    assert (two.mean, two.low, two.high) == pytest.approx((1, 1 - half, 1 + wider))
    assert np.isnan(sweeps.behind_best(pd.Series([1.0]), [pd.Series([0.0])]).low)


@pytest.mark.parametrize("truth", [(0.0,) * 5, (0.0, *(-5.0,) * 4), (0.4, 0.3, *(0.0,) * 3)])
def test_behind_the_best_covers_at_least_as_often_as_it_should(truth: tuple[float, ...]) -> None:
    """Five others, whichever is truly the best: the interval holds the true difference in at least 95 % of sweeps."""
    rng = np.random.default_rng(len(set(truth)))
    true_difference, held = -max(truth), 0
    for _ in range(400):
        luck = rng.normal(size=5)
        cells = [pd.Series(luck + rng.normal(mean, 0.7, 5)) for mean in (0.0, *truth)]
        found = sweeps.behind_best(cells[0], cells[1:])
        held += found.low <= true_difference <= found.high
    assert held >= 380 - 13  # three standard errors below

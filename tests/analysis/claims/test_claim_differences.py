"""Differences of differences, slopes over sparsity, and equal cost."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import stats
from analysis.claims import comparisons


def longer(method: str) -> dict:
    return {"before": method, "after": {"method": method, "length": 2}}


def test_gains_by_hand(tmp_path: Path, ask: SimpleNamespace) -> None:
    """RigL gains 1.0, 1.1, 1.2 points, Static 0.5 each: 0.5, 0.6, 0.7, of standard deviation 0.1."""
    made = ask.runs({"rigl": [9700, 9700, 9700], "static": [9500, 9600, 9400]})
    made += ask.runs({"rigl": [9800, 9810, 9820], "static": [9550, 9650, 9450]}, multiplier=2.0)
    test = {"test": "gains_more", "first": longer("rigl"), "second": longer("static")}
    (one,) = ask.found(tmp_path, made, test)
    assert one.test == "RigL (2× as long) over RigL gains more than Static (2× as long) over Static"
    assert 100 * one.found.mean == pytest.approx(0.6)
    assert 100 * one.found.half == pytest.approx(0.1 * 4.302653 / 3**0.5, abs=1e-6)
    assert one.verdict == "supported"


def test_the_gap_over_sparsity_by_hand(tmp_path: Path, ask: SimpleNamespace) -> None:
    """Leads of 1, 2 and 3 points at 70, 80, 90 %: 1 point for 10 %, for seed 1 twice that; seed 2 lacks one of them."""
    made: list = []
    for (at, sparsity), seed in product(enumerate((0.7, 0.8, 0.9), start=1), range(2)):
        made.append((ask.run("rigl", sparsity, seed), 9000 + 100 * at * (1 + seed)))
        made.append((ask.run("static", sparsity, seed), 9000))
    made += [(ask.run(method, 0.7, 2), 9000) for method in ("rigl", "static")]
    (one,) = ask.found(tmp_path, made, {"test": "gap_widens", "sides": ["rigl", "static"]})
    assert 100 * one.found.mean == pytest.approx(1.5)
    assert one.found.n == 2
    assert (one.setting, one.note) == ("lenet300 on mnist, uniform", "at 70 %, 80 %, 90 %")
    assert "points for 10 % more sparsity (n=2)" in one.measured


def test_two_sparsities_make_no_slope(tmp_path: Path, ask: SimpleNamespace) -> None:
    made = [made for sparsity in (0.8, 0.9) for made in ask.runs({"rigl": [97], "static": [96]}, sparsity=sparsity)]
    assert ask.found(tmp_path, made, {"test": "gap_widens", "sides": ["rigl", "static"]}) == []


@given(
    st.lists(st.floats(0.1, 0.99), min_size=2, max_size=6, unique=True).filter(lambda x: max(x) - min(x) > 0.01),
    st.integers(0, 99),
)
def test_slopes_are_numpys(sparsities: list[float], seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(len(sparsities), 4))
    gaps = {sparsity: pd.Series(row) for sparsity, row in zip(sparsities, values, strict=True)}
    expected = [np.polyfit(sparsities, values[:, column], 1)[0] for column in range(4)]
    np.testing.assert_allclose(comparisons.slopes(gaps), expected, rtol=1e-6, atol=1e-8)


def test_at_equal_cost_by_hand(tmp_path: Path, ask: SimpleNamespace) -> None:
    """The factory's FLOPs are those of the weights left: 90.8 % costs a tenth less than 90 %, 80 % twice as much.

    The pair of equal sparsities is of equal cost here too, but says nothing that a plain comparison does not.
    """
    made = [(ask.run("rigl", 0.8, distribution="uniform"), 9800)]
    made += [(ask.run("rigl", 0.9, distribution="uniform"), 9700)]
    made += [(ask.run("rigl", sparsity, distribution="erk"), 9600) for sparsity in (0.9, 0.908)]
    sides = [{"method": "rigl", "distribution": shared} for shared in ("uniform", "erk")]
    asked = ask.found(tmp_path, made, {"test": "beats_at_equal_cost", "sides": sides, "tolerance": 0.1})
    assert {one.setting.rpartition("mnist, ")[2]: round(100 * one.found.mean) for one in asked} == {
        "90 % against 90.8 %": 1,
    }


def test_differences_of_differences_cover_as_often_as_they_should() -> None:
    """Four cells that share a seed's luck: 95 % of the intervals hold the true 0.3, within 94 to 96."""
    rng = np.random.default_rng(0)
    luck = rng.normal(size=(3_000, 1, 5))
    cells = luck + rng.normal(0, 0.5, (3_000, 4, 5)) + np.array([0.5, 0.0, 0.2, 0.0])[None, :, None]
    held = 0
    for four in cells:
        found = stats.interval(comparisons.difference_of_differences(*(pd.Series(cell) for cell in four)))
        held += found.low <= 0.3 <= found.high
    assert 0.94 <= held / len(cells) <= 0.96

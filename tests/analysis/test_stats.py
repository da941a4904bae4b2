"""Intervals against SciPy and closed forms; pairs by seed; what a cell counts."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from analysis import stats
from analysis.records import load
from pipeline.run import StartFrom, Topology

accuracies = st.lists(st.floats(0, 1), min_size=2, max_size=10)


def by_seed(values: dict[int, float]) -> pd.Series:
    return pd.Series(values, dtype="float64")


def test_interval_of_three_by_hand() -> None:
    """Mean 2, standard deviation 1, t(0.975, 2) = 4.302653: half = 4.302653 / sqrt(3) = 2.484138."""
    found = stats.interval([1, 2, 3])
    assert (found.mean, found.n) == (2, 3)
    assert found.half == pytest.approx(2.484138, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-6)


@given(accuracies)
def test_interval_is_scipys(values: list[float]) -> None:
    found = stats.interval(values)
    error = scipy_stats.sem(values)
    if error > 1e-9:
        expected = scipy_stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=error)
        assert (found.low, found.high) == pytest.approx(expected)
    assert found.low <= found.mean <= found.high


@given(st.floats(0, 1))
def test_one_seed_has_a_mean_and_no_interval(value: float) -> None:
    found = stats.interval([value])
    assert (found.mean, found.n) == (value, 1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(found.half)


def test_no_seed_has_no_mean() -> None:
    found = stats.interval([])
    assert found.n == 0
    assert math.isnan(found.mean)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert stats.interval([0.5, 0.5, 0.5]) == stats.Interval(0.5, 3, 0.5, 0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        stats.interval([0.5, value])


@given(
    st.dictionaries(st.integers(0, 9), st.floats(0, 1), max_size=8),
    st.dictionaries(st.integers(0, 9), st.floats(0, 1), max_size=8),
)
def test_pairs_are_of_the_seeds_in_both(left: dict[int, float], right: dict[int, float]) -> None:
    found = stats.paired(by_seed(left), by_seed(right))
    shared = left.keys() & right.keys()
    assert found.n == len(shared)
    expected = stats.interval([left[seed] - right[seed] for seed in sorted(shared)])
    assert (found.mean, found.low, found.high) == pytest.approx(
        (expected.mean, expected.low, expected.high), nan_ok=True
    )
    mirrored = stats.paired(by_seed(right), by_seed(left))
    assert mirrored.mean == pytest.approx(-found.mean, nan_ok=True)


@given(accuracies, st.floats(-1, 1))
def test_pairing_removes_what_seeds_share(values: list[float], shift: float) -> None:
    reference = by_seed(dict(enumerate(values)))
    found = stats.paired(reference + shift, reference)
    assert found.mean == pytest.approx(shift, abs=1e-9)
    assert found.half == pytest.approx(0, abs=1e-9)


def test_a_seed_twice_is_refused() -> None:
    twice = pd.Series([0.1, 0.2], index=[0, 0])
    with pytest.raises(ValueError, match=r"twice: \[0\]"):
        stats.paired(twice, by_seed({0: 0.1}))


def cell(cells: pd.DataFrame, series: str, sparsity: float) -> dict:
    (row,) = cells[(cells["series"] == series) & (cells["sparsity"] == sparsity)].to_dict("records")
    return row


def test_a_cell_is_the_interval_of_its_runs(cells: pd.DataFrame) -> None:
    found = cell(cells, "RigL", 0.8)
    expected = stats.interval([0.97, 0.972, 0.974])
    assert (found["mean"], found["n"]) == (pytest.approx(0.972), 3)
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert found["train_total_x"] == pytest.approx(0.21, rel=1e-5)
    assert found["finished"] == "2026-01-03T10:00:00Z"


def test_differences_are_paired_within_a_distribution(cells: pd.DataFrame) -> None:
    """RigL less static by seed: 1.0, 1.1, 1.2 points; there is no static cell with ERK."""
    found = cell(cells, "RigL", 0.8)
    expected = stats.interval([0.010, 0.011, 0.012])
    assert (found["difference_mean"], found["difference_n"]) == (pytest.approx(0.011), 3)
    assert found["difference_low"] == pytest.approx(expected.low)
    assert cell(cells, "RigL, ERK", 0.8)["difference_n"] == 0
    assert cell(cells, "Static", 0.8)["difference_n"] == 0


def test_failures_are_counted_and_not_averaged(cells: pd.DataFrame) -> None:
    found = cell(cells, "SNIP", 0.9)
    assert [found[name] for name in ("n", "done", "diverged", "skipped", "failed")] == [1, 1, 1, 1, 0]
    assert found["mean"] == pytest.approx(0.94)
    assert math.isnan(found["low"])
    assert found["reason"] == "an empty layer"
    assert (found["difference_n"], found["difference_mean"]) == (1, pytest.approx(-0.01))


def test_no_cells_have_the_columns(frame: pd.DataFrame) -> None:
    assert list(stats.cells(frame[:0])) == stats.COLUMNS


def test_sums_over_cells_are_the_runs(frame: pd.DataFrame, cells: pd.DataFrame) -> None:
    assert cells[["done", "diverged", "skipped", "failed"]].to_numpy().sum() == len(frame)


def test_comparability_versions_are_never_averaged(frame: pd.DataFrame) -> None:
    mixed = frame.assign(comparability_version=(frame["seed"] > 0).astype(int))
    cells = stats.cells(mixed)
    assert set(cells.loc[cells["series"] == "RigL", "n"]) == {1, 2}
    assert set(cells.loc[cells["series"] == "RigL", "difference_n"]) == {1, 2}


def test_static_is_the_reference_of_every_update_interval(tmp_path: Path, factory: SimpleNamespace) -> None:
    protocol = factory.run().protocol
    slow = type(protocol)(**vars(protocol) | {"topology": Topology(update_every=500)})
    factory.keep(
        tmp_path,
        factory.record(factory.run("static"), 9600),
        factory.record(factory.run("rigl"), 9700),
        factory.record(factory.run("rigl", protocol=slow), 9650),
    )
    cells = stats.cells(load([tmp_path], factory.methods).current)
    found = dict(zip(cells["series"], cells["difference_mean"], strict=True))
    assert found["RigL, update_every=100"] == pytest.approx(0.01)
    assert found["RigL, update_every=500"] == pytest.approx(0.005)


def test_axes_show_what_a_layout_of_its_own_achieved(tmp_path: Path, factory: SimpleNamespace) -> None:
    run = factory.run(layout="mnist-authors", sparsity=0.98)
    factory.keep(tmp_path, factory.record(run, sparsity=0.9712))
    (found,) = stats.cells(load([tmp_path], factory.methods).current).to_dict("records")
    assert (found["sparsity"], found["axis_sparsity"], found["achieved_sparsity"]) == (0.98, 0.971, 0.9712)


def test_an_outcome_is_shown_where_it_was_reached_and_paired_with_nothing(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    """STR's run says sparsity 0, and there is a static run that was asked for 0; the third seed collapsed."""
    runs = [
        *(factory.record(factory.run("str", 0.0, seed), reached=0.90 + 0.02 * seed) for seed in range(2)),
        factory.record(factory.run("str", 0.0, 2), status="diverged", reached=1.0),
        *(factory.record(factory.run("static", 0.0, seed)) for seed in range(2)),
        *(factory.record(factory.run("static", 0.91, seed)) for seed in range(2)),
    ]
    cells = stats.cells(load([factory.keep(tmp_path, *runs)], factory.methods).current)
    (found,) = cells[cells["method"] == "str"].to_dict("records")
    assert found["axis_sparsity"] == found["achieved_sparsity"] == pytest.approx(0.91)  # (0.90 + 0.92) / 2
    assert math.isnan(found["sparsity"])
    assert (found["n"], found["diverged"], found["difference_n"]) == (2, 1, 0)


def test_an_outcome_that_no_run_reached_has_no_place(tmp_path: Path, factory: SimpleNamespace) -> None:
    skipped = factory.record(factory.run("str", 0.0), status="skipped: masks were given")
    (found,) = stats.cells(load([factory.keep(tmp_path, skipped)], factory.methods).current).to_dict("records")
    assert math.isnan(found["axis_sparsity"])


def test_a_method_without_a_distribution_is_compared_with_the_uniform_one(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    """All keep the same total, and the study resets GraSP's distribution to uniform: 97.0 less 96.0, not less 96.5."""
    runs = [
        factory.record(factory.run("grasp"), 9700),
        factory.record(factory.run("static"), 9600),
        factory.record(factory.run("static", distribution="erk"), 9650),
    ]
    cells = stats.cells(load([factory.keep(tmp_path, *runs)], factory.methods).current)
    (found,) = cells[cells["method"] == "grasp"].to_dict("records")
    assert (found["difference_n"], found["difference_mean"]) == (1, pytest.approx(0.01))


def test_a_ticket_is_compared_with_static_where_it_has_its_initial_weights(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    """A mask that another method takes is a condition of its own: RigL from static's mask is compared with nothing here."""
    origin = factory.run("pruning", snapshots=(100,))
    runs = [
        factory.record(factory.run("static"), 9600),
        factory.record(factory.run("ticket", start_from=StartFrom(origin, "mask")), 9700),
        factory.record(factory.run("ticket", start_from=StartFrom(origin, "both", rewind=100)), 9750),
        factory.record(factory.run("rigl", start_from=StartFrom(factory.run("static"), "mask")), 9800),
    ]
    cells = stats.cells(load([factory.keep(tmp_path, *runs)], factory.methods).current)
    found = dict(zip(cells["series"], cells["difference_n"], strict=True))
    assert found == {
        "Static": 0,
        "Lottery ticket, mask of pruning": 1,
        "Lottery ticket, weights and mask of pruning after step 100": 0,
        "RigL, mask of static": 0,
    }

"""Two sides against each other: intervals, regions and verdicts, by hand and against SciPy."""

from __future__ import annotations

import dataclasses
from itertools import product
from math import exp, nan
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from analysis import claims, records, stats
from analysis.claims.metrics import Unit
from analysis.claims.outcomes import Asked

BEATS = {"test": "beats", "sides": ["rigl", "set"]}


def test_a_difference_by_hand(tmp_path: Path, ask: SimpleNamespace) -> None:
    """Points 1, 2, 3: mean 2, standard deviation 1, t(.975, 2) = 4.3027, so half is 4.3027 / sqrt(3) = 2.4841."""
    (one,) = ask.found(tmp_path, ask.runs({"rigl": [9700, 9800, 9900], "set": [9600, 9600, 9600]}), BEATS)
    assert 100 * one.found.mean == pytest.approx(2)
    assert 100 * one.found.half == pytest.approx(2.4841, abs=1e-4)
    assert one.found.n == 3
    assert one.verdict == "undecided"
    assert one.claim == Asked("RigL beats SET", "evci2020rigl, section 4.1")
    assert one.setting == "lenet300 on mnist, uniform, 90 %"
    assert one.measured == "+2.0 ± 2.5 points (n=3)"
    assert one.region == "above 0 points"
    row = claims.table([one]).iloc[0]
    assert row[["estimate", "low", "high"]].tolist() == pytest.approx([2, 2 - 2.4841, 2 + 2.4841], abs=1e-4)
    assert (row["claimed_low"], pd.isna(row["claimed_high"]), row["unit"]) == (0.0, True, "points")


def test_intervals_are_scipys(tmp_path: Path, ask: SimpleNamespace) -> None:
    ours, theirs = [9713, 9742, 9698, 9731, 9725], [9702, 9738, 9705, 9699, 9711]
    (one,) = ask.found(tmp_path, ask.runs({"rigl": ours, "set": theirs}), BEATS)
    expected = scipy_stats.ttest_rel(np.array(ours) / 1e4, np.array(theirs) / 1e4).confidence_interval(0.95)
    assert (one.found.low, one.found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    ("test", "counts", "verdict"),
    [
        (BEATS, [9700, 9701, 9702], "supported"),
        (BEATS, [9500, 9501, 9502], "contradicted"),
        (BEATS, [9700], "undecided"),
        (BEATS, [9700, 9701], "undecided"),  # two seeds are too few
        (BEATS | {"least": 2}, [9700, 9700], "supported"),
        (BEATS | {"least": 4}, [9700, 9701, 9702], "undecided"),
        (BEATS | {"by": 0.9}, [9700, 9701, 9702], "supported"),  # 1.01 points, from 0.985 to 1.035
        (BEATS | {"by": 1.1}, [9700, 9701, 9702], "contradicted"),
        (BEATS | {"test": "reaches", "within": 0.2}, [9590, 9591, 9592], "supported"),  # behind by 0.09
        (BEATS | {"test": "reaches", "within": 0.2}, [9700, 9701, 9702], "supported"),
        (BEATS | {"test": "reaches", "within": 0.2}, [9570, 9571, 9572], "contradicted"),
        (BEATS | {"test": "equals", "within": 0.2}, [9590, 9591, 9592], "supported"),
        (BEATS | {"test": "equals", "within": 0.2}, [9700, 9701, 9702], "contradicted"),
        (BEATS | {"test": "equals", "within": 0.2}, [9600, 9620, 9640], "undecided"),
    ],
)
def test_the_verdict_is_the_interval_s(
    test: dict, counts: list[int], verdict: str, tmp_path: Path, ask: SimpleNamespace
) -> None:
    (one,) = ask.found(tmp_path, ask.runs({"rigl": counts, "set": [9600] * len(counts)}), test)
    assert one.verdict == verdict
    if len(counts) < one.least:
        assert f"fewer than {one.least} seeds" in one.measured


def test_a_chain_compares_neighbours(tmp_path: Path, ask: SimpleNamespace) -> None:
    made = ask.runs({"rigl": [9700], "set": [9600], "static": [9500]})
    asked = ask.found(tmp_path, made, {"test": "beats", "sides": ["rigl", "set", "static"]})
    assert [one.test for one in asked] == ["RigL beats SET", "SET beats Static"]


def test_lower_is_better_for_losses_and_they_differ_by_a_factor(tmp_path: Path, ask: SimpleNamespace) -> None:
    losses = {"rigl": [0.02, 0.04, 0.08], "pruning": [0.04, 0.08, 0.16]}
    kept = [
        ask.record(
            ask.run(method, seed=seed),
            result=dataclasses.replace(ask.record(ask.run()).result, train_loss_nats=loss),
        )
        for method, row in losses.items()
        for seed, loss in enumerate(row)
    ]
    at = records.read([ask.keep(tmp_path, *kept)])
    metric = {"sides": ["rigl", "pruning"], "metric": "train_loss"}
    beats, near = claims.findings(
        at, [ask.claim({"test": "beats", **metric}, {"test": "equals", "within": 0.1, **metric})]
    )
    assert exp(beats.found.mean) == pytest.approx(0.5)
    assert (beats.verdict, near.verdict) == ("supported", "contradicted")
    assert beats.test == "RigL beats Pruning in training loss"
    assert near.test == "RigL equals Pruning in training loss within 10 %"
    assert beats.measured == "0.5× (n=3)"
    assert near.region == "0.909 to 1.1×"


def test_a_loss_of_zero_has_no_factor(tmp_path: Path, ask: SimpleNamespace) -> None:
    result = ask.record(ask.run()).result
    kept = [
        ask.record(ask.run(method, seed=seed), result=dataclasses.replace(result, train_loss_nats=loss))
        for method, seed, loss in product(("rigl", "pruning"), (0, 1), (0.5,))
    ]
    kept[0] = dataclasses.replace(kept[0], result=dataclasses.replace(result, train_loss_nats=0.0))
    at = records.read([ask.keep(tmp_path, *kept)])
    (one,) = claims.findings(at, [ask.claim({"test": "beats", "sides": ["rigl", "pruning"], "metric": "train_loss"})])
    assert one.found.n == 1


def test_texts_are_not_judged_by_accuracy(tmp_path: Path, ask: SimpleNamespace) -> None:
    result = dataclasses.replace(ask.record(ask.run()).result, bits_per_character=1.5)
    kept = [ask.record(ask.run(method), result=result) for method in ("rigl", "set")]
    at = records.read([ask.keep(tmp_path, *kept)])
    bits = BEATS | {"metric": "bits_per_character"}
    (one,) = claims.findings(at, [ask.claim(BEATS, bits)])
    assert one.test == "RigL beats SET in bits per character"
    assert one.region == "below 0 bits"


def test_nothing_to_compare_is_a_dash() -> None:
    assert Unit("points", 100.0).words(stats.Interval(nan, 0, nan, nan)) == "– points (n=0)"

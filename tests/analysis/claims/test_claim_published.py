"""Our runs against printed numbers."""

from __future__ import annotations

import dataclasses
from math import log
from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis import claims, records
from analysis.errors import AnalysisError
from pipeline.run import StartFrom

VIB = {"test": "published", "side": {"method": "rigl"}, "source": "evci2020rigl"}


def test_against_a_printed_number(tmp_path: Path, ask: SimpleNamespace) -> None:
    """VIB's error is printed as 1.6 %, so its accuracy is 98.4 %: RigL at 98.0, 98.1, 98.2 is 0.3 behind."""
    made = ask.runs({"rigl": [9800, 9810, 9820]})
    test = VIB | {"relation": "reaches", "row": {"method": "VIB", "metric": "test_error_best"}}
    wide, narrow = ask.found(tmp_path, made, test | {"within": 0.6}, test | {"within": 0.1})
    assert 100 * wide.found.mean == pytest.approx(-0.3)
    assert (wide.verdict, narrow.verdict) == ("supported", "undecided")
    assert wide.test == "RigL reaches VIB as published within 0.6 points"
    assert wide.note == "printed: 1.6 (test_error_best)"


def test_sizes_are_compared_as_multiples_and_without_dead_units(tmp_path: Path, ask: SimpleNamespace) -> None:
    """RigL keeps 26,620 of 300 x 784 weights; the network that was taken from it has 100 x 400 positions in that layer.

    4 bytes a weight, a bit a position, 4 bytes for each of 100 units: 106,480 + 5,000 + 400 bytes.
    """
    parent = ask.run("rigl", 0.9, layout="mnist-authors")
    child = ask.run("rigl", 0.8, layout="mnist-authors", start_from=StartFrom(parent, "architecture"))
    small = dataclasses.replace(ask.record(parent).layers[0], shape=(100, 400), weights=40_000)
    kept = [ask.record(parent), ask.record(child, layers=(small,))]
    test = VIB | {"metric": "network_bytes", "relation": "beats", "row": {"method": "VIB", "metric": "size_bytes"}}
    (one,) = claims.findings(records.read([ask.keep(tmp_path, *kept)]), [ask.claim(test)])
    assert one.found.mean == pytest.approx(log(111_880 / 38_696))


def test_each_sparsity_is_held_against_its_own_row(tmp_path: Path, ask: SimpleNamespace) -> None:
    """The author's numbers of WRN-22-2: 94.2, 93.6, 92.9 and 91.8 at 50, 80, 90 and 95 %."""
    made = [(ask.run("rigl", sparsity, distribution="erk"), 9290) for sparsity in (0.8, 0.9)]
    test = {"test": "published", "side": {"method": "rigl", "distribution": "erk"}, "source": "rigl_issue8"}
    test |= {
        "relation": "equals",
        "within": 0.1,
        "row": {"method": "RigL", "train_multiplier": "1"},
        "each_sparsity": True,
    }
    asked = ask.found(tmp_path, made, test)
    assert sorted((one.where.sparsity, round(100 * one.found.mean, 6)) for one in asked) == [(0.8, -0.7), (0.9, 0.0)]


def test_a_printed_number_of_another_kind_is_refused(tmp_path: Path, ask: SimpleNamespace) -> None:
    test = VIB | {"relation": "beats", "row": {"method": "VIB", "metric": "size_bytes"}}
    with pytest.raises(AnalysisError, match="'size_bytes' is not accuracy"):
        ask.found(tmp_path, ask.runs({"rigl": [9800]}), test)

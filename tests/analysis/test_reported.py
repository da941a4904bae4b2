"""The published record: a true copy, every name of it known, every erratum about something."""

from __future__ import annotations

import os
from dataclasses import replace
from math import isnan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import errata, references, reported
from analysis.audit import verdicts
from analysis.errors import AnalysisError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "paper" / "published.csv"
ROWS, NAMES, REFERENCES = reported.rows(), reported.names(), references.load()


def test_the_record_is_a_true_copy() -> None:
    if not SHARED.is_file():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"there is no {SHARED}")
    assert reported.RECORD.read_bytes() == SHARED.read_bytes()


def test_every_metric_and_source_has_a_meaning_and_every_meaning_a_use() -> None:
    rows = ROWS + reported.rows(verdicts.FURTHER)
    assert set(NAMES.tables["metrics"]) == {row.metric for row in rows}
    assert set(NAMES.tables["sources"]) == {row.source_key for row in rows}
    assert set(NAMES.tables["updates"]) <= {row.method for row in rows}


def test_every_source_is_in_the_bibliography() -> None:
    for key in NAMES.tables["sources"]:
        assert REFERENCES.entry(NAMES.source(key).citation)["title"]


@pytest.mark.parametrize(
    ("look_up", "kind", "known"),
    [
        (NAMES.metric, "metric", "'top1_acc'"),
        (NAMES.source, "source", "'evci2020rigl'"),
        (NAMES.method, "method", "'RigL'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_valid_ones(look_up, kind: str, known: str) -> None:
    with pytest.raises(AnalysisError, match=rf"no {kind} 'nonsense'\n(.*){known}"):
        look_up("nonsense")


def test_printed_numbers_become_the_suites() -> None:
    assert NAMES.metric("top1_acc").value("76.8") == 0.768
    assert NAMES.metric("test_error").value("1.48") == 0.9852
    assert NAMES.metric("model_size_MB").value("23.683") == 23_683_000
    assert NAMES.metric("top1_acc").spread("0.09") == 0.0009
    assert isnan(NAMES.metric("top1_acc").spread(""))
    assert NAMES.metric("top1_acc_lower_bound") is None


@given(st.floats(0, 100, allow_subnormal=False))
def test_an_error_and_an_accuracy_add_up(printed: float) -> None:
    accuracy, error = NAMES.metric("test_acc").value(str(printed)), NAMES.metric("test_error").value(str(printed))
    assert accuracy + error == pytest.approx(1, abs=1e-9)


def test_what_a_name_says_of_updates_comes_before_what_its_source_says() -> None:
    assert NAMES.updates("RigL", "evci2020rigl") == {"update_every": 100, "drop_fraction": 0.3, "decay": "cosine"}
    tuned = NAMES.updates("RigL tuned (alpha=0.197, dT=50)", "sundar2021mlrc")
    assert tuned == {"update_every": 50, "drop_fraction": 0.197}
    assert NAMES.updates("RigL", "lee2023jaxpruner") == {}


# -- errata ---------------------------------------------------------------------------------------------------------------


def test_every_row_whose_remark_calls_it_an_error_has_an_erratum() -> None:
    found = errata.of(ROWS, errata.load())
    copied = [row for row in ROWS if "copy error" in row.where_in_source]
    assert len(copied) == 21
    for row in copied:
        assert any("train_x" in erratum.fields for erratum in found[row.line])
    whole = [row for row in copied if "WHOLE ROW" in row.where_in_source]
    assert len(whole) == 2
    assert all("mean" in erratum.fields for row in whole for erratum in found[row.line])
    conflicts = [row for row in ROWS if "CONFLICT" in row.where_in_source]
    assert [[erratum.fields for erratum in found[row.line]] for row in conflicts] == [[("mean",)]]


def test_an_erratum_of_no_row_is_an_error() -> None:
    (first, *_) = errata.load()
    lost = replace(first, where=errata.Where.of({"place": "Table 99"}))
    with pytest.raises(AnalysisError, match=r"an erratum fits no row.*Table 99"):
        errata.of(ROWS, [first, lost])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{where: {source: x}, fields: [mean], reason: r}", "entry 1, has the keys fields, reason, where"),
        ("{where: {source: x}, fields: [colour], reason: r, facts: f}", "entry 1, has the field 'colour'"),
        ("{where: {planet: x}, fields: [mean], reason: r, facts: f}", "the key 'planet'"),
    ],
)
def test_a_malformed_erratum_is_refused(tmp_path: Path, entry: str, message: str) -> None:
    (tmp_path / "errata.yaml").write_text(f"- {entry}\n")
    with pytest.raises(AnalysisError, match=message):
        errata.load(tmp_path / "errata.yaml")

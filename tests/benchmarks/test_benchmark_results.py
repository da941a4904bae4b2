"""Rows, their file, their table and figure, and the comparison with accepted ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks import compare, report, results, targets
from benchmarks.paired import Spread, TooBusy
from benchmarks.results import RATIO, Results, Row
from benchmarks.targets import Target

LOW = Target("a step", "<= 1.0", "a prototype")
HIGH = Target("a sparse step", ">= 4", "a prototype", why_not="it needs numba")


def spread(median: float) -> Spread:
    return Spread(median, median * 0.9, median * 1.1, kept=9, dropped=2)


def results_of(*rows: Row, hardware: str = "a processor, 1 thread(s) of 2") -> Results:
    return Results(hardware, 1, "2.13", "2026-01-02T03:04:05+00:00", "abc", 0.1, rows)


def ratio(id_: str, median: float | None, **about: str) -> Row:
    return Row(id_, f"words of {id_}", median=median, lower=median, upper=median, **about)


# -- targets -----------------------------------------------------------------------------------------------------------


def test_every_target_can_be_judged() -> None:
    found = targets.load()
    assert found["step-lenet300-default"].limit == 0.97
    for target in found.values():
        assert target.bound == f"{'<=' if target.better == 'lower' else '>='} {target.bound.split()[1]}"
        assert target.limit > 0 and target.words.strip() and target.source.strip() and target.why_not.strip()
        assert target.is_met(target.limit) and target.share(target.limit) == 1


def test_a_bound_has_a_direction() -> None:
    assert (LOW.better, LOW.is_met(0.9), LOW.is_met(1.1), LOW.share(0.5)) == ("lower", True, False, 0.5)
    assert (HIGH.better, HIGH.is_met(5), HIGH.is_met(3.9), HIGH.share(8)) == ("higher", True, False, 0.5)


# -- rows --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "median", "state"), [(LOW, 0.9, "met"), (LOW, 1.1, "missed"), (HIGH, 4.1, "met"), (HIGH, 3.0, "missed")]
)
def test_a_row_with_a_target_is_judged_by_its_median(target: Target, median: float, state: str) -> None:
    row = results.row_of("id", spread(median), target)
    assert (row.state, row.words, row.bound, row.better) == (state, target.words, target.bound, target.better)
    assert (row.median, row.kept, row.dropped, row.unit) == (median, 9, 2, RATIO)


def test_a_row_without_a_target_says_its_own_words() -> None:
    row = results.row_of("id", spread(1000), None, words="images", unit="images/s", better="higher")
    assert (row.state, row.words, row.unit, row.better, row.bound) == ("measured", "images", "images/s", "higher", None)


def test_what_was_too_busy_is_a_row_that_says_so() -> None:
    row = results.row_of("id", TooBusy(3, 17, 0.1), LOW)
    assert (row.state, row.median, row.kept, row.dropped, row.bound) == ("not measured", None, 3, 17, "<= 1.0")
    assert row.reason == "too busy: other processes used more than 0.1 cores in 17 of 20 rounds"


def test_a_target_that_nothing_measured_has_a_row_too() -> None:
    extra = results.row_of("extra", spread(2), None, words="extra")
    found = results.gathered([extra, results.row_of("high", spread(5), HIGH)], {"low": LOW, "high": HIGH})
    assert [(row.id, row.state) for row in found.rows] == [
        ("low", "not measured"),
        ("high", "met"),
        ("extra", "measured"),
    ]
    assert found.rows[0].reason == "its benchmark did not run"
    assert results.gathered([], {"high": HIGH}).rows[0].reason == "it needs numba"
    assert found.hardware and found.threads >= 1


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    found = results_of(results.row_of("low", spread(0.9), LOW), results.row_of("busy", TooBusy(1, 9, 0.1), HIGH))
    found.write(tmp_path / "new" / "benchmarks.json")
    assert results.read(tmp_path / "new" / "benchmarks.json") == found
    assert results.read(tmp_path / "missing.json") is None


# -- comparison --------------------------------------------------------------------------------------------------------


def test_a_ratio_has_worsened_by_more_than_a_tenth_in_its_own_direction() -> None:
    accepted = results_of(ratio("down", 1.0), ratio("up", 10.0, better="higher"))
    for down, up, worse in ((1.1, 9.1, set()), (1.11, 9.0, {"down", "up"}), (0.1, 99.0, set())):
        measured = results_of(ratio("down", down), ratio("up", up, better="higher"))
        assert set(compare.worsened(measured, accepted)) == worse
    assert compare.worsened(results_of(ratio("down", 2.0)), accepted) == {"down": 1.0}


def test_only_ratios_that_both_have_on_the_same_hardware_are_compared() -> None:
    accepted = results_of(ratio("a", 1.0), ratio("b", 1.0), ratio("c", 1.0, unit="s"), ratio("gone", 1.0))
    measured = results_of(ratio("a", None), ratio("new", 9.0), ratio("c", 9.0, unit="s"), ratio("b", 9.0))
    assert compare.worsened(measured, accepted) == {"b": 1.0}
    elsewhere = dataclasses.replace(accepted, hardware="another processor")
    assert compare.worsened(measured, elsewhere) == compare.worsened(measured, None) == {}


def test_the_verdict_says_why_nothing_is_compared_and_what_is_missing() -> None:
    measured = results_of(ratio("a", 1.05), ratio("b", None))
    assert "make bench-accept" in compare.verdict(measured, None)
    assert "another processor" in compare.verdict(measured, results_of(hardware="another processor"))
    assert compare.verdict(measured, results_of(ratio("a", 1.0))) == (
        "no ratio is worse by more than 10% than accepted on 2026-01-02"
    )
    assert compare.verdict(measured, results_of(ratio("a", 0.9), ratio("b", 1.0))).splitlines() == [
        "worse by more than 10%: words of a: 1.05, was 0.9",
        "accepted, but not measured now: b",
    ]


@pytest.mark.parametrize(("median", "code"), [(1.0, 0), (2.0, 1)])
def test_the_command_fails_when_a_ratio_worsened(
    median: float, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results_of(ratio("a", median)).write(tmp_path / "measured.json")
    results_of(ratio("a", 1.0)).write(tmp_path / "accepted.json")
    paths = ["--measured", str(tmp_path / "measured.json"), "--accepted", str(tmp_path / "accepted.json")]
    assert compare.main(paths) == code
    assert ("worse by more than 10%: " in capsys.readouterr().out) == bool(code)


def test_the_command_needs_something_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["--measured", str(tmp_path / "missing.json")]) == 2
    assert "make bench" in capsys.readouterr().err


# -- table and figure --------------------------------------------------------------------------------------------------


def some_results() -> Results:
    rows = [
        results.row_of("low", spread(0.9), LOW),
        results.row_of("high", spread(3), HIGH),
        results.row_of("images", spread(123456), None, words="images", unit="images/s", better="higher"),
        results.row_of("busy", TooBusy(1, 9, 0.1), LOW),
    ]
    return results_of(*rows)


def test_the_table_has_a_line_for_every_row() -> None:
    lines = report.table(some_results(), results_of(ratio("low", 0.5))).splitlines()
    assert "| a step | <= 1.0 | 0.9 [0.81, 0.99] | 9/2 | met, worse: was 0.5 |" in lines
    assert "| a sparse step | >= 4 | 3 [2.7, 3.3] | 9/2 | missed |" in lines
    assert "| images |  | 123,456 [111,110, 135,802] images/s | 9/2 | measured |" in lines
    busy = "too busy: other processes used more than 0.1 cores in 9 of 10 rounds"
    assert f"| a step | <= 1.0 |  | 1/9 | not measured: {busy} |" in lines
    assert lines[0].startswith("a processor, 1 thread(s) of 2; torch 2.13; 2026-01-02")
    assert lines[-1].startswith("worse by more than 10%")


def test_the_figure_shows_what_has_a_target_and_was_measured(tmp_path: Path) -> None:
    """A share of the bound, its quartiles in order also where higher is better."""
    rows = [row for row in some_results().rows if row.state in report.LOOKS]
    _, shares = report.draw(rows, {"low": LOW, "high": HIGH})
    assert shares["share"].tolist() == pytest.approx([0.9, 4 / 3])
    assert shares["from"].tolist() == pytest.approx([0.81, 4 / 3.3])
    assert shares["to"].tolist() == pytest.approx([0.99, 4 / 2.7])
    report.write(some_results(), None, {"low": LOW, "high": HIGH}, tmp_path / "benchmarks.json")
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {f"benchmarks.{kind}" for kind in ("json", "md", "png", "pdf", "csv")}


def test_without_a_judged_row_there_is_no_figure(tmp_path: Path) -> None:
    report.write(results_of(ratio("a", 1.0)), None, {}, tmp_path / "benchmarks.json")
    assert {path.name for path in tmp_path.iterdir()} == {"benchmarks.json", "benchmarks.md"}

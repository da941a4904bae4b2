"""The union of folders of records: the latest record of a run counts, and equal code must give equal results."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis.errors import AnalysisError
from analysis.records import load, union
from pipeline.record import COMPARABILITY_VERSION, Record


def made(record: Record, finished: str, digest: str = "one") -> Record:
    """``record``, finished then, by that code."""
    timing = record.timing and dataclasses.replace(record.timing, finished=finished)
    provenance = dataclasses.replace(record.provenance, source_digest=digest)
    return dataclasses.replace(record, timing=timing, provenance=provenance)


def folders(factory: SimpleNamespace, path: Path, *records: Record) -> list[Path]:
    """One folder each."""
    return [factory.keep(path / str(number), record) for number, record in enumerate(records)]


def test_the_latest_record_of_a_run_counts_wherever_it_is(factory: SimpleNamespace, tmp_path: Path) -> None:
    run = factory.run()
    old, new = (
        made(factory.record(run, 9000), "2026-01-01", "old"),
        made(factory.record(run, 9500), "2026-01-02", "new"),
    )
    places = folders(factory, tmp_path, new, old)
    for order in (places, places[::-1]):
        assert union(order, factory.methods).current["test_correct"].tolist() == [9500]
    with pytest.raises(AnalysisError, match="two records"):
        load(places, factory.methods)


def test_runs_of_several_folders_are_one_cell(factory: SimpleNamespace, tmp_path: Path) -> None:
    first, second = (factory.record(factory.run(seed=seed)) for seed in (0, 1))
    table = union(folders(factory, tmp_path, first, second), factory.methods)
    assert table.current["cell"].nunique() == 1
    assert table.current["seed"].tolist() == [0, 1]
    assert len(table.loaded) == 2


def test_equal_code_with_unequal_results_is_an_error_that_names_both(factory: SimpleNamespace, tmp_path: Path) -> None:
    run = factory.run()
    pair = (made(factory.record(run, 9000), "2026-01-01"), made(factory.record(run, 9001), "2026-01-02"))
    places = folders(factory, tmp_path, pair[1], made(factory.record(run, 9300), "2026-02-02", "other"), pair[0])
    with pytest.raises(AnalysisError) as caught:
        union(places, factory.methods)
    message = str(caught.value)
    assert "9001 of 10000 and 9000 of 10000" in message
    assert all(str(place) in message for place in (places[0], places[2]))


def test_equal_results_of_equal_code_and_a_repaired_failure_are_no_errors(
    factory: SimpleNamespace, tmp_path: Path
) -> None:
    run = factory.run()
    failed = made(factory.record(run, status="failed: no space"), "2026-01-01")
    again = made(factory.record(run, 9000), "2026-01-02"), made(factory.record(run, 9000), "2026-01-03")
    table = union(folders(factory, tmp_path, failed, *again), factory.methods)
    assert table.current["status"].tolist() == ["done"]


def test_a_newer_comparability_version_comes_before_a_later_date(factory: SimpleNamespace, tmp_path: Path) -> None:
    run = factory.run()
    older = made(factory.record(run, 9000, comparability_version=COMPARABILITY_VERSION - 1), "2026-05-05")
    current = made(factory.record(run, 9500), "2026-01-01")
    table = union(folders(factory, tmp_path, older, current), factory.methods)
    assert table.current["test_correct"].tolist() == [9500]
    assert table.apart.empty

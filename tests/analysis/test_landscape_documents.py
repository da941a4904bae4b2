"""Documents of a landscape: where they are found, in which order, what is refused, and what is committed of them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis.errors import AnalysisError
from analysis.landscape import documents


def curves(landscapes: SimpleNamespace, first: str, second: str, **cell: object) -> dict:
    line = landscapes.curve("linear", "line", [0.4, 0.9, 0.2])
    ends = landscapes.group((first, 0), (second, 0), curves=[line])
    return landscapes.document("curves", ends, job=f"{first}-{second}-{sorted(cell.items())}", **cell)


def test_cells_come_in_order_and_pairs_as_the_study_lists_them(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    kinds = [
        landscapes.document("maps", landscapes.maps()),
        curves(landscapes, "static", "rigl"),
        curves(landscapes, "static", "pruning"),
        curves(landscapes, "rigl", "rigl"),
        curves(landscapes, "static", "pruning", sparsity=0.8),
    ]
    found = documents.read([landscapes.write(tmp_path, *kinds)])
    assert [one.cell["sparsity"] for one in found] == [0.8, 0.95, 0.95, 0.95, 0.95]
    pairs = [[documents.method_of(run) for run in one.found[0]["runs"]] for one in found[1:-1]]
    assert pairs == [["static", "pruning"], ["static", "rigl"], ["rigl", "rigl"]]
    assert found[-1].kind == "maps"


def test_a_cell_is_said_in_words(landscapes: SimpleNamespace) -> None:
    options = {"distribution": "erk", "multiplier": 0.1, "model_options": {"width": 2}}
    one = documents.Document("", landscapes.document("maps", landscapes.maps(), **options))
    assert one.cell["cell"] == "lenet300 (width=2) on mnist, 0.1× training, ERK, 95 %"


@pytest.mark.parametrize(
    ("run", "method"),
    [("mnist-lenet300/rigl/s95/seed0-1", "rigl"), ("a-b-c/small_dense-erk/s98-x0.1/seed3-2", "small_dense")],
)
def test_the_method_is_in_the_path_of_a_run(run: str, method: str) -> None:
    assert documents.method_of(run) == method


def test_what_is_collected_reads_the_same(tmp_path: Path, landscape: Path) -> None:
    collected = tmp_path / "reference" / documents.COLLECTED
    assert documents.collect([landscape], collected) == 5
    assert len(collected.read_text(encoding="utf-8").splitlines()) == 5
    expected = [one.content for one in documents.read([landscape])]
    assert [one.content for one in documents.read([collected])] == expected
    assert [one.content for one in documents.read([collected.parent])] == expected


def test_nothing_to_collect_is_said(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="there are no measurements to collect"):
        documents.collect([tmp_path], tmp_path / "x.jsonl")
    assert not (tmp_path / "x.jsonl").exists()


def test_a_job_found_twice_is_refused_with_both_places(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    one = landscapes.document("maps", landscapes.maps(), job="a-map")
    first, second = (landscapes.write(tmp_path / name, one) for name in ("first", "second"))
    with pytest.raises(AnalysisError, match=r"a-map was measured twice: .*first.*a-map.json and .*second"):
        documents.read([first, second])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema_version": 99}, r"one.json has schema version 99, this is 1"),
        ({"kind": "tides"}, r"one.json is no measurement of a landscape"),
        ({"found": []}, r"one.json is no measurement of a landscape"),
        (None, r"one.json is not JSON: .*\nmeasure it again"),
    ],
)
def test_what_is_no_document_is_named(
    change: dict | None, complaint: str, tmp_path: Path, landscapes: SimpleNamespace
) -> None:
    written = json.dumps(landscapes.document("maps", landscapes.maps()) | (change or {}))
    (tmp_path / "one.json").write_text(written if change else written[:100], encoding="utf-8")
    with pytest.raises(AnalysisError, match=complaint):
        documents.read([tmp_path])


def test_what_is_neither_a_folder_nor_a_collection_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"nowhere is neither a folder of measurements nor a .jsonl"):
        documents.read([tmp_path / "nowhere"])

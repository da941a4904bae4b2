"""The leaderboard: all rows, nothing from a record runs as code, nothing comes from the network."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from analysis import references, stats
from analysis.leaderboard import page
from analysis.records import Table, load
from pipeline.record import Ledger, Record


class Reader(HTMLParser):
    """Rows of the page's tables as lists of texts; scripts, and addresses that a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.scripts = 0
        self.loaded: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.scripts += tag == "script"
        self.loaded += [value for name, value in attrs if name == "src" or (tag == "link" and name == "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data.strip()


@pytest.fixture
def table(frame: pd.DataFrame) -> Table:
    return Table(frame, frame[:0])


def written(table: Table, folder: Path) -> tuple[str, pd.DataFrame, dict]:
    html, csv, data = page.write(table, references.load(), "quick", folder)
    return html.read_text(), pd.read_csv(csv), json.loads(data.read_text())


def test_every_cell_is_a_row_under_its_headings(table: Table, tmp_path: Path) -> None:
    html, csv, data = written(table, tmp_path)
    headings, *rows = Reader(html).rows
    assert headings == list(page.COLUMNS.values())
    assert len(rows) == len(csv) == len(data["rows"]) == len(stats.cells(table.current)) == 9
    (rigl,) = [row for row in rows if row[0] == "RigL" and row[2] == "80.0 %"]
    shown = dict(zip(page.COLUMNS, rigl, strict=True))
    del shown["size"], shown["seconds"]
    assert " | ".join(shown.values()) == (
        "RigL | 97.2 ± 0.5 | 80.0 % | gradient, at topology updates | sparse-to-sparse | 0.210× | – | 0.200× | – | – | "
        "mnist | lenet300 | 3 |  | uniform | 1× | evci2020rigl"
    )
    problems = list(page.COLUMNS).index("problems")
    assert {row[problems] for row in rows if row[0] == "SNIP"} == {"1 diverged, 1 skipped"}


def shown_of(folder: Path, factory: SimpleNamespace, *records: Record) -> dict[str, dict[str, str]]:
    """What the page shows, by method and column."""
    html, _, _ = written(load([factory.keep(folder / "runs", *records)], factory.methods), folder / "out")
    _, *rows = Reader(html).rows
    return {row[0]: dict(zip(page.COLUMNS, row, strict=True)) for row in rows}


def test_what_is_dense_is_told_of_every_method(tmp_path: Path, factory: SimpleNamespace) -> None:
    names = ("static", "rigl", "pruning", "mine")
    shown = shown_of(tmp_path, factory, *(factory.record(factory.run(name)) for name in names))
    assert {name: (row["family"], row["dense"]) for name, row in shown.items()} == {
        "Static": ("sparse-to-sparse", "nothing"),
        "RigL": ("sparse-to-sparse", "gradient, at topology updates"),
        "Pruning": ("dense-to-sparse", "weights, until pruned"),
        "mine": ("unknown", "unknown"),
    }


def test_memory_file_and_exploration_are_means_over_seeds(tmp_path: Path, factory: SimpleNamespace) -> None:
    explored = {0: 0.25, 1: 0.35}
    records = [
        factory.record(
            factory.run("rigl", 0.9, seed),
            explored=share,
            peak_parameter_bytes=1_171_280,
            file_bytes=28_000 + 3000 * seed,
        )
        for seed, share in explored.items()
    ]
    row = shown_of(tmp_path, factory, *records)["RigL"]
    assert (row["explored"], row["peak"], row["file"]) == ("30.0 %", "1,171 kB", "30 kB")


def test_an_outcome_has_a_row_at_what_it_reached(tmp_path: Path, factory: SimpleNamespace) -> None:
    """Not under 0 %, which its run says: in the filter and in the files too."""
    reached = factory.record(factory.run("str", 0.0), reached=0.913)
    table = load([factory.keep(tmp_path, reached, factory.record(factory.run("rigl")))], factory.methods)
    html, csv, data = written(table, tmp_path / "out")
    (row,) = [row for row in Reader(html).rows if row[0] == "STR"]
    assert row[2] == "91.3 % (an outcome)"
    assert '<option value="0.913">91.3 %</option>' in html
    assert "0 %</option>" not in html.replace("90 %</option>", "")
    (entry,) = [entry for entry in data["rows"] if entry["method"] == "str"]
    assert (entry["sparsity"], entry["sparsity_is_outcome"], entry["achieved_sparsity"]) == (None, True, 0.913)
    assert list(csv["series"]) == ["RigL", "STR"]  # 90 % first


def test_training_cost_without_a_closed_form_is_the_sum_of_what_was_done(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    """0.1 of the dense run's 3 * 532,000 * 1000 * 100 FLOPs."""
    ledger = Ledger(532_000, 53_200, 0.1, None, 15_960_000_000, 159_600_000_000)
    record = factory.record(factory.run("grasp"), flops={"macs": ledger, "rigl": ledger})
    row = shown_of(tmp_path, factory, record)["GraSP"]
    assert (row["train"], row["distribution"]) == ("0.100× Σ", "–")


def test_rows_are_best_first_within_a_sparsity(table: Table, tmp_path: Path) -> None:
    _, csv, _ = written(table, tmp_path)
    assert list(csv.loc[csv["sparsity"] == 0.8, "series"]) == ["RigL, ERK", "RigL", "Static", "SNIP"]


def test_files_hold_the_numbers_of_the_cells(table: Table, tmp_path: Path) -> None:
    _, csv, data = written(table, tmp_path)
    assert list(csv) == list(data["rows"][0]) == page.FIELDS
    cells = stats.cells(table.current).set_index("cell")
    for row in data["rows"]:
        assert row["mean"] == cells.loc[row["cell"], "mean"]
        assert (row["low"] is None) == (row["n"] < 2)
    assert (data["date"], data["runs"], data["study"]) == ("2026-01-03T10:00:00Z", 27, "quick")


def test_nothing_of_a_record_becomes_markup(tmp_path: Path, factory: SimpleNamespace) -> None:
    evil = '</script><script>alert("x")</script>'
    run = factory.run("snip", model=f"mine:{evil}", method_options={"scope": evil})
    record = factory.record(run, status=f"failed: {evil}")
    harmless = factory.keep(tmp_path / "harmless", factory.record(factory.run("snip")))
    table = load([factory.keep(tmp_path / "evil", record)], factory.methods)
    html, _, data = written(table, tmp_path / "out")
    plain, _, _ = written(load([harmless], factory.methods), tmp_path / "plain")
    assert Reader(html).scripts == Reader(plain).scripts == 2
    assert "<script>alert" not in html
    assert data["rows"][0]["reason"] == evil
    assert any(evil.replace(" ", "") in text.replace(" ", "") for text in Reader(html).rows[1])


def test_the_page_loads_nothing(table: Table, tmp_path: Path) -> None:
    html, _, _ = written(table, tmp_path)
    assert Reader(html).loaded == []
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest", html)
    assert "1911.11134" in html


def test_headings_can_be_sorted_by_keyboard(table: Table, tmp_path: Path) -> None:
    html, _, _ = written(table, tmp_path)
    headings = re.findall(r'<th scope="col"[^>]* aria-sort="none"><button type="button">', html)
    assert len(headings) == len(page.COLUMNS)


def test_other_versions_are_in_a_table_of_their_own(table: Table, tmp_path: Path) -> None:
    old = table.current[table.current["method"] == "static"].assign(comparability_version=0)
    html, csv, _ = written(Table(table.current, old), tmp_path)
    above, below = html.split("<details>")
    assert above.count("<tr data-row=") == 9
    assert "2 rows of another comparability version" in below
    assert len(Reader(below).rows) == 3
    assert list(csv["comparability_version"]) == [1] * 9 + [0] * 2


def test_no_records_are_said(table: Table, tmp_path: Path) -> None:
    html, csv, data = written(Table(table.apart, table.apart), tmp_path)
    assert "No data: no records were found." in html
    assert csv.empty
    assert data["rows"] == []


def test_a_citation_without_an_entry_has_a_row_but_no_link(tmp_path: Path, factory: SimpleNamespace) -> None:
    methods = factory.methods | {"rigl": replace(factory.methods["rigl"], citation="nobody2020")}
    folder = factory.keep(tmp_path, factory.record(factory.run()))
    html, csv, _ = written(load([folder], methods), tmp_path / "out")
    assert "nobody2020" in html
    assert csv["link"].isna().all()


def test_the_same_records_give_the_same_files(table: Table, tmp_path: Path) -> None:
    written(table, tmp_path / "a")
    written(table, tmp_path / "b")
    for name in ("index.html", "leaderboard.csv", "leaderboard.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

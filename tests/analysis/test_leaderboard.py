"""The leaderboard's rows, files and page as text; ``tests/browser`` opens the page."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from math import nan
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import points, references, stats, style
from analysis.errors import AnalysisError
from analysis.leaderboard import cite, columns, files, libraries, page, recorded, rows, scatter, views
from analysis.leaderboard.fields import FIELDS
from analysis.records import Table, load
from pipeline.record import Ledger, Record, write_json
from tests.submissions import hostile


class Reader(HTMLParser):
    """Of a page: its scripts, the data in it, its policy, its tables' rows, and addresses that a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.rows: list[list[str]] = []
        self.loaded: list[str] = []
        self.policy = ""
        self.data: dict[str, Any] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        given = dict(attrs)
        self.loaded += [given[name] for name in ("src", "data", "poster") if name in given]
        self.loaded += [given["href"]] if tag == "link" else []
        self.policy = given["content"] if given.get("http-equiv") == "Content-Security-Policy" else self.policy
        self._inside = "data" if given.get("type") == "application/json" else tag
        if tag == "script" and self._inside == "script":
            self.scripts.append("")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside == "data":
            self.data = json.loads(data)
        elif self._inside in ("td", "th"):
            self.rows[-1][-1] += data.strip()


def unpacked(packed: dict[str, Any]) -> list[dict[str, Any]]:
    """The inverse of ``files.packed``, as page.js has it."""
    lists = {
        name: column if isinstance(column, list) else [column["of"][place] for place in column["at"]]
        for name, column in packed.items()
    }
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def written(frame: pd.DataFrame, folder: Path) -> tuple[Reader, pd.DataFrame, dict]:
    html, csv, data = page.write(frame, references.load(), "a study", folder)
    table = pd.read_csv(csv, keep_default_na=False, na_values=[""], dtype={"cell": "str", "id": "str"})
    return Reader(html.read_text()), table, json.loads(data.read_text())


@pytest.fixture
def table(study: Path, factory: SimpleNamespace) -> Table:
    return load([study], factory.methods)


@pytest.fixture
def ours(factory: SimpleNamespace, tmp_path: Path) -> Any:
    """A function from records to the rows of the leaderboard."""

    def made(*records: Record) -> list[rows.Row]:
        return rows.rows(recorded.of(load([factory.keep(tmp_path / "runs", *records)], factory.methods)), {})

    return made


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    return points.reported(references.load())


def texts_of(row: rows.Row) -> dict[str, str]:
    shown = columns.shown(row, columns.COLUMNS)
    return {column.name: text for column, (text, _) in zip(columns.COLUMNS, shown, strict=True)}


# -- rows --


def test_every_cell_is_a_row_in_all_three_files(table: Table, tmp_path: Path) -> None:
    html, csv, data = written(recorded.of(table), tmp_path)
    cells = stats.cells(table.current).set_index("cell")
    assert len(csv) == len(data["rows"]) == len(unpacked(html.data["rows"])) == len(cells) == 9
    assert unpacked(html.data["rows"]) == data["rows"]
    for row in data["rows"]:
        for name in ("mean", "train_x", "size_bytes", "peak_parameter_bytes", "hardware", "commit", "family"):
            due = cells.loc[row["cell"], name]
            assert row[name] == (None if pd.isna(due) else due)
        assert (row["low"] is None) == (row["n"] < 2)
    assert (data["date"], data["runs"], data["title"]) == ("2026-01-03", 27, "a study")


def test_what_is_shown_of_a_row(table: Table) -> None:
    found = rows.rows(recorded.of(table), {})
    (rigl,) = [row for row in found if row["series"] == "RigL" and row["sparsity"] == 0.8]
    shown = texts_of(rigl)
    del shown["size"], shown["seconds"], shown["memory"], shown["bits_per_character"]
    assert " | ".join(shown.values()) == (
        "RigL | 97.2 ± 0.5 | 80.0 % | 0.210× | 0.200× | lenet300 | mnist | uniform | 1× | ● reproduced | 3 | runs |  |  | "
        "sparse-to-sparse | gradient, at topology updates | every 100 steps, 30 %, cosine | – | – | – | 12.5 ms | "
        "1.000× | masked | evci2020rigl | two cores of a test | 2026-01-03"
    )
    assert {texts_of(row)["problems"] for row in found if row["method"] == "snip"} == {"1 diverged, 1 skipped"}
    assert {row["reason"] for row in found if row["method"] == "snip"} == {"an empty layer"}


def test_rows_are_best_first_within_a_sparsity(table: Table) -> None:
    found = rows.rows(recorded.of(table), {})
    assert [row["series"] for row in found if row["sparsity"] == 0.8] == ["RigL, ERK", "RigL", "Static", "SNIP"]


def test_the_largest_setting_comes_first(table: Table, published: pd.DataFrame) -> None:
    found = rows.rows(pd.concat([published, recorded.of(table)], ignore_index=True), {})
    settings = [(row["dataset"], row["model_words"]) for row in found]
    assert settings[0] == ("imagenet", "resnet50")
    assert len(list(dict.fromkeys(settings))) == sum(a != b for a, b in pairwise(settings)) + 1


def test_what_is_dense_is_told_of_every_method(ours: Any, factory: SimpleNamespace) -> None:
    found = ours(*(factory.record(factory.run(name)) for name in ("static", "rigl", "pruning", "mine")))
    assert {row["label"]: (row["family"], row["dense_parts"]) for row in found} == {
        "Static": ("sparse-to-sparse", ""),
        "RigL": ("sparse-to-sparse", "gradient, at topology updates"),
        "Pruning": ("dense-to-sparse", "weights, until pruned"),
        "mine": ("unknown", "unknown"),
    }


def test_memory_file_and_exploration_are_means_over_seeds(ours: Any, factory: SimpleNamespace) -> None:
    explored = {0: 0.25, 1: 0.35}
    (row,) = ours(
        *(
            factory.record(
                factory.run("rigl", 0.9, seed),
                explored=share,
                peak_parameter_bytes=1_171_280,
                file_bytes=28_000 + 3000 * seed,
            )
            for seed, share in explored.items()
        )
    )
    shown = texts_of(row)
    assert (shown["explored"], shown["peak"], shown["file"]) == ("30.0 %", "1,171 kB", "30 kB")


def test_layers_and_configuration_come_with_the_row(ours: Any, factory: SimpleNamespace) -> None:
    """Layer fc1 at 0.9 in one seed and at 0.8 in the other; a run that diverged has no part in it."""
    first, second = (factory.record(factory.run("rigl", 0.9, seed), reached=1 - 0.1 * (seed + 1)) for seed in (0, 1))
    lost = factory.record(factory.run("rigl", 0.9, 2), status="diverged", reached=0.5)
    (row,) = ours(first, second, lost)
    assert (row["layer_names"], row["layer_sparsities"]) == (["fc1"], [0.85])
    assert row["seeds"] == [0, 1, 2]
    assert row["configuration"]["protocol"] == {"steps": 1000, "batch_size": 100, "learning_rate": {"peak": 0.1}}
    assert "seed" not in row["configuration"]


def test_an_outcome_has_a_row_at_what_it_reached(ours: Any, factory: SimpleNamespace) -> None:
    """Not under 0 %, which its run says: in the filter and in the files too."""
    rigl, outcome = ours(factory.record(factory.run("str", 0.0), reached=0.913), factory.record(factory.run("rigl")))
    assert texts_of(outcome)["sparsity"] == "91.3 % (an outcome)"
    assert (outcome["sparsity"], outcome["sparsity_is_outcome"], outcome["achieved_sparsity"]) == (None, True, 0.913)
    facets = [views.facets(row, views.method_names([rigl, outcome])) for row in (rigl, outcome)]
    assert views.choices(facets)["sparsity"] == ["90 %", "91.3 %"]


def test_training_cost_without_a_closed_form_is_the_sum_of_what_was_done(ours: Any, factory: SimpleNamespace) -> None:
    """0.1 of the dense run's 3 * 532,000 * 1000 * 100 FLOPs."""
    ledger = Ledger(532_000, 53_200, 0.1, None, 15_960_000_000, 159_600_000_000)
    (row,) = ours(factory.record(factory.run("grasp"), flops={"macs": ledger, "rigl": ledger}))
    assert (texts_of(row)["train"], texts_of(row)["distribution"]) == ("0.100× Σ", "–")
    assert views.plotted(row)["cost"] == pytest.approx(0.1)


def test_published_numbers_are_shown_as_printed_with_what_is_known(published: pd.DataFrame) -> None:
    found = rows.rows(published, {"rigl": "evci2020rigl"})
    (row,) = [
        row
        for row in found
        if (row["label"], row["source"], row["sparsity"], row["distribution"], row["multiplier"], row["dataset"])
        == ("RigL", "evci2020rigl", 0.9, "erk", 1, "imagenet")
        and row["place"].startswith("Figure 2 (left)")
    ]
    shown = texts_of(row)
    assert (shown["accuracy"], shown["train"], shown["kind"]) == ("73.0 (s.d. 0.04)", "0.250×", "○ reported")
    assert (row["citation"], row["comparability_version"], row["low"]) == ("evci2020rigl", None, None)
    assert rows.comparable(row)


def test_what_is_suspect_does_not_count_for_the_front(published: pd.DataFrame) -> None:
    found = rows.rows(published, {})
    suspect = [row for row in found if {"mean", "train_x"} & set(row["suspect"].split())]
    assert suspect
    assert not any(views.plotted(row)["counts"] for row in suspect)
    assert all(row["erratum"] in views.plotted(row)["about"] for row in suspect)
    clean = [row for row in found if not row["erratum"]]
    assert all(views.plotted(row)["counts"] for row in clean)


def test_a_run_that_starts_from_another_does_not_count_for_the_front(ours: Any, factory: SimpleNamespace) -> None:
    (row,) = ours(factory.record(factory.run("rigl")))
    assert views.plotted(row)["counts"]
    assert not views.plotted(row | {"start": "mask of pruning"})["counts"]


def test_bits_per_character_have_a_column_and_a_panel_of_their_own(ours: Any, factory: SimpleNamespace) -> None:
    (row,) = ours(factory.record(factory.run("rigl")))
    text = row | {"metric": "bits_per_character", "mean": 1.234, "low": 1.2, "high": 1.268, "dataset": "wikitext103"}
    names = [column.name for column in columns.columns([row])]
    assert "bits_per_character" not in names
    assert {"accuracy", "bits_per_character"} < {column.name for column in columns.columns([row, text])}
    assert texts_of(text)["bits_per_character"] == "1.234 ± 0.034"
    assert texts_of(text)["accuracy"] == ""
    assert (views.plotted(text)["better"], views.plotted(text)["group"]) == (
        -1,
        "lenet300 on wikitext103, bits per character",
    )


def test_training_losses_are_not_ranked(table: Table) -> None:
    assert points.TRAIN_LOSS in set(recorded.of(table)["metric"])
    assert {row["metric"] for row in rows.rows(recorded.of(table), {})} == {"accuracy"}


def test_ids_tell_rows_apart_and_do_not_follow_their_numbers(table: Table) -> None:
    frame = recorded.of(table)
    found = rows.rows(pd.concat([frame, frame], ignore_index=True), {})
    assert len({row["id"] for row in found}) == len(found) == 18
    moved = rows.rows(frame.assign(mean=frame["mean"] - 0.1), {})
    assert {row["id"] for row in moved} == {row["id"] for row in rows.rows(frame, {})}


def test_other_versions_are_apart(study: Path, factory: SimpleNamespace, tmp_path: Path) -> None:
    for seed in range(3):
        file = study / factory.run("static", 0.9, seed).path / "record.json"
        write_json(file, json.loads(file.read_text()) | {"comparability_version": 0})
    html, csv, data = written(recorded.of(load([study], factory.methods)), tmp_path / "out")
    assert len(unpacked(html.data["rows"])) == 8
    head, line = html.rows
    assert head[:3] == ["Comparability version", "Method", "Accuracy, %"]
    assert line[:4] == ["0", "Static", "95.1 ± 0.2", "90.0 %"]
    assert sorted(csv["comparability_version"]) == [0] + [1] * 8
    assert len(data["rows"]) == 9


def test_no_records_are_no_rows(table: Table, tmp_path: Path) -> None:
    html, csv, data = written(recorded.of(Table(table.apart, table.apart)), tmp_path)
    assert unpacked(html.data["rows"]) == data["rows"] == []
    assert csv.empty
    assert list(csv) == [field.name for field in FIELDS]


# -- files --


def test_the_json_says_what_each_field_means(table: Table, tmp_path: Path) -> None:
    _, csv, data = written(recorded.of(table), tmp_path)
    assert list(data["fields"]) == list(csv) == [field.name for field in FIELDS]
    assert all(said["title"] and said["words"] for said in data["fields"].values())
    assert list(data["rows"][0]) == [field.name for field in FIELDS]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**50), 2**50),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.lists(st.floats(0, 1), max_size=3),
    st.dictionaries(st.text(), st.integers(), max_size=3),
)


@given(st.lists(st.fixed_dictionaries({"a": VALUES, "b": VALUES}), max_size=20))
def test_packed_rows_come_out_as_they_went_in(table: list[dict]) -> None:
    found = unpacked(json.loads(json.dumps(files.packed(table))))
    assert json.dumps(found, sort_keys=True) == json.dumps(table, sort_keys=True)


@given(st.text())
def test_no_text_of_the_csv_is_a_formula_and_none_is_lost(text: str) -> None:
    shown = rows.visible(text)
    row = {field.name: None for field in FIELDS} | {"label": shown}
    whole = pd.read_csv(io.StringIO(files.csv_text([row])), keep_default_na=False, dtype="str")
    found = whole["label"][0]
    assert not found.startswith(files.FORMULA)
    assert found.removeprefix("'") == shown.removeprefix("'")


@given(st.text())
def test_nothing_invisible_is_left_and_what_is_visible_stays(text: str) -> None:
    shown = rows.visible(text)
    assert all(character.isprintable() for character in shown if character.isascii())
    assert not set("\u202e\u200b\u2066\x00\ufeff") & set(shown)
    assert rows.visible(shown) == shown
    assert rows.visible("Ünï‐çødé ✓ 稀疏 <b>") == "Ünï‐çødé ✓ 稀疏 <b>"
    assert rows.visible("a\u202eb\0") == "a\\u202eb\\u0000"


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://arxiv.org/abs/1911.11134v3", True),
        ("http://example.org/?a=b&c", True),
        ("javascript:alert(1)", False),
        ("data:text/html,<script>", False),
        ('https://x" onclick="y', False),
        ("https://[", True),  # the browser's own business
        ("//example.org", False),
    ],
)
def test_only_addresses_of_the_web_are_links(table: Table, address: str, kept: bool) -> None:
    found = rows.rows(recorded.of(table).assign(url=address, code=address), {})
    assert {(row["url"], row["code"]) for row in found} == {(address, address) if kept else ("", "")}


# -- the page --


def test_nothing_of_a_record_becomes_markup(tmp_path: Path, factory: SimpleNamespace) -> None:
    evil = '</script><script>alert("x")</script>'
    run = factory.run("snip", model=f"mine:{evil}", method_options={"scope": evil})
    record = factory.record(run, status=f"failed: {evil}")
    html, _, data = written(
        recorded.of(load([factory.keep(tmp_path / "evil", record)], factory.methods)), tmp_path / "out"
    )
    assert len(html.scripts) == 3
    assert not any("alert" in script for script in html.scripts[2:])
    assert data["rows"][0]["reason"] == evil
    assert unpacked(html.data["rows"])[0]["model"] == f"mine:{evil}"


def test_a_submission_is_a_row_with_its_card_and_its_records(tmp_path: Path) -> None:
    for index, text in enumerate(hostile.SHOWN[:4]):
        hostile.submission(tmp_path / "all" / f"evil-{index}", text)
    html, csv, data = written(recorded.submitted(tmp_path / "all"), tmp_path / "out")
    assert len(html.scripts) == 3
    assert not any(hostile.MARK in script for script in html.scripts)
    assert {row["label"] for row in data["rows"]} == set(hostile.SHOWN[:4]) == set(csv["label"])
    assert {row["kind"] for row in data["rows"]} == {"submitted"}
    assert all(row["bibtex"] and row["contact"] and row["layer_names"] and row["hardware"] for row in data["rows"])
    names = views.method_names(data["rows"])
    assert {views.facets(row, names)["method"] for row in data["rows"]} == set(hostile.SHOWN[:4])


def test_the_page_runs_its_own_scripts_only_and_loads_nothing(table: Table, tmp_path: Path) -> None:
    html, _, _ = written(recorded.of(table), tmp_path)
    assert html.loaded == []
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in html.scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert f"default-src 'none'; script-src {allowed};" in html.policy
    assert not re.search(r"@import|fetch\(|XMLHttpRequest|innerHTML|eval\(", html.scripts[2])


def test_the_same_records_give_the_same_files(table: Table, tmp_path: Path) -> None:
    written(recorded.of(table), tmp_path / "a")
    written(recorded.of(table), tmp_path / "b")
    for name in ("index.html", "leaderboard.csv", "leaderboard.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_citation_without_an_entry_has_a_row_but_no_link(tmp_path: Path, factory: SimpleNamespace) -> None:
    methods = factory.methods | {"rigl": replace(factory.methods["rigl"], citation="nobody2020")}
    folder = factory.keep(tmp_path, factory.record(factory.run()))
    html, csv, _ = written(recorded.of(load([folder], methods)), tmp_path / "out")
    assert list(csv["citation"]) == ["nobody2020"]
    assert "nobody2020" not in html.data["links"]
    assert set(html.data["bibtex"]) == {"evci2020rigl"}


def test_methods_are_named_as_records_call_them() -> None:
    row = {"kind": "reported", "method": "rigl", "label": "RigL (MLRC reproduction)"}
    assert views.method_names([row, row | {"label": "RigL+"}]) == {"rigl": "RigL+"}
    assert views.method_names([row, row | {"kind": "reproduced", "label": "Rigged lottery"}]) == {
        "rigl": "Rigged lottery"
    }
    assert views.method_names([row | {"method": ""}]) == {"RigL (MLRC reproduction)": "RigL (MLRC reproduction)"}


def test_numbers_are_listed_in_their_order() -> None:
    values = ["96.5 %", "0 %", "–", "9 %", "80 %"]
    found = views.choices([dict.fromkeys(views.FACETS, value) for value in values])
    assert found["sparsity"] == ["0 %", "9 %", "80 %", "96.5 %", "–"]


# -- what the page carries --


def test_every_method_looks_as_in_the_figures_and_unlike_the_others() -> None:
    markers = {look.marker for look in style.KNOWN.values()} | set(style.MARKERS)
    assert markers <= set(scatter.MARKERS)
    looks = scatter.looks([*style.KNOWN, "mine"])
    assert {name: look["color"] for name, look in looks.items()} == {name: style.look(name).color for name in looks}
    drawn = {(look["color"], look["marker"], look["angle"]) for look in looks.values()}
    assert len(drawn) == len(looks)
    others = {(scatter.MARKERS[marker]) for marker in style.MARKERS}
    assert len(others) == len(style.MARKERS)
    for look in looks.values():
        numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", look["path"])]
        assert 0.4 < max(map(abs, numbers)) < 0.75  # the box that plot.js gives it


def test_the_plot_is_the_same_every_time() -> None:
    assert scatter.plot() == scatter.plot()


def test_the_suite_is_cited_as_citation_cff_says(tmp_path: Path) -> None:
    said = cite.suite()
    assert said.title in said.bibtex
    assert f"version = {{{said.version}}}" in said.bibtex
    file = tmp_path / "CITATION.cff"
    authors = "[{family-names: Doe, given-names: Jo}, {name: 'A group'}]"
    file.write_text(f"title: T\nversion: 2\ndate-released: 2025-03-04\nauthors: {authors}\n")
    assert cite.suite(file).bibtex == (
        "@software{rigl_bench,\n author = {Doe, Jo and {A group}},\n title = {{T}},\n version = {2},\n year = {2025}\n}"
    )


@pytest.mark.parametrize(
    "text", ["title: T", "- a list", "title: [", "title: T\nversion: 1\ndate-released: soon\nauthors: []"]
)
def test_a_citation_file_that_lacks_something_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "CITATION.cff"
    file.write_text(text)
    with pytest.raises(AnalysisError, match=r"CITATION\.cff cannot be cited from"):
        cite.suite(file)


def test_libraries_cannot_end_their_element() -> None:
    for script in (libraries.datatables(), libraries.bokeh()):
        assert not re.search(r"</script|<!--", script, re.IGNORECASE)
    assert "</style" not in libraries.style().lower()
    assert "globalThis.itables={" in libraries.datatables()
    assert [name for name, version, words in libraries.versions() if version and words] == ["itables", "bokeh"]


def test_another_make_of_a_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "_read", lambda package, path: "console.log(1); @import 'x'")
    with pytest.raises(AnalysisError, match=r"^itables \S+: dt_bundle\.js does not end by exporting jQuery"):
        libraries.datatables()
    with pytest.raises(AnalysisError, match=r"dt_bundle\.css loads other files"):
        libraries.style()


def test_a_number_that_is_none_is_missing_everywhere(table: Table) -> None:
    frame = recorded.of(table).assign(train_x=nan, train_total_x=float("inf"))
    row = rows.rows(frame, {})[0]
    assert (row["train_x"], row["train_total_x"]) == (None, None)
    place = [column.name for column in columns.COLUMNS].index("train")
    assert columns.shown(row, columns.COLUMNS)[place] == ("–", None)

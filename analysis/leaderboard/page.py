"""Writes the leaderboard: a page that works from a file with no network, leaderboard.csv and leaderboard.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analysis import stats, text
from analysis.records import Table
from analysis.references import References
from pipeline.record import COMPARABILITY_VERSION

HERE = Path(__file__).parent
CITE = "evci2020rigl"
FIELDS = [
    *("cell", "method", "series", "family", "dense_parts", "model", "dataset", "layout", "distribution", "variant"),
    *("sparsity", "sparsity_is_outcome", "achieved_sparsity", "missing_weights", "free_layers", "explored"),
    *("multiplier", "mean", "low", "high", "n", *text.PROBLEMS, "reason"),
    *("inference_x", "train_x", "train_total_x", "peak_parameter_bytes", "size_bytes", "file_bytes", "train_seconds"),
    *("peak_memory_bytes", "hardware", "citation", "link", "commit", "finished", "comparability_version"),
]
"""Columns of the CSV and of the JSON rows; mean, low and high are of the accuracy, a fraction."""
FILTERS = {
    "dataset": "Data set",
    "model": "Model",
    "family": "Family",
    "method": "Method",
    "axis_sparsity": "Sparsity",
}
COLUMNS = {
    "method": "Method",
    "accuracy": "Accuracy %",
    "sparsity": "Sparsity, achieved",
    "dense": "Dense in training",
    "family": "Family",
    "train": "Training FLOPs",
    "peak": "Peak parameters",
    "inference": "Inference FLOPs",
    "size": "Size",
    "file": "File",
    "explored": "Explored",
    "dataset": "Data set",
    "model": "Model",
    "n": "n",
    "problems": "Without result",
    "seconds": "Training time",
    "distribution": "Distribution",
    "length": "Length",
    "citation": "Citation",
}
NUMBERS = {"accuracy", "sparsity", "n", "train", "peak", "inference", "size", "file", "explored", "seconds", "length"}
"""Columns that are aligned as numbers."""
WORDS = {"dense", "problems"}
"""Columns whose texts may take several lines."""


@dataclass(frozen=True)
class Entry:
    """A cell of the page's table: what is read, and what it sorts by where that is another value."""

    shown: str
    sorts: float | None = None

    @property
    def key(self) -> str:
        """The value to sort by, empty where there is none."""
        key = self.shown if self.sorts is None else self.sorts
        return "" if isinstance(key, float) and isnan(key) else str(key)


def write(table: Table, references: References, study: str, folder: Path) -> list[Path]:
    """Write index.html, leaderboard.csv and leaderboard.json of the records in ``table`` into ``folder``.

    Cells of another comparability version come in a table of their own, and in the two files with their version.
    A citation key that ``references`` does not have is shown without a link: a method's bibliography can wait, the
    hours of training behind its rows cannot be lost to it.
    """
    current = rows(stats.cells(table.current), references)
    apart = rows(stats.cells(table.apart), references)
    both = pd.concat([table.current, table.apart])
    about = {
        "study": study,
        "suite": "; ".join(sorted({version for version in both["suite"] if version})),
        "commit": "; ".join(sorted({commit for commit in both["commit"] if commit})),
        "comparability_version": COMPARABILITY_VERSION,
        "date": max(both["finished"], default=""),
        "runs": len(both),
    }
    entries = [*_plain(current), *_plain(apart)]
    page, csv, data = folder / "index.html", folder / "leaderboard.csv", folder / "leaderboard.json"
    folder.mkdir(parents=True, exist_ok=True)
    page.write_text(html(current, apart, about, references), encoding="utf-8")
    pd.DataFrame(entries, columns=FIELDS).to_csv(csv, index=False, lineterminator="\n")
    data.write_text(json.dumps(about | {"rows": entries}, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return [page, csv, data]


def rows(cells: pd.DataFrame, references: References) -> pd.DataFrame:
    """The rows, best accuracy first within a model, data set, length and sparsity; link is the paper's address."""
    links = {key: references.link(key) for key in set(cells["citation"]) if key in references.entries}
    found = cells.assign(link=[links.get(key, "") for key in cells["citation"]])
    order = ["dataset", "model", "multiplier", "axis_sparsity", "mean"]
    return found.sort_values(order, ascending=[True, True, True, True, False], kind="stable", ignore_index=True)


def html(current: pd.DataFrame, apart: pd.DataFrame, about: Mapping[str, Any], references: References) -> str:
    """The page. Everything from records is escaped; style sheet and script are part of it."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # the order of FIELDS, as in the files
    return environment.get_template("page.html.j2").render(
        about=about,
        columns=COLUMNS,
        numbers=NUMBERS,
        words=WORDS,
        current=_lines(current),
        apart=_lines(apart),
        data=_plain(current),
        filters=[(name, title, _choices(current, name)) for name, title in FILTERS.items()],
        interval_note=text.INTERVAL_NOTE,
        sum_note=text.SUM_NOTE,
        bibtex=references.bibtex(CITE),
    )


def _choices(frame: pd.DataFrame, name: str) -> list[tuple[str, str]]:
    """Values of a filter and their names."""
    if name == "method":
        return sorted(set(zip(frame["method"], frame["method_label"], strict=True)), key=lambda pair: pair[1])
    if name == "axis_sparsity":
        return [(str(value), text.sparsity(value)) for value in sorted(set(frame[name].dropna()))]
    return [(value, value) for value in sorted(set(frame[name]))]


def _lines(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """What the template shows of each row: the entries of COLUMNS, the values of FILTERS, and notes."""
    return [
        {
            "entries": _entries(row),
            "filters": {name: str(row[name]) for name in FILTERS},
            "link": row["link"],
            "reason": row["reason"],
            "version": row["comparability_version"],
        }
        for row in frame.to_dict("records")
    ]


def _entries(row: Mapping[str, Any]) -> dict[str, Entry]:
    model = row["model"] if row["layout"] == "default" else f"{row['model']}, {row['layout']} layout"
    train = row["train_total_x"] if isnan(row["train_x"]) else row["train_x"]
    size, peak, seconds = row["size_bytes"], row["peak_parameter_bytes"], row["train_seconds"]
    return {
        "method": Entry(row["series"]),
        "model": Entry(model),
        "dataset": Entry(row["dataset"]),
        "sparsity": Entry(text.reached(row), row["achieved_sparsity"]),
        "dense": Entry(row["dense_parts"] or "nothing"),
        "family": Entry(row["family"]),
        "accuracy": Entry(text.mean(row), row["mean"]),
        "n": Entry(str(row["n"]), row["n"]),
        "problems": Entry(text.problems(row), sum(row[status] for status in text.PROBLEMS)),
        "train": Entry(text.training(row), train),
        "peak": Entry(text.kilobytes(peak), peak),
        "inference": Entry(text.times(row["inference_x"]), row["inference_x"]),
        "size": Entry(text.kilobytes(size), size),
        "file": Entry(text.kilobytes(row["file_bytes"]), row["file_bytes"]),
        "explored": Entry(text.percent(row["explored"]), row["explored"]),
        "seconds": Entry(text.NONE if isnan(seconds) else f"{seconds:,.1f} s", seconds),
        "distribution": Entry(text.distribution(row["distribution"])),
        "length": Entry(text.length(row["multiplier"]), row["multiplier"]),
        "citation": Entry(row["citation"]),
    }


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The FIELDS of each row as JSON has them: null where there is no number."""
    chosen = frame[FIELDS].astype({"series": "str"}).astype(object)
    return chosen.where(chosen.notna(), None).to_dict("records")

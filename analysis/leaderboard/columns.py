"""The columns of the page's table: what each shows of a row, what it sorts by, and which way is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

from analysis import text
from analysis.leaderboard.fields import FIELDS
from analysis.leaderboard.rows import Row
from analysis.stats import Interval

NUMBERS = frozenset(field.name for field in FIELDS if field.kind in ("number", "count"))
KINDS = {"reported": "○", "reproduced": "●", "submitted": "◐"}
"""The sign of each kind, filled as its markers are in the plot."""
NOT_STATED = "not stated"
UNITS = {"accuracy": "%", "bits_per_character": "bits per character"}


@dataclass(frozen=True)
class Column:
    """A column of the table. Both functions take a row whose missing numbers are not a number, as ``analysis.text`` does."""

    name: str
    title: str
    shows: Callable[[Row], str]
    sorts: Callable[[Row], Any] | None = None
    """What it sorts by where that is not its text; what is missing comes last in both directions."""
    better: str = ""
    """higher or lower, where one of them is."""
    start: str = "wide"
    """Where it is shown at first: everywhere, wide (on a wide screen) or hidden."""
    metric: str = ""
    """The metric that it is of; a page that has no row of it has no such column."""


def columns(rows: Sequence[Row]) -> list[Column]:
    """COLUMNS without those of a metric that no row has."""
    metrics = {row["metric"] for row in rows} or {"accuracy"}
    return [column for column in COLUMNS if not column.metric or column.metric in metrics]


def shown(row: Row, columns: Sequence[Column]) -> list[tuple[str, Any]]:
    """Text and key to sort by, None for what is missing, of each column."""
    known = with_nan(row)
    return [_entry(column, known) for column in columns]


def with_nan(row: Row) -> Row:
    """The row with missing numbers as not a number."""
    return {name: nan if value is None and name in NUMBERS else value for name, value in row.items()}


def name(row: Row) -> str:
    """ "RigL, update_every=50": the method and what tells the row from its kin."""
    return ", ".join(part for part in (row["label"], row["variant"]) if part)


def result(row: Row) -> str:
    """ "97.2 ± 0.5" with the interval over seeds of suite records; "76.8 (s.d. 0.09)" as published; without the unit."""
    if isnan(row["mean"]):
        return text.NONE
    if row["kind"] != "reported":
        seeds = Interval(row["mean"], 0, row["low"], row["high"])
        return text.mean(row) if row["metric"] == "accuracy" else text.interval(seeds)
    scale = 100 if row["metric"] == "accuracy" else 1
    spread = "" if isnan(row["std"]) else f" (s.d. {scale * row['std']:.2g})"
    return f"{scale * row['mean']:.2f}".removesuffix("0") + spread


def axis_sparsity(row: Row) -> float:
    """The sparsity asked for; where it is an outcome, the one reached, to a tenth of a per cent."""
    return round(row["achieved_sparsity"], 3) if isnan(row["sparsity"]) else row["sparsity"]


def cost(row: Row) -> float:
    """Training FLOPs over the dense network's: the closed form, else the sum over the batches."""
    return row["train_total_x"] if isnan(row["train_x"]) else row["train_x"]


def _entry(column: Column, row: Row) -> tuple[str, Any]:
    shows = column.shows(row)
    key = shows if column.sorts is None else column.sorts(row)
    missing = key in ("", text.NONE) or key != key
    return shows, None if missing else key


def _text(name: str, title: str, field: str, start: str = "wide") -> Column:
    return Column(name, title, lambda row: row[field], start=start)


def _number(
    name: str, title: str, field: str, words: Callable[[float], str], better: str = "", start: str = "wide"
) -> Column:
    return Column(name, title, lambda row: words(row[field]), lambda row: row[field], better, start)


def _result(metric: str, title: str, better: str) -> Column:
    return Column(
        metric,
        title,
        lambda row: result(row) if row["metric"] == metric else "",
        lambda row: row["mean"] if row["metric"] == metric else nan,
        better,
        "everywhere",
        metric,
    )


def _sparsity(row: Row) -> str:
    return text.sparsity(row["sparsity"]) if isnan(row["achieved_sparsity"]) else text.reached(row)


def _model(row: Row) -> str:
    return row["model_words"] if row["layout"] in ("", "default") else f"{row['model_words']}, {row['layout']} layout"


def _length(value: float) -> str:
    return NOT_STATED if isnan(value) else text.length(value)


def _count(value: float) -> str:
    return NOT_STATED if isnan(value) else f"{value:g}"


def _seconds(value: float) -> str:
    return text.NONE if isnan(value) else f"{value:,.1f} s"


def _milliseconds(value: float) -> str:
    return text.NONE if isnan(value) else f"{1000 * value:,.3g} ms"


def _problems(row: Row) -> str:
    return text.problems({name: 0 if isnan(row[name]) else row[name] for name in text.PROBLEMS})


def _topology(row: Row) -> str:
    parts = [] if isnan(row["update_every"]) else [f"every {row['update_every']:g} steps"]
    parts += [] if isnan(row["drop_fraction"]) else [f"{100 * row['drop_fraction']:g} %"]
    return ", ".join([*parts, row["decay"]] if row["decay"] else parts)


COLUMNS = (
    Column("method", "Method", name, start="everywhere"),
    _result("accuracy", "Accuracy, %", "higher"),
    _result("bits_per_character", "Bits per character", "lower"),
    Column("sparsity", "Sparsity", _sparsity, axis_sparsity, start="everywhere"),
    Column("train", "Training FLOPs", text.training, cost, "lower", "everywhere"),
    _number("inference", "Inference FLOPs", "inference_x", text.times, "lower"),
    Column("model", "Model", _model),
    _text("dataset", "Data set", "dataset"),
    Column("distribution", "Distribution", lambda row: text.distribution(row["distribution"])),
    _number("length", "Length", "multiplier", _length),
    Column("kind", "Kind", lambda row: f"{KINDS[row['kind']]} {row['kind']}"),
    _number("n", "n", "n", _count),
    Column("source", "Source", lambda row: row["cited"] or row["source"]),
    Column("problems", "Without result", _problems, lambda row: sum(row[name] for name in text.PROBLEMS), "lower"),
    _text("place", "Place in the source", "place", "hidden"),
    _text("family", "Family", "family", "hidden"),
    _text("dense", "Dense in training", "dense_parts", "hidden"),
    Column("topology", "Topology updates", _topology, start="hidden"),
    _number("explored", "Explored", "explored", text.percent, start="hidden"),
    _number("peak", "Peak parameters", "peak_parameter_bytes", text.kilobytes, "lower", "hidden"),
    _number("size", "Size", "size_bytes", text.kilobytes, "lower", "hidden"),
    _number("file", "File", "file_bytes", text.kilobytes, "lower", "hidden"),
    _number("seconds", "Training time", "train_seconds", _seconds, "lower", "hidden"),
    _number("step", "Step", "step_seconds", _milliseconds, "lower", "hidden"),
    _number("step_x", "Step over dense", "step_x", text.times, "lower", "hidden"),
    _text("execution", "Execution", "execution", "hidden"),
    _number("memory", "Peak memory", "peak_memory_bytes", text.kilobytes, "lower", "hidden"),
    _text("citation", "Method's paper", "citation", "hidden"),
    _text("hardware", "Hardware", "hardware", "hidden"),
    Column("finished", "Finished", lambda row: row["finished"][:10], start="hidden"),
)

"""A run's results for people: a table, and a figure of what was measured over what is to be reached."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from analysis import style
from benchmarks.compare import verdict, worsened
from benchmarks.results import MEASURED, RATIO, Results, Row
from benchmarks.targets import Target

INCHES_A_ROW = 0.32
LOOKS = {"met": ("#0072B2", "o"), "missed": ("#D55E00", "X")}
"""Colour and marker of what is met and of what is not."""


def write(results: Results, accepted: Results | None, targets: Mapping[str, Target], path: Path = MEASURED) -> None:
    """The results as JSON at ``path``; beside it their table and, when a row with a target was measured, their figure."""
    results.write(path)
    path.with_suffix(".md").write_text(table(results, accepted) + "\n", encoding="utf-8")
    judged = [row for row in results.rows if row.state in LOOKS]
    if judged:
        figure, shares = draw(judged, targets)
        style.save(figure, path.with_suffix(""), shares)


def table(results: Results, accepted: Results | None) -> str:
    """Markdown: where it was measured, one line a row, and how it compares with what was accepted."""
    worse = worsened(results, accepted)
    lines = [
        f"{results.hardware}; torch {results.torch}; {results.date}; commit {results.commit or 'unknown'}.",
        f"Medians [quartiles] over rounds in which other processes used at most {results.foreign_cores:g} cores.",
        "",
        "| what | target | measured | rounds kept/dropped | |",
        "|---|---|---|---|---|",
    ]
    for row in results.rows:
        state = row.state + (f", worse: was {worse[row.id]:.3g}" if row.id in worse else "")
        state += f": {row.reason}" if row.reason else ""
        rounds = f"{row.kept}/{row.dropped}" if row.kept + row.dropped else ""
        lines.append(f"| {row.words} | {row.bound or ''} | {measured(row)} | {rounds} | {state} |")
    return "\n".join([*lines, "", verdict(results, accepted)])


def draw(rows: list[Row], targets: Mapping[str, Target]) -> tuple[Figure, pd.DataFrame]:
    """A dot a row at the share of its bound that it takes, up to 1 being met, with its quartiles."""
    frame = pd.DataFrame(
        {
            "words": row.words,
            "bound": row.bound,
            "state": row.state,
            "share": targets[row.id].share(row.median),
            "from": min(targets[row.id].share(value) for value in (row.lower, row.upper)),
            "to": max(targets[row.id].share(value) for value in (row.lower, row.upper)),
        }
        for row in rows
    )
    with style.theme():
        figure = Figure(figsize=(2 * style.COLUMN_INCHES, 0.8 + INCHES_A_ROW * len(frame)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(1, color="#000000", linewidth=1)
        for place, row in enumerate(frame.itertuples(index=False)):
            color, marker = LOOKS[row.state]
            axes.plot([frame["from"][place], row.to], [place, place], color=color)
            axes.plot(row.share, place, color=color, marker=marker, markeredgecolor="white", markeredgewidth=0.4)
        axes.set_yticks(range(len(frame)), [f"{_folded(row.words)} ({row.bound})" for row in frame.itertuples()])
        axes.invert_yaxis()
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:g}×"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("measured / target\n(left of the line: met)")
    return figure, frame


def measured(row: Row) -> str:
    """The median with its quartiles and unit; nothing where there is none."""
    if row.median is None:
        return ""
    unit = "" if row.unit == RATIO else f" {row.unit}"
    return f"{_number(row.median)} [{_number(row.lower)}, {_number(row.upper)}]{unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _folded(words: str) -> str:
    """On two lines where it is long."""
    if len(words) <= 60:
        return words
    middle = words.rfind(" ", 0, 60)
    return f"{words[:middle]}\n{words[middle + 1 :]}"

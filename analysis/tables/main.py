"""The main table: accuracy by method and sparsity, its difference from the static method, and what it costs.

One panel per model, data set, layout and training length; in it one row per method and distribution, one column per
sparsity. The same panels become Markdown, LaTeX and a page; the CSV is tidy, one row per cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analysis import stats, text

HERE = Path(__file__).parent
CSV_COLUMNS = [
    *("model", "dataset", "layout", "multiplier", "method", "distribution", "variant", "series"),
    *("sparsity", "achieved_sparsity", "mean", "low", "high", *stats.STATUSES, "reason"),
    *("difference_mean", "difference_n", "difference_low", "difference_high"),
    *("inference_x", "train_x", "train_total_x", "size_bytes", "train_seconds"),
    *("accuracy_text", "difference_text", "cost_text"),
]
CAPTION = (
    f"Test accuracy at the last step, in per cent. {text.INTERVAL_NOTE}. Differences are paired by seed, in percentage "
    "points, at the same distribution and sparsity. Costs are FLOPs over the dense network's, convention rigl: "
    "inference, then training."
)


@dataclass(frozen=True)
class Block:
    """Rows of one quantity: a name and a text per column."""

    title: str
    rows: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class Panel:
    """A table of its own: title, the dense network's line, column headings, blocks of rows, notes."""

    title: str
    dense: list[tuple[str, str]]
    columns: list[str]
    blocks: list[Block]
    notes: list[str]


def tidy(cells: pd.DataFrame) -> pd.DataFrame:
    """The CSV: one row per cell of ``cells`` (``analysis.stats.cells``), numbers and the texts that the tables show."""
    texts = {"accuracy_text": text.accuracy, "difference_text": text.difference, "cost_text": text.cost}
    rows = cells.to_dict("records")
    shown = cells.assign(**{name: [write(row) for row in rows] for name, write in texts.items()})
    return shown[CSV_COLUMNS]


def markdown(cells: pd.DataFrame, level: int = 2) -> str:
    """The tables as Markdown, under headings of ``level``, the caption last."""
    parts = [_markdown_panel(panel, level) for panel in panels(cells)]
    return "\n\n".join([*(parts or ["No data: no records were found."]), CAPTION]) + "\n"


def latex(cells: pd.DataFrame, label: str) -> str:
    """The tables as LaTeX (booktabs), labelled tab:``label``-1, -2, ..."""
    found = panels(cells)
    if not found:
        return "% No data: no records were found.\n"
    return "\n".join(_latex_panel(panel, f"tab:{label}-{number}") for number, panel in enumerate(found, start=1))


def html(cells: pd.DataFrame, title: str) -> str:
    """The tables as a page that needs nothing else; everything from records is escaped."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(title=title, panels=panels(cells), caption=CAPTION)


def panels(cells: pd.DataFrame) -> list[Panel]:
    """The panels of ``cells``, without the formatting of any language."""
    sparse, dense = cells[cells["method"] != stats.DENSE], cells[cells["method"] == stats.DENSE]
    found = []
    for key in stats.panels(cells):
        inside = sparse[stats.within(sparse, key)]
        own = dense[stats.within(dense, key[:2])]
        found.append(_panel(text.setting(*key), inside, own))
    return found


def _panel(title: str, sparse: pd.DataFrame, dense: pd.DataFrame) -> Panel:
    sparsities = sorted(set(sparse["axis_sparsity"]))
    blocks = [
        Block("Test accuracy, %", _rows(sparse, sparsities, text.accuracy)),
        Block(f"Difference from {_reference_label(sparse)}, points", _differences(sparse, sparsities)),
        Block("Inference / training FLOPs", _rows(sparse, sparsities, text.cost)),
    ]
    return Panel(
        title,
        [(f"{_dense_name(cell)}", f"{text.accuracy(cell)}, {text.cost(cell)}") for cell in dense.to_dict("records")],
        [text.sparsity(sparsity) for sparsity in sparsities],
        [block for block in blocks if block.rows],
        _notes(sparse),
    )


def _rows(
    cells: pd.DataFrame, sparsities: Sequence[float], write: Callable[[Mapping[str, Any]], str]
) -> list[tuple[str, list[str]]]:
    rows = []
    for series, group in cells.groupby("series", observed=True):
        texts = {cell["axis_sparsity"]: write(cell) for cell in group.to_dict("records")}
        rows.append((str(series), [texts.get(sparsity, "") for sparsity in sparsities]))
    return rows


def _differences(cells: pd.DataFrame, sparsities: Sequence[float]) -> list[tuple[str, list[str]]]:
    series = cells.loc[cells["difference_n"] > 0, "series"]
    return _rows(cells[cells["series"].isin(series)], sparsities, text.difference)


def _reference_label(cells: pd.DataFrame) -> str:
    labels = cells.loc[cells["method"] == stats.REFERENCE, "method_label"]
    return labels.iloc[0] if len(labels) else stats.REFERENCE


def _dense_name(cell: Mapping[str, Any]) -> str:
    return (
        cell["series"] if cell["multiplier"] == 1 else f"{cell['series']}, {text.length(cell['multiplier'])} training"
    )


def _notes(cells: pd.DataFrame) -> list[str]:
    """Why runs have no result, and which means mix versions of the code."""
    notes = []
    for cell in cells.to_dict("records"):
        name = f"{cell['series']} at {text.sparsity(cell['axis_sparsity'])}"
        if cell["reason"]:
            notes.append(f"{name}: {text.problems(cell)} ({cell['reason']}).")
        if cell["sources"] > 1:
            notes.append(f"{name}: its runs come from {cell['sources']} versions of the method's code.")
    return notes


def _markdown_panel(panel: Panel, level: int) -> str:
    parts = [f"{'#' * level} {_markdown(panel.title)}"]
    parts += [f"{_markdown(name)}: {_markdown(value)}." for name, value in panel.dense]
    for block in panel.blocks:
        lines = [[block.title, *panel.columns], ["---", *["---:"] * len(panel.columns)]]
        lines += [[name, *texts] for name, texts in block.rows]
        parts.append("\n".join(f"| {' | '.join(map(_markdown, line))} |" for line in lines))
    parts += ["\n".join(f"- {_markdown(note)}" for note in panel.notes)] if panel.notes else []
    return "\n\n".join(parts)


def _latex_panel(panel: Panel, label: str) -> str:
    width = len(panel.columns) + 1
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{_latex(f'{panel.title}. {CAPTION}')}}}"]
    lines += [rf"\label{{{_latex(label)}}}", rf"\begin{{tabular}}{{l{'r' * max(width - 1, 1)}}}", r"\toprule"]
    lines.append(_latex_row(["", *panel.columns]))
    for name, value in panel.dense:
        lines += [r"\midrule", rf"{_latex(name)} & \multicolumn{{{max(width - 1, 1)}}}{{c}}{{{_latex(value)}}} \\"]
    for block in panel.blocks:
        lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{\emph{{{_latex(block.title)}}}}} \\"]
        lines += [_latex_row([name, *texts]) for name, texts in block.rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {_latex(note)}" for note in panel.notes]
    return "\n".join([*lines, r"\end{table}", ""])


def _latex_row(texts: Sequence[str]) -> str:
    return " & ".join(map(_latex, texts)) + r" \\"


def _markdown(value: str) -> str:
    return value.translate(str.maketrans({character: f"\\{character}" for character in "\\|<*_`["}))


LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
}


def _latex(value: str) -> str:
    return value.translate(str.maketrans(LATEX))

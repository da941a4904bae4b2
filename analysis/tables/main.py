"""The main table: accuracy by method and sparsity, its difference from the static method, and what it costs.

One panel per model, data set, layout and training length; in it one row per method and distribution, one column per
sparsity. The same panels become Markdown, LaTeX and a page; the CSV is tidy, one row per cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis import stats, text
from analysis.claims import Judged
from analysis.tables import latex as latex_of
from analysis.tables import page
from analysis.tables.page import Block, Panel

CSV_COLUMNS = [
    *("model", "dataset", "layout", "multiplier", "method", "family", "dense_parts"),
    *("distribution", "variant", "series"),
    *("sparsity", "achieved_sparsity", "mean", "low", "high", *stats.STATUSES, "reason"),
    *("difference_mean", "difference_n", "difference_low", "difference_high"),
    *("inference_x", "train_x", "train_total_x", "explored", "peak_parameter_bytes", "size_bytes", "file_bytes"),
    "train_seconds",
    *("accuracy_text", "difference_text", "cost_text"),
]
CAPTION = (
    f"Test accuracy at the last step, in per cent. {text.INTERVAL_NOTE}. Differences are paired by seed, in percentage "
    "points, at the same distribution and sparsity. Costs are FLOPs over the dense network's, convention rigl: "
    "inference, then training."
)


def tidy(cells: pd.DataFrame) -> pd.DataFrame:
    """The CSV: one row per cell of ``cells`` (``analysis.stats.cells``), numbers and the texts that the tables show."""
    texts = {"accuracy_text": text.accuracy, "difference_text": text.difference, "cost_text": text.cost}
    rows = cells.to_dict("records")
    shown = cells.assign(**{name: [write(row) for row in rows] for name, write in texts.items()})
    return shown[CSV_COLUMNS]


def markdown(cells: pd.DataFrame, level: int = 2) -> str:
    """The tables as Markdown, under headings of ``level``, the caption last."""
    return page.markdown(panels(cells), CAPTION, level)


def latex(cells: pd.DataFrame, label: str) -> str:
    """The tables as LaTeX (booktabs), labelled tab:``label``-1, -2, ..."""
    found = panels(cells)
    if not found:
        return "% No data: no records were found.\n"
    return "\n".join(latex_of.table(panel, CAPTION, f"{label}-{number}") for number, panel in enumerate(found, start=1))


def html(cells: pd.DataFrame, title: str, findings: Sequence[Judged] = ()) -> str:
    """The tables, and what they say of claims, as a page that needs nothing else; everything from records is escaped."""
    return page.html(title, panels(cells), CAPTION, findings)


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
    asked, outcomes = sparse[~sparse["sparsity_is_outcome"]], sparse[sparse["sparsity_is_outcome"]]
    sparsities = sorted(set(asked["axis_sparsity"]))
    blocks = [
        Block("Test accuracy, %", _rows(asked, sparsities, text.accuracy)),
        Block(f"Difference from {_reference_label(asked)}, points", _differences(asked, sparsities)),
        Block("Inference / training FLOPs", _rows(asked, sparsities, text.cost)),
    ]
    # What has no equals to stand in a column with: the dense network, and cells whose sparsity is an outcome.
    lines = [(_dense_name(cell), f"{text.accuracy(cell)}, {text.cost(cell)}") for cell in dense.to_dict("records")]
    lines += [
        (str(cell["series"]), f"{text.accuracy(cell)} at a sparsity of {text.reached(cell)}, {text.cost(cell)}")
        for cell in outcomes.sort_values("axis_sparsity", kind="stable").to_dict("records")
    ]
    return Panel(
        title,
        lines,
        [text.sparsity(sparsity) for sparsity in sparsities],
        [block for block in blocks if block.rows],
        _notes(sparse),
    )


def _rows(
    cells: pd.DataFrame, sparsities: Sequence[float], write: Callable[[Mapping[str, Any]], str]
) -> list[tuple[str, list[str]]]:
    texts: dict[str, dict[float, str]] = {}
    for cell in cells.sort_values("series", kind="stable").to_dict("records"):
        texts.setdefault(str(cell["series"]), {})[cell["axis_sparsity"]] = write(cell)
    return [(series, [own.get(sparsity, "") for sparsity in sparsities]) for series, own in texts.items()]


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
    """What keeps cells from being alike: other numbers of weights, no result, other versions of the code."""
    notes = [*_free_layers(cells), *_other_totals(cells), *_costs(cells)]
    for cell in cells.to_dict("records"):
        name = _name(cell)
        if cell["reason"]:
            notes.append(f"{name}: {text.problems(cell)} ({cell['reason']}).")
        if cell["sources"] > 1:
            notes.append(f"{name}: its runs come from {cell['sources']} versions of the method's code.")
    return notes


def _free_layers(cells: pd.DataFrame) -> list[str]:
    """One note a reason: which methods keep the network's total and not that of each layer."""
    free = cells[(cells["free_layers"] != "") & (cells["missing_weights"] == 0)]
    notes = []
    for reason, group in free.groupby("free_layers", sort=False):
        names = "; ".join(map(str, dict.fromkeys(group["series"])))
        note = f"{names}: {reason}; only the network's total is as asked for."
        if not any(group["distribution"]) and any(group["difference_n"]):
            note += (
                f" No distribution is theirs: the difference is from {_reference_label(cells)} with the uniform one."
            )
        notes.append(note)
    return notes


def _other_totals(cells: pd.DataFrame) -> list[str]:
    notes = []
    for cell in cells[cells["missing_weights"].abs() > 0].to_dict("records"):
        share = cell["missing_weights"]
        differs = f"{100 * abs(share):.2g} % {'fewer' if share > 0 else 'more'} weights than asked for"
        notes.append(f"{_name(cell)}: {differs} ({cell['free_layers']}).")
    return notes


def _costs(cells: pd.DataFrame) -> list[str]:
    """What the costs leave out, and where they are not a closed form."""
    started = dict.fromkeys(map(str, cells.loc[cells["start"] != "", "series"]))
    notes = [f"{'; '.join(started)}: the cost of the run that they start from is in that run's row."] if started else []
    summed = cells["train_x"].isna() & cells["train_total_x"].notna()
    return notes + [f"{text.SUM_NOTE}."] * bool(summed.any())


def _name(cell: Mapping[str, Any]) -> str:
    return f"{cell['series']} at {text.sparsity(cell['axis_sparsity'])}"

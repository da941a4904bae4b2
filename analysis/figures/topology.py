"""How topology differs between seeds and moves over time: one row of panels a cell, means with 95 % t intervals.

Left, the Jaccard overlap of masks of two seeds over what chance gives, by layer. Middle, the share of the weights that had
been active by a step, and right, the share of the active weights that are new since the step before, at kept steps.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis import style
from analysis.figures import cells, panels
from analysis.landscape import results

BY = [*results.CELL, "quantity", "method", "label", "layer", "step"]
COLUMNS = [*BY, *results.INTERVAL]
"""``quantity`` is overlap (by ``layer``; Jaccard over chance), explored or churn (fractions, at ``step``; none: in all)."""
ROW_INCHES = 2.3
SPREAD = 0.7
"""Width over which the methods of one layer are set side by side; layers are 1 apart."""
BESIDE = 1.06
"""Where the marks for all updates of a run stand, in multiples of its steps."""
LONGEST_NAMES = 18
"""Characters of the layers' names in all from which on they are written upright."""


def draw(overlaps: pd.DataFrame, moves: pd.DataFrame, explored: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers, by COLUMNS."""
    data = means(overlaps, moves, explored)
    names = list(data["cell"].unique())
    methods = list(data["method"].unique())
    with style.theme():
        figure, axes = cells.row_each(names, 3, ROW_INCHES)
        for row, name in zip(axes, names, strict=False):
            points = data[data["cell"] == name]
            _overlaps(row[0], points[points["quantity"] == "overlap"], methods)
            _over_time(row[1], points[points["quantity"] == "explored"], "weights explored (%)")
            cells.log_height(row[1], 100 * points.loc[points["quantity"] == "explored", "mean"], 0.77, 1.3)
            _over_time(row[2], points[points["quantity"] == "churn"], "new active weights (%)")
        if names:
            panels.legend_of(figure, _handles(data))
    return figure, data


def means(overlaps: pd.DataFrame, moves: pd.DataFrame, explored: pd.DataFrame) -> pd.DataFrame:
    """Over seeds, and over pairs of seeds."""
    # Not a column of the whole table: pandas would give rows to a table that has none.
    churned = moves[moves["churn"].notna()]
    parts = [
        overlaps.assign(quantity="overlap", value=overlaps["jaccard"] / overlaps["chance"]),
        moves.assign(quantity="explored", value=moves["explored"]),
        explored.assign(quantity="explored", value=explored["explored"]),
        churned.assign(quantity="churn", value=churned["churn"]),
    ]
    kinds = {"step": "Int64", "layer": "str"}
    both = pd.concat([part.reindex(columns=[*BY, "value"]).astype(kinds) for part in parts])
    return results.over_seeds(both, BY, "value")


def ends(overlaps: pd.DataFrame, explored: pd.DataFrame) -> pd.DataFrame:
    """Over seeds and pairs of seeds: overlap of whole masks, what chance gives, and what was ever active, in per cent."""
    whole = overlaps[overlaps["layer"] == results.WHOLE]
    parts = [
        whole.assign(quantity="Overlap of two seeds (Jaccard)", value=whole["jaccard"]),
        whole.assign(quantity="Overlap by chance", value=whole["chance"]),
        explored.assign(quantity="Weights ever active, %", value=100 * explored["explored"]),
    ]
    return results.over_seeds(pd.concat(parts), [*results.CELL, "quantity", "method", "label"], "value")


def _overlaps(panel: Axes, points: pd.DataFrame, methods: list[str]) -> None:
    layers = list(points["layer"].unique())
    for index, method in enumerate(methods):
        own = points[points["method"] == method]
        aside = SPREAD * ((index + 0.5) / len(methods) - 0.5)
        cells.dots(panel, [layers.index(layer) + aside for layer in own["layer"]], own, style.look(method))
    panel.axhline(1, color="#555555", linewidth=0.8, zorder=1)
    upright = sum(map(len, layers)) > LONGEST_NAMES
    panel.set_xticks(range(len(layers)), layers, rotation=90 if upright else 0)
    panel.grid(visible=False, axis="x")
    panel.set_ylabel("overlap of two seeds\n(multiple of chance)")


def _over_time(panel: Axes, points: pd.DataFrame, label: str) -> None:
    """A line where steps were kept; a mark on the right for all topology updates of a run, kept or not."""
    points = points.assign(step=points["step"].astype("float64"))
    last = points["step"].max()
    for method, own in points.groupby("method", sort=False):
        look = style.look(str(method))
        kept, whole = own[own["step"].notna()], own[own["step"].isna()]
        if len(kept) > 1:
            line = {"color": look.color, "marker": look.marker, "markersize": 4}
            cells.band(panel, kept.assign(**cells.percent(kept)), "step", **line)
        hollow = {"markerfacecolor": "white", "markeredgecolor": look.color, "linestyle": ""}
        panel.plot([BESIDE * last] * len(whole), 100 * whole["mean"], marker=look.marker, zorder=3, **hollow)
    panel.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    panel.set_ylim(bottom=-0.02 * panel.get_ylim()[1])
    panel.set(xlabel="gradient steps", ylabel=label)


def _handles(data: pd.DataFrame) -> list[Line2D]:
    handles = cells.method_handles(data[data["quantity"] == "explored"])
    if (data["quantity"] == "explored").any():
        mark = {"markerfacecolor": "white", "markeredgecolor": "#555555", "linestyle": "", "marker": "o"}
        handles.append(Line2D([], [], **mark, label="hollow: by all updates, not only at kept steps"))
    return [
        *handles,
        cells.remark("bars, bands: 95 % t interval over n seeds"),
        cells.remark("left: over all pairs of them"),
    ]

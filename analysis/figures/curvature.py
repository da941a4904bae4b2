"""Curvature of the training loss at solutions, over active, inactive and all weights: one row of panels a cell.

Means over seeds with 95 % t intervals: the largest eigenvalue of the Hessian, its trace, and its smallest eigenvalue.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import style
from analysis.figures import cells, panels
from analysis.landscape import results

BY = [*results.CELL, "quantity", "method", "label", "space"]
COLUMNS = [*BY, *results.INTERVAL]
QUANTITIES = {"largest": "largest eigenvalue", "trace": "trace", "smallest": "smallest eigenvalue"}
"""Of the Hessian, in nats by squared unit of weight; the first two on logarithmic axes."""
SPACES = ("active", "inactive", "all")
ROW_INCHES = 2.1
SPREAD = 0.5
"""Width over which the methods of one space are set side by side; spaces are 1 apart."""


def draw(eigenvalues: pd.DataFrame, traces: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers, by COLUMNS."""
    data = means(eigenvalues, traces)
    names = list(data["cell"].unique())
    methods = list(data["method"].unique())
    with style.theme():
        figure, axes = cells.row_each(names, len(QUANTITIES), ROW_INCHES)
        for row, name in zip(axes, names, strict=False):
            for panel, quantity in zip(row, QUANTITIES, strict=True):
                points = data[(data["cell"] == name) & (data["quantity"] == quantity)]
                _panel(panel, points, quantity, methods)
        if names:
            panels.legend_of(figure, _handles(data))
    return figure, data


def means(eigenvalues: pd.DataFrame, traces: pd.DataFrame) -> pd.DataFrame:
    """Over seeds, of the extreme eigenvalues and of the estimates of the trace."""
    extreme = eigenvalues[eigenvalues["rank"] == 0].rename(columns={"end": "quantity"})
    both = pd.concat([extreme, traces.assign(quantity="trace")])
    return results.over_seeds(both, BY, "value")


def _panel(panel: Axes, points: pd.DataFrame, quantity: str, methods: list[str]) -> None:
    for index, method in enumerate(methods):
        own = points[points["method"] == method]
        aside = SPREAD * ((index + 0.5) / len(methods) - 0.5)
        places = [SPACES.index(space) + aside for space in own["space"]]
        cells.dots(panel, places, own, style.look(method))
    shown = [space for space in SPACES if space in set(points["space"])]
    panel.set_xticks([SPACES.index(space) for space in shown], shown)
    panel.set_xlim(-0.5, len(SPACES) - 0.5)
    panel.grid(visible=False, axis="x")
    panel.set_ylabel(QUANTITIES[quantity])
    if quantity == "smallest":
        panel.axhline(0, color="#888888", linewidth=0.8, zorder=1)
    else:
        cells.log_height(panel, points["mean"], 0.5, 2)


def _handles(data: pd.DataFrame) -> list[Line2D]:
    return [*cells.method_handles(data), cells.remark("bars: 95 % t interval over n seeds")]

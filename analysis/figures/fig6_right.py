"""After Figure 6 (right) of the RigL paper: the training loss while runs go on from a solution, and where they arrive.

One panel a cell and solution gone on from; one line a way of going on, the mean over seeds, its 95 % t interval as a band.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import style
from analysis.figures import cells, panels
from analysis.landscape import results

PANEL = [*results.CELL, "parent"]
SERIES = [*PANEL, "method", "moves_once", "label"]
COLUMNS = [*SERIES, "step", "mean", "low", "high", "n", "accuracy", "accuracy_low", "accuracy_high"]
"""``mean`` of the training loss in nats; the accuracy, a fraction, is the one at the end."""
BELOW, ABOVE = 0.6, 1.6
"""Multiples of the lowest and of the highest mean that the axis reaches to, whatever the bands do."""
ROOM = 0.075
"""Share of the panel's height that one line of text takes."""


def draw(traces: pd.DataFrame, escapes: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers, by COLUMNS; step 0 is the solution gone on from."""
    data = _joined(traces, escapes)
    keys = list(data[["cell", "parent"]].drop_duplicates().itertuples(index=False, name=None))
    with style.theme():
        figure, axes = cells.one_each([cell for cell, _ in keys])
        for panel, (cell, parent) in zip(axes, keys, strict=False):
            inside = (data["cell"] == cell) & (data["parent"] == parent)
            _panel(panel, data[inside])
        if keys:
            panels.legend_of(figure, _handles(data))
    return figure, data


def _joined(traces: pd.DataFrame, escapes: pd.DataFrame) -> pd.DataFrame:
    losses = results.over_seeds(traces, [*SERIES, "step"], "train_loss")
    ends = results.over_seeds(escapes, SERIES, "accuracy_after").drop(columns="n")
    ends = ends.rename(columns={"mean": "accuracy", "low": "accuracy_low", "high": "accuracy_high"})
    return losses.merge(ends, on=SERIES, how="left")[COLUMNS]


def _panel(panel: Axes, points: pd.DataFrame) -> None:
    for (method, moves_once), line in points.groupby(["method", "moves_once"], sort=False):
        cells.band(panel, line, "step", **_line(method, moves_once))
    start = points.loc[points["step"] == 0, "mean"]
    panel.axhline(start.mean(), color="#555555", linestyle=":", linewidth=1, zorder=1)
    cells.log_height(panel, points["mean"], BELOW, ABOVE)
    panel.set(xlabel=f"gradient steps from a {points['parent'].iloc[0]} solution", ylabel="training loss (nats)")
    panel.set_xlim(0, points["step"].max())
    _accuracies(panel, points.groupby(["method", "moves_once"], sort=False).tail(1))


def _accuracies(panel: Axes, ends: pd.DataFrame) -> None:
    """Right of each line its final test accuracy, none on top of another."""
    ends = ends[np.isfinite(ends["mean"])].sort_values("mean")
    reached = -np.inf
    for end in ends.to_dict("records"):
        fraction = panel.transAxes.inverted().transform(panel.transData.transform((0, end["mean"])))[1]
        reached = max(fraction, reached + ROOM)
        half = (end["accuracy_high"] - end["accuracy_low"]) / 2
        words = f"{100 * end['accuracy']:.1f}" + ("" if np.isnan(half) else f" ± {100 * half:.1f}") + " %"
        color = style.look(end["method"]).color
        place = {"xycoords": "axes fraction", "va": "center", "annotation_clip": False}
        panel.annotate(words, (1.02, reached), color=color, fontweight="bold", **place)


def _line(method: str, moves_once: bool) -> dict:
    look = style.look(method)
    tips = {"marker": look.marker, "markersize": 3.5, "markeredgecolor": "white", "markeredgewidth": 0.3}
    return {"color": look.color, "linestyle": (0, (3, 1.2)) if moves_once else "-", **tips}


def _handles(data: pd.DataFrame) -> list[Line2D]:
    lines = [
        Line2D([], [], **_line(method, moves_once), label=f"{label} ({cells.seeds(line['n'])})")
        for (method, moves_once, label), line in data.groupby(["method", "moves_once", "label"], sort=False)
    ]
    lines.append(Line2D([], [], color="#555555", linestyle=":", linewidth=1, label="the loss to begin with"))
    words = ("bands: 95 % t interval over n seeds", "in per cent: final test accuracy")
    return [*lines, *map(cells.remark, words)]

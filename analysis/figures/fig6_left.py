"""After Figure 6 (left) of the RigL paper: the training loss along curves from a pruning solution to a static one.

One panel a cell; one line a curve and space, the mean over pairs of seeds, its 95 % t interval as a band.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import style
from analysis.figures import cells, panels
from analysis.landscape import results

START, END = "pruning", "static"
"""Methods at t = 0 and at t = 1, as in the paper."""
COLUMNS = [*results.CELL, "curve", "space", "t", "mean", "low", "high", "n"]
LINE, FAINT = 1.3, 0.7
"""Line widths, in points: of what the paper shows, and of the intersection, which it does not."""
BELOW, ABOVE = 0.5, 1.5
"""Multiples of the lowest and of the highest mean that the axis reaches to, whatever the bands do."""


def draw(profiles: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers: the training loss in nats by COLUMNS; a mean that there is not is a gap."""
    data = _means(profiles)
    names = list(data["cell"].unique())
    with style.theme():
        figure, axes = cells.one_each(names)
        for panel, name in zip(axes, names, strict=False):
            _panel(panel, data[data["cell"] == name])
        if names:
            panels.legend_of(figure, _handles(data))
    return figure, data


def _means(profiles: pd.DataFrame) -> pd.DataFrame:
    """Over pairs, from START to END, each curve of its largest budget; those whose fit diverged are missing in n."""
    found = []
    profiles = results.longest(profiles)
    for first, second in ((START, END), (END, START)):
        way = profiles[(profiles["first"] == first) & (profiles["second"] == second) & ~profiles["diverged"]]
        way = way[way["t"].between(0, 1)]
        mean = results.over_seeds(way, [*results.CELL, "curve", "space", "t"], "train_loss")
        found.append(mean if first == START else mean.assign(t=(1 - mean["t"]).round(12)))
    return pd.concat(found).sort_values([*results.PLACE, "curve", "space", "t"], ignore_index=True)[COLUMNS]


def _panel(panel: Axes, points: pd.DataFrame) -> None:
    for (curve, space), line in points.groupby(["curve", "space"]):
        cells.band(panel, line, "t", **_line(curve, space))
    cells.log_height(panel, points["mean"], BELOW, ABOVE)
    panel.set(xlim=(0, 1), xlabel=f"t, from {START} (0) to {END} (1)", ylabel="training loss (nats)")


def _line(curve: str, space: str) -> dict:
    width = FAINT if space == "intersection" else LINE
    return {"color": style.SPACES[space], "linestyle": style.CURVES[curve][1], "linewidth": width}


def _handles(data: pd.DataFrame) -> list[Line2D]:
    found = data.drop_duplicates(["curve", "space"])
    kept = set(zip(found["curve"], found["space"], strict=True))
    return [
        Line2D([], [], **_line(curve, space), label=results.curve_name(curve, space))
        for curve, space in results.WAYS
        if (curve, space) in kept
    ] + [cells.remark(f"bands: 95 % t interval, {cells.seeds(data['n'])} pairs")]

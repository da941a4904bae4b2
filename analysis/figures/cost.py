"""Test accuracy against training FLOPs over the dense network's, by method; the convention is ``rigl``."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis import stats, style, text
from analysis.figures import panels

COLUMNS = [
    *stats.PANEL,
    *("series", "method", "distribution", "axis_sparsity", "sparsity_is_outcome", "train_total_x"),
    *("mean", "low", "high", "n", *text.PROBLEMS),
]
AREAS = (50.0, 12.0)
"""Areas of the markers of the lowest and of the highest sparsity, in square points."""


def draw(cells: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers, the COLUMNS of ``cells`` (``analysis.stats.cells``).

    ``train_total_x`` is what the runs spent over what a dense run of multiplier 1 spends: it contains the multiplier.
    """
    frame, left_out = panels.legible(cells[COLUMNS])
    keys = stats.panels(frame)
    looks = panels.looks(frame)
    areas = _areas(frame)
    # A run without a result has no place on this axis; the legend counts it.
    done = frame[frame["n"] > 0].assign(**dict.fromkeys(text.PROBLEMS, 0))
    cuts = {key[:2]: panels.floor(frame[stats.within(frame, key[:2])]) for key in keys}
    with style.theme():
        figure, axes = panels.grid(keys, share_x=True)
        stacked = dict.fromkeys(cuts, 0)
        for panel, key in zip(axes, keys, strict=False):
            dense = (done["method"] == stats.DENSE) & stats.within(done, key[:2])
            points = done[stats.within(done, key) | dense].sort_values(["series", "axis_sparsity"])
            _points(panel, points, cuts[key[:2]], looks, areas)
            noted = panels.foot(panel, points, "train_total_x", cuts[key[:2]], looks)
            stacked[key[:2]] = max(stacked[key[:2]], noted)
        for panel, key in zip(axes, keys, strict=False):
            if key[:2] in stacked:  # once for the panels that share an axis
                panels.limit(panel, frame[stats.within(frame, key[:2])], cuts[key[:2]], stacked.pop(key[:2]))
        named = sorted(set(_asked(frame)))
        sizes = [_size(sparsity, areas[sparsity]) for sparsity in named if sparsity > 0]
        panels.legend(figure, frame, looks, [*sizes, *panels.foot_handles(done, cuts), *left_out])
    return figure, cells[COLUMNS].reset_index(drop=True)


def _areas(cells: pd.DataFrame) -> dict[float, float]:
    """The more weights, the larger the marker: equal steps from one sparsity asked for to the next, outcomes between."""
    asked, drawn = sorted(set(_asked(cells))), sorted(set(cells["axis_sparsity"].dropna()))
    areas = np.interp(drawn, asked, np.linspace(*AREAS, len(asked))) if drawn else []
    return dict(zip(drawn, areas, strict=True))


def _asked(cells: pd.DataFrame) -> pd.Series:
    """The sparsities that the legend names: those asked for, or whatever there is where none was."""
    asked = cells.loc[~cells["sparsity_is_outcome"], "axis_sparsity"]
    return asked if len(asked) else cells["axis_sparsity"].dropna()


def _size(sparsity: float, area: float) -> Line2D:
    label = f"marker size: {text.sparsity(sparsity)} sparse"
    return Line2D([], [], linestyle="", marker="o", color="#BBBBBB", markersize=sqrt(area), label=label)


def _points(panel: Axes, points: pd.DataFrame, cut: float, looks: panels.Looks, areas: dict[float, float]) -> None:
    if points.empty:
        panels.say(panel, "no data: no run is done")
        return
    panel.set_xscale("log")
    panels.lines(panel, points, "train_total_x", cut, looks, areas)
    panel.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.margins(x=0.06, y=0.06)
    panel.set(xlabel="training FLOPs (multiple of dense training)", ylabel="test accuracy (%)")

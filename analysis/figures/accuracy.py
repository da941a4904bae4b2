"""Test accuracy against sparsity, by method: one panel per model, data set, layout and training length."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from analysis import stats, style, text
from analysis.figures import panels

COLUMNS = [
    *stats.PANEL,
    *("series", "method", "distribution", "axis_sparsity", "sparsity_is_outcome", "achieved_sparsity"),
    *("mean", "low", "high", "n", *text.PROBLEMS),
]
SPREAD, SPREAD_A_SERIES, FREE = 0.4, 0.04, 0.2
"""Width, in steps of ``_position``, over which the series at one sparsity are set side by side: at least, and for each
series; and the share of the way to the next sparsity that stays free."""


def draw(cells: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers: the COLUMNS of ``cells`` (``analysis.stats.cells``), accuracies as fractions."""
    frame, left_out = panels.legible(cells[COLUMNS])
    sparse = frame[frame["method"] != stats.DENSE]
    dense = frame[frame["method"] == stats.DENSE]
    keys = stats.panels(frame)
    looks = panels.looks(sparse)
    cuts = {key[:2]: panels.floor(frame[stats.within(frame, key[:2])]) for key in keys}
    with style.theme():
        figure, axes = panels.grid(keys)
        stacked = dict.fromkeys(cuts, 0)
        for panel, key in zip(axes, keys, strict=False):
            points, own = _placed(sparse[stats.within(sparse, key)]), _dense_of(dense, key)
            _axes(panel, points)
            panels.lines(panel, points, "position", cuts[key[:2]], looks)
            _dense_line(panel, own)
            if not points["n"].any() and own.empty:
                panels.say(panel, "no data: no run is done")
            stacked[key[:2]] = max(stacked[key[:2]], panels.foot(panel, points, "tick", cuts[key[:2]], looks))
        for panel, key in zip(axes, keys, strict=False):
            if key[:2] in stacked:  # once for the panels that share an axis
                panels.limit(panel, frame[stats.within(frame, key[:2])], cuts[key[:2]], stacked.pop(key[:2]))
        panels.legend(figure, sparse, looks, [*_dense_handle(dense), *panels.foot_handles(sparse, cuts), *left_out])
    return figure, cells[COLUMNS].reset_index(drop=True)


def _position(sparsity: pd.Series) -> pd.Series:
    """Even spacing of .5 .8 .9 .95 .98 .99: each halving of the remaining weights is one step."""
    return -np.log2(1 - sparsity)


def _placed(points: pd.DataFrame) -> pd.DataFrame:
    """``points`` in the order of their lines, with the x of their sparsity (tick) and their own near it (position).

    A sparsity that is an outcome has its point exactly there.
    """
    at_one = points["series"].cat.codes.groupby(points["axis_sparsity"].mask(points["sparsity_is_outcome"]))
    aside = _spread(points) * ((at_one.rank("dense") - 0.5) / at_one.transform("nunique") - 0.5).fillna(0.0)
    tick = _position(points["axis_sparsity"])
    return points.assign(tick=tick, position=tick + aside).sort_values(["series", "tick"])


def _spread(points: pd.DataFrame) -> float:
    """Room for every series, as far as the next sparsity leaves it."""
    gaps = np.diff(sorted(set(_position(_named(points)["axis_sparsity"].dropna()))))
    room = (1 - FREE) * gaps.min(initial=np.inf)
    return max(SPREAD, min(SPREAD_A_SERIES * points["series"].nunique(), room))


def _named(points: pd.DataFrame) -> pd.DataFrame:
    """The points whose sparsities are ticks. Outcomes lie where they fall; their numbers are in the CSV and the table."""
    asked = points[~points["sparsity_is_outcome"]]
    return asked if len(asked) else points


def _axes(panel: Axes, points: pd.DataFrame) -> None:
    ticks = _named(points)[["tick", "axis_sparsity"]].dropna().drop_duplicates().sort_values("tick")
    panel.xaxis.set_major_locator(FixedLocator(list(ticks["tick"])))
    panel.xaxis.set_major_formatter(FixedFormatter([f"{100 * sparsity:.4g}" for sparsity in ticks["axis_sparsity"]]))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.grid(visible=False, axis="x")
    if len(ticks):  # set here, since a panel may have failures and no point
        panel.set_xlim(points["tick"].min() - _spread(points), points["tick"].max() + _spread(points))
    panel.margins(y=0.06)
    panel.set(xlabel="sparsity (% of weights that are zero)", ylabel="test accuracy (%)")


def _dense_of(dense: pd.DataFrame, key: tuple) -> pd.DataFrame:
    """The dense cells that a panel shows: of its training length, else of length 1."""
    own = dense[stats.within(dense, key[:2]) & (dense["n"] > 0)]
    length = key[3] if (own["multiplier"] == key[3]).any() else 1
    return own[own["multiplier"] == length]


def _dense_line(panel: Axes, own: pd.DataFrame) -> None:
    """A line at the dense accuracy and its interval as a band."""
    color = style.look(stats.DENSE).color
    for _, cell in own.iterrows():
        panel.axhline(100 * cell["mean"], color=color, linewidth=1, zorder=1)
        if cell["n"] > 1:
            panel.axhspan(100 * cell["low"], 100 * cell["high"], color=color, alpha=0.1, linewidth=0, zorder=0)


def _dense_handle(dense: pd.DataFrame) -> list[Line2D]:
    if dense.empty:
        return []
    band = ", 95 % interval shaded" if (dense["n"] > 1).any() else ""
    label = f"{dense['series'].iloc[0]}{band} ({panels.seeds(dense)})"
    return [Line2D([], [], color=style.look(stats.DENSE).color, linewidth=1, label=label)]

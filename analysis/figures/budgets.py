"""What is left of the barrier by how long curves were trained: one panel a cell, for the pair that has several budgets.

One line a curve and space, the mean over pairs of seeds on the training set, with 95 % t intervals; the height of the straight
line, which takes no training, runs across.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis import style
from analysis.figures import cells, panels
from analysis.figures.barriers import COLUMNS, LINEAR_TO, RIGHT, TICKS, look, means
from analysis.landscape import results

ONE_BUDGET = "every curve was trained with one budget"
BESIDE = 0.03
"""By how much neighbouring curves are set apart, as a share of the number of steps."""


def draw(barriers: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers, heights in nats by ``barriers.COLUMNS``; the line has 0 steps."""
    data = of_several(barriers)
    names = list(data["cell"].unique())
    with style.theme():
        figure, axes = cells.one_each(names)
        for panel, name in zip(axes, names, strict=False):
            _panel(panel, data[data["cell"] == name])
        if names:
            panels.legend_of(figure, _handles(data))
        elif len(barriers):
            axes[0].texts[0].set_text(ONE_BUDGET)
    return figure, data


def of_several(barriers: pd.DataFrame) -> pd.DataFrame:
    """Means on the training set of the pairs whose curves were trained with several budgets, the line with them."""
    found = means(barriers[barriers["split"] == "train"])
    trained = found[found["curve"] != "linear"]
    budgets = trained.groupby(["cell", "pair"])["steps"].nunique()
    several = budgets[budgets > 1].index
    return found[pd.MultiIndex.from_frame(found[["cell", "pair"]]).isin(several)].reset_index(drop=True)[COLUMNS]


def _panel(panel: Axes, points: pd.DataFrame) -> None:
    trained = points[points["curve"] != "linear"]
    ways = [way for way in results.WAYS if way in set(zip(trained["curve"], trained["space"], strict=True))]
    for (curve, space), line in trained.groupby(["curve", "space"]):
        apart = 1 + BESIDE * (ways.index((curve, space)) - (len(ways) - 1) / 2)
        shape = look(curve, space) | {"linestyle": style.CURVES[curve][1]}
        panel.plot(line["steps"] * apart, line["mean"], **shape)
        spread = line[line["n"] > 1]
        panel.vlines(
            spread["steps"] * apart, spread["low"].clip(lower=0), spread["high"], color=shape["color"], linewidth=0.9
        )
    for height in points.loc[points["curve"] == "linear", "mean"]:
        panel.axhline(height, color=style.SPACES["line"], linewidth=1)
    steps = sorted(trained["steps"].unique())
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(FixedLocator(steps))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_yscale("symlog", linthresh=LINEAR_TO, linscale=0.5)
    panel.yaxis.set_major_locator(FixedLocator(TICKS))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.set_ylim(-LINEAR_TO / 6, max(RIGHT * points["mean"].max(), 2 * LINEAR_TO))
    panel.set(xlabel="steps that the curve was trained for", ylabel="height of the barrier (nats)")


def _handles(data: pd.DataFrame) -> list[Line2D]:
    kept = set(zip(data["curve"], data["space"], strict=True))
    handles = []
    for curve, space in (way for way in results.WAYS if way in kept):
        mark = {"marker": ""} if curve == "linear" else {}
        shape = look(curve, space) | {"linestyle": style.CURVES[curve][1]} | mark
        handles.append(Line2D([], [], **shape, label=results.curve_name(curve, space)))
    pairs = ", ".join(data["pair"].unique())
    return [*handles, cells.remark(f"{pairs}; bars: 95 % t interval, {cells.seeds(data['n'])} pairs")]

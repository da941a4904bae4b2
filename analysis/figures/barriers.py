"""Heights of the barriers between solutions: one panel a cell, in it the pairs of methods, each with all its curves.

Points are means over pairs of seeds with 95 % t intervals: filled on the training set, hollow on the test set. Of a pair whose
curves were trained with several budgets the smallest is shown, the one that all pairs have (``budgets`` shows the others).
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis import style
from analysis.figures import cells, panels
from analysis.landscape import results

BY = [*results.CELL, "pair", "curve", "space", "steps", "split"]
COLUMNS = [*BY, "mean", "low", "high", "n", "left_out"]
LINEAR_TO = 0.03
"""Heights in nats up to which the axis is linear, since many are 0; above it is logarithmic."""
TICKS = (0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
ROW_INCHES, MARGIN_INCHES = 0.1, 0.75
GAP = 1.6
"""Between two pairs, in rows."""
APART = 0.38
"""Between a point and the one of the other split below it, in rows."""
RIGHT = 1.4
"""Multiple of the highest mean that the axis reaches to."""


def draw(barriers: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers, heights in nats by COLUMNS; ``left_out`` counts paths with gaps or whose fit diverged."""
    data = means(results.shortest(barriers))
    names = list(data["cell"].unique())
    pairs = list(data["pair"].unique())
    rows = len(pairs) * (len(results.WAYS) + GAP)
    with style.theme():
        figure, axes = cells.one_each(names, max(ROW_INCHES * rows + MARGIN_INCHES, panels.PANEL_INCHES))
        for panel, name in zip(axes, names, strict=False):
            _panel(panel, data[data["cell"] == name], pairs)
        if names:
            panels.legend_of(figure, _handles(data))
    return figure, data


def means(barriers: pd.DataFrame) -> pd.DataFrame:
    """Over the pairs of seeds whose way is whole (``results.whole``), each budget for itself."""
    everything = barriers.groupby(BY, sort=False).size().rename("all").reset_index()
    found = everything.merge(results.over_seeds(results.whole(barriers), BY, "height"), on=BY, how="left")
    found["n"] = found["n"].fillna(0).astype("int64")
    return found.assign(left_out=found["all"] - found["n"])[COLUMNS]


def _panel(panel: Axes, points: pd.DataFrame, pairs: list[str]) -> None:
    panel.set_xscale("symlog", linthresh=LINEAR_TO, linscale=0.5)
    for point in points.to_dict("records"):
        kind = (point["curve"], point["space"])
        row = pairs.index(point["pair"]) * (len(results.WAYS) + GAP) + results.WAYS.index(kind)
        _point(panel, point, row + (APART if point["split"] == "test" else 0))
    middles = [index * (len(results.WAYS) + GAP) + (len(results.WAYS) - 1) / 2 for index in range(len(pairs))]
    panel.set_yticks(middles, [pair.replace(" – ", " –\n") for pair in pairs])
    panel.set_ylim(middles[-1] + (len(results.WAYS) + GAP) / 2, middles[0] - (len(results.WAYS) + GAP) / 2)
    panel.grid(visible=False, axis="y")
    for middle in middles[1:]:
        panel.axhline(middle - (len(results.WAYS) + GAP) / 2, color="#CCCCCC", linewidth=0.8)
    panel.set_xlim(-LINEAR_TO / 6, max(RIGHT * points["mean"].max(), 2 * LINEAR_TO) if points["n"].any() else 1)
    panel.xaxis.set_major_locator(FixedLocator(TICKS))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlabel("height of the barrier (nats)")


def _point(panel: Axes, point: dict, y: float) -> None:
    shape = look(point["curve"], point["space"], hollow=point["split"] == "test")
    panel.plot(point["mean"], y, **shape)
    if point["n"] > 1:
        panel.hlines(y, max(point["low"], 0), point["high"], color=shape["color"], linewidth=0.9, zorder=1)


def look(curve: str, space: str, hollow: bool = False) -> dict:
    """How a barrier of this kind is drawn, as properties of a line of matplotlib's."""
    color = style.SPACES[space]
    face = "white" if hollow else color
    edge = {"markeredgecolor": color, "markeredgewidth": 0.8, "markerfacecolor": face, "markersize": 4}
    return {"color": color, "marker": style.CURVES[curve][0], "linestyle": "", **edge}


def _handles(data: pd.DataFrame) -> list[Line2D]:
    kept = set(zip(data["curve"], data["space"], strict=True))
    ways = [way for way in results.WAYS if way in kept]
    handles = [Line2D([], [], **look(*way), label=results.curve_name(*way)) for way in ways]
    words = ["filled: training set; hollow: test set", f"bars: 95 % t interval, {cells.seeds(data['n'])} pairs"]
    if data["left_out"].any():
        words.append(f"ways with gaps, left out: {data.loc[data['split'] == 'train', 'left_out'].sum()}")
    return [*handles, *map(cells.remark, words)]

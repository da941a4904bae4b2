"""What the landscape's figures share: panels by cell, lines in bands, points with intervals, words for n."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis import style
from analysis.figures import panels

BAND = 0.18
"""Opacity of an interval's band."""
TITLE_CHARACTERS = 34
"""That go in one line over a panel."""
LONG_WAY = 1000
"""Highest over lowest value of a logarithmic axis from which on decades are ticks enough."""
EDGE = {"markeredgecolor": "white", "markeredgewidth": 0.4}
NO_DATA = "no data: nothing was measured"


def one_each(
    cells: Sequence[str], height: float = panels.PANEL_INCHES, projection: str | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure with one panel a cell, at most two to a row; with no cells one panel that says so."""
    figure, axes = panels.blank(len(cells), height, projection)
    for panel, cell in zip(axes, cells, strict=False):
        panel.set_title(title(cell))
    if not cells:
        panels.say(axes[0], NO_DATA)
    return figure, axes


def row_each(cells: Sequence[str], columns: int, height: float) -> tuple[Figure, np.ndarray]:
    """A figure, two columns of text wide, with a row of ``columns`` panels a cell under its name: axes [cells, columns].

    Every row lies in a subfigure, which is what colour bars of its own go to. No name, no heading.
    """
    figure = Figure(figsize=(2 * style.COLUMN_INCHES, height * max(len(cells), 1)), layout="constrained")
    if not cells:
        axes = figure.subplots(1, columns, squeeze=False)
        panels.say(axes[0, columns // 2], NO_DATA)
        for panel in axes.flat:
            panel.set_axis_off()
        return figure, axes
    rows = []
    for part, cell in zip(figure.subfigures(len(cells), 1, squeeze=False)[:, 0], cells, strict=True):
        rows.append(part.subplots(1, columns, squeeze=False)[0])
        if cell:
            part.suptitle(cell, x=0.01, ha="left", fontsize=style.FONT_POINTS + 1, fontweight="bold")
    return figure, np.array(rows)


def title(cell: str) -> str:
    """The name of a cell; a long one in two lines, distribution and sparsity in the second."""
    if len(cell) <= TITLE_CHARACTERS:
        return cell
    what, distribution, sparsity = cell.rsplit(", ", 2)
    return f"{what}\n{distribution}, {sparsity}"


def band(panel: Axes, points: pd.DataFrame, x: str, label: str | None = None, **line) -> None:
    """The means of ``points`` (``results.over_seeds``) along ``x`` as a line, broken where there is none, in its intervals."""
    panel.plot(points[x], points["mean"], label=label, **line)
    if (points["n"] > 1).any():
        panel.fill_between(points[x], points["low"], points["high"], color=line["color"], alpha=BAND, linewidth=0)


def seeds(n: pd.Series, of: str = "n") -> str:
    """ "n=3" or "n=2–3"; empty where there is nothing."""
    low, high = n.min(), n.max()
    return "" if n.empty else f"{of}={low}" if low == high else f"{of}={low}–{high}"


def log_height(panel: Axes, means: pd.Series, below: float, above: float) -> None:
    """A logarithmic y from ``below`` times the lowest of ``means`` to ``above`` times the highest, whatever intervals do.

    What is not finite or not above 0 does not count; where nothing does, y stays linear.
    """
    shown = means[np.isfinite(means) & (means > 0)]
    if len(shown):
        panel.set(yscale="log", ylim=(below * shown.min(), above * shown.max()))
        logarithmic(panel.yaxis)


def logarithmic(axis: Axis) -> None:
    """Ticks of a logarithmic axis between the limits that it has, in plain numbers: 1, 2, 5, or decades over a long way."""
    low, high = axis.get_view_interval()
    subs = (1, 2, 5) if high / low < LONG_WAY else (1,)
    axis.set_major_locator(LogLocator(10, subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def percent(points: pd.DataFrame) -> dict[str, pd.Series]:
    """Means and bounds of fractions, in per cent."""
    return {name: 100 * points[name] for name in ("mean", "low", "high")}


def dots(panel: Axes, places: Sequence[float], points: pd.DataFrame, look: style.Look) -> None:
    """The means of ``points`` at ``places`` on x, each with its interval."""
    panel.plot(places, points["mean"], linestyle="", color=look.color, marker=look.marker, zorder=3, **EDGE)
    if (points["n"] > 1).any():
        half = (points["high"] - points["low"]) / 2
        panel.errorbar(places, points["mean"], yerr=half, ecolor=look.color, **panels.BAR)


def remark(words: str) -> Line2D:
    """A line of the legend without a mark."""
    return Line2D([], [], linestyle="", label=words)


def method_handles(data: pd.DataFrame) -> list[Line2D]:
    """One handle a method, with its numbers of seeds."""
    handles = []
    for (method, label), own in data.groupby(["method", "label"], sort=False):
        look = style.look(str(method))
        mark = {"color": look.color, "marker": look.marker, "linestyle": "", **EDGE}
        handles.append(Line2D([], [], **mark, label=f"{label} ({seeds(own['n'])})"))
    return handles

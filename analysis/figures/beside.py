"""What the paper's figures share: published and reproduced numbers beside each other.

Published numbers are hollow on thin dashed lines, ours filled with 95 % t intervals; both have one colour a method. They
share a panel where they are of the same model and data set, and a panel without numbers of ours says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import points as record
from analysis import stats, style
from analysis.figures import cells, panels, scales
from analysis.figures.chosen import PLACE
from analysis.figures.scales import ACCURACY, Along, Quantity
from analysis.figures.strokes import Line, Lines

DASHED = (0, (2.2, 1.6))
THIN, LINE = 0.8, 1.3
"""Line widths, in points, of what was published and of what was run."""
SPREAD = 0.3
"""Share of the smallest gap on x over which the lines at one place are set side by side, at most."""
STEP = 0.035
"""Share of the length of x that two of them are set apart at most."""
NOT_HERE = "not reproduced here yet"
NOTHING = "the paper prints no numbers to draw here,\nand nothing was run"
NO_NUMBERS = "the paper prints no numbers to draw here"
GREY = "#555555"
HALO, FAR = 1.0, 0.03
"""How far from the means an axis follows their intervals: as a share of the range of means, and at least."""


@dataclass(frozen=True)
class Part:
    """Panels of one kind. ``data`` has the columns of points, and ``panel``, a title, and ``line``, a name in ``lines``.

    ``dense`` has dense points, drawn as levels in the panels of their model and data set.
    """

    data: pd.DataFrame
    lines: Lines
    dense: pd.DataFrame
    along: Along
    quantity: Quantity

    @property
    def titles(self) -> list[str]:
        """Of its panels, in order of appearance."""
        return list(self.data["panel"].unique())

    @property
    def levels(self) -> pd.DataFrame:
        """The dense points of each panel."""
        return _levels(self.dense, self.data)

    @property
    def shown(self) -> pd.DataFrame:
        """All that it draws."""
        return pd.concat([self.data, self.levels], ignore_index=True)


def draw(
    data: pd.DataFrame, dense: pd.DataFrame, along: Along, quantity: Quantity, lines: Lines
) -> tuple[Figure, pd.DataFrame]:
    """A figure of one part, and the numbers drawn."""
    return draw_parts([Part(data, lines, dense, along, quantity)])


def draw_parts(parts: Sequence[Part]) -> tuple[Figure, pd.DataFrame]:
    """A figure with the panels of ``parts``, one after the other, and the numbers drawn; without any it says that."""
    with style.theme():
        figure, axes = panels.blank(sum(len(part.titles) for part in parts))
        left = iter(axes)
        for part in parts:
            fill(part, {title: next(left) for title in part.titles})
        drawn = pd.concat([part.shown for part in parts], ignore_index=True)
        if drawn.empty:
            panels.say(axes[0], NOTHING)
        panels.legend_of(figure, handles(parts, drawn))
    return figure, drawn[["panel", "line", *record.COLUMNS]]


def fill(part: Part, axes: Mapping[str, Axes]) -> None:
    """Draw ``part`` in ``axes``, by title; panels of one model and data set share y."""
    levels = part.levels
    for _, place in part.data.groupby(PLACE, sort=False):
        own = {title: axes[title] for title in place["panel"].unique()}
        first = next(iter(own.values()))
        everything = _counted(pd.concat([place, levels[levels["panel"].isin(own)]]))
        cut = _floor(everything, part.quantity)
        stacked = 0
        for title, panel in own.items():
            if panel is not first:
                panel.sharey(first)
            panel.set_title(title)
            _level(panel, levels[levels["panel"] == title], part.quantity)
            points = _placed(place[place["panel"] == title], part.along, part.lines)
            _panel(panel, points, part, cut)
            stacked = max(stacked, panels.foot(panel, _counted(points), "tick", cut, _looks(part.lines)))
            for words in panel.texts:  # lines to points below the axis run through them
                words.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.4})
        _height(first, everything, part.quantity, cut, stacked)


def _floor(points: pd.DataFrame, quantity: Quantity) -> float:
    """Where the axis ends, as a point's mean (see ``panels.floor``); published numbers alone are all shown."""
    ours = (points["kind"] == record.REPRODUCED).any()
    return panels.floor(points) if ours and quantity == ACCURACY else -np.inf


def _height(panel: Axes, points: pd.DataFrame, quantity: Quantity, cut: float, stacked: int) -> None:
    """Set y for ``points``: their means, and of their intervals what is no farther off than HALO of the range of means.

    There is room for ``stacked`` lines at the foot; no axis of accuracies goes beyond 100 %.
    """
    shown = points[points["mean"] >= cut]
    if quantity.logarithmic:
        cells.log_height(panel, quantity.scale * points["mean"], 0.6, 2)
    elif len(shown):
        lowest, highest = shown["mean"].min(), shown["mean"].max()
        halo = max(HALO * (highest - lowest), FAR)
        low = max(shown["low"].min(), lowest - halo) if shown["low"].notna().any() else lowest
        high = min(shown["high"].max(), highest + halo) if shown["high"].notna().any() else highest
        low, high = min(low, lowest) - 0.1 * (high - low), max(high, highest) + 0.07 * (high - low)
        low -= 0.06 * stacked * (high - low)
        high = min(high, 1.003) if quantity == ACCURACY else high
        panel.set_ylim(quantity.scale * low, quantity.scale * high)


def _levels(dense: pd.DataFrame, data: pd.DataFrame) -> pd.DataFrame:
    """Of each panel the dense points of its model and data set, of the usual length."""
    found = []
    for title, points in data.groupby("panel", sort=False):
        own = dense[(dense[PLACE] == points[PLACE].iloc[0].tolist()).all(axis=1)]
        found.append(own.assign(panel=title, line="Dense"))
    return pd.concat(found) if found else dense.assign(panel="", line="")


def _level(panel: Axes, own: pd.DataFrame, quantity: Quantity) -> None:
    color = style.look(stats.DENSE).color
    for _, point in own.iterrows():
        ours = point["kind"] == record.REPRODUCED
        how = {"linewidth": 1.0} if ours else {"linewidth": THIN, "linestyle": DASHED}
        panel.axhline(quantity.scale * point["mean"], color=color, zorder=1, **how)
        if ours and point["n"] > 1:
            low, high = quantity.scale * point["low"], quantity.scale * point["high"]
            panel.axhspan(low, high, color=color, alpha=0.1, linewidth=0, zorder=0)


def _panel(panel: Axes, points: pd.DataFrame, part: Part, cut: float) -> None:
    for (name, kind), line in points.groupby(["line", "kind"], sort=False):
        shown = line[line["mean"].notna()].sort_values("tick")
        _line(panel, shown, part.quantity, part.lines[name], kind == record.REPORTED, cut)
    if not (points["kind"] == record.REPRODUCED).any():
        note(panel, NOT_HERE, part.along.corner)
    scales.draw(panel, points, part.along)
    panel.set_ylabel(part.quantity.label)


def note(panel: Axes, words: str, corner: str) -> None:
    """Put ``words`` into a lower corner, "left" or "right", of a panel."""
    x = 0.03 if corner == "left" else 0.97
    panel.text(x, 0.03, words, ha=corner, va="bottom", transform=panel.transAxes, color=GREY, fontstyle="italic")


def _line(panel: Axes, shown: pd.DataFrame, quantity: Quantity, line: Line, is_reported: bool, cut: float) -> None:
    color, marker = line.look.color, line.look.marker
    means = quantity.scale * shown["mean"]
    if is_reported:
        how = {"linestyle": DASHED, "linewidth": THIN, "markerfacecolor": "white", "markeredgewidth": 1.0}
        panel.plot(shown["position"], means, color=color, marker=marker, markersize=4.5, zorder=2.5, **how)
        return
    panel.plot(
        shown["position"],
        means,
        color=color,
        marker=marker,
        linestyle=line.style,
        linewidth=LINE,
        zorder=3,
        **cells.EDGE,
    )
    several = shown[(shown["n"] > 1) & (shown["mean"] >= cut)]
    half = quantity.scale * (several["high"] - several["low"]) / 2
    panel.errorbar(several["position"], quantity.scale * several["mean"], yerr=half, ecolor=color, **panels.BAR)


def _placed(points: pd.DataFrame, along: Along, lines: Lines) -> pd.DataFrame:
    """``points`` with the x of their value (tick) and their own near it (position): lines side by side."""
    tick = along.place(points[along.column])
    order = points["line"].map({name: rank for rank, name in enumerate(lines)})
    ranks = order.rank(method="dense")
    aside = (ranks - 1) / max(ranks.max() - 1, 1) - 0.5 if ranks.nunique() > 1 else 0.0 * ranks
    placed = points.assign(tick=tick, order=order)
    step = STEP * max(float(np.ptp(tick.dropna())) if tick.notna().any() else 0, 1)
    spread = 0 if along.is_continuous else min(SPREAD * scales.gap(placed), step * (ranks.nunique() - 1))
    return placed.assign(position=tick + spread * aside).sort_values(["order", "tick"])


def _counted(points: pd.DataFrame) -> pd.DataFrame:
    """As ``panels`` takes them: a published mean counts as one, a line is a series, a place on x is a sparsity."""
    counts = points["n"].where(points["kind"] == record.REPRODUCED, 1)
    order = pd.Categorical(points["line"], categories=points["line"].unique(), ordered=True)
    return points.assign(n=counts, series=order, axis_sparsity=points.get("tick"))


def _looks(lines: Lines) -> panels.Looks:
    return {name: (line.look, "") for name, line in lines.items()}


# -- the legend -----------------------------------------------------------------------------------------------------------


def handles(parts: Sequence[Part], drawn: pd.DataFrame) -> list[Line2D]:
    """Each line that is there, with its numbers of seeds, then what hollow and filled mean and what lies below an axis."""
    found = []
    for part in parts:
        names = [name for name in part.lines if (part.data["line"] == name).any()]
        found += [_handle(name, part.lines[name], part.data[part.data["line"] == name]) for name in names]
    dense = drawn[drawn["method"] == stats.DENSE]
    if len(dense):
        found.append(_dense_handle(dense))
    return found + legend_of_kinds(drawn) + _below(parts)


def _dense_handle(dense: pd.DataFrame) -> Line2D:
    ours = dense[dense["kind"] == record.REPRODUCED]
    shaded = ", interval shaded" if (ours["n"] > 1).any() else ""
    how = {"linewidth": 1} if len(ours) else {"linewidth": THIN, "linestyle": DASHED}
    return Line2D([], [], color=style.look(stats.DENSE).color, label=_counted_name(f"Dense{shaded}", dense), **how)


def _handle(name: str, line: Line, own: pd.DataFrame) -> Line2D:
    ours = (own["kind"] == record.REPRODUCED).any()
    filled = cells.EDGE if ours else {"markerfacecolor": "white", "markeredgewidth": 1.0, "linewidth": THIN}
    dashes = line.style if ours else DASHED
    return Line2D(
        [],
        [],
        color=line.look.color,
        marker=line.look.marker,
        linestyle=dashes,
        label=_counted_name(name, own),
        **filled,
    )


def _counted_name(name: str, own: pd.DataFrame) -> str:
    ours = own[own["kind"] == record.REPRODUCED].drop_duplicates("cell")
    counts = panels.seeds(ours.astype({"n": "int64"})) if len(ours) else ""
    return f"{name} ({counts})" if counts else name


def legend_of_kinds(data: pd.DataFrame) -> list[Line2D]:
    """What hollow and filled marks stand for, where there are any."""
    published = data[data["kind"] == record.REPORTED]
    found = []
    if len(published):
        look = {"color": GREY, "marker": "o", "markerfacecolor": "white", "linestyle": DASHED, "linewidth": THIN}
        found.append(Line2D([], [], **look, label=f"reported: {'; '.join(published['cited'].unique())}"))
        if published["digitised"].any():
            found.append(cells.remark("in part read off a picture (see the CSV)"))
    if (data["kind"] == record.REPRODUCED).any():
        bars = ", bars: 95 % t interval over n seeds" if (data["n"] > 1).any() else ""
        found.append(Line2D([], [], color=GREY, marker="o", label=f"reproduced here{bars}"))
    if len(data) and not len(published):
        found.append(cells.remark(NO_NUMBERS))
    return found


def _below(parts: Sequence[Part]) -> list[Line2D]:
    places = [(_counted(place), part.quantity) for part in parts for _, place in part.shown.groupby(PLACE)]
    cuts = {(number,): _floor(*place) for number, place in enumerate(places)}
    return panels.foot_handles(pd.concat([part.data for part in parts]), cuts)

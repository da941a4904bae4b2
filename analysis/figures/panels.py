"""What the figures share: a grid of panels, lines per series, counts of runs without a result, one legend outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import style, text

COLUMNS = 2
PANEL_INCHES = 2.7
LEGEND_INCHES = 2.4
LEGEND_COLUMNS = 3
LINE_INCHES = 0.175
CHARACTER_EMS, HANDLE_EMS = 0.56, 5.5
"""Widths in the legend: of a mean character, and of a handle with the gaps around it."""
WIDEST_BESIDE = 0.6
"""Share of a figure's width that a legend may take beside its panel."""
MOST_SERIES = 40
"""That a figure can show."""
MARKER_AREA = 26.0
"""Square points."""
SPAN = 0.2
"""Range of accuracies, a fraction, that an axis shows at most; see ``floor``."""
Looks = dict[str, tuple[style.Look, str]]
BAR = {"fmt": "none", "elinewidth": 1, "capsize": 2, "zorder": 2}


def looks(cells: pd.DataFrame) -> Looks:
    """Look and distribution of each series of a figure, in the house order; variants of a method are tints."""
    firsts = cells.sort_values("series").drop_duplicates("series")
    kin = firsts.groupby(["method", "distribution"])["series"]
    shades = kin.cumcount() / kin.transform("size")
    rows = zip(firsts["series"], firsts["method"], firsts["distribution"], shades, strict=True)
    return {str(name): (style.look(method, shade), distribution) for name, method, distribution, shade in rows}


def legible(cells: pd.DataFrame) -> tuple[pd.DataFrame, list[Line2D]]:
    """``cells``, and what the legend says of those left out: of more than MOST_SERIES, as a sweep has, each method and
    distribution keeps the series with the most cells."""
    sizes = cells["series"].value_counts()
    firsts = cells.drop_duplicates("series")
    if len(firsts) <= MOST_SERIES:
        return cells, []
    ranked = firsts.assign(size=firsts["series"].map(sizes).astype("int64"))
    ranked = ranked.sort_values("size", ascending=False, kind="stable")
    kept = ranked.drop_duplicates(["method", "distribution"])["series"]
    words = f"{len(firsts) - len(kept)} series of a sweep are in the CSV alone"
    return cells[cells["series"].isin(kept)], [Line2D([], [], linestyle="", label=words)]


def grid(keys: Sequence[tuple], share_x: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure with one panel per key (model, data set, layout, multiplier), at most two to a row.

    Panels of one model and data set share y, and x if asked. With no keys there is one panel that says it has no data.
    """
    figure, axes = blank(len(keys))
    first: dict[tuple, Axes] = {}
    for panel, key in zip(axes, keys, strict=False):
        panel.set_title(text.setting(*key))
        if first.setdefault(key[:2], panel) is not panel:
            panel.sharey(first[key[:2]])
            if share_x:
                panel.sharex(first[key[:2]])
    if not keys:
        say(axes[0], "no data: no records were found")
    return figure, axes


def blank(count: int, height: float = PANEL_INCHES, projection: str | None = None) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels, ``height`` inches each, at most two to a row; at least one, with room beside it.

    ``projection`` is matplotlib's, such as 3d.
    """
    count = max(count, 1)
    columns, rows = min(count, COLUMNS), -(-count // COLUMNS)
    width = style.COLUMN_INCHES * columns + (LEGEND_INCHES if columns == 1 else 0)
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, subplot_kw={"projection": projection}).flat)
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure, axes[:count]


def say(panel: Axes, words: str) -> None:
    """Put ``words`` in the middle of an empty panel."""
    panel.text(0.5, 0.5, words, ha="center", va="center", transform=panel.transAxes, color="#555555")
    panel.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)  # ticks may be another panel's too
    panel.grid(visible=False)


def lines(
    panel: Axes, points: pd.DataFrame, x: str, cut: float, looks: Looks, areas: Mapping[float, float] | None = None
) -> None:
    """Draw the accuracy of ``points`` (cells) against the column ``x``, one line per series, with 95 % t intervals.

    Lines run out of the panel towards points below ``cut`` (see ``floor``). ``areas`` gives the markers' areas, in
    square points, by axis sparsity; without it all are alike.
    """
    points = points[points["n"] > 0]
    if points.empty:
        return
    drawn = points.assign(series=points["series"].astype("str"), percent=100 * points["mean"])
    drawn["area"] = drawn["axis_sparsity"].map(areas) if areas else MARKER_AREA
    # Not by seaborn's lineplot, which takes as long for one series as for all of the rest of the figure.
    for name, group in drawn.dropna(subset=[x, "percent"]).groupby("series", sort=False):
        look, distribution = looks[name]
        dash = style.DASHES[distribution]
        panel.plot(group[x], group["percent"], color=look.color, linestyle=(0, dash) if dash else "-")
        mark = {"color": look.color, "marker": look.marker, "edgecolors": "white", "linewidths": 0.4}
        panel.scatter(group[x], group["percent"], s=group["area"], zorder=3, **mark)
        spread = group[(group["n"] > 1) & (group["mean"] >= cut)]
        if len(spread):
            half = 50 * (spread["high"] - spread["low"])
            panel.errorbar(spread[x], spread["percent"], yerr=half, ecolor=look.color, **BAR)


def floor(points: pd.DataFrame) -> float:
    """Accuracy, a fraction, below which the points of one axis are written at its foot and not drawn.

    One collapsed method would press all others into one line. The floor is SPAN below the best, and there is none
    (minus infinity) where no point or more than half of them are below it.
    """
    means = points.loc[points["n"] > 0, "mean"]
    cut = means.max() - SPAN
    return cut if 0 < (means < cut).mean() <= 0.5 else -np.inf


def foot(panel: Axes, points: pd.DataFrame, x: str, cut: float, looks: Looks) -> int:
    """Write at the foot of the panel, by sparsity, the means below ``cut`` and the numbers of runs without a result.

    Returns how many lines are stacked at most, which ``limit`` takes.
    """
    stacked = 0
    for _, group in points[points[x].notna()].sort_values("series", ascending=False).groupby("axis_sparsity"):
        notes = [(looks[point["series"]][0].color, _note(point, cut)) for _, point in group.iterrows()]
        notes = [(color, note) for color, note in notes if note]
        for place, (color, note) in enumerate(notes):
            panel.annotate(
                note,
                (group[x].median(), 0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 2 + style.FONT_POINTS * place),
                textcoords="offset points",
                ha="center",
                va="bottom",
                color=color,
                fontsize=style.FONT_POINTS - 1,
                fontweight="bold",
            )
        stacked = max(stacked, len(notes))
    return stacked


def limit(panel: Axes, points: pd.DataFrame, cut: float, stacked: int) -> None:
    """Set y for ``points``, all those of the axis, without those below ``cut``, with room for ``stacked`` lines.

    Bars of a point at the edge may leave the panel; they are in the CSV.
    """
    low, high = panel.get_ylim()
    if np.isfinite(cut):
        shown = 100 * points.loc[(points["n"] > 0) & (points["mean"] >= cut), "mean"]
        margin = 0.15 * max(shown.max() - shown.min(), 1)
        low, high = shown.min() - margin, min(shown.max() + margin, 100)
    panel.set_ylim(low - (high - low) * 0.06 * stacked, high)


def foot_handles(points: pd.DataFrame, cuts: Mapping[tuple, float]) -> list[Line2D]:
    """What the legend says of the foot."""
    labels = []
    if any(np.isfinite(cut) for cut in cuts.values()):
        labels.append("↓m: the mean is m %, below the axis")
    if points[list(text.PROBLEMS)].to_numpy().any():
        labels.append("×k: k runs without a result")
    return [Line2D([], [], linestyle="", label=label) for label in labels]


def _note(point: pd.Series, cut: float) -> str:
    below = f"↓{100 * point['mean']:.0f}" if point["n"] and point["mean"] < cut else ""
    lacking = point[list(text.PROBLEMS)].sum()
    return " ".join(part for part in (below, f"×{lacking}" if lacking else "") if part)


def legend(figure: Figure, points: pd.DataFrame, looks: Looks, extra: Sequence[Line2D] = ()) -> None:
    """One legend outside the panels: each series with its numbers of runs, then ``extra`` handles."""
    handles = [
        Line2D([], [], color=look.color, marker=look.marker, markeredgecolor="white", markeredgewidth=0.4,
               linestyle=(0, style.DASHES[distribution]) if style.DASHES[distribution] else "-",
               label=f"{name} ({seeds(points[points['series'] == name])})")
        for name, (look, distribution) in looks.items()
    ]  # fmt: skip
    handles += extra
    if (points["n"] > 1).any():
        handles.append(Line2D([], [], linestyle="", label="bars: 95 % t interval over n seeds"))
    legend_of(figure, handles)


def legend_of(figure: Figure, handles: Sequence[Line2D]) -> None:
    """One legend of ``handles``: beside a single panel, unless its words would take the room, else below; the figure grows."""
    if not handles:
        return
    width, height = figure.get_size_inches()
    labels = [str(handle.get_label()) for handle in handles]
    if width < COLUMNS * style.COLUMN_INCHES and _inches(labels) <= WIDEST_BESIDE * width:
        figure.set_figheight(max(height, LINE_INCHES * (len(handles) + 1)))
        place = {"loc": "outside right center"}
    else:
        columns = _columns_that_fit(labels, width)
        figure.set_figheight(height + LINE_INCHES * (-(-len(handles) // columns) + 1))
        place = {"loc": "outside lower center", "ncols": columns}
    figure.legend(handles=handles, frameon=False, handlelength=2.6, **place)


def _columns_that_fit(labels: Sequence[str], width: float) -> int:
    """The most columns, filled one after the other as legends are, that are no wider than ``width`` inches."""
    for columns in range(LEGEND_COLUMNS, 1, -1):
        parts = [list(part) for part in np.array_split(labels, columns) if len(part)]
        if sum(map(_inches, parts)) <= width:
            return columns
    return 1


def _inches(labels: Sequence[str]) -> float:
    """Width of a column of the legend with these labels."""
    return (CHARACTER_EMS * max(map(len, labels)) + HANDLE_EMS) * style.FONT_POINTS / 72


def seeds(points: pd.DataFrame) -> str:
    """ "n=3" or "n=2–3, 1 diverged": how many runs the points of a series are means of, and how many are missing."""
    low, high = points["n"].min(), points["n"].max()
    counts = f"n={low}" if low == high else f"n={low}–{high}"
    return ", ".join(part for part in (counts, text.problems(points[list(text.PROBLEMS)].sum())) if part)

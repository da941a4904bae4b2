"""Training FLOPs over dense training of the same length, against sparsity: one panel a distribution, one line a cost.

Of some twenty methods many cost the same: those whose costs differ nowhere by more than a line is wide share one.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from analysis import stats, style
from analysis.records import DISTRIBUTIONS

SAME = 0.02
"""Methods whose costs differ by no more than this share, in every cell that they have in common, share a line."""
COLUMNS = ["distribution", "sparsity", "method", "label", "line", "rigl_train_x", "macs_train_x", "skipped", "unknown"]
INCHES = (2 * style.COLUMN_INCHES, 3.9)
LEGEND_COLUMNS = 2


def draw(frame: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers: the COLUMNS of ``frame`` (``analysis.costs``); ``line`` names all who share a line."""
    known = frame[frame["rigl_train_x"].notna() & (frame["method"] != stats.DENSE)]
    firsts = _firsts(known)
    labels = dict(zip(frame["method"], frame["label"], strict=True))
    names = {first: ", ".join(labels[name] for name in firsts if firsts[name] == first) for first in firsts.values()}
    with style.theme():
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.subplots(1, len(DISTRIBUTIONS), sharex=True, sharey=True)
        for panel, (distribution, title) in zip(axes, DISTRIBUTIONS.items(), strict=True):
            panel.set_title(f"{frame['model'].iloc[0]}, {title}")
            _lines(panel, known[known["method"].isin(names) & (known["distribution"] == distribution)])
        _scale(axes[0], sorted(set(known["sparsity"])))
        axes[0].set_ylabel("training FLOPs (multiple of dense)")
        handles = [_handle(stats.DENSE, labels.get(stats.DENSE, "dense"))]
        handles += [_handle(first, name) for first, name in names.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False)
    lines = frame["method"].map(firsts).map(names).fillna("")
    return figure, frame.assign(line=lines)[COLUMNS].reset_index(drop=True)


def _firsts(known: pd.DataFrame) -> dict[str, str]:
    """Of each method the one, first in the order of ``known``, whose line it shares."""
    costs = known.pivot(index=["distribution", "sparsity"], columns="method", values="rigl_train_x")
    found: dict[str, str] = {}
    for method in known["method"].unique():
        alike = (first for first in found.values() if _same(costs[first], costs[method]))
        found[method] = next(alike, method)
    return found


def _same(one: pd.Series, other: pd.Series) -> bool:
    differences = (one / other - 1).abs().dropna()
    return len(differences) > 0 and bool((differences <= SAME).all())


def _lines(panel: Axes, points: pd.DataFrame) -> None:
    panel.axhline(1, color=style.look(stats.DENSE).color, linewidth=1)
    for method, line in points.groupby("method", sort=False):
        look = style.look(str(method))
        edge = {"markeredgecolor": "white", "markeredgewidth": 0.4}
        panel.plot(1 - line["sparsity"], line["rigl_train_x"], color=look.color, marker=look.marker, **edge)
    panel.set_xlabel("sparsity (%)")


def _scale(panel: Axes, sparsities: list[float]) -> None:
    """Logarithmic in what is left of the weights and of the cost; the panels share it."""
    panel.set(xscale="log", yscale="log")
    panel.invert_xaxis()
    panel.xaxis.set_major_locator(FixedLocator([1 - sparsity for sparsity in sparsities]))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda left, _: f"{100 * (1 - left):.4g}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda multiple, _: f"{multiple:g}×"))
    panel.yaxis.set_minor_locator(NullLocator())


def _handle(method: str, label: str) -> Line2D:
    look = style.look(method)
    marker = "" if method == stats.DENSE else look.marker
    return Line2D([], [], color=look.color, marker=marker, markeredgecolor="white", markeredgewidth=0.4, label=label)

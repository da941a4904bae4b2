"""After Appendix A of the RigL paper: what the weights that a mask closes would do for the loss. One row of panels a cell.

Left, the share of the dense gradient's norm on inactive weights, at steps of training and at its end. Right, how much the
training loss falls by one step against the gradient, within the mask and over all weights. Means over seeds.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from analysis import style
from analysis.figures import cells, panels
from analysis.landscape import results

BY = [*results.CELL, "quantity", "method", "label", "space", "step", "length"]
COLUMNS = [*BY, *results.INTERVAL]
"""``quantity`` is share (at ``step``; none: at the end) or decrease (nats, by a step of ``length`` in ``space``)."""
LAST = "Gradient's norm on inactive weights, %"
BEST = {"active": "Best step within the mask, nats", "all": "Best step of all weights, nats"}
SPACES = {"active": "-", "all": (0, (4, 1.5))}
ASIDE = 1.25
"""Factor by which the first and the last line lie off the length of their steps."""
ROW_INCHES = 2.3


def draw(shares: pd.DataFrame, descents: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers, by COLUMNS."""
    data = means(shares, descents)
    names = list(data["cell"].unique())
    with style.theme():
        figure, axes = cells.row_each(names, 2, ROW_INCHES)
        for (left, right), name in zip(axes, names, strict=False):
            points = data[data["cell"] == name]
            _shares(left, points[points["quantity"] == "share"])
            _decreases(right, points[points["quantity"] == "decrease"])
        if names:
            panels.legend_of(figure, _handles(data))
    return figure, data


def means(shares: pd.DataFrame, descents: pd.DataFrame) -> pd.DataFrame:
    """Over seeds."""
    kinds = {"step": "Int64", "length": "float64", "space": "str"}
    parts = [
        shares.assign(quantity="share", value=shares["share"]),
        descents.assign(quantity="decrease", value=descents["decrease"]),
    ]
    both = pd.concat([part.reindex(columns=[*BY, "value"]).astype(kinds) for part in parts])
    return results.over_seeds(both, BY, "value")


def ends(shares: pd.DataFrame, descents: pd.DataFrame) -> pd.DataFrame:
    """Over seeds: the share at the end, in per cent, and what the best step gains, not to move being one of them."""
    last = shares[shares["step"].isna()]
    steps = descents.assign(value=descents["decrease"].clip(lower=0))
    run = [*results.CELL, "method", "label", "seed"]
    best = steps[np.isfinite(steps["value"])].groupby([*run, "space"], sort=False)["value"].max().reset_index()
    best["quantity"] = best["space"].map(BEST)
    both = pd.concat([last.assign(quantity=LAST, value=100 * last["share"]), best.sort_values("space", kind="stable")])
    return results.over_seeds(both, [*results.CELL, "quantity", "method", "label"], "value")


def _shares(panel: Axes, points: pd.DataFrame) -> None:
    """Steps are evenly spaced, since training keeps them ever more rarely."""
    steps = [*sorted(points["step"].dropna().unique()), pd.NA]
    for method, own in points.groupby("method", sort=False):
        look = style.look(str(method))
        places = own["step"].map({step: index for index, step in enumerate(steps)}).fillna(len(steps) - 1)
        cells.band(panel, own.assign(place=places, **cells.percent(own)), "place", **_line(look), marker=look.marker)
    panel.set_xticks(range(len(steps)), ["end" if pd.isna(step) else f"{step:,}" for step in steps])
    panel.set(ylim=(-3, 103), xlabel="gradient steps", ylabel="gradient's norm on\ninactive weights (%)")


def _decreases(panel: Axes, points: pd.DataFrame) -> None:
    """One line a method and space, a little aside of each other. What a step raises lies below a logarithmic axis."""
    lines = list(points.groupby(["method", "space"], sort=False))
    asides = np.geomspace(1 / ASIDE, ASIDE, len(lines))
    for aside, ((method, space), own) in zip(asides, lines, strict=True):
        look = style.look(str(method))
        gained = own["mean"].where(own["mean"] > 0)
        panel.plot(aside * own["length"], gained, marker=look.marker, linestyle=SPACES[str(space)], **_line(look))
        bars = own[(own["n"] > 1) & gained.notna()]
        half = (bars["high"] - bars["low"]) / 2
        bar = panels.BAR | {"ecolor": look.color, "capsize": 0}
        panel.errorbar(aside * bars["length"], bars["mean"], yerr=half, **bar)
    cells.log_height(panel, points["mean"], 0.3, 2)
    panel.set_xscale("log")
    lengths = sorted(set(points.loc[points["mean"] > 0, "length"]))
    if lengths:
        panel.set_xlim(lengths[0] / ASIDE**2, lengths[-1] * ASIDE**2)
    panel.set_xticks(lengths, [f"{length:g}" for length in lengths])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set(xlabel="length of the step", ylabel="training loss gained (nats)")


def _line(look: style.Look) -> dict:
    return {"color": look.color, "markersize": 4, "markeredgecolor": "white", "markeredgewidth": 0.3}


def _handles(data: pd.DataFrame) -> list[Line2D]:
    words = {"active": "right: a step within the mask", "all": "right: a step of all weights"}
    spaces = [Line2D([], [], color="#555555", linestyle=SPACES[space], label=label) for space, label in words.items()]
    return [*cells.method_handles(data), *spaces, cells.remark("bands, bars: 95 % t interval over n seeds")]

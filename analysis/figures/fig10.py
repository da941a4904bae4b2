"""After Figure 10 of the RigL paper: RigL's accuracy by the update interval, one line a decay of the drop fraction."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import beside, chosen, scales, strokes, sweeps

METHOD = "rigl"
POWER = "inverse_power:"


def draw(points: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers: a panel a model, data set and drop fraction, at the sparsity of which there is most."""
    data = chosen.commonest(sweeps.intervals(points, [METHOD]), chosen.PLACE, sweeps.CELL)
    data = chosen.panel_each(data.sort_values("drop_fraction"), "drop_fraction", *sweeps.CELL, "multiplier")
    data = chosen.varied(data.assign(line=data["decay"].map(_name)), ["decay"])
    lines = strokes.tints(METHOD, sorted(data["line"].unique(), key=_place))
    return beside.draw(data, chosen.dense_of(points, data), scales.INTERVAL, scales.ACCURACY, lines)


def _name(decay: str) -> str:
    """ "inverse power, k = 3"."""
    return decay if not decay.startswith(POWER) else f"inverse power, k = {float(decay.removeprefix(POWER)):g}"


def _place(name: str) -> tuple[bool, str]:
    """The paper's choice first."""
    return name != sweeps.DECAY, name

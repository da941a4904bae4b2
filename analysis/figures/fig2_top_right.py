"""After Figure 2 (top right) of the RigL paper: accuracy against training length, by method, at one sparsity.

Of each model and data set the sparsity of which there is most, and the methods of which there are several lengths.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import beside, chosen, scales, strokes

METHODS = ("static", "small_dense", "set", "snfs", "rigl", "pruning")


def draw(points: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers: a panel a model and data set of ``points`` (``analysis.points``), a line a method."""
    data = chosen.plain(chosen.of(points, "accuracy", METHODS, "resnet50"))
    data = data[data["distribution"].isin(["", "uniform"]) & data["multiplier"].notna()]
    data = chosen.commonest(data, chosen.PLACE, ["sparsity"])
    data = chosen.several(chosen.panel_each(data, "sparsity"), ["panel", "method"], "multiplier")
    lines, data = strokes.by_method(chosen.several(data, ["panel"], "method"), METHODS)
    return beside.draw(data, chosen.dense_of(points, data), scales.LENGTH, scales.ACCURACY, lines)

"""After Figure 8 (left) of the RigL paper: accuracy against sparsity of four methods, by the distribution of the sparsity.

The paper prints no number of this figure; those at its settings are of its tables.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import beside, chosen, scales, strokes

METHODS = ("static", "set", "snfs", "rigl")


def draw(points: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers: a panel a model and data set that has several, a line a method and distribution."""
    data = chosen.usual_length(chosen.plain(chosen.of(points, "accuracy", METHODS, "resnet50")))
    data = chosen.varied(chosen.panel_each(data, "multiplier"), ["distribution"])
    lines, data = strokes.by_method(data, METHODS)
    return beside.draw(data, chosen.dense_of(points, data), scales.SPARSITY, scales.ACCURACY, lines)

"""After Figure 4 (left) of the RigL paper: a character language model, validation bits against training FLOPs, by method.

The runs of one method at several training lengths are joined. The paper prints no number of this figure.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import beside, chosen, scales, strokes

METHODS = ("static", "set", "snfs", "rigl", "pruning")


def draw(points: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers: a panel a model, data set and sparsity, a line a method."""
    data = chosen.plain(chosen.of(points, scales.BITS.metric, METHODS, "charlm_gru"))
    data = chosen.panel_each(data[data["distribution"].isin(["", "uniform"])], "sparsity")
    lines, data = strokes.by_method(data, METHODS)
    dense = chosen.dense_of(points, data, scales.BITS.metric)
    return beside.draw(data, dense, scales.COST, scales.BITS, lines)

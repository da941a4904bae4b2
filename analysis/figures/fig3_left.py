"""After Figure 3 (left) of the RigL paper: MobileNets on ImageNet, accuracy against sparsity.

The paper prints the numbers of MobileNet-v1 at two sparsities, in the table at the right, and none of MobileNet-v2.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import beside, chosen, scales, strokes

METHODS = ("small_dense", "rigl", "pruning")
MODELS = ("mobilenet_v1", "mobilenet_v2")


def draw(points: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers: a panel a model and data set, a line a method and distribution."""
    points = points[points["model"].isin(MODELS)]
    data = chosen.plain(chosen.of(points, "accuracy", METHODS, MODELS[0]))
    data = chosen.panel_each(chosen.usual_length(data), "multiplier")
    lines, data = strokes.by_method(data, METHODS)
    return beside.draw(data, chosen.dense_of(points, data), scales.SPARSITY, scales.ACCURACY, lines)

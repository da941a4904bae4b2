"""After Figure 2 (bottom right) of the RigL paper: RigL's accuracy against sparsity, one line a training length.

A panel a model, data set and distribution of which several lengths are there.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis import text
from analysis.figures import beside, chosen, scales, strokes

METHOD = "rigl"


def draw(points: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers; a length at one sparsity alone is left out."""
    data = chosen.plain(chosen.of(points, "accuracy", [METHOD], "resnet50"))
    data = chosen.panel_each(data[data["multiplier"].notna()], "distribution")
    data = chosen.several(chosen.several(data, ["panel", "multiplier"], "sparsity"), ["panel"], "multiplier")
    names = {length: f"{text.length(length)} training" for length in sorted(set(data["multiplier"]), reverse=True)}
    lines = strokes.tints(METHOD, list(names.values()))
    data = data.assign(line=data["multiplier"].map(names))
    return beside.draw(data, chosen.dense_of(points, data), scales.SPARSITY, scales.ACCURACY, lines)

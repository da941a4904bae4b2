"""After Figure 5 (left) of the RigL paper: RigL's accuracy against sparsity, by the distribution of the sparsity.

The paper prints no number of this figure; those at its settings are of its tables.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import beside, chosen, scales, strokes
from analysis.records import DISTRIBUTIONS

METHOD = "rigl"


def draw(points: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers: a panel a model and data set with several distributions, a line a distribution."""
    data = chosen.usual_length(chosen.plain(chosen.of(points, "accuracy", [METHOD], "resnet50")))
    data = chosen.varied(chosen.panel_each(data, "multiplier"), ["distribution"])
    names = {name: f"RigL, {label}" for name, label in DISTRIBUTIONS.items()}
    lines, data = strokes.tints(METHOD, list(names.values())), data.assign(line=data["distribution"].map(names))
    return beside.draw(data, chosen.dense_of(points, data), scales.SPARSITY, scales.ACCURACY, lines)

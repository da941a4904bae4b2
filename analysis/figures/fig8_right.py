"""After Figure 8 (right) of the RigL paper: SNFS's accuracy by the momentum of the gradients that it grows by."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import beside, chosen, scales, strokes

METHOD = "snfs"
OPTION = re.compile(r"momentum=([\d.]+)")
USUAL = 0.9
"""The paper's (section 4), and the default of the method."""
MOMENTUM = scales.Along(
    "momentum", "momentum of the gradients", lambda values: -np.log2(1 - values), "{:g}".format, corner="right"
)


def draw(points: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers: a panel a model and data set, at the sparsity of which there is most."""
    data = chosen.of(points, "accuracy", [METHOD], "resnet50")
    data = data.assign(momentum=data["options"].map(_momentum))
    data = chosen.commonest(
        chosen.usual_length(data.dropna(subset=["momentum"])), ["kind", *chosen.PLACE], chosen.UPDATES
    )
    data = chosen.commonest(data, chosen.PLACE, ["sparsity", "distribution"])
    data = chosen.varied(chosen.panel_each(data, "sparsity", "distribution", "multiplier"), ["momentum"])
    lines, data = strokes.by_method(data, [METHOD])
    return beside.draw(data, chosen.dense_of(points, data), MOMENTUM, scales.ACCURACY, lines)


def _momentum(options: str) -> float:
    """Not a number where other options than the momentum differ from the defaults."""
    found = OPTION.fullmatch(options)
    return float(found[1]) if found else np.nan if options else USUAL

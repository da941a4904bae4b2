"""After Figure 11 of the RigL paper: training loss of RigL, pruning and static; and RigL's accuracy by the update interval.

The interval is swept at a drop fraction of 0.3, one line a distribution. The paper prints no number of this figure.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import beside, chosen, scales, strokes, sweeps
from analysis.records import DISTRIBUTIONS

METHODS = ("static", "rigl", "pruning")
SWEPT, DROP_FRACTION = "rigl", 0.3


def draw(points: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers: panels of the loss against sparsity, then panels of the sweep."""
    loss, methods = _losses(points)
    accuracy, distributions = _intervals(points)
    dense_loss, dense = chosen.dense_of(points, loss, scales.LOSS.metric), chosen.dense_of(points, accuracy)
    losses = beside.Part(loss, methods, dense_loss, scales.SPARSITY, scales.LOSS)
    sweep = beside.Part(accuracy, distributions, dense, scales.INTERVAL, scales.ACCURACY)
    return beside.draw_parts([losses, sweep])


def _losses(points: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, strokes.Line]]:
    data = chosen.plain(chosen.of(points, scales.LOSS.metric, METHODS, "resnet50"))
    data = chosen.usual_length(data[data["distribution"].isin(strokes.PLAIN)])
    data = chosen.varied(chosen.panel_each(data, "multiplier"), ["sparsity"])
    lines, data = strokes.by_method(data, METHODS)
    return data, lines


def _intervals(points: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, strokes.Line]]:
    data = sweeps.intervals(points, [SWEPT])
    data = data[(data["decay"] == sweeps.DECAY) & (data["drop_fraction"] == DROP_FRACTION)]
    data = chosen.commonest(data, chosen.PLACE, ["sparsity"])
    data = chosen.panel_each(data, "sparsity", "drop_fraction", "multiplier")
    data = chosen.several(data, ["panel", "kind", "distribution"], "update_every")
    names = {name: f"RigL, {label}" for name, label in DISTRIBUTIONS.items()}
    return data.assign(line=data["distribution"].map(names)), strokes.tints(SWEPT, list(names.values()))

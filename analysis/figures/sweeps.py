"""Sweeps of topology updates: accuracy by the interval, one line a drop fraction (Figures 5, right, and 9 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import beside, chosen, scales, strokes

CELL = ["sparsity", "distribution"]
DECAY = "cosine"


def draw(points: pd.DataFrame, methods: Sequence[str]) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers: a panel a method, model and data set, at the sparsity of which there is most."""
    data = intervals(points, methods)
    data = chosen.commonest(data[data["decay"] == DECAY], [*chosen.PLACE, "method"], CELL)
    data = data.assign(label=strokes.plain_label(data)).sort_values("drop_fraction")
    data = chosen.varied(chosen.panel_each(data, "label", *CELL, "multiplier"), ["update_every", "drop_fraction"])
    who = data["label"] + ", " if len(methods) > 1 else ""
    data = data.assign(line=who + data["drop_fraction"].map("drop fraction {:g}".format).astype("str"))
    lines: dict[str, strokes.Line] = {}
    for method in methods:
        lines |= strokes.tints(method, list(data.loc[data["method"] == method, "line"].unique()))
    data = data.sort_index()
    return beside.draw(data, chosen.dense_of(points, data), scales.INTERVAL, scales.ACCURACY, lines)


def intervals(points: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Points of ``methods`` with default options, of the usual length, whose interval is known."""
    data = chosen.of(points, "accuracy", methods, "resnet50")
    return chosen.usual_length(data[(data["options"] == "") & data["update_every"].notna()])

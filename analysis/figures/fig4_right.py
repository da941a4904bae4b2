"""After Figure 4 (right) of the RigL paper: accuracy against sparsity of RigL, static and pruning, and at twice the length.

The paper's is WRN-22-2 on CIFAR-10 with ERK; its numbers are those that the author gave in an issue of the repository.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import beside, chosen, scales, strokes

METHODS = ("static", "rigl", "pruning")
TWICE = ", twice as long"


def draw(points: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers: a panel a model and data set, a line a method and length, one distribution."""
    data = chosen.plain(chosen.of(points, "accuracy", METHODS, "wrn22_2"))
    data = chosen.commonest(data, ["kind", *chosen.PLACE], ["distribution"])
    data = data.assign(length=chosen.relative_length(data))
    data = chosen.panel_each(data[data["length"].isin([1, 2])], "distribution", "multiplier")
    lines, named = strokes.by_method(data.assign(distribution=""), METHODS)
    lines |= {f"{name}{TWICE}": strokes.paler(line) for name, line in lines.items()}
    data = data.assign(line=named["line"].where(data["length"] == 1, named["line"] + TWICE))
    return beside.draw(data, chosen.dense_of(points, data), scales.SPARSITY, scales.ACCURACY, lines)

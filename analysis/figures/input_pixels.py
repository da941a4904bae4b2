"""How many active weights of the first layer read each pixel, where it sees them: one row of maps a cell, one map a method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import style
from analysis.figures import cells
from analysis.landscape.results import Inputs

COLUMNS = ["cell", "method", "label", "seed", "row", "column", "weights"]
ACROSS = 6
"""Maps in a row."""
ROW_INCHES = 1.4
COLORS = "cividis"


def draw(inputs: Sequence[Inputs]) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers, by COLUMNS: active weights by pixel."""
    rows: list[tuple[str, Sequence[Inputs], int]] = []
    for name in dict.fromkeys(one.cell for one in inputs):
        own = [one for one in inputs if one.cell == name]
        most = max(int(one.degrees.max()) for one in own)
        starts = range(0, len(own), ACROSS)
        rows += [(name if start == 0 else "", own[start : start + ACROSS], most) for start in starts]
    with style.theme():
        figure, axes = cells.row_each([name for name, _, _ in rows], ACROSS if rows else 1, ROW_INCHES)
        for places, (_, shown, most) in zip(axes, rows, strict=False):
            _row(places, shown, most)
    return figure, _numbers(inputs)


def _row(places: np.ndarray, shown: Sequence[Inputs], most: int) -> None:
    """Maps of one cell share a scale from 0 to ``most``."""
    for panel in places[len(shown) :]:
        panel.set_axis_off()
    for panel, one in zip(places, shown, strict=False):
        image = panel.imshow(one.degrees, cmap=COLORS, vmin=0, vmax=most, interpolation="nearest")
        panel.set(xticks=[], yticks=[], xlabel=one.label)
        panel.grid(visible=False)
    bar = places[0].figure.colorbar(image, ax=places[: len(shown)], shrink=0.8, aspect=12, label="active weights")
    bar.outline.set_visible(False)


def _numbers(inputs: Sequence[Inputs]) -> pd.DataFrame:
    found = [pd.DataFrame(columns=COLUMNS)]
    for one in inputs:
        row, column = np.indices(one.degrees.shape).reshape(2, -1)
        pixels = pd.DataFrame({"row": row, "column": column, "weights": one.degrees.ravel()})
        found.append(pixels.assign(cell=one.cell, method=one.method, label=one.label, seed=one.seed)[COLUMNS])
    return pd.concat(found[1:] or found, ignore_index=True)

"""The axes of the paper's figures: what runs along x, how its values are spaced and written, and what y measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from analysis import points as record
from analysis import text

MARGIN = 0.35
"""Room at both ends of x, in gaps."""


@dataclass(frozen=True)
class Along:
    """An x axis: the column that it shows, how its values are spaced and how they are written."""

    column: str
    label: str
    place: Callable[[pd.Series], pd.Series]
    words: Callable[[float], str]
    corner: str
    """The lower corner that lines seldom reach."""
    is_continuous: bool = False
    """Whether lines have their own places, so that they need not be set side by side; ticks are powers of two."""

    def ticks(self, points: pd.DataFrame) -> list[float]:
        """Values to be written on the axis of ``points``."""
        values = points[self.column]
        if not self.is_continuous:
            return sorted(set(values))
        return list(2.0 ** np.arange(np.floor(np.log2(values.min())), np.ceil(np.log2(values.max())) + 1))


LENGTH = Along("multiplier", "training length (multiple of the baseline's)", np.log2, text.length, "right")
COST = Along(
    "train_x", "training FLOPs (multiple of dense training)", np.log2, "{:.2g}×".format, "left", is_continuous=True
)
SPARSITY = Along(
    "sparsity",
    "sparsity (% of weights that are zero)",
    lambda values: -np.log2(1 - values),
    lambda value: f"{100 * value:.4g}",
    "left",
)
INTERVAL = Along("update_every", "steps between topology updates", np.log2, "{:g}".format, "left")


@dataclass(frozen=True)
class Quantity:
    """A y axis."""

    metric: str
    label: str
    scale: float = 1.0
    """Of a point's mean, to the unit of the axis."""
    logarithmic: bool = False


ACCURACY = Quantity(record.ACCURACY, "test accuracy (%)", 100)
LOSS = Quantity(record.TRAIN_LOSS, "training loss at the end (nats)", logarithmic=True)
BITS = Quantity(record.BITS, "validation bits per character")


def draw(panel: Axes, points: pd.DataFrame, along: Along) -> None:
    """Give ``panel`` the x axis ``along`` of ``points``, whose places are in ``tick``: ticks at each, room at the ends."""
    places = points["tick"].dropna()
    if len(places):
        values = along.ticks(points.loc[places.index])
        panel.xaxis.set_major_locator(FixedLocator(list(along.place(pd.Series(values)))))
        panel.xaxis.set_major_formatter(FixedFormatter([along.words(value) for value in values]))
        room = MARGIN * (1 if along.is_continuous else gap(points))
        panel.set_xlim(places.min() - room, places.max() + room)
    panel.xaxis.set_minor_locator(NullLocator())
    panel.grid(visible=False, axis="x")
    panel.margins(y=0.06)
    panel.set_xlabel(along.label)


def gap(points: pd.DataFrame) -> float:
    """The smallest distance between two places on x; 1 where there is one place."""
    gaps = np.diff(sorted(set(points["tick"].dropna())))
    return float(gaps.min()) if len(gaps) else 1.0

"""After Figure 5 (right) of the RigL paper: RigL's accuracy by the interval of topology updates, one line a drop fraction."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import sweeps


def draw(points: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers, see ``sweeps.draw``."""
    return sweeps.draw(points, ["rigl"])

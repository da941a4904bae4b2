"""Every figure of a landscape, by the name of its file."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import (
    appendix_a,
    barriers,
    budgets,
    curvature,
    fig6_left,
    fig6_right,
    input_pixels,
    loss_maps,
    topology,
)
from analysis.landscape.results import Measured


def draw(measured: Measured) -> dict[str, tuple[Figure, pd.DataFrame]]:
    """Figures and the numbers drawn; one of which nothing was measured says so."""
    return {
        "fig6_left": fig6_left.draw(measured.profiles),
        "barriers": barriers.draw(measured.barriers),
        "budgets": budgets.draw(measured.barriers),
        "fig6_right": fig6_right.draw(measured.traces, measured.escapes),
        "loss_plane": loss_maps.plane(measured.planes),
        "loss_surface": loss_maps.surface(measured.planes),
        "loss_around": loss_maps.around(measured.surroundings),
        "curvature": curvature.draw(measured.eigenvalues, measured.hessian_traces),
        "appendix_a": appendix_a.draw(measured.shares, measured.descents),
        "topology": topology.draw(measured.overlaps, measured.moves, measured.explored),
        "input_pixels": input_pixels.draw(measured.inputs),
    }

"""One look for every figure: the theme, a colour and a marker per method, a line style per distribution.

The colours of the known methods are Okabe and Ito's, those of others Paul Tol's muted set; both were made to be told
apart by colour-blind readers. Kin share a colour and differ in the shape of their marker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Look:
    """How a method is drawn everywhere."""

    color: str
    marker: str


KNOWN = {
    "dense": Look("#000000", "p"),
    "small_dense": Look("#7F7F7F", "s"),
    "static": Look("#56B4E9", "v"),
    "snip": Look("#E69F00", "^"),
    "set": Look("#009E73", "P"),
    "snfs": Look("#CC79A7", "X"),
    "rigl": Look("#D55E00", "o"),
    "pruning": Look("#0072B2", "D"),
    # Frozen masks found by scores.
    "grasp": Look("#E69F00", "s"),
    "synflow": Look("#E69F00", "X"),
    # Random growth.
    "set_itop": Look("#009E73", "o"),
    "deepr": Look("#009E73", "D"),
    "mest": Look("#009E73", "^"),
    # Weights that move between layers, beside the one that gave up on it.
    "snfs_redistributed": Look("#CC79A7", "o"),
    "dsr": Look("#CC79A7", "^"),
    # Growth by gradient.
    "rigl_itop": Look("#D55E00", "^"),
    "srigl": Look("#D55E00", "X"),
    # From dense, or nearly, to sparse.
    "granet": Look("#0072B2", "o"),
    "acdc": Look("#0072B2", "X"),
    "ticket": Look("#0072B2", "^"),
    # Dense parameters seen through a mask.
    "dnw": Look("#000000", "^"),
    "topkast": Look("#000000", "s"),
    "nm": Look("#000000", "X"),
    "str": Look("#56B4E9", "P"),
}
COLORS = ("#332288", "#882255", "#999933", "#44AA99", "#CC6677", "#117733", "#AA4499")
MARKERS = ("<", ">", "*", "h", "d", "H", "8")
DASHES: dict[str, str | tuple[int, ...]] = {"": "", "uniform": "", "erk": (4, 1.5), "erdos_renyi": (1, 1.5)}
"""Line styles by distribution, as lengths in points, on and off: solid (also where there is none), dashed, dotted."""

SPACES = {"line": "#000000", "union": "#BB5566", "dense": "#004488", "intersection": "#999999"}
"""Colours of the spaces that curves between solutions live in: Paul Tol's high-contrast set, black and a grey."""
CURVES = {"linear": ("o", "-"), "quadratic": ("s", "-"), "cubic": ("D", (0, (4, 1.5)))}
"""Marker and line style of these curves."""

COLUMN_INCHES = 3.4
FONT_POINTS = 8


def look(method: str, shade: float = 0) -> Look:
    """The look of ``method``; for its variants the colour is turned to white by the share ``shade`` within [0, 1).

    Of a method without a row in KNOWN it follows from the name alone, so that it stays the same whatever other methods
    come; a clash of both colour and marker with another such method (one in 49) is solved by a row in KNOWN.
    """
    found = KNOWN.get(method)
    if found is None:
        digest = hashlib.sha256(method.encode()).digest()
        found = Look(COLORS[digest[0] % len(COLORS)], MARKERS[digest[1] % len(MARKERS)])
    tinted = [channel + (1 - channel) * shade for channel in to_rgb(found.color)]
    return Look(to_hex(tinted).upper(), found.marker)


@contextmanager
def theme() -> Iterator[None]:
    """The suite's rcParams inside the block; the caller's come back after it."""
    small = {"font.size": FONT_POINTS, "axes.titlesize": FONT_POINTS + 1, "axes.labelsize": FONT_POINTS}
    small |= {"xtick.labelsize": FONT_POINTS, "ytick.labelsize": FONT_POINTS, "legend.fontsize": FONT_POINTS}
    lines = {"grid.color": "#E4E4E4", "axes.edgecolor": "#888888", "lines.linewidth": 1.2, "lines.markersize": 5}
    fonts = {"font.family": "DejaVu Sans", "pdf.fonttype": 42, "axes.titleweight": "bold"}
    with mpl.rc_context({**sns.axes_style("whitegrid"), **sns.plotting_context("paper"), **small, **lines, **fonts}):
        yield


def save(figure: Figure, stem: Path, data: pd.DataFrame) -> list[Path]:
    """Write ``figure`` as stem.png (150 dpi) and stem.pdf, and ``data``, the numbers behind it, as stem.csv.

    The same figure gives the same bytes: no date and no version enters the files.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    png, pdf, csv = (stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "pdf", "csv"))
    with theme():
        engine = figure.get_layout_engine()
        if engine is not None:  # laid out once, not anew for each file
            engine.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(png, dpi=150, metadata={"Software": None})
        figure.savefig(pdf, metadata={"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None})
    data.to_csv(csv, index=False, lineterminator="\n")
    return [png, pdf, csv]

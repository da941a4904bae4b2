"""The plot of quality against training FLOPs: an empty one, which the page fills with the rows that its filters leave."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from math import pi
from typing import Any

from matplotlib.markers import MarkerStyle

from analysis import style

HEIGHT = 420
"""Of the plot, in CSS pixels; it is as wide as the page lets it be."""
POINT = 10
"""Size of a marker, in CSS pixels."""
FRONT = "#333333"
TICKS = [round(mantissa * 10.0**power, 9) for power in range(-4, 4) for mantissa in (1, 2, 5)]
"""Multiples of the dense network's cost that the axis names; Bokeh's own choice leaves out those below one."""
FILLS = {"reported": 0.0, "reproduced": 1.0, "submitted": 0.35}
"""How opaque the inside of a marker is: hollow, solid, and between them what a third party sent in."""


MARKERS = {
    "o": ("circle", 0.0),
    "s": ("square", 0.0),
    "D": ("square", pi / 4),
    "d": ("diamond", 0.0),
    "^": ("triangle", 0.0),
    "v": ("inverted_triangle", 0.0),
    "<": ("triangle", pi / 2),
    ">": ("triangle", -pi / 2),
    "P": ("plus", 0.0),
    "X": ("plus", pi / 4),
    "*": ("star", 0.0),
    "h": ("hex", 0.0),
    "H": ("hex", pi / 2),
    # Bokeh has no pentagon and no octagon; no method of the same colour has the shapes that stand for them.
    "p": ("hex", 0.0),
    "8": ("circle", 0.0),
}
"""Markers of matplotlib as Bokeh draws them: their name there, and the turn in radians."""
_DRAWN_AS = {"p": "h", "8": "o"}


def looks(methods: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour, marker and legend symbol by method, as ``analysis.style`` has them for every figure."""
    found = {}
    for method in sorted(set(methods)):
        look = style.look(method)
        marker, angle = MARKERS[look.marker]
        found[method] = {"color": look.color, "marker": marker, "angle": angle, "path": symbol(look.marker)}
    return found


def symbol(marker: str) -> str:
    """The outline of a marker of matplotlib, as the plot draws it, for an SVG box from -0.5 to 0.5."""
    drawn = MarkerStyle(_DRAWN_AS.get(marker, marker))
    (corners,) = drawn.get_path().transformed(drawn.get_transform()).to_polygons()
    return f"M{'L'.join(f'{x:.2f},{0 - y:.2f}' for x, y in corners)}Z"


def plot() -> dict[str, Any]:
    """The plot as Bokeh's JSON item: its sources ``rows`` and ``front`` are empty; ``costs`` and ``qualities`` are its
    ranges, ``quality`` its vertical axis.

    The same bytes every time: Bokeh numbers its models by process, here they are numbered from 1.
    """
    # Imported here: Bokeh takes half a second that nobody else need wait.
    from bokeh.embed import json_item
    from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, Range1d
    from bokeh.plotting import figure

    names = ("x", "y", "color", "fill", "line", "marker", "angle", "id", "name", "result", "cost", "about")
    rows = ColumnDataSource({name: [] for name in names}, name="rows")
    front = ColumnDataSource({"x": [], "y": []}, name="front")
    drawn = figure(
        height=HEIGHT,
        sizing_mode="stretch_width",
        x_axis_type="log",
        x_range=Range1d(0.1, 1, name="costs"),
        y_range=Range1d(0, 1, name="qualities"),
        x_axis_label="Training FLOPs, × the dense network's",
        toolbar_location="above",
        tools="pan,box_zoom,wheel_zoom,tap,reset,save",
        active_drag=None,
        active_scroll=None,
        background_fill_color="#FFFFFF",
        border_fill_color="#FFFFFF",
        name="plot",
    )
    drawn.step(x="x", y="y", mode="after", source=front, color=FRONT, line_dash=[5, 3], line_width=1.5)
    points = drawn.scatter(
        x="x",
        y="y",
        marker="marker",
        angle="angle",
        size=POINT,
        line_color="color",
        line_alpha="line",
        line_width=1.5,
        fill_color="color",
        fill_alpha="fill",
        source=rows,
    )
    told = '<div style="max-width:18rem"><b>@name</b><br>@result at @cost<br>@about</div>'
    drawn.add_tools(HoverTool(renderers=[points], tooltips=told))
    drawn.toolbar.logo = None
    drawn.xaxis.ticker = FixedTicker(ticks=TICKS)
    drawn.yaxis.name = "quality"
    drawn.outline_line_color = drawn.xaxis.axis_line_color = drawn.yaxis.axis_line_color = "#888888"
    drawn.grid.grid_line_color = "#E4E4E4"
    drawn.axis.axis_label_text_font_style = "normal"
    return _numbered(json_item(drawn))


def _numbered(item: dict[str, Any]) -> dict[str, Any]:
    """``item`` with its models numbered in the order in which they come."""
    written = json.dumps(item)
    names: dict[str, str] = {}
    return json.loads(re.sub(r'"p\d+"', lambda found: names.setdefault(found[0], f'"p{len(names) + 1}"'), written))

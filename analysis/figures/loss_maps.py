"""Maps of the training loss: in the plane through three solutions, flat and as a surface, and around each solution.

Colours and heights are logarithmic; a place whose loss is not finite stays white. Needs no more than the maps themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D

from analysis import style
from analysis.figures import cells, panels
from analysis.landscape.results import Map

COLUMNS = ["cell", "around", "seed", "at", "method", "x", "y", "residual", "train_loss"]
"""``at`` is grid, solution or path; ``residual`` is the distance of a solution or of a point of a path from the plane."""
COLORS = "cividis_r"
"""Light is low; made to look the same to readers with and without red-green blindness."""
LEVELS, LINES = 24, 8
"""Shades of a map, and contours."""
PLANE_INCHES, SQUARE_INCHES, SURFACE_INCHES = 2.8, 2.1, 3.0
NARROW = 4
"""Ratio of a plane's sides from which they are drawn to different scales."""
WAY = {"linestyle": ":", "marker": ".", "markersize": 3}
LABEL = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
VIEW = {"elev": 38, "azim": -60}


def plane(maps: Sequence[Map]) -> tuple[Figure, pd.DataFrame]:
    """The planes through three solutions, one panel a cell, and their numbers by COLUMNS."""
    with style.theme():
        figure, axes = cells.one_each([one.cell for one in maps], PLANE_INCHES)
        norm = _norm(maps)
        for panel, one in zip(axes, maps, strict=False):
            _shades(panel, one, norm)
            _places(panel, one)
            panel.set(xlabel="distance in the plane", ylabel="distance in the plane")
            _keep_shape(panel)
        if maps:
            _bar(figure, axes, norm)
            panels.legend_of(figure, _handles(maps))
    return figure, numbers(maps)


def _keep_shape(panel: Axes) -> None:
    """Distances look alike in both directions, unless one solution is so far off that nothing could be seen."""
    (left, right), (bottom, top) = panel.get_xlim(), panel.get_ylim()
    if max(right - left, top - bottom) < NARROW * min(right - left, top - bottom):
        panel.set_aspect("equal")
    else:
        place = {"transform": panel.transAxes, "ha": "right", "va": "top", "bbox": LABEL}
        panel.text(0.97, 0.96, "axes of different scale", **place)


def around(maps: Sequence[Map]) -> tuple[Figure, pd.DataFrame]:
    """The maps along two random directions around one solution, one row a cell, and their numbers by COLUMNS."""
    names = list(dict.fromkeys(one.cell for one in maps))
    columns = max((sum(one.cell == name for one in maps) for name in names), default=1)
    with style.theme():
        figure, axes = cells.row_each(names, columns, SQUARE_INCHES)
        norm = _norm(maps)
        for row, name in zip(axes, names, strict=False):
            for panel, one in zip(row, (one for one in maps if one.cell == name), strict=False):
                _shades(panel, one, norm)
                _places(panel, one)
                panel.text(0.04, 0.94, one.around, transform=panel.transAxes, va="top", bbox=LABEL)
                panel.set_aspect("equal")
            _bar(row[0].figure, row, norm)
        if maps:
            figure.supxlabel("random direction 1 (multiples of each filter's norm)", fontsize=style.FONT_POINTS)
            figure.supylabel("random direction 2", fontsize=style.FONT_POINTS)
    return figure, numbers(maps)


def surface(maps: Sequence[Map]) -> tuple[Figure, pd.DataFrame]:
    """The planes through three solutions as surfaces over the plane, and their numbers by COLUMNS."""
    with style.theme():
        figure, axes = cells.one_each([one.cell for one in maps], SURFACE_INCHES, projection="3d" if maps else None)
        norm = _norm(maps)
        for panel, one in zip(axes, maps, strict=False):
            _relief(panel, one, norm)
        if maps:
            panels.legend_of(figure, _handles(maps, paths=False))
    return figure, numbers(maps)


def numbers(maps: Sequence[Map]) -> pd.DataFrame:
    """Every grid point, solution and point of a path."""
    found = [pd.DataFrame(columns=COLUMNS)]
    for one in maps:
        x, y = np.meshgrid(one.xs, one.ys)
        grid = pd.DataFrame({"x": x.ravel(), "y": y.ravel(), "train_loss": one.train_loss.ravel()}).assign(at="grid")
        both = pd.concat([grid, one.places])
        found.append(both.assign(cell=one.cell, around=one.around, seed=one.seed).reindex(columns=COLUMNS))
    return pd.concat(found, ignore_index=True) if maps else found[0]


def _norm(maps: Sequence[Map]) -> LogNorm:
    """One scale for all maps of a figure."""
    losses = np.concatenate([one.train_loss.ravel() for one in maps]) if maps else np.ones(1)
    losses = losses[np.isfinite(losses) & (losses > 0)]
    low, high = (losses.min(), losses.max()) if len(losses) else (0.1, 1.0)
    return LogNorm(low, max(high, 1.01 * low))


def _shades(panel: Axes, one: Map, norm: LogNorm) -> None:
    losses = np.ma.masked_where(~(np.isfinite(one.train_loss) & (one.train_loss > 0)), one.train_loss)
    shades, lines = (np.geomspace(norm.vmin, norm.vmax, count) for count in (LEVELS, LINES))
    panel.contourf(one.xs, one.ys, losses, levels=shades, norm=norm, cmap=COLORS, extend="both")
    panel.contour(one.xs, one.ys, losses, levels=lines, colors="white", linewidths=0.4)
    panel.grid(visible=False)


def _places(panel: Axes, one: Map) -> None:
    for method, points in one.places.groupby("method", sort=False):
        look = style.look(str(method))
        path, solution = (points[points["at"] == at] for at in ("path", "solution"))
        way = pd.concat([path, solution])
        if len(path):
            panel.plot(way["x"], way["y"], **WAY | {"marker": ""}, color="white", linewidth=2.6, zorder=3)
            panel.plot(way["x"], way["y"], **WAY, color=look.color, linewidth=1.4, zorder=4)
        panel.plot(solution["x"], solution["y"], **_mark(look), zorder=5, clip_on=False)


def _mark(look: style.Look) -> dict:
    edge = {"markeredgecolor": "white", "markeredgewidth": 0.9, "markersize": 7.5}
    return {"color": look.color, "marker": look.marker, "linestyle": "", **edge}


def _relief(panel: Axes, one: Map, norm: LogNorm) -> None:
    """Heights are the logarithm of the loss, since a 3-D axis knows no other way."""
    x, y = np.meshgrid(one.xs, one.ys)
    losses = np.where(np.isfinite(one.train_loss) & (one.train_loss > 0), one.train_loss, np.nan)
    heights = np.log10(losses)
    colors = ScalarMappable(norm, COLORS).to_rgba(losses)
    panel.plot_surface(x, y, heights, facecolors=colors, rstride=1, cstride=1, linewidth=0, shade=False)
    panel.plot_wireframe(x, y, heights, color="white", linewidth=0.25)
    solutions = one.places[one.places["at"] == "solution"]
    for point in solutions.to_dict("records"):
        column, row = (int(np.abs(axis - point[name]).argmin()) for axis, name in ((one.xs, "x"), (one.ys, "y")))
        foot = heights[row, column]
        panel.plot([point["x"]] * 2, [point["y"]] * 2, [foot, foot + 0.35], color="black", linewidth=0.8, zorder=10)
        panel.plot([point["x"]], [point["y"]], [foot + 0.35], **_mark(style.look(point["method"])), zorder=11)
    panel.view_init(**VIEW)
    panel.set_box_aspect(None, zoom=0.86)  # or the labels are cut
    ticks = range(int(np.floor(np.nanmin(heights))), int(np.ceil(np.nanmax(heights))) + 1)
    panel.set_zticks(ticks, [f"{10.0**tick:g}" for tick in ticks])
    panel.set(xlabel="distance", ylabel="distance", zlabel="training loss (nats)")


def _bar(figure: FigureBase, axes: Sequence[Axes] | np.ndarray, norm: LogNorm) -> None:
    own = LogNorm(norm.vmin, norm.vmax)  # a bar puts its ticks back whenever another one takes its norm
    bar = figure.colorbar(ScalarMappable(own, COLORS), ax=axes, shrink=0.8, label="training loss (nats)")
    bar.ax.grid(visible=False)
    cells.logarithmic(bar.ax.yaxis)
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)


def _handles(maps: Sequence[Map], paths: bool = True) -> list[Line2D]:
    places = pd.concat([one.places for one in maps]).drop_duplicates("method")
    methods = zip(places["method"], places["label"], strict=True)
    handles = [Line2D([], [], **_mark(style.look(method)), label=label) for method, label in methods]
    if paths and any((one.places["at"] == "path").any() for one in maps):
        handles.append(Line2D([], [], **WAY, color="#555555", label="its training, projected"))
    return handles

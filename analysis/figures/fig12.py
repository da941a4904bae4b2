"""After Figure 12 of the RigL paper: the sparsity that ERK gives each layer, and what it leaves of each layer's FLOPs."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import costs, style, text
from analysis.records import DISTRIBUTIONS

SHOWN, REFERENCE = "erk", "uniform"
SHADES = {0.8: "#9ECAE1", 0.9: "#4292C6", 0.95: "#08306B"}
"""The sparsities shown, light to dark; the dense network is grey."""
DENSE_COLOR = "#D9D9D9"
LAYER_INCHES, MARGIN_INCHES = 0.125, 0.9
ROW_INCHES, FLOPS_INCHES, NAMES_INCHES = 0.95, 1.9, 1.3
HEADROOM = 1.2
"""Above the tallest bar, for the legend."""


def draw(model: str = costs.MODEL) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers: one row a layer and sparsity, in the network's order; FLOPs of a sample, as rigl."""
    data = pd.concat([_layers(model, sparsity) for sparsity in SHADES], ignore_index=True)
    layers = data["layer"].unique()
    heights = [ROW_INCHES] * len(SHADES) + [FLOPS_INCHES]
    with style.theme():
        width = max(LAYER_INCHES * len(layers) + MARGIN_INCHES, 2 * style.COLUMN_INCHES)
        figure = Figure(figsize=(width, sum(heights) + NAMES_INCHES), layout="constrained")
        *panels, last = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        for panel, (sparsity, color) in zip(panels, SHADES.items(), strict=True):
            _sparsities(panel, data[data["sparsity"] == sparsity], color)
        _flops(last, data)
        for panel in (*panels, last):
            panel.grid(visible=False, axis="x")
        last.set_xticks(range(len(layers)), layers, rotation=90, fontsize=style.FONT_POINTS - 2)
        last.set_xlim(-0.7, len(layers) - 0.3)
    return figure, data


def _layers(model: str, sparsity: float) -> pd.DataFrame:
    """What each layer holds and costs under both distributions; the method, which changes neither, is the plain one."""
    specs = {name: costs.specification(model, "static", name, sparsity) for name in (SHOWN, REFERENCE)}
    columns = {}
    for name, spec in specs.items():
        rows = spec.layers()
        columns[f"{name}_sparsity"] = [row.sparsity for row in rows]
        flops = [layer.flops(row.nonzeros, "rigl") for layer, row in zip(spec.network.layers, rows, strict=True)]
        columns[f"{name}_inference_flops"] = flops
    network = specs[SHOWN].network.layers
    names = [layer.layer for layer in network]
    shapes = ["x".join(map(str, layer.shape)) for layer in network]
    dense = [layer.flops(layer.weights, "rigl") for layer in network]
    about = {"model": model, "sparsity": sparsity, "layer": names, "shape": shapes, "dense_inference_flops": dense}
    return pd.DataFrame(about | columns)


def _sparsities(panel: Axes, rows: pd.DataFrame, color: str) -> None:
    positions = range(len(rows))
    panel.bar(positions, 100 * rows[f"{SHOWN}_sparsity"], width=0.8, color=color)
    reference = 100 * rows[f"{REFERENCE}_sparsity"]
    panel.step(positions, reference, where="mid", color="black", linewidth=0.9, linestyle=(0, (4, 1.5)))
    panel.set(ylim=(0, 105), yticks=(0, 50, 100))
    panel.set_title(_title(rows), fontweight="normal", fontsize=style.FONT_POINTS, loc="left")
    panel.set_ylabel("sparsity (%)")


def _title(rows: pd.DataFrame) -> str:
    dense = rows["dense_inference_flops"].sum()
    shown, reference = (text.times(rows[f"{name}_inference_flops"].sum() / dense) for name in (SHOWN, REFERENCE))
    cell = f"{rows['model'].iloc[0]} at {text.sparsity(rows['sparsity'].iloc[0])}"
    drawn = f"{shown} {DISTRIBUTIONS[SHOWN]} (bars), {reference} {DISTRIBUTIONS[REFERENCE]} (dashed)"
    return f"{cell}, inference FLOPs {drawn}"


def _flops(panel: Axes, data: pd.DataFrame) -> None:
    """Bars within bars: of the dense layer's FLOPs, the share that each sparsity leaves."""
    bars = [("dense", DENSE_COLOR, data.drop_duplicates("layer")["dense_inference_flops"])]
    for sparsity, color in SHADES.items():
        left = data.loc[data["sparsity"] == sparsity, f"{SHOWN}_inference_flops"]
        bars.append((f"{DISTRIBUTIONS[SHOWN]}, {text.sparsity(sparsity)}", color, left))
    for label, color, flops in bars:
        panel.bar(range(len(flops)), flops / 1e6, width=0.8, color=color, label=label)
    panel.set_ylabel("inference (MFLOPs)")
    panel.set_ylim(0, HEADROOM * data["dense_inference_flops"].max() / 1e6)
    panel.legend(ncols=len(bars), frameon=False, loc="upper right")

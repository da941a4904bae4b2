"""The landscape's page: what section 4.5 of the RigL paper says and what was found, then figures and their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from analysis import claims as papers
from analysis import stats, text
from analysis.figures import appendix_a, barriers, budgets, curvature, topology
from analysis.landscape import claims, results
from analysis.landscape.results import Measured
from analysis.tables import page
from analysis.tables.landscape_captions import captions, listed
from analysis.tables.page import Block, Panel, Picture

LEAD = (
    "What Figure 6 and section 4.5 of the RigL paper (arXiv:1911.11134) say of a sparse ResNet-50 on ImageNet, asked of "
    "{cells}. The paper prints no numbers for them, so statements are compared, not values. The scales are ours: a barrier's "
    "height is the most that the training loss exceeds the straight line between the losses of the two ends, and high is what "
    "exceeds the difference of these losses; curves are those of the largest budget of training, and a longer one could lower "
    "their barriers further; nearly monotonic is a climb of less than {climb} of the descent; a run stays "
    "whose loss falls by less than {fall} of what RigL's does. A verdict is that of the interval: undecided where it holds 0. "
    "{interval}."
)
INTERVAL = "± is half the width of the 95 % Student t interval over n seeds or pairs of seeds"
SPLITS = {"train": "training", "test": "test"}
TEMPLATE = "landscape.html.j2"


def html(measured: Measured, found: Sequence[claims.Finding], title: str, figures: Path) -> str:
    """The page as a file that needs nothing else; ``figures`` is the folder with the .png of every figure."""
    words = f"{lead(measured)} {where(measured)}"
    return page.html(title, panels(measured, figures), words, found, claims.MEASURED, TEMPLATE)


def markdown(measured: Measured, found: Sequence[claims.Finding], title: str, figures: Path) -> str:
    """The same as Markdown, to lie beside the figures."""
    findings = papers.markdown(found, claims.MEASURED)
    return f"# {title}\n\n{lead(measured)}\n\n{findings}\n\n{page.markdown(panels(measured, figures), where(measured))}"


def lead(measured: Measured) -> str:
    """What is compared with what, and how verdicts come about."""
    climb, fall = (f"{100 * share:g} %" for share in (claims.NEARLY_MONOTONIC, claims.NEARLY_STAYS))
    cells = listed(measured.cells) or "nothing yet"
    return LEAD.format(cells=cells, climb=climb, fall=fall, interval=INTERVAL)


def where(measured: Measured) -> str:
    """On what it was measured, and for how long; empty without measurements."""
    contents = [document.content for document in measured.documents]
    if not contents:
        return ""
    names = sorted({content["hardware"] for content in contents})
    return f"Measured on {listed(names)}, in {sum(content['seconds'] for content in contents):,.0f} s."


def panels(measured: Measured, figures: Path) -> list[Panel]:
    """One for each kind of measurement that there is."""
    kinds = {document.kind for document in measured.documents}
    return [panel(measured, figures) for kind, panel in PANELS if kind in kinds]


def _curves(measured: Measured, figures: Path) -> Panel:
    means = barriers.means(results.shortest(measured.barriers))
    columns = [kind for kind in results.WAYS if kind in set(zip(means["curve"], means["space"], strict=True))]
    blocks = []
    for (cell, split), own in means.groupby(["cell", "split"], sort=False):
        title = f"{cell}: height of the barrier, {SPLITS[split]} set, nats"
        blocks.append(_block(title, own, "pair", ("curve", "space"), columns))
    for (cell, pair), own in budgets.of_several(measured.barriers).groupby(["cell", "pair"], sort=False):
        title = f"{cell}: height of the barrier, {SPLITS['train']} set, nats, {pair} by steps of training"
        blocks.append(_block(title, own[own["steps"] > 0], "steps", ("curve", "space"), columns))
    names = [results.curve_name(*kind) for kind in columns]
    pictures = _pictures(measured, figures, "curves", "fig6_left", "barriers", "budgets")
    return Panel("Curves between solutions", [], names, blocks, _gaps(measured.barriers), "Ends", pictures)


def _gaps(all_ways: pd.DataFrame) -> list[str]:
    """Which ways have no height, and why."""
    left_out = all_ways.drop(results.whole(all_ways).index)
    notes = []
    for way in left_out[left_out["split"] == "train"].to_dict("records"):
        why = "its fit diverged" if way["diverged"] else f"{way['gaps']} of its losses are not finite"
        name = f"{way['pair']}, seeds {way['seed_first']} and {way['seed_second']}"
        notes.append(f"Left out: {way['cell']}, {name}, {results.curve_name(way['curve'], way['space'])}: {why}.")
    return notes


def _escape(measured: Measured, figures: Path) -> Panel:
    columns = {
        "train_loss_after": "Training loss, nats",
        "accuracy_after": "Test accuracy, %",
        "distance": "Distance from the start",
        "jaccard": "Overlap with its mask",
        "chance": "Overlap by chance",
    }
    blocks = []
    for (cell, parent), own in measured.escapes.groupby(["cell", "parent"], sort=False):
        before = {"train_loss_after": own["train_loss_before"], "accuracy_after": own["accuracy_before"]}
        start = own.assign(**before, label="to begin with", distance=0.0, jaccard=1.0).drop_duplicates("seed")
        both = pd.concat([start, own])
        both["accuracy_after"] *= 100
        rows = [
            (f"{label} (n={len(runs)})", [text.interval(stats.interval(runs[name])) for name in columns])
            for label, runs in both.groupby("label", sort=False)
        ]
        blocks.append(Block(f"{cell}, from {parent} solutions", rows))
    pictures = _pictures(measured, figures, "escape", "fig6_right")
    return Panel("Going on from a solution", [], list(columns.values()), blocks, [], "Trained on with", pictures)


def _maps(measured: Measured, figures: Path) -> Panel:
    pictures = _pictures(measured, figures, "maps", "loss_plane", "loss_surface", "loss_around")
    return Panel("Maps of the training loss", [], [], [], [], pictures=pictures)


def _curvature(measured: Measured, figures: Path) -> Panel:
    means = curvature.means(measured.eigenvalues, measured.hessian_traces)
    columns = [(quantity, space) for quantity in curvature.QUANTITIES for space in curvature.SPACES]
    columns = [kind for kind in columns if kind in set(zip(means["quantity"], means["space"], strict=True))]
    names = [f"{curvature.QUANTITIES[quantity]}, {space}" for quantity, space in columns]
    blocks = [
        _block(cell, own, "label", ("quantity", "space"), columns) for cell, own in means.groupby("cell", sort=False)
    ]
    return Panel("Curvature", [], names, blocks, [], pictures=_pictures(measured, figures, "curvature", "curvature"))


def _opened(measured: Measured, figures: Path) -> Panel:
    means = appendix_a.ends(measured.shares, measured.descents)
    pictures = _pictures(measured, figures, "curvature", "appendix_a")
    return Panel("What the mask closes", [], *_by_quantity(means), [], pictures=pictures)


def _topology(measured: Measured, figures: Path) -> Panel:
    means = topology.ends(measured.overlaps, measured.explored)
    names = ["topology", "input_pixels"] if measured.inputs else ["topology"]
    pictures = _pictures(measured, figures, "overlap", *names)
    return Panel("Topology", [], *_by_quantity(means), [], pictures=pictures)


def _by_quantity(means: pd.DataFrame) -> tuple[list[str], list[Block]]:
    """Columns and, for each cell, a block of methods."""
    names = list(means["quantity"].unique())
    keys = [(name,) for name in names]
    groups = means.groupby("cell", sort=False)
    return names, [_block(cell, own, "label", ("quantity",), keys) for cell, own in groups]


def _block(title: str, data: pd.DataFrame, row: str, key: Sequence[str], columns: Sequence[tuple[str, ...]]) -> Block:
    """One row for each value of the column ``row``; of the columns, those with the values of ``key``.

    n stands at the row where it is the same for all columns, else at every number.
    """
    rows = []
    for name, own in data.groupby(row, sort=False):
        shared = own["n"].nunique() == 1
        texts = {}
        for one in own.to_dict("records"):
            number = text.interval(stats.Interval(one["mean"], one["n"], one["low"], one["high"]))
            texts[tuple(one[part] for part in key)] = number if shared else f"{number} (n={one['n']})"
        label = f"{name} (n={own['n'].iloc[0]})" if shared else str(name)
        rows.append((label, [texts.get(column, "") for column in columns]))
    return Block(title, rows)


def _pictures(measured: Measured, figures: Path, kind: str, *names: str) -> list[Picture]:
    words = zip(names, captions(measured, kind, *names), strict=True)
    return [Picture(name.replace("_", " "), caption, figures / f"{name}.png") for name, caption in words]


PANELS: Sequence[tuple[str, Callable[[Measured, Path], Panel]]] = (
    ("curves", _curves),
    ("escape", _escape),
    ("maps", _maps),
    ("curvature", _curvature),
    ("curvature", _opened),
    ("overlap", _topology),
)
"""Kind of document and what is made of it, in the order of the page."""

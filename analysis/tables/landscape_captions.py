"""Words for the landscape's figures: what each shows, and what was run on what and how long to draw it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd

from analysis.landscape.documents import Document
from analysis.landscape.results import Map, Measured

SHOWN = {
    "fig6_left": (
        "After Figure 6 left: training loss (mean cross-entropy, nats) from a pruning solution (t = 0) to a static one "
        "(t = 1), along the line and along Bézier curves whose control points were trained in the sparse space (the weights "
        "active at either end), in the dense space, or in the intersection (those active at both; ours). Of "
        "several budgets of training the largest."
    ),
    "barriers": (
        "Heights of all barriers, on the training set and on the test set. Where both ends are of one method they are runs of "
        "successive seeds, so that a run is in two pairs: these are not independent, and their intervals too narrow. "
        "Where curves of a pair were trained with several budgets, the smallest is shown, which all pairs have."
    ),
    "budgets": (
        "What is left of the barrier by how long the control points were trained, of the pair for which that was varied. A "
        "height that still falls with the budget is one of the search, not of the landscape: an upper bound of what the space "
        "holds."
    ),
    "fig6_right": (
        "After Figure 6 right: on from the weights and the mask of a static solution, with a new optimizer and the whole "
        "schedule again, as static or with a method that moves the topology; moved once: at its first update only. Each point "
        "is the mean training loss of the batches since the point before, the first one that of the run gone on from."
    ),
    "loss_plane": (
        "Training loss in the plane through three solutions, in units of the distance between weights; white where it is not "
        "finite. The solutions lie in the plane; of the paths of training, dotted, only the shadow does."
    ),
    "loss_surface": "The same planes, the training loss as height.",
    "loss_around": (
        "Training loss along two random directions around each solution, within its mask, every filter of a direction scaled "
        "to the norm of the solution's (Li et al. 2018, arXiv:1712.09913)."
    ),
    "curvature": (
        "The Hessian of the training loss at solutions, with respect to the active weights, the inactive ones, and all: "
        "extreme eigenvalues by Lanczos iteration, and traces by Hutchinson's estimate. A negative eigenvalue is negative "
        "curvature."
    ),
    "appendix_a": (
        "After Appendix A: the share of the training loss's gradient, by its norm, that lies on inactive weights; and how "
        "much the training loss falls by one step against the gradient, of the active weights or of all. Steps that raise it "
        "lie below the axis."
    ),
    "topology": (
        "Overlap of the masks of two seeds (Jaccard: active in both over active in either) over what random masks of the same "
        "counts have; weights ever active; and active weights that were not active at the kept step before."
    ),
    "input_pixels": "Active weights of the first layer that read each pixel, of the first seed.",
}
"""By figure."""


def captions(measured: Measured, kind: str, *figures: str) -> list[str]:
    """Of figures of one kind of measurement; the first one says what was run."""
    first, *others = (SHOWN[name] for name in figures)
    return [f"{first} {run(measured, kind)}", *others]


def run(measured: Measured, kind: str) -> str:
    """Every cell in words, and how much was measured of it; cells that are alike share a sentence."""
    alike: dict[str, dict[str, None]] = {}
    for document in measured.documents:
        if document.kind == kind:
            alike.setdefault(RUN[kind](measured, document), {})[document.cell["cell"]] = None
    return " ".join(f"{listed(cells)}: {how}." for how, cells in alike.items())


def listed(words: Iterable[str]) -> str:
    """ "a", "a and b", "a; b and c"."""
    *others, last = [*words] or [""]
    return f"{'; '.join(others)} and {last}" if others else last


def _curves(measured: Measured, document: Document) -> str:
    settings = document.settings
    fits = [curve["fit"] for group in document.found for curve in group["curves"] if curve["fit"]]
    trained = dict.fromkeys(
        f"{fit['steps']:,} steps of {fit['batch_size']} samples at a rate of {fit['learning_rate']:g}" for fit in fits
    )
    own = _own(measured.profiles, document)
    parts = [_seeds(pd.concat([own["seed_first"], own["seed_second"]])), f"{settings['points']} points from t = 0 to 1"]
    parts += [f"control points trained for {listed(trained)}"] if trained else []
    return ", ".join([*parts, f"losses of at most {settings['samples']:,} samples of each set"])


def _escape(measured: Measured, document: Document) -> str:
    own = _own(measured.traces, document)
    return f"{_seeds(own['seed'])}, {own['step'].max():,} gradient steps"


def _maps(measured: Measured, document: Document) -> str:
    settings = document.settings
    planes = [one for one in measured.planes if one.cell == document.cell["cell"]]
    points = f"{settings['map_points']} by {settings['map_points']} points"
    seeds = _seeds(pd.Series([one.seed for one in planes]))
    return f"{seeds}, {points}, losses of at most {settings['samples']:,} samples{''.join(map(_residuals, planes))}"


def _residuals(plane: Map) -> str:
    """How far off the plane the paths are that are drawn in it."""
    paths = plane.places[plane.places["at"] == "path"]
    parts = [f"{own['residual'].max():.3g} ({label})" for label, own in paths.groupby("label", sort=False)]
    return f"; paths lie off the plane by up to {', '.join(parts)}" if parts else ""


def _curvature(measured: Measured, document: Document) -> str:
    settings, own = document.settings, _own(measured.eigenvalues, document)
    samples = f"the loss of at most {settings['curvature_samples']:,} training samples"
    return f"{_seeds(own['seed'])}, {samples}, {settings['trace_vectors']} random vectors for each trace"


def _overlap(measured: Measured, document: Document) -> str:
    own = _own(measured.moves, document)
    steps = [f"{step:,}" for step in sorted(set(own["step"]))]
    return f"{_seeds(own['seed'])}, masks of gradient steps {', '.join(steps)}"


def _own(frame: pd.DataFrame, document: Document) -> pd.DataFrame:
    return frame[frame["cell"] == document.cell["cell"]]


def _seeds(seeds: pd.Series) -> str:
    """ "seeds 0–4", "seed 0", "seeds 0, 2"."""
    found = sorted(set(seeds))
    if len(found) == 1:
        return f"seed {found[0]}"
    whole = found == list(range(found[0], found[-1] + 1))
    return f"seeds {found[0]}–{found[-1]}" if whole else f"seeds {', '.join(map(str, found))}"


RUN: dict[str, Callable[[Measured, Document], str]] = {
    "curves": _curves,
    "escape": _escape,
    "maps": _maps,
    "curvature": _curvature,
    "overlap": _overlap,
}
"""By kind of document."""

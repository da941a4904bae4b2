"""The figures of the RigL paper, by name: how each is drawn, and what its caption says.

Figure 6 is measured of loss landscapes and stands in ``landscape``; Figures 1 and 7 show no results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from analysis import points as record
from analysis import text
from analysis.figures import (
    fig2_bottom_right,
    fig2_top_right,
    fig3_left,
    fig4_left,
    fig4_right,
    fig5_left,
    fig5_right,
    fig8_left,
    fig8_right,
    fig9,
    fig10,
    fig11,
    fig12,
)

Draw = Callable[[pd.DataFrame], tuple[Figure, pd.DataFrame]]
COMPUTED = "Computed from the network's shapes alone; nothing was trained for it."


@dataclass(frozen=True)
class Paper:
    """A figure of the paper: its title, how it is drawn from points, and what it shows there."""

    title: str
    draw: Draw
    shows: str


def _fig12(_: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    return fig12.draw()


FIGURES = {
    "fig2_top_right": Paper(
        "Figure 2 (top right): accuracy and training length",
        fig2_top_right.draw,
        "After Figure 2 (top right): accuracy of ResNet-50 on ImageNet at 80 %, uniform, against training length, by "
        "method. Values between the printed ones were read off a picture in the authors' repository, to about 0.05 "
        "points.",
    ),
    "fig2_bottom_right": Paper(
        "Figure 2 (bottom right): RigL, sparsity and training length",
        fig2_bottom_right.draw,
        "After Figure 2 (bottom right): accuracy of RigL on ResNet-50 and ImageNet against sparsity, one line a "
        "training length. The reported values are those of Figure 2's and Table 4's tables and of the repository at "
        "99 %.",
    ),
    "fig3_left": Paper(
        "Figure 3 (left): MobileNets",
        fig3_left.draw,
        "After Figure 3 (left): accuracy of MobileNets on ImageNet against the sparsity of the layers that are "
        "pruned; RigL and Small-Dense were trained five times as long, of pruning the length is not stated. The "
        "reported values are those of the table beside it; of MobileNet-v2 the paper prints none.",
    ),
    "fig4_left": Paper(
        "Figure 4 (left): character language model",
        fig4_left.draw,
        "After Figure 4 (left): validation bits per character of a GRU at 75 % against training FLOPs, by method, the "
        "runs of one method at several lengths joined. The paper prints no value.",
    ),
    "fig4_right": Paper(
        "Figure 4 (right): WRN-22-2 on CIFAR-10",
        fig4_right.draw,
        "After Figure 4 (right): accuracy of WRN-22-2 on CIFAR-10 with ERK against sparsity, and of runs of twice the "
        "length. The reported values are those that the author gave in an issue of the repository; SET and SNFS are "
        "not among them.",
    ),
    "fig5_left": Paper(
        "Figure 5 (left): distributions",
        fig5_left.draw,
        "After Figure 5 (left): accuracy of RigL against sparsity by the distribution of the sparsity among layers. "
        "The paper prints no value of this figure; the reported ones are of its tables, at the same settings.",
    ),
    "fig5_right": Paper(
        "Figure 5 (right): update interval and drop fraction of RigL",
        fig5_right.draw,
        "After Figure 5 (right): accuracy of RigL by the interval of topology updates, one line a drop fraction. Of "
        "its values the paper says only that 1,000 steps are still above 73.5 %, and that 100 with 0.3 or 0.5 are "
        "best.",
    ),
    "fig8_left": Paper(
        "Figure 8 (left): distributions, four methods",
        fig8_left.draw,
        "After Figure 8 (left): accuracy of four methods against sparsity by the distribution of the sparsity among "
        "layers. The paper prints no value of this figure; the reported ones are of its tables and of a picture in "
        "the authors' repository. Static with ERK at 95 and 96.5 % is left out: Table 4 repeats the values of 80 and "
        "90 %.",
    ),
    "fig8_right": Paper(
        "Figure 8 (right): momentum of SNFS",
        fig8_right.draw,
        "After Figure 8 (right): accuracy of SNFS by the momentum of the gradients that it grows by. The paper prints "
        "no value.",
    ),
    "fig9": Paper(
        "Figure 9: update interval and drop fraction of SET and SNFS",
        fig9.draw,
        "After Figure 9: accuracy of SET and SNFS by the interval of topology updates, one line a drop fraction. The "
        "paper prints no value.",
    ),
    "fig10": Paper(
        "Figure 10: decay of the drop fraction",
        fig10.draw,
        "After Figure 10: accuracy of RigL by the interval of topology updates, one line a decay of the drop "
        "fraction. The paper prints no value.",
    ),
    "fig11": Paper(
        "Figure 11: training loss, and the update interval again",
        fig11.draw,
        "After Figure 11: the training loss of RigL beside pruning's and static's, here at the end of training "
        "against sparsity; and accuracy of RigL by the interval of topology updates at a drop fraction of 0.3. The "
        "paper prints no value.",
    ),
    "fig12": Paper(
        "Figure 12: sparsity of each layer",
        _fig12,
        "After Figure 12: the sparsity that ERK gives each layer of ResNet-50, with the uniform distribution dashed, "
        "and the FLOPs of each layer's forward pass, dense and as far as each sparsity leaves them.",
    ),
}
"""By the name of the module."""


def draw(points: pd.DataFrame) -> dict[str, tuple[Figure, pd.DataFrame]]:
    """Every figure and the numbers drawn, of points (``analysis.points``); one of which there are none says so."""
    return {name: figure.draw(points) for name, figure in FIGURES.items()}


def caption(name: str, drawn: pd.DataFrame) -> str:
    """What the paper's figure shows, what was run on what to draw ``drawn``, and what is only reported."""
    shows = FIGURES[name].shows
    if "kind" not in drawn:
        return f"{shows} {COMPUTED}"
    ours = drawn[drawn["kind"] == record.REPRODUCED]
    published = drawn[drawn["kind"] == record.REPORTED]
    return " ".join(part for part in (shows, _reproduced(ours), _only_reported(published, ours)) if part)


def _reproduced(ours: pd.DataFrame) -> str:
    """ "Reproduced: lenet300 on digits (quick, sweeps; n=3)." """
    if ours.empty:
        return "Nothing of it was run here."
    found = [f"{_place(key)} ({_studies(own)}; {_seeds(own)})" for key, own in _places(ours)]
    return f"Reproduced: {', '.join(found)}{_problems(ours)}."


def _only_reported(published: pd.DataFrame, ours: pd.DataFrame) -> str:
    """ "Only reported: resnet50 on imagenet (Evci et al. 2020)." """
    run = {key for key, _ in _places(ours)}
    found = [f"{_place(key)} ({'; '.join(own['cited'].unique())})" for key, own in _places(published) if key not in run]
    return f"Only reported: {', '.join(found)}." if found else ""


def _places(points: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    return [
        ((str(model), str(data)), own) for (model, data), own in points.groupby(["model_words", "dataset"], sort=False)
    ]


def _place(key: tuple[str, str]) -> str:
    return f"{key[0]} on {key[1]}"


def _studies(own: pd.DataFrame) -> str:
    return ", ".join(sorted({study for studies in own["source"] for study in studies.split(", ")}))


def _seeds(own: pd.DataFrame) -> str:
    low, high = (f"{bound:.0f}" for bound in (own["n"].min(), own["n"].max()))
    return f"n={low}" if low == high else f"n={low}–{high}"


def _problems(ours: pd.DataFrame) -> str:
    lacking = text.problems(ours.drop_duplicates("cell")[list(text.PROBLEMS)].sum())
    return f"; without a result: {lacking}" if lacking else ""

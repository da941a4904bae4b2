"""The table of costs: what a method's inference and training take at paper scale, known before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any

import pandas as pd

from analysis import costs, stats, text
from analysis.records import DISTRIBUTIONS
from analysis.tables import page

COLUMNS = ["Inference", "Training", "Equal cost at", "Inference, macs", "Training, macs", "Size", "File"]
EMPTY = {"skipped": "skipped", "unknown": "after a run"}
"""What stands in place of costs that there are not, by the column of the frame that says why."""
CAPTION = (
    "One row a method. Inference and training are FLOPs over the dense network's, in the authors' counting and as plain "
    "multiply-adds (macs); training is the method's closed form over dense training of the same length, and costs what dense "
    "training does at the length, over the protocol's, that the third column gives. Size is by the authors' rule: 32 bits a "
    "non-zero weight, a bit a weight of a sparse layer, 32 bits an output channel. File is what rigl-bench export writes."
)


def markdown(frame: pd.DataFrame, title: str) -> str:
    """The table as Markdown; ``frame`` is one of ``analysis.costs``."""
    return f"# {title}\n\n{page.markdown(panels(frame), caption())}"


def html(frame: pd.DataFrame, title: str) -> str:
    """The table as a page that needs nothing else."""
    return page.html(title, panels(frame), caption())


def caption() -> str:
    """What the columns mean, and the protocol whose training is counted."""
    others = "".join(f"; of {name} {_cadence(**topology)}" for name, topology in costs.TOPOLOGIES.items())
    steps, topology = costs.PROTOCOL["steps"], costs.PROTOCOL["topology"]
    return f"{CAPTION} Training is {steps:,} steps long, with topology updates {_cadence(**topology)}{others}."


def panels(frame: pd.DataFrame) -> list[page.Panel]:
    """One panel a distribution, in it one block a sparsity."""
    frame = frame.astype({"size_bytes": "float64", "file_bytes": "float64"})
    dense = [_dense(row) for row in frame[frame["method"] == stats.DENSE].to_dict("records")]
    sparse = frame[frame["method"] != stats.DENSE]
    found = []
    for distribution, name in DISTRIBUTIONS.items():
        inside = sparse[sparse["distribution"].isin([distribution, ""])].sort_values("sparsity", kind="stable")
        blocks = [
            page.Block(text.sparsity(sparsity), [(row["label"], _texts(row)) for row in group.to_dict("records")])
            for sparsity, group in inside.groupby("sparsity")
        ]
        found.append(page.Panel(f"{frame['model'].iloc[0]}, {name}", dense, COLUMNS, blocks, _notes(inside)))
    return found


def _dense(row: Mapping[str, Any]) -> tuple[str, str]:
    flops = f"{row['rigl_inference_flops']:,} FLOPs a sample forward ({row['macs_inference_flops']:,} as macs)"
    return row["label"], f"{flops}; size {text.megabytes(row['size_bytes'])}, file {text.megabytes(row['file_bytes'])}"


def _texts(row: Mapping[str, Any]) -> list[str]:
    inference, training, inference_macs, training_macs = (
        text.times(row[f"{convention}_{cost}_x"]) for convention in ("rigl", "macs") for cost in ("inference", "train")
    )
    equal = row["equal_flops_multiplier"]
    length = text.NONE if isnan(equal) else f"{equal:.{2 if equal < 10 else 1}f}×"
    sizes = [text.megabytes(row[name]) for name in ("size_bytes", "file_bytes")]
    texts = [inference, training, length, inference_macs, training_macs, *sizes]
    why = next((words for reason, words in EMPTY.items() if row[reason]), "")
    return [why, *texts[1:]] if why and inference == text.NONE else texts


def _notes(cells: pd.DataFrame) -> list[str]:
    """Why cells are empty, or not what a network will hold; a reason that holds at every sparsity is said once."""
    every = cells["sparsity"].dropna().nunique()
    words = {
        "skipped": "skipped ({})",
        "unknown": "known only after a run ({})",
        "inexact": "counted as asked for ({})",
    }
    notes = []
    for kind, phrase in words.items():
        for (label, reason), group in cells[cells[kind] != ""].groupby(["label", kind], sort=False):
            asked = group["sparsity"].dropna()
            at = "" if len(asked) in (0, every) else f" at {', '.join(map(text.sparsity, asked))}"
            notes.append(f"{label}{at}: {phrase.format(reason)}.")
    return notes


def _cadence(update_every: int, end: int, begin: int = 0) -> str:
    return f"every {update_every:,} from {begin:,} to {end:,}"

"""What the paper's tables of accuracies share: a row a method, distribution and length, a group of columns a sparsity.

The paper's own network and data set come first: accuracy reported, reproduced and their difference, costs printed and
recomputed. Every other setting in which rows of the table were run has columns of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

from analysis import text
from analysis.stats import DENSE
from analysis.tables import reproduced
from analysis.tables.comparison import NOT_HERE, Cell, Column, Comparison
from analysis.tables.comparison import Line as Beside
from analysis.tables.printed import Line, Paper, Printed, setting
from analysis.tables.reproduced import Found, Rerun, Setting

ACCURACY = "top1_acc"
COSTS = {"train_flops_x": "Training FLOPs, ×", "test_flops_x": "Inference FLOPs, ×"}
"""Columns of the record that are multiples of the dense network's cost."""
TOTALS = {"dense_train_flops": "training", "dense_inference_flops": "inference"}
"""Metrics of a dense row, and what they are the FLOPs of."""


@dataclass(frozen=True)
class Table:
    """A table of the paper, by where the record says that it stands."""

    name: str
    title: str
    lead: str
    place: str
    states_sparsity: bool = True
    """Whether sparsities are columns of it; where not, other settings are shown at whichever they were run at."""


def compare(table: Table, paper: Paper, rerun: Rerun) -> Comparison:
    """The table with what is reproduced of it; with no records, what the paper prints."""
    every = paper.lines(table.place)
    lines = [line for line in every if line.row.method != DENSE]
    sparsities = list(dict.fromkeys(sparsity for line in lines for sparsity in line.sparsities()))
    own = Setting(lines[0].network.model, paper.dataset(lines[0]))
    found = rerun.settings(lines, sparsities if table.states_sparsity else None)
    others = {where: at for where, at in found.items() if where != own}
    columns = [column for sparsity in sparsities for column in _own(paper, rerun, lines, own, sparsity)]
    columns += [
        column for where, at in others.items() for sparsity in at for column in _other(rerun, lines, where, sparsity)
    ]
    dense = [line for line in every if line.row.method == DENSE]
    return Comparison(
        name=table.name,
        title=table.title,
        lead=table.lead,
        rows=tuple(line.row for line in lines),
        columns=tuple(columns),
        lines=tuple(beside for line in dense for beside in _dense(paper, rerun, line, own, list(others))),
        links=paper.links(every),
    )


def _own(paper: Paper, rerun: Rerun, lines: Sequence[Line], own: Setting, sparsity: float) -> list[Column]:
    """The paper's network and data set at one sparsity; what nothing is printed of has no column."""
    groups = (setting(lines[0]), text.sparsity(sparsity))
    cells = [rerun.find(line, own, sparsity) for line in lines]
    printed = [line.of(sparsity, ACCURACY) for line in lines]
    titled = {
        "Reported, %": [paper.accuracy(row) for row in printed],
        "Reproduced, %": [
            reproduced.accuracy(cell, line, NOT_HERE if row else text.NONE)
            for cell, line, row in zip(cells, lines, printed, strict=True)
        ],
    }
    if any(cells):
        titled["Difference, points"] = [_difference(paper, *both) for both in zip(cells, printed, strict=True)]
    for metric, title in COSTS.items():
        if any(row is not None and getattr(row, metric) for row in printed):
            titled[title] = [paper.multiple(row, metric) for row in printed]
    return [Column(groups, title, tuple(column), own.model, own.dataset, sparsity) for title, column in titled.items()]


def _difference(paper: Paper, cell: Found | None, row: Printed | None) -> Cell:
    reported = nan if row is None else paper.judge.names.metric(row.metric).value(row.value)
    return reproduced.difference(cell, reported, row is not None and bool(paper.doubt(row, "mean")))


def _other(rerun: Rerun, lines: Sequence[Line], where: Setting, sparsity: float) -> list[Column]:
    """Another setting at one sparsity."""
    groups = (where.title, text.sparsity(sparsity))
    cells = [rerun.find(line, where, sparsity) for line in lines]
    before = [_cost_before(rerun, line, lines, where, sparsity) for line in lines]
    accuracies = [reproduced.accuracy(cell, line) for cell, line in zip(cells, lines, strict=True)]
    costs = [reproduced.costs(cell, where, spent) for cell, spent in zip(cells, before, strict=True)]
    titled = {"Reproduced, %": accuracies, "Inference / training FLOPs, ×": costs}
    return [
        Column(groups, title, tuple(column), where.model, where.dataset, sparsity) for title, column in titled.items()
    ]


def _cost_before(rerun: Rerun, line: Line, lines: Sequence[Line], where: Setting, sparsity: float) -> float:
    """What training the run whose mask ``line`` starts from had cost: of one length, with a random mask."""
    method = reproduced.STARTS[line.row.init].removeprefix("mask of ")
    if not method:
        return 0.0
    alone = [other for other in lines if other.row.method == method and not reproduced.STARTS[other.row.init]]
    parent = rerun.find(min(alone, key=lambda other: other.row.multiplier), where, sparsity)
    return nan if parent is None else parent["train_x"]


def _dense(paper: Paper, rerun: Rerun, line: Line, own: Setting, others: Sequence[Setting]) -> list[Beside]:
    """The dense network, whose sparsity is no column's: the paper's, then that of every other setting where it was run."""
    printed, cell = paper.accuracy(line.of(0.0, ACCURACY)), rerun.find(line, own, 0.0)
    ours = reproduced.accuracy(cell, line, NOT_HERE)
    stated = {metric: row for metric in TOTALS if (row := line.of(0.0, metric)) is not None}
    costs = [paper.cost(row, metric, metric.removeprefix("dense_")) for metric, row in stated.items()]
    accuracy = f"in %, reported {printed.text}, {f'reproduced {ours.text}' if cell else ours.text}"
    parts = [printed, ours, *costs]
    together = Cell(
        "; ".join(
            [accuracy, *(f"{TOTALS[metric]} FLOPs {cost.text}" for metric, cost in zip(stated, costs, strict=True))]
        ),
        tuple(number for part in parts for number in part.numbers),
        tuple(note for part in parts for note in part.notes),
    )
    elsewhere = [(where, reproduced.accuracy(rerun.find(line, where, 0.0), line)) for where in others]
    return [
        Beside(line.row, setting(line), together, own.model, own.dataset),
        *(
            Beside(
                line.row, where.title, replace(cell, text=f"in %, reproduced {cell.text}"), where.model, where.dataset
            )
            for where, cell in elsewhere
            if cell.numbers
        ),
    ]

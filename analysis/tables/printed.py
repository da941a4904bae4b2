"""The reported side of the paper's tables: what each prints, row by row, with errata and recomputed costs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan

from analysis import errata, points, reported, text
from analysis.audit import page as audit
from analysis.audit import verdicts
from analysis.audit.verdicts import Audited, Auditor
from analysis.records import DISTRIBUTIONS
from analysis.references import References
from analysis.reported import Architecture
from analysis.reported import Row as Printed
from analysis.tables.comparison import Cell, Number, Row
from analysis.tables.page import Link

PAPER = "evci2020rigl"
INIT = re.compile(r"\(init=(\w+)\)")
"""How the record says which weights a network of Appendix E starts from."""
COSTS = {"train_flops_x": "train_x", "test_flops_x": "inference_x"}
"""Columns of the record that are costs, and the words for them in ``analysis.points``."""


@dataclass(frozen=True)
class Line:
    """A row of a published table: one method trained in one way, at each of its sparsities."""

    row: Row
    network: Architecture
    printed: Mapping[float, Mapping[str, Printed]]
    """Rows of the record by sparsity and metric."""

    def of(self, sparsity: float, metric: str) -> Printed | None:
        """The row of the record that prints ``metric``; None where none does."""
        return self.printed.get(sparsity, {}).get(metric)

    def sparsities(self) -> list[float]:
        """In the record's order."""
        return list(self.printed)


@dataclass(frozen=True)
class Paper:
    """What the paper prints, and what is known against it."""

    judge: Auditor
    references: References

    @classmethod
    def load(cls, references: References) -> Paper:
        """The record of this suite."""
        return cls(verdicts.auditor(), references)

    def lines(self, place: str) -> list[Line]:
        """The rows of the table that the record names by ``place`` to begin with, in its order."""
        found: dict[tuple, list[Printed]] = {}
        for row in self.judge.rows:
            if row.source_key == PAPER and row.where_in_source.startswith(place):
                key = (row.method, row.model, row.distribution, row.train_multiplier)
                found.setdefault(key, []).append(row)
        return [self._line(rows) for rows in found.values()]

    def dataset(self, line: Line) -> str:
        """The suite's word for the data set, else the printed one."""
        printed = _any(line).dataset
        return self.judge.names.dataset(printed) or printed

    def links(self, lines: Sequence[Line]) -> tuple[Link, ...]:
        """Where the numbers of ``lines`` are printed; a place that is not that of most says whose it is."""
        labels: dict[tuple[str, str], list[str]] = {}
        for line in lines:
            for row in (row for own in line.printed.values() for row in own.values()):
                labels.setdefault((place_of(row), _url(row)), []).append(line.row.label)
        most = max(labels, key=lambda place: len(labels[place]), default=None)
        cited = points.cited(self.references.entry(PAPER))
        return tuple(
            Link(f"{'Reported' if place == most else '; '.join(dict.fromkeys(own))}: {cited}, {place[0]}", place[1])
            for place, own in labels.items()
        )

    def accuracy(self, row: Printed | None) -> Cell:
        """The accuracy as printed, in per cent; a dash where none is."""
        if row is None:
            return Cell(text.NONE)
        shown = row.value + (f" ± {row.std}" if row.std else "")
        metric, note = self.judge.names.metric(row.metric), self.doubt(row, "mean")
        runs = self.judge.names.source(row.source_key).runs if row.std else None
        std = metric.spread(row.std)
        number = self._number(
            row, "accuracy", metric.value(row.value), shown, note, std=std, n=nan if runs is None else runs
        )
        return Cell(shown, (number,), (note,) if note else ())

    def multiple(self, row: Printed | None, column: str) -> Cell:
        """ "0.23 (0.2254)": a cost over the dense network's as printed, and as this suite's code has it."""
        if row is None or not getattr(row, column):
            return Cell(text.NONE)
        return self.cost(row, column, COSTS[column])

    def cost(self, row: Printed, metric: str, quantity: str) -> Cell:
        """The cost ``metric`` of ``row`` in the printed unit, in brackets recomputed; a note where they differ.

        ``quantity`` is what it is, in the units of its name. The note is the audit's where it explains the difference.
        """
        one = self._audited(row, metric)
        shown, verdict = audit.published(one), one.verdict
        computed = "" if verdict.kind == "agrees" else verdict.text
        note = computed if verdict.kind == "explained" else self.doubt(row, quantity) or computed
        unit = self.judge.book.measures[metric].unit
        numbers = [self._number(row, quantity, one.cell.value * unit, shown, note)]
        for value, why in ((one.stated, verdict.text), (one.actual, f"otherwise: {verdict.reason}")):
            if value is not None:
                numbers.append(Number(quantity, "recomputed", value * unit, audit.recomputed(one, value), note=why))
        brackets = "" if one.stated is None else f" ({audit.recomputed(one, one.stated)})"
        # What stands behind the colon of a reason is of this cell alone: it stays with the number.
        told = f"{verdicts.KINDS['unknown']}: {verdict.reason.partition(':')[0]}" if verdict.kind == "unknown" else note
        return Cell(f"{shown}{brackets}", tuple(numbers), (told,) if told else ())

    def doubt(self, row: Printed, field: str) -> str:
        """Why the errata doubt ``field`` of ``row``; empty where they do not."""
        found = self._errata.get(row.line, []) if row.file == reported.RECORD.name else []
        return "; ".join(erratum.reason for erratum in found if field in erratum.fields)

    def _audited(self, row: Printed, metric: str) -> Audited:
        printed = row.value if metric == row.metric else getattr(row, metric)
        return self.judge.audited(self.judge.book.selection.cell(row, metric, printed))

    def _number(
        self, row: Printed, quantity: str, value: float, shown: str, note: str, std: float = nan, n: float = nan
    ) -> Number:
        citation = self.judge.names.source(row.source_key).citation
        where = {"source": citation, "place": place_of(row), "url": _url(row)}
        return Number(quantity, "reported", value, shown, std=std, n=n, note=note, **where)

    def _line(self, rows: Sequence[Printed]) -> Line:
        printed: dict[float, dict[str, Printed]] = {}
        for row in rows:
            printed.setdefault(float(row.sparsity or 0), {})[row.metric] = row
        first, names = rows[0], self.judge.names
        distribution = names.distribution(first.distribution) or ""
        multiplier = float(first.train_multiplier) if first.train_multiplier else nan
        init = INIT.search(first.where_in_source)
        row = Row(
            label=_label(first.method, distribution, multiplier),
            method=names.method(first.method) or "",
            distribution=distribution,
            multiplier=multiplier,
            init=init[1] if init else "",
        )
        return Line(row, names.model(first.model), printed)

    @cached_property
    def _errata(self) -> Mapping[int, list[errata.Erratum]]:
        ranked = [row for row in self.judge.rows if row.file == reported.RECORD.name]
        return errata.of([row for row in ranked if self.judge.names.metric(row.metric)], errata.load())


def place_of(row: Printed) -> str:
    """Where the number stands, without the remarks in brackets."""
    return " ".join(re.sub(r"\[[^]]*\]|\(init=\w+\)", "", row.where_in_source).split())


def setting(line: Line) -> str:
    """ "ResNet-50 on ImageNet-2012", as printed; of a network that is cut, what it is cut from."""
    row = _any(line)
    return f"{row.model.partition(' -> ')[0]} on {row.dataset}"


def _any(line: Line) -> Printed:
    return next(row for own in line.printed.values() for row in own.values())


def _url(row: Printed) -> str:
    return row.source_url.split()[0]


def _label(method: str, distribution: str, multiplier: float) -> str:
    """ "RigL, ERK, 5×": what is not the usual thing."""
    shared = "" if distribution in ("", "uniform") else DISTRIBUTIONS[distribution]
    longer = "" if multiplier in (1.0,) or multiplier != multiplier else text.length(multiplier)
    return ", ".join(part for part in (method, shared, longer) if part)

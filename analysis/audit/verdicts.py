"""The verdict on each cell: computed from the number that is printed and those that are recomputed.

Only the reason why a cell cannot be recomputed is typed, in ``rules.yaml``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from analysis import reported
from analysis.audit import rules
from analysis.audit.cells import Cell
from analysis.audit.rules import Rulebook, Stated
from analysis.audit.settings import Setting, changed, recompute
from analysis.errors import AnalysisError
from analysis.reported import Names, Row

FURTHER = Path(__file__).parent / "further.csv"
"""Rows of the same form that the record does not have, and that facts about it need."""

Kind = Literal["agrees", "rounding", "explained", "unexplained", "unknown"]
KINDS: dict[Kind, str] = {
    "agrees": "agrees",
    "rounding": "differs by rounding",
    "explained": "differs: explained",
    "unexplained": "differs: unexplained",
    "unknown": "not recomputable",
}


@dataclass(frozen=True)
class Verdict:
    """What became of a cell."""

    kind: Kind
    reason: str = ""
    hypothesis: str = ""
    """The one that explains it."""

    @property
    def text(self) -> str:
        """As it is shown."""
        if self.kind == "explained":
            return f"differs: {self.reason}"
        return f"{KINDS[self.kind]}: {self.reason}" if self.reason else KINDS[self.kind]


@dataclass(frozen=True)
class Audited:
    """A cell with its verdict; numbers are in the printed unit."""

    cell: Cell
    stated: float | None
    """Recomputed as the source states it; None where that cannot be done."""
    actual: float | None
    """Recomputed as the source seems to have done it, where that differs."""
    why: str
    """What the rule rests on that the record does not say."""
    verdict: Verdict


@dataclass(frozen=True)
class Auditor:
    """Judges cells of one record."""

    rows: Sequence[Row]
    """Where a rule finds the like row of a cell."""
    names: Names
    book: Rulebook

    def audited(self, cell: Cell) -> Audited:
        """``cell`` with its verdict. Raises AnalysisError, with the cell's line, where its rules make no sense."""
        stated = self.book.stated(cell)
        try:
            computed = self._computed(cell, stated, {}) if "{" in stated.unknown or not stated.unknown else None
            verdict, actual = self._judged(cell, stated, computed)
        except ValueError as error:
            raise AnalysisError(f"{cell.row.file}, line {cell.row.line}, {cell.metric}: {error}") from error
        return Audited(cell, None if stated.unknown else computed, actual, stated.why, verdict)

    def otherwise(self, cell: Cell, overrides: Mapping[str, Any]) -> float:
        """The number of ``cell`` under its stated setting with other fields."""
        return self._computed(cell, self.book.stated(cell), overrides)

    def ids(self, row: Row) -> dict[str, str | None]:
        """The suite's words for what ``row`` is of: model, method, distribution."""
        return {
            "model": self.names.model(row.model).model,
            "method": self.names.method(row.method),
            "distribution": self.names.distribution(row.distribution),
        }

    def _judged(self, cell: Cell, stated: Stated, computed: float | None) -> tuple[Verdict, float | None]:
        if stated.unknown:
            return Verdict("unknown", _filled(stated.unknown, cell, computed)), None
        if cell.agrees(computed):
            return Verdict("agrees"), None
        tried = [(hypothesis, self._computed(cell, stated, hypothesis.setting)) for hypothesis in stated.hypotheses]
        for hypothesis, found in tried:
            if cell.agrees(found):
                return Verdict("explained", hypothesis.words, hypothesis.name), found
        return Verdict("rounding" if cell.nearly(computed) else "unexplained"), None

    def _computed(self, cell: Cell, stated: Stated, overrides: Mapping[str, Any]) -> float:
        chosen = {**stated.setting, **overrides}
        quantity, given = chosen.pop("quantity", stated.measure.quantity), chosen.pop("given", None)
        if given is not None:
            chosen["given_inference_x"] = self._printed_inference(cell.row, given)
        return recompute(changed(self._of_row(cell.row), chosen), quantity) / stated.measure.unit

    def _of_row(self, row: Row) -> Setting:
        """What the row itself says."""
        architecture = self.names.model(row.model)
        return Setting(
            model=architecture.model,
            input=architecture.input,
            classes=architecture.classes,
            options=architecture.options,
            method=self.names.method(row.method),
            sparsity=float(row.sparsity or 0),
            distribution=self.names.distribution(row.distribution),
            multiplier=float(row.train_multiplier or 1),
        )

    def _printed_inference(self, row: Row, given: str) -> float:
        length = {"row": row.train_multiplier, "single": "1"}[given]
        asked = dataclasses.replace(row, train_multiplier=length)
        like = [other for other in self.rows if _likeness(other) == _likeness(asked) and other.test_flops_x]
        if len(like) != 1:
            raise ValueError(f"{len(like)} rows of length {length} are like it, one is needed")
        return float((row if given == "row" else like[0]).test_flops_x)


def auditor() -> Auditor:
    """An auditor of the record and of the further rows."""
    return Auditor(reported.rows() + reported.rows(FURTHER), reported.names(), rules.load())


def audit(judge: Auditor | None = None) -> list[Audited]:
    """Every cell of the record, in its order, then those of the further rows."""
    judge = judge or auditor()
    return [judge.audited(cell) for cell in judge.book.selection.cells(judge.rows)]


def compare(
    model: str, method: str | None = None, distribution: str | None = None, sparsity: float | None = None
) -> list[Audited]:
    """What was published of a network of the suite, beside what is recomputed; None: all of it.

    Raises ValueError, naming the networks that have any, where nothing was published.
    """
    judge = auditor()
    cells = judge.book.selection.cells(judge.rows)
    asked = {"model": model, "method": method, "distribution": distribution}
    wanted = {name: value for name, value in asked.items() if value is not None}
    networks = {judge.names.model(cell.row.model).model for cell in cells}
    if model not in networks:
        raise ValueError(f"no cost of {model!r} was published; there are some of {', '.join(sorted(networks))}")
    return [
        judge.audited(cell)
        for cell in cells
        if wanted.items() <= judge.ids(cell.row).items()
        and (sparsity is None or math.isclose(float(cell.row.sparsity or 0), sparsity))
    ]


def _filled(reason: str, cell: Cell, computed: float | None) -> str:
    """``reason`` with what could be computed: the number, the printed one over it, and 2 f + f_D in place of 3 f."""
    if computed is None:
        return reason
    return reason.format(recomputed=computed, ratio=cell.value / computed, with_dense_gradient=(2 * computed + 1) / 3)


def _likeness(row: Row) -> tuple[str, ...]:
    """What like rows share."""
    return (row.source_key, row.method, row.model, row.dataset, row.sparsity, row.distribution, row.train_multiplier)

"""What is audited: the cells of the record that state FLOPs, a size or a sparsity, each with the digits it was printed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from analysis.errors import AnalysisError
from analysis.reported import Row

COLUMNS = ("train_flops_x", "test_flops_x")
KEYS = {
    "source": "source_key",
    "method": "method",
    "model": "model",
    "sparsity": "sparsity",
    "distribution": "distribution",
    "multiplier": "train_multiplier",
}
"""Of a ``where``, and the field of the row that each is compared with; also `place` and `metric`."""


@dataclass(frozen=True)
class Digits:
    """How a number was printed: what it stands for is within ``half`` of it, what may be a slip within ``unit``."""

    half: float
    unit: float
    decimals: int
    """Digits behind the point, to show it with; of a number with an exponent, those of its mantissa."""
    tolerance: float | None = None
    """Of a reading: relative, ``half`` and ``unit`` being the same."""


@dataclass(frozen=True)
class Cell:
    """One published cost."""

    row: Row
    metric: str
    """A metric of the record, or the column that the number stands in."""
    printed: str
    digits: Digits

    @property
    def value(self) -> float:
        """What is printed, in the printed unit."""
        return float(self.printed)

    def agrees(self, computed: float) -> bool:
        """Whether ``computed`` rounds to what is printed; of a reading, whether it is within its tolerance."""
        return abs(computed - self.value) <= self.digits.half * (1 + 1e-9)

    def nearly(self, computed: float) -> bool:
        """Whether ``computed`` is within one unit of the last printed digit."""
        return abs(computed - self.value) <= self.digits.unit * (1 + 1e-9)


@dataclass(frozen=True)
class Where:
    """Which cells something holds for: by key, the values that fit."""

    values: Mapping[str, tuple[Any, ...]]

    @classmethod
    def of(cls, keys: Mapping[str, Any]) -> Where:
        """From a value or a list of values by key. Raises AnalysisError for an unknown key."""
        known = (*KEYS, "place", "metric")
        for key in keys:
            if key not in known:
                raise AnalysisError(f"a rule's `where` has the key {key!r}; it takes {', '.join(known)}")
        return cls({key: tuple(value) if isinstance(value, list) else (value,) for key, value in keys.items()})

    def fits(self, row: Row, metric: str) -> bool:
        """Whether the cell ``metric`` of ``row`` is meant."""
        return all(self._fits(key, allowed, row, metric) for key, allowed in self.values.items())

    @staticmethod
    def _fits(key: str, allowed: tuple[Any, ...], row: Row, metric: str) -> bool:
        if key == "place":
            return any(text in row.where_in_source for text in allowed)
        found = metric if key == "metric" else getattr(row, KEYS[key])
        return any(_number(found) == value if isinstance(value, int | float) else found == value for value in allowed)


@dataclass(frozen=True)
class Printed:
    """A rule of digits: decimals, or a relative tolerance; without both the digits stand in the file."""

    where: Where
    decimals: int | None = None
    tolerance: float | None = None

    def digits(self, printed: str) -> Digits:
        """Of the number ``printed``."""
        mantissa = printed.partition("e")[0]
        decimals = len(mantissa.partition(".")[2]) if self.decimals is None else self.decimals
        if self.tolerance is not None:
            around = self.tolerance * float(printed)
            return Digits(around, around, decimals, self.tolerance)
        unit = 10.0 ** (Decimal(printed).as_tuple().exponent if self.decimals is None else -decimals)
        return Digits(unit / 2, unit, decimals)


AS_IT_STANDS = Printed(Where({}))


@dataclass(frozen=True)
class Selection:
    """Which cells there are, and how each is read."""

    metrics: frozenset[str]
    """Metrics that are costs; those of the two columns are among them."""
    left_out: frozenset[str]
    """Metrics that are not."""
    sparsity: Sequence[Where]
    """Rows whose column `sparsity` is an outcome."""
    printed: Sequence[Printed]

    def cells(self, rows: Iterable[Row]) -> list[Cell]:
        """Every cell of ``rows``, in their order. Raises AnalysisError for a metric that nobody has judged."""
        return [self.cell(row, metric, text) for row in rows for metric, text in self._stated(row)]

    def cell(self, row: Row, metric: str, text: str) -> Cell:
        """The cell of ``row`` in which ``text`` is printed."""
        rule = next((rule for rule in self.printed if rule.where.fits(row, metric)), AS_IT_STANDS)
        return Cell(row, metric, text, rule.digits(text))

    def _stated(self, row: Row) -> Iterable[tuple[str, str]]:
        if row.metric not in self.metrics | self.left_out:
            raise AnalysisError(
                f"{row.file}, line {row.line}: the metric {row.metric!r} is unknown\n"
                "say in analysis/audit/rules.yaml what it is, or that it is left out"
            )
        if row.metric in self.metrics:
            yield row.metric, row.value
        yield from ((column, getattr(row, column)) for column in COLUMNS if getattr(row, column))
        if any(where.fits(row, "sparsity") for where in self.sparsity):
            yield "sparsity", row.sparsity


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

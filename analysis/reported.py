"""The published record, row by row as ``analysis/published/published.csv`` has it, and its names in the suite's words."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from analysis.errors import AnalysisError

PUBLISHED = Path(__file__).parent / "published"
RECORD, NAMES = PUBLISHED / "published.csv", PUBLISHED / "names.yaml"
DECIMALS = 10
"""That numbers are rounded to after a change of unit: 76.8 % is 0.768."""


@dataclass(frozen=True)
class Row:
    """One row: a number, where it stands, and what it is of; every column is the file's own text."""

    source_key: str
    """Key of the bibliography, or of the authors' repository."""
    source_url: str
    where_in_source: str
    method: str
    model: str
    dataset: str
    sparsity: str
    distribution: str
    train_multiplier: str
    metric: str
    value: str
    std: str
    train_flops_x: str
    test_flops_x: str
    file: str
    """Name of the file that it stands in."""
    line: int
    """Of that file, its heading being line 1."""


@dataclass(frozen=True)
class Architecture:
    """A published network as the suite builds it."""

    model: str
    input: tuple[int, ...]
    """Shape of one sample."""
    classes: int
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the model's factory."""


@dataclass(frozen=True)
class Metric:
    """What a published metric is of, and how its printed numbers become the suite's."""

    metric: str
    unit: float
    """Of the printed number, over that of the suite."""
    error: bool = False
    """Whether the number is one less the metric."""
    variant: str = ""
    """How it is measured, if not at the last step."""
    digitised: bool = False
    """Whether it was read off a picture."""

    def value(self, printed: str) -> float:
        """``printed`` in the suite's unit."""
        value = float(printed) * self.unit
        return round(1 - value if self.error else value, DECIMALS)

    def spread(self, printed: str) -> float:
        """A printed standard deviation in the suite's unit; not a number where there is none."""
        return round(float(printed) * self.unit, DECIMALS) if printed else math.nan


@dataclass(frozen=True)
class Source:
    """What holds for every number of a source."""

    citation: str
    """Key of the bibliography."""
    runs: int | None = None
    """That a mean with a standard deviation is over; None where that is not stated."""
    updates: Mapping[str, Any] = field(default_factory=dict)
    """What it states of topology updates: update_every, drop_fraction, decay."""


@dataclass(frozen=True)
class Names:
    """The suite's words for published names. Each look-up raises AnalysisError, with the valid names, for an unknown one."""

    tables: Mapping[str, Mapping[str, Any]]

    def method(self, name: str) -> str | None:
        """Id of the method; None for one that the suite does not have."""
        return self._look_up("methods", name)

    def model(self, name: str) -> Architecture:
        """The network."""
        known = self._look_up("models", name)
        return Architecture(**{**known, "input": tuple(known["input"])})

    def dataset(self, name: str) -> str | None:
        """Id of the data set; None for one that the suite does not have."""
        return self._look_up("datasets", name)

    def distribution(self, name: str) -> str | None:
        """Id of the distribution; None where none is stated, it has no meaning, or the suite does not have it."""
        return self._look_up("distributions", name)

    def metric(self, name: str) -> Metric | None:
        """What the metric is; None for one that the suite does not compare."""
        known = self._look_up("metrics", name)
        return known and Metric(**known)

    def source(self, key: str) -> Source:
        """What is known of the source ``key``."""
        return Source(**self._look_up("sources", key))

    def updates(self, method: str, source: str) -> Mapping[str, Any]:
        """What is stated of topology updates of the method ``method``, by its name or else by the source."""
        return {**self.source(source).updates, **self.tables["updates"].get(method, {})}

    def _look_up(self, table: str, name: str) -> Any:
        if name not in self.tables[table]:
            known = ", ".join(repr(known) for known in self.tables[table])
            raise AnalysisError(f"{NAMES.name} has no {table[:-1]} {name!r}\nit has {known}")
        return self.tables[table][name]


def rows(path: Path = RECORD) -> list[Row]:
    """Every row of ``path``. Raises AnalysisError when its columns are not those of the record."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        columns = [column.name for column in fields(Row) if column.name not in ("file", "line")]
        if reader.fieldnames != columns:
            raise AnalysisError(f"{path} has the columns {reader.fieldnames}\nit must have {', '.join(columns)}")
        return [Row(**row, file=path.name, line=line) for line, row in enumerate(reader, start=2)]


def names(path: Path = NAMES) -> Names:
    """The names of ``path``."""
    return Names(yaml.safe_load(path.read_text(encoding="utf-8")))

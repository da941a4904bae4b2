"""What is wrong, or of something else than it says, in the published record: ``analysis/published/errata.yaml``.

Numbers stay as they were printed; what is suspect is said beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from analysis.audit.cells import Where
from analysis.errors import AnalysisError
from analysis.reported import PUBLISHED, Row

ERRATA = PUBLISHED / "errata.yaml"
FIELDS = ("mean", "std", "sparsity", "train_x", "inference_x", "size_bytes")
"""What can be suspect, in the words of ``analysis.points``."""
KEYS = {"where", "fields", "reason", "facts"}


@dataclass(frozen=True)
class Erratum:
    """One finding: the rows that it is about, which of their numbers, and why."""

    where: Where
    fields: tuple[str, ...]
    reason: str
    facts: str
    """Where the finding is written up."""


def load(path: Path = ERRATA) -> list[Erratum]:
    """The errata of ``path``. Raises AnalysisError, naming the entry, for an unknown key or field."""
    return [_erratum(path, number, entry) for number, entry in enumerate(_entries(path), start=1)]


def of(rows: Iterable[Row], errata: Sequence[Erratum]) -> dict[int, list[Erratum]]:
    """The errata of each of ``rows`` that has any, by line. Raises AnalysisError for an erratum of no row."""
    found: dict[int, list[Erratum]] = {}
    rows = list(rows)
    for erratum in errata:
        lines = [row.line for row in rows if erratum.where.fits(row, row.metric)]
        if not lines:
            raise AnalysisError(
                f"an erratum fits no row: {dict(erratum.where.values)}, {erratum.reason}\n"
                "its `where` must name a row of a quality metric as published.csv has it"
            )
        for line in lines:
            found.setdefault(line, []).append(erratum)
    return found


def _entries(path: Path) -> list[dict]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _erratum(path: Path, number: int, entry: dict) -> Erratum:
    if set(entry) != KEYS:
        raise AnalysisError(
            f"{path.name}, entry {number}, has the keys {', '.join(sorted(entry))}\nit must have {', '.join(sorted(KEYS))}"
        )
    unknown = sorted(set(entry["fields"]) - set(FIELDS))
    if unknown:
        raise AnalysisError(
            f"{path.name}, entry {number}, has the field {unknown[0]!r}\nfields are {', '.join(FIELDS)}"
        )
    reason = " ".join(entry["reason"].split())
    return Erratum(Where.of(entry["where"]), tuple(entry["fields"]), reason, str(entry["facts"]))

"""What is wrong with a submission: where, and what would be right."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from analysis.errors import AnalysisError

LONGEST = 400
"""Characters of a defect's words: a value that is quoted in them may be as long as its file."""
Flaw = tuple[str, str]
"""A field by its dotted path, and what is wrong with it; whoever knows the file makes a defect of it."""


@dataclass(frozen=True, order=True)
class Defect:
    """One thing that is wrong. Its text is one line of printable ASCII, whatever the submission holds."""

    file: str
    line: int | None
    """From 1; None: the file as a whole."""
    field: str
    """Dotted path; empty: no field in particular."""
    problem: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(printable(part) for part in (place, self.field, self.problem) if part)


class DefectiveError(AnalysisError):
    """A submission that is refused; ``defects`` are all that was found."""

    def __init__(self, name: str, defects: Iterable[Defect]) -> None:
        self.defects = tuple(defects)
        listed = "\n".join(map(str, self.defects))
        count = f"{len(self.defects)} defect{'s' * (len(self.defects) > 1)}"
        super().__init__(f"submission {printable(name)} is refused: {count}\n{listed}")


def at(file: str, line: int | None, flaws: Iterable[Flaw]) -> list[Defect]:
    """The flaws found at one place."""
    return [Defect(file, line, field, problem) for field, problem in flaws]


def quoted(value: Any) -> str:
    """A value as a message quotes it: JSON in ASCII, cut where it is long."""
    try:
        text = json.dumps(value, default=str)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list within lists
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:76]} ..."


def printable(text: str) -> str:
    """``text`` in printable ASCII, cut where it is long: a terminal and a log obey what they are sent."""
    plain = text.encode("unicode_escape").decode("ascii")
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 4]} ..."

"""The table of what is to be reached, ``targets.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("targets.yaml")


@dataclass(frozen=True)
class Target:
    """One row: what the median of a measurement must be."""

    words: str
    bound: str
    """A comparison and a number, "<= 0.97"."""
    source: str
    why_not: str = "its benchmark did not run"
    """Said where nothing was measured."""
    profile: str | None = None
    """Where the time goes, as profiling told on the machine of the accepted results; said where the target is missed."""

    @property
    def better(self) -> str:
        """In which direction it is reached: "lower" or "higher"."""
        return {"<=": "lower", ">=": "higher"}[self.bound.split()[0]]

    @property
    def limit(self) -> float:
        """The bound's number."""
        return float(self.bound.split()[1])

    def is_met(self, median: float) -> bool:
        """Whether a measurement reaches it."""
        return median <= self.limit if self.better == "lower" else median >= self.limit

    def share(self, value: float) -> float:
        """Of the bound, so that up to 1 is met whatever its direction."""
        return value / self.limit if self.better == "lower" else self.limit / value


def load(file: Path = FILE) -> dict[str, Target]:
    """Targets by id, in the file's order."""
    return {id_: Target(**row) for id_, row in yaml.safe_load(file.read_text(encoding="utf-8")).items()}

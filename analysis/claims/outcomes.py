"""What one test comes to in one setting."""

from __future__ import annotations

from dataclasses import dataclass
from math import isinf
from typing import Any, Protocol

from analysis.claims.cells import Setting
from analysis.claims.metrics import Unit
from analysis.claims.vocabulary import Claim
from analysis.stats import Interval
from analysis.verdicts import LEAST_SEEDS, Region, Verdict, verdict


class Judged(Protocol):
    """What pages show of a claim in one setting, whatever it is tested on."""

    @property
    def claim(self) -> Any:
        """With a ``sentence`` and a ``source``."""

    @property
    def setting(self) -> str:
        """Where it was tested."""

    @property
    def measured(self) -> str:
        """The numbers, in words."""

    @property
    def verdict(self) -> Verdict:
        """What follows from them."""


@dataclass(frozen=True)
class Asked:
    """What pages show of a test: a sentence, and where the claim stands that it belongs to."""

    sentence: str
    source: str


@dataclass(frozen=True)
class Outcome:
    """A number with its interval, the region that the claim puts it in, and what follows."""

    of: Claim
    test: str
    """In words."""
    where: Setting
    found: Interval
    """Of a number without seeds, bounds equal to it and n 0."""
    claimed: Region
    unit: Unit
    least: int = LEAST_SEEDS
    """Seeds below which nothing follows; 0 for a number without seeds."""
    note: str = ""
    """What is behind the number: runs that were lost, the best of a sweep."""

    @property
    def is_exact(self) -> bool:
        """Whether it comes from the code and not from runs."""
        return not self.least

    @property
    def claim(self) -> Asked:
        """For pages."""
        return Asked(self.test, f"{self.of.source}, {self.of.place}")

    @property
    def setting(self) -> str:
        """Where, in words."""
        return self.where.words

    @property
    def measured(self) -> str:
        """The number, with its interval and n."""
        few = f", fewer than {self.least} seeds" if self.found.n < self.least else ""
        note = f"; {self.note}" if self.note else ""
        return f"{self.unit.words(self.found, self.is_exact)}{few}{note}"

    @property
    def verdict(self) -> Verdict:
        """What follows from it."""
        return verdict(self.found, self.claimed, self.least)

    @property
    def region(self) -> str:
        """Where the claim puts the number: "above 0 points", "−0.2 to 0.2 points", "less than 0.8×"."""
        low, high = (self.unit.shown(bound) for bound in (self.claimed.low, self.claimed.high))
        gap = "" if self.unit.is_ratio else " "
        if isinf(self.claimed.high):
            words = f"above {low:.3g}"
        elif isinf(self.claimed.low):
            words = f"below {high:.3g}"
        else:
            words = f"{low:.3g} to {high:.3g}"
        return f"{words}{gap}{self.unit.name}".replace("-", "−")

    @property
    def clarity(self) -> float:
        """How far the number is from the bounds of what is claimed, in half widths of its interval; 0 without an interval."""
        distance = min(abs(self.found.mean - bound) for bound in (self.claimed.low, self.claimed.high))
        return distance / self.found.half if self.found.half > 0 else 0.0

"""What an interval says of a statement: whether it lies where the statement puts the number.

A statement names a region: above 0 where one side is said to beat the other, within a margin of 0 where they are said to be
equal. An interval inside of it supports the statement, one outside contradicts it, one across its bounds decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

from analysis.stats import Interval

Verdict = Literal["supported", "contradicted", "undecided", "not tested here"]
LEAST_SEEDS = 3
"""Seeds below which nothing is decided: the interval of two spans 12.7 standard errors to each side."""


@dataclass(frozen=True)
class Region:
    """Where a statement puts a number: between the bounds, which are no part of it."""

    low: float = -inf
    high: float = inf


ABOVE_ZERO = Region(low=0.0)


def verdict(found: Interval, claimed: Region = ABOVE_ZERO, least: int = LEAST_SEEDS) -> Verdict:
    """What ``found`` says of a number that is said to be in ``claimed``; from fewer than ``least`` seeds, nothing."""
    if found.n < least:
        return "undecided"
    if found.low > claimed.low and found.high < claimed.high:
        return "supported"
    return "contradicted" if found.high < claimed.low or found.low > claimed.high else "undecided"


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """Of the parts of one statement: all must support it, and one is enough to contradict it."""
    distinct = set(verdicts)
    if not distinct:
        return "not tested here"
    return "contradicted" if "contradicted" in distinct else distinct.pop() if len(distinct) == 1 else "undecided"


def prevailing(counts: Mapping[Verdict, int]) -> Verdict:
    """Over several settings: what all those say that decide, if they are at least half; undecided otherwise."""
    if not sum(counts.values()):
        return "not tested here"
    decided = {found: counts.get(found, 0) for found in ("supported", "contradicted") if counts.get(found, 0)}
    if len(decided) == 1 and 2 * sum(decided.values()) >= sum(counts.values()):
        return next(iter(decided))
    return "undecided"

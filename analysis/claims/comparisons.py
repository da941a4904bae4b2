"""Tests that compare cells: differences paired by seed, differences of differences, and slopes over sparsity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise, product

import numpy as np
import pandas as pd

from analysis import stats, text
from analysis.claims import words
from analysis.claims.cells import Match, Pool, Setting
from analysis.claims.metrics import METRICS
from analysis.claims.outcomes import Outcome
from analysis.claims.vocabulary import Beats, BeatsAtEqualCost, Claim, Equals, GainsMore, GapWidens, Reaches, Side, Test
from analysis.stats import Interval
from analysis.verdicts import Region


@dataclass(frozen=True)
class Question:
    """A test of a claim, held against a pool of records."""

    claim: Claim
    pool: Pool
    test: Test

    def name(self, side: Side) -> str:
        """A side in words."""
        return words.side(side, self.pool.methods)

    def outcome(self, asked: str, match: Match, found: Interval, claimed: Region, note: str = "") -> Outcome:
        """What it comes to where ``match`` is."""
        notes = "; ".join(filter(None, (note, f"left out: {match.lost}" if match.lost else "")))
        unit = METRICS[self.test.metric].unit
        return Outcome(self.claim, asked, match.setting, found, claimed, unit, self.test.least, notes)

    def series(self, match: Match) -> list[pd.Series]:
        """The metric by seed, of each side; of a side without a run that is done, nothing."""
        return [self.pool.values(cell, METRICS[self.test.metric]) for cell in match.cells]

    def applies(self, match: Match) -> bool:
        """Whether the runs that are done have the metric; where none is done, that is shown."""
        return all(len(values) or not cell.done for values, cell in zip(self.series(match), match.cells, strict=True))

    def between(self, sides: Sequence[Side], asked: str, claimed: Region) -> Iterator[Outcome]:
        """First minus second, paired by seed, in every setting."""
        for match in self.pool.matches(sides, self.test.where):
            if self.applies(match):
                yield self.outcome(asked, match, stats.paired(*self.series(match)), claimed)


def beats(question: Question) -> Iterator[Outcome]:
    """Each side against the next."""
    test: Beats = question.test
    metric = METRICS[test.metric]
    for pair in pairwise(test.sides):
        by = words.margin("by more than", test.by, metric)
        asked = words.test(question.name(pair[0]), "beats", question.name(pair[1]), test.metric, by)
        yield from question.between(pair, asked, metric.better(test.by))


def reaches(question: Question) -> Iterator[Outcome]:
    """The first against the second less a margin."""
    test: Reaches = question.test
    metric = METRICS[test.metric]
    yield from question.between(test.sides, _within(question, "reaches"), metric.no_worse(test.within))


def equals(question: Question) -> Iterator[Outcome]:
    """The first against the second, both ways."""
    test: Equals = question.test
    metric = METRICS[test.metric]
    yield from question.between(test.sides, _within(question, "equals"), metric.alike(test.within))


def _within(question: Question, relation: str) -> str:
    test = question.test
    first, second = map(question.name, test.sides)
    return words.test(first, relation, second, test.metric, words.margin("within", test.within, METRICS[test.metric]))


def gains_more(question: Question) -> Iterator[Outcome]:
    """(after - before) of the first change less that of the second, seed by seed."""
    test: GainsMore = question.test
    changes = [f"{question.name(one.after)} over {question.name(one.before)}" for one in (test.first, test.second)]
    asked = words.test(changes[0], "gains more than", changes[1], test.metric)
    sides = [test.first.after, test.first.before, test.second.after, test.second.before]
    for match in question.pool.matches(sides, test.where):
        if question.applies(match):
            found = stats.interval(difference_of_differences(*question.series(match)))
            yield question.outcome(asked, match, found, METRICS[test.metric].better())


def difference_of_differences(
    after: pd.Series, before: pd.Series, other_after: pd.Series, other_before: pd.Series
) -> pd.Series:
    """By seed, over the seeds that all have."""
    return ((after - before) - (other_after - other_before)).dropna()


def gap_widens(question: Question) -> Iterator[Outcome]:
    """The slope over sparsity of first minus second, one for each seed that has every sparsity."""
    test: GapWidens = question.test
    first, second = map(question.name, test.sides)
    asked = words.test(f"the lead of {first} over {second}", "grows with", "sparsity", test.metric)
    groups: dict[Setting, dict[float, Match]] = {}
    for match in question.pool.matches(test.sides, test.where):
        if match.setting.sparsity is not None and question.applies(match):
            groups.setdefault(replace(match.setting, sparsity=None), {})[match.setting.sparsity] = match
    for setting, by_sparsity in groups.items():
        if len(by_sparsity) < test.by_sparsities:
            continue
        gaps = {sparsity: _gap(*question.series(match)) for sparsity, match in by_sparsity.items()}
        found = stats.interval(slopes(gaps) / 10)
        at = ", ".join(map(text.sparsity, gaps))
        whole = Match(setting, tuple(cell for match in by_sparsity.values() for cell in match.cells))
        outcome = question.outcome(asked, whole, found, METRICS[test.metric].better(), f"at {at}")
        yield replace(outcome, unit=METRICS[test.metric].per_tenth_of_sparsity())


def _gap(first: pd.Series, second: pd.Series) -> pd.Series:
    return (first - second).dropna()


def slopes(gaps: Mapping[float, pd.Series]) -> np.ndarray:
    """Least-squares slope over the keys of ``gaps``, by seed, of the seeds that all have."""
    seeds = reduce(pd.Index.intersection, (gap.index for gap in gaps.values()))
    x = np.array(list(gaps))
    x = x - x.mean()
    y = np.array([gap[seeds].to_numpy() for gap in gaps.values()])
    return x @ y / (x @ x)


def beats_at_equal_cost(question: Question) -> Iterator[Outcome]:
    """The first against the second at every other sparsity at which inference costs the same."""
    test: BeatsAtEqualCost = question.test
    first, second = map(question.name, test.sides)
    asked = words.test(first, "beats", f"{second} at equal FLOPs of inference", test.metric)
    places = [question.pool.of(side).items() for side in test.sides]
    for (here, ours), (there, theirs) in product(*places):
        setting = replace(here, sparsity=None).joined(replace(there, sparsity=None))
        if setting is None or here.sparsity in (None, there.sparsity) or not here.within(test.where):
            continue
        for cells in product(ours, theirs):
            detail = f"{text.sparsity(here.sparsity)} against {text.sparsity(there.sparsity)}"
            match = Match(replace(setting, detail=detail), cells)
            if question.applies(match) and _cost_the_same(match, test.tolerance):
                found = stats.paired(*question.series(match))
                yield question.outcome(asked, match, found, METRICS[test.metric].better())


def _cost_the_same(match: Match, tolerance: float) -> bool:
    costs = [item.record.flops["rigl"].inference_flops for cell in match.cells for item in cell.done[:1]]
    return len(costs) == len(match.cells) and abs(costs[0] / costs[1] - 1) <= tolerance


KINDS: Mapping[type[Test], Callable[[Question], Iterator[Outcome]]] = {
    Beats: beats,
    Reaches: reaches,
    Equals: equals,
    GainsMore: gains_more,
    GapWidens: gap_widens,
    BeatsAtEqualCost: beats_at_equal_cost,
}

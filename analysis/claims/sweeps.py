"""Whether what a paper chose is the best of a sweep.

The number is the chosen cell less the best of the others. Which one that is is not known beforehand, so the interval holds
for whichever it is: its lower end is the lowest of the paired differences' lower ends, its upper end the lowest of their
upper ends at a confidence raised for their number (Bonferroni). With k others the true difference from the best of them lies
above the upper end with a chance of at most k times 2.5 % / k, and below the lower end with at most 2.5 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import pandas as pd

from analysis import stats
from analysis.claims import words
from analysis.claims.cells import PAPER, Cell, Match, Setting, is_on
from analysis.claims.comparisons import Question
from analysis.claims.metrics import METRICS
from analysis.claims.outcomes import Outcome
from analysis.claims.vocabulary import CADENCE, OPTION, BestOfSweep, vars_of
from analysis.stats import Interval

Point = tuple[tuple[str, Any], ...]
"""Fields of a sweep and their values."""


def best_of_sweep(question: Question) -> Iterator[Outcome]:
    """The mean of the chosen values, seed by seed, less the best of the others."""
    test: BestOfSweep = question.test
    chosen = [_point(test, value) for value in test.chosen]
    asked = words.test(
        f"{question.name(test.side)} with {words.either(test.chosen)}",
        "reaches" if test.within else "beats",
        "the best of a sweep",
        test.metric,
        words.margin("within", test.within, METRICS[test.metric]),
    )
    for setting, cells in _sweeps(question):
        others = [point for point in cells if point not in chosen]
        if any(point not in cells for point in chosen) or len(others) < test.others:
            continue
        yield _outcome(question, asked, setting, cells, chosen, others)


def _outcome(
    question: Question,
    asked: str,
    setting: Setting,
    cells: Mapping[Point, Cell],
    chosen: Sequence[Point],
    others: Sequence[Point],
) -> Outcome:
    test, metric = question.test, METRICS[question.test.metric]
    sign = 1.0 if metric.higher_is_better else -1.0
    values = {point: sign * question.pool.values(cell, metric) for point, cell in cells.items()}
    ours = reduce(pd.Series.add, (values[point] for point in chosen)).dropna() / len(chosen)
    found = behind_best(ours, [values[point] for point in others])
    best = max(others, key=lambda point: values[point].mean())
    note = f"the best of {len(others)} others is {words.value(dict(best))}"
    match = Match(setting, tuple(cells.values()))
    mirrored = found if sign > 0 else Interval(-found.mean, found.n, -found.high, -found.low)
    return question.outcome(asked, match, mirrored, metric.no_worse(test.within), note)


def behind_best(chosen: pd.Series, others: Sequence[pd.Series]) -> Interval:
    """``chosen`` less the best of ``others``, all by seed and higher the better; see the head of this module.

    The mean is that of the least difference, n the smallest number of pairs.
    """
    pairs = [stats.paired(chosen, other) for other in others]
    alone = (1 + stats.CONFIDENCE) / 2
    together = 1 - (1 - alone) / len(pairs)
    highs = [
        pair.mean + pair.half * stats.t_quantile(together, pair.n) / stats.t_quantile(alone, pair.n) for pair in pairs
    ]
    return Interval(
        min(pair.mean for pair in pairs), min(pair.n for pair in pairs), min(pair.low for pair in pairs), min(highs)
    )


def _sweeps(question: Question) -> Iterator[tuple[Setting, dict[Point, Cell]]]:
    """Cells by swept values, in every setting; cadence that is neither swept nor fixed tells settings apart."""
    test: BestOfSweep = question.test
    options = vars_of(question.pool.methods[test.side.method])
    groups: dict[Setting, dict[Point, Cell]] = {}
    for cell in question.pool.cells:
        swept = {name.removeprefix(OPTION) for name in test.over if name.startswith(OPTION)}
        plain = {name: value for name, value in cell.run.method_options.items() if name not in swept}
        run = replace(cell.run, method_options=plain)
        if not is_on(run, test.side):
            continue
        topology = cell.run.protocol.topology
        tried = {OPTION + name: cell.run.method_options.get(name, options.get(name)) for name in swept}
        tried |= {name: getattr(topology, name) for name in CADENCE if name in test.over}
        rest = {name: getattr(topology, name) for name in CADENCE if name not in {*test.over, *test.side.cadence}}
        unusual = {name: value for name, value in rest.items() if value != getattr(PAPER, name)}
        setting = question.pool.setting(cell, test.side)
        alike = f"{setting.protocol} {topology.begin} {topology.end}"
        setting = replace(setting, detail=words.value(unusual), protocol=alike)
        if setting.within(test.where) and len(question.pool.values(cell, METRICS[test.metric])):
            groups.setdefault(setting, {})[_point(test, tried)] = cell
    yield from sorted(groups.items(), key=lambda group: group[0].order)


def _point(test: BestOfSweep, value: Mapping[str, Any]) -> Point:
    return tuple((name, value[name]) for name in test.over)

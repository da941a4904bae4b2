"""Tests of our runs against numbers that were published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import log

from analysis import stats
from analysis.claims import words
from analysis.claims.comparisons import Question
from analysis.claims.metrics import METRICS
from analysis.claims.outcomes import Outcome
from analysis.claims.vocabulary import Published
from analysis.errors import AnalysisError
from analysis.reported import Row

READ: Mapping[tuple[str, str], Callable[[float], float]] = {
    ("accuracy", "test_acc"): lambda value: value / 100,
    ("accuracy", "top1_acc"): lambda value: value / 100,
    ("accuracy", "test_error"): lambda value: 1 - value / 100,
    ("accuracy", "test_error_best"): lambda value: 1 - value / 100,
    ("accuracy", "test_error_final"): lambda value: 1 - value / 100,
    ("network_bytes", "size_bytes"): log,
    ("inference_flops", "inference_KFLOPs"): lambda value: log(1000 * value),
}
"""What a printed number is in the metric's unit, by metric and column ``metric`` of the record."""


def published(question: Question) -> Iterator[Outcome]:
    """The side less the printed number, over seeds, in every setting that the number is of."""
    test: Published = question.test
    metric = METRICS[test.metric]
    claimed = {"beats": metric.better, "reaches": metric.no_worse, "equals": metric.alike}[test.relation](test.within)
    for row in test.rows():
        number = _number(row, test.metric)
        margin = words.margin("within", test.within, metric)
        asked = words.test(question.name(test.side), test.relation, f"{row.method} as published", test.metric, margin)
        for match in question.pool.matches([test.side], test.where):
            if test.each_sparsity and match.setting.sparsity != float(row.sparsity):
                continue
            if question.applies(match):
                (values,) = question.series(match)
                yield question.outcome(
                    asked, match, stats.interval(values - number), claimed, f"printed: {row.value} ({row.metric})"
                )


def _number(row: Row, metric: str) -> float:
    if (metric, row.metric) not in READ:
        known = ", ".join(printed for of, printed in READ if of == metric)
        raise AnalysisError(
            f"{row.file} line {row.line}: {row.metric!r} is not {metric}\nwhat is: {known or 'nothing there'}"
        )
    return READ[metric, row.metric](float(row.value))

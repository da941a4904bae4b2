"""What section 4.5 of the RigL paper (arXiv:1911.11134) says of the landscape, as tests over measurements. No torch here.

The paper says "high", "nearly monotonic" and "stuck" by eye. What is meant here, in every study alike; the scales are ours:

- A barrier is *high* when it exceeds the difference of the training losses at its ends: crossing costs more than it gains.
- A barrier *is left* in the sparse space when it is higher than the one that a curve of the same degree, trained alike, meets
  in the dense space: what both meet is what the training of curves leaves undone.
- A way is *nearly monotonic* when it climbs less than a tenth of its descent (``barriers.Barrier``).
- A run *stays* when its training loss falls by less than a tenth of what RigL's falls from the same start.

Every test asks whether a difference, paired by seeds, is above 0 by its 95 % t interval. All is of the training set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import stats, text
from analysis.landscape import results
from analysis.landscape.barriers import NEARLY_MONOTONIC
from analysis.landscape.results import Measured, whole
from analysis.verdicts import Verdict, together, verdict

STATIC, RIGL = "static", "rigl"
ENDS = ("pruning", STATIC)
DEGREES = ("quadratic", "cubic")
NEARLY_STAYS = 0.1
"""The share of RigL's fall of the training loss below which a run stays."""
LEFT, RIGHT = "evci2020rigl, section 4.5, Figure 6 left", "evci2020rigl, section 4.5, Figure 6 right"
MEASURED = "Measured, nats of training loss"
"""Heading of what measurements say of a statement."""
SEEDS = ["seed_first", "seed_second"]


@dataclass(frozen=True)
class Test:
    """One part of what is stated: true where ``margin`` is above 0."""

    name: str
    margin: stats.Interval
    words: str
    """The numbers, for people."""

    @property
    def verdict(self) -> Verdict:
        """By the margin's interval; fewer than three pairs of seeds decide nothing."""
        return verdict(self.margin)


@dataclass(frozen=True)
class Statement:
    """A sentence that is tested, in our words."""

    name: str
    """By which ``analysis/claims.yaml`` calls it."""
    sentence: str
    source: str
    """Citation key and place."""
    tests: Callable[[Measured, str], Sequence[Test]]
    """What is asked of a cell; nothing where it was not measured."""


@dataclass(frozen=True)
class Finding:
    """What measurements of one cell say of a statement."""

    claim: Statement
    setting: str
    tests: Sequence[Test]

    @property
    def verdict(self) -> Verdict:
        """All tests must agree to support it; one is enough to contradict it."""
        return together(test.verdict for test in self.tests)

    @property
    def measured(self) -> str:
        """The numbers of every test; a dash without any."""
        return "; ".join(f"{test.name}: {test.words}" for test in self.tests) or text.NONE


def findings(measured: Measured) -> list[Finding]:
    """Every statement in every cell."""
    return [
        Finding(statement, cell or text.NONE, statement.tests(measured, cell))
        for statement in STATEMENTS
        for cell in measured.cells or [""]
    ]


def table(found: Sequence[Finding]) -> pd.DataFrame:
    """One row a test, and one for what was not tested. ``margin``, in nats, is what the test wants above 0."""
    columns = ["claim", "source", "setting", "test", "margin", "half_width", "n", "test_verdict", "verdict"]
    rows = []
    for finding in found:
        about = (finding.claim.sentence, finding.claim.source, finding.setting)
        for test in finding.tests:
            numbers = (test.margin.mean, test.margin.half, test.margin.n)
            rows.append((*about, test.name, *numbers, test.verdict, finding.verdict))
        if not finding.tests:
            rows.append((*about, "", None, None, 0, "", finding.verdict))
    return pd.DataFrame(rows, columns=columns).astype({"margin": "float64", "half_width": "float64", "n": "int64"})


# -- Figure 6 left --------------------------------------------------------------------------------------------------------


def _line_is_high(measured: Measured, cell: str) -> list[Test]:
    return [_high("height", ways) for ways in [_ways(measured, cell, "linear", "line")] if ways is not None]


def _barrier_is_left(measured: Measured, cell: str) -> list[Test]:
    line, tests = _ways(measured, cell, "linear", "line"), []
    for curve in DEGREES:
        sparse, dense = (_ways(measured, cell, curve, space) for space in ("union", "dense"))
        if sparse is None or dense is None:
            continue
        margin = stats.paired(sparse["height"], dense["height"])
        words = f"{_mean(sparse['height'])}, {text.interval(margin, '+')} against the dense space (n={margin.n})"
        if line is not None and line["height"].mean() > 0:
            words += f", {text.percent(sparse['height'].mean() / line['height'].mean())} of the line's"
        tests.append(Test(curve, margin, words))
    return tests


def _barrier_left_is_high(measured: Measured, cell: str) -> list[Test]:
    found = ((curve, _ways(measured, cell, curve, "union")) for curve in DEGREES)
    return [_high(curve, ways) for curve, ways in found if ways is not None]


def _dense_way_is_nearly_monotonic(measured: Measured, cell: str) -> list[Test]:
    ways = _ways(measured, cell, "quadratic", "dense")
    if ways is None:
        return []
    margin = stats.paired(NEARLY_MONOTONIC * ways["descent"], ways["climb"])
    words = f"{_mean(ways['climb'])} up on a way {_mean(ways['descent'])} down (n={margin.n})"
    return [Test("climb", margin, words)]


def _high(name: str, ways: pd.DataFrame) -> Test:
    margin = stats.paired(ways["height"], ways["descent"])
    words = f"{_mean(ways['height'])}, the ends differ by {_mean(ways['descent'])} (n={margin.n})"
    return Test(name, margin, words)


def _ways(measured: Measured, cell: str, curve: str, space: str) -> pd.DataFrame | None:
    """Barriers between pruning and static solutions by pair of seeds, those with gaps left out; None: none was measured."""
    found = measured.barriers
    ends = found["first"].isin(ENDS) & found["second"].isin(ENDS) & (found["first"] != found["second"])
    way = (found["curve"] == curve) & (found["space"] == space)
    rows = results.longest(found[(found["cell"] == cell) & (found["split"] == "train") & ends & way])
    return whole(rows).set_index(SEEDS) if len(rows) else None


# -- Figure 6 right -------------------------------------------------------------------------------------------------------


def _static_stays(measured: Measured, cell: str) -> list[Test]:
    static, rigl = (_escapes(measured, cell, method) for method in (STATIC, RIGL))
    if static is None or rigl is None:
        return []
    falls = [runs["train_loss_before"] - runs["train_loss_after"] for runs in (static, rigl)]
    margin = stats.paired(NEARLY_STAYS * falls[1], falls[0])
    words = f"falls by {_mean(falls[0])} from {_mean(static['train_loss_before'])}, RigL by {_mean(falls[1])} (n={margin.n})"
    return [Test("static", margin, words)]


def _rigl_escapes(measured: Measured, cell: str) -> list[Test]:
    static, rigl = (_escapes(measured, cell, method) for method in (STATIC, RIGL))
    if static is None or rigl is None:
        return []
    ends = [runs["train_loss_after"] for runs in (static, rigl)]
    margin = stats.paired(*ends)
    words = f"ends at {_mean(ends[1])}, static at {_mean(ends[0])}, higher by {text.interval(margin)} (n={margin.n})"
    return [Test("RigL", margin, words)]


def _escapes(measured: Measured, cell: str, method: str) -> pd.DataFrame | None:
    """Runs of ``method`` that went on from static solutions, by seed; None where there is none."""
    found = measured.escapes
    asked = (found["cell"] == cell) & (found["parent"] == STATIC) & (found["method"] == method) & ~found["moves_once"]
    return found[asked].set_index("seed") if asked.any() else None


def _mean(values: pd.Series) -> str:
    return text.interval(stats.interval(values))


STATEMENTS = (
    Statement(
        "line-is-high", "A high barrier stands on the line between a pruning and a static solution", LEFT, _line_is_high
    ),
    Statement(
        "barrier-is-left",
        "Quadratic and cubic Bézier curves in the sparse space still meet a barrier",
        LEFT,
        _barrier_is_left,
    ),
    Statement("barrier-left-is-high", "The barrier that they meet is high", LEFT, _barrier_left_is_high),
    Statement(
        "dense-curve-is-nearly-monotonic",
        "A quadratic Bézier curve in the dense space is nearly monotonic",
        LEFT,
        _dense_way_is_nearly_monotonic,
    ),
    Statement("static-stays", "Trained on as static, a static solution stays", RIGHT, _static_stays),
    Statement("rigl-escapes", "RigL escapes from it to a lower training loss", RIGHT, _rigl_escapes),
)

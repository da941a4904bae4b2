"""Sentences of the papers as tests over records: one side against the other, paired by seed, with an interval.

A claim holds wherever both of its sides were trained alike: same model, data, protocol, sparsity and distribution, and the
training lengths that it names. The verdict follows from the 95 % interval of the difference alone, whichever way it comes
out; more seeds may turn "undecided" into either of the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import pandas as pd

from analysis import stats, text
from analysis.records import Loaded
from pipeline.run import Run, Topology

Verdict = Literal["supported", "contradicted", "undecided", "not tested here"]
OPPOSITE: Mapping[Verdict, Verdict] = {"supported": "contradicted", "contradicted": "supported"}
MEASURED = "Difference, points"
"""Heading of what records say of a claim."""


def verdict(difference: stats.Interval) -> Verdict:
    """Whether a difference is above 0, by its interval; one seed decides nothing."""
    return "supported" if difference.low > 0 else "contradicted" if difference.high < 0 else "undecided"


@dataclass(frozen=True)
class Side:
    """Which runs stand on one side of a claim."""

    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    mask_of: str | None = None
    """Method of the run, alike in all else, whose final mask is taken over, weights starting anew; None: no start."""
    length: float = 1.0
    """Training length over that of a side of length 1."""

    def has(self, run: Run) -> bool:
        """Whether ``run`` is on this side."""
        if (run.method, dict(run.method_options)) != (self.method, dict(self.options)):
            return False
        start = run.start_from
        if start is None or self.mask_of is None:
            return start is None and self.mask_of is None
        plain = start.run.start_from is None and not start.run.method_options
        alike = start.run.method == self.mask_of and _plain(start.run, 1.0) == _plain(run, 1.0)
        return start.take == "mask" and plain and alike


@dataclass(frozen=True)
class Claim:
    """``first`` reaches a higher accuracy than ``second``; with ``no_better``, that it does not."""

    first: Side
    second: Side
    source: str
    """Citation key and place."""
    no_better: bool = False

    @property
    def sentence(self) -> str:
        """What is claimed, in words."""
        return f"{self.first.name} {'is no better than' if self.no_better else 'beats'} {self.second.name}"

    def verdict(self, difference: stats.Interval) -> Verdict:
        """By the interval of first minus second."""
        found = verdict(difference)
        return OPPOSITE.get(found, found) if self.no_better else found


RIGL, SET, STATIC = Side("RigL", "rigl"), Side("SET", "set"), Side("Static", "static")
RIGL_TICKET = Side("RigL from RigL's ticket", "rigl", mask_of="rigl")
STATIC_TICKET = Side("Static from RigL's ticket", "static", mask_of="rigl")
LONGER = Side("RigL at twice the length", "rigl", length=2.0)
MOMENTUM = Side("RigL grown by momentum", "rigl", {"growth": "momentum"})
RANDOM = Side("RigL grown at random", "rigl", {"growth": "random"})
SNIP, GLOBAL_SNIP = Side("SNIP per layer", "snip"), Side("SNIP over the network", "snip", {"ranking": "global"})

CLAIMS = (
    Claim(RIGL, SET, "evci2020rigl, section 4.1"),
    Claim(SET, STATIC, "evci2020rigl, section 4.1"),
    Claim(RIGL, STATIC, "evci2020rigl, section 4.1"),
    Claim(Side("Pruning", "pruning"), RIGL, "evci2020rigl, Figure 2 at equal length"),
    Claim(SNIP, STATIC, "evci2020rigl, section 4.1"),
    Claim(GLOBAL_SNIP, SNIP, "lee2019snip ranks the network, evci2020rigl's code each layer; neither compares"),
    Claim(RIGL_TICKET, STATIC_TICKET, "evci2020rigl, Appendix E"),
    Claim(RIGL_TICKET, RIGL, "evci2020rigl, Appendix E", no_better=True),
    Claim(STATIC_TICKET, STATIC, "evci2020rigl, Appendix E against Figure 2: by 0.2 points"),
    Claim(LONGER, RIGL_TICKET, "evci2020rigl, Appendix E, at equal cost"),
    Claim(MOMENTUM, RIGL, "dettmers2019snfs against evci2020rigl, Table 1", no_better=True),
    Claim(RIGL, RANDOM, "evci2020rigl, section 3, step 4"),
)


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
class Finding:
    """What records say of a claim in one setting."""

    claim: Claim
    setting: str
    difference: stats.Interval

    @property
    def verdict(self) -> Verdict:
        """See :meth:`Claim.verdict`."""
        return self.claim.verdict(self.difference)

    @property
    def measured(self) -> str:
        """The difference in percentage points, with its interval and n."""
        return text.difference({f"difference_{name}": value for name, value in vars(self.difference).items()})


def findings(loaded: Iterable[Loaded], claims: Sequence[Claim] = CLAIMS) -> list[Finding]:
    """Every claim in every setting that has exactly one cell on each side, in the order of ``claims``.

    A side with two cells, such as a sweep of the update interval, is ambiguous and not compared.
    """
    done = [item for item in loaded if item.record.status == "done"]
    found = []
    for claim in claims:
        first, second = (_cells(done, side) for side in (claim.first, claim.second))
        for key in sorted(first.keys() & second.keys()):
            if len(first[key]) == len(second[key]) == 1:
                (ours,), (theirs,) = first[key].values(), second[key].values()
                difference = stats.paired(pd.Series(ours), pd.Series(theirs))
                found.append(Finding(claim, key[0], difference))
    return found


def table(found: Sequence[Finding]) -> pd.DataFrame:
    """One row a finding, numbers in percentage points."""
    columns = ["claim", "source", "setting", "difference", "half_width", "n", "verdict"]
    rows = [
        (
            finding.claim.sentence,
            finding.claim.source,
            finding.setting,
            100 * finding.difference.mean,
            100 * finding.difference.half,
            finding.difference.n,
            finding.verdict,
        )
        for finding in found
    ]
    return pd.DataFrame(rows, columns=columns)


def markdown(found: Sequence[Judged], measured: str = MEASURED) -> str:
    """The findings as a table of Markdown, ``measured`` the heading of the numbers; a sentence where there are none."""
    if not found:
        return "No claim compares runs of this study."
    lines = [f"| Claim | Source | Setting | {measured} | |", "| --- | --- | --- | ---: | --- |"]
    for finding in found:
        words = (finding.claim.sentence, finding.claim.source, finding.setting, finding.measured, finding.verdict)
        lines.append(f"| {' | '.join(map(text.markdown, words))} |")
    return "\n".join(lines)


def _cells(loaded: Sequence[Loaded], side: Side) -> dict[tuple[str, str], dict[str, dict[int, float]]]:
    """Accuracy by seed, by cell, by setting, of the runs on one side."""
    cells: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
    for item in loaded:
        if side.has(item.run):
            result = item.record.result
            cell = cells.setdefault(_setting(item.run, side), {}).setdefault(item.run.cell_digest, {})
            cell[item.run.seed] = result.test_correct / result.test_total
    return cells


def _setting(run: Run, side: Side) -> tuple[str, str]:
    """Words for people, and what must be equal on both sides."""
    plain = _plain(run, side.length)
    words = text.setting(run.model, run.dataset, run.layout, plain.multiplier)
    return f"{words}, {run.distribution}, {text.sparsity(run.sparsity)}", plain.digest


def _plain(run: Run, length: float) -> Run:
    """``run`` without method, start, cadence and seed, at its length over ``length``."""
    return dataclasses.replace(
        run,
        method="",
        method_options={},
        start_from=None,
        snapshots=(),
        multiplier=round(run.multiplier / length, 9),
        protocol=dataclasses.replace(run.protocol, topology=Topology()),
        seed=0,
    )

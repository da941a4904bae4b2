"""Every claim against everything that was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis import records
from analysis.claims import comparisons, ledgers, published, sweeps, vocabulary
from analysis.claims.cells import Pool, Setting
from analysis.claims.comparisons import Question
from analysis.claims.metrics import Unit
from analysis.claims.outcomes import Outcome
from analysis.claims.vocabulary import BestOfSweep, Claim, Comparison, Costs, Landscape, Published
from analysis.landscape import claims as landscape
from analysis.landscape.results import Measured
from analysis.records import Loaded
from analysis.verdicts import ABOVE_ZERO, Verdict, prevailing, together

NATS = Unit("nats to spare")
Seen = tuple[landscape.Finding, Setting]
"""What measurements of a landscape say of a statement, and where."""
KINDS = {**comparisons.KINDS, BestOfSweep: sweeps.best_of_sweep, Published: published.published}
ORDER: Sequence[Verdict] = ("supported", "contradicted", "undecided")


@dataclass(frozen=True)
class Judgement:
    """A claim and what came of its tests."""

    claim: Claim
    outcomes: Sequence[Outcome]
    not_run: int
    """Tests for which there is nothing to hold them against."""

    @property
    def settings(self) -> dict[str, Verdict]:
        """Of each setting in which something was run, what its tests say together."""
        return _together(outcome for outcome in self.outcomes if not outcome.is_exact)

    @property
    def computed(self) -> dict[str, Verdict]:
        """The same of what comes from the code."""
        return _together(outcome for outcome in self.outcomes if outcome.is_exact)

    @property
    def verdict(self) -> Verdict:
        """Over all settings (``verdicts.prevailing``), runs and code together; not supported while a part is not tested."""
        kinds = [Counter(found.values()) for found in (self.settings, self.computed) if found]
        found = together(map(prevailing, kinds))
        is_partial = self.not_run or (self.outcomes and self.claim.untested)
        return "undecided" if found == "supported" and is_partial else found

    @property
    def short(self) -> str:
        """ "supported in 3 of 4 settings, undecided in 1; by the code: supported in 2 of 2; 1 of 3 tests not run here"."""
        if not self.outcomes:
            return "not tested here"
        parts = [_counted(self.settings)] if self.settings else []
        parts += [f"by the code: {_counted(self.computed)}"] if self.computed else []
        parts += [f"{self.not_run} of {len(self.claim.tests)} tests not run here"] if self.not_run else []
        return "; ".join(parts)

    @property
    def evidence(self) -> list[Outcome]:
        """The clearest outcome each way; without one, that with the most seeds."""
        clearest = [self._clearest(found) for found in ("supported", "contradicted")]
        decided = [outcome for outcome in clearest if outcome]
        return decided or sorted(self.outcomes, key=lambda outcome: -outcome.found.n)[:1]

    @property
    def scale(self) -> str:
        """Networks and data sets that it was tested on here."""
        return "; ".join(dict.fromkeys(f"{one.where.model} on {one.where.dataset}" for one in self.outcomes))

    def _clearest(self, found: Verdict) -> Outcome | None:
        those = [outcome for outcome in self.outcomes if outcome.verdict == found]
        return max(those, key=lambda outcome: (outcome.clarity, outcome.found.n), default=None)


def _together(outcomes: Iterable[Outcome]) -> dict[str, Verdict]:
    found: dict[str, list[Verdict]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.setting, []).append(outcome.verdict)
    return {setting: together(verdicts) for setting, verdicts in found.items()}


def _counted(settings: Mapping[str, Verdict]) -> str:
    counts = Counter(settings.values())
    first, *rest = [f"{found} in {counts[found]}" for found in ORDER if counts[found]]
    return ", ".join([f"{first} of {len(settings)} setting{'s' if len(settings) > 1 else ''}", *rest])


def judge(
    table: records.Table, measured: Measured | None = None, claims: Sequence[Claim] | None = None
) -> list[Judgement]:
    """Every claim against the records of ``table``, what was ``measured`` of landscapes, and the code.

    ``claims`` are those of claims.yaml unless given. Raises AnalysisError where that file says what it cannot.
    """
    pool = Pool(table.loaded, _methods())
    seen = [] if measured is None else list(_landscapes(measured))
    return [_judged(claim, pool, seen) for claim in _claims(pool.methods, claims)]


def findings(loaded: Iterable[Loaded], claims: Sequence[Claim] | None = None) -> list[Outcome]:
    """What some records say, such as those of one study: the tests over records alone, in the order of the claims."""
    pool = Pool(tuple(loaded), _methods())
    return [
        outcome
        for claim in _claims(pool.methods, claims)
        for test in claim.tests
        if isinstance(test, Comparison)
        for outcome in _compared(claim, pool, test)
    ]


def _methods() -> Mapping[str, Any]:
    # Imported here: it imports torch, which pages that only show outcomes do without.
    from sparse_methods.methods import METHODS

    return METHODS


def _claims(methods: Mapping[str, Any], claims: Sequence[Claim] | None) -> Sequence[Claim]:
    return vocabulary.load(methods) if claims is None else claims


def _judged(claim: Claim, pool: Pool, seen: Sequence[Seen]) -> Judgement:
    found = [list(_outcomes(claim, test, pool, seen)) for test in claim.tests]
    return Judgement(claim, [outcome for one in found for outcome in one], found.count([]))


def _outcomes(claim: Claim, test: Any, pool: Pool, seen: Sequence[Seen]) -> Iterator[Outcome]:
    if isinstance(test, Costs):
        return ledgers.costs(claim, test, pool.methods)
    if isinstance(test, Landscape):
        return _landscape(claim, test, seen)
    return _compared(claim, pool, test)


def _compared(claim: Claim, pool: Pool, test: Any) -> Iterator[Outcome]:
    return KINDS[type(test)](Question(claim, pool, test))


def _landscapes(measured: Measured) -> Iterator[Seen]:
    cells = {document.cell["cell"]: document.cell for document in measured.documents}
    for finding in landscape.findings(measured):
        if finding.tests:
            cell = cells[finding.setting]
            axes = ("model", "dataset", "distribution", "sparsity", "multiplier")
            yield finding, Setting(**{name: cell[name] for name in axes})


def _landscape(claim: Claim, test: Landscape, seen: Sequence[Seen]) -> Iterator[Outcome]:
    for finding, setting in seen:
        for one in finding.tests if finding.claim.name == test.statement else ():
            asked = f"{finding.claim.sentence}: {one.name}"
            yield Outcome(claim, asked, setting, one.margin, ABOVE_ZERO, NATS, note=one.words)

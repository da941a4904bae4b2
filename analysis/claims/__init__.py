"""Sentences of the papers as tests over records: ``analysis/claims.yaml``, and what was measured of it.

A test compares what was trained alike: same model, data and protocol, and the same sparsity, distribution and length unless
the test says otherwise; differences are paired by seed. The verdict follows from the 95 % interval alone, whichever way it
comes out (``analysis.verdicts``); more seeds may turn "undecided" into either of the others.

    vocabulary   what claims.yaml can say
    metrics      what of a run a claim is about         cells        which runs stand on a side, and in which setting
    comparisons  sweeps  published  ledgers             the kinds of test
    judging      every claim against everything         output       its files
"""

from analysis.claims.judging import Judgement, findings, judge
from analysis.claims.outcomes import Judged, Outcome
from analysis.claims.output import MEASURED, document, markdown, multiplicity, outcomes, summary, table
from analysis.verdicts import Verdict, verdict

__all__ = [
    "MEASURED",
    "Judged",
    "Judgement",
    "Outcome",
    "Verdict",
    "document",
    "findings",
    "judge",
    "markdown",
    "multiplicity",
    "outcomes",
    "summary",
    "table",
    "verdict",
]

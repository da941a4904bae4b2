"""Judgements as files: a tidy table, JSON, and Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite
from typing import Any

import pandas as pd

from analysis import text
from analysis.claims.judging import Judgement
from analysis.claims.outcomes import Judged, Outcome
from analysis.stats import CONFIDENCE
from pipeline.record import COMPARABILITY_VERSION

MEASURED = "First against second"
"""Heading of what records say of a claim."""
COLUMNS = {
    "claim": "str",  # id of analysis/claims.yaml
    "source": "str",  # key of the bibliography
    "place": "str",
    "test": "str",  # in words
    "setting": "str",  # in words; the next seven say the same
    "model": "str",
    "dataset": "str",
    "layout": "str",
    "distribution": "str",
    "sparsity": "float64",
    "multiplier": "float64",
    "precision": "str",
    "unit": "str",  # of the next five; × is first over second
    "estimate": "float64",
    "low": "float64",  # of the 95 % interval; equal to the estimate where the number is exact
    "high": "float64",
    "claimed_low": "float64",  # where the claim puts the number, bounds excluded; empty where it has none
    "claimed_high": "float64",
    "n": "Int64",  # seeds, or pairs of them; 0: exact, or nothing to compare
    "least_n": "Int64",  # below which it is undecided
    "exact": "bool",  # from the code, without seeds
    "note": "str",
    "verdict": "str",
}


def table(found: Sequence[Outcome]) -> pd.DataFrame:
    """One row a test and setting, COLUMNS."""
    return pd.DataFrame([_row(outcome) for outcome in found], columns=list(COLUMNS)).astype(COLUMNS)


def outcomes(judged: Sequence[Judgement]) -> list[Outcome]:
    """All of them."""
    return [outcome for judgement in judged for outcome in judgement.outcomes]


def document(judged: Sequence[Judgement]) -> dict[str, Any]:
    """The same and each claim's verdict, for programs; numbers that are not finite are null."""
    return {
        "comparability_version": COMPARABILITY_VERSION,
        "confidence": CONFIDENCE,
        "tests": len(outcomes(judged)),
        "claims": [_claim(judgement) for judgement in judged],
    }


def markdown(found: Sequence[Judged], measured: str = MEASURED) -> str:
    """The outcomes as a table of Markdown, ``measured`` the heading of the numbers; a sentence where there are none."""
    if not found:
        return "No claim compares runs of this study."
    lines = [f"| Claim | Source | Setting | {measured} | |", "| --- | --- | --- | ---: | --- |"]
    for one in found:
        words = (one.claim.sentence, one.claim.source, one.setting, one.measured, one.verdict)
        lines.append(f"| {' | '.join(map(text.markdown, words))} |")
    return "\n".join(lines)


HEADINGS = ("Claim", "Where it stands", "Verdict here", "Clearest numbers here", "Scale: the paper's, and here")
"""Of ``overview``."""


def overview(judged: Sequence[Judgement]) -> list[tuple[str, ...]]:
    """One row a claim, HEADINGS."""
    return [
        (
            judgement.claim.sentence,
            f"{judgement.claim.source}, {judgement.claim.place}",
            judgement.short if judgement.outcomes else f"not tested here: {why_not(judgement)}",
            "; ".join(map(_evidence, judgement.evidence)) or text.NONE,
            f"{judgement.claim.scale}; here {judgement.scale}" if judgement.outcomes else judgement.claim.scale,
        )
        for judgement in judged
    ]


def summary(judged: Sequence[Judgement]) -> str:
    """``overview`` as a table of Markdown."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(map(text.markdown, row) for row in overview(judged))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _evidence(one: Outcome) -> str:
    return f"{one.verdict}: {one.test}, {one.setting}: {one.measured}"


def why_not(judgement: Judgement) -> str:
    """Why a claim has no outcome."""
    return judgement.claim.untested or "no study trained these cells yet"


def multiplicity(judged: Sequence[Judgement]) -> str:
    """How many tests there were, each counted once, and how many verdicts chance alone could make."""
    distinct = {(one.test, one.where, one.claimed, one.is_exact) for one in outcomes(judged)}
    counts = Counter(is_exact for *_, is_exact in distinct)
    tested = counts[False]
    by_chance = (1 - CONFIDENCE) / 2 * tested
    return (
        f"{tested} intervals were held against claims, {counts[True]} numbers came from the code and are exact. Each interval "
        f"stands for itself at 95 %, nothing is corrected for their number: if every difference lay just on the bound of what "
        f"is claimed, chance alone would support about {by_chance:.0f} of them and contradict as many."
    )


def _row(one: Outcome) -> dict[str, Any]:
    where, shown = one.where, one.unit.shown
    return {
        "claim": one.of.id,
        "source": one.of.source,
        "place": one.of.place,
        "test": one.test,
        "setting": one.setting,
        "model": where.model,
        "dataset": where.dataset,
        "layout": where.layout or "",
        "distribution": where.distribution or "",
        "sparsity": where.sparsity,
        "multiplier": where.multiplier,
        "precision": where.precision or "",
        "unit": one.unit.name,
        "estimate": shown(one.found.mean),
        "low": shown(one.found.low),
        "high": shown(one.found.high),
        "claimed_low": shown(one.claimed.low) if isfinite(one.claimed.low) else None,
        "claimed_high": shown(one.claimed.high) if isfinite(one.claimed.high) else None,
        "n": one.found.n,
        "least_n": one.least,
        "exact": one.is_exact,
        "note": one.note,
        "verdict": one.verdict,
    }


def _claim(judgement: Judgement) -> dict[str, Any]:
    claim = judgement.claim
    about = {name: getattr(claim, name) for name in ("id", "sentence", "source", "place", "scale", "note", "untested")}
    rows = [_strict(_row(one)) for one in judgement.outcomes]
    return about | {
        "verdict": judgement.verdict,
        "short": judgement.short,
        "settings": judgement.settings,
        "computed": judgement.computed,
        "scale_here": judgement.scale,
        "tests_not_run": judgement.not_run,
        "outcomes": rows,
    }


def _strict(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and not isfinite(value) else value for name, value in row.items()}

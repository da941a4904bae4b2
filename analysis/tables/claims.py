"""The page of the papers' claims: all of them with their verdicts, then each with every test and setting."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from analysis import claims, references, text
from analysis.claims import Judgement, Outcome
from analysis.claims.output import HEADINGS, overview, why_not
from analysis.tables import page
from analysis.tables.page import Block, Link, Panel
from analysis.verdicts import LEAST_SEEDS

TITLE = "Claims of the papers"
TEMPLATE = "claims.html.j2"
LEAD = (
    "Statements of the RigL paper (arXiv:1911.11134) and of those around it, in our words, each as tests over what was run "
    "here: {counts}. Sides of a test were trained alike (same model, data and protocol, and the same sparsity, distribution "
    "and length unless the test says otherwise); differences are paired by seed. A test is supported where the 95 % t "
    "interval lies wholly where the claim puts the number, contradicted where it lies wholly outside, undecided otherwise, "
    f"and with fewer than {LEAST_SEEDS} seeds. A claim's settings are counted one by one: in each all tests must support it, "
    "and one is enough to contradict it. A claim is supported or contradicted here where at least half of its settings decide "
    "and all those that do agree. What holds for a small network need not hold for the paper's: both scales are given. "
    "{interval}; × is first over second, with the bounds of the interval in brackets. {multiplicity}"
)


def write(judged: Sequence[Judgement], out: Path) -> None:
    """Write claims.csv (a row a test and setting), claims.json, claims.md and claims.html into the folder ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    claims.table(claims.outcomes(judged)).to_csv(out / "claims.csv", index=False, lineterminator="\n")
    content = json.dumps(claims.document(judged), ensure_ascii=False, indent=1, allow_nan=False)
    (out / "claims.json").write_text(f"{content}\n", encoding="utf-8")
    (out / "claims.md").write_text(markdown(judged), encoding="utf-8")
    (out / "claims.html").write_text(html(judged), encoding="utf-8")


def html(judged: Sequence[Judgement]) -> str:
    """The page, which needs nothing else; everything is escaped."""
    return page.html(TITLE, panels(judged), template=TEMPLATE, lead=lead(judged))


def markdown(judged: Sequence[Judgement]) -> str:
    """The same as Markdown."""
    return f"# {TITLE}\n\n{text.markdown(lead(judged))}\n\n{page.markdown(panels(judged))}"


def lead(judged: Sequence[Judgement]) -> str:
    """What was asked, how verdicts come about, and how many of each there are."""
    counts = Counter(judgement.verdict for judgement in judged)
    of = ", ".join(f"{number} {found}" for found, number in counts.most_common())
    return LEAD.format(
        counts=f"{len(judged)} claims, {of}",
        interval=text.INTERVAL_NOTE,
        multiplicity=claims.multiplicity(judged),
    )


def panels(judged: Sequence[Judgement]) -> list[Panel]:
    """All claims, then one panel each."""
    rows = [(first, list(rest)) for first, *rest in overview(judged)]
    first, *columns = HEADINGS
    worded = frozenset(range(len(columns)))
    whole = Panel("All of them", [], columns, [Block("", rows)], [], rows=first, worded=worded)
    bibliography = references.load()
    return [whole, *(_panel(judgement, bibliography) for judgement in judged)]


def _panel(judgement: Judgement, bibliography: references.References) -> Panel:
    claim = judgement.claim
    sentences = [f"{claim.source}, {claim.place}. Scale there: {claim.scale}."]
    sentences += [f"Here: {judgement.short}."] if judgement.outcomes else [f"Not tested here: {why_not(judgement)}"]
    sentences += [claim.note] if claim.note else []
    rows = [(one.test, _texts(one)) for one in judgement.outcomes]
    blocks = [Block("", rows)] if rows else []
    columns = ["Setting", "First against second", "Claimed", "Verdict"]
    address = bibliography.link(claim.source)
    links = [Link(claim.source, address)] if address else []
    return Panel(
        claim.sentence, [], columns, blocks, [], "Test", (), sentences, links, worded=frozenset(range(len(columns)))
    )


def _texts(one: Outcome) -> list[str]:
    return [one.setting, one.measured, one.region, one.verdict]

"""The table of methods: who they are, what is dense while they train, what they cost, and what they cannot do."""

from __future__ import annotations

import re
from collections.abc import Sequence

from analysis import text
from analysis.records import place
from analysis.references import References
from pipeline.present import MethodCard

COLUMNS = (
    "Method",
    "Family",
    "Year",
    "Citation",
    "Dense in training",
    "Training FLOPs",
    "Peak parameters",
    "Cannot",
)
BIBLIOGRAPHY = "analysis/published/references.bib"
CAPTION = (
    "f_S and f_D are the FLOPs of one sample's forward pass at the requested sparsity and with every weight active, f_S(t) "
    "those at step t, f_A and f_B those of Top-KAST's forward and backward sets, dT the steps between updates; where there "
    "is no closed form a record has the sum over the batches of its run. Peak parameters are the numbers held at the worst "
    "moment of training, optimizer slots left out: S active weights at the end, D all weights, counted at 90 % sparsity with "
    "default options. What there is to keep is told by `Promise` in `sparse_methods/method.py`, why a method cannot by "
    "`rigl-bench methods`."
)


def markdown(cards: Sequence[MethodCard], references: References) -> str:
    """The table as Markdown, baselines first, then by family and year; a citation links to its paper."""
    rows = [_row(card, references) for card in sorted(cards, key=_place)]
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{CAPTION}"


def _place(card: MethodCard) -> tuple:
    return place(card.name, card.family, card.year, card.label)


def _row(card: MethodCard, references: References) -> list[str]:
    return [
        f"{text.markdown(card.label)} `{card.name}`",
        card.family,
        str(card.year),
        f"[{text.markdown(card.citation)}]({_address(card.citation, references)})",
        _sentence(card.dense_parts) or "Nothing",
        text.markdown(_clause(card.train_flops)) if card.train_flops else "No closed form",
        card.peak_parameters,
        _sentence([_clause(limit) for limit in card.cannot] + _promises(card)) or text.NONE,
    ]


def _address(key: str, references: References) -> str:
    """The paper's; of a paper without an address, or not in the bibliography yet, the bibliography."""
    return (references.link(key) if key in references.entries else "") or BIBLIOGRAPHY


def _promises(card: MethodCard) -> list[str]:
    kept = list(card.exempt)
    return [f"keep {', '.join(kept[:-1])}{' or ' if kept[:-1] else ''}{kept[-1]}"] if kept else []


def _clause(sentence: str) -> str:
    """What is said before the first colon or semicolon, which open the explanations."""
    return re.split(r"[:;]", sentence, maxsplit=1)[0].rstrip(".")


def _sentence(parts: Sequence[str]) -> str:
    joined = "; ".join(map(text.markdown, parts))
    return joined[:1].upper() + joined[1:]

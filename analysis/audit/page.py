"""The audit for people: every cell by source, and a page of its own for what is wrong in the record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from analysis import text
from analysis.audit.rules import Erratum
from analysis.audit.verdicts import FURTHER, KINDS, Audited, Auditor, auditor
from analysis.reported import Row
from analysis.tables import page as pages
from analysis.tables.page import Block, Panel

COLUMNS = ["Of", "Metric", "Published", "Recomputed", "Otherwise", "Verdict"]
WORDED = frozenset({0, 1, 5})
"""Those that are words, the others being numbers."""
LEAD = (
    "Every FLOPs, size and sparsity cell of the published record (analysis/published/published.csv, and the rows that "
    f"analysis/audit/{FURTHER.name} adds), by the line it stands in: as published; recomputed as its source states it; and, "
    "where that differs, recomputed as the source seems to have done it. Whether a cell agrees is computed from these. What "
    "a source seems to have done is a hypothesis of ours, chosen because the number comes out with it: it is marked as "
    "inferred unless a source is named. Why a cell is not recomputable is written by hand (analysis/audit/rules.yaml). "
    "Multiples are over the dense network's, trained once. Accuracies, and how much of a network was explored, are no cells."
)
ERRATA_LEAD = (
    "What the audit of the published record found: numbers that are of something else than what they are said to be, numbers "
    "that nothing explains, and numbers that cannot be checked. Each statement stands beside the cells that it is made from. "
    "Explanations are hypotheses of ours, chosen because the numbers come out with them: inferred, unless a source is named."
)


@dataclass(frozen=True)
class Page:
    """What both languages are written from."""

    title: str
    lead: str
    panels: list[Panel]


def write(audited: Sequence[Audited], folder: Path, judge: Auditor | None = None) -> list[Path]:
    """Write audit.csv, audit.md, audit.html, errata.md and errata.html into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "audit.csv"]
    frame(audited).to_csv(written[0], index=False, lineterminator="\n")
    for name, page in (("audit", overview(audited)), ("errata", errata(audited, judge or auditor()))):
        for ending, content in (("md", markdown(page)), ("html", html(page))):
            written.append(folder / f"{name}.{ending}")
            written[-1].write_text(content, encoding="utf-8")
    return written


def frame(audited: Sequence[Audited]) -> pd.DataFrame:
    """The CSV: one row per cell, in the record's own words; numbers are in the printed unit."""
    return pd.DataFrame(
        {
            "source": one.cell.row.source_key,
            "file": one.cell.row.file,
            "line": one.cell.row.line,
            "place": one.cell.row.where_in_source,
            "method": one.cell.row.method,
            "model": one.cell.row.model,
            "dataset": one.cell.row.dataset,
            "sparsity": one.cell.row.sparsity,
            "distribution": one.cell.row.distribution,
            "multiplier": one.cell.row.train_multiplier,
            "metric": one.cell.metric,
            "published": published(one),
            "recomputed": one.stated,
            "recomputed_otherwise": one.actual,
            "verdict": one.verdict.text,
            "kind": one.verdict.kind,
            "hypothesis": one.verdict.hypothesis,
            "why": one.why,
        }
        for one in audited
    )


def counts(audited: Sequence[Audited]) -> Panel:
    """Cells by source and kind of verdict, and all of them."""
    by_source: dict[str, Counter[str]] = {}
    for one in audited:
        by_source.setdefault(one.cell.row.source_key, Counter())[one.verdict.kind] += 1
    by_source["all"] = sum(by_source.values(), Counter())
    rows = [
        (source, [str(count[kind]) for kind in KINDS] + [str(count.total())]) for source, count in by_source.items()
    ]
    return Panel("Verdicts", [], [*KINDS.values(), "cells"], [Block("", rows)], [], rows="Source")


def table(title: str, words: Sequence[str], audited: Sequence[Audited]) -> Panel:
    """One row per cell, after ``words``."""
    rows = [(_where(one.cell.row), _texts(one)) for one in audited]
    return Panel(title, [], COLUMNS, [Block("", rows)], [], rows="Where", sentences=words, worded=WORDED)


def overview(audited: Sequence[Audited]) -> Page:
    """Counts, then every cell, by source and place."""
    places: dict[tuple[str, str], list[Audited]] = {}
    for one in audited:
        places.setdefault((one.cell.row.source_key, one.cell.row.where_in_source), []).append(one)
    panels = [table(f"{source}: {place}", _whys(own), own) for (source, place), own in places.items()]
    return Page("Audit of the published costs", LEAD, [counts(audited), *panels])


def errata(audited: Sequence[Audited], judge: Auditor) -> Page:
    """Every erratum in words, with its cells."""
    panels = []
    for erratum in judge.book.errata:
        cells = members(erratum, audited, judge)
        if erratum.otherwise is not None:
            cells = [replace(one, actual=judge.otherwise(one.cell, erratum.otherwise)) for one in cells]
        number = f"{len(cells)} cell{'' if len(cells) == 1 else 's'}"
        panels.append(table(erratum.title, [f"{erratum.words} ({number}.)"], cells))
    return Page("Errata of the published costs", ERRATA_LEAD, panels)


def members(erratum: Erratum, audited: Sequence[Audited], judge: Auditor) -> list[Audited]:
    """The cells that an erratum is about."""
    return [
        one
        for one in audited
        if one.verdict.kind in erratum.verdicts
        and any(where.fits(one.cell.row, one.cell.metric) for where in erratum.where)
        and (not erratum.hypotheses or one.verdict.hypothesis in erratum.hypotheses)
        and (erratum.otherwise is None or not one.cell.agrees(judge.otherwise(one.cell, erratum.otherwise)))
    ]


def markdown(page: Page) -> str:
    """The page as Markdown."""
    return f"# {page.title}\n\n{page.lead}\n\n{pages.markdown(page.panels)}"


def html(page: Page) -> str:
    """The page as one file that needs nothing else; everything from the record is escaped."""
    return pages.html(page.title, page.panels, lead=page.lead)


def published(one: Audited) -> str:
    """What is printed, trailing zeros and all."""
    cell = one.cell
    return cell.printed if "e" in cell.printed else f"{cell.value:.{cell.digits.decimals}f}"


def recomputed(one: Audited, value: float | None) -> str:
    """``value`` of a cell, two digits beyond the printed ones; a dash for none."""
    if value is None:
        return text.NONE
    decimals = one.cell.digits.decimals + 2
    if "e" not in one.cell.printed:
        return f"{value:.{decimals}f}"
    mantissa, exponent = f"{value:.{decimals}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _texts(one: Audited) -> list[str]:
    return [
        _of(one.cell.row),
        one.cell.metric,
        published(one),
        recomputed(one, one.stated),
        recomputed(one, one.actual),
        one.verdict.text,
    ]


def _where(row: Row) -> str:
    """ "evci2020rigl, line 24": of published.csv where no other file is named."""
    return f"{row.source_key}, {f'{row.file} ' if row.file == FURTHER.name else ''}line {row.line}"


def _of(row: Row) -> str:
    """ "RigL, ResNet-50, S = 0.9, ERK, 5x": what is said where it says something."""
    parts = [row.method, row.model, f"S = {row.sparsity}"]
    parts += [row.distribution] if row.distribution not in ("", "dense") else []
    parts += [f"{row.train_multiplier}x"] if row.train_multiplier not in ("", "1") else []
    return ", ".join(parts)


def _whys(audited: Sequence[Audited]) -> list[str]:
    """What the rules of these cells rest on, and the tolerance of readings."""
    whys = [f"{why[0].upper()}{why[1:]}." for why in dict.fromkeys(one.why for one in audited) if why]
    tolerances = dict.fromkeys(one.cell.digits.tolerance for one in audited)
    return whys + [f"Read off a figure: what is within {100 * found:g} % agrees." for found in tolerances if found]

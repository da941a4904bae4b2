"""What is generated in the README: blocks between two markers each, of results, claims, methods and the audit."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis import claims, records, stats, text
from analysis.errors import AnalysisError
from analysis.landscape.results import Measured
from analysis.tables import main

RESULTS, CLAIMS, METHODS, AUDIT = "results", "claims", "methods", "audit"
"""Names of the blocks."""
MULTIPLES = {"test_flops_x": "inference", "train_flops_x": "training"}
"""Metrics of the record that are multiples of the dense network's FLOPs."""


def markers(name: str) -> tuple[str, str]:
    """The lines between which the block ``name`` stands."""
    return f"<!-- BEGIN {name} -->", f"<!-- END {name} -->"


def replaced(readme: str, name: str, block: str) -> str:
    """``readme`` with ``block`` between the markers ``name``. Raises AnalysisError unless each is there once, in order."""
    begin, end = markers(name)
    if readme.count(begin) != 1 or readme.count(end) != 1 or readme.index(begin) > readme.index(end):
        raise AnalysisError(f"the README needs, once and in this order, lines with\n{begin} and {end}")
    before, rest = readme.split(begin)
    after = rest.split(end)[1]
    return f"{before}{begin}\n{block.strip()}\n{end}{after}"


def results(studies: Sequence[tuple[str, pd.DataFrame]]) -> str:
    """The main tables of each study, given by name and tidy table, and where and when it was measured."""
    return "\n\n".join(f"### {name}\n\n{_measured(frame)}\n\n{_tables(frame)}" for name, frame in studies)


def claims_block(table: records.Table, measured: Measured | None = None) -> str:
    """What the records of ``table`` and the measurements of landscapes say of the papers' claims, one row a claim."""
    judged = claims.judge(table, measured)
    note = f"{text.INTERVAL_NOTE}; × is first over second. The verdict is the interval's. {claims.multiplicity(judged)}"
    return f"{_measured(table.current)}\n\n{claims.summary(judged)}\n\n{note}"


def audit_block(audit: pd.DataFrame) -> str:
    """Of the ``audit``'s table (``analysis.audit.page.frame``): RigL in the paper's Figure 2, and how many cells agree."""
    # Imported here: it imports torch, which building from records does without.
    from analysis.audit.verdicts import KINDS

    of_figure = (audit["source"] == "evci2020rigl") & audit["place"].str.startswith("Figure 2")
    rigl = audit[of_figure & (audit["method"] == "RigL") & audit["metric"].isin(MULTIPLES)]
    compared = [_compared(cells.set_index("metric")) for _, cells in rigl.groupby("line", sort=False)]
    pairs = [f"{cost}, {whose}" for cost in MULTIPLES.values() for whose in ("paper", "here")]
    counts = pd.crosstab(audit["source"], audit["kind"], margins=True, margins_name="all")
    counts = counts.reindex(index=[*audit["source"].unique(), "all"], columns=[*KINDS, "all"], fill_value=0)
    counted = [[text.markdown(source), *map(str, row)] for source, row in zip(counts.index, counts.values, strict=True)]
    tables = (
        _table(["RigL, Figure 2", "verdict", *pairs], 2, compared),
        _table(["cells of", *KINDS.values(), "all"], 1, counted),
    )
    return "\n\n".join(tables)


def _compared(cells: pd.DataFrame) -> list[str]:
    """One row of the paper's table: ``cells`` by metric."""
    first = cells.iloc[0]
    name = (
        f"{text.sparsity(float(first['sparsity']))}, {first['distribution']}, {text.length(float(first['multiplier']))}"
    )
    numbers = []
    for metric in MULTIPLES:
        numbers += [f"{cells['published'][metric]}×", f"{float(cells['recomputed'][metric]):.4f}×"]
    return [name, text.markdown("; ".join(cells["verdict"].unique())), *numbers]


def _table(headings: Sequence[str], texts: int, rows: Sequence[Sequence[str]]) -> str:
    """Markdown whose first ``texts`` columns are words, the others numbers."""
    lines = [headings, [*["---"] * texts, *["---:"] * (len(headings) - texts)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _tables(frame: pd.DataFrame) -> str:
    return main.markdown(stats.cells(frame), level=4).strip()


def _measured(frame: pd.DataFrame) -> str:
    if frame.empty:
        return "Not measured yet."
    hardware = " and ".join(sorted(set(frame["hardware"])))
    seeds = frame.groupby("cell")["seed"].nunique()
    n = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    return (
        f"{len(frame)} runs, {n} seed{'s' if n != '1' else ''} per cell, measured on {hardware}; "
        f"the last one finished on {frame['finished'].max()[:10]}."
    )

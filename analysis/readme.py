"""What is generated in the README: blocks between two markers each, of results, of claims and of methods."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis import claims, records, stats, text
from analysis.errors import AnalysisError
from analysis.tables import main

RESULTS, CLAIMS, METHODS = "results", "claims", "methods"
"""Names of the blocks."""


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


def claims_block(table: records.Table) -> str:
    """What the records of ``table`` say of the papers' claims, and where they were measured."""
    note = f"{text.INTERVAL_NOTE}. The verdict is the interval's: undecided where it holds 0."
    return f"{_measured(table.current)}\n\n{claims.markdown(claims.findings(table.loaded))}\n\n{note}"


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

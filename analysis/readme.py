"""The results in the README: a block between two markers, regenerated from committed records."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis import stats
from analysis.errors import AnalysisError
from analysis.tables import main

BEGIN, END = "<!-- BEGIN results -->", "<!-- END results -->"


def replaced(readme: str, block: str) -> str:
    """``readme`` with ``block`` between its markers. Raises AnalysisError unless each is there once, in order."""
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        raise AnalysisError(f"the README needs, once and in this order, lines with\n{BEGIN} and {END}")
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{block.strip()}\n{END}{after}"


def block(studies: Sequence[tuple[str, pd.DataFrame]]) -> str:
    """The main tables of each study, given by name and tidy table, and where and when it was measured."""
    return "\n\n".join(f"### {name}\n\n{_measured(frame)}\n\n{_tables(frame)}" for name, frame in studies)


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

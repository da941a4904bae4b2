"""Every table of the paper, by the name of its files: reported beside reproduced."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.records import Table
from analysis.references import References
from analysis.tables import fig2_left, fig3_right, table2, table3, table4
from analysis.tables.comparison import Comparison
from analysis.tables.printed import Paper
from analysis.tables.reproduced import Rerun


def compare(points: pd.DataFrame, table: Table, references: References) -> dict[str, Comparison]:
    """The tables; ``points`` are those of ``table`` (``analysis.points``). Without any they have what the paper prints."""
    paper, rerun = Paper.load(references), Rerun(points)
    found = (
        fig2_left.build(paper, rerun),
        fig3_right.build(paper, rerun),
        table2.build(paper, points, table.loaded),
        table3.build(paper, rerun),
        table4.build(paper, rerun),
    )
    return {comparison.name: comparison for comparison in found}


def write(points: pd.DataFrame, table: Table, references: References, folder: Path) -> list[Path]:
    """Write each table as NAME.html, .md, .csv and .tex into ``folder``."""
    return [path for comparison in compare(points, table, references).values() for path in comparison.write(folder)]

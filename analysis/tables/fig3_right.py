"""The table in Figure 3: MobileNet-v1 on ImageNet at 75 and 90 %, and the wider sparse networks."""

from __future__ import annotations

from analysis.tables.accuracies import Table, compare
from analysis.tables.comparison import Comparison
from analysis.tables.printed import Paper
from analysis.tables.reproduced import Rerun

TABLE = Table(
    name="fig3_right",
    title="Figure 3 (right): MobileNet-v1 at 75 and 90 %",
    lead="RigL's section 4.1.2: accuracy and inference cost on MobileNet-v1 and ImageNet, trained for five times the usual "
    "length. Big-Sparse is a network 1.98 times as wide, whose cost is over that of the usual one.",
    place="Figure 3 (right) table",
)


def build(paper: Paper, rerun: Rerun) -> Comparison:
    """The table."""
    return compare(TABLE, paper, rerun)

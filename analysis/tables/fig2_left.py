"""The table in Figure 2: ResNet-50 on ImageNet at 80 and 90 %."""

from __future__ import annotations

from analysis.tables.accuracies import Table, compare
from analysis.tables.comparison import Comparison
from analysis.tables.printed import Paper
from analysis.tables.reproduced import Rerun

TABLE = Table(
    name="fig2_left",
    title="Figure 2 (left): methods at 80 and 90 %",
    lead="RigL's section 4.1: accuracy and cost of methods on ResNet-50 and ImageNet, by distribution of the sparsity and "
    "length of training. A star marks what the paper prints from other works.",
    place="Figure 2 (left) table",
)


def build(paper: Paper, rerun: Rerun) -> Comparison:
    """The table."""
    return compare(TABLE, paper, rerun)

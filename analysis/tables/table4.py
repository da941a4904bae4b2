"""Table 4, Appendix L: ResNet-50 on ImageNet at 95 and 96.5 %."""

from __future__ import annotations

from analysis.tables.accuracies import Table, compare
from analysis.tables.comparison import Comparison
from analysis.tables.printed import Paper
from analysis.tables.reproduced import Rerun

TABLE = Table(
    name="table4",
    title="Table 4: methods at 95 and 96.5 % (Appendix L)",
    lead="As the table in Figure 2, at higher sparsities. Several of its printed numbers are those of other sparsities; they "
    "are marked.",
    place="Appendix L Table 4",
)


def build(paper: Paper, rerun: Rerun) -> Comparison:
    """The table."""
    return compare(TABLE, paper, rerun)

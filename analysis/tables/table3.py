"""Table 3, Appendix E: lottery tickets against random topologies."""

from __future__ import annotations

from analysis.tables.accuracies import Table, compare
from analysis.tables.comparison import Comparison
from analysis.tables.printed import Paper
from analysis.tables.reproduced import Rerun

TABLE = Table(
    name="table3",
    title="Table 3: lottery tickets (Appendix E)",
    lead="Networks that start from the mask that RigL ended with and from their initial weights (Lottery), against those of a "
    "random mask. The training cost of the former includes the run that found the mask. The paper prints no sparsity; its "
    "costs are those of 80 %, uniform. Other settings are shown at the sparsities at which both kinds were run.",
    place="Appendix E Table 3",
    states_sparsity=False,
)


def build(paper: Paper, rerun: Rerun) -> Comparison:
    """The table."""
    return compare(TABLE, paper, rerun)

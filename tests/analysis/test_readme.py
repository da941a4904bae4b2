"""The README's generated blocks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis import readme, records
from analysis.claims import vocabulary
from analysis.errors import AnalysisError
from sparse_methods.methods import METHODS

BEGIN, END = readme.markers(readme.RESULTS)
OTHER = "<!-- BEGIN methods -->\nother\n<!-- END methods -->"
README = f"# Title\n\n{OTHER}\n\n{BEGIN}\nold\n{END}\n\nafter\n"


def test_only_the_block_changes_and_only_once(frame: pd.DataFrame) -> None:
    block = readme.results([("quick", frame)])
    once = readme.replaced(README, readme.RESULTS, block)
    assert readme.replaced(once, readme.RESULTS, block) == once
    assert once.startswith(f"# Title\n\n{OTHER}\n\n{BEGIN}\n### quick\n")
    assert once.endswith(f"\n{END}\n\nafter\n")
    assert "old" not in once
    assert readme.replaced(README, readme.METHODS, "new") == README.replace("other", "new")


def test_it_says_where_when_and_with_how_many_seeds(frame: pd.DataFrame) -> None:
    found = readme.results([("quick", frame)])
    expected = "27 runs, 3 seeds per cell, measured on two cores of a test; the last one finished on 2026-01-03."
    assert expected in found
    assert "| RigL | 97.2 ± 0.5 (n=3) | 96.2 ± 0.5 (n=3) |" in found


def test_a_study_without_records_says_so(frame: pd.DataFrame) -> None:
    assert "Not measured yet." in readme.results([("mnist", frame[:0])])


@pytest.mark.parametrize(
    "text",
    [OTHER, BEGIN, f"{END}\n{BEGIN}", README + README],
    ids=["none", "one", "wrong order", "twice"],
)
def test_markers_must_be_there_once(text: str) -> None:
    with pytest.raises(AnalysisError, match="BEGIN results"):
        readme.replaced(text, readme.RESULTS, "block")


def test_claims_are_one_row_each(study: Path) -> None:
    block = readme.claims_block(records.load([study], METHODS))
    rows = [line for line in block.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(vocabulary.load(METHODS))
    assert block.startswith("27 runs, 3 seeds per cell, measured on two cores of a test")
    (static,) = (row for row in rows if row.startswith("| RigL is at least as accurate as Static"))
    assert "| supported in 2 of 2 settings; 1 of 2 tests not run here |" in static
    assert "+1.10 ± 0.25 points (n=3)" in static
    assert static.endswith("| WRN-22-2 on CIFAR-10, ERK, 50 to 95 %; here lenet300 on mnist |")
    (bug,) = (row for row in rows if "must be averaged over replicas" in row)
    assert "| not tested here: it describes a bug" in bug
    assert "intervals were held against claims" in block


def test_the_audit_is_counted_by_source_and_verdict() -> None:
    columns = ["source", "place", "line", "method", "sparsity", "distribution", "multiplier", "metric"]
    columns += ["published", "recomputed", "verdict", "kind"]
    in_figure = ["evci2020rigl", "Figure 2 (left)", 14, "RigL", "0.9", "ERK", "1"]
    reason = "differs: the first convolution | as dense"
    rows = [
        [*in_figure, "test_flops_x", "0.24", "0.24316", "agrees", "agrees"],
        [*in_figure, "train_flops_x", "0.25", 0.28, reason, "explained"],
        ["rigl_readme", "README", 3, *in_figure[3:], "model_size_MB", "13.499", 13.0, "differs", "unexplained"],
    ]
    block = readme.audit_block(pd.DataFrame(rows, columns=columns))
    differs = r"agrees; differs: the first convolution \| as dense"
    assert f"| 90 %, ERK, 1× | {differs} | 0.24× | 0.2432× | 0.25× | 0.2800× |" in block
    assert block.endswith(
        "| evci2020rigl | 1 | 0 | 1 | 0 | 0 | 2 |\n| rigl\\_readme | 0 | 0 | 0 | 1 | 0 | 1 |\n| all | 1 | 0 | 1 | 1 | 0 | 3 |"
    )

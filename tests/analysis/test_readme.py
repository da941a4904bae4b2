"""The README's generated blocks."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis import readme
from analysis.errors import AnalysisError

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

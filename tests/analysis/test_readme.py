"""The README's block of results."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis import readme
from analysis.errors import AnalysisError

README = f"# Title\n\nbefore\n\n{readme.BEGIN}\nold\n{readme.END}\n\nafter\n"


def test_only_the_block_changes_and_only_once(frame: pd.DataFrame) -> None:
    block = readme.block([("quick", frame)])
    once = readme.replaced(README, block)
    assert readme.replaced(once, block) == once
    assert once.startswith(f"# Title\n\nbefore\n\n{readme.BEGIN}\n### quick\n")
    assert once.endswith(f"\n{readme.END}\n\nafter\n")
    assert "old" not in once


def test_it_says_where_when_and_with_how_many_seeds(frame: pd.DataFrame) -> None:
    found = readme.block([("quick", frame)])
    expected = "27 runs, 3 seeds per cell, measured on two cores of a test; the last one finished on 2026-01-03."
    assert expected in found
    assert "| RigL | 97.2 ± 0.5 (n=3) | 96.2 ± 0.5 (n=3) |" in found


def test_a_study_without_records_says_so(frame: pd.DataFrame) -> None:
    assert "Not measured yet." in readme.block([("mnist", frame[:0])])


@pytest.mark.parametrize(
    "text",
    ["no markers", readme.BEGIN, f"{readme.END}\n{readme.BEGIN}", README + README],
    ids=["none", "one", "wrong order", "twice"],
)
def test_markers_must_be_there_once(text: str) -> None:
    with pytest.raises(AnalysisError, match="BEGIN results"):
        readme.replaced(text, "block")

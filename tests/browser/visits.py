"""What the tests of a page share: writing one, and visiting it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import references
from analysis.leaderboard import page as leaderboard

DESKTOP, PHONE = (1360, 900), (390, 844)


@dataclass
class Visit:
    """An open page, and what went wrong or out of it so far."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    """Warnings and errors of the console, and exceptions that nothing caught."""
    requests: list[str] = field(default_factory=list)
    """Addresses that were asked for beyond the page itself."""

    def open(self, address: str) -> Any:
        """Go to ``address`` and wait until table and plot are there; returns Playwright's page."""
        self.page.goto(address)
        self.page.wait_for_selector("html[data-ready=all]", state="attached")
        return self.page


def write(points: pd.DataFrame, folder: Path) -> Path:
    """The page of ``points``."""
    return leaderboard.write(points, references.load(), "Synthetic rows", folder)[0]

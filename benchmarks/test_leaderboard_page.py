"""The leaderboard's page with 2,000 rows: how large it is, and when a reader can use all of it."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import references
from analysis.leaderboard import page
from benchmarks.paired import Spread
from tests.browser import synthetic

ROWS = 2000
VISITS = 5
LARGEST_BYTES = 6_000_000
READY = "performance.getEntriesByName('all')[0].startTime / 1000"
"""Seconds from the start of the navigation to the moment when table, filters and plot answer."""


def seconds_to_interactive(address: str, browser: Any) -> float:
    """Of one visit, nothing cached."""
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    opened = context.new_page()
    opened.goto(address)
    opened.wait_for_selector("html[data-ready=all]", state="attached")
    found = opened.evaluate(READY)
    context.close()
    return found


def test_page_of_2000_rows(benchmark, record: Callable[..., None], tmp_path: Path) -> None:
    """The best of some visits says what the page takes when the machine is not at other work; the browser is a process of
    its own, so that the contention filter cannot tell."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = os.environ.get("RIGL_BENCH_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no Chromium on the path")
    points, entries = synthetic.board(ROWS), references.load()
    written = benchmark.pedantic(lambda: page.write(points, entries, "Synthetic rows", tmp_path), rounds=1)[0]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        visits = [seconds_to_interactive(written.as_uri(), browser) for _ in range(VISITS)]
        browser.close()
    best, middle = min(visits), statistics.median(visits)
    record("leaderboard-page", Spread(best, best, middle, kept=VISITS, dropped=0), unit="s")
    assert written.stat().st_size <= LARGEST_BYTES

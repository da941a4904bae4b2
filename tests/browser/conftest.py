"""A browser, and pages to open in it. Skipped with a reason where there is no Chromium; under CI=true that is a failure."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import synthetic
from tests.browser.visits import DESKTOP, Visit, write


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium as Playwright drives it: RIGL_BENCH_CHROMIUM, or the one on the path."""
    chromium = os.environ.get("RIGL_BENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        _without("there is no Chromium on the path: install Debian's chromium, or set RIGL_BENCH_CHROMIUM")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _without("there is no playwright: pip install 'rigl-bench[dev]'")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


def _without(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def visit(browser: Any, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A page without network, as large as its parameter says; at the end nothing has gone wrong in it, or out of it."""
    size = getattr(request, "param", DESKTOP)
    context = browser.new_context(viewport=dict(zip(("width", "height"), size, strict=True)), accept_downloads=True)
    context.set_offline(True)
    opened = Visit(context.new_page())
    opened.page.set_default_timeout(20_000)  # another process may have the machine
    opened.page.on(
        "console", lambda said: opened.complaints.append(said.text) if said.type in ("warning", "error") else None
    )
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.on("request", lambda one: opened.requests.append(one.url) if not one.is_navigation_request() else None)
    yield opened
    context.close()
    assert opened.complaints == []
    assert [address for address in opened.requests if not address.startswith(("data:", "blob:"))] == []


@pytest.fixture(scope="session")
def axe() -> Any:
    """The accessibility checks of axe-core."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        _without("there is no axe-playwright-python: pip install 'rigl-bench[dev]'")
    return Axe()


@pytest.fixture(scope="session")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leaderboard of 720 rows: every setting once."""
    return write(synthetic.board(720), tmp_path_factory.mktemp("board"))

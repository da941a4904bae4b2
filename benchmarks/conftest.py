"""What the suites share: threads, rounds under the stopwatch, and the results that all of them end up in."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from benchmarks import paired, report, results, targets

ROWS = pytest.StashKey[list[results.Row]]()
TABLE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []
    # One thread: the other cores are then free for what else must run, and ratios do not depend on how many there are.
    torch.set_num_threads(int(os.environ.get("RIGL_BENCH_THREADS", "1")))


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``record(id, finding)`` of a row in ``targets.yaml``; others say their ``words``, ``unit`` and what is ``better``."""
    due, rows = targets.load(), request.config.stash[ROWS]

    def add(id_: str, finding: paired.Finding, **about: str) -> None:
        rows.append(results.row_of(id_, finding, due.get(id_), **about))

    return add


@pytest.fixture
def rounds(benchmark) -> Callable[..., paired.Rounds]:
    """``paired.measure``; the table of pytest-benchmark then shows how long each measurement took."""

    def measure(alternatives: Mapping[str, Callable[[], float]], **options: int) -> paired.Rounds:
        return benchmark.pedantic(paired.measure, args=(alternatives,), kwargs=options, rounds=1)

    return measure


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Files are made by a run of all benchmarks alone: those of some would take the place of those of all."""
    config = session.config
    if config.stash[ROWS]:
        due, accepted = targets.load(), results.read(results.ACCEPTED)
        found = results.gathered(config.stash[ROWS], due)
        config.stash[TABLE] = report.table(found, accepted)
        folder = Path(__file__).parent
        if not config.getoption("keyword") and [Path(asked).resolve() for asked in config.args] == [folder]:
            report.write(found, accepted, due)
            config.stash[TABLE] += f"\n\nWritten to {results.MEASURED.parent}."


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if TABLE in config.stash:
        terminalreporter.section("results")
        terminalreporter.write_line(config.stash[TABLE])

"""Rounds, the contention filter, and what is made of them, with invented seconds."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import paired
from benchmarks.paired import Block, Rounds, Spread, TooBusy, measure


def rounds_of(*pairs: tuple[float, float, float | None], limit: float = 0.1, least: int = 1) -> Rounds:
    """Of ours, base, and the foreign cores during ours; base was never disturbed."""
    blocks = [{"ours": Block(ours, foreign), "base": Block(base, 0.0)} for ours, base, foreign in pairs]
    return Rounds(tuple(blocks), limit, least)


def test_a_ratio_is_of_blocks_of_one_round() -> None:
    """1/2, 2/1, 3/1: the medians of the two sides, 2 and 1, have the same ratio by chance, the means have not."""
    found = rounds_of((1, 2, 0.0), (2, 1, 0.0), (3, 1, 0.0)).ratio("ours", "base")
    assert found == Spread(median=2, lower=1.25, upper=2.5, kept=3, dropped=0)


def test_spoilt_rounds_are_dropped_and_counted() -> None:
    found = rounds_of((1, 1, 0.1), (50, 1, 0.11), (3, 1, 0.0)).ratio("ours", "base")
    assert found == Spread(median=2, lower=1.5, upper=2.5, kept=2, dropped=1)


def test_a_round_is_dropped_for_the_alternatives_that_were_disturbed_alone() -> None:
    found = rounds_of((1, 4, 9.0), (2, 6, 0.0))
    assert found.value("ours") == Spread(2, 2, 2, kept=1, dropped=1)
    assert found.value("base", lambda seconds: 60 / seconds) == Spread(12.5, 11.25, 13.75, kept=2, dropped=0)


def test_too_few_clean_rounds_are_no_result() -> None:
    found = rounds_of((1, 1, 0.0), (1, 1, 0.5), (1, 1, 0.5), least=2).ratio("ours", "base")
    assert found == TooBusy(kept=1, dropped=2, limit=0.1)
    assert str(found) == "too busy: other processes used more than 0.1 cores in 2 of 3 rounds"
    assert rounds_of((1, 1, 0.5), least=0).ratio("ours", "base") == TooBusy(0, 1, 0.1)


def test_where_the_system_does_not_tell_nothing_is_dropped() -> None:
    assert rounds_of((1, 1, None), (1, 1, None)).ratio("ours", "base").kept == 2


class Machine:
    """Blocks that leave a trace, and a gauge of what others use while each of them runs."""

    def __init__(self, foreign: Iterator[float]) -> None:
        self.ran: list[str] = []
        self.foreign, self.used, self.asked = foreign, 0.0, 0

    def block(self, name: str) -> Callable[[], float]:
        def run() -> float:
            self.ran.append(name)
            return 1.0

        return run

    def gauge(self) -> float:
        """Asked before and after each block: what is due is used in between."""
        self.asked += 1
        if self.asked % 2 == 0:
            self.used += next(self.foreign)
        return self.used


def test_the_order_alternates_after_a_round_that_does_not_count() -> None:
    machine = Machine(itertools.repeat(0.0))
    found = measure({name: machine.block(name) for name in "ab"}, wanted=3, gauge=machine.gauge, limit=0.1)
    assert "".join(machine.ran) == "ab" + "abbaab"
    assert len(found.blocks) == 3


def test_without_a_warm_start_the_first_round_counts() -> None:
    machine = Machine(itertools.repeat(0.0))
    measure({"a": machine.block("a")}, wanted=1, warm=False, gauge=machine.gauge, limit=0.1)
    assert machine.ran == ["a"]


def test_spoilt_rounds_are_made_up_for() -> None:
    """Any use at all is an age of cores within a block that takes no time."""
    machine = Machine(iter([9.0, 0.0, 9.0, 0.0, 0.0]))
    found = measure({"a": machine.block("a")}, wanted=3, least=2, gauge=machine.gauge, limit=0.1).value("a")
    assert found == Spread(1, 1, 1, kept=3, dropped=2)


def test_measuring_ends_when_too_few_clean_rounds_can_still_come() -> None:
    machine = Machine(itertools.repeat(9.0))
    found = measure({"a": machine.block("a")}, wanted=5, least=4, gauge=machine.gauge, limit=0.1)
    assert len(found.blocks) == 7, "of ten tries three are left, one too few"
    assert found.value("a") == TooBusy(0, 7, 0.1)


def test_foreign_seconds_are_what_others_and_neither_we_nor_our_children_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle (4th) and waiting for disks (5th) are no work; guests (9th, 10th) are part of user (1st)."""
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 20 30 9999 8888 4 5 6 50 7\ncpu0 1 2 3\n")
    times = SimpleNamespace(user=0.25, system=0.125, children_user=0.5, children_system=0.0625)
    monkeypatch.setattr(os, "times", lambda: times)
    ticks = os.sysconf("SC_CLK_TCK")
    assert paired.foreign_seconds(stat) == pytest.approx((100 + 20 + 30 + 4 + 5 + 6) / ticks - 0.9375)
    assert paired.foreign_seconds(tmp_path / "missing") is None


def test_the_limit_is_the_environment_s_where_it_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RIGL_BENCH_FOREIGN_CORES", raising=False)
    assert paired.foreign_limit() == paired.FOREIGN_CORES
    monkeypatch.setenv("RIGL_BENCH_FOREIGN_CORES", "inf")
    assert paired.foreign_limit() == math.inf


def test_timed_is_the_mean_of_what_it_ran() -> None:
    ran: list[int] = []
    assert paired.timed(lambda: ran.append(0), 7)() >= 0
    assert len(ran) == 7

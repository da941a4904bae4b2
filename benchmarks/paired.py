"""Alternatives measured round by round in one process, and what their ratios are worth.

Seconds of two separate runs differ by more than the alternatives do: clocks, caches and neighbours change. Here every round
times a block of each alternative, one right after the other and each time in the other order, so that a ratio is of two
blocks that met the same machine. A round in which other processes were busy on it is dropped, and counted.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

FOREIGN_CORES = 0.1
"""A block is spoilt when other processes used more than this many cores during it. The processor's accounting ticks every
10 ms, so blocks should take a quarter of a second or more."""
WANTED = 15
"""Clean rounds after which a measurement is complete."""
LEAST = 5
"""Clean rounds without which there is no result."""
PROC_STAT = Path("/proc/stat")
# Columns of /proc/stat: user nice system idle iowait irq softirq steal; guests are part of user.
BUSY_COLUMNS = (0, 1, 2, 5, 6, 7)


@dataclass(frozen=True)
class Block:
    """One block of one alternative."""

    seconds: float
    """What the alternative says that it took, of whatever it counts."""
    foreign_cores: float | None
    """CPU seconds of other processes in a second of the block; None where the system does not tell."""

    def is_clean(self, limit: float) -> bool:
        """Whether its seconds can be trusted; they are where nothing is known."""
        return self.foreign_cores is None or self.foreign_cores <= limit


@dataclass(frozen=True)
class Spread:
    """A median over the clean rounds, with the quartiles around it."""

    median: float
    lower: float
    upper: float
    kept: int
    dropped: int


@dataclass(frozen=True)
class TooBusy:
    """Why there is no median."""

    kept: int
    dropped: int
    limit: float

    def __str__(self) -> str:
        """As tables say it."""
        rounds = self.kept + self.dropped
        return f"too busy: other processes used more than {self.limit:g} cores in {self.dropped} of {rounds} rounds"


Finding = Spread | TooBusy


@dataclass(frozen=True)
class Rounds:
    """What was timed: one block of every alternative a round."""

    blocks: tuple[Mapping[str, Block], ...]
    limit: float = FOREIGN_CORES
    least: int = LEAST

    def ratio(self, ours: str, base: str) -> Finding:
        """Seconds of ``ours`` over those of ``base``, round by round."""
        return self.of((ours, base), lambda seconds: seconds[ours] / seconds[base])

    def value(self, name: str, of: Callable[[float], float] = lambda seconds: seconds) -> Finding:
        """Seconds of one alternative, or what ``of`` makes of them."""
        return self.of((name,), lambda seconds: of(seconds[name]))

    def of(self, names: tuple[str, ...], value: Callable[[Mapping[str, float]], float]) -> Finding:
        """``value`` of the seconds of ``names``, over the rounds in which all their blocks are clean."""
        clean = [blocks for blocks in self.blocks if all(blocks[name].is_clean(self.limit) for name in names)]
        dropped = len(self.blocks) - len(clean)
        if len(clean) < max(self.least, 1):
            return TooBusy(len(clean), dropped, self.limit)
        values = [value({name: blocks[name].seconds for name in names}) for blocks in clean]
        lower, median, upper = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        return Spread(median, lower, upper, len(clean), dropped)


def measure(
    alternatives: Mapping[str, Callable[[], float]],
    wanted: int = WANTED,
    least: int = LEAST,
    limit: float | None = None,
    gauge: Callable[[], float | None] | None = None,
    warm: bool = True,
) -> Rounds:
    """Rounds of blocks, until ``wanted`` of them are clean or twice as many were tried.

    Each alternative runs a block and returns the seconds that count. With ``warm`` a first round, in which caches fill and
    libraries set themselves up, is thrown away.
    """
    limit, gauge = foreign_limit() if limit is None else limit, gauge or foreign_seconds
    rounds: list[dict[str, Block]] = []
    clean = 0
    for block in alternatives.values() if warm else ():
        block()
    gc.collect()
    for number in range(2 * wanted):
        names = list(alternatives) if number % 2 == 0 else list(reversed(alternatives))
        rounds.append({name: _block(alternatives[name], gauge) for name in names})
        clean += all(block.is_clean(limit) for block in rounds[-1].values())
        tries_left = 2 * wanted - number - 1
        if clean >= wanted or clean + tries_left < least:
            break
    return Rounds(tuple(rounds), limit, least)


def timed(action: Callable[[], object], times: int) -> Callable[[], float]:
    """A block: seconds of one ``action``, the mean of ``times`` in a row."""

    def block() -> float:
        started = time.perf_counter()
        for _ in range(times):
            action()
        return (time.perf_counter() - started) / times

    return block


def foreign_limit() -> float:
    """FOREIGN_CORES, or what the environment allows on a machine that cannot be had alone; results tell which."""
    return float(os.environ.get("RIGL_BENCH_FOREIGN_CORES", FOREIGN_CORES))


def foreign_seconds(stat: Path = PROC_STAT) -> float | None:
    """CPU seconds that processes other than this one and its ended children have used since the start of the system, those
    taken by other guests of the host included. Only differences mean anything. None where /proc/stat is not."""
    try:
        ticks = stat.read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    own = os.times()
    busy = sum(int(ticks[column]) for column in BUSY_COLUMNS if column < len(ticks)) / os.sysconf("SC_CLK_TCK")
    return busy - (own.user + own.system + own.children_user + own.children_system)


def _block(block: Callable[[], float], gauge: Callable[[], float | None]) -> Block:
    started, before = time.perf_counter(), gauge()
    seconds = block()
    after, elapsed = gauge(), time.perf_counter() - started
    known = before is not None and after is not None and elapsed > 0
    return Block(seconds, (after - before) / elapsed if known else None)

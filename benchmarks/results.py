"""What a run of the benchmarks found: rows, where they were measured, and the file that holds both."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytest_benchmark.utils import get_commit_info

from benchmarks.paired import Finding, Spread, foreign_limit
from benchmarks.targets import Target
from pipeline.provenance import hardware_of

ROOT = Path(__file__).parent.parent
MEASURED = ROOT / "results" / "benchmarks" / "benchmarks.json"
ACCEPTED = ROOT / "results" / "reference" / "benchmarks.json"
RATIO = "x"
"""Unit of a ratio of two alternatives, which another day on the same machine can be compared with."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    id: str
    words: str
    unit: str = RATIO
    better: str = "lower"
    bound: str | None = None
    """The target's; None where there is none."""
    state: str = "measured"
    """met | missed | measured, of a row without a target | not measured."""
    reason: str | None = None
    """Why it was not measured, or why it was missed."""
    median: float | None = None
    lower: float | None = None
    upper: float | None = None
    kept: int = 0
    """Rounds that count."""
    dropped: int = 0
    """Rounds that other processes spoilt."""


@dataclass(frozen=True)
class Results:
    """All rows of a run, and what they are true of."""

    hardware: str
    threads: int
    torch: str
    date: str
    commit: str | None
    foreign_cores: float
    """A round in which other processes used more cores than this was dropped."""
    rows: tuple[Row, ...]

    def write(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Results | None:
    """What :meth:`Results.write` wrote; None where there is no file."""
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Results(**{**content, "rows": tuple(Row(**row) for row in content["rows"])})


def row_of(id_: str, finding: Finding, target: Target | None, **about: str) -> Row:
    """A measurement as a row; of what has a target, words and direction are the target's."""
    if target is not None:
        about = {"words": target.words, "better": target.better, "bound": target.bound, **about}
    if not isinstance(finding, Spread):
        rounds = {"kept": finding.kept, "dropped": finding.dropped}
        return Row(id_, state="not measured", reason=str(finding), **about, **rounds)
    state = "measured" if target is None else "met" if target.is_met(finding.median) else "missed"
    reason = target.profile if state == "missed" else None
    return Row(id_, state=state, reason=reason, **about, **dataclasses.asdict(finding))


def gathered(rows: Sequence[Row], targets: Mapping[str, Target]) -> Results:
    """The rows of this run on this machine: those with a target first, in its table's order, measured or not."""
    found = {row.id: row for row in rows}
    due = [found.pop(id_, None) or _missing(id_, target) for id_, target in targets.items()]
    commit = get_commit_info()
    return Results(
        hardware=hardware_of(torch.device("cpu")),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=commit["id"][:12] + ("-dirty" if commit["dirty"] else "") if commit.get("id") else None,
        foreign_cores=foreign_limit(),
        rows=(*due, *found.values()),
    )


def _missing(id_: str, target: Target) -> Row:
    return Row(
        id_,
        target.words,
        better=target.better,
        bound=target.bound,
        state="not measured",
        reason=target.why_not,
    )

"""What tests ask of the checker: the defects of a folder or of one record, and records with one thing changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analysis import submissions
from analysis.submissions import card as cards
from analysis.submissions import checker
from analysis.submissions.due import foreign_method
from pipeline.run import run_from_dict
from tests.submissions import hostile

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def told(folder: Path) -> list[str]:
    """The defects of the submission in ``folder``, without its path."""
    submission, defects = submissions.check(folder)
    assert (submission is None) == bool(defects)
    lines = [str(defect) for defect in defects]
    assert all(line.isascii() and line.isprintable() for line in lines)
    return [line.removeprefix(str(folder)).removeprefix("/") for line in lines]


def about(record: dict[str, Any], **fields: Any) -> list[str]:
    """What is wrong with ``record``, as the card's with ``fields`` changed."""
    card = cards.Card.model_validate(hostile.card(**fields))
    _, flaws = checker.record_flaws(json.dumps(record), card, foreign_method(card), NOW)
    return [f"{field}: {problem}" for field, problem in flaws]


def changed(record: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """``record`` with another value at the dotted ``path``."""
    *parents, last = path.split(".")
    holder = record
    for key in parents:
        holder = holder[int(key) if key.isdigit() else key]
    holder[int(last) if last.isdigit() else last] = value
    return record


def named_anew(record: dict[str, Any]) -> dict[str, Any]:
    """``record`` under the name that its configuration gives it."""
    return record | {"run": run_from_dict(record["config"]).path}


def stopped(record: dict[str, Any], status: str) -> dict[str, Any]:
    """The record of the same run, not trained."""
    nothing = ("sparsity", "size_bytes", "result", "work", "timing", "explored", "file_bytes", "peak_parameter_bytes")
    return record | dict.fromkeys(nothing) | {"status": status, "layers": [], "flops": {}}

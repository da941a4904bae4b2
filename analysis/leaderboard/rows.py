"""From points of every kind to rows: plain values in the fields of ``fields.FIELDS``, the best first within a setting."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import pandas as pd

from analysis.leaderboard.fields import FIELDS, Field
from pipeline.record import COMPARABILITY_VERSION

Row = dict[str, Any]
METRICS = {"accuracy": 1, "bits_per_character": -1}
"""What the leaderboard ranks by, and whether more (1) or less (-1) of it is better."""
LINKS = ("url", "paper_link", "code")
"""Fields that hold addresses."""
ADDRESS = re.compile(r"https?://[^\s\"'<>]+")
IDENTITY = (
    *("kind", "source", "place", "cell", "method", "label", "variant", "start", "model_words", "dataset", "layout"),
    *(
        "distribution",
        "sparsity",
        "multiplier",
        "update_every",
        "drop_fraction",
        "decay",
        "metric",
        "comparability_version",
    ),
)
"""Fields that a row's id is made from."""


def rows(points: pd.DataFrame, citations: Mapping[str, str]) -> list[Row]:
    """The rows of ``points``: the columns of ``analysis.points``, and those of FIELDS that a kind of point has beyond them.

    ``citations`` are the keys of the methods' papers by method, for points that do not say it themselves. Points of a metric
    that nothing is ranked by are left out. What is no finite number is None, what is no address of the web is empty, and
    characters that show as nothing or turn text around are spelled out.
    """
    ranked = points[points["metric"].isin(METRICS)]
    found = [_row(point, citations) for point in ranked.to_dict("records")]
    sizes = Counter(map(_setting, found))
    found.sort(key=lambda row: (-sizes[_setting(row)], *_place(row)))
    _name(found)
    return found


def comparable(row: Row) -> bool:
    """Whether the row may stand beside those of this version of the suite; what was published has no version."""
    return row["comparability_version"] in (None, COMPARABILITY_VERSION)


def visible(text: str) -> str:
    r"""``text`` with control, direction and other invisible characters as ``\u202e``, and all white space as a space."""
    return " ".join(
        "".join(
            character
            if character.isspace() or not unicodedata.category(character).startswith("C")
            else f"\\u{ord(character):04x}"
            for character in text
        ).split()
    )


def _row(point: Mapping[str, Any], citations: Mapping[str, str]) -> Row:
    row = {field.name: _value(field, point.get(field.name)) for field in FIELDS}
    for name in LINKS:
        row[name] = row[name] if ADDRESS.fullmatch(row[name]) else ""
    row["model_words"] = row["model_words"] or row["model"]
    row["citation"] = row["citation"] or citations.get(row["method"], "")
    return row


def _value(field: Field, value: Any) -> Any:
    """``value`` as JSON has it."""
    if field.kind == "data":
        return _plain(value) if isinstance(value, (dict, list)) else None
    missing = value is None or (not isinstance(value, str) and bool(pd.isna(value)))
    if field.kind == "text":
        text = "" if missing else str(value)
        return text.replace("\r\n", "\n") if field.name == "bibtex" else visible(text)
    if field.kind == "flag":
        return not missing and bool(value)
    if missing or not isfinite(value):
        return None
    return int(value) if field.kind == "count" else _plain(float(value))


def _plain(value: Any) -> Any:
    """Whole numbers without a point, as a browser writes them."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _setting(row: Row) -> tuple[str, ...]:
    """What rows must share to be set side by side."""
    return row["dataset"], row["model_words"], row["metric"]


def _place(row: Row) -> tuple:
    """Setting, length and sparsity, then the best first; what has no value comes last."""
    sparsity = row["achieved_sparsity"] if row["sparsity"] is None else row["sparsity"]
    quality = None if row["mean"] is None else -METRICS[row["metric"]] * row["mean"]
    panel = (*_setting(row), _last(row["multiplier"]), _last(sparsity))
    return *panel, _last(quality), row["kind"], row["label"], row["source"], json.dumps(row, sort_keys=True)


def _last(value: float | None) -> tuple[bool, float]:
    return value is None, value or 0.0


def _name(found: Sequence[Row]) -> None:
    """Give every row its id, the digest of its IDENTITY; rows that share one are told apart by a number."""
    seen: Counter[str] = Counter()
    for row in found:
        digest = hashlib.sha256(json.dumps([row[name] for name in IDENTITY]).encode()).hexdigest()[:8]
        seen[digest] += 1
        row["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"

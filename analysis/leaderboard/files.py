"""The rows as leaderboard.csv and leaderboard.json; ``exports.js`` is the twin of both in the page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from analysis.leaderboard.fields import FIELDS
from analysis.leaderboard.rows import Row

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet computes what begins with one of these; such a text gets an apostrophe in front, in the CSV alone."""


def csv_text(rows: Sequence[Row]) -> str:
    """One line a row under the names of FIELDS: nothing where there is none, true and false, JSON for objects and lists."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([field.name for field in FIELDS])
    writer.writerows([_cell(row[field.name]) for field in FIELDS] for row in rows)
    return stream.getvalue()


def json_text(rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    """``about``, then the fields with their titles, words and kinds, then the rows."""
    fields = {field.name: {name: said for name, said in asdict(field).items() if name != "name"} for field in FIELDS}
    return json.dumps({**about, "fields": fields, "rows": rows}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def packed(table: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The rows of ``table``, all of the same keys, by column; texts and data as places in a list of the different ones.

    A page carries thousands of rows whose texts repeat: this is a fifth of the size of a list of rows.
    """
    return {name: _column([row[name] for row in table]) for name in (table[0] if table else ())}


def _column(values: Sequence[Any]) -> Any:
    if all(value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) for value in values):
        return list(values)
    written = [json.dumps(value) for value in values]
    places = {value: place for place, value in enumerate(dict.fromkeys(written))}
    return {"of": [json.loads(value) for value in places], "at": [places[value] for value in written]}


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value

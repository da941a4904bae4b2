"""Writes the leaderboard: a page that works from a file with no network, leaderboard.csv and leaderboard.json."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analysis import text
from analysis.leaderboard import cite, columns, files, libraries, scatter, views
from analysis.leaderboard import rows as board
from analysis.leaderboard.fields import FIELDS
from analysis.leaderboard.rows import METRICS, Row
from analysis.references import References
from pipeline.record import COMPARABILITY_VERSION

HERE = Path(__file__).parent
PAPER = "evci2020rigl"
"""Cited with the suite."""
SCRIPTS = ("pareto.js", "state.js", "exports.js", "filters.js", "details.js", "plot.js", "page.js")
"""The page's own scripts, in the order in which they build on each other."""


def write(points: pd.DataFrame, references: References, title: str, folder: Path) -> list[Path]:
    """Write index.html, leaderboard.csv and leaderboard.json of ``points`` into ``folder``; returns their paths.

    ``points`` has the columns of ``analysis.points`` and may have any of ``fields.FIELDS`` beside them
    (``recorded.of`` adds those of records). Rows of another comparability version come in a table of their own, and
    in the two files with their version. A citation key that ``references`` does not have is shown as it is.
    """
    # Imported here: it imports torch, which reading this module does without.
    from sparse_methods.methods import METHODS

    found = board.rows(points, {name: method.citation or "" for name, method in METHODS.items()})
    about = _about(found, title)
    contents = {
        "index.html": html(found, references, about),
        "leaderboard.csv": files.csv_text(found),
        "leaderboard.json": files.json_text(found, about),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in contents]


def embedded(page: str) -> str:
    """``page`` as one that unpacks itself: a report holds it in an address, which Chromium takes up to 2 MB."""
    packed = base64.b64encode(gzip.compress(page.encode(), mtime=0)).decode()
    return _environment().get_template("embedded.html.j2").render(packed=packed)


def html(rows: Sequence[Row], references: References, about: Mapping[str, Any]) -> str:
    """The page. Everything from data is escaped; a policy inside it forbids the network and every other script."""
    current = [row for row in rows if board.comparable(row)]
    apart = [row for row in rows if not board.comparable(row)]
    shown = columns.columns(current)
    data = json.dumps(_data(current, references, about, shown), separators=(",", ":"), allow_nan=False)
    own = "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    scripts = [libraries.datatables(), libraries.bokeh(), f'(()=>{{"use strict";\n{own}\n}})();']
    return _environment().get_template("page.html.j2").render(
        about=about,
        policy=_policy(scripts),
        sheets=[libraries.style(), (HERE / "page.css").read_text(encoding="utf-8")],
        scripts=scripts,
        # A text in an element that is no script to the browser; "<" cannot end it.
        data=data.replace("<", "\\u003c"),
        libraries=libraries.versions(),
        columns=[column for column in shown if column.start != "hidden"],
        apart=[(row["comparability_version"], columns.shown(row, shown)) for row in apart],
        hidden=[column.start == "hidden" for column in shown],
        interval_note=text.INTERVAL_NOTE,
        sum_note=text.SUM_NOTE,
    )  # fmt: skip


def _about(rows: Sequence[Row], title: str) -> dict[str, Any]:
    """What the page and leaderboard.json say of the whole."""
    suite = cite.suite()
    ours = [row for row in rows if row["kind"] == "reproduced"]
    return {
        "title": title,
        "suite": suite.version,
        "suites": _different(ours, "suite"),
        "commits": _different(ours, "commit"),
        "comparability_version": COMPARABILITY_VERSION,
        "date": max((row["finished"] for row in ours), default="")[:10],
        "runs": sum(row[name] or 0 for row in ours for name in ("n", *text.PROBLEMS)),
        "bibtex": suite.bibtex,
    }


def _different(rows: Sequence[Row], name: str) -> list[str]:
    return sorted({part for row in rows for part in row[name].split("; ") if part})


def _data(
    rows: Sequence[Row], references: References, about: Mapping[str, Any], shown: Sequence[columns.Column]
) -> dict[str, Any]:
    """What the scripts of the page read."""
    names = views.method_names(rows)
    facets = [views.facets(row, names) for row in rows]
    cells = [columns.shown(row, shown) for row in rows]
    keys = [key for row in rows for key in (row["citation"], row["source"])]
    return {
        "about": about,
        "fields": [[field.name, field.title, field.words, field.kind] for field in FIELDS],
        "columns": [[column.name, column.title, column.better, column.start] for column in shown],
        "facets": [[name, views.FACETS[name], values] for name, values in views.choices(facets).items()],
        "metrics": METRICS,
        "rows": files.packed(rows),
        "texts": files.packed([{c.name: cell[0] for c, cell in zip(shown, row, strict=True)} for row in cells]),
        "keys": files.packed([{c.name: cell[1] for c, cell in zip(shown, row, strict=True)} for row in cells]),
        "facet": files.packed(facets),
        "plotted": files.packed([_finite(views.plotted(row)) for row in rows]),
        "looks": scatter.looks(map(views.key, rows)),
        "fills": scatter.FILLS,
        "circle": scatter.symbol("o"),
        "plot": scatter.plot(),
        "bibtex": cite.entries([*keys, PAPER], references),
        "links": {key: references.link(key) for key in set(keys) & references.entries.keys()},
        "paper": PAPER,
    }


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and isnan(value) else value for name, value in values.items()}


def _policy(scripts: Sequence[str]) -> str:
    """A content security policy: these scripts and no others, and nothing from anywhere."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )

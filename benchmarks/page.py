"""The accepted results as a page of the report: ``python -m benchmarks.page --out FOLDER``."""

from __future__ import annotations

import argparse
from pathlib import Path

from analysis.tables import page as pages
from analysis.tables.page import Block, Panel, Picture
from benchmarks import report, results, targets
from benchmarks.results import Results, Row

TITLE = "What it costs in time"
COLUMNS = ["Target", "Measured, median [quartiles]", "Rounds kept / dropped", "Verdict"]


def panel(found: Results, picture: Path | None) -> Panel:
    """Rows with a target first; ``picture`` is the figure of these."""
    judged = [row for row in found.rows if row.bound is not None]
    others = [row for row in found.rows if row.bound is None]
    caption = "Measured over the target, medians with quartiles; left of the line a target is met."
    return Panel(
        title="The accepted benchmarks",
        lines=[("Hardware", f"{found.hardware}; torch {found.torch}"), ("Date", found.date[:10])],
        columns=COLUMNS,
        blocks=[Block("With a target", list(map(_line, judged))), Block("Without one", list(map(_line, others)))],
        notes=[
            "Ratios are of blocks timed one right after the other in one process; rounds in which other processes used more"
            f" than {found.foreign_cores:g} cores are dropped.",
        ],
        rows="What",
        pictures=[] if picture is None else [Picture(TITLE, caption, picture)],
        worded=frozenset({3}),
    )


def _line(row: Row) -> tuple[str, list[str]]:
    rounds = f"{row.kept} / {row.dropped}" if row.kept + row.dropped else ""
    return row.words, [
        row.bound or "",
        report.measured(row),
        rounds,
        f"{row.state}: {row.reason}" if row.reason else row.state,
    ]


def main() -> None:
    """Write the figure (.png, .pdf, .csv), the table (.md) and the page (.html) of the accepted results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=results.ACCEPTED, help="what `make bench-accept` kept")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    options = parser.parse_args()
    found = results.read(options.results)
    if found is None:
        parser.error(f"{options.results} is not there: `make bench`, then `make bench-accept`, make it")
    place = options.out / "benchmarks.json"
    report.write(found, None, targets.load(), place)
    picture = place.with_suffix(".png")
    shown = pages.html(TITLE, [panel(found, picture if picture.exists() else None)])
    place.with_suffix(".html").write_text(shown, encoding="utf-8")


if __name__ == "__main__":
    main()

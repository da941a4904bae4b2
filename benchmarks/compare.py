"""Which ratios became worse since those that were accepted: ``python -m benchmarks.compare``, which then exits with 1."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.results import ACCEPTED, MEASURED, RATIO, Results, Row, read

WORSE = 0.10
"""By more than this share a ratio has worsened; less is noise."""


def worsened(measured: Results, accepted: Results | None) -> dict[str, float]:
    """By id the accepted median of every ratio that is worse by more than WORSE. Only the same hardware, threads included,
    can be compared with."""
    if accepted is None or accepted.hardware != measured.hardware:
        return {}
    before = {row.id: row.median for row in accepted.rows if _is_comparable(row)}
    return {
        row.id: before[row.id]
        for row in measured.rows
        if row.id in before and _is_comparable(row) and _times_worse(row, before[row.id]) > 1 + WORSE
    }


def verdict(measured: Results, accepted: Results | None) -> str:
    """The comparison in words."""
    if accepted is None:
        return f"nothing to compare with: there is no {_shown(ACCEPTED)}; `make bench-accept` makes these figures it"
    if accepted.hardware != measured.hardware:
        return f"not compared: accepted figures are of {accepted.hardware}, these of {measured.hardware}"
    worse = worsened(measured, accepted)
    rows = {row.id: row for row in measured.rows}
    unmeasured = [row.id for row in accepted.rows if _is_comparable(row) and not _is_comparable(rows.get(row.id))]
    lines = [
        f"worse by more than {WORSE:.0%}: {rows[id_].words}: {rows[id_].median:.3g}, was {was:.3g}"
        for id_, was in worse.items()
    ]
    lines += [f"accepted, but not measured now: {id_}" for id_ in unmeasured]
    return "\n".join(lines) or f"no ratio is worse by more than {WORSE:.0%} than accepted on {accepted.date[:10]}"


def main(arguments: list[str] | None = None) -> int:
    """Compare two files; 1 where a ratio has worsened, 2 where there is nothing measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measured", type=Path, default=MEASURED)
    parser.add_argument("--accepted", type=Path, default=ACCEPTED)
    paths = parser.parse_args(arguments)
    measured, accepted = read(paths.measured), read(paths.accepted)
    if measured is None:
        print(f"there is no {paths.measured}: run `make bench` first", file=sys.stderr)
        return 2
    print(verdict(measured, accepted))
    return int(bool(worsened(measured, accepted)))


def _is_comparable(row: Row | None) -> bool:
    return row is not None and row.unit == RATIO and row.median is not None


def _times_worse(row: Row, before: float) -> float:
    return row.median / before if row.better == "lower" else before / row.median


def _shown(path: Path) -> str:
    return str(path.relative_to(path.parents[2]))


if __name__ == "__main__":
    sys.exit(main())

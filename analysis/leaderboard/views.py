"""What the page filters by, and what its plot shows of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis import style, text
from analysis.leaderboard import columns
from analysis.leaderboard.columns import NOT_STATED, UNITS
from analysis.leaderboard.rows import METRICS, Row

FACETS = {
    "kind": "Kind",
    "dataset": "Data set",
    "model": "Model",
    "sparsity": "Sparsity",
    "family": "Family",
    "method": "Method",
    "distribution": "Distribution",
    "length": "Length",
}
"""What can be filtered by."""
SUSPECT = {"mean", "train_x"}
"""Fields that keep a row from the front if they are suspect."""
NO_DISTRIBUTION = "none or not stated"


def method_names(rows: Sequence[Row]) -> dict[str, str]:
    """A name for each method, by its ``key``: as records call it, else the shortest that is printed."""
    names: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: (row["kind"] == "reported", len(row["label"]), row["label"])):
        names.setdefault(key(row), row["label"])
    return names


def key(row: Row) -> str:
    """The method's id; the label of one that the suite does not have, for two submissions may call theirs the same."""
    ours = row["kind"] != "submitted" or row["method"] in style.KNOWN
    return row["method"] if ours and row["method"] else row["label"]


def facets(row: Row, names: Mapping[str, str]) -> dict[str, str]:
    """What the row is in each of FACETS; ``names`` are those of ``method_names``."""
    return {
        "kind": row["kind"],
        "dataset": row["dataset"],
        "model": row["model_words"],
        "sparsity": text.sparsity(columns.axis_sparsity(columns.with_nan(row))),
        "family": row["family"] or text.NONE,
        "method": names[key(row)],
        "distribution": _distribution(row),
        "length": NOT_STATED if row["multiplier"] is None else text.length(row["multiplier"]),
    }


def choices(found: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """The values of each of FACETS among ``found``, numbers in their order."""
    return {name: sorted({one[name] for one in found}, key=_natural) for name in FACETS}


def plotted(row: Row) -> dict[str, Any]:
    """Of one row: its method's key, its panel, cost and direction, whether it counts for the front, the words over its point.

    Costs are multiples of the dense network's: only rows of the same network, data set and metric have one panel. Rows whose
    accuracy or cost is suspect do not count, nor those that start from another run: what that one cost is not in theirs.
    """
    known = columns.with_nan(row)
    unit = UNITS[row["metric"]]
    return {
        "key": key(row),
        "group": f"{row['model_words']} on {row['dataset']}{'' if row['metric'] == 'accuracy' else f', {unit}'}",
        "cost": columns.cost(known),
        "better": METRICS[row["metric"]],
        "counts": not (row["start"] or SUSPECT & set(row["suspect"].split())),
        "name": columns.name(row),
        "result": f"{columns.result(known)} {unit}",
        "training": text.training(known),
        "about": _about(row),
    }


def _about(row: Row) -> str:
    parts = [facets(row, {key(row): ""})[name] for name in ("sparsity", "distribution")]
    parts += [] if row["multiplier"] is None else [f"{text.length(row['multiplier'])} training"]
    parts += [] if row["n"] is None else [f"n={row['n']}"]
    parts += [f"starts from {row['start']}"] if row["start"] else []
    parts += [", ".join(part for part in (row["kind"], row["source"]) if part)]
    parts += [f"erratum: {row['erratum']}"] if row["erratum"] else []
    return "; ".join(parts)


def _distribution(row: Row) -> str:
    return text.distribution(row["distribution"]) if row["distribution"] else NO_DISTRIBUTION


def _natural(value: str) -> tuple[bool, float, str]:
    """Numbers first, by size; then words."""
    number = value.rstrip(" %×")
    try:
        return False, float(number), value
    except ValueError:
        return True, 0.0, value.casefold()

"""The points of records, with what their records tell beyond a point: dense parts, memory, layers, configuration, hardware."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import points, stats
from analysis.records import Loaded, Table
from analysis.submissions import found
from analysis.submissions import frame as submissions
from pipeline.run import non_defaults

LAYER_DIGITS = 6
FROM_RUNS = ["seeds", "configuration", "layer_names", "layer_sparsities"]
FROM_CELLS = [
    *("citation", "dense_parts", "sparsity_is_outcome", "missing_weights", "free_layers", "explored", "reason"),
    *("train_total_x", "file_bytes", "peak_parameter_bytes", "train_seconds", "peak_memory_bytes"),
    *("step_seconds", "step_x", "execution", "hardware", "commit", "finished", "comparability_version"),
]
"""Columns of ``analysis.stats.cells`` that a point has not."""


def of(table: Table) -> pd.DataFrame:
    """The points of ``analysis.points.reproduced`` with the further fields of ``fields.FIELDS``, by cell.

    Cells of another comparability version come last, with their own.
    """
    current = _with_records(points.reproduced(table), table)
    return pd.concat([current, _apart(table.apart)], ignore_index=True)


def submitted(folder: Path) -> pd.DataFrame:
    """The points of the submissions at ``folder``, with the same fields of their records and those of their cards.

    Raises as ``analysis.submissions.load`` does: a submission with defects is refused by name.
    """
    checked = [submissions.checked(path) for path in found(folder)]
    frames = [_with_records(submissions.of(one), submissions.table(one)) for one in checked]
    return pd.concat([pd.DataFrame(columns=list(points.COLUMNS)), *frames], ignore_index=True)


def _with_records(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """``frame`` with the columns that its own do not say."""
    runs = pd.DataFrame(_of_runs(table.loaded), columns=["cell", *FROM_RUNS])
    known = _further(table.current).merge(runs, on="cell", how="left")
    return frame.merge(known[[name for name in known if name == "cell" or name not in frame]], on="cell", how="left")


def _further(frame: pd.DataFrame) -> pd.DataFrame:
    suites = frame.groupby("cell")["suite"].agg(lambda versions: "; ".join(sorted(set(versions) - {""})))
    return stats.cells(frame)[["cell", *FROM_CELLS]].merge(suites, on="cell", how="left")


def _apart(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells whose runs are of another version: what the table of records has of them, which is all that is shown."""
    cells = stats.cells(frame)
    known = [name for name in points.COLUMNS if name in cells and name != "size_bytes"]
    fixed = {
        "kind": points.REPRODUCED,
        "metric": points.ACCURACY,
        "label": cells["method_label"],
        "source": points.RUNS,
    }
    return cells[[*known, "size_bytes", *(name for name in FROM_CELLS if name not in known)]].assign(**fixed)


def _of_runs(loaded: Iterable[Loaded]) -> list[dict[str, Any]]:
    """Seeds, configuration and layers by cell."""
    cells: dict[str, list[Loaded]] = defaultdict(list)
    for item in loaded:
        cells[item.run.cell_digest].append(item)
    return [{"cell": cell, **_configured(items), **_layers(items)} for cell, items in cells.items()]


def _configured(items: list[Loaded]) -> dict[str, Any]:
    fields = non_defaults(items[0].run.at_seed(0))
    return {"seeds": sorted(item.run.seed for item in items), "configuration": fields}


def _layers(items: list[Loaded]) -> dict[str, Any]:
    """Achieved sparsities, mean over the runs that are done; nothing where none is, or where their layers differ."""
    done = [item.record.layers for item in items if item.record.status == "done"]
    if len({tuple(layer.layer for layer in layers) for layers in done}) != 1:
        return {"layer_names": None, "layer_sparsities": None}
    means = pd.DataFrame([[layer.sparsity for layer in layers] for layers in done]).mean()
    return {"layer_names": [layer.layer for layer in done[0]], "layer_sparsities": means.round(LAYER_DIGITS).tolist()}

"""Means, 95 % Student t intervals over seeds, and differences paired by seed.

With one seed there is no interval: its bounds are not a number, never zero. Runs that diverged, failed or were skipped
are counted beside the mean of the others, because a mean over survivors alone flatters an unstable method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from math import nan, sqrt
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from analysis.records import STATUSES

CONFIDENCE = 0.95
DENSE = "dense"
REFERENCE = "static"
"""Every sparse method is compared with this one: the same random sparsity, not moved."""

MEANS = {
    "achieved_sparsity": "achieved_sparsity",
    "inference_x": "rigl_inference_x",
    "train_x": "rigl_train_x",
    "inference_flops": "rigl_inference_flops",
    "macs_inference_x": "macs_inference_x",
    "macs_train_x": "macs_train_x",
    "missing_weights": "missing_weights",
    "explored": "explored",
    "peak_parameter_bytes": "peak_parameter_bytes",
    "test_loss_nats": "test_loss_nats",
    "train_loss_nats": "train_loss_nats",
    "size_bytes": "size_bytes",
    "file_bytes": "file_bytes",
    "train_seconds": "train_seconds",
    "step_seconds": "step_seconds",
    "step_x": "step_x",
    "peak_memory_bytes": "peak_memory_bytes",
}
"""Column of a cell: column of its runs that it is the mean of, over the runs that are done."""

PANEL = ["model", "dataset", "layout", "multiplier"]
IDENTITY = [
    *("cell", "setting", "model", "dataset", "method", "method_label", "family", "year", "citation", "dense_parts"),
    *("distribution", "layout", "variant", "start", "series", "sparsity", "sparsity_is_outcome", "multiplier"),
    "comparability_version",
]

COLUMNS = [
    *IDENTITY,
    "axis_sparsity",  # what axes and headings show: the requested sparsity; the achieved one of an outcome or a layout
    *("mean", "n", "low", "high"),  # of the accuracy, a fraction, over the runs that are done
    *STATUSES,  # numbers of runs
    "reason",  # of skips and failures
    "free_layers",  # why layers hold other numbers of weights than asked for, in the runs that are done
    "train_total_x",  # training FLOPs of what the runs did over the dense ones at multiplier 1, convention rigl
    *MEANS,
    *("difference_mean", "difference_n", "difference_low", "difference_high"),  # from REFERENCE, paired by seed
    *("hardware", "execution", "commit", "finished", "sources"),  # sources: number of different versions of the code
]


@dataclass(frozen=True)
class Interval:
    """A mean over n values and the bounds of its 95 % t interval, which are not a number where n < 2."""

    mean: float
    n: int
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


def interval(values: Sequence[float] | np.ndarray | pd.Series) -> Interval:
    """Mean and 95 % t interval of ``values``. Raises ValueError for a value that is not finite."""
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"values must be finite, these are not: {array[~np.isfinite(array)]}")
    n = array.size
    mean = float(array.mean()) if n else nan
    if n < 2:
        return Interval(mean, n, nan, nan)
    half = t_quantile((1 + CONFIDENCE) / 2, n) * float(array.std(ddof=1)) / sqrt(n)
    return Interval(mean, n, mean - half, mean + half)


@cache
def t_quantile(probability: float, n: int) -> float:
    """Of Student's t with n - 1 degrees of freedom; not a number where n < 2."""
    # Not scipy.stats, whose import alone takes each of the workflow's processes a second or two.
    return float(special.stdtrit(n - 1, probability)) if n > 1 else nan


def paired(values: pd.Series, reference: pd.Series) -> Interval:
    """Interval of ``values - reference``, both indexed by seed, over the seeds present in both.

    Raises ValueError when a seed is there twice: the pairs would be ambiguous.
    """
    for series in (values, reference):
        if not series.index.is_unique:
            raise ValueError(f"a seed is there twice: {sorted(series.index[series.index.duplicated()])}")
    shared = values.index.intersection(reference.index)
    return interval(values[shared] - reference[shared])


def cells(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per cell of the tidy table ``frame`` (``analysis.records``), in its order, with the columns COLUMNS."""
    by = ["cell", "comparability_version"]
    references, means = _references(frame), _means(frame, by)
    groups = frame.groupby(by, sort=False, observed=True)
    rows = [_cell(group, references) | means.get(key, {}) for key, group in groups]
    summary = pd.DataFrame(rows, columns=COLUMNS)
    kept = {name: frame[name].dtype for name in IDENTITY}
    counts = dict.fromkeys(["n", *STATUSES, "difference_n", "sources"], "int64")
    texts = dict.fromkeys(["reason", "free_layers", "hardware", "execution", "commit", "finished"], "str")
    rest = dict.fromkeys(set(COLUMNS) - set(kept) - set(counts) - set(texts), "float64")
    return summary.astype(kept | counts | texts | rest)


def panels(cells: pd.DataFrame) -> list[tuple]:
    """The values of PANEL that figures and tables have a panel for.

    A dense cell belongs in the panels of its model and data set; only where there are none does it get one of its own.
    """
    dense = cells["method"] == DENSE
    found = set(cells.loc[~dense, PANEL].itertuples(index=False, name=None))
    shown = {key[:2] for key in found}
    alone = set(cells.loc[dense, PANEL].itertuples(index=False, name=None))
    return sorted(found | {key for key in alone if key[:2] not in shown})


def within(cells: pd.DataFrame, key: tuple) -> pd.Series:
    """Which of ``cells`` have the values ``key`` in the first columns of PANEL."""
    return (cells[PANEL[: len(key)]] == list(key)).all(axis=1)


def _means(frame: pd.DataFrame, by: list[str]) -> dict[Any, dict[str, float]]:
    """MEANS over the runs that are done, by cell; of all cells at once, since one by one takes ten times as long."""
    done = frame[frame["status"] == "done"]
    values = done[list(MEANS.values())].astype("float64")
    means = values.groupby([done[name] for name in by], sort=False, observed=True).mean()
    return means.set_axis(list(MEANS), axis=1).to_dict("index")


def _references(frame: pd.DataFrame) -> dict[tuple[str, int], pd.Series]:
    """Accuracy of the reference method by setting and comparability version, where one cell only claims the place."""
    runs = frame[frame["method"] == REFERENCE]
    groups = runs.groupby(["setting", "comparability_version"], sort=False)
    return {key: _by_seed(group[group["status"] == "done"]) for key, group in groups if group["cell"].nunique() == 1}


def _cell(group: pd.DataFrame, references: dict[tuple[str, int], pd.Series]) -> dict[str, Any]:
    first = group.iloc[0]
    done = group[group["status"] == "done"]
    accuracy = interval(done["accuracy"])
    difference = Interval(nan, 0, nan, nan)
    reference = references.get((first["setting"], first["comparability_version"]))
    if reference is not None and first["method"] != REFERENCE and not first["sparsity_is_outcome"]:
        difference = paired(_by_seed(done), reference)
    return {
        **{name: first[name] for name in IDENTITY},
        "axis_sparsity": _axis_sparsity(first, done if len(done) else group),
        **asdict(accuracy),
        **{status: int((group["status"] == status).sum()) for status in STATUSES},
        "reason": "; ".join(dict.fromkeys(" ".join(reason.split()) for reason in group["reason"] if reason)),
        "free_layers": "; ".join(dict.fromkeys(reason for reason in done["free_layers"] if reason)),
        "train_total_x": (done["rigl_train_flops_total"] / done["rigl_dense_train_flops"]).mean(),
        **{f"difference_{name}": value for name, value in asdict(difference).items()},
        "hardware": "; ".join(sorted(set(group["hardware"]))),
        "execution": "; ".join(sorted(set(group["execution"]) - {""})),
        "commit": "; ".join(sorted({commit for commit in group["commit"] if commit})),
        "finished": max(group["finished"]),
        "sources": group["source_digest"].nunique(),
    }


def _axis_sparsity(first: pd.Series, runs: pd.DataFrame) -> float:
    """Not a number where sparsity is an outcome and no run has reached one."""
    achieved = runs["achieved_sparsity"].mean()
    asked = first["layout"] == "default" or pd.isna(achieved)
    return first["sparsity"] if asked and not first["sparsity_is_outcome"] else round(achieved, 3)


def _by_seed(runs: pd.DataFrame) -> pd.Series:
    return pd.Series(runs["accuracy"].to_numpy(), index=runs["seed"].to_numpy())

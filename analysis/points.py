"""Published and reproduced numbers in one form: what figures, tables, claims and the leaderboard are drawn from.

A point is one mean at one setting. Published ones are read from ``published/published.csv`` in the suite's own words,
reproduced ones are the cells of a table of records. Both have the columns COLUMNS, so that one frame can hold them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import errata, stats
from analysis import reported as record
from analysis.errors import AnalysisError
from analysis.records import DISTRIBUTIONS, UNKNOWN, Loaded, Table
from analysis.references import References
from analysis.reported import Architecture, Names, Row
from pipeline.run import Run, Topology

REPORTED, REPRODUCED = "reported", "reproduced"
ACCURACY, BITS, TRAIN_LOSS = "accuracy", "bits_per_character", "train_loss_nats"
METRICS = (ACCURACY, BITS, TRAIN_LOSS)
STILL = {"update_every": math.nan, "drop_fraction": math.nan, "decay": ""}
"""Topology updates that there are not, or that are not known."""
MOVING, STATIC = "sparse-to-sparse", "static"
"""The family whose topology moves, and the method of it whose topology does not."""
UPDATED = ("set", "snfs", "rigl")
"""Methods that a source means by what it states of topology updates."""
RUNS = "runs"
"""Source of a record that no study's folder holds."""
NO_DISTRIBUTION = ("", "dense", "custom")
"""Published words for a distribution that say nothing of a sparse network."""

COLUMNS = {
    "kind": "str",  # REPORTED or REPRODUCED
    "source": "str",  # key of the bibliography, or the studies whose folders hold the records
    "cited": "str",  # of a published number: "Evci et al. 2020"
    "place": "str",  # in the source
    "url": "str",
    "method": "str",  # id; empty where the suite has no such method
    "label": "str",  # as printed, or the method's label
    "series": "str",  # name of the line it belongs to: label, distribution, variant
    "family": "str",
    "model": "str",
    "model_words": "str",  # the model, with the options that make it another network
    "dataset": "str",  # id; as printed where the suite has no such data set
    "layout": "str",  # empty of published numbers
    "distribution": "str",
    "variant": "str",
    "start": "str",
    "options": "str",  # of the method: "momentum=0.99", empty where all are at their defaults
    "sparsity": "float64",  # requested; not a number where it is an outcome, or not stated
    "achieved_sparsity": "float64",  # over all layers
    "multiplier": "float64",
    "update_every": "float64",  # not a number, and an empty decay, where topology does not move or it is not known how
    "drop_fraction": "float64",
    "decay": "str",
    "metric": "str",  # one of METRICS
    "mean": "float64",  # accuracies are fractions
    "std": "float64",  # as published, if it is one; of our runs, over seeds
    "low": "float64",  # 95 % t interval over our own seeds; not a number of published means
    "high": "float64",
    "n": "float64",  # runs that the mean is over; not a number where that is not stated
    "diverged": "int64",
    "failed": "int64",
    "skipped": "int64",
    "train_x": "float64",
    "inference_x": "float64",
    "size_bytes": "float64",
    "erratum": "str",  # why a number is suspect
    "suspect": "str",  # which of them: some of errata.FIELDS
    "digitised": "bool",
    "protocol": "str",  # shared by cells that were trained alike but for the method, its updates, sparsity and length
    "cell": "str",  # digest of the cell; both are empty of published numbers
}


def reported(references: References) -> pd.DataFrame:
    """One row a published accuracy, in the record's order, with the columns COLUMNS.

    Multiples of FLOPs are those of the same row, a size is that of the like row. A standard deviation of which the errata
    say that it is something else is not a number. Raises AnalysisError for a name that ``names.yaml`` does not have, a
    method that the suite does not, a key that is in no bibliography, and a number that is none, with the line.
    """
    # Imported here: it imports torch, which those who only reproduce do without.
    from sparse_methods.methods import METHODS

    rows, names = record.rows(), record.names()
    _check_methods(names, METHODS)
    ranked = [row for row in rows if _metric_of(row, names) in METRICS]
    sizes = _sizes(rows, names)
    suspect = errata.of(ranked, errata.load())
    points = []
    for row in ranked:
        family = getattr(METHODS.get(names.method(row.method) or ""), "family", "")
        try:
            point = _reported(row, names, references)
        except ValueError as error:
            raise AnalysisError(
                f"{row.file}, line {row.line}: {error}\nits columns must be numbers or empty"
            ) from error
        points.append(
            point
            | {"family": family, "size_bytes": sizes.get(_identity(row))}
            | _doubts(point, suspect.get(row.line, []))
        )
    return _frame(points)


def reproduced(table: Table) -> pd.DataFrame:
    """Two rows a cell of ``table``, with the columns COLUMNS: its quality, and the training loss of those that have any.

    The quality is bits per character where the data set is a text, else accuracy; a cell of which no run is done has it
    with n = 0. Cells are in the order of ``analysis.stats.cells``.
    """
    frame = table.current
    if frame.empty:
        return _frame([])
    runs = {item.record.run: item for item in table.loaded}
    texts = set(frame.loc[frame["bits_per_character"].notna(), "dataset"])
    groups = dict(list(frame.groupby("cell", sort=False)))
    points = []
    for _, cell in stats.cells(frame).iterrows():
        group = groups[cell["cell"]]
        about = _about(cell, [runs[run] for run in group["run"]])
        points.append(about | _over_seeds(group, BITS if cell["dataset"] in texts else ACCURACY))
        if cell["n"]:
            points.append(about | _over_seeds(group, TRAIN_LOSS))
    return _frame(points)


def both(references: References, table: Table) -> pd.DataFrame:
    """Every published point, then every reproduced one."""
    return pd.concat([reported(references), reproduced(table)], ignore_index=True)


def _frame(points: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    texts = {name: "" for name, kind in COLUMNS.items() if kind == "str"}
    counts = {name: 0 for name, kind in COLUMNS.items() if kind == "int64"}
    empty = texts | counts | {"digitised": False}
    return pd.DataFrame([empty | dict(point) for point in points], columns=list(COLUMNS)).astype(COLUMNS)


# -- published ------------------------------------------------------------------------------------------------------------


def _reported(row: Row, names: Names, references: References) -> dict[str, Any]:
    metric, source = names.metric(row.metric), names.source(row.source_key)
    method, network = names.method(row.method), names.model(row.model)
    distribution = names.distribution(row.distribution) or ""
    std = metric.spread(row.std)
    return {
        "kind": REPORTED,
        "source": source.citation,
        "cited": cited(references.entry(source.citation)),
        "place": " ".join(re.sub(r"\[[^]]*\]", "", row.where_in_source).split()),
        "url": row.source_url.split()[0],
        "method": method or "",
        "label": row.method,
        "series": _series(row.method, distribution, _variant(row, names)),
        "model": network.model,
        "model_words": _words(network),
        "dataset": names.dataset(row.dataset) or row.dataset,
        "distribution": distribution,
        "variant": _variant(row, names),
        "sparsity": _number(row.sparsity),
        "achieved_sparsity": math.nan,
        "multiplier": _number(row.train_multiplier),
        **(STILL | (names.updates(row.method, row.source_key) if method in UPDATED else {})),
        "metric": metric.metric,
        "mean": metric.value(row.value),
        "std": std,
        "n": math.nan if math.isnan(std) or source.runs is None else source.runs,
        "train_x": _number(row.train_flops_x),
        "inference_x": _number(row.test_flops_x),
        "digitised": metric.digitised,
    }


def cited(entry: Mapping[str, str]) -> str:
    """ "Evci et al. 2020", "Dettmers & Zettlemoyer 2019", "Evci 2020, issue 8": the short form of a reference."""
    families = [author.split(",")[0].strip() for author in re.split(r"\s+and\s+", entry["author"])]
    first = " & ".join(families) if len(families) < 3 else f"{families[0]} et al."
    return ", ".join([f"{first} {entry['year']}", *([entry["shorttitle"]] if "shorttitle" in entry else [])])


def _metric_of(row: Row, names: Names) -> str | None:
    metric = names.metric(row.metric)
    return metric and metric.metric


def _check_methods(names: Names, methods: Mapping[str, Any]) -> None:
    for published, method in names.tables["methods"].items():
        if method is not None and method not in methods:
            raise AnalysisError(f"{record.NAMES.name} calls {published!r} {method!r}\nmethods are {', '.join(methods)}")


def _identity(row: Row) -> tuple[str, ...]:
    """What a row shares with the others of the same network."""
    return (row.source_key, row.method, row.model, row.dataset, row.sparsity, row.distribution, row.train_multiplier)


def _sizes(rows: Iterable[Row], names: Names) -> dict[tuple[str, ...], float]:
    return {
        _identity(row): names.metric(row.metric).value(row.value)
        for row in rows
        if _metric_of(row, names) == "size_bytes"
    }


def _doubts(point: Mapping[str, Any], found: Sequence[errata.Erratum]) -> dict[str, Any]:
    fields = [name for name in errata.FIELDS if any(name in erratum.fields for erratum in found)]
    doubts = {"erratum": "; ".join(erratum.reason for erratum in found), "suspect": " ".join(fields)}
    return doubts | ({"std": math.nan, "n": math.nan} if "std" in fields else {})


def _variant(row: Row, names: Names) -> str:
    """The distribution that the suite does not have, and how the number was measured if not at the last step."""
    foreign = names.distribution(row.distribution) is None and row.distribution not in NO_DISTRIBUTION
    return ", ".join(part for part in (row.distribution if foreign else "", names.metric(row.metric).variant) if part)


def _series(label: str, distribution: str, variant: str) -> str:
    shared = "" if distribution in ("", "uniform") else DISTRIBUTIONS[distribution]
    return ", ".join(part for part in (label, shared, variant) if part)


def _words(network: Architecture) -> str:
    """ "mobilenet_v1, width 1.98"; "lenet300, 408-100-69": the sizes of a network of other inputs and hidden layers."""
    if "hidden" in network.options:
        return f"{network.model}, {'-'.join(map(str, (*network.input, *network.options['hidden'])))}"
    return ", ".join([network.model, *(f"{name} {value:g}" for name, value in network.options.items())])


def _number(text: str) -> float:
    return float(text) if text else math.nan


# -- reproduced -----------------------------------------------------------------------------------------------------------


def _about(cell: pd.Series, runs: Sequence[Loaded]) -> dict[str, Any]:
    run = runs[0].run
    topology = run.protocol.topology
    moves = cell["family"] in (MOVING, UNKNOWN) and cell["method"] != STATIC
    updates = {name: getattr(topology, name) for name in STILL}
    options = ", ".join(f"{name} {value}" for name, value in sorted(run.model_options.items()))
    copied = ("method", "series", "family", "model", "dataset", "layout", "distribution", "variant", "start", "cell")
    costs = ("train_x", "inference_x", "size_bytes", "achieved_sparsity", "sparsity", "multiplier")
    return {
        **{name: cell[name] for name in (*copied, *costs, "diverged", "failed", "skipped")},
        "kind": REPRODUCED,
        "source": ", ".join(sorted({_study(item.source) for item in runs})),
        "label": cell["method_label"],
        "model_words": ", ".join(part for part in (cell["model"], options) if part),
        "options": ", ".join(f"{name}={value}" for name, value in sorted(run.method_options.items())),
        "protocol": _protocol(run),
        **(updates if moves else STILL),
    }


def _protocol(run: Run) -> str:
    """A digest of what two cells of one figure must share whatever the figure varies."""
    training = replace(run.protocol, topology=Topology())
    varied = {"method": "any", "method_options": {}, "distribution": "uniform", "sparsity": 0.0, "multiplier": 1.0}
    return replace(run, **varied, protocol=training, start_from=None, snapshots=()).cell_digest


def _over_seeds(group: pd.DataFrame, metric: str) -> dict[str, Any]:
    done = group[group["status"] == "done"]
    values = done[metric].astype("float64")
    found = stats.interval(values)
    return {
        "metric": metric,
        "mean": found.mean,
        "n": found.n,
        "low": found.low,
        "high": found.high,
        "std": values.std(),
    }


def _study(source: str) -> str:
    """The study whose committed records ``source``, a file and perhaps a line of it, is of."""
    path = Path(re.sub(r":\d+$", "", source))
    return path.parent.name if path.name == "records.jsonl" else RUNS

"""From record files to one tidy table with one row per run.

A record is ``<run>/record.json`` (made by the workflow) or one line of a ``records.jsonl`` (committed, under
``results/reference``). Nothing is dropped: failures and skips are rows, and a file that cannot be read is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from analysis.errors import AnalysisError
from analysis.variants import start_of, variants
from pipeline.record import COMPARABILITY_VERSION, SCHEMA_VERSION, LayerCount, Ledger, Record
from pipeline.run import Run, Topology, run_from_dict

STATUSES = ("done", "diverged", "skipped", "failed")
CONVENTIONS = ("macs", "rigl")
BASELINES = ("dense", "small_dense", "static")
"""Listed first, whatever their family and year; other methods follow by family and year."""
FAMILIES = ("dense", "one-shot", "sparse-to-sparse", "dense-to-sparse")
DISTRIBUTIONS = {"uniform": "uniform", "erdos_renyi": "ER", "erk": "ERK"}
UNKNOWN = "unknown"
"""Said of a method that has no file here."""
SUITE = "rigl-bench"
AGAIN = "delete it and run again, or use `rigl-bench retry`"

_RECORD = TypeAdapter(Record)

# Totals of FLOPs exceed 64-bit integers on ImageNet at 5x, so ledgers are float64 (exact to one part in 10^15).
COLUMNS = {
    "run": "str",
    "cell": "str",  # shared by the runs that differ in nothing but the seed
    "setting": "str",  # shared by the cells that differ in nothing but the method, its options and topology updates
    "model": "str",
    "dataset": "str",
    "method": "str",
    "method_label": "str",
    "family": "str",
    "year": "Int64",
    "citation": "str",  # BibTeX key, empty where there is none
    "dense_parts": "str",  # what is dense during training, empty where nothing is
    "distribution": "str",  # empty where the method gives it no meaning
    "layout": "str",
    "variant": "str",  # see analysis.variants
    "start": "str",  # what is taken from the run that this one starts from; empty where there is none
    "series": "category",  # name of the line or row: label, distribution, variant; ordered by family, then year
    "sparsity": "float64",  # requested; not a number where it is an outcome
    "sparsity_is_outcome": "bool",  # the method cannot be asked for one (STR)
    "achieved_sparsity": "float64",  # over all layers, unmasked ones included
    "missing_weights": "float64",  # share of the weights asked for that are not there at the end
    "free_layers": "str",  # why layers hold other numbers of weights than asked for; empty where they do not
    "multiplier": "float64",
    "seed": "int64",
    "status": "str",  # one of STATUSES
    "reason": "str",  # of a skip or a failure
    "accuracy": "float64",  # test_correct / test_total; not a number unless done, as the next five
    "test_correct": "Int64",
    "test_total": "Int64",
    "test_loss_nats": "float64",
    "train_loss_nats": "float64",
    "bits_per_character": "float64",
    **{f"{convention}_{field.name}": "float64" for convention in CONVENTIONS for field in fields(Ledger)},
    "explored": "float64",  # share of masked layers' weights that were ever active
    "peak_parameter_bytes": "Int64",  # what the method states for the worst moment of training
    "size_bytes": "Int64",  # by the authors' rule
    "file_bytes": "Int64",  # of the network as exported
    "train_seconds": "float64",
    "step_seconds": "float64",  # mean over the gradient steps of a run that is done, topology updates included
    "step_x": "float64",  # over the mean of the dense runs of the same model and data set on the same hardware
    "peak_memory_bytes": "Int64",
    "finished": "str",  # UTC, ISO 8601; empty where nothing was trained
    "device": "str",
    "hardware": "str",
    "execution": "str",  # masked or sparse; empty where nothing was trained
    "suite": "str",  # version of this suite, where the record has it
    "commit": "str",
    "source_digest": "str",
    "schema_version": "int64",
    "comparability_version": "int64",
}


@dataclass(frozen=True)
class Loaded:
    """A record, the run it is of, and where it was read."""

    source: str
    record: Record
    run: Run


@dataclass(frozen=True)
class Table:
    """Tidy rows of the current comparability version, and those of any other, which are never averaged with them."""

    current: pd.DataFrame
    apart: pd.DataFrame
    loaded: tuple[Loaded, ...] = ()
    """The records of ``current``."""


def load(folders: Iterable[Path], methods: Mapping[str, Any], runs: Sequence[str] | None = None) -> Table:
    """The tidy table of the records below ``folders``, in the columns of COLUMNS.

    ``methods`` is ``sparse_methods.methods.METHODS``; of its classes what they state is read: label, family, year, citation,
    dense_parts, ignores, exempt and starts. ``runs`` restricts to these run paths. Raises AnalysisError as ``read`` does.
    """
    return _table(read(folders, runs), methods)


def union(folders: Iterable[Path], methods: Mapping[str, Any]) -> Table:
    """The table of several folders, of which some hold the same run, as a study may repeat another's cell.

    Of the records of a run the latest counts, of those of equal date the last folder's; none of an older comparability version
    beside one of a newer. Raises AnalysisError as ``read`` does for each folder, and when two records of a run, made by the
    same code, differ in their result.
    """
    found: dict[str, list[Loaded]] = {}
    for folder in folders:
        for item in read([folder]):
            others = found.setdefault(item.record.run, [])
            for other in others:
                _check_agreement(other, item)
            others.insert(0, item)
    return _table([max(found[run], key=_recency) for run in sorted(found)], methods)


def _table(loaded: Sequence[Loaded], methods: Mapping[str, Any]) -> Table:
    frame = tidy(loaded, methods)
    current = frame["comparability_version"] == COMPARABILITY_VERSION
    ours = tuple(item for item in loaded if item.record.comparability_version == COMPARABILITY_VERSION)
    return Table(frame[current].reset_index(drop=True), frame[~current].reset_index(drop=True), ours)


def _recency(item: Loaded) -> tuple[int, str]:
    timing = item.record.timing
    return item.record.comparability_version, timing.finished if timing else ""


def _check_agreement(one: Loaded, other: Loaded) -> None:
    """Raise AnalysisError where equal code gave one run two results."""
    made_by = {(item.record.comparability_version, item.record.provenance.source_digest) for item in (one, other)}
    results = [item.record.result for item in (one, other) if item.record.result is not None]
    if len(made_by) == 1 and len({result.test_correct for result in results}) > 1:
        counts = " and ".join(f"{result.test_correct} of {result.test_total}" for result in results)
        raise AnalysisError(
            f"run {one.record.run} has {counts} right, in {one.source} and {other.source}, by the same code\n"
            "find out which is wrong, and delete it"
        )


def read(folders: Iterable[Path], runs: Sequence[str] | None = None) -> list[Loaded]:
    """The records below ``folders``, sorted by run.

    Raises AnalysisError for a missing folder, an unreadable or foreign record, a run found twice, and a run of ``runs``
    without a record.
    """
    wanted = None if runs is None else set(runs)
    found: dict[str, Loaded] = {}
    for folder in folders:
        for source, text in _texts(Path(folder), wanted):
            loaded = _parse(source, text)
            run = loaded.record.run
            if wanted is not None and run not in wanted:
                continue
            if run in found:
                raise AnalysisError(f"run {run} has two records: {found[run].source} and {source}\nkeep one of them")
            found[run] = loaded
    missing = sorted((wanted or set()) - set(found))
    if missing:
        raise AnalysisError(
            f"{len(missing)} of {len(wanted or ())} runs have no record, the first of them {missing[0]}\n"
            "run the study to its end, or leave these runs out of --runs"
        )
    return [found[run] for run in sorted(found)]


def collect(folders: Iterable[Path], destination: Path, runs: Sequence[str] | None = None) -> int:
    """Write the records below ``folders`` to ``destination``, a records.jsonl to commit. Returns their number.

    One compact JSON object per line, sorted by run. Raises AnalysisError as ``read`` does, and when there are none.
    """
    loaded = read(folders, runs)
    if not loaded:
        raise AnalysisError("there are no records to collect\nrun a study first")
    lines = [json.dumps(asdict(item.record), separators=(",", ":"), allow_nan=False) + "\n" for item in loaded]
    destination.parent.mkdir(parents=True, exist_ok=True)
    destination.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def tidy(loaded: Sequence[Loaded], methods: Mapping[str, Any]) -> pd.DataFrame:
    """One row per record, typed and named by COLUMNS, in the order in which tables and legends list them."""
    told = variants([item.run for item in loaded])
    rows = [_row(item, methods, variant) for item, variant in zip(loaded, told, strict=True)]
    rows.sort(key=_place_of)
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    frame["step_x"] = _over_dense(frame)
    frame["series"] = pd.Categorical(frame["series"], categories=frame["series"].astype("str").unique(), ordered=True)
    panels = ["model", "dataset", "layout", "multiplier", "sparsity", "series", "cell", "seed"]
    return frame.sort_values(panels, kind="stable", ignore_index=True)


def _over_dense(frame: pd.DataFrame) -> pd.Series:
    """Seconds of a step over those of the dense network, wherever it was trained on the same hardware."""
    place = ["model", "dataset", "hardware"]
    dense = frame.loc[frame["method"] == "dense"].groupby(place)["step_seconds"].mean()
    return frame["step_seconds"] / frame[place].merge(dense.rename("dense"), "left", on=place)["dense"]


def _texts(folder: Path, wanted: set[str] | None) -> Iterator[tuple[str, str]]:
    if not folder.is_dir():
        raise AnalysisError(f"{folder} is not a folder\n--records takes results/runs or a folder of results/reference")
    # A folder of runs serves several studies: a broken record of another study must not stop this one.
    files = folder.rglob("record.json") if wanted is None else (folder / run / "record.json" for run in wanted)
    for file in sorted(files):
        if file.is_file():
            yield str(file), _text(file)
    for file in sorted(folder.rglob("records.jsonl")):
        for number, line in enumerate(_text(file).splitlines(), start=1):
            yield f"{file}:{number}", line


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise AnalysisError(f"{file} is not text: {error}\n{AGAIN}") from error


def _parse(source: str, text: str) -> Loaded:
    try:
        data = json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise AnalysisError(f"{source} is truncated or not JSON: {error}\n{AGAIN}") from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise AnalysisError(f"{source} has schema version {version}, this suite reads {SCHEMA_VERSION}\n{AGAIN}")
    try:
        record = _RECORD.validate_python(data)
        run = run_from_dict(record.config)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise AnalysisError(f"{source} is not a record: {place}: {first['msg']}\n{AGAIN}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise AnalysisError(f"{source} has a configuration of another kind: {error!r}\n{AGAIN}") from error
    if record.run != run.path:
        raise AnalysisError(f"{source} says it is run {record.run}, its configuration is run {run.path}\n{AGAIN}")
    _check_outcome(source, record)
    return Loaded(source, record, run)


def _check_outcome(source: str, record: Record) -> None:
    kind = _status(record)[0]
    if kind not in STATUSES:
        raise AnalysisError(f"{source} has status {record.status!r}, one of {', '.join(STATUSES)} was due\n{AGAIN}")
    if (kind == "done") != (record.result is not None):
        raise AnalysisError(f"{source} has status {record.status!r}; done, and only done, has a result\n{AGAIN}")
    foreign = set(record.flops) - set(CONVENTIONS)
    if foreign or (kind == "done" and len(record.flops) < len(CONVENTIONS)):
        held = ", ".join(sorted(record.flops)) or "none"
        raise AnalysisError(f"{source} has the ledgers {held}, due are {', '.join(CONVENTIONS)}\n{AGAIN}")


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number of JSON")


def _status(record: Record) -> tuple[str, str]:
    kind, _, reason = record.status.partition(": ")
    return kind, reason


def _row(item: Loaded, methods: Mapping[str, Any], variant: str) -> dict[str, Any]:
    record, run = item.record, item.run
    method = methods.get(run.method)
    label = run.method if method is None else method.label
    ignored = getattr(method, "ignores", ())
    distribution = "" if "distribution" in ignored else run.distribution
    shared = "" if distribution in ("", "uniform") else DISTRIBUTIONS[distribution]
    is_outcome = "sparsity" in ignored and method.starts != "unmasked"
    status, reason = _status(record)
    result, timing, provenance, work = record.result, record.timing, record.provenance, record.work
    row = {
        "run": record.run,
        "cell": run.cell_digest,
        "setting": _setting(run, getattr(method, "starts", "random")),
        "model": run.model,
        "dataset": run.dataset,
        "method": run.method,
        "method_label": label,
        "family": getattr(method, "family", UNKNOWN),
        "year": getattr(method, "year", None),
        "citation": getattr(method, "citation", None) or "",
        "dense_parts": "; ".join(getattr(method, "dense_parts", (UNKNOWN,))),
        "distribution": distribution,
        "layout": run.layout,
        "variant": variant,
        "start": start_of(run),
        "series": ", ".join(part for part in (label, shared, variant) if part),
        "sparsity": None if is_outcome else run.sparsity,
        "sparsity_is_outcome": is_outcome,
        "achieved_sparsity": record.sparsity,
        "missing_weights": None if is_outcome else _missing(record.layers),
        "free_layers": "" if is_outcome else _free_layers(record.layers, getattr(method, "exempt", {})),
        "multiplier": run.multiplier,
        "seed": run.seed,
        "status": status,
        "reason": reason,
        "explored": record.explored,
        "peak_parameter_bytes": record.peak_parameter_bytes,
        "size_bytes": record.size_bytes,
        "file_bytes": record.file_bytes,
        "finished": timing.finished if timing else "",
        "train_seconds": timing.train_seconds if timing else None,
        "step_seconds": timing.train_seconds / work.gradient_steps if status == "done" else None,
        "step_x": None,  # needs the dense runs
        "peak_memory_bytes": timing.peak_memory_bytes if timing else None,
        "device": provenance.device,
        "hardware": provenance.hardware,
        "execution": (record.execution or "masked") if work else "",
        "suite": provenance.versions.get(SUITE, ""),
        "commit": provenance.commit or "",
        "source_digest": provenance.source_digest,
        "schema_version": record.schema_version,
        "comparability_version": record.comparability_version,
    }
    if result is not None:
        row |= asdict(result) | {"accuracy": result.test_correct / result.test_total}
    for convention, ledger in record.flops.items():
        row |= {f"{convention}_{name}": value for name, value in asdict(ledger).items()}
    return row


def _setting(run: Run, starts: str) -> str:
    """What two methods must share to be compared: everything but the method and how it finds or moves its topology."""
    protocol = replace(run.protocol, topology=Topology())
    finds_its_mask = run.start_from is not None and run.start_from.take == "mask" and starts == "origin"
    start = None if finds_its_mask else run.start_from
    return replace(run, method="any", method_options={}, protocol=protocol, start_from=start, snapshots=()).cell_digest


def _missing(layers: Sequence[LayerCount]) -> float | None:
    """Share of the weights asked for that are not there; rounding to whole weights does not count."""
    asked = sum(layer.weights * (1 - layer.requested_sparsity) for layer in layers)
    missing = asked - sum(layer.nonzeros for layer in layers)
    return None if not asked else missing / asked if abs(missing) >= len(layers) else 0.0


def _free_layers(layers: Sequence[LayerCount], exempt: Mapping[str, str]) -> str:
    """Why layers hold other numbers of weights than asked for, as the method says it; empty where all hold theirs."""
    asked = {layer.layer: layer.weights * (1 - layer.requested_sparsity) for layer in layers}
    if all(abs(layer.nonzeros - asked[layer.layer]) < 1 for layer in layers):
        return ""
    return exempt.get("layer counts", "layers do not keep the numbers asked for")


def place(method: str, family: str, year: int | None, series: str) -> tuple:
    """Where tables and legends list a method's series: baselines first, then by family and year."""
    baseline = BASELINES.index(method) if method in BASELINES else len(BASELINES)
    rank = FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)
    parts = re.split(r"([0-9]+(?:\.[0-9]+)?)", series)
    natural = [float(part) if index % 2 else part for index, part in enumerate(parts)]
    return baseline, rank, year or 0, method, natural


def _place_of(row: Mapping[str, Any]) -> tuple:
    series = place(row["method"], row["family"], row["year"], row["series"])
    return series, row["model"], row["dataset"], row["layout"], row["sparsity"] or 0.0, row["run"]

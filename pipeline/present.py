"""Tables and progress on a terminal, by rich, and what a method says of itself. Nothing is computed here."""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from pipeline import models
from pipeline.cost import CONVENTIONS
from pipeline.export import FileSize, file_bytes
from pipeline.forecast import Forecast, Growth, hours, total_disk
from pipeline.plan import Spec
from pipeline.run import Run
from pipeline.status import StudyStatus
from pipeline.study import Study
from pipeline.width import UNITS, Solution
from sparse_methods.method import Method
from sparse_methods.network import LayerCount

# Piped output is not cut to the 80 columns that a terminal would have by default.
out = Console(width=None if sys.stdout.isatty() else 200)


def print_json(value: Any) -> None:
    """Print what a program reads: plain, whatever the terminal."""
    print(json.dumps(value, indent=1))


@contextlib.contextmanager
def progress(runs: Sequence[Run], console: Console) -> Iterator[Callable[[Run, int, int], None]]:
    """A bar over all steps of ``runs`` on a terminal, a line per finished run elsewhere."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("steps", total=sum(run.steps for run in runs))
        reached: dict[str, int] = {}

        def report(run: Run, step: int, steps: int) -> None:
            reached[run.path] = step
            bar.update(task, completed=sum(reached.values()), description=run.cell)
            if step == steps and not console.is_terminal:
                console.print(f"trained {run.path}", highlight=False, soft_wrap=True)

        yield report


def runs_table(study: Study, status: StudyStatus, variants: Sequence[str]) -> Table:
    """One row a cell: its runs by status, and the seconds of one; ``variants`` add to each run's name what it does not say."""
    by_run = {row.run: row for row in status.runs}
    cells: dict[str, list[Run]] = {}
    names: dict[str, str] = {}
    for run, variant in zip(study.runs, variants, strict=True):
        cells.setdefault(run.cell_digest, []).append(run)
        names[run.cell_digest] = f"{run.cell}  {variant}".rstrip()
    table = _table(study.title, "cell", "runs", "status", "seconds a run")
    for digest, runs in cells.items():
        rows = [by_run[run.path] for run in runs]
        counts = Counter(row.status.partition(":")[0] for row in rows)
        seconds = [row.seconds for row in rows if row.seconds is not None]
        mean = f"{sum(seconds) / len(seconds):.1f}" if seconds else "-"
        words = ", ".join(f"{count} {name}" for name, count in counts.items())
        table.add_row(names[digest], str(len(runs)), words, mean)
    return table


def status_line(status: StudyStatus) -> str:
    """The study in a sentence."""
    counts = ", ".join(f"{count} {name}" for name, count in status.counts.items())
    if not any(status.counts.get(name) for name in ("left", "started")):
        return f"{status.study}: {counts}; nothing is left to do"
    left = "time left unknown until a run is done"
    if status.seconds_left is not None:
        left = f"about {status.seconds_left / 60:.1f} minutes of one process left"
    return f"{status.study}: {counts}; {left}"


def forecast_table(found: Forecast) -> Table:
    """One row a network and method: runs, both kinds of FLOPs, hours and disk; then the whole study."""
    unit = found.device.unit
    table = _table(
        f"{found.study.title}: what it costs",
        *("network", "method", "runs", "left", "training FLOPs", "executed FLOPs", unit, f"{unit} left", "disk"),
    )
    for row in found.rows():
        bound = "<= " if row.upper_bound else ""
        flops = (f"{bound}{row.train_flops:.3g}", f"{row.executed_flops:.3g}")
        used = (*map(_hours, (row.hours, row.hours_left)), _bytes(row.disk_bytes))
        table.add_row(row.network, row.method, str(row.runs), str(row.left), *flops, *used)
    table.add_section()
    runs, left = found.runs, found.left
    bound = "<= " if found.bounded else ""
    flops = (f"{bound}{sum(r.train_flops for r in runs):.3g}", f"{sum(r.executed_flops for r in runs):.3g}")
    used = (*(_hours(hours(some, found.device)) for some in (runs, left)), _bytes(total_disk(runs).total))
    table.add_row("all", "", str(len(runs)), str(len(left)), *flops, *used)
    return table


def forecast_lines(found: Forecast) -> Iterator[str]:
    """What must be said with the table: how far the study is, and where each number comes from."""
    counts = ", ".join(f"{count} {name}" for name, count in found.counts.items())
    yield f"{found.study.name}: {len(found.runs)} runs in {found.jobs} jobs: {counts}; {found.jobs_left} jobs left"
    bounds = "; ".join(f"{method}: {reason}" for method, reason in found.bounded.items())
    yield "training FLOPs: closed forms of the methods, authors' counting" + (f"; at most, for {bounds}" * bool(bounds))
    yield "executed FLOPs: dense passes of what is trained, two a multiply-add: masks make a device skip nothing"
    given, unknown = found.throughputs.given, ", ".join(found.unknown)
    if given is not None:
        yield f"{found.device.unit}: at {given:.3g} executed FLOPs a second, as given"
    elif any(run.seconds for run in found.runs):
        yield f"{found.device.unit}: from records of the same networks on {found.device.hardware or 'a device without a name'}"
    if unknown:
        seen = "; ".join(found.throughputs.seen)
        elsewhere = f"records are of {seen}: --hardware takes another" if seen else "there is no record of them"
        yield f"no throughput is known for {unknown} ({elsewhere}): FLOPs only, unless --flops-per-second gives one"
    disk, data = total_disk(found.runs), found.data_bytes
    kept = f"records and curves {_bytes(disk.records)}, weights and masks {_bytes(disk.weights)}"
    snapshots = f", snapshots {_bytes(disk.snapshots)}" if disk.snapshots else ""
    caches = ", ".join(
        f"{name} {'unknown until it is made' if size is None else _bytes(size)}" for name, size in data.items()
    )
    checkpoint = _bytes(max(run.checkpoint_bytes for run in found.runs))
    yield f"disk: {kept}{snapshots}; data {caches}; and at most {checkpoint} of checkpoints for each run in training"


def shared_line(found: Sequence[Forecast]) -> str:
    """Several studies together, a run that several ask for counted once."""
    device = found[0].device
    runs = list({run.run.path: run for one in found for run in one.runs}.values())
    left = [run for run in runs if run.is_left]
    flops = sum(run.train_flops for run in left)
    return (
        f"together: {len(runs)} runs, {len(left)} left, which takes {flops:.3g} training FLOPs, "
        f"{_hours(hours(left, device))} {device.unit} and {_bytes(total_disk(left).total)}"
    )


def growth_table(study: str, growth: Sequence[Growth], unit: str) -> Table:
    """One row a size of the study: what it costs, and what Snakemake's dry run takes."""
    table = _table(
        f"{study} at other sizes, and Snakemake's dry run of each",
        *("runs", "jobs", "training FLOPs", unit, "disk", "dry run", "of a processor", "peak memory"),
    )
    for row in growth:
        costs = (f"{row.train_flops:.3g}", _hours(row.hours), _bytes(row.disk_bytes))
        measured = (f"{row.wall_seconds:.1f} s", f"{row.cpu_seconds:.1f} s", _bytes(row.peak_bytes))
        table.add_row(f"{row.runs:,}", f"{row.jobs:,}", *costs, *measured)
    return table


def layers_table(spec: Spec, rows: Sequence[LayerCount]) -> Table:
    """One row a layer, and the whole."""
    run = spec.run
    table = _of_model(
        spec,
        f", {run.distribution}, sparsity {run.sparsity:g}",
        "layer",
        "shape",
        "weights",
        "nonzeros",
        "sparsity",
        "masked",
    )
    for row in rows:
        table.add_row(
            row.layer,
            _shape(row.shape),
            f"{row.weights:,}",
            f"{row.nonzeros:,}",
            f"{row.sparsity:.4f}",
            "yes" if row.masked else "no",
        )
    weights, nonzeros = sum(row.weights for row in rows), sum(row.nonzeros for row in rows)
    table.add_section()
    table.add_row("all", "", f"{weights:,}", f"{nonzeros:,}", f"{1 - nonzeros / weights:.4f}", "")
    return table


def flops_table(spec: Spec) -> Table:
    """One row a layer, and the whole: multiply-adds when dense, FLOPs at the requested sparsity in both conventions."""
    rows, layers = spec.layers(), spec.network.layers
    columns = ("layer", "shape", "sparsity", "dense MACs", *(f"FLOPs ({convention})" for convention in CONVENTIONS))
    table = _of_model(spec, ", one sample forward", *columns)
    for layer, row in zip(layers, rows, strict=True):
        costs = [f"{layer.flops(row.nonzeros, convention):,}" for convention in CONVENTIONS]
        table.add_row(layer.layer, _shape(layer.shape), f"{row.sparsity:.4f}", f"{layer.macs:,}", *costs)
    nonzeros = {row.layer: row.nonzeros for row in rows}
    sparsity = 1 - sum(nonzeros.values()) / sum(row.weights for row in rows)
    total = [f"{spec.network.inference_flops(convention, nonzeros):,}" for convention in CONVENTIONS]
    table.add_section()
    table.add_row("all", "", f"{sparsity:.4f}", f"{sum(layer.macs for layer in layers):,}", *total)
    return table


def costs_table(spec: Spec) -> Table:
    """The whole network's cost by convention, and its size."""
    size = f"size {spec.size_bytes():,} bytes, exported file {file_bytes(spec):,}"
    table = _table(
        f"{spec.run.method}, multiplier {spec.run.multiplier:g}; {size}; x: over the dense network of these options",
        *("convention", "dense inference FLOPs", "inference FLOPs", "inference x", "train x"),
    )
    for convention, cost in spec.costs().items():
        train_x = "-" if cost["train_x"] is None else f"{cost['train_x']:.4f}"
        table.add_row(
            convention,
            f"{cost['dense_inference_flops']:,}",
            f"{cost['inference_flops']:,}",
            f"{cost['inference_x']:.4f}",
            train_x,
        )
    return table


def published_table(spec: Spec, cells: Sequence[Mapping[str, Any]]) -> Table:
    """One row a published cell: reported, recomputed as stated and as it seems to have been done, and the verdict."""
    keys = ("source", "line", "method", "sparsity", "distribution", "multiplier", "metric", "published")
    table = _table(f"{spec.run.model} as published, beside recomputed", *keys, "recomputed", "verdict")
    for cell in cells:
        numbers = [cell[key] for key in ("recomputed", "recomputed_otherwise") if cell[key] is not None]
        shown = " or ".join(f"{number:.5g}" for number in numbers) or "-"
        table.add_row(*(str(cell[key]) for key in keys), shown, cell["verdict"])
    return table


def widths_table(spec: Spec, found: Sequence[Solution]) -> Table:
    """One row a target: the widest network that meets it."""
    run = spec.run
    table = _of_model(
        spec,
        f", {run.distribution}, sparsity {run.sparsity:g}",
        *("network", "measure", "target", "width", "reached"),
    )
    for solution in found:
        network = "sparse" if solution.sparse else "dense"
        target, unit = f"{solution.target:,.15g}", UNITS[solution.measure]
        width, reached = (
            ("-", solution.reason)
            if solution.width is None
            else (f"{solution.width:.4f}", f"{solution.reached:,} {unit}")
        )
        table.add_row(network, solution.measure, target, width, reached)
    return table


def file_table(file: Path, size: FileSize, size_bytes: int) -> Table:
    """One row a layer: how an exported file stores it, and its bytes; then the whole file beside the authors' rule."""
    table = _table(str(file), "layer", "shape", "nonzeros", "form", "bytes")
    forms = {"mask": "values, bit mask", "indices": "values, indices"}
    for layer in size.layers:
        form = forms.get(layer.form, layer.form)
        table.add_row(layer.layer, _shape(layer.shape), f"{layer.nonzeros:,}", form, f"{layer.bytes:,}")
    table.add_row("biases, normalisation, buffers", "", "", "dense", f"{size.other_bytes:,}")
    table.add_row("header", "", "", "", f"{size.header_bytes:,}")
    table.add_section()
    table.add_row("file", "", "", "", f"{size.file_bytes:,}")
    table.add_row("size by the authors' rule", "", "", "", f"{size_bytes:,}")
    return table


STATED = ("name", "label", "family", "year", "citation", "dense_parts", "cannot", "exempt")


@dataclass(frozen=True)
class MethodCard:
    """What a method's class says of itself; the terminal, ``methods --json`` and the README's table all show this."""

    name: str
    label: str
    family: str
    year: int
    citation: str
    dense_parts: tuple[str, ...]
    cannot: tuple[str, ...]
    exempt: Mapping[str, str]
    """Promises of the contract that it cannot keep, each with the reason."""
    train_flops: str | None
    """Training FLOPs of one sample, in words or symbols; None: no closed form."""
    peak_parameters: str
    """Numbers held at the worst moment of training: S active weights at the end, D all weights."""

    def limits(self) -> tuple[str, ...]:
        """What it cannot be asked for, and which promises it cannot keep."""
        return (*self.cannot, *(f"keep {promise}: {reason}" for promise, reason in self.exempt.items()))

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` gives."""
        return {key: getattr(self, key) for key in STATED if key != "exempt"} | {"cannot": self.limits()}


def method_cards(methods: Mapping[str, type[Method]]) -> list[MethodCard]:
    """One card a method, by name."""
    return [
        MethodCard(
            **{key: getattr(cls, key) for key in STATED},
            train_flops=_train_flops(cls),
            peak_parameters=_peak_parameters(cls),
        )
        for cls in methods.values()
    ]


def methods_table(cards: Sequence[MethodCard]) -> Table:
    """One row a method."""
    table = _table("methods", "name", "label", "family", "year", "citation", "dense in training", "cannot")
    for card in cards:
        dense, cannot = ("; ".join(texts) or "-" for texts in (card.dense_parts, card.limits()))
        table.add_row(card.name, card.label, card.family, str(card.year), card.citation, dense, cannot)
    return table


def _train_flops(cls: type[Method]) -> str | None:
    """First line of the docstring of the method's own ``train_flops``, which states the formula; else the default's."""
    if cls.train_flops is Method.train_flops:
        unknown = cls().train_flops(SimpleNamespace(sparse=1.0)) is None
        return None if unknown else f"3 f_{_all_or_active(cls)}"
    stated = (cls.train_flops.__doc__ or "in the method's file").splitlines()[0]
    return None if stated.startswith("None") else stated


def _peak_parameters(cls: type[Method]) -> str:
    """``peak_parameters`` as a sum of multiples of S and D, which it is but for rounding to whole weights."""
    method, sparse, dense, step = cls(), 100_000, 1_000_000, 10_000
    peak = method.peak_parameters(sparse, dense)
    per_sparse = round((method.peak_parameters(sparse + step, dense) - peak) / step, 2)
    per_dense = round((method.peak_parameters(sparse, dense + step) - peak) / step, 2)
    terms = [(per_sparse, _all_or_active(cls)), (per_dense, "D")]
    return " + ".join(symbol if share == 1 else f"{share:g} {symbol}" for share, symbol in terms if share)


def _all_or_active(cls: type[Method]) -> str:
    """D where every weight is active whatever sparsity is asked for, else S."""
    return "D" if cls.starts == "unmasked" and "sparsity" in cls.ignores else "S"


def _of_model(spec: Spec, title: str, *columns: str) -> Table:
    """A table of a model's numbers, with what must be said of them."""
    table = _table(f"{spec.run.model}{title}", *columns)
    table.caption = models.note(spec.run.model) or None
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column)
    return table


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _hours(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def _bytes(count: int) -> str:
    """With the largest unit of 1000 that leaves a number of 1 or more."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"

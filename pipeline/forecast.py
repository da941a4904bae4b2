"""What a study costs before anything runs: training FLOPs, hours of a device, and disk.

Two kinds of FLOPs, never mixed:

- ``train_flops``: the ledger's, in the authors' counting (``rigl``): the closed form of the method at its sparsity, for every
  batch of the run. Theory: what hardware would do that skips zeros. A method without a closed form, and a run whose network
  another run finds first, is charged as dense, which is the most that it can cost.
- ``executed_flops``: what the run really makes the device do, two a multiply-add: masks are multiplied into dense tensors, so
  three dense passes of the network that is trained for each sample, whatever the sparsity. Hours come from these alone. Under
  ``execution: sparse`` or ``auto`` they are a measure of size, not of work, so their throughput is only ever taken from
  records of the same sparsity.

A throughput is FLOPs executed in a second of training, evaluation and checkpoints included, the start of processes not. It is
given, or measured: the mean over records of the same network, batch size, precision and execution on the same hardware, those
of the same method if there are any. A network that was never measured has none, and then no hours: throughputs of different
networks on one device differ by a hundredfold.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import models
from pipeline.cost import cadence
from pipeline.data import sources
from pipeline.data.published import PUBLISHED, Published
from pipeline.data.tensors import load as load_data
from pipeline.plan import Spec, resolve
from pipeline.provenance import devices_of
from pipeline.record import RECORD
from pipeline.run import Run, run_from_dict
from pipeline.status import LEFT, study_status
from pipeline.study import Study
from pipeline.worker import UserError
from sparse_methods.method import Method

RECORD_REST_BYTES = 1800
"""Of a record, besides its configuration and its layers: ledgers, result, timing, provenance."""
CURVE_BYTES, CURVE_POINT_BYTES = 2200, 64
"""Of a learning curve: names of columns, and its eight numbers a point."""
CHECKPOINT_REST_BYTES = 30_000
"""Of a checkpoint, besides its tensors of weights: random states, the curve, names."""
OPTIMIZER_SLOTS = {"sgd": 1, "adam": 2, "adamw": 2}
"""Numbers that an optimizer keeps for each parameter."""
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Device:
    """What hours are counted of."""

    type: str
    """cpu or cuda."""
    hardware: str | None
    """A part of what records call it; None where it is not here and has no name, and so no records."""
    cores: int
    """Of a process; 1 on CUDA."""

    @property
    def unit(self) -> str:
        """What an hour of it is called."""
        return "GPU-hours" if self.type == "cuda" else "core-hours"


@dataclass(frozen=True)
class Disk:
    """Bytes on disk, file sizes and not blocks."""

    records: int
    """Records, each kept twice, and learning curves."""
    weights: int
    """Final weights and masks."""
    snapshots: int
    """Weights and masks of the steps that runs keep."""

    def __add__(self, other: Disk) -> Disk:
        return Disk(*(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(Disk)))

    @property
    def total(self) -> int:
        """All of it, which stays."""
        return self.records + self.weights + self.snapshots


@dataclass(frozen=True)
class RunForecast:
    """What one run costs."""

    run: Run
    status: str
    """As in ``pipeline.status``."""
    skip: str | None
    """Why it will not be trained, or None."""
    train_flops: int
    upper_bound: str | None
    """Why ``train_flops`` is only the most that it can be; None where it is the closed form."""
    executed_flops: int
    seconds: float | None
    """Of one device, from start to end: measured where it is done, else forecast; None: no throughput is known."""
    disk: Disk
    checkpoint_bytes: int
    """While it runs: two checkpoints, when one takes the other's place."""

    @property
    def is_left(self) -> bool:
        """Whether it is still to be trained."""
        return self.skip is None and self.status in LEFT


@dataclass(frozen=True)
class Throughputs:
    """FLOPs executed in a second."""

    given: float | None
    measured: Mapping[Key, float]
    """By network, with and without the method (``_keys``)."""
    seen: tuple[str, ...] = ()
    """Hardware of the records of these networks."""

    def of(self, spec: Spec) -> float | None:
        """For a run; None where none is known."""
        if self.given is not None:
            return self.given
        return next((self.measured[key] for key in _keys(spec) if key in self.measured), None)


@dataclass(frozen=True)
class MethodForecast:
    """What the runs of one method on one network cost together."""

    network: str
    """Data set and model."""
    method: str
    runs: int
    left: int
    train_flops: int
    upper_bound: str | None
    executed_flops: int
    hours: float | None
    hours_left: float | None
    disk_bytes: int


@dataclass(frozen=True)
class Forecast:
    """What a study costs."""

    study: Study
    runs: tuple[RunForecast, ...]
    jobs: int
    jobs_left: int
    """Jobs with a run that is left."""
    device: Device
    throughputs: Throughputs
    data_bytes: Mapping[str, int | None]
    """Cache of each data set; None: not known before it is made."""

    @property
    def left(self) -> tuple[RunForecast, ...]:
        """Runs that are still to be trained."""
        return tuple(run for run in self.runs if run.is_left)

    @property
    def counts(self) -> dict[str, int]:
        """Runs by status, reasons left out; what is left and will be skipped counts as skipped."""
        kinds = ("skipped" if run.skip and run.status in LEFT else run.status.partition(":")[0] for run in self.runs)
        return dict(Counter(kinds))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Networks of runs that are left and whose throughput is not known."""
        return tuple(dict.fromkeys(_network(run.run) for run in self.left if run.seconds is None))

    @property
    def bounded(self) -> dict[str, str]:
        """Methods whose FLOPs are only an upper bound, each with the reason."""
        return {run.run.method: run.upper_bound for run in self.runs if run.upper_bound}

    def rows(self) -> list[MethodForecast]:
        """By network and method, in the study's order."""
        groups: dict[tuple[str, str], list[RunForecast]] = {}
        for run in self.runs:
            groups.setdefault((_network(run.run), run.run.method), []).append(run)
        return [
            MethodForecast(
                network=network,
                method=method,
                runs=len(runs),
                left=sum(run.is_left for run in runs),
                train_flops=sum(run.train_flops for run in runs),
                upper_bound=next((run.upper_bound for run in runs if run.upper_bound), None),
                executed_flops=sum(run.executed_flops for run in runs),
                hours=hours(runs, self.device),
                hours_left=hours([run for run in runs if run.is_left], self.device),
                disk_bytes=total_disk(runs).total,
            )
            for (network, method), runs in groups.items()
        ]


@dataclass(frozen=True)
class Growth:
    """A study at one size: what it costs, and what Snakemake takes to plan it."""

    runs: int
    jobs: int
    train_flops: int
    hours: float | None
    disk_bytes: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


def hours(runs: Iterable[RunForecast], device: Device) -> float | None:
    """Hours of ``device`` for all of ``runs``, GPU-hours or core-hours; None where those of one are not known."""
    seconds = [run.seconds for run in runs]
    return None if None in seconds else math.fsum(seconds) * device.cores / 3600


def total_disk(runs: Iterable[RunForecast]) -> Disk:
    """What all of ``runs`` leave."""
    return sum((run.disk for run in runs), Disk(0, 0, 0))


def forecast(study: Study, results: Path, device: Device, flops_per_second: float | None = None) -> Forecast:
    """The cost of ``study`` on ``device``.

    ``flops_per_second`` takes the place of what records tell. Raises UserError for a record that cannot be read, for hardware
    of several names, and for a data set whose samples nobody knows yet; ValueError as ``resolve`` does.
    """
    status = {row.run: row for row in study_status(study, results).runs}
    paths = [run.path for run in study.runs]
    # Seeds share everything that is resolved.
    specs: dict[str, Spec] = {}
    cells = [run.cell_digest for run in study.runs]
    for run, cell in zip(study.runs, cells, strict=True):
        if cell not in specs:
            specs[cell] = _resolved(run, results)
    throughputs = _throughputs(list(specs.values()), results, device.hardware, flops_per_second)
    costs = {cell: _cost(spec, throughputs.of(spec)) for cell, spec in specs.items()}
    runs = []
    for run, path, cell in zip(study.runs, paths, cells, strict=True):
        row, cost = status[path], costs[cell]
        took = None if row.seconds is None else row.devices * row.seconds
        seconds = took if row.status not in LEFT else cost.seconds
        runs.append(dataclasses.replace(cost, run=run, status=row.status, seconds=seconds))
    left = {id(run.run) for run in runs if run.is_left}
    jobs = study.jobs()
    return Forecast(
        study=study,
        runs=tuple(runs),
        jobs=len(jobs),
        jobs_left=sum(any(id(run) in left for run in job.runs) for job in jobs),
        device=device,
        throughputs=throughputs,
        data_bytes={name: _data_bytes(name, results) for name in study.datasets},
    )


def samples_of(spec: Spec) -> int:
    """Samples that training draws, those of batches that change topology in place of a step or choose the first mask too."""
    method = spec.method()
    batches = sum(length for _, length, _ in cadence(method, spec.schedule()))
    return (batches + (method.starts == "first_batch")) * spec.run.protocol.batch_size


def executed_flops(spec: Spec, samples: int) -> int:
    """What ``samples`` of training make a device do that knows no zeros."""
    return 3 * spec.network.inference_flops("macs") * samples


def _cost(spec: Spec, flops_per_second: float | None) -> RunForecast:
    run = spec.run
    if spec.skip is not None:
        return RunForecast(run, "left", spec.skip, 0, None, 0, 0.0, Disk(2 * _record_bytes(spec), 0, 0), 0)
    samples = samples_of(spec)
    train_flops, upper_bound = _train_flops(spec, samples)
    executed = executed_flops(spec, samples)
    seconds = None if flops_per_second is None else executed / flops_per_second
    disk, checkpoint = _disk(spec)
    return RunForecast(run, "left", None, train_flops, upper_bound, executed, seconds, disk, checkpoint)


def _train_flops(spec: Spec, samples: int) -> tuple[int, str | None]:
    """The ledger's FLOPs of training in the authors' counting, and why they are only an upper bound."""
    cost, method, batch_size = spec.run_cost("rigl"), spec.method(), spec.run.protocol.batch_size
    one_off = 0
    if method.starts == "first_batch":
        one_off, samples = method.first_mask_flops(cost.dense, batch_size), samples - batch_size
    per_sample = method.train_flops(cost)
    bound = "another run finds its network first" if spec.run.finds_its_network else None
    if per_sample is None:
        per_sample, bound = 3 * cost.dense, "it has no closed form"
    return round(per_sample * samples) + one_off, bound


# -- throughput --------------------------------------------------------------------------------------------------------


def _keys(spec: Spec) -> tuple[Key, Key]:
    """What must be equal for a record to tell a run's throughput: first choice, second choice."""
    run, protocol = spec.run, spec.run.protocol
    sparsity = None if protocol.execution == "masked" else (run.sparsity, run.distribution)
    network = (run.model, spec.input_shape, spec.network.inference_flops("macs"))
    base = (*network, protocol.batch_size, protocol.precision, protocol.execution, sparsity)
    return (*base, run.method), base


def _throughputs(specs: Sequence[Spec], results: Path, hardware: str | None, given: float | None) -> Throughputs:
    if given is not None:
        return Throughputs(given, {})
    executed: Counter[tuple[str, Key]] = Counter()
    seconds: Counter[tuple[str, Key]] = Counter()
    seen: set[str] = set()
    samples = {spec.run.dataset: (spec.input_shape, spec.classes) for spec in specs}
    resolved: dict[str, Spec] = {}
    for source, record in _records(specs, results):
        try:
            run, timing = run_from_dict(record["config"]), record["timing"]
            if record["status"] != "done" or run.finds_its_network:
                continue
            devices, name = devices_of(record["provenance"]["hardware"])
            seen.add(name)
            if hardware is None or hardware not in name:
                continue
            cell = run.cell_digest
            if cell not in resolved:
                shape, classes = samples[run.dataset]
                resolved[cell] = resolve(run, run.sample_shape(shape), classes)
            took = devices * sum(timing[f"{part}_seconds"] for part in ("train", "evaluation", "checkpoint"))
            flops = executed_flops(resolved[cell], record["work"]["samples"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{source} is corrupt ({error!r}); delete it and run again") from error
        for key in _keys(resolved[cell]):
            executed[name, key] += flops
            seconds[name, key] += took
    named = [found for found in sorted(seen) if hardware is not None and hardware in found]
    if len(named) > 1 and hardware not in named:
        raise UserError(f"{hardware!r} names several: say one of {'; '.join(named)}")
    meant = hardware if hardware in named else next(iter(named), None)
    measured = {
        key: executed[name, key] / spent for (name, key), spent in seconds.items() if name == meant and spent > 0
    }
    return Throughputs(None, measured, tuple(sorted(seen)))


def _records(specs: Sequence[Spec], results: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Records of the networks of ``specs``, of this machine and committed, each with its file."""
    networks = {_network(spec.run) for spec in specs}
    for network in sorted(networks):
        for path in sorted((results / "runs" / network).rglob(RECORD)):
            yield str(path), _parsed(path.read_text(), str(path))
    for path in sorted((results / "reference").glob("*/records.jsonl")):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if any(f'"{network}/' in line[:200] for network in networks):
                yield f"{path}:{number}", _parsed(line, f"{path}:{number}")


def _network(run: Run) -> str:
    """Data set and model, as the first folder of a run's path has them."""
    return run.cell.partition("/")[0]


def _parsed(text: str, source: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{source} is corrupt ({error}); delete it and run again") from error


# -- disk --------------------------------------------------------------------------------------------------------------


def _disk(spec: Spec) -> tuple[Disk, int]:
    """What a run leaves, and two checkpoints of it."""
    network = models.skeleton(spec.run.model, spec.input_shape, spec.classes, **spec.options())
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    masked = sum(row.weights for row in spec.layers() if row.masked)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    left = weights + masked  # a mask is a byte a weight
    curve = CURVE_BYTES + CURVE_POINT_BYTES * spec.run.protocol.evaluations
    slots = OPTIMIZER_SLOTS[spec.run.protocol.optimizer.name]
    # Beside weights and optimizer state: masks, the weights that were ever active, and what the method keeps of all weights.
    own = masked * _bytes_of_its_own(spec.method())
    checkpoint = weights + 4 * slots * parameters + 2 * masked + own + CHECKPOINT_REST_BYTES
    return Disk(2 * _record_bytes(spec) + curve, left, len(spec.run.snapshots) * left), 2 * checkpoint


def _bytes_of_its_own(method: Method) -> int:
    """Of a masked weight, at most: a number and a mark, for the parameter behind it and for a method that watches weights."""
    watches = any(getattr(type(method), hook) is not getattr(Method, hook) for hook in ("start", "observe"))
    return 5 * ((method.parameters == "dense") + watches)


def _record_bytes(spec: Spec) -> int:
    layers = [dataclasses.asdict(layer) | {"requested_sparsity": 0.9} for layer in spec.layers()]
    return RECORD_REST_BYTES + len(json.dumps([dataclasses.asdict(spec.run), layers], indent=1))


def _data_bytes(name: str, results: Path) -> int | None:
    path = sources.cache_path(name, results / "cache")
    if path.is_file():
        return path.stat().st_size
    published = PUBLISHED.get(name)
    # A label is eight bytes, a pixel one; a text's length and an index of photographs are known when they are made.
    return sum(published.rows) * (math.prod(published.shape) + 8) if isinstance(published, Published) else None


def _resolved(run: Run, results: Path) -> Spec:
    sample = sources.known_shape(run.dataset)
    if sample is None:
        path = sources.cache_path(run.dataset, results / "cache")
        if not path.exists():
            raise UserError(
                f"the samples of data set {run.dataset!r} are known once it is prepared: run `rigl-bench data "
                f"{run.dataset} --results {results}` first"
            )
        dataset = load_data(path)
        sample = dataset.input_shape, dataset.classes
    shape, classes = sample
    return resolve(run, run.sample_shape(shape), classes)

"""From a study's YAML to its runs and jobs.

A study names what its runs share (``base``), what varies (``grid``: every row is a product of its lists, keys may be dotted
paths such as ``protocol.topology.begin``), how many seeds, and how many runs share a process. ``extends`` takes another
study's keys; ``add`` appends rows to the inherited grid; ``only`` keeps the runs whose fields are among the given values.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline import models
from pipeline.data import sources
from pipeline.factories import is_dotted
from pipeline.landscape import Landscape, LandscapeJob
from pipeline.landscape import jobs as landscape_jobs
from pipeline.plan import equal_flops_multiplier
from pipeline.run import FieldError, LearningRate, Optimizer, Protocol, Run, StartFrom, Topology
from pipeline.yaml_source import StudyError, read
from sparse_methods import methods

STUDIES = Path(__file__).parent / "studies"
RUN = TypeAdapter(Run)
EQUAL_FLOPS = "equal-flops"
"""A multiplier that is solved for: the length at which a run's training costs what the dense network's does."""


class StudyFile(BaseModel):
    """The keys of a study's YAML file."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, title="Study")

    extends: str | None = None
    """Another study, by name or by a path relative to this file; this file's keys go over its."""
    title: str | None = None
    """One line for tables and reports."""
    description: str | None = None
    """What is run on what, and why."""
    base: dict[str, Any] = Field(default_factory=dict)
    """Fields that every run shares; nested mappings are merged with an extended study's."""
    grid: list[dict[str, Any]] | None = None
    """Rows; each is the product of its lists over ``base``. Replaces an extended study's grid."""
    add: list[dict[str, Any]] = Field(default_factory=list)
    """Rows appended to the grid."""
    only: dict[str, list[Any]] = Field(default_factory=dict)
    """Keep the runs whose field is among these values."""
    seeds: Annotated[int, Field(ge=1)] | None = None
    """Repetitions of every cell: seeds 0 to n - 1. Default 1."""
    runs_per_job: Annotated[int, Field(ge=1)] | None = None
    """Runs that share a process, which pays for itself where a run takes seconds. Default 1."""
    landscape: Landscape | None = None
    """What is measured of the loss surface at the final weights; nothing when absent. Replaces an extended study's, which is
    left out where it needs runs that this study lacks."""


@dataclass(frozen=True)
class Job:
    """Runs of one method that share a process."""

    name: str
    runs: tuple[Run, ...]

    @property
    def parents(self) -> tuple[Run, ...]:
        """Runs that this job's runs begin from; never its own."""
        return tuple({run.start_from.run.path: run.start_from.run for run in self.runs if run.start_from}.values())


@dataclass(frozen=True)
class Study:
    """A resolved study: every run it asks for, parents of ``start_from`` included, each once."""

    name: str
    title: str
    description: str
    runs: tuple[Run, ...]
    runs_per_job: int
    landscape: Landscape | None = None

    @property
    def datasets(self) -> tuple[str, ...]:
        """Data sets that the runs need."""
        return tuple(dict.fromkeys(run.dataset for run in self.runs))

    def landscape_jobs(self) -> list[LandscapeJob]:
        """What is measured of the loss surface, each measurement after the runs it names."""
        return landscape_jobs(self.landscape, self.runs) if self.landscape else []

    def jobs(self) -> list[Job]:
        """Runs grouped by method and by depth of ``start_from``, so that parents are always in an earlier job."""
        groups: dict[tuple[int, str], list[Run]] = {}
        for run in self.runs:
            groups.setdefault((_depth(run), run.method), []).append(run)
        jobs = []
        for (depth, method), runs in sorted(groups.items()):
            stem = method if depth == 0 else f"{method}-from{depth}"
            for number, start in enumerate(range(0, len(runs), self.runs_per_job)):
                jobs.append(Job(f"{stem}-{number:03d}", tuple(runs[start : start + self.runs_per_job])))
        return jobs


def study_names() -> list[str]:
    """Names of the studies that come with the suite."""
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def study_path(name: str | Path) -> Path:
    """The study of that name, or that YAML file itself. Raises StudyError naming the studies that there are."""
    return _find(str(name), relative_to=Path())


def load_study(name: str | Path) -> Study:
    """The study of that name, or of that YAML file. Raises StudyError naming file, line, key and the valid choices."""
    path = study_path(name)
    merged = _Merged.of(path, ())
    runs: dict[str, Run] = {}
    for run in _runs(merged):
        known = runs.setdefault(run.path, run)
        if known == run:
            continue
        if replace(known, snapshots=()) != replace(run, snapshots=()):
            raise StudyError(f"{path}: two different runs share the name {run.path}")
        runs[run.path] = replace(run, snapshots=(*known.snapshots, *run.snapshots))
    if not runs:
        raise StudyError(f"{path}: asks for no run: `grid` is empty, or `only` keeps nothing")
    title, description = merged.title or path.stem, merged.description or ""
    study = Study(path.stem, title, description, tuple(runs.values()), merged.runs_per_job or 1, merged.landscape)
    try:
        study.landscape_jobs()
    except ValueError as error:
        if merged.landscape_is_inherited:
            return replace(study, landscape=None)
        raise StudyError(f"{merged.landscape_where}: {error}") from error
    return study


def parse_run(fields: Mapping[str, Any]) -> Run:
    """A run from nested fields, checked as a study's are. Raises StudyError."""
    return _checked_run(dict(fields), {})


# -- merging files -----------------------------------------------------------------------------------------------------


@dataclass
class _Row:
    fields: dict[str, Any]
    """Flat: dotted key to value or list of alternatives."""
    where: dict[str, str]
    """Dotted key to file:line."""


@dataclass
class _Merged:
    title: str | None
    description: str | None
    base: _Row
    grid: list[_Row]
    only: _Row
    seeds: int | None
    runs_per_job: int | None
    landscape: Landscape | None
    landscape_where: str
    landscape_is_inherited: bool

    @classmethod
    def of(cls, path: Path, below: tuple[Path, ...]) -> _Merged:
        if path.resolve() in {other.resolve() for other in below}:
            raise StudyError(f"{path}: extends itself: {' -> '.join(map(str, (*below, path)))}")
        data, lines = read(path)
        try:
            file = StudyFile.model_validate(data)
        except ValidationError as error:
            raise StudyError("\n".join(_describe(e, path, lines) for e in error.errors())) from error

        def row(fields: Mapping[str, Any], *key: str | int) -> _Row:
            flat = _flatten(fields)
            return _Row(flat, {name: _where(path, lines, (*key, *name.split("."))) for name in flat})

        if file.extends is None:
            parent = cls(None, None, _Row({}, {}), [], _Row({}, {}), None, None, None, str(path), False)
        else:
            parent = cls.of(_find(file.extends, relative_to=path.parent, named_in=path), (*below, path))
        base = row(file.base, "base")
        grid = parent.grid if file.grid is None else [row(r, "grid", i) for i, r in enumerate(file.grid)]
        only = row(file.only, "only")
        return cls(
            title=file.title or parent.title,
            description=file.description or parent.description,
            base=_Row({**parent.base.fields, **base.fields}, {**parent.base.where, **base.where}),
            grid=grid + [row(r, "add", i) for i, r in enumerate(file.add)],
            only=_Row({**parent.only.fields, **only.fields}, {**parent.only.where, **only.where}),
            seeds=file.seeds or parent.seeds,
            runs_per_job=file.runs_per_job or parent.runs_per_job,
            landscape=file.landscape or parent.landscape,
            landscape_where=_where(path, lines, ("landscape",)) if file.landscape else parent.landscape_where,
            landscape_is_inherited=file.landscape is None,
        )


def _find(name: str, relative_to: Path, named_in: Path | None = None) -> Path:
    is_path = name.endswith((".yaml", ".yml")) or "/" in name
    path = relative_to / name if is_path else STUDIES / f"{name}.yaml"
    if not path.is_file():
        prefix = f"{named_in}: extends: " if named_in else ""
        if is_path:
            raise StudyError(f"{prefix}there is no file {path}; studies known by name are {', '.join(study_names())}")
        raise StudyError(
            f"{prefix}unknown study {name!r}; there are {', '.join(study_names())}, or give the path of a .yaml file"
        )
    return path


# -- from rows to runs ---------------------------------------------------------------------------------------------------


def _runs(merged: _Merged) -> Iterator[Run]:
    """Every run of every row, each preceded by the runs that it begins from."""
    names = {field.name for field in dataclasses.fields(Run)}
    for key, where in merged.only.where.items():
        if key not in names:
            raise StudyError(f"{where}: only: unknown field {key!r}; there are {', '.join(sorted(names))}")
    unseen = {(key, repr(value)) for key, values in merged.only.fields.items() for value in values}
    for row in merged.grid:
        where = {**merged.base.where, **row.where}
        for key, value in row.fields.items():
            if value == []:
                raise StudyError(f"{row.where[key]}: {key}: an empty list asks for no run")
        alternatives = [value if isinstance(value, list) else [value] for value in row.fields.values()]
        for chosen in itertools.product(*alternatives):
            fields = _nest({**merged.base.fields, **dict(zip(row.fields, chosen, strict=True))})
            for run in _repetitions(fields, where, merged.seeds or 1):
                for key, values in merged.only.fields.items():
                    unseen -= {(key, repr(value)) for value in values if getattr(run, key) == value}
                if all(getattr(run, key) in values for key, values in merged.only.fields.items()):
                    yield from _with_parents(run)
    for key, value in sorted(unseen):
        raise StudyError(f"{merged.only.where[key]}: only: no run has {key} {value}")


def _repetitions(fields: dict[str, Any], where: Mapping[str, str], seeds: int) -> Iterator[Run]:
    """The run of every seed. Nothing that is checked depends on the seed, so one check does for all, unless the fields of the
    run, or of one that it starts from, say a seed themselves."""
    if _says("seed", fields):
        yield from (_checked_run({"seed": seed, **fields}, where) for seed in range(seeds))
    else:
        run = _checked_run(fields, where)
        yield from (run.at_seed(seed) for seed in range(seeds))


def _says(key: str, fields: Mapping[str, Any]) -> bool:
    return key in fields or any(_says(key, value) for value in fields.values() if isinstance(value, Mapping))


def _with_parents(run: Run) -> Iterator[Run]:
    if run.start_from:
        yield from _with_parents(run.start_from.run)
    yield run


def _checked_run(fields: dict[str, Any], where: Mapping[str, str]) -> Run:
    """Validate types by pydantic and names by asking who knows them, then drop what the method gives no meaning to."""
    origin = fields.get("start_from")
    if isinstance(origin, Mapping):
        if isinstance(origin.get("run"), Mapping):
            overrides, inherited = origin["run"], {}
        else:
            overrides = {key: value for key, value in origin.items() if key not in ("take", "rewind")}
            inherited = {key: value for key, value in fields.items() if key not in ("start_from", "snapshots")}
        start = where.get("start_from") or next((p for k, p in where.items() if k.startswith("start_from.")), None)
        there = dict.fromkeys(_flatten(overrides), start) if start else {}
        rewind = origin.get("rewind")
        if rewind is not None:
            overrides = {**overrides, "snapshots": sorted({*overrides.get("snapshots", ()), rewind})}
        parent = _checked_run(_nest({**_flatten(inherited), **_flatten(overrides)}), {**where, **there})
        fields = {**fields, "start_from": {"run": parent, "take": origin.get("take", "both"), "rewind": rewind}}
    equal_flops = fields.get("multiplier") == EQUAL_FLOPS
    try:
        run = RUN.validate_python({**fields, "multiplier": 1.0} if equal_flops else fields)
    except ValidationError as error:
        raise StudyError("\n".join(_describe_run(e, where) for e in error.errors())) from error
    for option, value in run.model_options.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            message = f"is {value!r}; options are numbers, words, lists and mappings"
            raise StudyError(_at(f"model_options.{option}", where, message)) from error
    for field, check in (("model", _check_model), ("layout", _check_layout), ("dataset", _check_dataset)):
        try:
            check(run)
        except ValueError as error:
            raise StudyError(_at(field, where, str(error))) from error
    _check_start(run, where)
    options = _checked_options(run, where)
    method = methods.METHODS[run.method]
    if method.updates == "never" or "topology" in method.ignores:
        # The cadence of a topology that never moves, or moves at every step, is no part of what a run is.
        run = dataclasses.replace(run, protocol=dataclasses.replace(run.protocol, topology=Topology()))
    defaults = {f.name: f.default for f in dataclasses.fields(Run) if f.name in method.ignores}
    run = dataclasses.replace(run, method_options=options, **defaults)
    return _at_equal_flops(run, where) if equal_flops else run


def _at_equal_flops(run: Run, where: Mapping[str, str]) -> Run:
    """The run as long as it takes to cost what the dense one does."""
    sample = sources.known_shape(run.dataset)
    if sample is None:
        message = f"the shape of {run.dataset!r}, and so the cost, is known only once it is prepared; give a number"
        raise StudyError(_at("multiplier", where, message))
    shape, classes = sample
    try:
        return dataclasses.replace(run, multiplier=equal_flops_multiplier(run, run.sample_shape(shape), classes))
    except ValueError as error:
        raise StudyError(_at("multiplier", where, str(error))) from error


def _check_start(run: Run, where: Mapping[str, str]) -> None:
    """A mask that is taken decides alone, so a run that asks for another sparsity would be named for what it is not.

    A method that finds its own mask in the finished run's weights is free to.
    """
    if run.start_from is None or run.start_from.take not in ("mask", "both"):
        return
    if run.method in methods.METHODS and methods.METHODS[run.method].starts == "origin":
        return
    for field in ("sparsity", "distribution", "layout", "layers"):
        ours, theirs = getattr(run, field), getattr(run.start_from.run, field)
        if ours != theirs:
            message = f"takes the mask of a run with {field} {theirs!r}, this one has {ours!r}: make them equal"
            raise StudyError(_at("start_from", where, message))


def _check_model(run: Run) -> None:
    models.layer_rules(run.model, "default", run.distribution, run.sparsity)


def _check_layout(run: Run) -> None:
    models.layer_rules(run.model, run.layout, run.distribution, run.sparsity)


def _check_dataset(run: Run) -> None:
    if run.dataset not in sources.names() and not is_dotted(run.dataset):
        raise ValueError(
            f"unknown data set {run.dataset!r}; there are {', '.join(sources.names())}, or package.module:factory"
        )


def _checked_options(run: Run, where: Mapping[str, str]) -> dict[str, Any]:
    """The method's options that differ from their defaults, so that stating a default does not make another run."""
    if run.method not in methods.METHODS:
        known = ", ".join(methods.METHODS)
        raise StudyError(_at("method", where, f"unknown method {run.method!r}; there are {known}"))
    known = [f.name for f in dataclasses.fields(methods.METHODS[run.method])]
    for option in run.method_options:
        if option not in known:
            message = f"method {run.method!r} has no option {option!r}; it has {', '.join(known) or 'none'}"
            raise StudyError(_at(f"method_options.{option}", where, message))
    try:
        method = TypeAdapter(methods.METHODS[run.method]).validate_python(run.method_options)
    except ValidationError as error:
        raise StudyError(
            "\n".join(_describe_run({**e, "loc": ("method_options", *e["loc"])}, where) for e in error.errors())
        ) from error
    return {f.name: getattr(method, f.name) for f in dataclasses.fields(method) if getattr(method, f.name) != f.default}


def _depth(run: Run) -> int:
    return 1 + _depth(run.start_from.run) if run.start_from else 0


def _flatten(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys. ``start_from`` stays whole: its keys are overrides of another run."""
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value and name != "start_from":
            flat |= _flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        # A layer's name has dots of its own.
        *parents, last = name.split(".", 1) if name.startswith("layers.") else name.split(".")
        inner = nested
        for parent in parents:
            inner = inner.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise StudyError(f"{name}: {parent!r} is given both as a value and as a mapping")
        inner[last] = dict(value) if isinstance(value, Mapping) else value
    return nested


# -- errors --------------------------------------------------------------------------------------------------------------


def _where(path: Path, lines: Mapping[tuple, int], key: tuple) -> str:
    """file:line of the deepest known part of ``key``; a dotted key is one key of its mapping."""
    for length in range(len(key), 0, -1):
        for split in range(length):
            candidate = (*key[:split], ".".join(map(str, key[split:length])))
            if candidate in lines:
                return f"{path}:{lines[candidate]}"
        if key[:length] in lines:
            return f"{path}:{lines[key[:length]]}"
    return f"{path}:1"


def _at(key: str, where: Mapping[str, str], message: str) -> str:
    """``file:line: key: message``, at the line of the key or of what holds it."""
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        place = where.get(".".join(parts[:length]))
        if place:
            return f"{place}: {key}: {message}"
    inside = next((place for name, place in where.items() if name.startswith(f"{parts[0]}.")), None)
    anywhere = inside or next(iter(where.values()), None)
    return f"{anywhere}: {key}: {message}" if anywhere else f"{key}: {message}"


def _describe(error: Mapping[str, Any], path: Path, lines: Mapping[tuple, int]) -> str:
    """One line for a defect of the file's own keys."""
    key = tuple(error["loc"])
    message = error["msg"]
    if error["type"] == "extra_forbidden":
        message = f"unknown key; there are {', '.join(StudyFile.model_fields)}"
    return f"{_where(path, lines, key)}: {'.'.join(map(str, key))}: {message}"


def _describe_run(error: Mapping[str, Any], where: Mapping[str, str]) -> str:
    """One line for a defect of a run's fields."""
    key = [str(part) for part in error["loc"] if part not in ("int", "float") and not str(part).startswith("literal[")]
    message = error["msg"].removeprefix("Value error, ")
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, FieldError):
        key, message = [*key, cause.field], cause.defect
    if error["type"] == "unexpected_keyword_argument":
        message = f"unknown key; there are {', '.join(f.name for f in dataclasses.fields(_owner(key[:-1])))}"
    elif key == ["multiplier"] and isinstance(error["input"], str):
        message = f"is {error['input']!r}, it must be a number above 0, or {EQUAL_FLOPS}"
    elif error["type"] in ("missing", "missing_argument"):
        message = "is missing"
    elif error["type"] != "value_error":
        message = f"is {error['input']!r}; {message[0].lower()}{message[1:]}"
    return _at(".".join(key), where, message)


def _owner(key: list[str]) -> type:
    """The dataclass that holds the fields below ``key``."""
    owners = {
        "protocol": Protocol,
        "learning_rate": LearningRate,
        "optimizer": Optimizer,
        "topology": Topology,
        "start_from": StartFrom,
        "run": Run,
    }
    return owners[key[-1]] if key else Run

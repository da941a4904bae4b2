"""What one run is: its fields, their defaults, and the identity they give it.

Standard library only, because the training process reads runs on machines where nothing but torch is installed;
``pipeline.study`` validates the same classes with pydantic, ``pipeline.schema_export`` exports their JSON schema.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

DECAYS = r"cosine|constant|inverse_power:\d+(\.\d+)?"
PYDANTIC = {"extra": "forbid", "use_attribute_docstrings": True}


class FieldError(ValueError):
    """A field out of range; ``field`` names it."""

    def __init__(self, field: str, defect: str) -> None:
        super().__init__(f"{field} {defect}")
        self.field, self.defect = field, defect


@dataclass(frozen=True)
class Optimizer:
    """The optimizer of a protocol. Weight decay applies to kernels only, never to biases or normalisation."""

    __pydantic_config__ = PYDANTIC

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    """sgd: coupled L2 and momentum; adam: coupled L2; adamw: decoupled decay."""
    momentum: float = 0.9
    """SGD's momentum."""
    nesterov: bool = False
    """Nesterov's form of SGD's momentum."""
    beta1: float = 0.9
    """Adam's decay of the first moment."""
    beta2: float = 0.999
    """Adam's decay of the second moment."""
    weight_decay: float = 0.0
    """L2 coefficient on kernels."""

    def __post_init__(self) -> None:
        _whole_numbers_to_floats(self)
        _require(0 <= self.momentum < 1, "momentum", self.momentum, "within [0, 1)")
        _require(0 <= self.beta1 < 1, "beta1", self.beta1, "within [0, 1)")
        _require(0 <= self.beta2 < 1, "beta2", self.beta2, "within [0, 1)")
        _require(0 <= self.weight_decay < math.inf, "weight_decay", self.weight_decay, "at least 0 and finite")


@dataclass(frozen=True)
class LearningRate:
    """Learning rate over gradient steps. Every anchor is given for multiplier 1 and scales with the multiplier."""

    __pydantic_config__ = PYDANTIC

    peak: float
    """Learning rate after the warm-up."""
    decay: Literal["constant", "step", "cosine"] = "constant"
    """step: times `factor` at each milestone; cosine: to zero at the last step."""
    warmup_steps: int = 0
    """Steps of linear warm-up from zero."""
    milestones: tuple[int, ...] = ()
    """Steps at which `decay: step` multiplies the rate by `factor`."""
    factor: float = 0.1
    """What a milestone multiplies the rate by."""

    def __post_init__(self) -> None:
        _whole_numbers_to_floats(self)
        _require(0 < self.peak < math.inf, "peak", self.peak, "above 0 and finite")
        _require(self.warmup_steps >= 0, "warmup_steps", self.warmup_steps, "at least 0")
        _require(0 < self.factor <= 1, "factor", self.factor, "within (0, 1]")
        ordered = all(a < b for a, b in zip(self.milestones, self.milestones[1:], strict=False))
        _require(ordered, "milestones", self.milestones, "an increasing list of steps")
        _require(
            bool(self.milestones) == (self.decay == "step"),
            "milestones",
            self.milestones,
            "given when, and only when, decay is `step`",
        )


@dataclass(frozen=True)
class Topology:
    """When and how much topology moves. `begin` and `end` scale with the multiplier, `update_every` does not."""

    __pydantic_config__ = PYDANTIC

    update_every: int = 100
    """Steps between topology updates (the paper's Delta T)."""
    begin: int = 0
    """First step at which an update may fall, for multiplier 1."""
    end: int | Literal["never"] | None = None
    """Last step at which an update may fall, for multiplier 1; null is three quarters of the run."""
    drop_fraction: float = 0.3
    """Share of a layer's active weights that the first update drops (the paper's alpha)."""
    decay: str = "cosine"
    """How the drop fraction decays: cosine, constant, or inverse_power:K."""

    def __post_init__(self) -> None:
        _whole_numbers_to_floats(self)
        _require(self.update_every >= 1, "update_every", self.update_every, "at least 1")
        _require(self.begin >= 0, "begin", self.begin, "at least 0")
        _require(0 <= self.drop_fraction <= 1, "drop_fraction", self.drop_fraction, "within [0, 1]")
        if isinstance(self.end, int):
            _require(self.end >= self.begin, "end", self.end, f"at least begin ({self.begin})")
        known = re.fullmatch(DECAYS, self.decay) is not None
        _require(known, "decay", self.decay, "one of cosine, constant, inverse_power:K with a number K")


@dataclass(frozen=True)
class Protocol:
    """How every run of a cell is trained and measured."""

    __pydantic_config__ = PYDANTIC

    steps: int
    """Gradient steps at multiplier 1."""
    batch_size: int
    """Samples in a batch."""
    learning_rate: LearningRate
    """Learning rate over the run."""
    optimizer: Optimizer = field(default_factory=Optimizer)
    """Optimizer and weight decay."""
    topology: Topology = field(default_factory=Topology)
    """Cadence and size of topology updates."""
    augmentation: Literal["none", "crop-flip", "resized-crop-flip"] = "none"
    """crop-flip: mirror-pad by 4, random crop to the original size, random horizontal flip. resized-crop-flip, of photographs:
    random crop of 8 to 100 % of the area at an aspect of 3/4 to 4/3, resized, random horizontal flip."""
    label_smoothing: float = 0.0
    """Label smoothing of the training loss; test losses never have it."""
    clip_norm: float | None = None
    """Largest global norm of the gradients of active weights."""
    evaluations: int = 20
    """Points of the learning curve, evenly spaced over the run, the last at its end."""
    deterministic: bool = False
    """On CUDA: deterministic kernels only. A CPU run is bit-reproducible either way."""
    precision: Literal["float32", "bf16"] = "float32"
    """bf16: forward and backward pass under autocast to bfloat16; weights, gradients and optimizer state stay float32."""
    execution: Literal["masked", "sparse", "auto"] = "masked"
    """Dense tensors behind masks; linear layers that hold active weights alone; or the latter where that is expected to be
    faster. Results differ by rounding."""
    sequence_length: int = 512
    """Characters in a sample of a text, and how far gradients reach back; without meaning for images."""
    microbatch: int | None = None
    """Samples that pass through the network together, their gradients adding up to the batch's; null: the whole batch. It
    divides the batch size. Batch normalisation sees these samples alone, so that a run's result follows from its protocol and
    not from how many processes share it."""

    def __post_init__(self) -> None:
        _whole_numbers_to_floats(self)
        _require(self.steps >= 1, "steps", self.steps, "at least 1")
        _require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        _require(0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "within [0, 1)")
        limited = self.clip_norm is None or 0 < self.clip_norm < math.inf
        _require(limited, "clip_norm", self.clip_norm, "above 0 and finite")
        _require(self.evaluations >= 1, "evaluations", self.evaluations, "at least 1")
        exact = self.execution != "sparse" or self.precision == "float32"
        _require(
            exact, "execution", self.execution, "masked or auto with precision bf16: the sparse kernels take float32"
        )
        _require(self.sequence_length >= 1, "sequence_length", self.sequence_length, "at least 1")
        divides = self.microbatch is None or (self.microbatch >= 1 and self.batch_size % self.microbatch == 0)
        _require(divides, "microbatch", self.microbatch, f"null or a divisor of the batch size {self.batch_size}")
        whole = self.execution != "sparse" or self.microbatch is None
        _require(
            whole,
            "execution",
            self.execution,
            "masked or auto with a microbatch: the sparse kernels read whole batches",
        )


@dataclass(frozen=True)
class StartFrom:
    """Another run whose outcome this run begins from: an edge of the workflow and part of the identity."""

    __pydantic_config__ = PYDANTIC

    run: Run
    """The run to begin from."""
    take: Literal["weights", "mask", "both", "architecture"] = "both"
    """What is taken from it: its weights, its final mask, or both; or the sizes of its network without dead units."""
    rewind: int | None = None
    """Take the weights that it had after this gradient step, given for multiplier 1; null: its final ones."""

    def __post_init__(self) -> None:
        if self.rewind is not None:
            taken = self.take in ("weights", "both")
            _require(taken, "rewind", self.rewind, "absent unless weights are taken (take: weights or both)")
            reached = 1 <= self.run.scaled(self.rewind) <= self.run.steps
            _require(
                reached, "rewind", self.rewind, f"a step of the run it is taken from, 1 to {self.run.protocol.steps}"
            )
            kept = self.rewind in self.run.snapshots
            _require(kept, "rewind", self.rewind, f"among that run's snapshots {list(self.run.snapshots)}")


@dataclass(frozen=True)
class Run:
    """One training run. Equal fields are the same run, whichever study asks for it."""

    __pydantic_config__ = PYDANTIC

    model: str
    """Model name, or a dotted path package.module:factory."""
    dataset: str
    """Data set name, or a dotted path package.module:factory."""
    method: str
    """Method name: a file of sparse_methods/methods."""
    protocol: Protocol
    """Training protocol."""
    sparsity: float = 0.0
    """Share of weights that are zero, over the layers that the distribution shares it among."""
    distribution: Literal["uniform", "erdos_renyi", "erk"] = "uniform"
    """How the sparsity is shared among layers."""
    layout: str = "default"
    """Which of the model's tables of layer rules applies."""
    multiplier: float = 1.0
    """Training length over the protocol's; studies may say `equal-flops`, which is solved for."""
    seed: int = 0
    """Index of the repetition; seeds by purpose derive from it."""
    model_options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the model's factory."""
    method_options: dict[str, Any] = field(default_factory=dict)
    """Options of the method."""
    layers: dict[str, float | Literal["unmasked"]] = field(default_factory=dict)
    """Layers fixed by hand, over the model's own rules: an explicit sparsity, or unmasked."""
    start_from: StartFrom | None = None
    """The run whose weights, mask or architecture this one begins from."""
    snapshots: tuple[int, ...] = field(default=(), metadata={"identity": False})
    """Steps in order, given for multiplier 1, whose weights are kept for runs that rewind to them; no part of the identity."""

    def __post_init__(self) -> None:
        _whole_numbers_to_floats(self)
        object.__setattr__(self, "snapshots", tuple(sorted(set(self.snapshots))))
        _require(0 <= self.sparsity < 1, "sparsity", self.sparsity, "within [0, 1)")
        _require(0 < self.multiplier < math.inf, "multiplier", self.multiplier, "above 0 and finite")
        enough = f"enough for a step of the protocol's {self.protocol.steps}"
        _require(self.steps >= 1, "multiplier", self.multiplier, enough)
        _require(self.seed >= 0, "seed", self.seed, "at least 0")
        within = all(1 <= step <= self.protocol.steps for step in self.snapshots)
        _require(within, "snapshots", self.snapshots, f"steps from 1 to the protocol's {self.protocol.steps}")

    @property
    def finds_its_network(self) -> bool:
        """Whether its network is known only when the run that it starts from is done."""
        return self.start_from is not None and self.start_from.take == "architecture"

    @property
    def steps(self) -> int:
        """Gradient steps of this run."""
        return self.scaled(self.protocol.steps)

    def scaled(self, anchor: int) -> int:
        """A step given for multiplier 1, at this run's multiplier."""
        return round(anchor * self.multiplier)

    def sample_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of this run's samples when those of its data set have ``shape``: a text is cut as the protocol says."""
        return (self.protocol.sequence_length,) if len(shape) == 1 else shape

    def at_seed(self, seed: int) -> Run:
        """The same run of the cell's repetition ``seed``; a parent of the same repetition follows."""
        start = self.start_from
        if start is not None and start.run.seed == self.seed:
            start = dataclasses.replace(start, run=start.run.at_seed(seed))
        return dataclasses.replace(self, seed=seed, start_from=start)

    @property
    def cell_digest(self) -> str:
        """The digest shared by the runs that differ in nothing but the seed."""
        return self.at_seed(0).digest

    @functools.cached_property
    def digest(self) -> str:
        """Eight hex digits of the fields that differ from their defaults."""
        return hashlib.sha256(json.dumps(non_defaults(self), sort_keys=True).encode()).hexdigest()[:8]

    @property
    def cell(self) -> str:
        """Readable name of the run without its seed, for people; not unique across protocols."""
        method = self.method if self.distribution == "uniform" else f"{self.method}-{self.distribution}"
        length = "" if self.multiplier == 1 else f"-x{self.multiplier:g}"
        return f"{_safe(self.dataset)}-{_safe(self.model)}/{method}/s{100 * self.sparsity:g}{length}"

    @property
    def path(self) -> str:
        """Folder of the run below ``results/runs``: readable, then the digest that makes it unique."""
        return f"{self.cell}/seed{self.seed}-{self.digest}"


def non_defaults(value: Any) -> Any:
    """The dataclass as nested dictionaries, without the fields that equal their defaults.

    A field that is added later with a default that means "as before" thus changes no digest.
    """
    if isinstance(value, str | float | int):  # most are, and the question below takes ten times as long
        return value
    if isinstance(value, dict):
        return {key: int(v) if isinstance(v, float) and v.is_integer() else v for key, v in value.items()}
    if not dataclasses.is_dataclass(value):
        return list(value) if isinstance(value, tuple) else value
    defaults = _identity_defaults(type(value))
    current = {name: getattr(value, name) for name in defaults}
    return {name: non_defaults(now) for name, now in current.items() if now != defaults[name]}


@functools.cache
def _identity_defaults(dataclass_type: type) -> dict[str, Any]:
    """The default of each field that is a part of the identity."""
    fields = [f for f in dataclasses.fields(dataclass_type) if f.metadata.get("identity") is not False]
    return {f.name: f.default if f.default_factory is dataclasses.MISSING else f.default_factory() for f in fields}


def run_from_dict(data: dict[str, Any]) -> Run:
    """The run that ``dataclasses.asdict`` (or a study's resolution) wrote as JSON. Raises TypeError on unknown keys."""
    protocol = dict(data["protocol"])
    rate = dict(protocol["learning_rate"])
    rate["milestones"] = tuple(rate.get("milestones", ()))
    protocol["learning_rate"] = LearningRate(**rate)
    protocol["optimizer"] = Optimizer(**protocol.get("optimizer", {}))
    protocol["topology"] = Topology(**protocol.get("topology", {}))
    origin = data.get("start_from")
    start = StartFrom(**{**origin, "run": run_from_dict(origin["run"])}) if origin else None
    snapshots = tuple(data.get("snapshots", ()))
    return Run(**{**data, "protocol": Protocol(**protocol), "start_from": start, "snapshots": snapshots})


def _whole_numbers_to_floats(value: Any) -> None:
    """2 and 2.0 are one run, but JSON, and so the digest, would write them differently."""
    for name in _float_fields(type(value)):
        current = getattr(value, name)
        if isinstance(current, int):
            object.__setattr__(value, name, float(current))


@functools.cache
def _float_fields(dataclass_type: type) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(dataclass_type) if f.type in ("float", "float | None"))


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", ".", name)


def _require(holds: bool, name: str, value: Any, rule: str) -> None:
    if not holds:
        raise FieldError(name, f"is {value!r}, it must be {rule}")

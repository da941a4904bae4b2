"""From runs to specifications: everything that a training process needs to know, as JSON.

Resolving asks the model, the method and fvcore; training from a specification then needs torch, numpy, pyarrow and
safetensors only, so that it runs on machines where nothing else is installed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from pipeline import models
from pipeline.cost import CONVENTIONS, LayerCost, NetworkCost, RunCost
from pipeline.record import write_json
from pipeline.run import Run, run_from_dict
from sparse_methods import methods
from sparse_methods.distributions import LayerRule, layer_sparsities
from sparse_methods.method import Method, Request, refusal
from sparse_methods.network import LayerCount, maskable_weights
from sparse_methods.schedules import UpdateSchedule
from sparse_methods.topology import zero_count


@dataclass(frozen=True)
class Spec:
    """A resolved run."""

    run: Run
    skip: str | None
    """Why the run cannot be done, or None."""
    input_shape: tuple[int, ...]
    classes: int
    rules: dict[str, LayerRule]
    """The model's layer rules for this run, the run's own over them."""
    parameters: int
    """Non-zero parameters of the sparse network, biases and normalisation included."""
    network: NetworkCost
    """Of the network that is trained."""
    dense_inference_flops: dict[str, int]
    """Of the dense network that the run is compared with, by convention."""
    found: dict[str, Any] = field(default_factory=dict)
    """Options of the model that come from the architecture another run found."""

    def method(self) -> Method:
        """The method with this run's options."""
        return methods.make(self.run.method, self.run.method_options)

    def schedule(self) -> UpdateSchedule:
        """The run's cadence: anchors at its multiplier."""
        topology, run = self.run.protocol.topology, self.run
        return UpdateSchedule(
            total_steps=run.steps,
            update_every=topology.update_every,
            begin=run.scaled(topology.begin),
            end=run.scaled(topology.end) if isinstance(topology.end, int) else topology.end,
            drop_fraction=topology.drop_fraction,
            decay=topology.decay,
        )

    def requested(self) -> dict[str, float]:
        """Sparsity asked of each masked layer."""
        if self.method().starts == "unmasked":
            return {}
        shapes = {layer.layer: layer.shape for layer in self.network.layers}
        shared = layer_sparsities(self.run.distribution, self.run.sparsity, shapes, self.rules)
        return {name: sparsity for name, sparsity in shared.items() if sparsity is not None}

    def layers(self) -> list[LayerCount]:
        """What every layer will hold at the end of training, by exact counts."""
        requested, rows = self.requested(), []
        for layer in self.network.layers:
            zeros = zero_count(requested.get(layer.layer, 0.0), layer.weights)
            nonzeros, masked = layer.weights - zeros, layer.layer in requested
            rows.append(LayerCount(layer.layer, layer.shape, layer.weights, nonzeros, zeros / layer.weights, masked))
        return rows

    def costs(self) -> dict[str, dict[str, float | None]]:
        """Both conventions' costs before anything runs: inference, and the method's closed form of training."""
        nonzeros = {row.layer: row.nonzeros for row in self.layers()}
        costs = {}
        for convention in CONVENTIONS:
            dense = self.dense_inference_flops[convention]
            inference = self.network.inference_flops(convention, nonzeros)
            train_x = self.run_cost(convention).train_x()
            costs[convention] = {
                "dense_inference_flops": dense,
                "inference_flops": inference,
                "inference_x": inference / dense,
                "train_x": None if train_x is None else train_x * self.run.multiplier,
            }
        return costs

    def run_cost(self, convention: str) -> RunCost:
        """What the method's closed form is made from."""
        dense = self.dense_inference_flops[convention]
        return RunCost(self.network, self.requested(), dense, convention, self.method(), self.schedule())

    def size_bytes(self) -> int:
        """The authors' size of the network at the end of training."""
        return self.network.size_bytes({row.layer: row.nonzeros for row in self.layers()})

    def peak_parameter_bytes(self) -> int:
        """What the method states for the worst moment of training, for all weight tensors together, at 32 bits a number."""
        rows = self.layers()
        method = self.method()
        masked = sum(method.peak_parameters(row.nonzeros, row.weights) for row in rows if row.masked)
        return 4 * (masked + sum(2 * row.weights for row in rows if not row.masked))

    def build(self) -> nn.Module:
        """The network to train, with weights from torch's global random state."""
        return models.build(self.run.model, self.input_shape, self.classes, **self.options())

    def options(self) -> dict[str, Any]:
        """Options of the model that build the network to train; a method that chooses a width has chosen one."""
        options, method = {**self.run.model_options, **self.found}, self.method()
        return _chosen(self.run.model, _text(options), self.input_shape, self.classes, method, self.parameters)

    def outline(self) -> nn.Module:
        """The network to train, with zeros for weights."""
        return models.outline(self.run.model, self.input_shape, self.classes, **self.options())


def resolve(run: Run, input_shape: tuple[int, ...], classes: int, found: Mapping[str, Any] | None = None) -> Spec:
    """Resolve one run. ``found`` are the options of an architecture taken from another run (``pipeline.origin``).

    Raises ValueError naming the run for a model, layer, layout, option or schedule that cannot be.
    """
    try:
        return _resolve(run, tuple(input_shape), classes, dict(found or {}))
    except ValueError as error:
        raise ValueError(f"{run.path}: {error}") from error


def equal_flops_multiplier(run: Run, input_shape: tuple[int, ...], classes: int) -> float:
    """The multiplier, to three decimals, at which training ``run`` costs what a dense run of multiplier 1 does (``rigl``).

    Raises ValueError for a method whose cost is known only when it has run.
    """
    multiplier = 1.0
    for _ in range(2):  # once is enough, but for a mean over whole steps, which depends on the length by a hair
        spec = resolve(dataclasses.replace(run, multiplier=multiplier), input_shape, classes)
        train_x = spec.run_cost("rigl").train_x()
        if train_x is None:
            raise ValueError(f"the cost of {run.method!r} is known only when it has run; give a number")
        multiplier = round(1 / train_x, 3)
    return multiplier


def _resolve(run: Run, input_shape: tuple[int, ...], classes: int, found: dict[str, Any]) -> Spec:
    method = methods.make(run.method, run.method_options)
    options = {**run.model_options, **found}
    shapes, dense_parameters = _built(run.model, json.dumps(options, sort_keys=True), input_shape, classes)
    rules = {**models.layer_rules(run.model, run.layout, run.distribution, run.sparsity), **run.layers}
    requested = layer_sparsities(run.distribution, run.sparsity, shapes, rules)
    zeros = sum(zero_count(sparsity or 0.0, math.prod(shapes[name])) for name, sparsity in requested.items())
    parameters = dense_parameters - zeros
    compared_with = _trace(run, run.model_options, input_shape, classes, Method(), 0)
    dense_cost = _trace(run, options, input_shape, classes, Method(), 0)
    masked = {name: sparsity for name, sparsity in requested.items() if sparsity is not None}
    fixed = tuple(name for name in masked if name in rules)
    skip, network = refusal(method, _request(run, shapes, masked, fixed)), dense_cost
    if skip is None and type(method).build is not Method.build:
        try:
            network = _trace(run, options, input_shape, classes, method, parameters)
        except ValueError as error:
            skip = str(error)
    spec = Spec(
        run=run,
        skip=skip,
        input_shape=input_shape,
        classes=classes,
        rules=rules,
        parameters=parameters,
        network=network,
        dense_inference_flops={convention: compared_with.inference_flops(convention) for convention in CONVENTIONS},
        found=found,
    )
    schedule = spec.schedule()
    if method.updates != "never" and method.parameters == "sparse":
        # As the engine does before its first step, so that no run is trained on a schedule it cannot follow.
        method.drop_fraction(schedule.begin, schedule)
        method.sparsity_at(schedule.begin, 0.0, schedule)
    return spec


def _request(
    run: Run, shapes: Mapping[str, tuple[int, ...]], sparsities: Mapping[str, float], fixed: tuple[str, ...]
) -> Request:
    """The run as the engine will ask for it."""
    takes_mask = run.start_from is not None and run.start_from.take in ("mask", "both")
    from_origin = methods.METHODS[run.method].starts == "origin"
    masks_given = takes_mask and not from_origin
    return Request(
        sparsities=sparsities,
        shapes={name: shapes[name] for name in sparsities},
        distribution=None if masks_given else run.distribution,
        fixed=() if masks_given else fixed,
        masks_given=masks_given,
        origin_given=takes_mask and from_origin,
    )


def write_plan(path: Path, jobs: Mapping[str, list[Spec]]) -> None:
    """Write the specifications of every job."""
    write_json(path, {name: [dataclasses.asdict(spec) for spec in specs] for name, specs in jobs.items()})


def read_plan(path: Path) -> dict[str, list[Spec]]:
    """What :func:`write_plan` wrote. Raises ValueError naming the file when it is not a plan."""
    try:
        return {name: [_spec_from_dict(spec) for spec in specs] for name, specs in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is not a readable plan ({error}); delete it and run again") from error


def _spec_from_dict(data: dict[str, Any]) -> Spec:
    layers = tuple(LayerCost(**{**layer, "shape": tuple(layer["shape"])}) for layer in data["network"]["layers"])
    return Spec(
        **{
            **data,
            "run": run_from_dict(data["run"]),
            "input_shape": tuple(data["input_shape"]),
            "network": NetworkCost(layers),
        }
    )


def widened(options: Mapping[str, Any], width: float) -> dict[str, Any]:
    """A model's options ``width`` times as wide; at 1 as they are, so that models without a width option can be asked."""
    return {**options, "width": width * options.get("width", 1.0)} if width != 1.0 else dict(options)


def _trace(
    run: Run,
    options: Mapping[str, Any],
    input_shape: tuple[int, ...],
    classes: int,
    method: Method,
    parameters: int,
) -> NetworkCost:
    # Runs differ in a hundred ways, their networks in a few: trace each network once.
    return _traced(run.model, json.dumps(options, sort_keys=True), tuple(input_shape), classes, method, parameters)


@functools.cache
def _built(
    model: str, options: str, input_shape: tuple[int, ...], classes: int
) -> tuple[Mapping[str, tuple[int, ...]], int]:
    """Shapes of the dense network's maskable weights, and its number of parameters."""
    with _naming_the_model(model, input_shape):
        dense = models.outline(model, input_shape, classes, **json.loads(options))
    shapes = {name: tuple(weight.shape) for name, weight in maskable_weights(dense).items()}
    return shapes, sum(parameter.numel() for parameter in dense.parameters())


@functools.cache
def _chosen(
    model: str, options: str, input_shape: tuple[int, ...], classes: int, method: Method, parameters: int
) -> dict[str, Any]:
    """``options`` at the width that the method builds: it is asked once, a search among widths takes a second."""
    built: list[tuple[nn.Module, dict[str, Any]]] = []

    def factory(width: float) -> nn.Module:
        wide = widened(json.loads(options), width)
        built.append((_skeleton(model, _text(wide), input_shape, classes), wide))
        return built[-1][0]

    if type(method).build is Method.build:
        return json.loads(options)
    chosen = method.build(factory, parameters)
    wanted = [wide for network, wide in built if network is chosen]
    if not wanted:
        raise ValueError(f"build() of method {method.name!r} must return a network that the factory it is given made")
    return wanted[0]


@functools.lru_cache(maxsize=1024)
def _skeleton(model: str, options: str, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    # Searches for the widths of alike numbers of parameters begin with the same widths.
    return models.skeleton(model, input_shape, classes, **json.loads(options))


@functools.cache
def _traced(
    model: str, options: str, input_shape: tuple[int, ...], classes: int, method: Method, parameters: int
) -> NetworkCost:
    # Imported here: a training process reads specifications on machines that have no fvcore.
    from pipeline.counting import trace

    with _naming_the_model(model, input_shape):
        chosen = _chosen(model, options, input_shape, classes, method, parameters)
        network = models.outline(model, input_shape, classes, **chosen)
        return trace(network, input_shape, models.counting_rules(model))


def _text(options: Mapping[str, Any]) -> str:
    return json.dumps(options, sort_keys=True)


@contextlib.contextmanager
def _naming_the_model(model: str, input_shape: tuple[int, ...]) -> Iterator[None]:
    """Whatever a model's own code raises becomes a ValueError that names the model; its trace stays as the cause."""
    try:
        yield
    except ValueError:
        raise
    except Exception as error:
        first_line = (str(error).splitlines() or ["no message"])[0]
        shape = ",".join(map(str, input_shape))
        raise ValueError(
            f"model {model!r} does not work on inputs of shape {shape}: {type(error).__name__}: {first_line}"
        ) from error

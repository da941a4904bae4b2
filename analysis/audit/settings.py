"""From everything that a published cost depends on to the one number that it should be."""

from __future__ import annotations

import csv
import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Literal

from analysis.reported import PUBLISHED
from pipeline import models
from pipeline.cost import NetworkCost, RunCost
from pipeline.counting import trace
from sparse_methods import methods
from sparse_methods.distributions import layer_sparsities
from sparse_methods.network import maskable_weights
from sparse_methods.schedules import UpdateSchedule
from sparse_methods.topology import zero_count

LAYER_SPARSITIES = PUBLISHED / "layer_sparsities.csv"
"""Sparsities of ResNet-50's layers, from google-research/rigl, imagenet_resnet/colabs/Resnet_50_Param_Flops_Counting.ipynb:
of DSR, which its authors read off a figure of arXiv:1902.05967, and of STR, from a table of arXiv:2002.03231, which
str_sparsities.py of the same repository has as well."""
MULTIPLE_DIGITS, FLOPS_DIGITS = 2, 3
"""Decimals of a published multiple, significant digits of published FLOPs."""


@dataclass(frozen=True)
class Setting:
    """Everything that a published cost depends on. The defaults are RigL's of ResNet-50 (sections 4 and 4.1)."""

    model: str
    input: tuple[int, ...]
    classes: int
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the model's factory; the dense network that a multiple is taken over has the same but for the width."""
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Layers that have another shape than the model gives them; not in the dense network that a multiple is taken over."""
    method: str | None = None
    """Id of the suite; None where nothing is trained."""
    sparsity: float = 0.0
    distribution: str | None = None
    """None: every layer is dense."""
    multiplier: float = 1.0
    layout: str | None = "default"
    """The model's table of layer rules; None: every layer is in the pool."""
    layers: Mapping[str, float] = field(default_factory=dict)
    """Sparsities fixed by hand, over the layout's rules."""
    column: str | None = None
    """Column of layer_sparsities.csv that has the sparsity of every layer."""
    shares_of: Mapping[str, Any] | None = None
    """Fields of another setting, which this one's layer sparsities were made for."""
    counts_of: Mapping[str, Any] | None = None
    """Fields of another setting, whose non-zeros the sparse layers still have: what is left of it when dead units go."""
    dead_weights: int = 0
    """Non-zeros that went with them."""
    as_convolutions: tuple[str, ...] = ()
    """Linear layers that are 1x1 convolutions, whose kernel ERK adds to their sizes."""
    pool_zeros: Literal["floor", "ceil"] = "floor"
    """How S * N is made whole where ERK counts what it has to share; the authors' code had ceil until October 2020."""
    counts: Literal["whole", "exact"] = "whole"
    """exact: a layer has s * N zeros, whole or not, as in the authors' counting notebooks."""
    convention: str = "rigl"
    steps: int = 32_000
    batch_size: int = 4_096
    begin: int = 0
    end: int = 25_000
    update_every: int = 100
    mean_over: Literal["batches", "grid"] = "batches"
    """grid: the mean training cost is that at steps 0, update_every, ..., the last one included, as in their notebook."""
    given_inference_x: float | None = None
    """The inference multiple, where it is known from elsewhere; training's is then made from it."""
    shortened: Literal["", "rounded", "cut"] = ""
    """How the cost of one baseline length, or of one forward pass, is written before it is multiplied."""


def changed(setting: Setting, fields: Mapping[str, Any]) -> Setting:
    """``setting`` with other ``fields``, as YAML has them."""
    return replace(
        setting, **{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    )


def recompute(setting: Setting, quantity: str) -> float:
    """The number. Raises ValueError for a quantity that does not exist, and where no closed form exists."""
    if quantity not in QUANTITIES:
        raise ValueError(f"unknown quantity {quantity!r}; there are {', '.join(QUANTITIES)}")
    return QUANTITIES[quantity](setting)


# -- the network -------------------------------------------------------------------------------------------------------


def network(setting: Setting) -> NetworkCost:
    """The layers of the setting's network."""
    built = _network(setting.model, setting.input, setting.classes, json.dumps(dict(setting.options), sort_keys=True))
    return built.reshaped({layer.layer: setting.shapes.get(layer.layer, layer.shape) for layer in built.layers})


def sparsities(setting: Setting) -> dict[str, float]:
    """The sparsity of every sparse layer."""
    if setting.shares_of is not None:
        return sparsities(changed(setting, {**setting.shares_of, "shares_of": None}))
    if setting.column is not None:
        return _column(setting.column)
    unmasked = setting.method is not None and methods.METHODS[setting.method].starts == "unmasked"
    if setting.distribution is None or unmasked:
        return {}
    shapes = {
        layer.layer: (*layer.shape, 1, 1) if layer.layer in setting.as_convolutions else layer.shape
        for layer in network(setting).layers
    }
    layout = (setting.layout, setting.distribution, setting.sparsity)
    rules = {} if setting.layout is None else models.layer_rules(setting.model, *layout)
    fixed = {**rules, **setting.layers}
    shared = layer_sparsities(setting.distribution, setting.sparsity, shapes, fixed)
    found = {name: sparsity for name, sparsity in shared.items() if sparsity}
    if setting.pool_zeros == "ceil" and setting.distribution != "uniform":
        sizes = {name: math.prod(shape) for name, shape in shapes.items() if name not in fixed}
        found |= _one_fewer(setting.sparsity, sizes, {name: found[name] for name in sizes if name in found})
    return found


def nonzeros(setting: Setting) -> dict[str, float]:
    """Active weights of every sparse layer."""
    if setting.counts_of is not None:
        kept = nonzeros(changed(setting, {**setting.counts_of, "counts_of": None}))
        first, *_ = kept
        return {**kept, first: kept[first] - setting.dead_weights}
    sizes = {layer.layer: layer.weights for layer in network(setting).layers}
    zeros = {
        name: sparsity * sizes[name] if setting.counts == "exact" else zero_count(sparsity, sizes[name])
        for name, sparsity in sparsities(setting).items()
    }
    return {name: sizes[name] - count for name, count in zeros.items()}


@functools.cache
def _network(model: str, input: tuple[int, ...], classes: int, options: str) -> NetworkCost:
    usual, chosen = _traced(model, input, classes), json.loads(options)
    if not chosen:
        return usual
    built = models.skeleton(
        model, input, classes, **chosen
    )  # the uses of a layer's weights do not depend on the widths
    return usual.reshaped({name: tuple(weight.shape) for name, weight in maskable_weights(built).items()})


@functools.cache
def _traced(model: str, input: tuple[int, ...], classes: int) -> NetworkCost:
    return trace(models.outline(model, input, classes), input, models.counting_rules(model))


@functools.cache
def _column(name: str) -> dict[str, float]:
    with LAYER_SPARSITIES.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    if name == "layer" or name not in table[0]:
        known = ", ".join(column for column in table[0] if column != "layer")
        raise ValueError(f"{LAYER_SPARSITIES.name} has no column {name!r}; it has {known}")
    return {row["layer"]: float(row[name]) for row in table if float(row[name])}


def _one_fewer(sparsity: float, sizes: Mapping[str, int], shared: Mapping[str, float]) -> dict[str, float]:
    """``shared`` when every layer of the pool whose sparsity * size is not whole has one non-zero fewer to give away."""
    fewer = sum(not (sparsity * size).is_integer() for size in sizes.values())
    given = sum((1 - share) * sizes[name] for name, share in shared.items())
    return {name: 1 - (1 - share) * (1 - fewer / given) for name, share in shared.items()}


# -- quantities --------------------------------------------------------------------------------------------------------


def _inference_flops(setting: Setting) -> float:
    return network(setting).inference_flops(setting.convention, nonzeros(setting))


def _inference_macs(setting: Setting) -> float:
    return network(setting).inference_flops("macs", nonzeros(setting)) / 2


def _inference_x(setting: Setting) -> float:
    if setting.given_inference_x is not None:
        return setting.given_inference_x
    return _inference_flops(setting) / _dense_flops(setting)


def _size_bytes(setting: Setting) -> float:
    copies = 8  # one network may end within a byte
    return NetworkCost(network(setting).layers * copies).size_bytes(nonzeros(setting)) / copies


def _sparsity(setting: Setting) -> float:
    active, layers = nonzeros(setting), network(setting).layers
    return 1 - sum(active.get(layer.layer, layer.weights) for layer in layers) / sum(layer.weights for layer in layers)


def _layer_sparsity(layer: str, setting: Setting) -> float:
    return sparsities(setting)[layer]


def _train_x(setting: Setting) -> float:
    """Closed forms of Appendix H, over 3 f_D and times the training length."""
    return _shorten(setting, _one_length(setting), MULTIPLE_DIGITS) * setting.multiplier


def _train_flops(setting: Setting) -> float:
    return _train_x(setting) * 3 * _dense_flops(setting) * setting.batch_size * setting.steps


def _train_flops_per_sample(setting: Setting) -> float:
    flops = _inference_flops(setting)
    return 3 * _shorten(setting, flops, FLOPS_DIGITS - 1 - math.floor(math.log10(flops)))


QUANTITIES: dict[str, Callable[[Setting], float]] = {
    "inference_flops": _inference_flops,  # of one sample
    "inference_macs": _inference_macs,  # multiply-adds of one sample
    "inference_x": _inference_x,  # over the dense network's
    "train_x": _train_x,
    "train_flops": _train_flops,  # of the whole training
    "train_flops_per_sample": _train_flops_per_sample,  # 3 forward passes
    "size_bytes": _size_bytes,
    "sparsity": _sparsity,  # of all weights together
    "sparsity_fc1": functools.partial(_layer_sparsity, "fc1"),
    "sparsity_fc2": functools.partial(_layer_sparsity, "fc2"),
}


def _dense_flops(setting: Setting) -> float:
    """f_D of the network of the usual width."""
    options = {name: value for name, value in setting.options.items() if name != "width"}
    return network(replace(setting, options=options, shapes={})).inference_flops(setting.convention)


def _one_length(setting: Setting) -> float:
    """Training FLOPs per sample over 3 f_D."""
    if setting.method is None:
        raise ValueError("the suite has no method of that name, so no closed form of its training cost")
    method, schedule = methods.make(setting.method), _schedule(setting)
    if setting.given_inference_x is not None:
        forward = SimpleNamespace(sparse=setting.given_inference_x, dense=1.0, schedule=schedule)
        return method.train_flops(forward) / 3
    dense = _dense_flops(setting)
    cost = RunCost(network(setting), sparsities(setting), dense, setting.convention, method, schedule)
    if setting.mean_over == "grid":
        steps = range(0, schedule.total_steps + 1, schedule.update_every)
        passes = [cost.at(lambda final, step=step: schedule.cubic_sparsity(step, 0.0, final)) for step in steps]
        return sum(passes) / len(passes) / dense
    found = cost.train_x()
    if found is None:
        raise ValueError(f"the cost of {setting.method!r} is known only when it has run")
    return found


def _schedule(setting: Setting) -> UpdateSchedule:
    steps, begin, end = (round(anchor * setting.multiplier) for anchor in (setting.steps, setting.begin, setting.end))
    return UpdateSchedule(total_steps=steps, update_every=setting.update_every, begin=begin, end=end)


def _shorten(setting: Setting, value: float, digits: int) -> float:
    if setting.shortened == "rounded":
        return round(value, digits)
    return math.floor(value * 10.0**digits) / 10.0**digits if setting.shortened == "cut" else value

"""Widths that meet a target: the small dense network of a sparse one's cost, the big sparse network of the dense one's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pipeline import models
from pipeline.cost import NetworkCost
from pipeline.counting import trace
from pipeline.factories import is_dotted
from pipeline.plan import Spec, widened
from sparse_methods.distributions import layer_sparsities
from sparse_methods.network import maskable_weights
from sparse_methods.topology import zero_count
from sparse_methods.widths import widest

UNITS = {"parameters": "parameters", "macs": "FLOPs", "rigl": "FLOPs", "size_bytes": "bytes"}
"""Measures: non-zero parameters, inference FLOPs under either convention, and bytes by the authors' rule."""


@dataclass(frozen=True)
class Solution:
    """The widest network that meets a target."""

    sparse: bool
    """Whether the network is sparse as the specification has it, or dense."""
    measure: str
    target: float
    width: float | None
    """Multiplier of the model's channels, to four decimals; None: no width meets the target."""
    reached: int | None
    """The measure at that width; never above the target."""
    reason: str = ""
    """Why there is no width."""


def solutions(spec: Spec) -> list[Solution]:
    """Of every measure: the dense network that has what the sparse one has, and the sparse one that has what the dense has."""
    targets = {sparse: at_width(spec, 1.0, not sparse) for sparse in (False, True)}
    return [solve(spec, measure, targets[sparse][measure], sparse) for measure in UNITS for sparse in (False, True)]


def solve(spec: Spec, measure: str, target: float, sparse: bool) -> Solution:
    """The widest network of ``spec``'s model, ``sparse`` or dense, whose ``measure`` does not exceed ``target``.

    Raises ValueError for an unknown measure, and for a target that is no positive number.
    """
    if measure not in UNITS:
        raise ValueError(f"unknown measure {measure!r}; there are {', '.join(UNITS)}")
    if not 0 < target < math.inf:
        raise ValueError(f"the target is {target!r}, it must be above 0 and finite")
    try:
        found = widest(lambda width: at_width(spec, width, sparse)[measure], target, UNITS[measure])
    except ValueError as error:
        return Solution(sparse, measure, target, None, None, str(error))
    # Cut to what is printed, so that the printed width keeps the promise too.
    width = math.floor(found * 1e4) / 1e4 or found
    return Solution(sparse, measure, target, width, at_width(spec, width, sparse)[measure])


def at_width(spec: Spec, width: float, sparse: bool) -> Mapping[str, int]:
    """Every measure of ``spec``'s model, made ``width`` times as wide as the spec has it, sparse as there or dense."""
    run = spec.run
    options = widened({**run.model_options, **spec.found}, width)
    with torch.device("meta"):  # shapes are all that is needed
        model = models.build(run.model, spec.input_shape, spec.classes, **options)
    shapes = {name: tuple(weight.shape) for name, weight in maskable_weights(model).items()}
    shared = layer_sparsities(run.distribution, run.sparsity, shapes, spec.rules) if sparse else dict.fromkeys(shapes)
    size = {name: math.prod(shape) for name, shape in shapes.items()}
    nonzeros = {name: size[name] - zero_count(shared[name] or 0.0, size[name]) for name in shapes}
    network = _counted(spec, shapes, options)
    zeros = sum(size.values()) - sum(nonzeros.values())
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()) - zeros,
        "macs": network.inference_flops("macs", nonzeros),
        "rigl": network.inference_flops("rigl", nonzeros),
        "size_bytes": network.size_bytes(nonzeros),
    }


def _counted(spec: Spec, shapes: Mapping[str, tuple[int, ...]], options: Mapping[str, Any]) -> NetworkCost:
    """In the suite's networks the uses of a weight do not depend on the width, but one of a single channel may lack layers."""
    if not is_dotted(spec.run.model) and shapes.keys() == {layer.layer for layer in spec.network.layers}:
        return spec.network.reshaped(shapes)
    network = models.outline(spec.run.model, spec.input_shape, spec.classes, **options)
    return trace(network, spec.input_shape, models.counting_rules(spec.run.model))

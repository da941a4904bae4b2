"""How a global sparsity is shared among layers: uniform, Erdos-Renyi, Erdos-Renyi-Kernel.

RigL, section 3 (1), with the arithmetic of the authors' ``get_sparsities_erdos_renyi`` (commit d39fc7d).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

from sparse_methods.topology import zero_count

Shape = tuple[int, ...]
LayerRule = float | Literal["unmasked"]
"""What a user fixes for a layer: an explicit sparsity, or no mask at all."""


def layer_sparsities(
    distribution: str, sparsity: float, shapes: Mapping[str, Shape], rules: Mapping[str, LayerRule] | None = None
) -> dict[str, float | None]:
    """The sparsity of every layer, None for an unmasked one, in the order of ``shapes``.

    Layers with a rule are left out of the pool that shares ``sparsity`` and are not compensated for. Raises ValueError
    for an unknown distribution or layer name, a sparsity outside [0, 1) and a pool without layers.
    """
    rules = dict(rules or {})
    _check(distribution, sparsity, shapes, rules)
    pool = {name: shape for name, shape in shapes.items() if name not in rules}
    shared = DISTRIBUTIONS[distribution](sparsity, pool)
    fixed = {name: None if rule == "unmasked" else float(rule) for name, rule in rules.items()}
    return {name: shared[name] if name in shared else fixed[name] for name in shapes}


def uniform(sparsity: float, shapes: Mapping[str, Shape]) -> dict[str, float]:
    """Every layer at the global sparsity."""
    return dict.fromkeys(shapes, sparsity)


def erdos_renyi(sparsity: float, shapes: Mapping[str, Shape]) -> dict[str, float]:
    """Active share proportional to (c_in + c_out) / (c_in * c_out), channels only."""
    return _scaled(sparsity, shapes, lambda shape: (shape[0] + shape[1]) / (shape[0] * shape[1]))


def erk(sparsity: float, shapes: Mapping[str, Shape]) -> dict[str, float]:
    """Active share proportional to sum(shape) / prod(shape), kernel sizes included."""
    return _scaled(sparsity, shapes, lambda shape: sum(shape) / math.prod(shape))


DISTRIBUTIONS: dict[str, Callable[[float, Mapping[str, Shape]], dict[str, float]]] = {
    "uniform": uniform,
    "erdos_renyi": erdos_renyi,
    "erk": erk,
}


def _scaled(sparsity: float, shapes: Mapping[str, Shape], raw_of: Callable[[Shape], float]) -> dict[str, float]:
    """Active share eps * raw, where layers that would exceed 1 become dense and eps is solved again for the rest."""
    size = {name: math.prod(shape) for name, shape in shapes.items()}
    zeros = {name: zero_count(sparsity, size[name]) for name in shapes}
    raw = {name: raw_of(shape) for name, shape in shapes.items()}
    free, dense = list(shapes), []
    while free:
        ones = sum(size[name] - zeros[name] for name in free) - sum(zeros[name] for name in dense)
        eps = ones / sum(raw[name] * size[name] for name in free)
        top = max(raw[name] for name in free)
        if eps * top <= 1:
            break
        dense += [name for name in free if raw[name] == top]
        free = [name for name in free if raw[name] != top]
    return {name: 1 - eps * raw[name] if name in free else 0.0 for name in shapes}


def _check(distribution: str, sparsity: float, shapes: Mapping[str, Shape], rules: Mapping[str, LayerRule]) -> None:
    if distribution not in DISTRIBUTIONS:
        raise ValueError(f"unknown distribution {distribution!r}; there are {', '.join(DISTRIBUTIONS)}")
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity is {sparsity!r}, it must be within [0, 1)")
    for name, rule in rules.items():
        if name not in shapes:
            raise ValueError(f"unknown layer {name!r}; there are {', '.join(shapes) or 'none'}")
        if rule != "unmasked" and not (isinstance(rule, (int, float)) and 0 <= rule < 1):
            raise ValueError(f"layer {name!r}: rule is {rule!r}, it must be 'unmasked' or a sparsity within [0, 1)")
    if len(rules) == len(shapes):
        raise ValueError(
            f"no layer is left for the {distribution} distribution: every one of {', '.join(shapes) or 'none'} has a rule"
        )

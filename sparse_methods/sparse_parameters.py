"""Methods that keep active weights alone: a step on masked gradients, and drop-and-grow by exact counts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sparse_methods import topology
from sparse_methods.first_mask import refuse_emptied
from sparse_methods.method import Layer, Method
from sparse_methods.schedules import UpdateSchedule


def mask_gradients(layers: Mapping[str, Layer], multipliers: Mapping[str, Tensor]) -> None:
    """Zero the gradient of every inactive weight; ``multipliers`` are the masks as numbers."""
    gradients = [layer.gradient for layer in layers.values()]
    if gradients:
        torch._foreach_mul_(gradients, list(multipliers.values()))


@torch.no_grad()
def move_after_step(method: Method, layers: Mapping[str, Layer], multipliers: Mapping[str, Tensor]) -> None:
    """What the method adds to the optimizer's step."""
    for name, layer in layers.items():
        moved = method.after_step(layer)
        if moved is not None:
            layer.weight.copy_(moved * multipliers[name])


@torch.no_grad()
def drop_and_grow(
    method: Method, layers: Mapping[str, Layer], active: Mapping[str, int], step: int, schedule: UpdateSchedule
) -> None:
    """One topology update of all layers, which have ``active`` weights, or of none: a score that is NaN changes no mask.

    Raises NonFiniteScoreError for NaN, CannotError where ranking layers together empties one, RuntimeError for a
    ``redistribute`` that changes the total.
    """
    fraction = method.drop_fraction(step, schedule)
    targets = _targets(method, layers, active, step, schedule)
    kept = {name: _kept(method, layer, active[name], targets[name], fraction) for name, layer in layers.items()}
    wanted = {name: targets[name] - topology.active_count(mask) for name, mask in kept.items()}
    grown = method.redistribute(list(layers.values()), wanted)
    if sum(grown.values()) != sum(wanted.values()):
        raise RuntimeError(f"{method.name} redistributes {sum(wanted.values())} weights to {dict(grown)}")
    masks = {name: _grown(method, layer, kept[name], grown[name]) for name, layer in layers.items()}
    for name, layer in layers.items():
        values = method.grown_weight(layer)
        if values is not None:  # elsewhere newly active weights are zero already
            layer.weight.copy_(torch.where(masks[name] & ~layer.mask, values, layer.weight))
        layer.mask = masks[name]


def _targets(
    method: Method,
    layers: Mapping[str, Layer],
    active: Mapping[str, int],
    step: int,
    schedule: UpdateSchedule,
) -> dict[str, int]:
    """Active weights of each layer after the update at ``step``, before layers exchange any.

    Free layers that are pruned are ranked together: each is left what it has among the best of all.
    """
    targets = {}
    for name, layer in layers.items():
        sparsity, weights = method.sparsity_at(step, layer.sparsity, schedule), layer.mask.numel()
        targets[name] = weights - topology.zero_count(sparsity, weights)
    if not method.layers_are_free or sum(targets.values()) > sum(active.values()):
        return targets
    if sum(targets.values()) == sum(active.values()):
        return dict(active)
    scores = {name: _drop_score(method, layer) for name, layer in layers.items()}
    masks = topology.largest_of_all(scores, sum(targets.values()), {name: layer.mask for name, layer in layers.items()})
    refuse_emptied(masks, targets)
    return {name: topology.active_count(mask) for name, mask in masks.items()}


def _kept(method: Method, layer: Layer, active: int, target: int, fraction: float) -> Tensor:
    """The mask of what stays: the layer is pruned to its target, and drops, in one selection."""
    score = _drop_score(method, layer)
    allowed = min(active, target)
    staying = allowed - method.drop_count(layer, allowed, fraction)
    return layer.mask if staying == active else method.keep(layer, score, staying)


def _drop_score(method: Method, layer: Layer) -> Tensor:
    return topology.checked(method.drop_score(layer), layer.name)


def _grown(method: Method, layer: Layer, kept: Tensor, count: int) -> Tensor:
    if count == 0:
        return kept
    return method.grow(layer, kept, topology.checked(method.grow_score(layer), layer.name), count)

"""The one mechanism of methods that train all weights and let the network see some (DNW, Top-KAST, STR, N:M).

The module's weight is what the network computes with, ``effective_weight``: evaluation, saving and counting see nothing
else. The parameter behind it waits in ``Layer.dense`` and takes the weight's place for the optimizer's step alone, so that
weight decay, momentum and clipping act on it as on any parameter.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from sparse_methods import topology
from sparse_methods.method import Layer, Method
from sparse_methods.optimizer_state import group_index, mask_state
from sparse_methods.schedules import UpdateSchedule


@torch.no_grad()
def adopt(method: Method, layers: Mapping[str, Layer], optimizer: torch.optim.Optimizer) -> None:
    """Take the weights as dense parameters, and give the optimizer the method's extra ones: a group for each group of
    weights, with its settings but without weight decay."""
    extra: dict[int, list[nn.Parameter]] = {}
    for layer in layers.values():
        layer.dense = layer.weight.detach().clone()
        values = method.extra_parameters(layer)
        layer.extra = {name: nn.Parameter(value.to(layer.weight)) for name, value in values.items()}
        extra.setdefault(group_index(optimizer, layer.weight), []).extend(layer.extra.values())
    for index, parameters in extra.items():
        if parameters:
            optimizer.add_param_group({**optimizer.param_groups[index], "params": parameters, "weight_decay": 0.0})


@torch.no_grad()
def give_gradients(method: Method, layers: Mapping[str, Layer]) -> None:
    """Turn the gradients of effective weights into those of the parameters behind them, and of the extra ones."""
    for layer in layers.values():
        for name, gradient in method.extra_gradients(layer).items():
            layer.extra[name].grad = gradient
        gradient = method.parameter_gradient(layer)
        trainable = method.trainable(layer)
        layer.weight.grad = gradient if trainable is None else gradient * trainable


@torch.no_grad()
def step(method: Method, layers: Mapping[str, Layer], optimizer: torch.optim.Optimizer) -> None:
    """The optimizer's step on the dense parameters; what is not trainable stays as it was, without optimizer state."""
    for layer in layers.values():
        layer.weight.copy_(layer.dense)
    optimizer.step()
    for layer in layers.values():
        trainable = method.trainable(layer)
        if trainable is None:
            layer.dense.copy_(layer.weight)
        else:
            layer.dense.copy_(torch.where(trainable, layer.weight, layer.dense))
            mask_state(optimizer, layer.weight, trainable)


@torch.no_grad()
def choose_active(
    method: Method,
    layers: Mapping[str, Layer],
    optimizer: torch.optim.Optimizer,
    step: int,
    schedule: UpdateSchedule,
) -> None:
    """Choose the masks through which the dense parameters are seen after ``step``. Raises NonFiniteScoreError for NaN."""
    for layer in layers.values():
        topology.checked(layer.dense, layer.name)
        weights = layer.mask.numel()
        count = weights - topology.zero_count(method.sparsity_at(step, layer.sparsity, schedule), weights)
        layer.mask = method.active(layer, count)
        trainable = method.trainable(layer)
        if trainable is not None:
            mask_state(optimizer, layer.weight, trainable)

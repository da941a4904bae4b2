"""What the truly sparse execution serves, and what it is expected to be faster for. Needs no numba."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sparse_methods.method import Method
from sparse_methods.network import maskable_weights
from sparse_methods.schedules import UpdateSchedule

CROSSOVER = 0.8
"""Sparsity of the masked layers together from which the sparse execution is expected to be the faster one."""
INTERVAL = 32
"""Steps from one topology update to the next from which it is: an update costs as much as some ten sparse steps. At 98 % it is
from 4 on, at 90 % from here."""
TYPES = (torch.float32, torch.float64)


def refusal(method: Method) -> str | None:
    """Why the truly sparse execution cannot serve ``method``, or None."""
    if method.starts == "unmasked":
        return f"method {method.name!r} has no sparse layer"
    if method.parameters == "dense":
        return f"method {method.name!r} trains all weights behind its masks"
    if method.starts not in ("random", "dense"):
        return f"method {method.name!r} chooses its first mask by scores of all weights"
    if method.layers_are_free or not method.elementwise:
        return f"method {method.name!r} judges weights together, which here never exist together"
    return None


def layer_refusal(name: str, module: nn.Module | None, weight: Tensor) -> str | None:
    """Why the truly sparse execution cannot serve a layer, or None; ``module`` is the one that the weight belongs to."""
    if not isinstance(module, nn.Linear):
        return (
            f"layer {name!r} is {'shared' if module is None else type(module).__name__}, not a linear layer of its own"
        )
    if weight.device.type != "cpu":
        return f"layer {name!r} is on {weight.device}, the kernels run on a CPU"
    if weight.dtype not in TYPES:
        return f"layer {name!r} is {weight.dtype}, the kernels take {' or '.join(map(str, TYPES))}"
    return None


def pays(model: nn.Module, method: Method, schedule: UpdateSchedule, sparsities: Mapping[str, float]) -> bool:
    """Whether a network of these masked layers can be trained sparsely, and faster than behind masks: is sparse enough, from
    the first step on, and its topology moves seldom enough."""
    weights = {name: weight for name, weight in maskable_weights(model).items() if name in sparsities}
    if refusal(method) or any(layer_refusal(name, owner(model, w), w) for name, w in weights.items()):
        return False
    if _moves_often(method, schedule):
        return False
    first = {name: 0.0 if method.starts == "dense" else method.first_sparsity(s) for name, s in sparsities.items()}
    zeros = sum(first[name] * weight.numel() for name, weight in weights.items())
    return zeros >= CROSSOVER * sum(weight.numel() for weight in weights.values())


def _moves_often(method: Method, schedule: UpdateSchedule) -> bool:
    begin = schedule.begin
    return method.updates != "never" and any(
        method.is_due(step, begin, schedule) for step in range(begin + 1, begin + INTERVAL)
    )


def owner(model: nn.Module, weight: Tensor) -> nn.Module | None:
    """The module whose weight this is; None where several share it."""
    owners = [module for module in model.modules() if weight in set(module.parameters(recurse=False))]
    return owners[0] if len(owners) == 1 else None

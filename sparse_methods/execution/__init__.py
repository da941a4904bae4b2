"""Truly sparse execution: linear layers on a CPU that hold, compute and train their active weights alone.

``sparsify(..., execution="sparse")`` puts it to work in anyone's loop, ``execution="auto"`` where it is served and expected to
be faster. It needs numba, an optional extra: ``pip install rigl-bench[sparse]``. Every other part of the suite does without.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from sparse_methods.distributions import LayerRule, layer_sparsities
from sparse_methods.execution import serving
from sparse_methods.method import CannotError, Method
from sparse_methods.network import maskable_weights
from sparse_methods.schedules import UpdateSchedule
from sparse_methods.sparsifier import Sparsifier


def engine_for(
    execution: Literal["sparse", "auto"],
    model: nn.Module,
    method: Method,
    schedule: UpdateSchedule,
    sparsity: float | None,
    distribution: str,
    rules: Mapping[str, LayerRule],
    masks: Mapping[str, Tensor] | None,
) -> type[Sparsifier]:
    """The engine that computes as ``execution`` asks. Raises CannotError where "sparse" cannot be, ValueError for another
    word."""
    if execution not in ("sparse", "auto"):
        raise ValueError(f"there is no execution {execution!r}; valid: masked, sparse, auto")
    if importlib.util.find_spec("numba") is None:
        if execution == "auto":
            return Sparsifier
        raise CannotError("execution 'sparse' needs numba: pip install rigl-bench[sparse]")
    # Imported here: it imports numba, which is optional.
    from sparse_methods.execution.engine import SparseExecution
    from sparse_methods.execution.linear import SparseLinear

    if execution == "sparse" or any(isinstance(module, SparseLinear) for module in model.modules()):
        return SparseExecution
    if masks is None and sparsity is None:
        return Sparsifier
    pays = serving.pays(model, method, schedule, masked_layers(model, sparsity or 0.0, distribution, rules, masks))
    return SparseExecution if pays else Sparsifier


def masked_layers(
    model: nn.Module,
    sparsity: float,
    distribution: str,
    rules: Mapping[str, LayerRule],
    masks: Mapping[str, Tensor] | None,
) -> dict[str, float]:
    """Sparsity of each layer that would be masked."""
    if masks is not None:
        return {name: 1 - float(mask.count_nonzero()) / mask.numel() for name, mask in masks.items()}
    shapes = {name: tuple(weight.shape) for name, weight in maskable_weights(model).items()}
    shared = layer_sparsities(distribution, sparsity, shapes, rules)
    return {name: layer for name, layer in shared.items() if layer is not None}

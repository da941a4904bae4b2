"""Where weights are grown, and what they start from: the choices that methods share (RigL, Table 1 and ablations).

Starting values follow ``get_grow_tensor`` and ``SparseRigLOptimizer`` of the authors' code (commit d39fc7d).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparse_methods.method import Layer

MEAN_GRADIENT = "mean_gradient"


def remember(layer: Layer, momentum: float) -> None:
    """Keep the running mean of the dense gradient: e <- e + (1 - momentum) (g - e), from zero, not corrected for it."""
    if MEAN_GRADIENT not in layer.state:
        layer.state[MEAN_GRADIENT] = torch.zeros_like(layer.weight)
    layer.state[MEAN_GRADIENT].lerp_(layer.gradient, 1 - momentum)


def normal_start(layer: Layer) -> Tensor:
    """N(0, sigma), sigma the standard deviation of the whole weight tensor, inactive ones included (``random_normal``)."""
    values = layer.normal(layer.weight.numel()).view(layer.weight.shape)
    return values * layer.weight.std(correction=0)


SCORES: dict[str, Callable[[Layer], Tensor]] = {
    "random": lambda layer: layer.random(),
    "gradient": lambda layer: layer.gradient.abs(),
    "momentum": lambda layer: layer.state[MEAN_GRADIENT].abs(),
}
"""The largest are grown. ``momentum`` needs ``remember`` at every step."""

STARTS: dict[str, Callable[[Layer], Tensor | None]] = {
    "zeros": lambda layer: None,
    "random": normal_start,
    "gradient": lambda layer: layer.gradient,
}
"""Values of newly active weights; ``gradient`` is the gradient itself, with its sign (``grad_scale``)."""

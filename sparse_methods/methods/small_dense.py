"""Small-Dense: a narrower dense network with as many parameters as the sparse one (RigL, section 4.1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from sparse_methods.method import Method


class SmallDense(Method):
    """The widest network whose parameters do not exceed the sparse network's.

    The paper lists width multipliers and not how they were found; here the width is solved for by bisection, so that the
    count is as near as the model's channels allow and never above.
    """

    name, label = "small_dense", "Small-Dense"
    citation, year, family = "evci2020rigl", 2020, "dense"
    dense_parts = ("everything, in a narrower network",)
    cannot = ("models without a width option",)
    starts = "unmasked"

    def build(self, factory: Callable[[float], nn.Module], parameters: int) -> nn.Module:
        """Bisect the width to within 1e-4. Raises ValueError when even the narrowest network is too large."""
        if _parameters(factory, 1.0) <= parameters:
            return factory(1.0)
        low, high = 0.0, 1.0
        while high - low > 1e-4:
            width = (low + high) / 2
            low, high = (width, high) if _parameters(factory, width) <= parameters else (low, width)
        low = low or high  # the narrowest network, at a width that is one
        if _parameters(factory, low) > parameters:
            raise ValueError(
                f"no width gives at most {parameters} parameters: the narrowest network has {_parameters(factory, low)}"
            )
        return factory(low)


def _parameters(factory: Callable[[float], nn.Module], width: float) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in factory(width).parameters())

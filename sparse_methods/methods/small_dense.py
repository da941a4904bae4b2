"""Small-Dense: a narrower dense network with as many parameters as the sparse one (RigL, section 4.1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from sparse_methods.method import Method
from sparse_methods.widths import widest


class SmallDense(Method):
    """The widest network whose parameters do not exceed the sparse network's.

    The paper lists width multipliers and not how they were found; here the width is solved for, so that the count is as near
    as the model's channels allow and never above.
    """

    name, label = "small_dense", "Small-Dense"
    citation, year, family = "evci2020rigl", 2020, "dense"
    dense_parts = ("everything, in a narrower network",)
    cannot = ("models without a width option",)
    starts = "unmasked"

    def build(self, factory: Callable[[float], nn.Module], parameters: int) -> nn.Module:
        """Raises ValueError when even the narrowest network has more than ``parameters``."""

        def count(width: float) -> int:
            with torch.device("meta"):
                return sum(parameter.numel() for parameter in factory(width).parameters())

        return factory(1.0 if count(1.0) <= parameters else widest(count, parameters, "parameters"))

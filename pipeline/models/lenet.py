"""LeNet-300-100, the fully connected network of the MNIST experiments (Appendix B)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.compact import live_units
from pipeline.models.family import Family, LayerRule, initialize_as_authors, require_width, scaled


class LeNet300(nn.Module):
    """Three fully connected layers with ReLU between them: fc1, fc2, fc3.

    Args:
        input_shape: of one sample, without the batch; any shape, flattened.
        classes: outputs of fc3.
        width: multiplier of both hidden sizes, for a small dense network of the same parameter count.
        hidden: both hidden sizes at width 1.
        pixels: indices of the inputs that are used, of the flattened sample; None: all.
    """

    def __init__(
        self,
        *,
        input_shape: tuple[int, ...],
        classes: int,
        width: float = 1.0,
        hidden: Sequence[int] = (300, 100),
        pixels: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        require_width(width)
        inputs = math.prod(input_shape)
        if len(hidden) != 2 or min(hidden) < 1:
            raise ValueError(f"hidden is {hidden!r}, it must be two sizes of at least 1")
        if pixels is not None and not (pixels and all(0 <= pixel < inputs for pixel in pixels)):
            raise ValueError(f"pixels must be indices below {inputs}, at least one")
        first, second = (scaled(size, width) for size in hidden)
        self.register_buffer("pixels", None if pixels is None else torch.tensor(pixels), persistent=False)
        self.fc1 = nn.Linear(inputs if pixels is None else len(pixels), first)
        self.fc2 = nn.Linear(first, second)
        self.fc3 = nn.Linear(second, classes)
        initialize_as_authors(self)

    @property
    def relu_chain(self) -> tuple[str, ...]:
        """The layers, where the network is nothing but them and ReLU between them; else none."""
        return ("fc1", "fc2", "fc3") if self.pixels is None else ()

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, classes] of inputs [N, *input_shape]."""
        flat = torch.flatten(inputs, 1)
        hidden = functional.relu(self.fc1(flat if self.pixels is None else flat[:, self.pixels]))
        hidden = functional.relu(self.fc2(hidden))
        return self.fc3(hidden)


def found_by(masks: Mapping[str, Tensor]) -> dict[str, Any]:
    """Options of the network that is left of a LeNet-300-100 when dead pixels and units are removed."""
    pixels, first, second = live_units([masks["fc1"], masks["fc2"], masks["fc3"]])
    return {"hidden": [len(first), len(second)], "pixels": pixels, "width": 1.0}


FAMILY = Family(
    pattern="lenet300",
    spelling="lenet300",
    examples=("lenet300",),
    dataset="mnist",
    factory=LeNet300,
    layer_rules=(
        # The authors' MNIST script (mnist_train_eval.py: custom_sparsities): fc1 at S, as the pool's only layer.
        LayerRule("fc2", 0.9, layout="mnist-authors"),
        LayerRule("fc3", "unmasked", layout="mnist-authors"),
    ),
    found_by=found_by,
)

"""LeNet-300-100, the fully connected network of the MNIST experiments (Appendix B)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.family import Family, LayerRule, initialize_as_authors, require_width, scaled


class LeNet300(nn.Module):
    """Three fully connected layers with ReLU between them: fc1, fc2, fc3.

    Args:
        input_shape: of one sample, without the batch; any shape, flattened.
        classes: outputs of fc3.
        width: multiplier of both hidden sizes, for a small dense network of the same parameter count.
    """

    def __init__(self, *, input_shape: tuple[int, ...], classes: int, width: float = 1.0) -> None:
        super().__init__()
        require_width(width)
        first, second = scaled(300, width), scaled(100, width)
        self.fc1 = nn.Linear(math.prod(input_shape), first)
        self.fc2 = nn.Linear(first, second)
        self.fc3 = nn.Linear(second, classes)
        initialize_as_authors(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, classes] of inputs [N, *input_shape]."""
        hidden = functional.relu(self.fc1(torch.flatten(inputs, 1)))
        hidden = functional.relu(self.fc2(hidden))
        return self.fc3(hidden)


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
)

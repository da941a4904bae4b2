"""LeNet-5 (LeCun et al. 1998) in Caffe's form, which the pruning literature means by the name."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.family import Family, initialize_as_authors, require_width, scaled
from pipeline.models.vision import require_images


class LeNet5(nn.Module):
    """conv1 and conv2, 5x5 with ReLU and 2x2 max pooling, then fc1 with ReLU, and fc2: 20, 50, 500 and ``classes`` outputs.

    This is the network of 431,080 parameters of SNIP, sparse momentum and their successors on MNIST, not LeCun's of 6, 16,
    120, 84 and 10. Initial weights are those of LeNet-300-100.

    Args:
        input_shape: of one sample, [C, H, W], of 16 x 16 pixels or more.
        classes: outputs of fc2.
        width: multiplier of the three other layers' sizes.

    Raises:
        ValueError: for inputs that are not images or too small, or a width that is not positive.
    """

    def __init__(self, *, input_shape: tuple[int, ...], classes: int, width: float = 1.0) -> None:
        super().__init__()
        require_images("lenet5", input_shape, smallest=16)
        require_width(width)
        first, second, hidden = (scaled(size, width) for size in (20, 50, 500))
        sides = [((side - 4) // 2 - 4) // 2 for side in input_shape[1:]]
        self.conv1 = nn.Conv2d(input_shape[0], first, 5)
        self.conv2 = nn.Conv2d(first, second, 5)
        self.fc1 = nn.Linear(second * math.prod(sides), hidden)
        self.fc2 = nn.Linear(hidden, classes)
        initialize_as_authors(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, classes] of images [N, C, H, W]."""
        hidden = functional.max_pool2d(functional.relu(self.conv1(inputs)), 2)
        hidden = functional.max_pool2d(functional.relu(self.conv2(hidden)), 2)
        return self.fc2(functional.relu(self.fc1(torch.flatten(hidden, 1))))


FAMILY = Family(
    pattern="lenet5",
    spelling="lenet5",
    examples=("lenet5",),
    dataset="mnist",
    factory=LeNet5,
    layer_rules=(),  # every layer is masked, as in LeNet-300-100
)

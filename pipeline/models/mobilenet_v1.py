"""MobileNet-v1 (Howard et al. 2017), built as in the authors' ImageNet script."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.family import CountingRule, Family, LayerRule, require_width, truncated
from pipeline.models.vision import initialize_by_fan_in, require_images

STEM = 32
"""Channels of conv1 at width 1."""
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Output channels at width 1, and stride of the depthwise convolution, of each block."""


class Separable(nn.Module):
    """A depthwise 3x3 convolution and a pointwise one, each with BatchNorm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False)
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features [N, out_channels, H/stride, W/stride] of inputs [N, in_channels, H, W]."""
        hidden = functional.relu(self.norm1(self.depthwise(inputs)))
        return functional.relu(self.norm2(self.pointwise(hidden)))


class MobileNetV1(nn.Module):
    """conv1, thirteen depthwise-separable blocks, mean over pixels, fc.

    As in the authors' mobilenetv1_model.py: ReLU (not ReLU6), BatchNorm's epsilon 1e-5 and decay 0.9 (momentum 0.1 in
    torch's terms, its default), initial weights as ``initialize_by_fan_in`` says.

    Args:
        input_shape: of one sample, [C, H, W].
        classes: outputs of fc.
        width: multiplier of every channel count, for small-dense and big-sparse networks. Channels are cut to a whole
            number, as in the authors' counting notebook, from which the published widths and costs come; their training
            script rounds to multiples of 8.

    Raises:
        ValueError: for inputs that are not images, or a width that is not positive.
    """

    def __init__(self, *, input_shape: tuple[int, ...], classes: int, width: float = 1.0) -> None:
        super().__init__()
        require_images("mobilenet_v1", input_shape)
        require_width(width)
        channels = truncated(STEM, width)
        self.conv1 = nn.Conv2d(input_shape[0], channels, 3, 2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential()
        for out_channels, stride in BLOCKS:
            out_channels = truncated(out_channels, width)
            self.blocks.append(Separable(channels, out_channels, stride))
            channels = out_channels
        self.fc = nn.Linear(channels, classes)
        initialize_by_fan_in(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, classes] of images [N, C, H, W]."""
        features = self.blocks(functional.relu(self.norm1(self.conv1(inputs))))
        return self.fc(features.mean(dim=(2, 3)))


DEPTHWISE = tuple(f"blocks.{index}.depthwise" for index in range(len(BLOCKS)))


def _counted_depthwise(index: int) -> CountingRule:
    strides = [stride for _, stride in BLOCKS[: index + 1]]
    if strides[-1] == 1:
        return CountingRule(DEPTHWISE[index], channels=1)
    # A pixel more at the layer's own input and a pixel more at the sample come to the same number of outputs.
    return CountingRule(DEPTHWISE[index], stride=2 * math.prod(strides), padding=1, channels=1)


FAMILY = Family(
    pattern="mobilenet_v1",
    spelling="mobilenet_v1",
    examples=("mobilenet_v1",),
    dataset="imagenet",
    factory=MobileNetV1,
    layer_rules=(
        # Section 4.1.2: the first layer and the depthwise convolutions stay dense.
        *(LayerRule(layer, "unmasked") for layer in ("conv1", *DEPTHWISE)),
        # The authors' notebook counts two more: conv1 in the pool of ERK, and depthwise convolutions made sparse.
        *(LayerRule(layer, "unmasked", layout="conv1-in-pool") for layer in DEPTHWISE),
        LayerRule("conv1", "unmasked", distributions=("uniform",), layout="conv1-in-pool"),
        LayerRule("conv1", "unmasked", layout="depthwise-sparse"),
    ),
    counting_rules=(
        # Each convolution of stride 2 follows a padding by one pixel, and the counter took the padded size for its input's.
        CountingRule("conv1", stride=2, padding=1),
        # It took a depthwise kernel [3, 3, C, 1] for that of a convolution with one output channel.
        *(_counted_depthwise(index) for index in range(len(BLOCKS))),
    ),
)

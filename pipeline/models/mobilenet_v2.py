"""MobileNet-v2 (Sandler et al. 2018), with torchvision's parameter names and channel counts."""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.models.family import Family, LayerRule, require_width
from pipeline.models.vision import initialize_by_fan_in, require_images

STEM, HEAD = 32, 1280
"""Channels of the first and of the last convolution at width 1."""
GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, output channels at width 1, blocks, and stride of each group: the paper's Table 2."""
BLOCKS = sum(blocks for _, _, blocks, _ in GROUPS)


def divisible(channels: int, width: float) -> int:
    """The multiple of 8 nearest to ``channels`` times ``width``, ties upwards; the next one where that is below 90 %."""
    exact = channels * width
    nearest = max(8, int(exact + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * exact else nearest


class InvertedResidual(nn.Module):
    """1x1 to ``expansion`` times the channels, depthwise 3x3, and a linear 1x1, plus the input where the shape allows.

    Each convolution has BatchNorm, and ReLU6 but for the last. There is no first 1x1 where ``expansion`` is 1.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.adds_input = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential()
        if expansion != 1:
            self.conv.append(_activated(in_channels, hidden, 1))
        self.conv.append(_activated(hidden, hidden, 3, stride, groups=hidden))
        self.conv.append(nn.Conv2d(hidden, out_channels, 1, bias=False))
        self.conv.append(nn.BatchNorm2d(out_channels))

    def forward(self, inputs: Tensor) -> Tensor:
        """Features [N, out_channels, H/stride, W/stride] of inputs [N, in_channels, H, W]."""
        return inputs + self.conv(inputs) if self.adds_input else self.conv(inputs)


class MobileNetV2(nn.Module):
    """A convolution, seventeen inverted residuals, a 1x1 convolution, mean over pixels, classifier.

    3,504,872 parameters for 1,000 classes. ReLU6 as in the paper, where the authors of RigL have ReLU; BatchNorm's epsilon
    is 1e-5 and its momentum 0.1 in torch's terms, and initial weights are as ``initialize_by_fan_in`` says, as theirs.

    Args:
        input_shape: of one sample, [C, H, W].
        classes: outputs of the classifier.
        width: multiplier of every channel count, rounded to multiples of 8; the last convolution never gets less than 1280.
        dropout: probability of dropping before the classifier's linear layer. torchvision uses 0.2, the authors of RigL none.

    Raises:
        ValueError: for inputs that are not images, or an option out of range.
    """

    def __init__(self, *, input_shape: tuple[int, ...], classes: int, width: float = 1.0, dropout: float = 0.0) -> None:
        super().__init__()
        require_images("mobilenet_v2", input_shape)
        require_width(width)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout!r}, it must be within [0, 1)")
        channels, head = divisible(STEM, width), divisible(HEAD, max(1.0, width))
        self.features = nn.Sequential(_activated(input_shape[0], channels, 3, 2))
        for expansion, out_channels, blocks, stride in GROUPS:
            out_channels = divisible(out_channels, width)
            for index in range(blocks):
                self.features.append(InvertedResidual(channels, out_channels, stride if index == 0 else 1, expansion))
                channels = out_channels
        self.features.append(_activated(channels, head, 1))
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(head, classes))
        initialize_by_fan_in(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, classes] of images [N, C, H, W]."""
        return self.classifier(self.features(inputs).mean(dim=(2, 3)))


def _activated(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(),
    )


DEPTHWISE = ("features.1.conv.0.0", *(f"features.{index}.conv.1.0" for index in range(2, BLOCKS + 1)))

FAMILY = Family(
    pattern="mobilenet_v2",
    spelling="mobilenet_v2",
    examples=("mobilenet_v2",),
    dataset="imagenet",
    factory=MobileNetV2,
    # Section 4.1.2 of RigL: the first layer and the depthwise convolutions stay dense.
    layer_rules=tuple(LayerRule(layer, "unmasked") for layer in ("features.0.0", *DEPTHWISE)),
)

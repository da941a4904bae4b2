"""VGG-16 and VGG-19 (Simonyan and Zisserman 2015) in the form that sparse training uses on CIFAR."""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.models.family import Family, LayerRule, require_width, truncated
from pipeline.models.vision import initialize_by_fan_in, require_images

GROUPS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""By depth, 3x3 convolutions of each group."""
CHANNELS = (64, 128, 256, 512, 512)
"""Channels of each group at width 1."""


class VGG(nn.Module):
    """Five groups of 3x3 convolutions with 2x2 max pooling between them, mean over pixels, one linear layer.

    This is the authors' vgg.py, which has one classifier layer after the mean where ImageNet's network has three, with the
    BatchNorm that sparse training on CIFAR has after each convolution in place of its bias; the two forms of SNIP keep one
    and two layers of 512 units before the classifier. Convolutions have the names of torchvision's vgg16_bn and vgg19_bn
    (features.0, features.3, features.7, ...) and start as ``initialize_by_fan_in`` says with scale 2, as in vgg.py.

    Args:
        depth: 16 or 19.
        input_shape: of one sample, [C, H, W], of 16 x 16 pixels or more.
        classes: outputs of the classifier.
        width: multiplier of every channel count, cut to a whole number as in vgg.py.

    Raises:
        ValueError: for inputs that are not images or too small, or a width that is not positive.
    """

    def __init__(self, depth: int, *, input_shape: tuple[int, ...], classes: int, width: float = 1.0) -> None:
        super().__init__()
        require_images(f"vgg{depth}", input_shape, smallest=2 ** (len(CHANNELS) - 1))
        require_width(width)
        channels = input_shape[0]
        self.features = nn.Sequential()
        for group, convolutions in enumerate(GROUPS[depth]):
            if group > 0:
                self.features.append(nn.MaxPool2d(2))
            size = truncated(CHANNELS[group], width)
            for _ in range(convolutions):
                self.features.append(nn.Conv2d(channels, size, 3, padding=1, bias=False))
                self.features.append(nn.BatchNorm2d(size))
                self.features.append(nn.ReLU())
                channels = size
        self.classifier = nn.Linear(channels, classes)
        initialize_by_fan_in(self, scale=2.0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, classes] of images [N, C, H, W]."""
        return self.classifier(self.features(inputs).mean(dim=(2, 3)))


FAMILY = Family(
    pattern="vgg(16|19)",
    spelling="vgg16, vgg19",
    examples=("vgg16", "vgg19"),
    dataset="cifar10",
    factory=VGG,
    # Section 3 (1): uniform keeps the first layer dense; Erdos-Renyi has every layer in its pool.
    layer_rules=(LayerRule("features.0", "unmasked", distributions=("uniform",)),),
)

"""ResNet-50 (He et al. 2016), version 1.5, built as in the authors' ImageNet script, and its form for small images."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.family import CountingRule, Family, LayerRule, require_width, truncated
from pipeline.models.vision import initialize_by_fan_in, require_images

EXPANSION = 4
"""Output channels of a bottleneck over its inner ones."""
GROUPS = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Inner channels at width 1, blocks, and stride of each group."""


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 to four times the channels, each with BatchNorm, plus the shortcut, then ReLU.

    The stride on the 3x3 is what makes it version 1.5. The first block of a group has a 1x1 convolution with BatchNorm as
    its shortcut.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, projects: bool) -> None:
        super().__init__()
        out_channels = EXPANSION * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        if projects:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, inputs: Tensor) -> Tensor:
        """Features [N, 4 * channels, H/stride, W/stride] of inputs [N, in_channels, H, W]."""
        skipped = inputs if self.downsample is None else self.downsample(inputs)
        hidden = functional.relu(self.bn1(self.conv1(inputs)))
        hidden = functional.relu(self.bn2(self.conv2(hidden)))
        return functional.relu(self.bn3(self.conv3(hidden)) + skipped)


class ResNet50(nn.Module):
    """conv1, max pooling, layer1 to layer4 of 3, 4, 6 and 3 bottlenecks, mean over pixels, fc; torchvision's names.

    As in the authors' resnet_model.py: BatchNorm's epsilon is 1e-5 and its decay 0.9 (momentum 0.1 in torch's terms, its
    default), the last scale of each bottleneck starts at 0, convolutions start as ``initialize_by_fan_in`` says, and fc
    as a normal of standard deviation 0.01. 25,502,912 weights in convolutions and fc for 1,000 classes.

    Args:
        input_shape: of one sample, [C, H, W].
        classes: outputs of fc.
        width: multiplier of every channel count, for small-dense and big-sparse networks. Inner channels are cut to a whole
            number and outputs are four times those, as in the authors' script.

    Raises:
        ValueError: for inputs that are not images, or a width that is not positive.
    """

    name = "resnet50"
    stem_kernel, stem_stride = 7, 2

    def __init__(self, *, input_shape: tuple[int, ...], classes: int, width: float = 1.0) -> None:
        super().__init__()
        require_images(self.name, input_shape)
        require_width(width)
        channels = truncated(64, width)
        self.conv1 = nn.Conv2d(
            input_shape[0], channels, self.stem_kernel, self.stem_stride, padding=self.stem_kernel // 2, bias=False
        )
        self.bn1 = nn.BatchNorm2d(channels)
        for number, (inner, blocks, stride) in enumerate(GROUPS, start=1):
            inner = truncated(inner, width)
            self.add_module(f"layer{number}", _group(channels, inner, blocks, stride))
            channels = EXPANSION * inner
        self.fc = nn.Linear(channels, classes)
        initialize_by_fan_in(self)
        nn.init.normal_(self.fc.weight, std=0.01)
        for module in self.modules():
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, classes] of images [N, C, H, W]."""
        features = self.pool(functional.relu(self.bn1(self.conv1(inputs))))
        features = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        return self.fc(features.mean(dim=(2, 3)))

    def pool(self, features: Tensor) -> Tensor:
        """What follows conv1: 3x3 max pooling of stride 2."""
        return functional.max_pool2d(features, 3, 2, padding=1)


class SmallImageResNet50(ResNet50):
    """ResNet-50 with a 3x3 conv1 of stride 1 and no pooling after it, for images of 32 x 32 pixels.

    The network of the reproducibility report (Sundar et al. 2021), whose small-dense networks leave conv1 at 64 channels;
    here ``width`` scales it like every other layer.
    """

    name = "resnet50_cifar"
    stem_kernel, stem_stride = 3, 1

    def pool(self, features: Tensor) -> Tensor:
        """What follows conv1: nothing."""
        return features


def _group(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(in_channels, channels, stride, projects=True)
    rest = (Bottleneck(EXPANSION * channels, channels, 1, projects=False) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


LAYER_RULES = (
    # The authors' README: uniform networks keep the first layer dense, ERK networks only at 99 %; fc is always sparse.
    LayerRule("conv1", "unmasked", distributions=("uniform",)),
    LayerRule("conv1", "unmasked", distributions=("erdos_renyi", "erk"), sparsities=(0.99,)),
    # Some published figures need conv1 sparse throughout: at S under uniform, one of the pool under the others.
    LayerRule("conv1", 1.0, distributions=("uniform",), layout="all-sparse"),
    LayerRule("conv1", "unmasked", layout="first-dense"),
)

FAMILY = Family(
    pattern="resnet50",
    spelling="resnet50",
    examples=("resnet50",),
    dataset="imagenet",
    factory=ResNet50,
    layer_rules=LAYER_RULES,
    # The sample is padded by 3 pixels on each side before conv1, and the counter took the padded size for the input's.
    counting_rules=(CountingRule("conv1", stride=2, padding=6),),
)

CIFAR_FAMILY = Family(
    pattern="resnet50_cifar",
    spelling="resnet50_cifar",
    examples=("resnet50_cifar",),
    dataset="cifar10",
    factory=SmallImageResNet50,
    layer_rules=LAYER_RULES,
)

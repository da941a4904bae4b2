"""A small convolutional network with BatchNorm, for studies that need many solutions of one: loss landscapes on MNIST."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.family import Family, LayerRule, initialize_as_authors, require_width, scaled
from pipeline.models.vision import require_images

CHANNELS = (16, 32, 64)


class ConvNet(nn.Module):
    """Three 3x3 convolutions of stride 2, each with BatchNorm and ReLU, mean over pixels, fc. 23,968 weights on MNIST.

    Args:
        input_shape: of one sample, [C, H, W].
        classes: outputs of fc.
        width: multiplier of every channel count.
    """

    def __init__(self, *, input_shape: tuple[int, ...], classes: int, width: float = 1.0) -> None:
        super().__init__()
        require_images("convnet", input_shape)
        require_width(width)
        first, second, third = (scaled(channels, width) for channels in CHANNELS)
        self.conv1 = nn.Conv2d(input_shape[0], first, 3, 2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, 2, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(second)
        self.conv3 = nn.Conv2d(second, third, 3, 2, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(third)
        self.fc = nn.Linear(third, classes)
        initialize_as_authors(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, classes] of images [N, C, H, W]."""
        features = functional.relu(self.norm1(self.conv1(inputs)))
        features = functional.relu(self.norm2(self.conv2(features)))
        features = functional.relu(self.norm3(self.conv3(features)))
        return self.fc(features.mean(dim=(2, 3)))


FAMILY = Family(
    pattern="convnet",
    spelling="convnet",
    examples=("convnet",),
    dataset="mnist",
    factory=ConvNet,
    # As elsewhere: uniform networks keep the first convolution dense.
    layer_rules=(LayerRule("conv1", "unmasked", distributions=("uniform",)),),
)

"""Wide residual networks (Zagoruyko and Komodakis 2016) for small images, built as in the authors' CIFAR-10 script."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.family import Family, LayerRule, initialize_as_authors, require_width, scaled


class Block(nn.Module):
    """Pre-activation basic block: BatchNorm, ReLU, 3x3, BatchNorm, ReLU, dropout, 3x3, plus the shortcut.

    Where the shape changes, the shortcut is a 1x1 convolution of the activated input; elsewhere it is the raw input.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        changes_shape = stride != 1 or in_channels != out_channels
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False) if changes_shape else None

    def forward(self, inputs: Tensor) -> Tensor:
        """Features [N, out_channels, H/stride, W/stride] of inputs [N, in_channels, H, W]."""
        activated = functional.relu(self.norm1(inputs))
        skipped = inputs if self.shortcut is None else self.shortcut(activated)
        hidden = self.dropout(functional.relu(self.norm2(self.conv1(activated))))
        return self.conv2(hidden) + skipped


class WideResNet(nn.Module):
    """WRN-depth-widen: conv1, three groups of (depth - 4) / 6 blocks at 16, 32 and 64 times ``widen`` channels, fc.

    BatchNorm's epsilon is 1e-5 and its decay 0.9 (momentum 0.1 in torch's terms, its default).

    Args:
        depth: 6n + 4.
        widen: the factor k of WRN-depth-k.
        input_shape: of one sample, [C, H, W].
        classes: outputs of fc.
        width: a further multiplier of every channel count, conv1's included, for a small dense network.
        dropout: probability of dropping between the two convolutions of a block. The authors' script uses 0.3, the
            paper does not mention it.

    Raises:
        ValueError: for a depth that is not 6n + 4, inputs that are not images, or an option out of range.
    """

    def __init__(
        self,
        depth: int,
        widen: int,
        *,
        input_shape: tuple[int, ...],
        classes: int,
        width: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"wrn{depth}_{widen}: the depth must be 6n + 4: 10, 16, 22, 28, ...")
        if len(input_shape) != 3:
            raise ValueError(f"wrn{depth}_{widen} takes images [C, H, W], not inputs of shape {list(input_shape)}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout!r}, it must be within [0, 1)")
        require_width(width)
        blocks = (depth - 4) // 6
        stem, *widths = (scaled(channels, width) for channels in (16, 16 * widen, 32 * widen, 64 * widen))
        self.conv1 = nn.Conv2d(input_shape[0], stem, 3, padding=1, bias=False)
        self.group1 = _group(stem, widths[0], 1, blocks, dropout)
        self.group2 = _group(widths[0], widths[1], 2, blocks, dropout)
        self.group3 = _group(widths[1], widths[2], 2, blocks, dropout)
        self.norm = nn.BatchNorm2d(widths[2])
        self.fc = nn.Linear(widths[2], classes)
        initialize_as_authors(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, classes] of images [N, C, H, W]."""
        features = self.group3(self.group2(self.group1(self.conv1(inputs))))
        return self.fc(functional.relu(self.norm(features)).mean(dim=(2, 3)))


def _group(in_channels: int, out_channels: int, stride: int, blocks: int, dropout: float) -> nn.Sequential:
    group = nn.Sequential()
    for index in range(blocks):
        first = index == 0
        block = Block(in_channels if first else out_channels, out_channels, stride if first else 1, dropout)
        group.add_module(f"block{index + 1}", block)
    return group


FAMILY = Family(
    pattern=r"wrn([1-9]\d*)_([1-9]\d*)",
    spelling="wrnDEPTH_WIDTH (such as wrn22_2)",
    examples=("wrn22_2",),
    dataset="cifar10",
    factory=WideResNet,
    # The authors' CIFAR script: prune_first_layer is False, prune_last_layer True (resnet_train_eval.py).
    layer_rules=(LayerRule("conv1", "unmasked"),),
)

"""What the paper-scale image networks share: the check of their inputs, and the initial weights of the authors' scripts."""

from __future__ import annotations

import math

import torch
from torch import nn

TRUNCATED_DEVIATION = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))
"""Standard deviation of a standard normal variable that is drawn again beyond 2: 0.8796."""


def require_images(model: str, input_shape: tuple[int, ...], smallest: int = 1) -> None:
    """Raise ValueError unless ``input_shape`` is [C, H, W] with sides of at least ``smallest`` pixels."""
    if len(input_shape) != 3:
        raise ValueError(f"{model} takes images [C, H, W], not inputs of shape {list(input_shape)}")
    if min(input_shape[1:]) < smallest:
        height, width = input_shape[1:]
        raise ValueError(f"{model} takes images of at least {smallest} x {smallest} pixels, not {height} x {width}")


def initialize_by_fan_in(model: nn.Module, scale: float = 1.0) -> None:
    """Truncated-normal kernels of variance ``scale`` / fan-in and zero biases, from torch's global random state.

    This is TensorFlow's ``variance_scaling_initializer()``, which the authors' ImageNet networks name for convolutions:
    normal, drawn again beyond two standard deviations, the variance that this costs made good. Depthwise kernels are
    Glorot uniform, the default of the layer that the authors use for them. BatchNorm stays at 1 and 0.
    (google-research/rigl, imagenet_resnet/resnet_model.py, mobilenetv1_model.py and vgg.py)
    """
    for module in model.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        if getattr(module, "groups", 1) > 1:
            nn.init.xavier_uniform_(module.weight)
        else:
            truncated_normal_(module.weight, math.sqrt(scale / math.prod(module.weight.shape[1:])))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def truncated_normal_(weight: torch.Tensor, deviation: float) -> None:
    """Fill ``weight`` with normal values of standard deviation ``deviation`` after truncation."""
    before = deviation / TRUNCATED_DEVIATION
    nn.init.trunc_normal_(weight, std=before, a=-2 * before, b=2 * before)

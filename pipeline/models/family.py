"""What a model brings besides its network: its names and its table of layer rules."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

Sparsities = dict[str, "float | Literal['unmasked']"]
"""What the engine takes as ``layers=``: by layer name, an explicit sparsity or "unmasked"."""


@dataclass(frozen=True)
class LayerRule:
    """One row of a model's table: how one layer is kept out of the sparsity distribution, and when.

    A layer takes part in the distribution unless a row applies to it. Example, for a first convolution that only the
    99 % ERK network leaves unmasked: ``LayerRule("conv1", "unmasked", distributions=("erk",), sparsities=(0.99,))``.
    """

    layer: str
    """Name of the layer: the module path of its weight, without ".weight"."""
    action: Literal["unmasked"] | float
    """"unmasked", or the factor of the requested sparsity that is the layer's own."""
    distributions: tuple[str, ...] | None = None
    """Distributions for which the row holds; None: all."""
    sparsities: tuple[float, ...] | None = None
    """Requested sparsities for which the row holds; None: all."""
    layout: str = "default"
    """The table that the row belongs to: a model may have several."""

    def applies(self, layout: str, distribution: str, sparsity: float) -> bool:
        """Whether the row holds for this layout, distribution and requested sparsity."""
        return (
            self.layout == layout
            and (self.distributions is None or distribution in self.distributions)
            and (self.sparsities is None or any(math.isclose(sparsity, s) for s in self.sparsities))
        )


@dataclass(frozen=True)
class CountingRule:
    """One row of a model's table of layers that the authors' FLOP counter charged otherwise than they compute.

    Only the convention ``rigl`` uses it. Example, for a first convolution of stride 2 after a padding of the sample by 3
    pixels on each side, which the counter took for a larger sample: ``CountingRule("conv1", stride=2, padding=6)``.
    """

    layer: str
    """Name of the layer."""
    stride: int = 1
    """By which the layer's output is smaller than the sample, in all; with ``padding``."""
    padding: int | None = None
    """Pixels by which the counter took height and width of the sample for larger, "same" padding assumed; None: it charged the
    true output size."""
    channels: int | None = None
    """Output channels that the counter took the layer to have; None: the true number."""

    def positions(self, input_shape: tuple[int, ...]) -> int | None:
        """Output pixels that were charged, for samples [C, H, W]; None: the true ones."""
        if self.padding is None:
            return None
        return math.prod(math.ceil((side + self.padding) / self.stride) for side in input_shape[1:])


@dataclass(frozen=True)
class Family:
    """Models that differ by the numbers in their names, for instance ``wrn22_2`` and ``wrn16_4``."""

    pattern: str
    """Regular expression of the names; its groups, whole numbers, are the factory's first arguments."""
    spelling: str
    """The names for people, in error messages."""
    examples: tuple[str, ...]
    """Names that studies use."""
    dataset: str
    """The data set whose samples the family is meant for: the input that costs are counted for when none is named."""
    factory: Callable[..., nn.Module]
    """Takes the numbers in the name, then ``input_shape``, ``classes`` and the options by keyword."""
    layer_rules: tuple[LayerRule, ...]
    counting_rules: tuple[CountingRule, ...] = ()
    """Where the authors' counter charged something else than the network computes."""
    note: str = ""
    """What must be said with the family's numbers."""
    found_by: Callable[[Mapping[str, Tensor]], dict[str, Any]] | None = None
    """Options of the network that masks of all layers leave when dead units are removed; None: not known for the family."""

    def numbers(self, name: str) -> tuple[int, ...] | None:
        """The numbers in ``name``, or None when the name is not of this family."""
        match = re.fullmatch(self.pattern, name)
        return None if match is None else tuple(int(number) for number in match.groups())


def resolve_rules(
    rules: Iterable[LayerRule], model: str, layout: str, distribution: str, sparsity: float
) -> Sparsities:
    """The rows that hold, as the engine's ``layers=``.

    Raises ValueError for a layout that no row belongs to (``default`` always exists).
    """
    rules = tuple(rules)
    layouts = sorted({"default", *(rule.layout for rule in rules)})
    if layout not in layouts:
        raise ValueError(f"model {model!r} has no layout {layout!r}; valid: {', '.join(layouts)}")
    return {
        rule.layer: "unmasked" if rule.action == "unmasked" else sparsity * rule.action
        for rule in rules
        if rule.applies(layout, distribution, sparsity)
    }


def initialize_as_authors(model: nn.Module) -> None:
    """Glorot-uniform kernels and zero biases, from torch's global random state.

    The authors' LeNet and WRN scripts name no initializer and so get TensorFlow's defaults: Glorot uniform for kernels,
    zeros for biases, BatchNorm at 1 and 0 (google-research/rigl, mnist_train_eval.py and pruning_layers.py).
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def scaled(channels: int, width: float) -> int:
    """A layer's size at the multiplier ``width`` of a thinner or wider network: rounded, at least 1."""
    return max(1, round(channels * width))


def truncated(channels: int, width: float) -> int:
    """A layer's size at the multiplier ``width`` as in the authors' ImageNet networks: cut to a whole number, at least 1."""
    return max(1, int(channels * width))


def require_width(width: float) -> None:
    """Raise ValueError unless ``width`` is a positive multiplier."""
    if not width > 0:
        raise ValueError(f"width is {width!r}, it must be above 0")

"""What the engine sees of a network: its maskable weights, and what each of them holds."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class LayerCount:
    """What a layer holds now; ``sparsity`` is the achieved one."""

    layer: str
    shape: tuple[int, ...]
    weights: int
    nonzeros: int
    sparsity: float
    masked: bool


def maskable_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Weights of linear, convolutional and recurrent modules by layer name: the module's path, or the parameter's for a
    recurrent module, where each stacked gate matrix is a layer. A weight shared by two modules appears once."""
    found: dict[str, nn.Parameter] = {}
    for path, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
            candidates = {path or "weight": module.weight}
        elif isinstance(module, nn.RNNBase):
            named = module.named_parameters(prefix=path, recurse=False)
            candidates = {name: parameter for name, parameter in named if parameter.ndim >= 2}
        else:
            continue
        known = {id(parameter) for parameter in found.values()}
        found |= {name: parameter for name, parameter in candidates.items() if id(parameter) not in known}
    return found

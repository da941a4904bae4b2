"""What the engine knows of optimizers: their per-weight slots, and how they decay weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PER_WEIGHT_SLOTS: dict[type[torch.optim.Optimizer], tuple[str, ...]] = {
    torch.optim.SGD: ("momentum_buffer",),
    torch.optim.Adam: ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    torch.optim.AdamW: ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
}
"""State of the weight's shape, zeroed where the weight is inactive."""

SHARED_SLOTS = ("step",)
"""State of the whole tensor, never touched."""


def check_known(optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter]) -> None:
    """Raise TypeError for an optimizer whose state is not known, ValueError for one that lacks a masked weight."""
    if type(optimizer) not in PER_WEIGHT_SLOTS:
        known = ", ".join(cls.__name__ for cls in PER_WEIGHT_SLOTS)
        raise TypeError(
            f"the state of {type(optimizer).__name__} is not known, so new weights could inherit old momentum; known: {known}"
        )
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    missing = [name for name, parameter in parameters.items() if id(parameter) not in held]
    if missing:
        raise ValueError(f"the optimizer does not hold the masked weights of {', '.join(missing)}")


def mask_state(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, mask: Tensor) -> None:
    """Zero every per-weight slot of ``parameter`` where ``mask`` is zero. Raises TypeError for a slot of unknown meaning."""
    for slot, value in optimizer.state.get(parameter, {}).items():
        if slot in PER_WEIGHT_SLOTS[type(optimizer)]:
            if value is not None:
                value.mul_(mask)
        elif slot not in SHARED_SLOTS:
            raise TypeError(
                f"{type(optimizer).__name__} keeps {slot!r}, whose meaning for a masked weight is not known"
            )


def coupled_weight_decay(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> float:
    """Coefficient of the L2 term that the optimizer adds to the loss; 0 where the decay is decoupled."""
    group = optimizer.param_groups[group_index(optimizer, parameter)]
    return 0.0 if group.get("decoupled_weight_decay", False) else group["weight_decay"]


def group_index(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> int:
    """Which of the optimizer's groups holds ``parameter``; groups keep their places when a state is loaded."""
    for index, group in enumerate(optimizer.param_groups):
        if any(parameter is member for member in group["params"]):
            return index
    raise ValueError("the optimizer does not hold this parameter")

"""The network that a sparse training found: a chain of layers without its dead inputs and units (RigL, Appendix B)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def live_units(masks: Sequence[Tensor]) -> list[list[int]]:
    """Indices of the live inputs and units between the layers of a chain, from its masks [out, in], first layer first.

    A hidden unit lives when it has an active weight from a live unit or input before it and one to a live unit behind it; an
    input when it has one to a live unit; outputs always do. Returns len(masks) lists: inputs, then each hidden layer. Raises
    ValueError where a level has no live unit left.
    """
    live = [torch.ones(mask.shape[1], dtype=torch.bool) for mask in masks]
    live.append(torch.ones(masks[-1].shape[0], dtype=torch.bool))
    while True:
        pruned = [units.clone() for units in live]
        for level, mask in enumerate(masks):
            connected = mask & live[level + 1].unsqueeze(1) & live[level].unsqueeze(0)
            pruned[level] &= connected.any(dim=0)
            if level + 1 < len(masks):
                pruned[level + 1] &= connected.any(dim=1)
        if all(torch.equal(before, after) for before, after in zip(live, pruned, strict=True)):
            break
        live = pruned
    found = [units.nonzero().squeeze(1).tolist() for units in live[:-1]]
    if not all(found):
        raise ValueError("no path of active weights leads from the inputs to the outputs: there is no network to find")
    return found

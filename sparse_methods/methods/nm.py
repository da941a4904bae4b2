"""N:M sparsity by SR-STE (Zhou et al., ICLR 2021, arXiv:2102.04010, equation 9).

In every group of M consecutive inputs the N largest weights are used; the gradient goes straight through, and the others
are pulled to zero: dL/dw + decay * (1 - mask) * w. Groups run along the input channels, for convolutions at one kernel
position, as in the authors' code (NM-sparsity), which leaves linear layers dense where this suite masks what is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_methods.method import Layer, Request
from sparse_methods.methods.dnw import DNW


@dataclass(frozen=True)
class NM(DNW):
    """The N largest of every M, after every step."""

    name, label = "nm", "N:M (SR-STE)"
    citation, year, family = "zhou2021srste", 2021, "dense-to-sparse"
    cannot = ("a sparsity other than 1 - N/M in any layer", "layers whose inputs are not a multiple of M")

    n: int = 2
    m: int = 4
    decay: float = 2e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.m >= 2, "m", "at least 2")
        self.require(1 <= self.n < self.m, "n", f"within [1, {self.m - 1}]")
        self.require(self.decay >= 0, "decay", "at least 0")

    def skip(self, request: Request) -> str | None:
        for name, sparsity in request.sparsities.items():
            if abs(sparsity - (1 - self.n / self.m)) > 1e-9:
                return f"{self.n}:{self.m} is a sparsity of {1 - self.n / self.m:g}, {name} is asked for {sparsity:g}"
            inputs = request.shapes[name][1]
            if inputs % self.m:
                return f"a row of {name} has {inputs} inputs, which groups of {self.m} do not divide"
        return None

    def active(self, layer: Layer, count: int) -> Tensor:
        """Ties go to the earlier input of a group."""
        grouped = layer.dense.abs().movedim(1, -1).unflatten(-1, (-1, self.m))
        chosen = grouped.argsort(dim=-1, descending=True, stable=True)[..., : self.n]
        mask = torch.zeros_like(grouped, dtype=torch.bool).scatter_(-1, chosen, True)
        return mask.flatten(-2).movedim(-1, 1)

    def parameter_gradient(self, layer: Layer) -> Tensor:
        return layer.gradient + layer.dense * ~layer.mask * self.decay

"""STR: soft threshold weight reparameterization (Kusupati et al., ICML 2020, arXiv:2002.03231, equations 3 to 5).

The network computes with sign(w) * max(|w| - g(s), 0), g the logistic function and s one learned number per layer:
dL/dw passes where |w| > g(s), and dL/ds = -g'(s) * sum of dL/dw_effective * sign(w) over the same weights. Weight decay of
s pulls it up to 0 and so the threshold to 1/2; where that meets the loss is the sparsity: an outcome, not a request.

As in the authors' code (RAIVNLab/STR), s has the weights' learning rate and momentum; its decay is the option ``decay``
(theirs equals the weights'), its start ``initial`` (theirs is -3200 for ResNet-50, where only decay moves s for long).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sparse_methods.method import Layer, Request, TrainingCost
from sparse_methods.methods.dnw import DNW


@dataclass(frozen=True)
class STR(DNW):
    """A learned threshold per layer."""

    name, label = "str", "STR"
    citation, year, family = "kusupati2020str", 2020, "dense-to-sparse"
    dense_parts = ("weights and their optimizer state", "gradient, until the thresholds have risen")
    cannot = ("a given sparsity or distribution: both are outcomes of its weight decay",)
    exempt = {
        "layer counts": "sparsity is an outcome",
        "total count": "sparsity is an outcome",
        **DNW.exempt,
    }
    ignores = ("sparsity", "distribution", *DNW.ignores)

    initial: float = -5.0
    decay: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.decay >= 0, "decay", "at least 0")

    def skip(self, request: Request) -> str | None:
        return self.cannot[0] if any(request.sparsities.values()) else None

    def extra_parameters(self, layer: Layer) -> dict[str, Tensor]:
        return {"s": layer.weight.new_tensor(self.initial)}

    def needs_dense_gradient(self, step: int, update_due: bool) -> bool:
        return False

    def active(self, layer: Layer, count: int) -> Tensor:
        return layer.dense.abs() > layer.extra["s"].sigmoid()

    def effective_weight(self, layer: Layer) -> Tensor:
        return layer.dense.sign() * (layer.dense.abs() - layer.extra["s"].sigmoid()).relu()

    def parameter_gradient(self, layer: Layer) -> Tensor:
        return layer.gradient * layer.mask

    def extra_gradients(self, layer: Layer) -> dict[str, Tensor]:
        s = layer.extra["s"].detach()
        slope = s.sigmoid() * (1 - s.sigmoid())
        through = (layer.gradient * layer.dense.sign())[layer.mask].sum()
        return {"s": -slope * through + self.decay * s}

    def peak_parameters(self, sparse: int, dense: int) -> int:
        """Before the thresholds rise nearly all weights are active, and have a gradient."""
        return 3 * dense

    def train_flops(self, cost: TrainingCost) -> None:
        """None: 3 f_S(t) of the sparsity that is reached on the way; a run's record has the sum."""

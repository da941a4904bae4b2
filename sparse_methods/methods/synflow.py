"""SynFlow: iterative synaptic flow pruning (Tanaka, Kunin, Yamins & Ganguli, NeurIPS 2020, arXiv:2006.05467, Algorithm 1).

R is the sum of the outputs for an input of ones when every parameter and buffer is replaced by its magnitude, normalisation
statistics being those of an untrained network; the score of a weight is |w * dR/dw|. In ``rounds`` rounds the share
1 - (1 - s)^(r / rounds) of lowest scores among all layers is removed and R taken anew, so that no layer is cut off. No data
is used: the first batch gives the shape of an input. In eval mode, as in the authors' code (ganguli-lab/Synaptic-Flow); in
float64, since R grows with depth.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparse_methods.method import Batch, CannotError, Layer, Method


@dataclass(frozen=True)
class SynFlow(Method):
    """Chosen before step 0; then frozen."""

    name, label = "synflow", "SynFlow"
    citation, year, family = "tanaka2020synflow", 2020, "one-shot"
    dense_parts = ("weights and gradient, before training",)
    cannot = ("a distribution: layers are ranked together", "networks that take indices")
    exempt = {"layer counts": "layers are ranked together"}
    starts = "first_batch"
    ignores = ("distribution",)
    layers_are_free = True

    rounds: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.rounds >= 1, "rounds", "at least 1")

    def probe(self, layers: Sequence[Layer], batch: Batch) -> None:
        if not batch.inputs.is_floating_point():
            raise CannotError(
                f"{self.name} feeds an input of ones, which means nothing to a network that takes indices"
            )
        names = {id(parameter): name for name, parameter in batch.model.named_parameters()}
        flow = _magnitudes(batch.model)
        flow(torch.ones_like(batch.inputs[:1], dtype=torch.float64)).sum().backward()
        parameters = dict(flow.named_parameters())
        for layer in layers:
            magnitude = parameters[names[id(layer.weight)]]
            layer.state["flow"] = (magnitude * magnitude.grad).detach().abs()

    def initialize(self, layer: Layer) -> Tensor:
        return layer.state.pop("flow")

    def first_mask_flops(self, dense: int, batch_size: int) -> int:
        """The batch's own passes, and one sample forward and backward a round, counted as dense throughout."""
        return 3 * dense * (batch_size + self.rounds)

    def peak_parameters(self, sparse: int, dense: int) -> int:
        """Weights and the batch's gradient; in float64, at twice the size, their magnitudes, R's gradient and the scores."""
        return 8 * dense


def _magnitudes(model: nn.Module) -> nn.Module:
    """A float64 copy in eval mode, normalisation statistics as at the start, everything replaced by its magnitude."""
    flow = copy.deepcopy(model).double().eval()
    for module in flow.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            module.reset_running_stats()
    with torch.no_grad():
        for value in (*flow.parameters(), *flow.buffers()):
            if value.is_floating_point():
                value.abs_()
    return flow

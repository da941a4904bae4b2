"""GraSP: gradient signal preservation (Wang, Zhang & Grosse, ICLR 2020, arXiv:2002.07376, equation 8).

The score of removing a weight is -w * (H g), g the gradient and H the Hessian of the loss at the dense initial network; the
largest -w * (H g) are removed, so the largest w * (H g), signed, are kept, all layers ranked together. H g is the gradient
of <g, stop(g)>, exact. Logits are divided by ``temperature`` (200), as in the authors' code (alecwangcq/GraSP).

Deviations: one training batch, where the authors draw ten samples of each class and halve them; scores of the network that
is trained, where they draw its linear layers anew in the copy they score; no normalisation, which does not change ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_methods.method import Batch, Layer, Method


@dataclass(frozen=True)
class GraSP(Method):
    """Scored on the first batch, before step 0; then frozen."""

    name, label = "grasp", "GraSP"
    citation, year, family = "wang2020grasp", 2020, "one-shot"
    dense_parts = ("weights, gradient and Hessian product, for the first batch",)
    cannot = ("a distribution: layers are ranked together",)
    exempt = {"layer counts": "layers are ranked together"}
    starts = "first_batch"
    ignores = ("distribution",)
    layers_are_free = True

    temperature: float = 200.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.temperature > 0, "temperature", "above 0")

    def probe(self, layers: Sequence[Layer], batch: Batch) -> None:
        weights = [layer.weight for layer in layers]
        # On copies of the buffers: normalisation statistics have seen this batch once already.
        buffers = {name: buffer.clone() for name, buffer in batch.model.named_buffers()}
        outputs = torch.func.functional_call(batch.model, buffers, (batch.inputs,))
        loss = batch.loss(outputs / self.temperature)
        gradients = torch.autograd.grad(loss, weights, create_graph=True)
        flow = sum((gradient * gradient.detach()).sum() for gradient in gradients)
        for layer, product in zip(layers, torch.autograd.grad(flow, weights), strict=True):
            layer.state["hessian_gradient"] = product

    def initialize(self, layer: Layer) -> Tensor:
        return layer.weight * layer.state.pop("hessian_gradient")

    def first_mask_flops(self, dense: int, batch_size: int) -> int:
        """The batch's own passes, 3 f_D; g again with its graph, 3 f_D; and back through that, twice its cost."""
        return 12 * dense * batch_size

    def peak_parameters(self, sparse: int, dense: int) -> int:
        """Weights, the batch's gradient, the gradient with its graph, and the Hessian product."""
        return 4 * dense

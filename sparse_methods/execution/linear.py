"""A linear layer that holds its active weights and nothing of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparse_methods.execution import kernels
from sparse_methods.execution.pattern import Pattern, index_type


class SparseLinear(nn.Module):
    """y = W x + b of inputs [batch, in_features], where only the active weights of W exist.

    ``values`` [active weights] is the parameter, in row-major order of ``pattern``; its gradient and the optimizer's state
    have its shape. Made from a linear layer and a mask by :meth:`of`, or by :meth:`random` without W ever existing.
    """

    def __init__(self, pattern: Pattern, values: Tensor, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.out_features, self.in_features = pattern.shape
        self.pattern = pattern
        self.values = nn.Parameter(values)
        self.bias = bias
        self.factors: list[tuple[np.ndarray, np.ndarray]] = []
        """Inputs [in_features][batch] and the loss's derivative by the outputs [out_features][batch] of the backward passes
        since the gradient was last cleared; the dense gradient is the sum of their products."""

    @classmethod
    def of(cls, linear: nn.Linear, mask: Tensor, index: type | None = None) -> SparseLinear:
        """The active weights of ``linear``; ``mask`` is boolean, of the weight's shape. The bias is shared."""
        shape = (linear.out_features, linear.in_features)
        positions = mask.flatten().nonzero().squeeze(1)
        values = linear.weight.detach().flatten()[positions]
        return cls(Pattern(shape, positions.numpy(), index or index_type(*shape)), values, linear.bias)

    @classmethod
    def random(
        cls,
        in_features: int,
        out_features: int,
        sparsity: float,
        seed: int,
        *,
        bias: bool = True,
        dtype: torch.dtype = torch.float32,
    ) -> SparseLinear:
        """A layer of floor(sparsity * weights) zeros at uniformly random positions; memory follows the active weights.

        Values are normal with variance 2 / (active inputs a unit has on average), the start for sparse networks after He et
        al. 2015; biases are 0. Raises ValueError for a sparsity outside [0, 1).
        """
        if not 0 <= sparsity < 1:
            raise ValueError(f"sparsity is {sparsity!r}, it must be within [0, 1)")
        weights = in_features * out_features
        active = weights - int(np.floor(sparsity * weights))
        generator = np.random.default_rng(seed)
        positions = np.sort(generator.choice(weights, active, replace=False, shuffle=False))
        scale = np.sqrt(2 * out_features / active)
        values = torch.from_numpy(generator.standard_normal(active) * scale).to(dtype)
        pattern = Pattern((out_features, in_features), positions, index_type(out_features, in_features))
        return cls(pattern, values, nn.Parameter(torch.zeros(out_features, dtype=dtype)) if bias else None)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs [batch, out_features]. Raises ValueError for inputs of another shape or type, or on another device."""
        inputs = self.checked(inputs)
        if not torch.is_grad_enabled():
            return torch.from_numpy(self.product(np.ascontiguousarray(inputs.detach().numpy().T))).t()
        return _Product.apply(inputs, self.values, self.bias, self)

    def product(self, features: np.ndarray) -> np.ndarray:
        """Outputs [out_features][batch] of inputs [in_features][batch]."""
        pattern, values = self.pattern, self.values.detach().numpy()
        bias = values[:0] if self.bias is None else self.bias.detach().numpy()
        outputs = np.empty((self.out_features, features.shape[1]), features.dtype)
        kernels.product(pattern.starts, pattern.columns, values, bias, features, outputs)
        return outputs

    def checked(self, inputs: Tensor) -> Tensor:
        """``inputs``, if this layer takes them; raises ValueError that says what it takes."""
        fits = inputs.ndim == 2 and inputs.shape[1] == self.in_features
        if not fits or inputs.dtype != self.values.dtype or inputs.device.type != "cpu":
            raise ValueError(
                f"inputs are {inputs.dtype} of shape {tuple(inputs.shape)} on {inputs.device}, this layer takes"
                f" {self.values.dtype} of shape (batch, {self.in_features}) on the CPU"
            )
        return inputs

    def add_gradient(self, gradient: Tensor, features: np.ndarray, deltas: np.ndarray) -> None:
        """Add the gradient of a backward pass, which autograd cannot: it remembers how many values there were when the
        graph before this one was built. The other two are its ``factors``."""
        if self.values.grad is None:
            self.values.grad = gradient
            self.factors.clear()  # of a gradient that was cleared without a step
        else:
            self.values.grad += gradient
        self.factors.append((features, deltas))

    def replace(self, positions: np.ndarray, values: Tensor) -> None:
        """Hold ``values`` at ``positions`` (row-major, ascending) from now on; the parameter stays the same object."""
        self.pattern = Pattern(self.pattern.shape, positions, self.pattern.index)
        self.values.data = values
        self.values.grad = None
        self.factors.clear()

    def dense_weight(self) -> Tensor:
        """W [out_features, in_features], zeros included."""
        weight = torch.zeros(self.out_features * self.in_features, dtype=self.values.dtype)
        weight[torch.from_numpy(self.pattern.positions)] = self.values.detach()
        return weight.view(self.out_features, self.in_features)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "positions"] = torch.from_numpy(self.pattern.positions)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        positions = state_dict.pop(prefix + "positions", None)
        if positions is not None:
            self.replace(positions.numpy(), torch.empty(positions.numel(), dtype=self.values.dtype))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        """Sizes and the active weights, as printed."""
        return f"in_features={self.in_features}, out_features={self.out_features}, weights={self.pattern.weights}"


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, values: Tensor, bias: Tensor | None, layer: SparseLinear) -> Tensor:
        features = np.ascontiguousarray(inputs.detach().numpy().T)
        outputs = layer.product(features)
        ctx.layer, ctx.features, ctx.has_bias = layer, features, bias is not None
        ctx.save_for_backward(values)
        return torch.from_numpy(outputs).t()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        layer, features, (values,) = ctx.layer, ctx.features, ctx.saved_tensors
        pattern, deltas = layer.pattern, np.ascontiguousarray(gradient.numpy().T)
        of_inputs = of_bias = None
        if ctx.needs_input_grad[0]:
            starts, rows, order = pattern.transposed
            turned = np.empty((layer.in_features, deltas.shape[1]), deltas.dtype)
            weights = values.detach().numpy()
            kernels.product(starts, rows, weights[order], weights[:0], deltas, turned)
            of_inputs = torch.from_numpy(turned).t()
        if ctx.needs_input_grad[1]:
            own = np.empty(pattern.weights, deltas.dtype)
            kernels.weight_gradient(pattern.starts, pattern.columns, features, deltas, own)
            layer.add_gradient(torch.from_numpy(own), features, deltas)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            of_bias = torch.from_numpy(deltas.sum(1))
        return of_inputs, None, of_bias, None

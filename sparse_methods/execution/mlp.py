"""The whole gradient of a chain of linear layers in one compiled call.

Between the kernels of a small network Python takes longer than the kernels do. For linear layers with ReLU between them
and cross-entropy at the end, forward and backward pass are therefore one call, and a step of SGD is another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from sparse_methods.execution.kernels import COMPILED, gathered, product, row_sums, weight_gradient
from sparse_methods.execution.linear import SparseLinear
from sparse_methods.execution.pattern import Pattern, index_type
from sparse_methods.optimizer_state import group_index

LANES = 16
"""Numbers that a batch is filled up to a multiple of: a loop's remainder costs as much as the loop."""


@njit(**COMPILED)
def take(samples, rows, factor, features):
    """features [features][batch] = factor * samples[rows], of samples [number][features], four rows at a time."""
    count, scale = samples.shape[1], features.dtype.type(factor)
    whole = rows.size - rows.size % 4
    for first in range(0, whole, 4):
        s0, s1, s2, s3 = (
            samples[rows[first]],
            samples[rows[first + 1]],
            samples[rows[first + 2]],
            samples[rows[first + 3]],
        )
        for feature in range(count):
            features[feature, first], features[feature, first + 1] = s0[feature] * scale, s1[feature] * scale
            features[feature, first + 2], features[feature, first + 3] = s2[feature] * scale, s3[feature] * scale
    for place in range(whole, rows.size):
        for feature in range(count):
            features[feature, place] = samples[rows[place], feature] * scale


@njit(**COMPILED)
def cross_entropy(logits, labels, rows, smoothing, deltas):
    """Mean cross-entropy of labels[rows], smoothed to (1 - smoothing) onehot + smoothing / classes; ``deltas`` becomes its
    derivative by the logits. Shapes [classes][at least batch], labels [number], rows [batch]."""
    classes, batch = logits.shape[0], rows.size
    total = 0.0
    for b in range(batch):
        highest = logits[0, b]
        for c in range(1, classes):
            highest = max(highest, logits[c, b])
        whole = 0.0
        for c in range(classes):
            whole += np.exp(logits[c, b] - highest)
        logarithm = np.log(whole) + highest
        for c in range(classes):
            wanted = smoothing / classes + (1.0 - smoothing if labels[rows[b]] == c else 0.0)
            total += wanted * (logarithm - logits[c, b])
            deltas[c, b] = (np.exp(logits[c, b] - logarithm) - wanted) / batch
    return total / batch


@njit(**COMPILED)
def gradients(
    samples,
    labels,
    rows,
    factor,
    smoothing,
    starts,
    columns,
    values,
    biases,
    turned,
    activations,
    deltas,
    of_values,
    of_biases,
):
    """Forward and backward pass of a chain of layers on factor * samples[rows] and labels[rows]; the mean loss.

    Tuples by layer: ``starts``, ``columns`` and ``values`` of the weights; ``turned``, from the second layer on: starts, rows,
    order and room for values of the transposed matrix; ``activations``, the inputs of each layer and, last, the logits;
    ``deltas``, the loss's derivatives by each layer's outputs; then the gradients, which are overwritten.
    """
    depth = len(values)
    take(samples, rows, factor, activations[0])
    for i in range(depth):
        outputs = activations[i + 1]
        product(starts[i], columns[i], values[i], biases[i], activations[i], outputs)
        if i + 1 < depth:
            for row in range(outputs.shape[0]):
                for b in range(outputs.shape[1]):
                    # Not max(), which may make 0 of NaN: a training that has diverged would go on unnoticed.
                    if outputs[row, b] < 0:
                        outputs[row, b] = 0
    loss = cross_entropy(activations[depth], labels, rows, smoothing, deltas[depth - 1])
    for back in range(depth):
        i = depth - 1 - back
        weight_gradient(starts[i], columns[i], activations[i], deltas[i], of_values[i])
        row_sums(deltas[i], of_biases[i])
        if i > 0:
            below, inputs = deltas[i - 1], activations[i]
            first, units, order, room = turned[0][i - 1], turned[1][i - 1], turned[2][i - 1], turned[3][i - 1]
            gathered(values[i], order, room)
            product(first, units, room, biases[i][:0], deltas[i], below)
            for row in range(below.shape[0]):
                for b in range(below.shape[1]):
                    if inputs[row, b] <= 0:
                        below[row, b] = 0
    return loss


@njit(**COMPILED)
def descend(rates, decays, momenta, nesterov, weights, of_weights, velocities):
    """A step of SGD on every tensor of the tuples; rates, decays and momenta are arrays with a number for each."""
    for i in range(len(weights)):
        weight, gradient, velocity = weights[i], of_weights[i], velocities[i]
        rate, decay, momentum = rates[i], decays[i], momenta[i]
        for k in range(weight.size):
            slope = gradient[k] + decay * weight[k]
            velocity[k] = momentum * velocity[k] + slope
            weight[k] -= rate * (slope + momentum * velocity[k] if nesterov else velocity[k])


class Descent:
    """Steps of SGD on all of an optimizer's parameters in one call, its state kept as torch keeps it."""

    def __init__(self, optimizer: torch.optim.SGD, parameters: Sequence[nn.Parameter]) -> None:
        self._optimizer, self._parameters = optimizer, list(parameters)
        self._groups = [group_index(optimizer, parameter) for parameter in parameters]
        self._numbers = np.empty((3, len(self._parameters)), parameters[0].detach().numpy().dtype)
        self._buffers: list[Tensor] = []
        self._velocities: tuple[np.ndarray, ...] = ()

    @classmethod
    def of(cls, optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter]) -> Descent | None:
        """None for another optimizer, one of other parameters, or a variant of SGD that is not known here."""
        groups = optimizer.param_groups
        held = {id(parameter) for group in groups for parameter in group["params"]}
        if type(optimizer) is not torch.optim.SGD or held != set(map(id, parameters)):
            return None
        unknown = any(group["maximize"] or group["dampening"] for group in groups)
        return None if unknown or len({group["nesterov"] for group in groups}) > 1 else cls(optimizer, parameters)

    def step(self, weights: tuple[np.ndarray, ...], slopes: tuple[np.ndarray, ...]) -> None:
        """On ``weights``, the parameters' own memory, with these gradients."""
        groups = self._optimizer.param_groups
        for place, index in enumerate(self._groups):
            group = groups[index]
            self._numbers[:, place] = group["lr"], group["weight_decay"], group["momentum"]
        buffers = [self._optimizer.state[parameter].get("momentum_buffer") for parameter in self._parameters]
        if len(self._buffers) != len(buffers) or any(
            buffer is not known for buffer, known in zip(buffers, self._buffers, strict=True)
        ):
            self._start()
        descend(*self._numbers, groups[0]["nesterov"], weights, slopes, self._velocities)

    def _start(self) -> None:
        """torch starts a velocity from the first gradient, which is the same as from zero."""
        for parameter in self._parameters:
            state = self._optimizer.state[parameter]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter, requires_grad=False)
        self._buffers = [self._optimizer.state[parameter]["momentum_buffer"] for parameter in self._parameters]
        self._velocities = tuple(buffer.view(-1).numpy() for buffer in self._buffers)


class DenseLink:
    """A dense layer as a chain reads it: a sparse one all of whose weights are active. It shares the layer's parameters."""

    def __init__(self, layer: nn.Linear, index: type) -> None:
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.values, self.bias = layer.weight, layer.bias
        self.pattern = Pattern((layer.out_features, layer.in_features), np.arange(layer.weight.numel()), index)
        self.factors: list[tuple[np.ndarray, np.ndarray]] = []


class Chain:
    """The gradient of a chain of linear layers with ReLU between them, as autograd leaves it.

    Called with samples [number, ...], labels [number] int64, the rows [batch] of both that are the batch and a factor that its
    inputs are multiplied by, it returns the mean cross-entropy, labels smoothed by ``smoothing``; every parameter's ``grad``
    and every layer's ``factors`` are then of this batch alone. Samples may be bytes.
    """

    def __init__(self, layers: Sequence[SparseLinear | DenseLink], smoothing: float) -> None:
        self.layers, self.smoothing = list(layers), smoothing
        self.parameters = [parameter for layer in self.layers for parameter in (layer.values, layer.bias)]
        self._patterns: list[Pattern | None] = [None] * len(self.layers)
        self._gradients: list[Tensor] = []
        self._batch = 0

    def __call__(self, samples: Tensor, labels: Tensor, rows: Tensor, factor: float = 1.0) -> float:
        """Raises ValueError for samples that the first layer does not take."""
        flat = samples.flatten(1)
        if flat.shape[1] != self.layers[0].in_features or flat.dtype not in (torch.uint8, self.layers[0].values.dtype):
            raise ValueError(
                f"samples are {flat.dtype} of {flat.shape[1]} numbers, the network takes uint8 or"
                f" {self.layers[0].values.dtype} of {self.layers[0].in_features}"
            )
        moved = any(layer.pattern is not known for layer, known in zip(self.layers, self._patterns, strict=True))
        if moved or len(rows) != self._batch:
            self._allocate(len(rows))
        loss = gradients(flat.numpy(), labels.numpy(), rows.numpy(), factor, self.smoothing, *self._arrays)
        for parameter, gradient in zip(self.parameters, self._gradients, strict=True):
            if parameter.grad is not gradient:
                parameter.grad = gradient
        for layer, factors in zip(self.layers, self._factors, strict=True):
            layer.factors[:] = [factors]
        return loss

    def descends(self, descent: Descent) -> bool:
        """Make a step on the gradients of the last call; False where they are not the parameters' any more."""
        if not self._gradients or any(
            parameter.grad is not own for parameter, own in zip(self.parameters, self._gradients, strict=True)
        ):
            return False
        descent.step(self._weights, self._slopes)
        return True

    def _allocate(self, batch: int) -> None:
        """Room for a batch of this size and for weights where they are now."""
        self._batch, self._patterns = batch, [layer.pattern for layer in self.layers]
        self._weights = tuple(parameter.detach().view(-1).numpy() for parameter in self.parameters)
        kind = self._weights[0].dtype
        starts, columns = zip(*((pattern.starts, pattern.columns) for pattern in self._patterns), strict=True)
        sizes = [self.layers[0].in_features, *(layer.out_features for layer in self.layers)]
        # Whole vectors; what is beyond the batch stays zero in inputs and derivatives, and adds nothing.
        width = -batch % LANES + batch
        activations = tuple(np.zeros((size, width), kind) for size in sizes)
        deltas = tuple(np.zeros((size, width), kind) for size in sizes[1:])
        # The first layer's inputs have no gradient; its row stands in where there is no second layer.
        turned = [
            (*pattern.transposed, np.empty(pattern.weights, kind)) for pattern in self._patterns[1:] or self._patterns
        ]
        self._slopes = tuple(np.empty_like(weight) for weight in self._weights)
        self._arrays = (
            *(starts, columns, self._weights[::2], self._weights[1::2], tuple(zip(*turned, strict=True))),
            *(activations, deltas, self._slopes[::2], self._slopes[1::2]),
        )
        self._gradients = [
            torch.from_numpy(slope).view_as(parameter)
            for slope, parameter in zip(self._slopes, self.parameters, strict=True)
        ]
        self._factors = list(zip(activations[:-1], deltas, strict=True))


def chain_of(model: nn.Module, smoothing: float) -> Chain | None:
    """For a network that says which of its linear layers, with ReLU between them, it is (``relu_chain``, their names in
    order), and most of whose weights are in sparse ones; None for any other.

    Dense layers, as the last one often is, are links too, unless they hold more weights than are active in the sparse ones:
    a dense product is faster by itself than weight by weight.
    """
    layers = [model.get_submodule(name) for name in getattr(model, "relu_chain", ())]
    sparse = [layer for layer in layers if isinstance(layer, SparseLinear)]
    dense = [layer for layer in layers if type(layer) is nn.Linear]
    if not sparse or len(sparse) + len(dense) < len(layers) or any(layer.bias is None for layer in layers):
        return None
    if sum(layer.weight.numel() for layer in dense) > sum(layer.pattern.weights for layer in sparse):
        return None
    kinds = {layer.values.dtype for layer in sparse} | {layer.weight.dtype for layer in dense}
    indices = {layer.pattern.index for layer in sparse}
    index = next(iter(indices))
    numbered = all(np.can_cast(index_type(*layer.weight.shape), index) for layer in dense)
    if len(kinds) > 1 or len(indices) > 1 or not numbered:
        return None
    return Chain([layer if isinstance(layer, SparseLinear) else DenseLink(layer, index) for layer in layers], smoothing)

"""The whole gradient of a chain of linear layers in one compiled call.

Between the kernels of a small network Python takes longer than the kernels do. For linear layers with ReLU between them
and cross-entropy at the end, forward and backward pass are therefore one call.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from sparse_methods.execution.kernels import COMPILED, gathered, product, row_sums, spread, weight_gradient
from sparse_methods.execution.linear import SparseLinear
from sparse_methods.execution.pattern import Pattern


@njit(**COMPILED)
def turn(samples, features):
    """features [features][batch] = samples [batch][features], four samples at a time."""
    batch, count = samples.shape
    whole = batch - batch % 4
    for first in range(0, whole, 4):
        s0, s1, s2, s3 = samples[first], samples[first + 1], samples[first + 2], samples[first + 3]
        for feature in range(count):
            features[feature, first], features[feature, first + 1] = s0[feature], s1[feature]
            features[feature, first + 2], features[feature, first + 3] = s2[feature], s3[feature]
    for sample in range(whole, batch):
        for feature in range(count):
            features[feature, sample] = samples[sample, feature]


@njit(**COMPILED)
def cross_entropy(logits, labels, smoothing, deltas):
    """Mean cross-entropy over the batch, labels smoothed to (1 - smoothing) onehot + smoothing / classes; ``deltas`` becomes
    its derivative by the logits. Shapes [classes][batch], labels [batch]."""
    classes, batch = logits.shape
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
            wanted = smoothing / classes + (1.0 - smoothing if labels[b] == c else 0.0)
            total += wanted * (logarithm - logits[c, b])
            deltas[c, b] = (np.exp(logits[c, b] - logarithm) - wanted) / batch
    return total / batch


@njit(**COMPILED)
def gradients(
    samples, labels, smoothing, starts, columns, values, biases, turned, activations, deltas, of_values, of_biases
):
    """Forward and backward pass of a chain of layers; the mean loss.

    Tuples by layer: ``starts``, ``columns`` and ``values`` of the weights; ``turned``, from the second layer on: starts, rows,
    order and room for values of the transposed matrix; ``activations``, the inputs of each layer and, last, the logits;
    ``deltas``, the loss's derivatives by each layer's outputs; then the gradients, which are overwritten.
    """
    depth = len(values)
    turn(samples, activations[0])
    for i in range(depth):
        outputs = activations[i + 1]
        spread(biases[i], outputs)
        product(starts[i], columns[i], values[i], activations[i], outputs)
        if i + 1 < depth:
            for row in range(outputs.shape[0]):
                for b in range(outputs.shape[1]):
                    outputs[row, b] = max(outputs[row, b], outputs.dtype.type(0))
    loss = cross_entropy(activations[depth], labels, smoothing, deltas[depth - 1])
    for back in range(depth):
        i = depth - 1 - back
        weight_gradient(starts[i], columns[i], activations[i], deltas[i], of_values[i])
        row_sums(deltas[i], of_biases[i])
        if i > 0:
            below, inputs = deltas[i - 1], activations[i]
            below[:] = 0
            first, rows, order, room = turned[0][i - 1], turned[1][i - 1], turned[2][i - 1], turned[3][i - 1]
            gathered(values[i], order, room)
            product(first, rows, room, deltas[i], below)
            for row in range(below.shape[0]):
                for b in range(below.shape[1]):
                    if inputs[row, b] <= 0:
                        below[row, b] = 0
    return loss


class ChainGradient:
    """Loss and gradients of a chain of :class:`SparseLinear` layers with ReLU between them, as autograd leaves them.

    Called with inputs [batch, ...], flattened, and labels [batch] int64, it returns the mean cross-entropy, labels smoothed by
    ``smoothing``; every parameter's ``grad`` and every layer's ``factors`` are then of this batch alone.
    """

    def __init__(self, layers: Sequence[SparseLinear], smoothing: float) -> None:
        self.layers, self.smoothing = list(layers), smoothing
        self._patterns: list[Pattern] = []
        self._batch = 0

    def __call__(self, inputs: Tensor, labels: Tensor) -> float:
        """Raises ValueError as the layers' own forward pass does."""
        samples = self.layers[0].checked(inputs.flatten(1))
        if len(samples) != self._batch or any(
            layer.pattern is not known for layer, known in zip(self.layers, self._patterns, strict=True)
        ):
            self._allocate(len(samples))
        values = tuple(layer.values.detach().numpy() for layer in self.layers)
        biases = tuple(layer.bias.detach().numpy() for layer in self.layers)
        loss = gradients(samples.numpy(), labels.numpy(), self.smoothing, *self._indices, values, biases, *self._rooms)
        for i, layer in enumerate(self.layers):
            layer.values.grad, layer.bias.grad = self._gradients[i]
            layer.factors[:] = [self._factors[i]]
        return loss

    def _allocate(self, batch: int) -> None:
        """Room for a batch of this size and for weights where they are now."""
        self._batch, self._patterns = batch, [layer.pattern for layer in self.layers]
        kind = self.layers[0].values.detach().numpy().dtype
        starts, columns = zip(*((pattern.starts, pattern.columns) for pattern in self._patterns), strict=True)
        self._indices = (starts, columns)
        sizes = [self.layers[0].in_features, *(layer.out_features for layer in self.layers)]
        activations = tuple(np.empty((size, batch), kind) for size in sizes)
        deltas = tuple(np.empty((size, batch), kind) for size in sizes[1:])
        # The first layer's inputs have no gradient; its row stands in where there is no second layer.
        turned = [
            (*pattern.transposed, np.empty(pattern.weights, kind)) for pattern in self._patterns[1:] or self._patterns
        ]
        of_values = tuple(np.empty(pattern.weights, kind) for pattern in self._patterns)
        of_biases = tuple(np.empty(layer.out_features, kind) for layer in self.layers)
        self._rooms = (tuple(zip(*turned, strict=True)), activations, deltas, of_values, of_biases)
        self._gradients = [tuple(map(torch.from_numpy, pair)) for pair in zip(of_values, of_biases, strict=True)]
        self._factors = list(zip(activations[:-1], deltas, strict=True))


def chain_gradient(model: nn.Module, smoothing: float) -> ChainGradient | None:
    """For a network that says which of its linear layers, with ReLU between them, it is (``relu_chain``, their names in order)
    and whose layers are all sparse; None for any other."""
    names = getattr(model, "relu_chain", None)
    layers = [model.get_submodule(name) for name in names or ()]
    whole = bool(layers) and all(isinstance(layer, SparseLinear) and layer.bias is not None for layer in layers)
    alike = whole and len({(layer.values.dtype, layer.pattern.index) for layer in layers}) == 1
    return ChainGradient(layers, smoothing) if alike else None

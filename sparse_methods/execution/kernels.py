"""Products of a sparse matrix, compiled by numba; nothing here knows of networks.

Activations lie as [features][batch], the batch innermost: one active weight is then one multiply-add of two contiguous
rows. Sums run over eight weights, or four, at a time, so that a row of results is read and written that much less often.
Kernels use one thread: at these sizes, starting a second one costs what it saves.
"""

from __future__ import annotations

import numpy as np
from numba import njit

COMPILED = {
    "cache": True,
    "nogil": True,
    "boundscheck": False,
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc"},
}
"""``reassoc`` lets sums be vectorised; NaN and infinity keep their meaning."""


@njit(**COMPILED)
def product(starts, columns, values, bias, inputs, outputs):
    """outputs[r] = bias[r] + sum over the weights k of row r of values[k] * inputs[columns[k]].

    Shapes: starts [rows + 1], columns and values [weights], bias [rows] or empty for none, inputs [columns][batch], outputs
    [rows][batch].
    """
    batch, zero = inputs.shape[1], inputs.dtype.type(0)
    for row in range(starts.size - 1):
        out = outputs[row]
        first = bias[row] if bias.size else zero
        for b in range(batch):
            out[b] = first
        k, end = starts[row], starts[row + 1]
        while k + 8 <= end:
            v0, v1, v2, v3 = values[k], values[k + 1], values[k + 2], values[k + 3]
            v4, v5, v6, v7 = values[k + 4], values[k + 5], values[k + 6], values[k + 7]
            x0, x1, x2, x3 = inputs[columns[k]], inputs[columns[k + 1]], inputs[columns[k + 2]], inputs[columns[k + 3]]
            x4, x5 = inputs[columns[k + 4]], inputs[columns[k + 5]]
            x6, x7 = inputs[columns[k + 6]], inputs[columns[k + 7]]
            for b in range(batch):
                out[b] += (v0 * x0[b] + v1 * x1[b] + v2 * x2[b] + v3 * x3[b]) + (
                    v4 * x4[b] + v5 * x5[b] + v6 * x6[b] + v7 * x7[b]
                )
            k += 8
        while k < end:
            value, source = values[k], inputs[columns[k]]
            for b in range(batch):
                out[b] += value * source[b]
            k += 1


@njit(**COMPILED)
def weight_gradient(starts, columns, inputs, deltas, gradient):
    """gradient[k] = sum over the batch of deltas[row of k] * inputs[columns[k]]; shapes as in ``product``."""
    batch, zero = inputs.shape[1], inputs.dtype.type(0)
    for row in range(starts.size - 1):
        delta = deltas[row]
        k, end = starts[row], starts[row + 1]
        while k + 4 <= end:
            x0, x1, x2, x3 = inputs[columns[k]], inputs[columns[k + 1]], inputs[columns[k + 2]], inputs[columns[k + 3]]
            s0, s1, s2, s3 = zero, zero, zero, zero
            for b in range(batch):
                s0 += delta[b] * x0[b]
                s1 += delta[b] * x1[b]
                s2 += delta[b] * x2[b]
                s3 += delta[b] * x3[b]
            gradient[k], gradient[k + 1], gradient[k + 2], gradient[k + 3] = s0, s1, s2, s3
            k += 4
        while k < end:
            source, total = inputs[columns[k]], zero
            for b in range(batch):
                total += delta[b] * source[b]
            gradient[k] = total
            k += 1


@njit(**COMPILED)
def gathered(values, order, out):
    """out[k] = values[order[k]]."""
    for k in range(order.size):
        out[k] = values[order[k]]


@njit(**COMPILED)
def row_sums(deltas, out):
    """out[r] = sum over the batch of deltas[r]."""
    for row in range(deltas.shape[0]):
        total = deltas.dtype.type(0)
        for b in range(deltas.shape[1]):
            total += deltas[row, b]
        out[row] = total


@njit(**COMPILED)
def mark(bits, positions):
    """Set bit p of ``bits``, bytes of eight, for every position p."""
    for k in range(positions.size):
        position = positions[k]
        bits[position >> 3] |= np.uint8(1 << (position & 7))

"""The Hessian of the training loss at a point, over active weights, inactive ones, or all; and what opening weights reveals.

Never formed: only its products with vectors, by differentiating the gradient once more. BatchNorm's statistics are constants
in all of it. A ReLU's second derivative is 0 wherever it has one, so of a network of ReLUs this is all that there is but the
kinks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

from analysis.landscape.network import Loss
from pipeline.seeds import derive_seed

TOGETHER = 8
"""Vectors that are multiplied in one pass over the data, which then costs the first derivative only once."""


@dataclass(frozen=True, eq=False)
class Hessian:
    """Second derivatives of the training loss at ``point`` [D], with respect to the n weights where ``mask`` is True."""

    loss: Loss
    point: Tensor
    buffers: Mapping[str, Tensor]
    """BatchNorm's statistics; empty for a network that has none."""
    mask: Tensor
    """bool [D]."""

    @property
    def size(self) -> int:
        """n."""
        return int(self.mask.sum())

    def times(self, vectors: Tensor) -> Tensor:
        """Products [K, n] with ``vectors`` [K, n], in the dtype of the network; one pass over the training set."""
        network = self.loss.network
        network.put(self.point, self.buffers)
        whole = self.point.new_zeros(len(vectors), len(self.point))
        whole[:, self.mask] = vectors.to(self.point)
        along = [list(network.named(vector).values()) for vector in whole]
        products = torch.zeros_like(whole)
        parameters = list(network.parameters.values())
        for share in self.loss.train_shares():
            gradients = torch.autograd.grad(share, parameters, create_graph=True, materialize_grads=True)
            for product, direction in zip(products, along, strict=True):
                seconds = torch.autograd.grad(
                    gradients, parameters, direction, retain_graph=True, materialize_grads=True
                )
                product += torch.cat([second.flatten() for second in seconds])
        return products[:, self.mask]


def eigenvalues(
    hessian: Hessian,
    count: int,
    end: Literal["largest", "smallest"] = "largest",
    seed: int = 0,
    tolerance: float = 1e-2,
) -> list[float]:
    """The ``count`` algebraically largest eigenvalues, descending, or smallest, ascending, by restarted Lanczos (ARPACK).

    ``tolerance`` is relative to an eigenvalue; float32 gives no better than about 1e-5. Whatever it is, what is returned lies
    within the spectrum, so that a negative value proves negative curvature. An eigenvalue that was not found is not a
    number and comes last. Raises ValueError unless 1 <= count < n.
    """
    n = hessian.size
    if not 1 <= count < n:
        raise ValueError(f"count is {count!r}; of a Hessian of {n} weights, 1 to {n - 1} eigenvalues can be found")
    # The negative end lies close to the bulk around 0: a larger basis finds it in fewer products.
    which, basis = {"largest": ("LA", 20), "smallest": ("SA", 60)}[end]
    start = np.random.default_rng(derive_seed("lanczos", seed)).standard_normal(n)
    operator = LinearOperator((n, n), matvec=lambda vector: _times(hessian, vector), dtype=np.float64)
    settings = {"ncv": min(n, max(2 * count + 1, basis)), "v0": start, "tol": tolerance, "return_eigenvectors": False}
    try:
        found = eigsh(operator, count, which=which, **settings)
    except ArpackNoConvergence as error:
        found = error.eigenvalues
    ordered = sorted(found.tolist(), reverse=end == "largest")
    return ordered + [math.nan] * (count - len(ordered))


def _times(hessian: Hessian, vector: np.ndarray) -> np.ndarray:
    product = hessian.times(torch.from_numpy(np.ascontiguousarray(vector)).reshape(1, -1))
    return product[0].double().cpu().numpy()


@dataclass(frozen=True)
class Estimate:
    """A mean of ``n`` independent draws."""

    mean: float
    standard_error: float
    """Not a number where n < 2."""
    n: int


def trace(hessian: Hessian, draws: int = 32, seed: int = 0) -> Estimate:
    """The trace by Hutchinson's estimator: the mean of v'Hv over vectors v of random signs; exact where H is diagonal."""
    generator = torch.Generator().manual_seed(derive_seed("hutchinson", seed))
    values = []
    for count in _shares(draws, TOGETHER):
        signs = torch.randint(0, 2, (count, hessian.size), generator=generator).to(hessian.point) * 2 - 1
        values += (signs.double() * hessian.times(signs).double()).sum(1).tolist()
    error = float(np.std(values, ddof=1)) / math.sqrt(draws) if draws > 1 else math.nan
    return Estimate(float(np.mean(values)), error, draws)


def _shares(total: int, largest: int) -> Iterator[int]:
    for first in range(0, total, largest):
        yield min(largest, total - first)


# -- what inactive weights hold (Appendix A) ------------------------------------------------------------------------------


def inactive_share(gradient: Tensor, active: Tensor) -> float:
    """Norm of the dense gradient [D] on inactive weights over its whole norm; not a number where the gradient is 0."""
    norm = torch.linalg.vector_norm(gradient.double())
    return float(torch.linalg.vector_norm(gradient[~active].double()) / norm)


@dataclass(frozen=True)
class Descent:
    """The training loss on the ray against a gradient, and what it becomes within reach."""

    gradient_norm: float
    """Of the gradient on the weights that move: the first-order decrease for each unit of length."""
    lengths: list[float]
    """Euclidean lengths of the steps."""
    decreases: list[float]
    """Training loss before less after, nats; negative where the step went too far."""

    @property
    def best(self) -> float:
        """The largest decrease, 0 for not moving included; steps to a loss that is not finite do not count."""
        return max([0.0, *(decrease for decrease in self.decreases if math.isfinite(decrease))])


def descend(
    loss: Loss, point: Tensor, buffers: Mapping[str, Tensor], mask: Tensor, lengths: Sequence[float]
) -> Descent:
    """Steps of ``lengths`` from ``point`` [D] against the gradient of the weights where ``mask`` is True.

    With the mask of active weights and with all, at the same lengths, this is Appendix A's argument: where training within the
    mask has nowhere left to go, does opening the inactive weights reveal a way down?
    """
    gradient = loss.gradient(point, buffers) * mask
    norm = torch.linalg.vector_norm(gradient.double())
    before = loss.train(point, buffers)
    direction = gradient / norm.to(gradient) if norm > 0 else gradient
    after = [loss.train(torch.sub(point, direction, alpha=length), buffers) for length in lengths]
    return Descent(float(norm), list(lengths), [before - value for value in after])

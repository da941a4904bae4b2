"""Planes of parameter space to draw maps of the loss in: through three solutions, or along random directions around one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from analysis.landscape.network import Loss, Network, Quality
from pipeline.seeds import derive_seed


class Place(NamedTuple):
    """A point of parameter space as a plane shows it."""

    x: float
    y: float
    residual: float
    """Distance between the point and its foot in the plane."""


@dataclass(frozen=True, eq=False)
class Plane:
    """The points origin + x * axes[0] + y * axes[1]."""

    origin: Tensor
    """[D]."""
    axes: Tensor
    """[2, D], independent of each other; orthonormal in a plane through three points."""

    def at(self, x: float, y: float) -> Tensor:
        """The point [D] at coordinates (x, y)."""
        return torch.add(self.origin, self.axes[0], alpha=x).add_(self.axes[1], alpha=y)

    def project(self, points: Sequence[Tensor]) -> list[Place]:
        """The feet of the perpendiculars from ``points`` [D], and how far off the plane each point is."""
        axes = self.axes.double()
        gram = axes @ axes.T
        places = []
        for point in points:
            away = point.double() - self.origin.double()
            x, y = torch.linalg.solve(gram, axes @ away).tolist()
            residual = torch.linalg.vector_norm(away - x * axes[0] - y * axes[1])
            places.append(Place(x, y, float(residual)))
        return places


def through(first: Tensor, second: Tensor, third: Tensor) -> Plane:
    """The plane through three points [D], in the unit of their distances: ``first`` at (0, 0), ``second`` at (distance, 0),
    ``third`` above the x axis. ``project`` gives their places, with residuals of rounding alone.

    The arrangement of Garipov et al. 2018, Fig. 1. Raises ValueError for points on one line.
    """
    across, up = second.double() - first.double(), third.double() - first.double()
    distance, size = torch.linalg.vector_norm(across), torch.linalg.vector_norm(up)
    across = across / distance
    up = up - (across @ up) * across
    height = torch.linalg.vector_norm(up)
    if not (distance > 0 and height > 1e-6 * size):
        raise ValueError("the three points lie on one line: no plane is theirs")
    return Plane(first, torch.stack([across, up / height]).to(first.dtype))


def around(point: Tensor, network: Network, seed: int, mask: Tensor | None = None) -> Plane:
    """The plane around ``point`` [D] along two random directions, each normalised filter by filter (Li et al. 2018,
    arXiv:1712.09913, section 4), with ``mask`` (bool [D]) where it lets weights move."""
    generator = torch.Generator().manual_seed(derive_seed("directions", seed))
    axes = [filter_normalised(_gaussian(point, generator), point, network, mask) for _ in range(2)]
    return Plane(point, torch.stack(axes))


def filter_normalised(direction: Tensor, point: Tensor, network: Network, mask: Tensor | None = None) -> Tensor:
    """``direction`` [D], 0 outside of ``mask``, with the norm of each filter scaled to that filter's at ``point``.

    A filter is what leads to one output: a row of a matrix, a slice [in, k, k] of a convolution. Biases and normalisation, all
    that has one dimension, do not move; nor does a filter that is 0 at ``point``.
    """
    scaled = direction.clone() if mask is None else direction * mask
    weights = network.named(point)
    for name, part in network.named(scaled).items():
        if part.ndim < 2:
            part.zero_()
            continue
        rows, norms = part.flatten(1), torch.linalg.vector_norm(weights[name].flatten(1), dim=1, keepdim=True)
        own = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        rows.mul_(torch.where(own > 0, norms / own, 0))
    return scaled


def _gaussian(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, dtype=like.dtype, generator=generator).to(like.device)


# -- maps -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Surface:
    """Loss (nats) and error (a fraction) over a grid of a plane, arrays [len(ys), len(xs)]; what is not finite stays."""

    xs: list[float]
    ys: list[float]
    train_loss: np.ndarray
    train_error: np.ndarray
    test_loss: np.ndarray
    test_error: np.ndarray


def surface(plane: Plane, loss: Loss, xs: Sequence[float], ys: Sequence[float]) -> Surface:
    """The loss at every grid point, BatchNorm's statistics estimated at each (``Loss.at``)."""
    found = [asdict(loss.at(plane.at(x, y))) for y in ys for x in xs]
    shape = (len(ys), len(xs))
    grids = {f.name: np.array([quality[f.name] for quality in found]).reshape(shape) for f in fields(Quality)}
    return Surface(list(xs), list(ys), **grids)


def window(places: Sequence[Place], points: int, margin: float = 0.25) -> tuple[list[float], list[float]]:
    """Grid coordinates, ``points`` each way, around ``places``, with a margin of that share of their extent on every side."""
    axes = []
    for values in ([place.x for place in places], [place.y for place in places]):
        extra = margin * (max(values) - min(values))
        axes.append(np.linspace(min(values) - extra, max(values) + extra, points).tolist())
    return axes[0], axes[1]

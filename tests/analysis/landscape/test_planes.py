"""Planes through points and around them, and the grids that maps are drawn on."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analysis.landscape.network import Loss, Network
from analysis.landscape.planes import Place, Plane, around, filter_normalised, surface, through, window
from pipeline.data.tensors import DataSet

THREE = torch.tensor([[1.0, 2.0, 0.0, -1.0], [4.0, 2.0, 4.0, -1.0], [1.0, 5.0, 1.0, 1.0]], dtype=torch.float64)


def convolutional(dtype: torch.dtype = torch.float64) -> Network:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)]
    return Network(nn.Sequential(*layers).to(dtype))


def filter_norms(network: Network, vector: Tensor) -> dict[str, Tensor]:
    return {
        n: torch.linalg.vector_norm(part.flatten(1), dim=1)
        for n, part in network.named(vector).items()
        if part.ndim > 1
    }


# -- through three points -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_plane_reproduces_its_three_points(dtype: torch.dtype) -> None:
    points = THREE.to(dtype)
    plane = through(*points)
    places = plane.project(points)
    for point, place in zip(points, places, strict=True):
        assert torch.allclose(plane.at(place.x, place.y), point, atol=1e-6)
        assert place.residual == pytest.approx(0, abs=1e-6)
    gram = plane.axes @ plane.axes.T
    assert torch.allclose(gram, torch.eye(2, dtype=dtype), atol=1e-6)


def test_the_places_of_three_points_by_hand() -> None:
    """From the first, the second is (3, 0, 4, 0) away and the third (0, 3, 1, 2): 4 / 5 of it along the first side."""
    places = through(*THREE).project(THREE)
    assert places[0] == pytest.approx((0, 0, 0), abs=1e-12)
    assert places[1] == pytest.approx((5, 0, 0), abs=1e-12)
    assert places[2] == pytest.approx((0.8, math.sqrt(14 - 0.64), 0), abs=1e-12)


def test_a_point_off_the_plane_is_shown_at_its_foot() -> None:
    plane = through(*THREE)
    away = torch.tensor([4.0, 0, -3.0, 0], dtype=torch.float64)
    away -= (away @ plane.axes[1]) * plane.axes[1]
    found = plane.project([plane.at(2.0, -3.0) + away])[0]
    assert found == pytest.approx((2.0, -3.0, float(away.norm())), abs=1e-12)


def test_projection_does_not_need_orthogonal_axes() -> None:
    plane = Plane(torch.zeros(3), torch.tensor([[2.0, 0, 0], [1.0, 1.0, 0]]))
    assert plane.project([torch.tensor([5.0, 3.0, 7.0])])[0] == pytest.approx((1.0, 3.0, 7.0))


@pytest.mark.parametrize(
    "points",
    [[THREE[0], THREE[0], THREE[1]], [THREE[0], THREE[1], 2 * THREE[1] - THREE[0]], [THREE[0], THREE[1], THREE[0]]],
    ids=["two the same", "in line", "third the first"],
)
def test_points_on_one_line_are_refused(points: list[Tensor]) -> None:
    with pytest.raises(ValueError, match="lie on one line"):
        through(*points)


# -- around one point -----------------------------------------------------------------------------------------------------


def test_a_normalised_direction_has_every_filter_s_norm_and_leaves_biases_and_normalisation() -> None:
    network = convolutional()
    point = network.vector.clone()
    network.named(point)["4.weight"][3] = 0
    plane = around(point, network, seed=1)
    own = filter_norms(network, point)
    assert own["0.weight"].shape == (4,)
    for axis in plane.axes:
        assert all(torch.allclose(norms, own[name], atol=1e-12) for name, norms in filter_norms(network, axis).items())
        assert not any(part.any() for part in network.named(axis).values() if part.ndim == 1)
    assert torch.equal(plane.origin, point)
    assert not torch.equal(plane.axes[0], plane.axes[1])
    assert torch.equal(plane.axes, around(point, network, seed=1).axes)
    assert not torch.equal(plane.axes, around(point, network, seed=2).axes)


def test_a_normalised_direction_within_a_mask_has_the_norms_too_and_stays_there() -> None:
    network = convolutional()
    mask = torch.rand(network.vector.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    point = network.vector * mask
    for axis in around(point, network, seed=1, mask=mask).axes:
        assert not axis[~mask].any()
        own = filter_norms(network, point)
        assert all(torch.allclose(norms, own[name], atol=1e-12) for name, norms in filter_norms(network, axis).items())


def test_the_direction_of_a_filter_is_kept() -> None:
    network = convolutional()
    direction = torch.arange(len(network.vector), dtype=torch.float64) - 700
    scaled = network.named(filter_normalised(direction, network.vector, network))["4.weight"]
    given, own = network.named(direction)["4.weight"], network.named(network.vector)["4.weight"]
    assert torch.allclose(scaled[2], given[2] * own[2].norm() / given[2].norm())
    assert torch.equal(direction, torch.arange(len(network.vector), dtype=torch.float64) - 700)


# -- maps -----------------------------------------------------------------------------------------------------------------


def test_a_map_is_the_loss_at_its_grid_points(quadratic: Callable[[Tensor, Tensor], Loss]) -> None:
    """Of 0.5 |x|^2 + 0.5 in an orthonormal plane through the origin it is 0.5 (x^2 + y^2) + 0.5."""
    plane = Plane(torch.zeros(4, dtype=torch.float64), torch.eye(4, dtype=torch.float64)[:2])
    loss = quadratic(torch.eye(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64))
    xs, ys = [-1.0, 0.0, 2.0], [0.5, 3.0]
    found = surface(plane, loss, xs, ys)
    expected = 0.5 * (np.square(xs)[None, :] + np.square(ys)[:, None]) + 0.5
    assert found.train_loss.shape == (2, 3)
    assert np.allclose(found.train_loss, expected, atol=1e-12)
    assert np.allclose(found.test_loss, expected, atol=1e-12)
    assert (found.xs, found.ys) == (xs, ys)


def test_a_map_estimates_statistics_at_every_point_and_keeps_gaps(digits: DataSet) -> None:
    network = convolutional(torch.float32)
    plane = around(network.vector.clone(), network, seed=0)
    loss = Loss(network, digits)
    found = surface(plane, loss, [0.0, math.nan], [0.5])
    assert found.train_loss[0, 0] == loss.at(plane.at(0.0, 0.5)).train_loss
    assert math.isnan(found.test_loss[0, 1])


def test_a_window_leaves_its_margin_around_the_places() -> None:
    xs, ys = window([Place(0, 0, 0), Place(4, 1, 9), Place(1, -1, 9)], points=5, margin=0.25)
    assert xs == pytest.approx([-1, 0.5, 2, 3.5, 5])
    assert ys == pytest.approx([-1.5, -0.75, 0, 0.75, 1.5])

"""Curves where the loss is quadratic, against closed forms; spaces; and real networks, which a permutation parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from analysis.landscape.barriers import barrier
from analysis.landscape.network import Loss, Network, load_together
from analysis.landscape.paths import (
    CHECK_EVERY,
    SPACES,
    Bezier,
    Fitting,
    along,
    bernstein,
    fit,
    places,
    space,
    straight,
    uniform_places,
)
from pipeline.data.tensors import DataSet
from pipeline.plan import Spec

MakeQuadratic = Callable[[Tensor, Tensor], Loss]
UNITS = (("fc1", 300), ("fc2", 100))
QUICK = Fitting(steps=5, batch_size=4, learning_rate=0.1)
SIZE = 5
ENDS = torch.tensor([[1.0, -1.0, 0.5, 2.0, 0.0], [-0.5, 1.0, 1.5, 0.0, -2.0]], dtype=torch.float64)
CENTRE = torch.tensor([0.0, 0.5, -1.0, 1.0, 0.5], dtype=torch.float64)
DIAGONAL = torch.diag(torch.tensor([0.5, 1.0, 1.5, 1.0, 2.0], dtype=torch.float64))
COUPLED = DIAGONAL + 0.2 * torch.ones(SIZE, SIZE, dtype=torch.float64)


def value(point: Tensor, matrix: Tensor) -> float:
    return float(0.5 * (point - CENTRE) @ matrix @ (point - CENTRE) + 0.5)


def expected_loss(path: Bezier, matrix: Tensor) -> float:
    """Over t ~ U(0, 1), exactly: Gauss-Legendre of 8 nodes integrates polynomials up to degree 15."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    return sum(w / 2 * value(path.at((x + 1) / 2), matrix) for x, w in zip(nodes, weights, strict=True))


def best_points(degree: int) -> Tensor:
    """Inner control points of least expected loss between ENDS, [degree - 1, SIZE], whatever the matrix.

    The gradient is 0 where, for every inner k, sum over j of E[b_k b_j] P_j = E[b_k] c.
    """
    nodes, weights = np.polynomial.legendre.leggauss(8)
    basis = np.array([bernstein(degree, (x + 1) / 2) for x in nodes])
    products, means = np.einsum("n,nk,nj->kj", weights / 2, basis, basis), weights / 2 @ basis
    inner, outer = slice(1, degree), [0, degree]
    right = np.outer(means[inner], CENTRE) - products[inner][:, outer] @ ENDS.numpy()
    return torch.from_numpy(np.linalg.solve(products[inner, inner], right))


# -- curves ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_a_straight_curve_is_the_line_whatever_its_degree(degree: int) -> None:
    path = straight(*ENDS, degree=degree)
    assert path.degree == degree
    assert torch.equal(path.at(0.0), ENDS[0])
    assert torch.equal(path.at(1.0), ENDS[1])
    for t in (-0.2, 0.1, 0.5, 1.2):
        assert torch.allclose(path.at(t), (1 - t) * ENDS[0] + t * ENDS[1], atol=1e-14)


def test_bezier_curves_by_hand() -> None:
    quadratic = Bezier(torch.tensor([[0.0], [8.0], [4.0]]))
    assert quadratic.at(0.25).item() == 0.5625 * 0 + 0.375 * 8 + 0.0625 * 4
    cubic = Bezier(torch.tensor([[0.0], [8.0], [16.0], [4.0]]))
    assert cubic.at(0.5).item() == (0 + 3 * 8 + 3 * 16 + 4) / 8


def test_places_contain_both_ends_exactly() -> None:
    inside, beyond = places(40), places(40, 0.2)
    assert len(inside) == 41
    assert (inside[0], inside[-1]) == (0.0, 1.0)
    assert len(beyond) == 57
    assert (beyond[0], beyond[8], beyond[48], beyond[-1]) == (-0.2, 0.0, 1.0, 1.2)


def test_every_stretch_of_the_unit_interval_has_its_share_of_draws() -> None:
    draws = np.array(uniform_places(1024, seed=3))
    assert (np.histogram(draws, bins=64, range=(0, 1))[0] == 16).all()
    assert uniform_places(1024, seed=3) == draws.tolist() != uniform_places(1024, seed=4)
    first = np.array([uniform_places(1, seed)[0] for seed in range(400)])
    assert first.mean() == pytest.approx(0.5, abs=3 / math.sqrt(12 * 400))


# -- where the loss is quadratic --------------------------------------------------------------------------------------------


def test_losses_and_the_barrier_along_a_line_are_those_of_the_closed_form(quadratic: MakeQuadratic) -> None:
    """Along a line of direction d the loss is a parabola; its excess over the chord is -d'Ad t (1 - t) / 2."""
    matrix, way = -COUPLED / 10, torch.tensor([2.0, 0, 0, 0, 1.0], dtype=torch.float64)
    path, ts = straight(CENTRE - way / 3, CENTRE + 2 * way / 3), places(40, 0.2)
    profile = along(path, quadratic(matrix, CENTRE), ts, ({}, {}))
    assert profile.train_loss == pytest.approx([value(path.at(t), matrix) for t in ts], abs=1e-4)
    assert profile.test_loss == pytest.approx(profile.train_loss, abs=1e-12)
    bend = -float(way @ matrix @ way)
    found = barrier(profile.t, profile.train_loss)
    assert found.height == pytest.approx(bend / 8, abs=1e-4)
    assert found.place == 0.5
    assert found.area == pytest.approx(bend / 12, abs=1e-4)


@pytest.mark.parametrize("degree", [2, 3])
def test_training_reaches_the_curve_of_least_expected_loss(degree: int, quadratic: MakeQuadratic) -> None:
    fitting = Fitting(steps=3000, batch_size=2, learning_rate=0.2)
    start = straight(*ENDS, degree=degree)
    fitted = fit(quadratic(COUPLED, CENTRE), start, torch.ones(SIZE, dtype=torch.bool), fitting)
    best = Bezier(torch.cat([ENDS[:1], best_points(degree), ENDS[1:]]))
    assert expected_loss(fitted.path, COUPLED) == pytest.approx(expected_loss(best, COUPLED), abs=1e-4)
    assert expected_loss(start, COUPLED) > expected_loss(best, COUPLED) + 0.3
    assert fitted.diverged_at is None
    assert len(fitted.losses) == 3000
    assert torch.equal(fitted.path.points[[0, -1]], ENDS)


def test_the_best_quadratic_control_point_by_hand() -> None:
    """E[b1] = 1/3, E[b1 b1] = 2/15, E[b1 b0] = E[b1 b2] = 1/10."""
    assert torch.allclose(best_points(2)[0], 2.5 * CENTRE - 0.75 * ENDS.sum(0), atol=1e-12)


def test_a_step_is_the_gradient_at_t_times_the_control_point_s_weight_there(quadratic: MakeQuadratic) -> None:
    fitting = Fitting(steps=1, batch_size=2, learning_rate=0.5)
    start = straight(*ENDS, degree=3)
    moved = fit(quadratic(COUPLED, CENTRE), start, torch.ones(SIZE, dtype=torch.bool), fitting, seed=7)
    (t,) = uniform_places(1, seed=7)
    gradient = COUPLED @ (start.at(t) - CENTRE)
    for inner in (1, 2):
        step = fitting.learning_rate_at(0) * bernstein(3, t)[inner] * gradient
        assert torch.allclose(moved.path.points[inner], start.points[inner] - step, atol=1e-12)
    assert moved.losses == pytest.approx([value(start.at(t), COUPLED)])


def test_where_weights_do_not_move_the_others_find_their_own_optimum(quadratic: MakeQuadratic) -> None:
    """With a diagonal matrix every weight is a problem of its own."""
    movable = torch.tensor([True, False, True, False, True])
    fitting = Fitting(steps=3000, batch_size=2, learning_rate=0.2)
    fitted = fit(quadratic(DIAGONAL, CENTRE), straight(*ENDS, degree=2), movable, fitting)
    best = torch.where(movable, best_points(2)[0], ENDS.mean(0))
    assert expected_loss(fitted.path, DIAGONAL) == pytest.approx(
        expected_loss(Bezier(torch.stack([ENDS[0], best, ENDS[1]])), DIAGONAL), abs=1e-4
    )
    assert torch.equal(fitted.path.points[1][~movable], ENDS.mean(0)[~movable])


def test_the_learning_rate_falls_to_a_hundredth_between_half_and_nine_tenths() -> None:
    fitting = Fitting(steps=100, batch_size=1, learning_rate=2.0)
    rates = [fitting.learning_rate_at(step) for step in range(100)]
    assert rates[:50] == [2.0] * 50
    assert rates[69] == pytest.approx(2 * (1 - 0.99 / 2))
    assert rates[89:] == pytest.approx([0.02] * 11)
    assert rates == sorted(rates, reverse=True)


def test_a_loss_that_is_not_finite_is_reported_and_not_raised(quadratic: MakeQuadratic) -> None:
    loss = quadratic(COUPLED, CENTRE)
    fitting = Fitting(steps=3 * CHECK_EVERY, batch_size=2, learning_rate=1e6)
    fitted = fit(loss, straight(*ENDS, degree=2), torch.ones(SIZE, dtype=torch.bool), fitting)
    assert fitted.diverged_at is not None
    assert all(map(math.isfinite, fitted.losses[: fitted.diverged_at]))
    assert not math.isfinite(fitted.losses[fitted.diverged_at])
    assert len(fitted.losses) == CHECK_EVERY
    profile = along(fitted.path, loss, places(40), ({}, {}))
    assert not any(map(math.isfinite, profile.train_loss[1:-1]))
    found = barrier(profile.t, profile.train_loss)
    assert (found.points, found.gaps) == (2, 39)


# -- spaces ---------------------------------------------------------------------------------------------------------------

masks = st.lists(st.booleans(), min_size=SIZE, max_size=SIZE).map(torch.tensor)


@given(first=masks, second=masks, degree=st.sampled_from([2, 3]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_control_points_never_leave_their_space(
    first: Tensor, second: Tensor, degree: int, quadratic: MakeQuadratic
) -> None:
    start = straight(ENDS[0] * first, ENDS[1] * second, degree)
    found = {}
    for name in SPACES:
        movable = space(name, first, second)
        found[name] = fit(quadratic(COUPLED, CENTRE), start, movable, QUICK).path.points
        assert torch.equal(found[name][:, ~movable], start.points[:, ~movable])
        assert torch.equal(found[name][[0, -1]], start.points[[0, -1]])
        assert not movable.any() or not torch.equal(found[name][1:-1, movable], start.points[1:-1, movable])
    assert not found["union"][:, ~(first | second)].any()


def test_spaces_by_hand() -> None:
    first, second = torch.tensor([[True, True, False, False], [True, False, True, False]])
    assert space("dense", first, second).tolist() == [True] * 4
    assert space("union", first, second).tolist() == [True, True, True, False]
    assert space("intersection", first, second).tolist() == [True, False, False, False]


def test_an_unknown_space_a_line_to_train_and_no_steps_are_refused(quadratic: MakeQuadratic) -> None:
    every = torch.ones(SIZE, dtype=torch.bool)
    with pytest.raises(ValueError, match="there is no space 'sparse'; valid: dense, union, intersection"):
        space("sparse", every, every)
    with pytest.raises(ValueError, match="a line has no control points to train"):
        fit(quadratic(COUPLED, CENTRE), straight(*ENDS), every, QUICK)
    with pytest.raises(ValueError, match="steps is 0, it must be at least 1"):
        Fitting(steps=0, batch_size=1, learning_rate=1.0)


# -- real networks --------------------------------------------------------------------------------------------------------


@pytest.fixture
def ends(make_spec: Callable[..., Spec], trained: Callable[[Spec], tuple[Path, Spec]]) -> Callable[..., tuple]:
    """Solutions of runs on digits, and the network that they share."""

    def make(*methods: str, **fields: object) -> tuple:
        specs = [make_spec(method, **fields) for method in methods]
        return *load_together([trained(spec) for spec in specs]), Network(specs[0].build())

    return make


def test_a_profile_begins_and_ends_with_the_recorded_losses(ends: Callable[..., tuple], digits: DataSet) -> None:
    """Of networks with BatchNorm; at the inner points, statistics of the ends would be another network's."""
    fields = {"model": "wrn10_1", "protocol": {"steps": 12}, "model_options": {"width": 0.5}}
    *solutions, network = ends("static", "rigl", **fields)
    path = straight(*(network.point(solution.parameters) for solution in solutions))
    loss = Loss(network, digits)
    profile = along(path, loss, [0.0, 0.5, 1.0], tuple(solution.buffers for solution in solutions))
    recorded = [solution.record["result"]["test_loss_nats"] for solution in solutions]
    assert [profile.test_loss[0], profile.test_loss[2]] == pytest.approx(recorded, abs=1e-5)
    assert profile.train_loss[1] == loss.at(path.at(0.5)).train_loss != loss.train(path.at(0.5), solutions[0].buffers)


def test_curves_are_functions_of_their_seed(ends: Callable[..., tuple], digits: DataSet) -> None:
    first, second, network = ends("static", "rigl")
    start = straight(network.point(first.parameters), network.point(second.parameters), degree=2)
    movable = space("union", network.mask(first.active), network.mask(second.active))
    found = [fit(Loss(network, digits), start, movable, QUICK, seed) for seed in (0, 0, 1)]
    assert torch.equal(found[0].path.points, found[1].path.points)
    assert found[0].losses == found[1].losses
    assert not torch.equal(found[0].path.points, found[2].path.points)


def test_a_curve_in_the_sparse_space_is_lower_than_the_line_and_as_sparse(
    ends: Callable[..., tuple], digits: DataSet
) -> None:
    first, second, network = ends("static", "pruning")
    start = straight(network.point(first.parameters), network.point(second.parameters), degree=2)
    movable = space("union", network.mask(first.active), network.mask(second.active))
    loss = Loss(network, digits)
    fitted = fit(loss, start, movable, Fitting(steps=150, batch_size=50, learning_rate=0.1))
    heights = []
    for path in (start, fitted.path):
        profile = along(path, loss, places(10), ({}, {}))
        heights.append(barrier(profile.t, profile.train_loss).height)
        assert not any(path.at(t)[~movable].any() for t in profile.t)
    assert heights[1] < heights[0] / 2


def test_dropout_is_off_and_batchnorm_is_left_in_eval_mode(digits: DataSet) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.9), nn.Linear(8, 10))
    network = Network(module)
    start = straight(network.vector.clone(), 2 * network.vector, degree=2)
    movable = torch.ones_like(network.vector, dtype=torch.bool)
    state = torch.get_rng_state()
    losses = [fit(Loss(network, digits), start, movable, QUICK).losses for _ in range(2)]
    assert losses[0] == losses[1]
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(layer.training for layer in module.modules())


def test_permuted_units_compute_the_same_but_a_barrier_parts_them(ends: Callable[..., tuple], digits: DataSet) -> None:
    solution, network = ends("dense", sparsity=0.0)
    order = {layer: torch.randperm(size, generator=torch.Generator().manual_seed(size)) for layer, size in UNITS}
    named = dict(solution.parameters)
    for layer, following in (("fc1", "fc2"), ("fc2", "fc3")):
        for kind in ("weight", "bias"):
            named[f"{layer}.{kind}"] = named[f"{layer}.{kind}"][order[layer]]
        named[f"{following}.weight"] = named[f"{following}.weight"][:, order[layer]]
    loss = Loss(network, digits)
    profile = along(straight(network.point(solution.parameters), network.point(named)), loss, places(20), ({}, {}))
    assert profile.train_loss[0] == pytest.approx(profile.train_loss[-1], abs=1e-6)
    assert profile.train_error[0] == profile.train_error[-1]
    assert barrier(profile.t, profile.train_loss).height > 0.2

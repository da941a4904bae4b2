"""Hessians of known matrices, and of small networks against finite differences and torch's own."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from analysis.landscape.curvature import Descent, Hessian, descend, eigenvalues, inactive_share, trace
from analysis.landscape.network import Loss, Network, subset
from pipeline.data.tensors import DataSet

MakeQuadratic = Callable[[Tensor, Tensor], Loss]
SIZE = 12


def symmetric(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(SIZE, SIZE, dtype=torch.float64, generator=generator)
    return (matrix + matrix.T) / 10


def hessian_of(loss: Loss, mask: Tensor | None = None) -> Hessian:
    """At the network's own point, which is the centre of a quadratic."""
    point = loss.network.vector.clone()
    return Hessian(loss, point, {}, torch.ones_like(point, dtype=torch.bool) if mask is None else mask)


@pytest.fixture
def indefinite(quadratic: MakeQuadratic) -> Loss:
    return quadratic(symmetric(), torch.zeros(SIZE, dtype=torch.float64))


@pytest.fixture
def smooth(digits: DataSet) -> tuple[Loss, dict[str, Tensor]]:
    """A small network with BatchNorm whose loss is smooth, on 60 digits in uneven batches, and its statistics."""
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(64, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 10)]
    network = Network(nn.Sequential(*layers).double())
    statistics = {"2.running_mean": torch.randn(5).double(), "2.running_var": torch.rand(5).double() + 0.5}
    return Loss(network, subset(digits, 60), batch=17), statistics


# -- products -------------------------------------------------------------------------------------------------------------


def test_products_are_those_of_the_matrix(indefinite: Loss) -> None:
    vectors = torch.randn(3, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(hessian_of(indefinite).times(vectors), vectors @ symmetric(), atol=1e-10)


@given(chosen=st.lists(st.booleans(), min_size=SIZE, max_size=SIZE).filter(any))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_within_a_mask_they_are_those_of_its_rows_and_columns(chosen: list[bool], indefinite: Loss) -> None:
    mask = torch.tensor(chosen)
    hessian = hessian_of(indefinite, mask)
    assert hessian.size == sum(chosen)
    assert torch.allclose(hessian.times(torch.eye(hessian.size)), symmetric()[mask][:, mask], atol=1e-10)


def test_products_agree_with_finite_differences_of_the_gradient(smooth: tuple[Loss, dict[str, Tensor]]) -> None:
    loss, statistics = smooth
    point = loss.network.vector.clone()
    vector = torch.randn(point.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    hessian = Hessian(loss, point, statistics, torch.ones_like(point, dtype=torch.bool))
    step = 1e-5
    ahead, behind = (loss.gradient(point + sign * step * vector, statistics) for sign in (1, -1))
    assert torch.allclose(hessian.times(vector[None])[0], (ahead - behind) / (2 * step), atol=1e-7)


def test_products_agree_with_torch_s_own_hessian_of_the_whole_training_set(
    smooth: tuple[Loss, dict[str, Tensor]],
) -> None:
    loss, statistics = smooth
    network, data = loss.network, loss.dataset
    point = network.vector.clone()
    mask = torch.zeros_like(point, dtype=torch.bool)
    mask[-40:] = True
    inputs = data.prepare(data.train_inputs).double()

    def value(part: Tensor) -> Tensor:
        named = network.named(torch.cat([point[:-40], part]))
        logits = torch.func.functional_call(network.module, {**named, **statistics}, (inputs,))
        return functional.cross_entropy(logits, data.train_labels)

    expected = torch.autograd.functional.hessian(value, point[-40:])
    found = Hessian(loss, point, statistics, mask).times(torch.eye(40))
    assert torch.allclose(found, expected, atol=1e-10)


def test_products_do_not_depend_on_where_the_network_was_left(indefinite: Loss) -> None:
    hessian = hessian_of(indefinite)
    first = hessian.times(torch.eye(SIZE))
    indefinite.network.put(hessian.point + 1)
    assert torch.equal(hessian.times(torch.eye(SIZE)), first)


# -- eigenvalues and trace ------------------------------------------------------------------------------------------------


def test_eigenvalues_at_both_ends_are_those_of_the_matrix(indefinite: Loss) -> None:
    expected = torch.linalg.eigvalsh(symmetric()).tolist()
    hessian = hessian_of(indefinite)
    assert eigenvalues(hessian, 3, tolerance=1e-8) == pytest.approx(expected[:-4:-1], abs=1e-4)
    assert eigenvalues(hessian, 2, "smallest", tolerance=1e-8) == pytest.approx(expected[:2], abs=1e-4)
    assert eigenvalues(hessian, 1, seed=5) == pytest.approx(expected[-1:], abs=1e-4)


def test_within_a_mask_they_are_those_of_the_block(indefinite: Loss) -> None:
    mask = torch.arange(SIZE) % 2 == 0
    expected = torch.linalg.eigvalsh(symmetric()[mask][:, mask])
    found = eigenvalues(hessian_of(indefinite, mask), 1, "smallest", tolerance=1e-8)
    assert found == pytest.approx([float(expected[0])], abs=1e-4)


@pytest.mark.parametrize("count", [0, SIZE])
def test_a_number_of_eigenvalues_that_cannot_be_found_is_refused(count: int, indefinite: Loss) -> None:
    with pytest.raises(ValueError, match=f"count is {count}; of a Hessian of {SIZE} weights, 1 to {SIZE - 1} "):
        eigenvalues(hessian_of(indefinite), count)


def test_the_trace_of_a_diagonal_hessian_is_exact(quadratic: MakeQuadratic) -> None:
    diagonal = torch.linspace(-1, 2, SIZE, dtype=torch.float64)
    found = trace(hessian_of(quadratic(torch.diag(diagonal), torch.zeros_like(diagonal))), draws=3)
    assert found.mean == pytest.approx(float(diagonal.sum()), abs=1e-10)
    assert found.standard_error == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_the_trace_is_within_three_standard_errors(seed: int, indefinite: Loss) -> None:
    """Whose square is, for random signs, 2 times the sum of squares off the diagonal, over the number of draws."""
    found = trace(hessian_of(indefinite), draws=100, seed=seed)
    matrix = symmetric()
    assert abs(found.mean - float(matrix.trace())) < 3 * found.standard_error
    spread = 2 * float(matrix.square().sum() - matrix.diagonal().square().sum())
    assert found.standard_error == pytest.approx(math.sqrt(spread / 100), rel=0.3)
    assert found.n == 100


def test_one_draw_has_no_error(indefinite: Loss) -> None:
    assert math.isnan(trace(hessian_of(indefinite), draws=1).standard_error)


# -- what inactive weights hold -------------------------------------------------------------------------------------------


def test_the_inactive_share_of_a_gradient_by_hand() -> None:
    gradient, active = torch.tensor([3.0, 0.0, 4.0]), torch.tensor([True, True, False])
    assert inactive_share(gradient, active) == pytest.approx(0.8)
    assert inactive_share(gradient, ~active) == pytest.approx(0.6)
    assert math.isnan(inactive_share(torch.zeros(3), active))


def test_opening_weights_reveals_a_descent_that_the_mask_hides(quadratic: MakeQuadratic) -> None:
    """At the optimum within the mask its gradient is 0; the other weight lies 3 from its own, so 4.5 above it."""
    loss = quadratic(torch.eye(2, dtype=torch.float64), torch.tensor([1.0, 3.0], dtype=torch.float64))
    point, active = torch.tensor([1.0, 0.0], dtype=torch.float64), torch.tensor([True, False])
    lengths = [1.0, 3.0, 7.0]
    closed = descend(loss, point, {}, active, lengths)
    assert (closed.gradient_norm, closed.decreases, closed.best) == (0.0, [0.0] * 3, 0.0)
    opened = descend(loss, point, {}, torch.ones(2, dtype=torch.bool), lengths)
    assert opened.gradient_norm == pytest.approx(3.0)
    assert opened.decreases == pytest.approx([2.5, 4.5, 4.5 - 8.0])
    assert opened.best == pytest.approx(4.5)


def test_steps_to_a_loss_that_is_not_finite_do_not_count() -> None:
    assert Descent(1.0, [1.0, 2.0, 3.0], [0.5, math.nan, -math.inf]).best == 0.5
    assert Descent(1.0, [1.0], [math.nan]).best == 0.0

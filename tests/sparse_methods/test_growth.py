"""Scores and starting values that methods share, and what an update makes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from sparse_methods import growth
from sparse_methods.method import Layer


def layer_of(weights: Sequence[float], gradient: Sequence[float] | None = None, seed: int = 0) -> Layer:
    """A layer of one row whose weights that are not 0 are active."""
    weight = nn.Parameter(torch.tensor([weights], dtype=torch.float64))
    weight.grad = None if gradient is None else torch.tensor([gradient], dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    return Layer("a", weight, weight.detach() != 0, 0.5, generator, weight_decay=0.0)


def numbers(layer: Layer, seed: int) -> Tensor:
    """The first normal numbers of ``seed``, one for each weight."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(layer.weight.numel(), generator=generator, dtype=torch.float64).view(layer.weight.shape)


def test_the_running_mean_starts_at_zero_and_is_not_corrected() -> None:
    """e <- e + (1 - 3/4) (g - e): 8 gives 2; then 0: 1.5; then -4: 0.125. Inactive weights (the second) count as well."""
    layer = layer_of([1.0, 0.0], [8.0, -8.0])
    growth.remember(layer, momentum=0.75)
    assert layer.state["mean_gradient"].tolist() == [[2.0, -2.0]]
    for gradient, mean in (([0.0, -8.0], [1.5, -3.5]), ([-4.0, 0.0], [0.125, -2.625])):
        layer.weight.grad = torch.tensor([gradient], dtype=torch.float64)
        growth.remember(layer, momentum=0.75)
        assert layer.state["mean_gradient"].tolist() == [mean]


def test_without_momentum_the_mean_is_the_last_gradient() -> None:
    layer = layer_of([1.0, 0.0], [8.0, -8.0])
    growth.remember(layer, momentum=0.0)
    layer.weight.grad = torch.tensor([[3.0, 1.0]], dtype=torch.float64)
    growth.remember(layer, momentum=0.0)
    assert layer.state["mean_gradient"].tolist() == [[3.0, 1.0]]


def test_the_running_mean_is_a_tensor_of_its_own() -> None:
    """The gradient's memory is used again by the next backward pass."""
    layer = layer_of([1.0, 0.0], [8.0, -8.0])
    growth.remember(layer, momentum=0.0)
    layer.weight.grad.zero_()
    assert layer.state["mean_gradient"].tolist() == [[8.0, -8.0]]


def test_scores_are_magnitudes() -> None:
    """Gradient 3 -5, running mean after it a tenth of that."""
    layer = layer_of([1.0, 0.0], [3.0, -5.0])
    growth.remember(layer, momentum=0.9)
    assert growth.SCORES["gradient"](layer).tolist() == [[3.0, 5.0]]
    assert growth.SCORES["momentum"](layer)[0].tolist() == pytest.approx([0.3, 0.5])


def test_random_scores_are_the_layer_s_own_draws() -> None:
    layer = layer_of([1.0, 0.0, 0.0], seed=7)
    expected = torch.rand(1, 3, generator=torch.Generator().manual_seed(7))
    assert growth.SCORES["random"](layer).equal(expected)


def test_scores_and_starts_are_those_that_rigl_names() -> None:
    assert set(growth.SCORES) == {"gradient", "random", "momentum"}
    assert set(growth.STARTS) == {"zeros", "random", "gradient"}


def test_zeros_are_the_engine_s_default() -> None:
    assert growth.STARTS["zeros"](layer_of([1.0, 0.0])) is None


def test_the_gradient_start_has_the_gradient_s_sign() -> None:
    """+g, not -g and not |g|: ``grad_scale`` of the authors' code."""
    assert growth.STARTS["gradient"](layer_of([1.0, 0.0], [3.0, -5.0])).tolist() == [[3.0, -5.0]]


def test_the_random_start_has_the_deviation_of_the_whole_tensor() -> None:
    """3 -1 0 0: mean 1/2, deviation sqrt((6.25 + 2.25 + 0.25 + 0.25) / 4) = 1.5, over the inactive too, divided by 4.

    Over the active alone it would be 2, divided by 3 instead 1.73.
    """
    layer = layer_of([3.0, -1.0, 0.0, 0.0], seed=5)
    assert torch.allclose(growth.STARTS["random"](layer), 1.5 * numbers(layer, 5), rtol=1e-12, atol=0)


def test_the_random_start_of_a_tensor_without_spread_is_zero() -> None:
    """All weights equal: the deviation is 0."""
    assert growth.STARTS["random"](layer_of([2.0, 2.0, 2.0])).tolist() == [[0.0, 0.0, 0.0]]


def test_the_random_start_is_normal() -> None:
    """4,000 weights of +1 and -1, deviation 1: mean 0 and deviation 1 within 5 standard errors."""
    drawn = growth.STARTS["random"](layer_of([1.0, -1.0] * 2000)).detach()
    assert abs(float(drawn.mean())) < 5 / math.sqrt(4000)
    assert float(drawn.std()) == pytest.approx(1.0, abs=5 / math.sqrt(8000))


def test_a_gradient_that_is_missing_is_said() -> None:
    """Instead of an error about None."""
    for use in (growth.SCORES["gradient"], growth.STARTS["gradient"], lambda layer: growth.remember(layer, 0.9)):
        with pytest.raises(RuntimeError, match="layer 'a' has no gradient"):
            use(layer_of([1.0, 0.0]))

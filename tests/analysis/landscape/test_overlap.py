"""Masks against masks, by hand and against random ones."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import pytest
import torch
from torch import Tensor

from analysis.landscape.overlap import chance_jaccard, churn, distance, explored, input_degrees, overlap

A = {"fc1": torch.tensor([[True, True, False], [False, True, False]]), "fc2": torch.tensor([[True, False]])}
B = {"fc1": torch.tensor([[True, False, True], [False, True, False]]), "fc2": torch.tensor([[False, True]])}


def random_masks(active: int, weights: int, generator: torch.Generator) -> Tensor:
    mask = torch.zeros(weights, dtype=torch.bool)
    mask[torch.randperm(weights, generator=generator)[:active]] = True
    return mask


def test_overlap_by_hand() -> None:
    layers, whole = overlap(A, B)
    assert (layers["fc1"].first, layers["fc1"].second, layers["fc1"].both) == (3, 3, 2)
    assert layers["fc1"].jaccard == 2 / 4
    assert layers["fc2"].jaccard == 0
    assert (whole.weights, whole.first, whole.second, whole.both) == (8, 4, 4, 2)
    assert whole.jaccard == 2 / 6


def test_the_chance_of_a_network_is_expected_intersection_over_expected_union() -> None:
    """Intersections of 9 / 6 and 1 / 2 are expected: 2 of 6."""
    assert overlap(A, B)[1].chance == pytest.approx(2 / 6)


@pytest.mark.parametrize(("weights", "first", "second"), [(6, 3, 2), (5, 4, 3), (4, 4, 2), (6, 0, 3)])
def test_chance_is_the_mean_over_all_pairs_of_masks(weights: int, first: int, second: int) -> None:
    ours = [set(c) for c in combinations(range(weights), first)]
    theirs = [set(c) for c in combinations(range(weights), second)]
    exact = sum(Fraction(len(a & b), len(a | b)) for a in ours for b in theirs) / (len(ours) * len(theirs))
    assert chance_jaccard(weights, first, second) == pytest.approx(float(exact), abs=1e-12)


def test_random_masks_overlap_as_chance_says() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = [
        overlap({"a": random_masks(100, 1000, generator)}, {"a": random_masks(200, 1000, generator)})[1]
        for _ in range(300)
    ]
    found = torch.tensor([draw.jaccard for draw in draws])
    expected = chance_jaccard(1000, 100, 200)
    assert abs(float(found.mean()) - expected) < 3 * float(found.std()) / math.sqrt(300)
    assert draws[0].chance == pytest.approx(expected, rel=0.01)


def test_equal_masks_overlap_wholly_and_empty_ones_not_at_all() -> None:
    assert overlap(A, A)[1].jaccard == 1.0
    empty = {"a": torch.zeros(3, dtype=torch.bool)}
    layers, whole = overlap(empty, empty)
    assert math.isnan(layers["a"].jaccard)
    assert math.isnan(layers["a"].chance)
    assert math.isnan(whole.jaccard)


def test_explored_shares_by_hand() -> None:
    assert explored([A]) == ({"fc1": 3 / 6, "fc2": 1 / 2}, 4 / 8)
    assert explored([A, B, A]) == ({"fc1": 4 / 6, "fc2": 1.0}, 6 / 8)


def test_churn_by_hand() -> None:
    assert churn(A, B) == ({"fc1": 1 / 3, "fc2": 1.0}, 2 / 4)
    assert churn(A, A) == ({"fc1": 0.0, "fc2": 0.0}, 0.0)
    assert churn({"a": torch.tensor([True])}, {"a": torch.tensor([False])}) == ({"a": 0.0}, 0.0)


def test_distances_by_hand() -> None:
    first = {"w": torch.tensor([[1.0, 2.0]]), "b": torch.tensor([0.0])}
    second = {"w": torch.tensor([[1.0, 5.0]]), "b": torch.tensor([-4.0])}
    assert distance(first, second) == ({"w": 3.0, "b": 4.0}, 5.0)


def test_input_degrees_by_hand() -> None:
    mask = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 1], [1, 0, 0, 1]], dtype=torch.bool)
    assert input_degrees(mask, (1, 2, 2)).tolist() == [[[3, 1], [0, 2]]]
    with pytest.raises(ValueError, match=r"a mask of shape \[3, 4\] does not read samples of shape \[1, 3, 3\]"):
        input_degrees(mask, (1, 3, 3))


@pytest.mark.parametrize("measure", [overlap, churn, distance, lambda a, b: explored([a, b])])
def test_masks_of_different_networks_are_refused(measure) -> None:
    for other in ({"fc1": A["fc1"]}, {"fc1": A["fc1"], "fc2": torch.tensor([[True]])}):
        with pytest.raises(ValueError, match="not of one network"):
            measure(A, other)

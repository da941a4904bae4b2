"""Exact counts, exact-k selection and drop-and-grow, against values by hand and a stable sort."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sparse_methods.method import Layer, Method
from sparse_methods.topology import drop_count, largest, random_mask, zero_count


def drop_and_grow(mask: Tensor, drop_score: Tensor, grow_score: Tensor, count: int) -> Tensor:
    """A topology update as the contract's defaults make it."""
    layer = Layer("w", torch.zeros(mask.shape), mask, 0.5, torch.Generator(), weight_decay=0.0)
    kept = Method().keep(layer, drop_score, int(mask.sum()) - count)
    return Method().grow(layer, kept, grow_score, count)


@pytest.mark.parametrize(
    ("sparsity", "weights", "zeros"),
    [
        (0.0, 7, 0),
        (0.5, 7, 3),
        (0.9, 16, 14),
        (0.29, 100, 28),  # 0.29 * 100 is 28.999999999999996 in float64
        (0.57, 100, 56),  # 56.99999999999999
        (0.7, 10, 7),  # the float below 0.7, but the product rounds to 7.0: float64, not exact arithmetic
        (0.28, 100, 28),  # 28.000000000000004
        (0.98, 235200, 230496),
        (0.999, 1, 0),
    ],
)
def test_zero_count_is_the_floor_of_the_float64_product(sparsity: float, weights: int, zeros: int) -> None:
    assert zero_count(sparsity, weights) == zeros


@pytest.mark.parametrize(
    ("active", "fraction", "dropped"),
    [
        (10, 0.3, 3),
        (9, 0.3, 2),
        (3, 0.3, 0),
        (7, 0.0, 0),
        (7, 1.0, 7),
        # float32(0.29) is 0.28999999166; times 100 is 28.999999166, and float32's neighbours there are 28.9999981 and
        # 29: the product rounds up to 29, where float64 has 28.999999999999996.
        (100, 0.29, 29),
        (200, 0.29, 58),
        # 2**24 + 1 is no float32: it rounds to even, one below float64's answer.
        (2**24 + 1, 1.0, 2**24),
    ],
)
def test_drop_count_truncates_the_float32_product(active: int, fraction: float, dropped: int) -> None:
    assert drop_count(active, fraction) == dropped


def test_float64_would_drop_another_number() -> None:
    """The two awkward rows above are what they claim to be."""
    assert int(100 * 0.29) == 28 != drop_count(100, 0.29)
    assert int((2**24 + 1) * 1.0) == 2**24 + 1 != drop_count(2**24 + 1, 1.0)


def mask_of(rows: list[list[int]]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.bool)


def test_largest_takes_only_candidates() -> None:
    score = torch.tensor([[9.0, 1.0, 5.0], [4.0, 8.0, 3.0]])
    among = mask_of([[0, 1, 1], [1, 0, 1]])
    assert largest(score, 2, among).tolist() == [[False, False, True], [True, False, False]]
    assert largest(score, 0, among).sum() == 0
    assert largest(score, 4, among).equal(among)


def test_largest_gives_ties_to_the_lowest_row_major_index() -> None:
    score = torch.tensor([[2.0, 1.0, 2.0], [2.0, 3.0, 2.0]])
    everything = torch.ones(2, 3, dtype=torch.bool)
    assert largest(score, 3, everything).int().tolist() == [[1, 0, 1], [0, 1, 0]]
    assert largest(score, 4, everything).int().tolist() == [[1, 0, 1], [1, 1, 0]]
    assert largest(torch.zeros(2, 3), 4, everything).int().tolist() == [[1, 1, 1], [1, 0, 0]]


def test_ties_follow_the_tensor_s_order_and_not_memory_s() -> None:
    """A transposed view has the indices of what it shows."""
    score = torch.zeros(3, 2).T
    assert largest(score, 2, torch.ones(3, 2, dtype=torch.bool).T).int().tolist() == [[1, 1, 0], [0, 0, 0]]


def test_largest_refuses_more_than_there_is() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        largest(torch.zeros(1, 4), 3, mask_of([[1, 0, 1, 0]]))


def test_largest_ranks_infinities() -> None:
    score = torch.tensor([[1.0, float("inf"), 2.0, float("inf"), -float("inf")]])
    everything = torch.ones(1, 5, dtype=torch.bool)
    assert largest(score, 1, everything).int().tolist() == [[0, 1, 0, 0, 0]]
    assert largest(score, 3, everything).int().tolist() == [[0, 1, 1, 1, 0]]


def test_drop_and_grow_by_hand() -> None:
    """Active 5 1 4 2 at 0 1 3 4. The two smallest (1 and 4) go; of 1 2 4 5 the best scores are at 2 and 5."""
    mask = mask_of([[1, 1, 0], [1, 1, 0]])
    magnitude = torch.tensor([[5.0, 1.0, 0.0], [4.0, 2.0, 0.0]])
    score = torch.tensor([[99.0, 0.1, 0.7], [99.0, 0.2, 0.3]])
    assert drop_and_grow(mask, magnitude, score, 2).int().tolist() == [[1, 0, 1], [1, 0, 1]]


def test_what_was_just_dropped_can_grow_again() -> None:
    mask = mask_of([[1, 1, 0], [1, 1, 0]])
    magnitude = torch.tensor([[5.0, 1.0, 0.0], [4.0, 2.0, 0.0]])
    score = torch.tensor([[0.0, 0.9, 0.7], [0.0, 0.2, 0.3]])
    assert drop_and_grow(mask, magnitude, score, 2).int().tolist() == [[1, 1, 1], [1, 0, 0]]


def test_ties_of_both_kinds() -> None:
    """All magnitudes equal: the first two active ones stay. All scores equal: the first two of the others grow."""
    mask = mask_of([[0, 1, 1, 1, 1, 0]])
    assert drop_and_grow(mask, torch.ones(1, 6), torch.ones(1, 6), 2).int().tolist() == [[1, 1, 1, 1, 0, 0]]


def test_a_full_layer_stays_full_and_a_zero_count_changes_nothing() -> None:
    full = torch.ones(3, 4, dtype=torch.bool)
    scores = torch.arange(12.0).view(3, 4)
    assert drop_and_grow(full, scores, scores, 5).equal(full)
    some = scores > 6
    assert drop_and_grow(some, scores, scores.flip(0), 0).equal(some)


def by_stable_sort(score: np.ndarray, candidates: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` largest among ``candidates`` (flat, boolean), earlier indices first among equals."""
    order = [index for index in np.argsort(-score, kind="stable") if candidates[index]]
    chosen = np.zeros(score.size, dtype=bool)
    chosen[order[:count]] = True
    return chosen


@st.composite
def updates(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """A flat mask, drop and grow scores full of ties, and a feasible number of weights to move."""
    size = draw(st.integers(1, 40))
    scores = st.lists(st.integers(0, 5), min_size=size, max_size=size)
    mask = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    count = draw(st.integers(0, int(mask.sum())))
    return mask, np.array(draw(scores), float), np.array(draw(scores), float), count


@given(updates())
def test_selection_and_update_equal_a_stable_sort(update: tuple[np.ndarray, np.ndarray, np.ndarray, int]) -> None:
    mask, drop_score, grow_score, count = update
    kept = by_stable_sort(drop_score, mask, int(mask.sum()) - count)
    expected = kept | by_stable_sort(grow_score, ~kept, count)

    as_torch = [torch.from_numpy(array).view(1, -1) for array in (mask, drop_score, grow_score)]
    assert largest(as_torch[1], int(mask.sum()) - count, as_torch[0]).flatten().numpy().tolist() == kept.tolist()
    assert drop_and_grow(*as_torch, count).flatten().numpy().tolist() == expected.tolist()


@given(updates())
def test_update_conserves_the_count_and_keeps_the_best(
    update: tuple[np.ndarray, np.ndarray, np.ndarray, int],
) -> None:
    mask, drop_score, grow_score, count = (torch.from_numpy(x) if isinstance(x, np.ndarray) else x for x in update)
    new = drop_and_grow(mask, drop_score, grow_score, count)
    kept = largest(drop_score, int(mask.sum()) - count, mask)
    assert new.sum() == mask.sum()
    assert not (kept & ~mask).any() and not (kept & ~new).any()
    assert (mask & ~new).sum() <= count
    lost, won = mask & ~kept, kept
    if lost.any() and won.any():
        assert drop_score[lost].max() <= drop_score[won].min()


@given(st.integers(1, 60), st.data())
def test_random_mask_has_exactly_the_zeros(size: int, data: st.DataObject) -> None:
    zeros = data.draw(st.integers(0, size))
    mask = random_mask((size, 2), zeros, torch.Generator().manual_seed(data.draw(st.integers(0, 99))))
    assert mask.shape == (size, 2) and mask.dtype == torch.bool
    assert int((~mask).sum()) == zeros


def test_random_mask_zeroes_every_position_equally_often() -> None:
    """3 of 12 in 2,000 draws: each position 500 +- 5 standard deviations (sqrt(2000 * 0.25 * 0.75) = 19.4)."""
    generator = torch.Generator().manual_seed(0)
    zeroed = sum((~random_mask((3, 4), 3, generator)).int() for _ in range(2000))
    assert zeroed.sum() == 6000
    assert (zeroed - 500).abs().max() < 5 * 19.4

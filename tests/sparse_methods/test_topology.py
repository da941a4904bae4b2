"""Exact counts, exact-k selection, shares of a total and drop-and-grow, against values by hand and a stable sort."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparse_methods import topology
from sparse_methods.method import Layer, Method
from sparse_methods.topology import (
    NonFiniteScoreError,
    active_count,
    apportion,
    checked,
    drop_count,
    largest,
    largest_of_all,
    largest_per_row,
    random_mask,
    sparsity_of,
    zero_count,
)


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
    order = np.argsort(-score, kind="stable")
    chosen = np.zeros(score.size, dtype=bool)
    chosen[order[candidates[order]][:count]] = True
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


# -- selection in layers large enough for the smallest chosen score to be guessed ---------------------------------------

GUESSED = 8 * topology.SAMPLED
"""The fewest scores of which a sample is taken."""


@st.composite
def large_layers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores of either precision and sign, some with many ties, some infinite; candidates; how many of them are wanted."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(
        st.one_of(st.integers(GUESSED - 2, GUESSED + 300), st.integers(topology.BLOCK - 2, topology.BLOCK + 9000))
    )
    score = random.standard_normal(size)
    levels = draw(st.sampled_from([0, 1, 3, 1000]))  # 0: hardly any tie
    if levels:
        score = np.round(score * levels) / levels
    for infinity in draw(st.lists(st.sampled_from([-np.inf, np.inf]), max_size=2)):
        score[random.random(size) < draw(st.sampled_from([1e-4, 0.3]))] = infinity
    among = random.random(size) < draw(st.sampled_from([0.001, 0.05, 0.1, 0.5, 0.97, 1.0]))
    share = draw(st.sampled_from([0.0, 0.001, 0.03, 0.3, 0.7, 0.999, 1.0]))
    return score.astype(draw(st.sampled_from([np.float32, np.float64]))), among, int(share * among.sum())


@settings(deadline=None, max_examples=60)
@given(large_layers())
def test_selection_in_large_layers_equals_a_stable_sort(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    """And so does the way that other devices take."""
    score, among, count = case
    expected = by_stable_sort(score, among, count)
    assert np.array_equal(largest(torch.from_numpy(score), count, torch.from_numpy(among)).numpy(), expected)
    elsewhere = topology._topk(torch.from_numpy(score), count, torch.from_numpy(among))
    assert np.array_equal(elsewhere.numpy(), expected)


@pytest.mark.parametrize("sampled", [9.0, -9.0])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_sample_that_misleads_changes_nothing(sampled: float, share: float) -> None:
    """Every score that is looked at is far from all others."""
    score = np.random.default_rng(0).standard_normal(GUESSED)
    score[topology._spread(GUESSED)] = sampled
    among, count = np.ones(GUESSED, dtype=bool), int(share * GUESSED)
    found = largest(torch.from_numpy(score), count, torch.from_numpy(among)).numpy()
    assert np.array_equal(found, by_stable_sort(score, among, count))


def test_large_layers_refuse_more_than_there_is() -> None:
    score, among = torch.rand(GUESSED), torch.rand(GUESSED) < 0.1
    with pytest.raises(ValueError, match=f"cannot select {GUESSED} of {int(among.sum())} candidates"):
        largest(score, GUESSED, among)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_ranked_as_it_is(dtype: torch.dtype) -> None:
    score = torch.randn(40, 30, generator=torch.Generator().manual_seed(0)).to(dtype)
    among = torch.rand(40, 30, generator=torch.Generator().manual_seed(1)) < 0.5
    assert largest(score, 100, among).equal(largest(score.double(), 100, among))
    counts = torch.arange(40) % 7
    assert largest_per_row(score, counts, among).equal(largest_per_row(score.double(), counts, among))


def test_whole_numbers_are_ranked_as_they_are() -> None:
    """2**53 + 1 is no float64."""
    score, among = torch.tensor([2**53, 2**53 + 1, -(2**63), 0]), torch.ones(4, dtype=torch.bool)
    for select in (largest, topology._topk):
        assert select(score, 1, among).int().tolist() == [0, 1, 0, 0]
        assert select(score, 3, among).int().tolist() == [1, 1, 0, 1]


@given(st.integers(1, 12), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_largest_per_row_equals_a_stable_sort_of_each_row(rows: int, columns: int, seed: int) -> None:
    """A row that asks for more than it has candidates gets all of them."""
    random = np.random.default_rng(seed)
    score = random.choice([-np.inf, -1.0, 0.0, 1.0, 2.0, np.inf], size=(rows, columns))
    among = random.random((rows, columns)) < 0.7
    counts = random.integers(0, columns + 2, size=rows)
    found = largest_per_row(torch.from_numpy(score), torch.from_numpy(counts), torch.from_numpy(among))
    expected = [by_stable_sort(*row) for row in zip(score, among, counts, strict=True)]
    assert found.numpy().tolist() == [row.tolist() for row in expected]


def test_checked_refuses_nan_wherever_it_is_and_nothing_else() -> None:
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        extreme = torch.tensor([[np.inf, -np.inf], [0.0, 1.0]], dtype=dtype)
        assert checked(extreme, "w") is extreme
        for row, column in np.ndindex(2, 2):
            spoilt = extreme.clone()
            spoilt[row, column] = np.nan
            with pytest.raises(NonFiniteScoreError, match="'w'"):
                checked(spoilt, "w")
    assert checked(torch.empty(0, 3), "w").numel() == 0


def test_active_count_is_the_number_of_ones() -> None:
    mask = mask_of([[1, 0, 1], [0, 0, 1]])
    assert (active_count(mask), active_count(mask.T), active_count(mask[:, :1])) == (3, 3, 1)


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


# -- sparsities of given masks -----------------------------------------------------------------------------------------


def test_sparsity_of_is_the_ratio_where_that_gives_the_zeros_again() -> None:
    assert [sparsity_of(zeros, 4) for zeros in range(5)] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_sparsity_of_moves_up_where_the_ratio_s_product_falls_short() -> None:
    """15/22 * 22 is 14.999999999999998 in float64."""
    assert zero_count(15 / 22, 22) == 14
    assert zero_count(sparsity_of(15, 22), 22) == 15
    assert sparsity_of(15, 22) == pytest.approx(15 / 22, rel=1e-15)


def test_sparsity_of_gives_the_zeros_of_every_small_mask_again() -> None:
    for weights in range(1, 201):
        for zeros in range(weights + 1):
            assert zero_count(sparsity_of(zeros, weights), weights) == zeros


@given(st.integers(1, 10**9), st.data())
def test_sparsity_of_gives_the_zeros_of_large_masks_again(weights: int, data: st.DataObject) -> None:
    zeros = data.draw(st.integers(0, weights))
    assert zero_count(sparsity_of(zeros, weights), weights) == zeros
    assert 0 <= sparsity_of(zeros, weights) <= 1


# -- layers ranked together --------------------------------------------------------------------------------------------


def test_largest_of_all_ranks_tensors_of_other_shapes_together() -> None:
    """Of 9 1 5 | 7 3 8 2 the four largest are 9, 8, 7, 5; without the 8, which is no candidate, the 3 as well."""
    scores = {"a": torch.tensor([[9.0], [1.0], [5.0]]), "b": torch.tensor([[7.0, 3.0], [8.0, 2.0]])}
    everything = {name: torch.ones_like(score, dtype=torch.bool) for name, score in scores.items()}
    found = largest_of_all(scores, 4, everything)
    assert {name: mask.int().tolist() for name, mask in found.items()} == {"a": [[1], [0], [1]], "b": [[1, 0], [1, 0]]}
    some = everything | {"b": mask_of([[1, 1], [0, 1]])}
    found = largest_of_all(scores, 4, some)
    assert {name: mask.int().tolist() for name, mask in found.items()} == {"a": [[1], [0], [1]], "b": [[1, 1], [0, 0]]}


def test_largest_of_all_gives_ties_to_the_first_tensor_and_may_leave_one_nothing() -> None:
    scores = {"b": torch.ones(1, 3), "a": torch.ones(2, 2)}
    everything = {"a": torch.ones(2, 2, dtype=torch.bool), "b": torch.ones(1, 3, dtype=torch.bool)}
    found = largest_of_all(scores, 4, everything)
    assert {name: mask.int().tolist() for name, mask in found.items()} == {"b": [[1, 1, 1]], "a": [[1, 0], [0, 0]]}
    assert not largest_of_all(scores, 3, everything)["a"].any()


def test_largest_of_all_refuses_more_than_there_is() -> None:
    scores = {"a": torch.ones(1, 2), "b": torch.ones(1, 2)}
    with pytest.raises(ValueError, match="4 of 3"):
        largest_of_all(scores, 4, {"a": mask_of([[1, 1]]), "b": mask_of([[0, 1]])})


@given(updates(), st.data())
def test_largest_of_all_equals_a_stable_sort_of_everything(
    update: tuple[np.ndarray, np.ndarray, np.ndarray, int], data: st.DataObject
) -> None:
    mask, score, _, count = update
    cut = data.draw(st.integers(0, mask.size))
    parts = {"a": slice(0, cut), "b": slice(cut, None)}
    found = largest_of_all(
        {name: torch.from_numpy(score[part]) for name, part in parts.items()},
        count,
        {name: torch.from_numpy(mask[part]) for name, part in parts.items()},
    )
    expected = by_stable_sort(score, mask, count)
    assert {name: part.numpy().tolist() for name, part in found.items()} == {
        name: expected[part].tolist() for name, part in parts.items()
    }


# -- shares of a total -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "shares", "capacities", "expected"),
    [
        (0, [1, 2], [5, 5], [0, 0]),
        (6, [1, 2, 3], [9, 9, 9], [1, 2, 3]),
        # 5/6, 5/3, 5/2: floors 0 1 2, and the largest remainders 5/6 and 2/3 round up
        (5, [1, 2, 3], [9, 9, 9], [1, 2, 2]),
        # halves: the lowest index first
        (3, [1, 1], [9, 9], [2, 1]),
        (2, [0.5, 0.5, 0.5], [9, 9, 9], [1, 1, 0]),
        (5, [0, 1], [9, 9], [0, 5]),
        # 6 are due to the first, which has room for 2: the other 4 are shared 1:1
        (8, [6, 1, 1], [2, 9, 9], [2, 3, 3]),
        # twice: 8 1 1 with room for 1 and 2 leave 7 to the last
        (10, [8, 1, 1], [1, 2, 9], [1, 2, 7]),
        # exactly full
        (6, [1, 5, 0], [1, 2, 3], [1, 2, 3]),
        # where shares are 0, in proportion to the room: 4 and 2
        (3, [0, 0], [4, 2], [2, 1]),
        # 5 are due to the first alone; after its room of 2, the shares left are 0: 3 in rooms of 4 and 2
        (5, [1, 0, 0], [2, 4, 2], [2, 2, 1]),
        (3, [1, 1, 1], [0, 9, 9], [0, 2, 1]),
    ],
)
def test_apportion_by_hand(total: int, shares: list[float], capacities: list[int], expected: list[int]) -> None:
    assert apportion(total, shares, capacities) == expected


def test_apportion_gives_equal_remainders_to_the_lowest_index_whatever_their_rounding() -> None:
    """4/3, 1/3 and 1/3: three remainders of a third, though 1.3333333333333333 - 1 is less than 0.3333333333333333."""
    assert apportion(2, [4, 1, 1], [9, 9, 9]) == [2, 0, 0]


def test_apportion_does_not_round_twice_what_is_shared_anew() -> None:
    """11/3 each, but the first has room for 1; the other two have equal shares in 10. Rounded each time, they get 6 and 4:
    11/3 up to 4 for the second alone, and then 3/2 up to 2."""
    assert apportion(11, [1, 1, 1], [1, 20, 20]) == [1, 5, 5]


def test_apportion_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="cannot place 6 in capacities that sum to 5"):
        apportion(6, [1, 1], [2, 3])


def test_apportion_refuses_shares_that_are_no_numbers() -> None:
    """A mean over nothing is NaN; the total must not silently go where the room is."""
    with pytest.raises((ValueError, ArithmeticError)):
        apportion(3, [float("nan"), 1.0, 3.0], [10, 20, 30])


@st.composite
def totals(draw: st.DrawFn) -> tuple[int, list[float], list[int]]:
    """A total, shares some of which are 0 or alike, and capacities in which it fits."""
    size = draw(st.integers(1, 8))
    share = st.one_of(st.just(0.0), st.integers(1, 6).map(float), st.floats(1e-6, 1e6))
    shares = draw(st.lists(share, min_size=size, max_size=size))
    capacities = draw(st.lists(st.integers(0, 60), min_size=size, max_size=size))
    return draw(st.integers(0, sum(capacities))), shares, capacities


@given(totals())
def test_apportion_places_all_within_the_capacities_always_alike(case: tuple[int, list[float], list[int]]) -> None:
    total, shares, capacities = case
    given = apportion(total, shares, capacities)
    assert sum(given) == total
    assert all(
        isinstance(part, int) and 0 <= part <= capacity for part, capacity in zip(given, capacities, strict=True)
    )
    assert apportion(total, list(shares), tuple(capacities)) == given


@given(totals())
def test_apportion_serves_shares_before_it_fills_room(case: tuple[int, list[float], list[int]]) -> None:
    """What has no share gets something only where all that have one are full."""
    total, shares, capacities = case
    given = apportion(total, shares, capacities)
    if any(part for part, share in zip(given, shares, strict=True) if share == 0):
        assert all(
            part == capacity for part, share, capacity in zip(given, shares, capacities, strict=True) if share > 0
        )


@given(st.integers(0, 500), st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any))
def test_apportion_is_within_one_of_the_exact_share_when_there_is_room(total: int, shares: list[int]) -> None:
    """And exact where that is a whole number; a larger share never gets less."""
    given = apportion(total, shares, [500] * len(shares))
    exact = [Fraction(total * share, sum(shares)) for share in shares]
    assert all(abs(part - due) < 1 for part, due in zip(given, exact, strict=True))
    assert all(part == due for part, due in zip(given, exact, strict=True) if due.denominator == 1)
    ordered = [part for _, part in sorted(zip(shares, given, strict=True))]
    assert ordered == sorted(ordered)


@given(totals(), st.integers(-20, 20))
def test_apportion_depends_on_the_ratios_of_shares_alone(case: tuple[int, list[float], list[int]], power: int) -> None:
    """Powers of two change no rounding."""
    total, shares, capacities = case
    assert apportion(total, [share * 2.0**power for share in shares], capacities) == apportion(
        total, shares, capacities
    )

"""Batches: a pure function of their number, every sample once an epoch, and crops against a slow reference."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.batches import (
    NOT_JUDGED,
    Batches,
    TextBatches,
    crop_flip,
    evaluation_batches,
    evaluation_images,
    evaluation_text,
    training_batches,
)
from pipeline.data.order import KEPT
from pipeline.data.tensors import DataSet, TextSet, standardise
from pipeline.run import LearningRate, Protocol
from pipeline.seeds import Seeds


def numbered(samples: int, shape: tuple[int, int, int] = (1, 1, 2), scaling: str = "divide:255") -> DataSet:
    """Sample n holds n in its first two pixels (low byte, high byte) and has label n."""
    inputs = torch.zeros(samples, math.prod(shape), dtype=torch.uint8)
    inputs[:, 0] = torch.arange(samples) % 256
    inputs[:, 1] = torch.arange(samples) // 256
    inputs, labels = inputs.view(samples, *shape), torch.arange(samples)
    return DataSet("numbered", samples, inputs, labels, inputs.clone(), labels.clone(), scaling)


def photographs(samples: int = 40, shape: tuple[int, int, int] = (3, 10, 11)) -> DataSet:
    """Random images, standardised."""
    inputs = torch.randint(0, 256, (samples, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    labels = torch.arange(samples)
    return DataSet("photographs", samples, inputs, labels, inputs, labels, "standardise-per-image")


@given(
    samples=st.integers(1, 40),
    batch_size=st.integers(1, 100),
    seed=st.integers(0, 2**63 - 1),
    asked=st.lists(st.integers(0, 60), min_size=1, max_size=12),
)
def test_a_batch_depends_on_its_number_only(samples: int, batch_size: int, seed: int, asked: list[int]) -> None:
    dataset = numbered(samples)
    batches = Batches(dataset, batch_size, seed, 0)
    for index in asked:
        inputs, labels = batches[index]
        fresh_inputs, fresh_labels = Batches(dataset, batch_size, seed, 0)[index]
        assert torch.equal(inputs, fresh_inputs)
        assert torch.equal(labels, fresh_labels)


@given(samples=st.integers(1, 30), batch_size=st.integers(1, 70), seed=st.integers(0, 2**63 - 1))
def test_every_epoch_holds_every_sample_once(samples: int, batch_size: int, seed: int) -> None:
    epochs = 4
    batches = Batches(numbered(samples), batch_size, seed, 0)
    count = math.ceil(epochs * samples / batch_size)
    stream = torch.cat([batches[index][1] for index in range(count)])[: epochs * samples]
    for epoch in stream.view(epochs, samples).tolist():
        assert Counter(epoch) == Counter(range(samples))


@given(samples=st.integers(1, 300), batch_size=st.integers(1, 50), index=st.integers(0, 40))
def test_inputs_and_labels_stay_together(samples: int, batch_size: int, index: int) -> None:
    inputs, labels = Batches(numbered(samples), batch_size, 5, 0)[index]
    assert inputs.shape == (batch_size, 1, 1, 2)
    low, high = (inputs.view(batch_size, 2) * 255).round().long().unbind(1)
    assert torch.equal(low + 256 * high, labels)


@given(samples=st.integers(2, 30), small=st.integers(1, 20), large=st.integers(1, 20))
def test_the_batch_size_only_cuts_the_stream(samples: int, small: int, large: int) -> None:
    def stream(batch_size: int) -> torch.Tensor:
        batches = Batches(numbered(samples), batch_size, 9, 0)
        return torch.cat([batches[index][1] for index in range(math.ceil(100 / batch_size))])[:100]

    assert torch.equal(stream(small), stream(large))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    first, second = Batches(numbered(50), 50, 1, 0), Batches(numbered(50), 50, 2, 0)
    orders = [tuple(batches[index][1].tolist()) for batches in (first, second) for index in range(3)]
    assert len(set(orders)) == 6


def test_only_the_permutations_at_hand_are_kept() -> None:
    batches = Batches(numbered(10), 4, 1, 0)
    for index in range(50):
        _ = batches[index]
        kept = set(batches._order._permutations)
        assert index * 4 // 10 in kept and len(kept) <= KEPT and max(kept) - min(kept) < KEPT


def test_epoch_counts_passes() -> None:
    batches = Batches(numbered(10), 4, 1, 0)
    assert [batches.epoch(index) for index in (0, 1, 5, 10)] == [0.0, 0.4, 2.0, 4.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0, it must be at least 1"),
        ({"augmentation": "flip"}, "no augmentation 'flip'; valid: none, crop-flip"),
        ({"augmentation": "crop-flip"}, "crop-flip mirrors 4 pixels; the images of 'numbered' are only 1x2"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Batches(**{"dataset": numbered(5), "batch_size": 2, "order_seed": 0, "augment_seed": 0, **arguments})


def test_there_are_no_negative_batches() -> None:
    with pytest.raises(IndexError, match="batch -1"):
        Batches(numbered(5), 2, 0, 0)[-1]


def slow_crop_flip(image: np.ndarray, top: int, left: int, flip: int) -> np.ndarray:
    """One image [C, H, W], padded, cropped and flipped with numpy."""
    height, width = image.shape[1:]
    padded = np.pad(image, ((0, 0), (4, 4), (4, 4)), mode="symmetric")
    crop = padded[:, top : top + height, left : left + width]
    return crop[:, :, ::-1] if flip else crop


@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 5),
    channels=st.integers(1, 3),
    height=st.integers(4, 11),
    width=st.integers(4, 11),
)
def test_crop_flip_against_a_loop(seed: int, batch: int, channels: int, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (batch, channels, height, width), generator=generator, dtype=torch.uint8)
    top, left = torch.randint(0, 9, (2, batch), generator=generator)
    flip = torch.randint(0, 2, (batch,), generator=generator)
    done = crop_flip(images, top, left, flip)
    assert done.dtype == torch.uint8
    for index in range(batch):
        expected = slow_crop_flip(images[index].numpy(), int(top[index]), int(left[index]), int(flip[index]))
        np.testing.assert_array_equal(done[index].numpy(), expected)


def test_crop_flip_in_the_middle_is_the_image_or_its_mirror() -> None:
    images = photographs(2).train_inputs
    middle = torch.full((2,), 4)
    done = crop_flip(images, middle, middle, torch.tensor([0, 1]))
    assert torch.equal(done[0], images[0])
    assert torch.equal(done[1], images[1].flip(2))


def find_crop(image: np.ndarray, augmented: np.ndarray) -> tuple[int, int, int] | None:
    """Corner and flip that take one to the other; None when none does."""
    for top in range(9):
        for left in range(9):
            for flip in (0, 1):
                if np.array_equal(slow_crop_flip(image, top, left, flip), augmented):
                    return top, left, flip
    return None


def test_augmented_batches_are_crops_of_standardised_images() -> None:
    """Every image is a crop of its own sample, standardised before it is cropped; labels and order are unchanged."""
    dataset = photographs()
    plain, augmented = (Batches(dataset, 16, 3, 7, augmentation) for augmentation in ("none", "crop-flip"))
    found = []
    for index in range(8):
        inputs, labels = augmented[index]
        assert torch.equal(labels, plain[index][1])
        whole = standardise(dataset.train_inputs[labels])
        found += [find_crop(image.numpy(), done.numpy()) for image, done in zip(whole, inputs, strict=True)]
    assert None not in found
    assert {top for top, _, _ in found} == {left for _, left, _ in found} == set(range(9))
    assert 40 < sum(flip for _, _, flip in found) < 88


@given(index=st.integers(0, 1000), augment_seed=st.integers(0, 2**63 - 1))
def test_augmentation_depends_on_number_and_seed_only(index: int, augment_seed: int) -> None:
    dataset = photographs()
    batches = Batches(dataset, 8, 3, augment_seed, "crop-flip")
    first = batches[index][0]
    assert not torch.equal(batches[index + 1][0], first)
    assert torch.equal(batches[index][0], first)
    assert torch.equal(Batches(dataset, 8, 3, augment_seed, "crop-flip")[index][0], first)


def test_augmentation_has_a_seed_of_its_own() -> None:
    one, two = (Batches(photographs(), 8, 3, seed, "crop-flip")[0] for seed in (1, 2))
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0], two[0])


def test_batches_leave_the_global_random_state_alone() -> None:
    state = torch.get_rng_state()
    _ = Batches(photographs(), 8, 3, 1, "crop-flip")[5]
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("size", [1, 7, 40, 1000])
def test_evaluation_covers_the_test_set_in_order(size: int) -> None:
    dataset = photographs()
    inputs, labels = (torch.cat(parts) for parts in zip(*evaluation_images(dataset, size=size), strict=True))
    assert torch.equal(labels, dataset.test_labels)
    assert torch.equal(inputs, dataset.prepare(dataset.test_inputs))
    assert max(len(part) for part, _ in evaluation_images(dataset, size=size)) == min(size, 40)


# -- text -----------------------------------------------------------------------------------------------------------------


def counted(characters: int, judged: int = 2) -> TextSet:
    """Character n of either text is n modulo 256."""
    return TextSet("counted", torch.arange(characters).byte(), torch.arange(judged).byte())


def test_a_text_is_read_in_streams_side_by_side() -> None:
    """20 characters have 19 that follow one: 2 streams of 9, so 3 batches of 3 characters; the last one follows a stream."""
    batches = TextBatches(counted(20), batch_size=2, sequence_length=3)
    inputs, labels = zip(*(batches[index] for index in range(3)), strict=True)
    assert [part.tolist() for part in inputs] == [
        [[0, 1, 2], [9, 10, 11]],
        [[3, 4, 5], [12, 13, 14]],
        [[6, 7, 8], [15, 16, 17]],
    ]
    assert [part.tolist() for part in labels] == [
        [[1, 2, 3], [10, 11, 12]],
        [[4, 5, 6], [13, 14, 15]],
        [[7, 8, 9], [16, 17, 18]],
    ]
    assert {part.dtype for part in (*inputs, *labels)} == {torch.int64}


def test_a_text_is_read_again_from_its_start() -> None:
    batches = TextBatches(counted(20), batch_size=2, sequence_length=3)
    assert [batches.continues(index) for index in range(7)] == [False, True, True, False, True, True, False]
    assert [batches.epoch(index) for index in (0, 3, 9)] == [0.0, 1.0, 3.0]
    for index in range(3):
        for part, again in zip(batches[index], batches[index + 6], strict=True):
            assert torch.equal(part, again)


@given(
    characters=st.integers(2, 300), batch_size=st.integers(1, 9), length=st.integers(1, 30), index=st.integers(0, 99)
)
def test_streams_of_a_text_are_as_long_as_they_can_be(
    characters: int, batch_size: int, length: int, index: int
) -> None:
    """Every stream goes on where it stopped, and what a pass leaves out is less than a batch from each and a character."""
    dataset = counted(characters)
    if (characters - 1) // batch_size < length:
        with pytest.raises(
            ValueError, match=rf"'counted' has {characters} characters, too few for {batch_size} streams"
        ):
            TextBatches(dataset, batch_size, length)
        return
    batches = TextBatches(dataset, batch_size, length)
    inputs, labels = batches[index]
    assert inputs.shape == labels.shape == (batch_size, length)
    assert torch.equal(labels[:, :-1], inputs[:, 1:])
    assert torch.equal((inputs[:, -1] + 1) % 256, labels[:, -1])
    if batches.continues(index + 1):
        assert torch.equal(batches[index + 1][0][:, 0], labels[:, -1])
    used = round(1 / batches.epoch(1)) * length * batch_size
    assert 0 <= characters - 1 - used < length * batch_size + batch_size


def test_there_are_no_negative_batches_of_a_text() -> None:
    with pytest.raises(IndexError, match="batch -1"):
        TextBatches(counted(20), 2, 3)[-1]


def test_the_protocol_decides_how_a_text_is_cut() -> None:
    protocol, seeds = Protocol(1, 2, LearningRate(0.1), sequence_length=3), Seeds(0, 1, 2, 3, 4)
    assert training_batches(counted(20), protocol, seeds)[0][0].tolist() == [[0, 1, 2], [9, 10, 11]]
    flipped = Protocol(1, 2, LearningRate(0.1), augmentation="crop-flip")
    with pytest.raises(ValueError, match="'counted' is a text: augmentation is 'crop-flip', it must be none"):
        training_batches(counted(20), flipped, seeds)


def test_a_text_is_judged_whole() -> None:
    """12 characters follow one: 5 streams of 3, of which the fourth is the last to have any."""
    segments = list(evaluation_text(counted(2, judged=13), streams=5, length=2))
    assert [inputs.shape for inputs, _ in segments] == [(5, 2), (5, 1)]
    labels = torch.cat([labels for _, labels in segments], dim=1)
    assert labels.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12], [NOT_JUDGED] * 3]
    assert torch.cat([inputs for inputs, _ in segments], dim=1)[:4].flatten().tolist() == list(range(12))


@given(judged=st.integers(2, 200), streams=st.integers(1, 40), length=st.integers(1, 20))
def test_every_character_but_the_first_is_predicted_once(judged: int, streams: int, length: int) -> None:
    segments = list(evaluation_text(counted(2, judged), streams=streams, length=length))
    labels = torch.cat([labels for _, labels in segments], dim=1)
    inputs = torch.cat([inputs for inputs, _ in segments], dim=1)
    inside = labels != NOT_JUDGED
    assert labels[inside].tolist() == list(range(1, judged))
    assert inputs[inside].tolist() == list(range(judged - 1))
    assert max(inputs.shape[1] for inputs, _ in segments) <= length


def test_either_kind_is_judged_by_one_name() -> None:
    images, characters = photographs(), counted(2, judged=100)
    for dataset, batches in ((images, evaluation_images(images)), (characters, evaluation_text(characters))):
        for ours, theirs in zip(evaluation_batches(dataset), batches, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))

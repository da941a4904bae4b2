"""Data sets as tensors: what is accepted, how inputs are scaled, and the cache file."""

from __future__ import annotations

import hashlib
import math
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.data import tensors
from pipeline.data.tensors import DataError, DataSet, TextSet


def small(scaling: str = "divide:255", train: int = 6, test: int = 4) -> DataSet:
    """Random 2x3x5 images of four classes."""
    generator = torch.Generator().manual_seed(0)

    def images(count: int) -> torch.Tensor:
        return torch.randint(0, 256, (count, 2, 3, 5), generator=generator, dtype=torch.uint8)

    def labels(count: int) -> torch.Tensor:
        return torch.randint(0, 4, (count,), generator=generator)

    return DataSet("small", 4, images(train), labels(train), images(test), labels(test), scaling)


def test_a_data_set_knows_its_shape_and_device() -> None:
    assert small().input_shape == (2, 3, 5)
    assert small().device == torch.device("cpu")


@pytest.mark.parametrize(("scaling", "largest"), [("divide:16", 16), ("divide:255", 255)])
def test_dividing_takes_the_largest_value_to_one(scaling: str, largest: int) -> None:
    values = torch.arange(largest + 1, dtype=torch.uint8).view(-1, 1, 1, 1)
    prepared = small(scaling).prepare(values)
    assert prepared.dtype == torch.float32
    assert prepared.shape == values.shape
    assert prepared[0].item() == 0
    assert prepared[-1].item() == 1
    torch.testing.assert_close(prepared.flatten(), torch.arange(largest + 1) / largest, rtol=0, atol=6e-8)


def test_standardising_by_hand() -> None:
    # Values 0, 10, 20, 30: mean 15, population variance (225 + 25 + 25 + 225) / 4 = 125.
    image = torch.tensor([0, 10, 20, 30], dtype=torch.uint8).view(1, 1, 2, 2)
    expected = [value / math.sqrt(125) for value in (-15, -5, 5, 15)]
    assert small("standardise-per-image").prepare(image).flatten().tolist() == pytest.approx(expected, rel=1e-6)


def test_standardising_a_flat_image_gives_zeros() -> None:
    image = torch.full((1, 3, 4, 4), 77, dtype=torch.uint8)
    assert not small("standardise-per-image").prepare(image).any()


def test_standardising_bounds_the_deviation_from_below() -> None:
    # One pixel of 900 is 1: deviation sqrt(899) / 900 = 0.03331, below the floor of 1 / sqrt(900) = 1 / 30.
    image = torch.zeros(1, 1, 30, 30, dtype=torch.uint8)
    image[0, 0, 0, 0] = 1
    prepared = small("standardise-per-image").prepare(image)
    assert prepared.max().item() == pytest.approx(30 * (1 - 1 / 900), rel=1e-6)


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6))))
def test_standardising_against_numpy(images: np.ndarray) -> None:
    wide = images.astype(np.float64)
    axes = (1, 2, 3)
    floor = 1 / math.sqrt(wide[0].size)
    deviation = np.maximum(wide.std(axis=axes, keepdims=True), floor)
    expected = (wide - wide.mean(axis=axes, keepdims=True)) / deviation
    prepared = small("standardise-per-image").prepare(torch.from_numpy(images))
    assert prepared.dtype == torch.float32
    np.testing.assert_allclose(prepared.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_preparing_leaves_the_stored_inputs_alone() -> None:
    for scaling in ("divide:255", "standardise-per-image"):
        dataset = small(scaling)
        before = dataset.train_inputs.clone()
        dataset.prepare(dataset.train_inputs)
        assert torch.equal(dataset.train_inputs, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_inputs": torch.zeros(6, 2, 3, 5)}, "train_inputs has dtype torch.float32, it must be torch.uint8"),
        ({"test_inputs": [[1]]}, "test_inputs is list, it must be a torch.Tensor"),
        ({"train_labels": torch.zeros(6)}, "train_labels has dtype torch.float32, it must be torch.int64"),
        (
            {"train_inputs": torch.zeros(6, 30, dtype=torch.uint8)},
            r"has shape \[6, 30\], it must be \[samples, channels",
        ),
        (
            {"test_inputs": torch.zeros(0, 2, 3, 5, dtype=torch.uint8)},
            r"test_inputs has shape \[0, 2, 3, 5\]: it is empty",
        ),
        ({"test_labels": torch.zeros(3, dtype=torch.int64)}, r"test_labels has shape \[3\], it must be \[4\]"),
        ({"test_labels": torch.tensor([0, 1, 2, 4])}, r"test_labels are in 0\.\.4, they must be in 0\.\.3"),
        ({"train_labels": torch.full((6,), -1)}, r"train_labels are in -1\.\.-1, they must be in 0\.\.3"),
        ({"test_inputs": torch.zeros(4, 2, 3, 3, dtype=torch.uint8)}, r"differ in shape: \[2, 3, 5\] and \[2, 3, 3\]"),
        ({"scaling": "none"}, "scaling is 'none'; valid: divide:16, divide:255, standardise-per-image"),
        ({"classes": 0}, "classes is 0, not a count"),
        ({"classes": 2.5}, "classes is 2.5, not a count"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=f"data set 'small': .*{message}"):
        replace(small(), **change)


def test_the_cache_returns_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "made" / "on" / "demand" / "small.safetensors"
    dataset = small("standardise-per-image")
    tensors.save(dataset, path, source="somewhere")
    loaded = tensors.load(path)
    assert (loaded.name, loaded.classes, loaded.scaling) == ("small", 4, "standardise-per-image")
    for name in DataSet.TENSORS:
        assert torch.equal(getattr(loaded, name), getattr(dataset, name))
    assert tensors.source_of(path) == "somewhere"
    assert [file.name for file in path.parent.iterdir()] == ["small.safetensors"]


def test_the_digest_sees_every_part() -> None:
    dataset = small()
    changes = [
        {"name": "other"},
        {"classes": 5},
        {"scaling": "divide:16"},
        *({name: torch.flip(getattr(dataset, name), (0,))} for name in DataSet.TENSORS),
    ]
    digests = {dataset.content_digest(), *(replace(dataset, **change).content_digest() for change in changes)}
    assert len(digests) == 8


def test_the_digest_of_images_is_what_it_always_was() -> None:
    """As computed by the code of the committed records, which hold such digests."""
    assert small().content_digest() == "45e9693989e9b0427b6a7db33cec21fa29748e98f061da2bcd663d6f7a1f5480"


def text(train: bytes = b"a rose is a rose", test: bytes = b"a nose") -> TextSet:
    return TextSet("words", torch.tensor(list(train)).byte(), torch.tensor(list(test)).byte())


def test_a_text_knows_its_shape_and_device() -> None:
    assert (text().input_shape, text().classes, text().device) == ((512,), 256, torch.device("cpu"))


def test_the_digest_of_a_text_by_hand() -> None:
    """Format and name, then each tensor's name, type and shape before its bytes."""
    content = b'["rigl-bench text 1", "words"]'
    content += b'["train_text", "torch.uint8", [16]]a rose is a rose["test_text", "torch.uint8", [6]]a nose'
    assert text().content_digest() == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_text": "a rose"}, "train_text is str, it must be a torch.Tensor"),
        ({"train_text": torch.zeros(5)}, "train_text has dtype torch.float32, it must be torch.uint8"),
        ({"test_text": torch.zeros(5, 1).byte()}, r"test_text has shape \[5, 1\], it must be \[characters\]"),
        ({"test_text": torch.zeros(1).byte()}, r"test_text has shape \[1\]: there is nothing to predict"),
    ],
)
def test_what_is_wrong_with_a_text_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=f"data set 'words': {message}"):
        replace(text(), **change)


def test_the_cache_returns_the_text_that_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "words.safetensors"
    tensors.save(text(), path, source="somewhere")
    loaded = tensors.load(path)
    assert isinstance(loaded, TextSet)
    assert bytes(loaded.train_text.numpy()) == b"a rose is a rose"
    assert bytes(loaded.test_text.numpy()) == b"a nose"
    assert (loaded.name, tensors.source_of(path)) == ("words", "somewhere")
    assert tensors.digest_of(path) == loaded.content_digest()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"words.safetensors cannot be used: its content does not match its digest"):
        tensors.load(path)


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_one_flipped_bit_is_refused(tmp_path_factory: pytest.TempPathFactory, position: int, bit: int) -> None:
    path = tmp_path_factory.mktemp("cache") / "small.safetensors"
    tensors.save(small(), path)
    content = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    content[header + position % (len(content) - header)] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(DataError) as refusal:
        tensors.load(path)
    assert str(path) in str(refusal.value)
    assert "Delete it and run again" in str(refusal.value)
    assert len(str(refusal.value).splitlines()) <= 2


@given(kept=st.floats(0, 0.999))
def test_a_truncated_file_is_refused(tmp_path_factory: pytest.TempPathFactory, kept: float) -> None:
    path = tmp_path_factory.mktemp("cache") / "small.safetensors"
    tensors.save(small(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    for read in (tensors.load, tensors.source_of):
        with pytest.raises(DataError, match=r"cannot be used: .*\nDelete it and run again"):
            read(path)


@pytest.mark.parametrize(("old", "new"), [('"classes":"4"', '"classes":"2"'), ("divide:255", "divide:256")])
def test_an_altered_header_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "small.safetensors"
    tensors.save(small(), path)
    content = path.read_bytes()
    assert content.count(old.encode()) == 1
    path.write_bytes(content.replace(old.encode(), new.encode()))
    with pytest.raises(DataError, match=r"small.safetensors cannot be used"):
        tensors.load(path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(tensors.to_bytes({"weight": torch.zeros(3)}))
    with pytest.raises(DataError, match=r"other.safetensors cannot be used: it is of another format"):
        tensors.load(path)


def test_a_missing_cache(tmp_path: Path) -> None:
    assert tensors.source_of(tmp_path / "none.safetensors") is None
    with pytest.raises(DataError, match=r"there is no data set cache .*none.safetensors: prepare the data set first"):
        tensors.load(tmp_path / "none.safetensors")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write the data set cache .*small.safetensors .*: "):
        tensors.save(small(), tmp_path / "file" / "small.safetensors")


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    """The system refuses files above a limit, which is how a full disk looks from here."""
    path = tmp_path / "small.safetensors"
    tensors.save(small(), path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(DataError, match=r"cannot write the data set cache .*: File too large"):
            tensors.save(small(train=1000), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["small.safetensors"]

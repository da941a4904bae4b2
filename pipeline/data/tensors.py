"""A data set as tensors in memory, or as an index of files too large for that, and its cache file.

Torch, numpy and safetensors only: the training process reads the cache on machines where nothing else is installed.
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from pipeline.run import Protocol

RGB_MEAN, RGB_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, where white is 1; the values that everybody takes, the authors' script included."""
Scaling = Literal["divide:16", "divide:255", "standardise-per-image"]


class DataError(Exception):
    """Data that is missing, damaged or not of the required form; the message says what to do."""


class Stored:
    """What image sets and texts share: tensors on one device, and everything that a cache file needs to know of them."""

    FORMAT: ClassVar[str]
    """Of the cache file."""
    FACTS: ClassVar[Mapping[str, Callable[[str], Any]]]
    """The fields that are no tensors, in the digest's order, and what reads each from its text in the cache file."""
    TENSORS: ClassVar[tuple[str, ...]]
    """The other fields, likewise; the first one's device is the data set's."""
    PLACES: ClassVar[tuple[str, ...]] = ()
    """Those of both that say where the content is, and so are no part of its digest."""
    name: str

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return getattr(self, self.TENSORS[0]).device

    def to(self, device: torch.device | str) -> Self:
        """The same data set with its tensors on ``device``."""
        return dataclasses.replace(self, **{name: getattr(self, name).to(device) for name in self.TENSORS})

    def content_digest(self) -> str:
        """SHA-256 of everything that the data set holds, its name included."""
        facts = [getattr(self, fact) for fact in self.FACTS if fact not in self.PLACES]
        digest = hashlib.sha256(json.dumps([self.FORMAT, *facts]).encode())
        for name in self.TENSORS:
            if name in self.PLACES:
                continue
            tensor = getattr(self, name).cpu().contiguous()
            digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
            digest.update(tensor.numpy())
        return digest.hexdigest()

    def _require(self, holds: bool, problem: str) -> None:
        if not holds:
            raise DataError(f"data set {self.name!r}: {problem}")

    def _require_tensor(self, name: str, dtype: torch.dtype) -> None:
        tensor = getattr(self, name)
        self._require(isinstance(tensor, Tensor), f"{name} is {type(tensor).__name__}, it must be a torch.Tensor")
        self._require(tensor.dtype == dtype, f"{name} has dtype {tensor.dtype}, it must be {dtype}")


@dataclass(frozen=True, eq=False)
class DataSet(Stored):
    """Images and labels of a classification task, train and test.

    Raises DataError when built from tensors of another type or shape, or labels outside [0, classes).
    """

    FORMAT = "rigl-bench data set 1"
    FACTS = {"name": str, "classes": int, "scaling": str}
    TENSORS = ("train_inputs", "train_labels", "test_inputs", "test_labels")

    name: str
    """What runs call it."""
    classes: int
    """Number of classes."""
    train_inputs: Tensor
    """uint8 [N, C, H, W]."""
    train_labels: Tensor
    """int64 [N]."""
    test_inputs: Tensor
    """uint8 [M, C, H, W]."""
    test_labels: Tensor
    """int64 [M]."""
    scaling: Scaling
    """How inputs become float32: divided by a constant, or each image to mean 0 and variance 1."""

    def __post_init__(self) -> None:
        self._require(isinstance(self.classes, int) and self.classes >= 1, f"classes is {self.classes!r}, not a count")
        valid = ", ".join(get_args(Scaling))
        self._require(self.scaling in get_args(Scaling), f"scaling is {self.scaling!r}; valid: {valid}")
        for split in ("train", "test"):
            self._check_split(split)
        shapes = f"{list(self.train_inputs.shape[1:])} and {list(self.test_inputs.shape[1:])}"
        same = self.train_inputs.shape[1:] == self.test_inputs.shape[1:]
        self._require(same, f"train and test samples differ in shape: {shapes}")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, [C, H, W]."""
        return tuple(self.train_inputs.shape[1:])

    def prepare(self, inputs: Tensor) -> Tensor:
        """Network inputs, float32 [B, C, H, W], of stored ones, uint8 [B, C, H, W], on their device."""
        return standardise(inputs) if self.factor is None else inputs.float().mul_(self.factor)

    @property
    def factor(self) -> float | None:
        """What inputs are multiplied by, where that is all; None where each image is standardised."""
        if self.scaling == "standardise-per-image":
            return None
        # A third faster than dividing, and within 6e-8 of it; the largest value still becomes exactly 1.
        return 1 / int(self.scaling.removeprefix("divide:"))

    def _check_split(self, split: str) -> None:
        self._require_tensor(f"{split}_inputs", torch.uint8)
        self._require_tensor(f"{split}_labels", torch.int64)
        inputs, labels = getattr(self, f"{split}_inputs"), getattr(self, f"{split}_labels")
        shape = list(inputs.shape)
        self._require(inputs.dim() == 4, f"{split}_inputs has shape {shape}, it must be [samples, channels, H, W]")
        self._require(inputs.numel() > 0, f"{split}_inputs has shape {shape}: it is empty")
        expected = f"it must be [{len(inputs)}], one label a sample"
        self._require(labels.shape == inputs.shape[:1], f"{split}_labels has shape {list(labels.shape)}, {expected}")
        low, high = int(labels.min()), int(labels.max())
        inside = low >= 0 and high < self.classes
        self._require(inside, f"{split}_labels are in {low}..{high}, they must be in 0..{self.classes - 1}")


@dataclass(frozen=True, eq=False)
class TextSet(Stored):
    """A text to learn to continue, character by character; a character is a byte.

    Raises DataError when built from something else than two vectors of bytes, or from fewer than two characters.
    """

    FORMAT = "rigl-bench text 1"
    FACTS = {"name": str}
    TENSORS = ("train_text", "test_text")
    classes: ClassVar[int] = 256
    """Values of a character."""

    name: str
    """What runs call it."""
    train_text: Tensor
    """uint8 [N]."""
    test_text: Tensor
    """uint8 [M]; what runs are judged on, which need not be the split that its publisher calls "test"."""

    def __post_init__(self) -> None:
        for name in self.TENSORS:
            self._require_tensor(name, torch.uint8)
            shape = list(getattr(self, name).shape)
            self._require(len(shape) == 1, f"{name} has shape {shape}, it must be [characters]")
            self._require(shape[0] > 1, f"{name} has shape {shape}: there is nothing to predict")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, [characters], at a protocol's default length; ``Run.sample_shape`` knows a run's own."""
        return (Protocol.sequence_length,)


@dataclass(frozen=True)
class Shard:
    """One of the files that a large data set is published in."""

    name: str
    """What its publisher calls it."""
    rows: int
    """Photographs in it."""
    file: str
    """Where their bytes are: the shard itself, or what a compressed one was unpacked into."""
    size_bytes: int
    """Of that file."""


@dataclass(frozen=True, eq=False)
class ImageShards(Stored):
    """Photographs of a classification task that stay encoded in files: an index of where each one's bytes are.

    Samples are counted through: those that are trained on come first, in the order of shards and rows, then those that are
    judged. The index is on the CPU whatever the device, and some 32 bytes a photograph.

    Raises DataError when built from vectors of different lengths, or labels outside [0, classes).
    """

    FORMAT = "rigl-bench image shards 1"
    FACTS = {"name": str, "classes": int, "size": int, "train_samples": int, "shard_list": str}
    TENSORS = ("labels", "checks", "lengths", "offsets")
    PLACES = ("shard_list", "offsets")

    name: str
    """What runs call it."""
    classes: int
    """Number of classes."""
    size: int
    """Pixels on each side of what networks are given."""
    train_samples: int
    """How many are trained on."""
    shard_list: str
    """The shards in the order of their samples: JSON, a list of ``Shard``'s fields."""
    labels: Tensor
    """int64 [N]."""
    checks: Tensor
    """int64 [N]; of each photograph's encoded bytes, see ``pipeline.data.photographs.check``."""
    lengths: Tensor
    """int64 [N], in bytes."""
    offsets: Tensor
    """int64 [N], in bytes, into the file of the photograph's shard."""
    target: torch.device | str = "cpu"
    """Where batches are made."""

    def __post_init__(self) -> None:
        rows = sum(shard.rows for shard in self.shards)
        for name in self.TENSORS:
            self._require_tensor(name, torch.int64)
            shape = list(getattr(self, name).shape)
            self._require(shape == [rows], f"{name} has shape {shape}, its shards have {rows} rows")
        self._require(0 < self.train_samples < rows, f"{self.train_samples} of {rows} samples are trained on")
        low, high = int(self.labels.min()), int(self.labels.max())
        inside = low >= 0 and high < self.classes
        self._require(inside, f"labels are in {low}..{high}, they must be in 0..{self.classes - 1}")

    @property
    def device(self) -> torch.device:
        """Where batches are made."""
        return torch.device(self.target)

    def to(self, device: torch.device | str) -> Self:
        """The same data set with its batches on ``device``."""
        return dataclasses.replace(self, target=device)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, [C, H, W]."""
        return 3, self.size, self.size

    @property
    def test_samples(self) -> int:
        """How many are judged."""
        return len(self.labels) - self.train_samples

    @functools.cached_property
    def shards(self) -> tuple[Shard, ...]:
        """The files, in the order of their samples."""
        return tuple(Shard(*fields) for fields in json.loads(self.shard_list))

    @functools.cached_property
    def _ends(self) -> list[int]:
        return list(itertools.accumulate(shard.rows for shard in self.shards))

    def shard_of(self, sample: int) -> tuple[Shard, int]:
        """The shard that a sample is in, and its row there."""
        number = bisect.bisect_right(self._ends, sample)
        return self.shards[number], sample - self._ends[number] + self.shards[number].rows

    def require_files(self) -> None:
        """Raises DataError naming the first file that is missing or not of the size that was indexed."""
        for shard in self.shards:
            try:
                found = Path(shard.file).stat().st_size
            except OSError as error:
                raise DataError(
                    f"{self.name}: {shard.file}, with the photographs of {shard.name}, cannot be read: {error.strerror}."
                    f"\nPut it back, or delete the index {self.name}.safetensors and prepare the data set anew."
                ) from error
            self._require(
                found == shard.size_bytes,
                f"{shard.file} has {found} bytes, {shard.size_bytes} when it was indexed.\nFetch it again.",
            )

    def prepare(self, pixels: Tensor) -> Tensor:
        """Network inputs, float32 [B, 3, H, W] with channels innermost in memory, of pixels, uint8 [B, H, W, 3]."""
        mean, deviation = (torch.tensor(values, device=pixels.device) * 255 for values in (RGB_MEAN, RGB_DEVIATION))
        return pixels.float().sub_(mean).div_(deviation).permute(0, 3, 1, 2)


def standardise(images: Tensor) -> Tensor:
    """Each image less its mean, over max(its standard deviation, 1 / sqrt(its size)).

    TensorFlow's ``per_image_standardization``, which the authors' CIFAR script uses: population deviation, over all
    channels together. uint8 [B, C, H, W] in, float32 out. Both sums are whole numbers below 2**53, so they are exact,
    and the statistics the same on every device, for any order of summation.
    """
    values = images.flatten(1).double()
    size = values.shape[1]
    total, squares = values.sum(1), torch.linalg.vecdot(values, values)
    mean = total / size
    deviation = torch.sqrt((size * squares - total * total).clamp_(min=0)) / size
    deviation.clamp_(min=size**-0.5)
    per_image = (-1, 1, 1, 1)
    return images.float().sub_(mean.float().view(per_image)).div_(deviation.float().view(per_image))


AnySet = DataSet | TextSet | ImageShards
KINDS = {kind.FORMAT: kind for kind in (DataSet, TextSet, ImageShards)}


def save(dataset: AnySet, path: Path, source: str = "") -> None:
    """Write the cache file, whole or not at all: to a neighbour, synced, then renamed over ``path``.

    Args:
        dataset: what to keep.
        path: of the file; missing folders are made.
        source: fingerprint of what the data set was made from, see ``source_of``.

    Raises:
        DataError: when the file cannot be written; nothing half-written stays behind.
    """
    metadata = {
        "format": dataset.FORMAT,
        **{fact: str(getattr(dataset, fact)) for fact in dataset.FACTS},
        "source": source,
        "digest": dataset.content_digest(),
    }
    # Copies, because safetensors refuses views of one tensor, such as a test set cut from the training set.
    tensors = {
        name: getattr(dataset, name).cpu().clone(memory_format=torch.contiguous_format) for name in dataset.TENSORS
    }
    content = to_bytes(tensors, metadata)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        size = f"{len(content) / 1e6:.1f} MB"
        raise DataError(f"cannot write the data set cache {path} ({size}): {error.strerror or error}") from error


def load(path: Path) -> AnySet:
    """Read a cache file and verify its content digest. CPU tensors.

    Raises DataError for a file that is missing, truncated, altered or of another format.
    """
    metadata, tensors = _read(path, whole=True)
    kind = KINDS[metadata["format"]]
    try:
        dataset = kind(**{fact: read(metadata[fact]) for fact, read in kind.FACTS.items()}, **tensors)
    except (DataError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if dataset.content_digest() != metadata["digest"]:
        raise _damaged(path, "its content does not match its digest")
    return dataset


def source_of(path: Path) -> str | None:
    """The fingerprint that a cache file was saved with, from its header alone; None when there is no file.

    Raises DataError for a file that is truncated or of another format.
    """
    return _read(path, whole=False)[0]["source"] if path.exists() else None


def digest_of(path: Path) -> str | None:
    """The content digest that a cache file was saved with, from its header alone; None when there is no file.

    Raises DataError for a file that is truncated or of another format.
    """
    return _read(path, whole=False)[0]["digest"] if path.exists() else None


def _read(path: Path, whole: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header of a cache file and, of a whole one, its tensors."""
    if not path.is_file():
        raise DataError(f"there is no data set cache {path}: prepare the data set first")
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            kind = KINDS.get(metadata.get("format"))
            if kind is None:
                raise _damaged(path, "it is of another format")
            return metadata, {name: stream.get_tensor(name) for name in (kind.TENSORS if whole else ())}
    except (SafetensorError, OSError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"the data set cache {path} cannot be used: {reason}.\nDelete it and run again to make it anew.")

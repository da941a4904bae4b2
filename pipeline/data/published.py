"""The published data sets that the suite knows: where they are, what they must hold, and how their rows become tensors."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.data.tensors import DataSet, Scaling, TextSet
from pipeline.run import Protocol

Columns = Mapping[str, list[Any]]
"""Some rows of a parquet file, by column."""


@dataclass(frozen=True)
class Published:
    """A published image classification set, as parquet files of encoded images and labels."""

    repository: str | None
    """On the Hugging Face hub; None: it exists only as a local mirror."""
    image_column: str
    label_column: str
    shape: tuple[int, int, int]
    """Of one sample, [C, H, W]; one channel is greyscale, three are RGB."""
    rows: tuple[int, int]
    """Samples of train and test: a mirror with a file missing is refused."""
    classes: int
    scaling: Scaling

    content, folder = "images", ""
    splits = ("train", "test")

    @property
    def columns(self) -> tuple[str, ...]:
        """That a file must have."""
        return self.image_column, self.label_column

    def undecoded(self, rows: Any) -> Any:
        """The rows of ``datasets``, with images as they are in the file."""
        import datasets

        return rows.cast_column(self.image_column, datasets.Image(decode=False))

    def decode(self, columns: Columns, first_row: int) -> tuple[Tensor, Tensor]:
        """Images uint8 [B, C, H, W] and labels int64 [B]. Raises ValueError or TypeError, naming a damaged image's row."""
        images = np.stack(list(_decoded(columns[self.image_column], self.shape, first_row)))
        return torch.from_numpy(images), torch.tensor(columns[self.label_column], dtype=torch.int64)

    def dataset(self, name: str, train: tuple[Tensor, ...], test: tuple[Tensor, ...]) -> DataSet:
        """The data set of what ``decode`` gave, files joined."""
        return DataSet(name, self.classes, *train, *test, scaling=self.scaling)


@dataclass(frozen=True)
class PublishedText:
    """A published text, as parquet files of its lines, which are joined exactly as they are."""

    repository: str | None
    """On the Hugging Face hub; None: it exists only as a local mirror."""
    folder: str
    """Of the repository, which holds other texts too."""
    column: str
    rows: tuple[int, int]
    """Lines of both splits: a mirror with a file missing is refused."""

    content = "text"
    splits = ("train", "validation")
    """The second is what runs are judged on: the paper reports the language model's final validation loss (section 4.2)."""
    shape, classes = (Protocol.sequence_length,), TextSet.classes

    @property
    def columns(self) -> tuple[str, ...]:
        """That a file must have."""
        return (self.column,)

    def undecoded(self, rows: Any) -> Any:
        """The rows of ``datasets``, as they are."""
        return rows

    def decode(self, columns: Columns, first_row: int) -> tuple[Tensor]:
        """The lines' bytes, uint8 [N]. Raises ValueError naming the row of a line that is none."""
        lines = columns[self.column]
        for row, line in enumerate(lines, first_row):
            if not isinstance(line, str):
                raise ValueError(f"row {row} is {type(line).__name__}, not text")
        return (torch.from_numpy(np.frombuffer(bytearray("".join(lines).encode()), np.uint8)),)

    def dataset(self, name: str, train: tuple[Tensor, ...], test: tuple[Tensor, ...]) -> TextSet:
        """The text of what ``decode`` gave, files joined."""
        return TextSet(name, *train, *test)


@dataclass(frozen=True)
class PublishedShards:
    """A published set of photographs, as parquet files that they are read from while training goes on."""

    repository: str | None
    """On the Hugging Face hub; None: it exists only as a local mirror."""
    image_column: str
    label_column: str
    shape: tuple[int, int, int]
    """Of what a network is given, [3, size, size]."""
    splits: tuple[str, str]
    """Trained on, and judged; they may be the same."""
    rows: tuple[int, int]
    """Photographs of each: a mirror with a shard missing is refused."""
    classes: int

    content, folder = "images", ""

    @property
    def columns(self) -> tuple[str, str]:
        """That a file must have: of the image's {bytes, path} the first, and the label's."""
        return f"{self.image_column}.bytes", self.label_column


AnyPublished = Published | PublishedText | PublishedShards
IMAGENET = ("image", "label", (3, 224, 224))
PUBLISHED: dict[str, AnyPublished] = {
    "mnist": Published("ylecun/mnist", "image", "label", (1, 28, 28), (60_000, 10_000), 10, "divide:255"),
    "cifar10": Published("uoft-cs/cifar10", "img", "label", (3, 32, 32), (50_000, 10_000), 10, "standardise-per-image"),
    # CIFAR-10 re-encoded as JPEG: lossy, so a data set of its own.
    "cifar10-jpeg": Published(None, "img", "label", (3, 32, 32), (50_000, 10_000), 10, "standardise-per-image"),
    # The raw characters: the word-level version has "<unk>" for every rare word. Which one the paper used is not stated.
    "wikitext103": PublishedText("Salesforce/wikitext", "wikitext-103-raw-v1", "text", (1_801_350, 3_760)),
    # Cut from WikiText's validation and test splits, word-level: a data set of its own.
    "wikitext-mini": PublishedText(None, "", "text", (3_760, 2_227)),
    # Judged on the validation split, as everywhere: the test split's labels are not published.
    "imagenet": PublishedShards(
        "ILSVRC/imagenet-1k", *IMAGENET, splits=("train", "validation"), rows=(1_281_167, 50_000), classes=1000
    ),
    # A hundred photographs of ImageNet's validation split, to learn by heart: what is trained on is also judged.
    "imagenet-sample": PublishedShards(
        None, *IMAGENET, splits=("validation", "validation"), rows=(100, 100), classes=1000
    ),
}


def _decoded(encoded: list[dict[str, Any]], shape: tuple[int, int, int], first_row: int) -> Iterator[np.ndarray]:
    """Each image as uint8 [C, H, W]. Raises ValueError naming the row."""
    from PIL import Image

    mode = {1: "L", 3: "RGB"}[shape[0]]
    for row, value in enumerate(encoded, first_row):
        try:
            image = Image.open(io.BytesIO(value["bytes"]))
            pixels = np.asarray(image)
        except (OSError, SyntaxError, ValueError, TypeError, struct.error, zlib.error) as error:
            raise ValueError(f"the image in row {row} is damaged ({first_line(error)})") from error
        if image.mode != mode or pixels.shape[:2] != shape[1:]:
            found = f"{image.mode} of {image.height}x{image.width}"
            raise ValueError(f"the image in row {row} is {found}, not {mode} of {shape[1]}x{shape[2]}")
        yield pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)


def first_line(error: BaseException) -> str:
    """What an error says, without the lines that follow."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__

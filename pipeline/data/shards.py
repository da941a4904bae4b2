"""Makes the index of a data set that stays in its parquet files: where each photograph's bytes are, and what they are.

Parquet has no random access to a row, but photographs are mostly stored as they are, since they do not compress: such a
shard is read in place, at the offsets found here. A shard that was compressed all the same is unpacked once, into a file
beside the index. Needs pyarrow and Pillow; every byte is read once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import json
import mmap
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pipeline.data.photographs import check
from pipeline.data.published import PublishedShards, first_line
from pipeline.data.tensors import DataError, ImageShards, Shard

if TYPE_CHECKING:
    import pyarrow.parquet as pq

HEADER_BYTES = 1 << 20
"""More than what may stand between two values of an uncompressed column: the header of a page, with statistics."""
FOOTER_BYTES = 1 << 20
"""At the end of a file, of which its fingerprint is made."""


def fingerprint(file: Path) -> list[object]:
    """Name, size and digest of the end of a shard, where its table of contents is: cheap, and another for another shard."""
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - FOOTER_BYTES))
        return [file.name, size, check(stream.read())]


def absent(files: Sequence[Path]) -> list[str]:
    """Names of the shards that are missing among files named like ``train-00000-of-00294.parquet``."""
    numbered = [match for file in files if (match := re.fullmatch(r"(.*?-)(\d+)(-of-)(\d+)(.*)", file.name))]
    there = {file.name for file in files}
    expected = {
        f"{match[1]}{number:0{len(match[2])}d}{match[3]}{match[4]}{match[5]}"
        for match in numbered
        for number in range(int(match[4]))
    }
    return sorted(expected - there)


def index(name: str, published: PublishedShards, splits: Mapping[str, Sequence[Path]], unpacked: Path) -> ImageShards:
    """The data set of these shards, those of each split in order.

    Args:
        name: of the data set.
        published: what the shards must hold.
        splits: files of every one of ``published.splits``.
        unpacked: folder for what was compressed; made when it is needed.

    Raises:
        DataError: naming the shard, and its row where one is to blame; nothing is read before the numbers of rows are right.
    """
    for split, expected in zip(published.splits, published.rows, strict=True):
        files, found = splits[split], 0
        for file in files:
            with _opened(file, published) as parquet:
                found += parquet.metadata.num_rows
        if found != expected:
            lost = absent(files)
            which = f"missing: {', '.join(lost)}" if lost else f"found: {', '.join(file.name for file in files)}"
            raise DataError(f"{name}: {files[0].parent} holds {found} {split} rows, not {expected}; {which}")
    shards: list[Shard] = []
    columns: dict[str, list[int]] = {column: [] for column in ImageShards.TENSORS}
    # A split that is both trained on and judged is read once and listed twice.
    indexed = {file: _indexed(file, published, unpacked) for files in splits.values() for file in files}
    for split in published.splits:
        for file in splits[split]:
            shard, found = indexed[file]
            shards.append(shard)
            for column, values in found.items():
                columns[column] += values
    return ImageShards(
        name=name,
        classes=published.classes,
        size=published.shape[1],
        train_samples=published.rows[0],
        shard_list=json.dumps([dataclasses.astuple(shard) for shard in shards]),
        **{column: torch.tensor(values, dtype=torch.int64) for column, values in columns.items()},
    )


def _indexed(file: Path, published: PublishedShards, unpacked: Path) -> tuple[Shard, dict[str, list[int]]]:
    """A shard, and labels, checks, lengths and offsets of its rows."""
    with _naming(file), _opened(file, published) as parquet:
        labels, checks, lengths = [], [], []
        for encoded, label in _rows(parquet, published):
            _require_photograph(encoded, label, len(labels), published)
            labels.append(label)
            checks.append(check(encoded))
            lengths.append(len(encoded))
        place, offsets = file.resolve(), _offsets_in_place(file, parquet, published)
        if offsets is None:
            place = unpacked.resolve() / f"{file.stem}.images"
            _unpack(parquet, published, place)
            offsets = list(itertools.accumulate(lengths, initial=0))[:-1]
    shard = Shard(file.name, len(labels), str(place), place.stat().st_size)
    return shard, {"labels": labels, "checks": checks, "lengths": lengths, "offsets": offsets}


def _opened(file: Path, published: PublishedShards) -> pq.ParquetFile:
    """The shard, whose columns are the right ones."""
    import pyarrow.parquet as pq

    with _naming(file):
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
    there = [parquet.schema.column(number).path for number in range(parquet.metadata.num_columns)]
    for column in published.columns:
        if column not in there:
            found = ", ".join(there) or "none"
            parquet.close()
            raise DataError(f"{file} has no column {column!r}; it has {found}")
    return parquet


def _rows(parquet: pq.ParquetFile, published: PublishedShards) -> Iterator[tuple[bytes | None, int | None]]:
    """Encoded image and label of every row."""
    image, label = published.image_column, published.label_column
    for group in range(parquet.num_row_groups):
        table = parquet.read_row_group(group, columns=list(published.columns))
        for value, number in zip(table[image].to_pylist(), table[label].to_pylist(), strict=True):
            yield (value or {}).get("bytes"), number


def _require_photograph(encoded: bytes | None, label: int | None, row: int, published: PublishedShards) -> None:
    """Raises ValueError for a row without an image, one that begins like none, or a label out of range."""
    from PIL import Image

    if encoded is None:
        raise ValueError(f"row {row} has no image")
    if label is None or not 0 <= label < published.classes:
        raise ValueError(f"row {row} has the label {label}, it must be in 0..{published.classes - 1}")
    try:
        Image.open(io.BytesIO(encoded))
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"the image in row {row} is damaged ({first_line(error)})") from error


def _offsets_in_place(file: Path, parquet: pq.ParquetFile, published: PublishedShards) -> list[int] | None:
    """Where in the shard each image begins, or None if they are compressed.

    Values of an uncompressed column stand one after another, each behind its length in four bytes, between headers of pages.
    They are looked for where they must be, and found by being equal.
    """
    images, _ = published.columns
    offsets, rows = [], _rows(parquet, published)
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for number in range(parquet.num_row_groups):
            group = parquet.metadata.row_group(number)
            (column,) = (c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == images)
            if column.compression != "UNCOMPRESSED":
                return None
            position = column.data_page_offset
            for encoded, _ in itertools.islice(rows, group.num_rows):
                value = len(encoded).to_bytes(4, "little") + encoded
                found = content.find(value, position, position + HEADER_BYTES + len(value))
                if found < 0:
                    return None
                offsets.append(found + 4)
                position = found + len(value)
    return offsets


def _unpack(parquet: pq.ParquetFile, published: PublishedShards, place: Path) -> None:
    """Write the images one after another, whole or not at all."""
    draft = place.with_name(f".{place.name}.{os.getpid()}.draft")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as stream:
            for encoded, _ in _rows(parquet, published):
                stream.write(encoded)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(place)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise DataError(f"cannot unpack photographs into {place}: {error.strerror or error}") from error


@contextlib.contextmanager
def _naming(file: Path) -> Iterator[None]:
    """What is wrong with a shard becomes a DataError that names it."""
    try:
        yield
    except (OSError, ValueError) as error:  # pyarrow's own are among them
        raise DataError(
            f"{file} cannot be read as parquet files of images: {first_line(error)}.\nFetch the file again."
        ) from error

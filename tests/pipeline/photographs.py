"""A small published set of made-up photographs of several kinds, as parquet files, for the tests of what reads such sets."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.data.published import PublishedShards

SIZE = 16
ALBUM = PublishedShards("nobody/album", "image", "label", (3, SIZE, SIZE), ("train", "validation"), (13, 5), 7)
SPLITS = {
    "train-00000-of-00002": range(8),
    "train-00001-of-00002": range(8, 13),
    "validation-00000-of-00001": range(13, 18),
}


def photograph(number: int, mode: str = "RGB") -> bytes:
    """A JPEG file of smooth colours, different for every number, of different shapes."""
    draw = np.random.default_rng(number)
    width, height = int(draw.integers(30, 60)), int(draw.integers(30, 60))
    small = Image.fromarray(draw.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    image = small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    stream = io.BytesIO()
    image.save(stream, "jpeg", quality=95)
    return stream.getvalue()


def write_shard(
    file: Path, encoded: Sequence[bytes | None], labels: Sequence[int | None], compression: str = "none", rows: int = 3
) -> None:
    """Photographs in the schema of the hub, in row groups of so many rows."""
    file.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": content, "path": f"{row}.JPEG"} for row, content in enumerate(encoded)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, kind), "label": pa.array(labels, pa.int64())})
    pq.write_table(table, file, compression=compression, use_dictionary=["label"], row_group_size=rows)


def write_album(folder: Path, compression: str = "none") -> None:
    """All of ``ALBUM``; photograph n has label n modulo 7, the second is grey and the third in CMYK."""
    for name, numbers in SPLITS.items():
        encoded = [photograph(number, {1: "L", 2: "CMYK"}.get(number, "RGB")) for number in numbers]
        write_shard(folder / f"{name}.parquet", encoded, [number % 7 for number in numbers], compression)

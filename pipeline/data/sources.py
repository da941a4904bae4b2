"""Where data sets come from, and how each is made into a tensor cache, or an index of its files, once.

``digits`` is inside the installed scikit-learn; the published sets are parquet files, a local mirror's or the Hugging
Face hub's, read by ``datasets``; a name with ":" is the user's own factory. The libraries that read are imported only
when something is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.data import shards
from pipeline.data.published import PUBLISHED, AnyPublished, Published, PublishedShards, PublishedText, first_line
from pipeline.data.tensors import AnySet, DataError, DataSet, TextSet, save, source_of
from pipeline.factories import import_factory, is_dotted

DATA_ROOT_VARIABLE = "RIGL_BENCH_DATA_ROOT"
HUB_SECONDS = 10
"""Longest wait for the hub's first answer."""


def names() -> tuple[str, ...]:
    """The suite's own data sets."""
    return ("digits", *PUBLISHED)


def known_shape(name: str) -> tuple[tuple[int, ...], int] | None:
    """Shape of a sample ([C, H, W], or of a text [characters] at a protocol's default length) and number of classes,
    without reading anything; None for a user's own data set."""
    if name == "digits":
        return (1, 8, 8), 10
    return (PUBLISHED[name].shape, PUBLISHED[name].classes) if name in PUBLISHED else None


def cache_path(name: str, cache_folder: Path) -> Path:
    """The file that ``prepare`` makes: the name, with what is not fit for a file name replaced by dots."""
    return cache_folder / (re.sub(r"[^A-Za-z0-9._-]+", ".", name) + ".safetensors")


def prepare(name: str, cache_folder: Path, data_root: Path | None = None) -> Path:
    """Make the cache of data set ``name``, or keep the one that was made from the same source; its path.

    The cache holds the data set's tensors or, of one that is too large (``imagenet``), an index of its parquet files, which
    must stay where they are: the mirror's; or the hub's, fetched into a folder beside the cache, once, shard by shard.

    Args:
        name: one of ``names()``, or ``package.module:factory``, where ``factory()`` returns a ``DataSet``, a dictionary
            of its fields (``name`` may be left out) or a ``TextSet``.
        cache_folder: where the cache goes; missing folders are made, nothing is written elsewhere.
        data_root: folder with local mirrors, ``<data_root>/<name>/**/*train*.parquet`` and ``*test*.parquet``, of a
            text and of ImageNet ``*validation*.parquet``. A published set that has no folder there is fetched from the hub.

    Raises:
        ValueError: for a name that does not exist.
        DataError: for data that cannot be found, fetched, read or written, or that is not what it should be.
    """
    cache_folder = Path(cache_folder)
    path = cache_path(name, cache_folder)
    source = _find(name, data_root)
    fingerprint = source.fingerprint
    if source_of(path) != fingerprint:
        save(source.read(cache_folder), path, fingerprint)
    return path


class Source(Protocol):
    """What a cache is made from."""

    @property
    def fingerprint(self) -> str:
        """Changes when, and only when, the cache must be made anew."""

    def read(self, cache_folder: Path) -> AnySet:
        """The data set; scratch files go into ``cache_folder`` and are removed."""


def _find(name: str, data_root: Path | None) -> Source:
    if is_dotted(name):
        return InMemory(_from_factory(name))
    if name == "digits":
        return InMemory(_digits())
    if name not in PUBLISHED:
        raise ValueError(f"there is no data set {name!r}; valid: {', '.join(names())}, or package.module:factory")
    published = PUBLISHED[name]
    if data_root is not None and not Path(data_root).is_dir():
        raise DataError(f"{name}: the data root {data_root} is not a folder; see {DATA_ROOT_VARIABLE}")
    if data_root is not None and (Path(data_root) / name).is_dir():
        return _mirror(name, published, Path(data_root) / name)
    if published.repository is None:
        wanted = Path(data_root or "<data_root>") / name
        files = " and ".join(f"*{split}*.parquet" for split in dict.fromkeys(published.splits))
        raise DataError(
            f"{name} is read from a local mirror only: put its {files} into {wanted}/"
            f"\nand set {DATA_ROOT_VARIABLE} to the folder above it."
        )
    return (ShardHub if isinstance(published, PublishedShards) else Hub)(name, published, data_root)


def _mirror(name: str, published: AnyPublished, folder: Path) -> Mirror:
    return (ShardMirror if isinstance(published, PublishedShards) else Mirror)(name, published, folder)


@dataclass(frozen=True)
class InMemory:
    """A data set that is cheap to make: made every time, and its content is its fingerprint."""

    dataset: DataSet | TextSet

    @property
    def fingerprint(self) -> str:
        """Digest of the content."""
        return f"content:{self.dataset.content_digest()}"

    def read(self, cache_folder: Path) -> AnySet:
        """The data set itself."""
        return self.dataset


@dataclass(frozen=True)
class Mirror:
    """Parquet files below a local folder."""

    name: str
    published: AnyPublished
    folder: Path

    @property
    def fingerprint(self) -> str:
        """Digest of the names, sizes and contents of the files."""
        facts = []
        for split in self.published.splits:
            for file in self._files(split):
                facts.append([split, file.name, file.stat().st_size, _sha256(file)])
        return f"parquet:{hashlib.sha256(json.dumps(facts).encode()).hexdigest()}"

    def read(self, cache_folder: Path) -> AnySet:
        """Decode every row."""
        splits = []
        for split, expected in zip(self.published.splits, self.published.rows, strict=True):
            parts = [_read_parquet(file, self.published, cache_folder) for file in self._files(split)]
            found = sum(rows for rows, _ in parts)
            if found != expected:
                raise DataError(
                    f"{self.name}: {self.folder} holds {found} {split} rows, not {expected}: "
                    f"{', '.join(file.name for file in self._files(split))}"
                )
            splits.append(_joined([tensors for _, tensors in parts]))
        return self.published.dataset(self.name, *splits)

    def _files(self, split: str) -> list[Path]:
        # A download of the whole repository holds other data sets beside this one's folder.
        own = self.folder / self.published.folder
        files = sorted((own if own.is_dir() else self.folder).rglob(f"*{split}*.parquet"))
        if not files:
            raise DataError(f"{self.name}: there is no *{split}*.parquet in {self.folder}")
        return files


@dataclass(frozen=True)
class ShardMirror(Mirror):
    """Parquet files below a local folder that are not read into memory but indexed."""

    @property
    def fingerprint(self) -> str:
        """Digest of the names, sizes and tables of contents of the files: reading all of ImageNet takes minutes."""
        facts = [shards.fingerprint(file) for split in self.published.splits for file in self._files(split)]
        return f"shards:{hashlib.sha256(json.dumps(facts).encode()).hexdigest()}"

    def read(self, cache_folder: Path) -> AnySet:
        """The index; what is compressed is unpacked into ``cache_folder/<name>.unpacked``, and stays there."""
        files = {split: self._files(split) for split in self.published.splits}
        return shards.index(self.name, self.published, files, cache_folder / f"{self.name}.unpacked")


@dataclass(frozen=True)
class Hub:
    """Parquet files of a repository on the Hugging Face hub."""

    name: str
    published: AnyPublished
    data_root: Path | None
    revision: str = "main"

    @property
    def fingerprint(self) -> str:
        """Repository and revision; asks nobody."""
        return f"hub:{self.published.repository}@{self.revision}"

    def read(self, cache_folder: Path) -> AnySet:
        """Fetch the repository's parquet files into a scratch folder and read them as a mirror."""
        with _scratch(cache_folder) as scratch:
            self._fetch(scratch)
            return _mirror(self.name, self.published, scratch).read(cache_folder)

    def _fetch(self, folder: Path) -> dict[str, str]:
        """Fetch what is not in ``folder`` yet; the published SHA-256 of each file, by its path there."""
        import huggingface_hub

        repository, inside = self.published.repository, self.published.folder
        patterns = [str(PurePosixPath(inside, f"*{split}*.parquet")) for split in self.published.splits]
        try:
            # Asked first because snapshot_download itself waits for an answer without a limit.
            found = huggingface_hub.HfApi().dataset_info(
                repository, revision=self.revision, files_metadata=True, timeout=HUB_SECONDS
            )
            huggingface_hub.snapshot_download(
                repository,
                repo_type="dataset",
                revision=found.sha,
                allow_patterns=patterns,
                local_dir=folder,
                etag_timeout=HUB_SECONDS,
            )
            return {file.rfilename: file.lfs.sha256 for file in found.siblings or () if file.lfs is not None}
        except Exception as error:  # also its HTTP library's own exceptions, which are not the same in all versions
            root, only = self.data_root or "<data_root>", f" --include '{inside}/*'" if inside else ""
            raise DataError(
                f"{self.name} could not be fetched from Hugging Face's hub ({first_line(error)}). Fetch it elsewhere:"
                f"\nhf download {repository} --repo-type dataset{only} --local-dir {root}/{self.name}"
                f" and set {DATA_ROOT_VARIABLE}={root}"
            ) from error


@dataclass(frozen=True)
class ShardHub(Hub):
    """Shards of a repository on the hub, fetched once and kept. A fetch that was cut off goes on where it stopped."""

    def read(self, cache_folder: Path) -> AnySet:
        """Fetch into ``cache_folder/<name>.shards``, compare each file with the digest that the hub gives, and index."""
        folder = cache_folder / f"{self.name}.shards"
        for path, published in sorted(self._fetch(folder).items()):
            file = folder / path
            if file.is_file() and _sha256(file) != published:
                file.unlink()
                raise DataError(
                    f"{self.name}: {file} is not what the hub published, and is deleted.\nRun again to fetch it."
                )
        return ShardMirror(self.name, self.published, folder).read(cache_folder)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_parquet(
    file: Path, published: Published | PublishedText, cache_folder: Path
) -> tuple[int, tuple[Tensor, ...]]:
    """Number of rows of one file, and what they hold, in its order. Raises DataError naming the file."""
    import datasets

    broken = (datasets.exceptions.DatasetsError, OSError, ValueError, TypeError)
    with _scratch(cache_folder) as scratch:
        try:
            # Streaming reads the file itself; the default would first write a copy of it.
            rows = datasets.load_dataset(
                "parquet", data_files=[str(file)], split="train", streaming=True, cache_dir=str(scratch)
            )
            features = rows.features or {}
            for column in published.columns:
                if column not in features:
                    raise DataError(f"{file} has no column {column!r}; it has {', '.join(features) or 'none'}")
            parts, count = [], 0
            for batch in published.undecoded(rows).iter(batch_size=1000):
                parts.append(published.decode(batch, count))
                count += len(batch[published.columns[0]])
            return count, _joined(parts)
        except broken as error:
            raise DataError(
                f"{file} cannot be read as parquet files of {published.content}: {first_line(error)}."
                "\nFetch the file again."
            ) from error


def _joined(parts: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Each tensor of the parts, one after another. Raises ValueError where there are no parts."""
    if not parts:
        raise ValueError("it has no rows")
    return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))


def _digits() -> DataSet:
    """scikit-learn's 1,797 images of 8x8, values 0..16. Test: every fourth, those whose index is 3 modulo 4."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    inputs = torch.from_numpy(bunch.images.astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    test = torch.arange(len(labels)) % 4 == 3
    return DataSet("digits", 10, inputs[~test], labels[~test], inputs[test], labels[test], "divide:16")


def _from_factory(name: str) -> DataSet | TextSet:
    made = import_factory(name)()
    if isinstance(made, DataSet | TextSet):
        return made
    if not isinstance(made, dict):
        kind = type(made).__name__
        raise DataError(f"data set {name!r}: the factory returned {kind}, not a DataSet, a dictionary or a TextSet")
    given = {"name": name, **made}
    valid = [field.name for field in fields(DataSet)]
    wrong = [f"unknown {key!r}" for key in given if key not in valid] + [
        f"missing {key!r}" for key in valid if key not in given
    ]
    if wrong:
        raise DataError(f"data set {name!r}: {', '.join(wrong)}; the fields are {', '.join(valid)}")
    return DataSet(**given)


@contextlib.contextmanager
def _scratch(cache_folder: Path) -> Iterator[Path]:
    """A folder inside ``cache_folder`` that is gone afterwards."""
    try:
        cache_folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".scratch-", dir=cache_folder)
    except OSError as error:
        raise DataError(f"cannot write into the data cache folder {cache_folder}: {error.strerror}") from error
    with scratch as path:
        yield Path(path)

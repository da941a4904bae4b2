"""Training batches of photographs as a pure function of their number, and what is judged of the others.

Each sample is read by its place in a shard, decoded and augmented on its own, by this process or by workers that run ahead
of it; which of them, and how many there are, changes no bit. Needs torch, numpy and Pillow.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable, Iterator
from random import Random
from typing import BinaryIO, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pipeline.data.order import SampleOrder
from pipeline.data.photographs import check, view
from pipeline.data.tensors import DataError, ImageShards
from pipeline.seeds import derive_seed

Augmentation = Literal["none", "resized-crop-flip"]
CHUNK = 32
"""Samples that a worker decodes at a time."""
CHUNKS_AHEAD = 4
"""Chunks that each worker may be ahead: with 8 workers and 224 x 224 pixels, 150 MB of shared memory."""
EVALUATION_SAMPLES = 256
"""Photographs that are judged at a time."""
Place = tuple[int, int | None]
"""A sample and its position in the stream of training, which its augmentation is drawn for; None: the central square."""


class ImageBatches:
    """The endless stream of training batches: ``batches[i]`` is batch ``i``, in any order of asking.

    Batch ``i`` is the places [i * batch_size, (i + 1) * batch_size) of a ``SampleOrder``, so a batch may cross from one
    epoch into the next and none is short. The augmentation of each place has its own generator, from the digest of
    (augment_seed, place): neither the batch size, nor the part that is asked for, nor who decodes it matters.

    When the parts of one batch were asked for in the same order as those of the batch before, workers decode the parts
    that would come next, at most ``CHUNKS_AHEAD`` chunks each; anything else that is asked for is decoded at once, and the
    workers end. They also end with this object, and within seconds of a process that was killed.

    Args:
        dataset: batches are on its device, channels innermost.
        batch_size: samples in a batch; may exceed the training set.
        order_seed: of the permutations.
        augment_seed: of windows and mirroring.
        augmentation: "none", the central square, or "resized-crop-flip"; see ``pipeline.data.photographs``.
        decoders: processes that decode ahead; None: ``usual_decoders``.

    Raises:
        ValueError: for a batch size below 1 or another augmentation.
        DataError: for a shard that is missing or of another size than when it was indexed.
    """

    def __init__(
        self,
        dataset: ImageShards,
        batch_size: int,
        order_seed: int,
        augment_seed: int,
        augmentation: Augmentation = "none",
        decoders: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size!r}, it must be at least 1")
        if augmentation not in ("none", "resized-crop-flip"):
            valid = "valid for photographs: none, resized-crop-flip"
            raise ValueError(f"{dataset.name!r} cannot be augmented by {augmentation!r}; {valid}")
        dataset.require_files()
        self.dataset, self.batch_size, self.augmentation = dataset, batch_size, augmentation
        self.order_seed, self.augment_seed = order_seed, augment_seed
        self.decoders = usual_decoders(dataset.device) if decoders is None else decoders
        self._order = SampleOrder(dataset.train_samples, order_seed)
        self._views = Views(dataset, augment_seed)
        self._ahead: _Ahead | None = None
        self._number, self._parts = -1, list[tuple[int, int]]()

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Batch ``number``: inputs float32 [batch_size, 3, size, size], normalised, and labels int64 [batch_size].

        Raises IndexError for a negative number, DataError naming shard and row of a photograph that cannot be read.
        """
        return self.part(number, 0, self.batch_size)

    def part(self, number: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Samples [start, stop) of batch ``number``, as they are in the whole batch."""
        if number < 0:
            raise IndexError(f"batch {number}: batches are counted from 0 and have no end")
        first = number * self.batch_size
        samples = self._order.between(first + start, first + stop)
        labels = self.dataset.labels[samples].to(self.dataset.device)
        return self.dataset.prepare(self._pixels(number, start, stop)), labels

    def stored(self, number: int) -> tuple[Tensor, Tensor, Tensor, float]:
        """Batch ``number`` for what takes stored samples: the batch itself, its labels, all its rows, and no factor."""
        return *self[number], torch.arange(self.batch_size), 1.0

    def epoch(self, number: int) -> float:
        """Passes over the training set that precede batch ``number``."""
        return number * self.batch_size / self.dataset.train_samples

    def continues(self, number: int) -> bool:
        """Whether batch ``number`` goes on where the one before it ended; photographs stand alone."""
        return False

    def _pixels(self, number: int, start: int, stop: int) -> Tensor:
        """uint8 [stop - start, size, size, 3], on the device."""
        augmented = self.augmentation != "none"
        follows = number == self._number + 1 and self._ahead is None and self.decoders > 0
        if follows and self._parts:
            order = SampleOrder(self._order.samples, self.order_seed)
            parts = _parts_from(number, self._parts)
            self._ahead = _Ahead(self._views, parts, order, self.batch_size, augmented, self.decoders)
        if number != self._number:
            self._number, self._parts = number, []
        self._parts.append((start, stop))
        if self._ahead is not None and self._ahead.next_part != (number, start, stop):
            self._ahead = None
        if self._ahead is not None:
            chunks = self._ahead.take()
        else:
            first = number * self.batch_size
            chunks = decoded(self._views, _chunks(self._order, first + start, first + stop, augmented), 0)
        return torch.cat([chunk.to(self.dataset.device, non_blocking=True) for chunk in chunks])


def evaluation_photographs(
    dataset: ImageShards, share: tuple[int, int] = (0, 1), size: int = EVALUATION_SAMPLES, decoders: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Central squares of this share (index, of) of the test set, in order, at most ``size`` at a time: float32
    [B, 3, size, size] and int64 [B]. The shares are contiguous and hold every sample once."""
    dataset.require_files()
    index, of = share
    first, samples = dataset.train_samples, dataset.test_samples
    ours = range(first + samples * index // of, first + samples * (index + 1) // of)
    batches = [ours[start : start + size] for start in range(0, len(ours), size)]
    requests = ([(sample, None) for sample in chunk] for batch in batches for chunk in _cut(batch))
    workers = usual_decoders(dataset.device) if decoders is None else decoders
    chunks = decoded(Views(dataset), requests, workers)
    for batch in batches:
        pixels = [chunk.to(dataset.device, non_blocking=True) for chunk in itertools.islice(chunks, len(_cut(batch)))]
        yield dataset.prepare(torch.cat(pixels)), dataset.labels[batch.start : batch.stop].to(dataset.device)


def usual_decoders(device: torch.device) -> int:
    """On a GPU, a process for each thread that this one may use but the first, which feeds the GPU; else none, because the
    network then takes far longer than decoding and has all threads itself."""
    return torch.get_num_threads() - 1 if device.type == "cuda" else 0


class Views:
    """Chunks of photographs by their places; in the form that torch's DataLoader asks for."""

    def __init__(self, dataset: ImageShards, augment_seed: int = 0) -> None:
        self.dataset, self.augment_seed = dataset.to("cpu"), augment_seed

    def __getitem__(self, chunk: list[Place]) -> Tensor | DataError:
        """uint8 [B, size, size, 3]. What is wrong is returned: DataLoader would wrap the message into a trace."""
        try:
            return torch.from_numpy(np.stack([self._view(*place) for place in chunk]))
        except DataError as error:
            return error

    def _view(self, sample: int, position: int | None) -> np.ndarray:
        encoded = self._encoded(sample)
        draw = None if position is None else Random(derive_seed(self.augment_seed, position))
        try:
            return view(encoded, self.dataset.size, draw)
        except (OSError, SyntaxError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise DataError(f"{self._named(sample)} is damaged ({reason}).\nFetch the file again.") from error

    def _encoded(self, sample: int) -> bytes:
        """The file's bytes, as they were when it was indexed."""
        dataset = self.dataset
        file = dataset.shard_of(sample)[0].file
        try:
            encoded = os.pread(_opened(file).fileno(), int(dataset.lengths[sample]), int(dataset.offsets[sample]))
        except OSError as error:
            raise DataError(f"{self._named(sample)} cannot be read: {file}: {error.strerror}") from error
        if check(encoded) != int(dataset.checks[sample]):
            changed = f"has changed since {file} was indexed"
            raise DataError(f"{self._named(sample)} {changed}.\nFetch the file again and prepare the data set anew.")
        return encoded

    def _named(self, sample: int) -> str:
        shard, row = self.dataset.shard_of(sample)
        return f"{self.dataset.name}: the image in row {row} of {shard.name}"


def decoded(views: Views, chunks: Iterable[list[Place]], decoders: int) -> Iterator[Tensor]:
    """The chunks' pixels, uint8 [B, size, size, 3] each, in their order; by ``decoders`` processes, 0: by this one.

    Raises DataError naming shard and row.
    """
    if decoders > 0:
        loader = DataLoader(
            views,
            batch_size=None,
            sampler=chunks,
            num_workers=decoders,
            prefetch_factor=CHUNKS_AHEAD,
            pin_memory=torch.cuda.is_available(),
            # Its own, because DataLoader draws a seed for its workers, which the training's random state must not give.
            generator=torch.Generator(),
        )
        found = iter(loader)
    else:
        found = map(views.__getitem__, chunks)
    for pixels in found:
        if isinstance(pixels, DataError):
            raise pixels
        yield pixels


class _Ahead:
    """Parts that workers decode before they are asked for. Refers to no batches, so that it ends when those are dropped."""

    def __init__(
        self,
        views: Views,
        parts: Iterator[tuple[int, int, int]],
        order: SampleOrder,
        batch_size: int,
        augmented: bool,
        decoders: int,
    ) -> None:
        self._coming, decoding = itertools.tee(parts)
        chunks = (
            chunk
            for number, start, stop in decoding
            for chunk in _chunks(order, number * batch_size + start, number * batch_size + stop, augmented)
        )
        self._pixels = decoded(views, chunks, decoders)
        self.next_part = next(self._coming)

    def take(self) -> Iterator[Tensor]:
        """The chunks of the next part."""
        _, start, stop = self.next_part
        self.next_part = next(self._coming)
        return itertools.islice(self._pixels, len(_cut(range(start, stop))))


def _parts_from(number: int, parts: list[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """The same parts of batch ``number`` and of all that follow."""
    parts = list(parts)
    return ((later, start, stop) for later in itertools.count(number) for start, stop in parts)


def _chunks(order: SampleOrder, first: int, stop: int, augmented: bool) -> Iterator[list[Place]]:
    """The places [first, stop) of the stream, at most ``CHUNK`` at a time."""
    for positions in _cut(range(first, stop)):
        samples = order.between(positions.start, positions.stop).tolist()
        yield list(zip(samples, positions if augmented else itertools.repeat(None), strict=False))


def _cut(places: range) -> list[range]:
    """Chunks of consecutive places; a part is decoded in chunks of its own."""
    return [places[start : start + CHUNK] for start in range(0, len(places), CHUNK)]


@functools.lru_cache(maxsize=512)
def _opened(file: str) -> BinaryIO:
    """The file, kept open: shards are few, and a place in one is read without moving the position that processes share."""
    return open(file, "rb")

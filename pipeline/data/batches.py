"""Training batches as a pure function of their number, and batches of the test set.

Torch only. Because batch ``i`` depends on ``i`` and the seeds alone, resuming a run takes an integer; of a text, also the
state in which the network was left by batch ``i - 1``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from pipeline.data.images import ImageBatches, evaluation_photographs
from pipeline.data.order import SampleOrder, generator
from pipeline.data.tensors import AnySet, DataSet, ImageShards, TextSet
from pipeline.run import Protocol
from pipeline.seeds import Seeds

Augmentation = Literal["none", "crop-flip"]
MARGIN = 4
"""Pixels of mirror padding on each side before the crop."""
EVALUATION_SAMPLES = 1000
"""Images that are judged at a time."""
EVALUATION_STREAMS, EVALUATION_LENGTH = 32, 512
"""Streams that a text is judged in, side by side, and their characters at a time."""
Share = tuple[int, int]
"""Index of a process, from 0, and how many there are: each has its own part of the work."""
WHOLE: Share = (0, 1)
NOT_JUDGED = -100
"""A label that torch's cross-entropy leaves out, and that no prediction equals."""


def training_batches(dataset: AnySet, protocol: Protocol, seeds: Seeds) -> AnyBatches:
    """The batches of any kind of data set that a run's protocol and seeds ask for. Raises ValueError."""
    if isinstance(dataset, TextSet):
        if protocol.augmentation != "none":
            raise ValueError(f"{dataset.name!r} is a text: augmentation is {protocol.augmentation!r}, it must be none")
        return TextBatches(dataset, protocol.batch_size, protocol.sequence_length)
    if isinstance(dataset, ImageShards):
        return ImageBatches(dataset, protocol.batch_size, seeds.order, seeds.augmentation, protocol.augmentation)
    return Batches(dataset, protocol.batch_size, seeds.order, seeds.augmentation, protocol.augmentation)


def evaluation_batches(dataset: AnySet, share: Share = WHOLE) -> Iterator[tuple[Tensor, Tensor]]:
    """What runs are judged on, or this share of it, in order: see :func:`evaluation_images`, :func:`evaluation_text` and
    :func:`evaluation_photographs`."""
    if isinstance(dataset, ImageShards):
        return evaluation_photographs(dataset, share)
    return evaluation_text(dataset, share) if isinstance(dataset, TextSet) else evaluation_images(dataset, share)


class Batches:
    """The endless stream of training batches: ``batches[i]`` is batch ``i``, in any order of asking.

    The stream is one random permutation of the training set after another, and batch ``i`` is its samples
    [i * batch_size, (i + 1) * batch_size), so a batch may cross from one epoch into the next and none is short.

    Args:
        dataset: on the device where the batches shall be.
        batch_size: samples in a batch; may exceed the training set.
        order_seed: of the permutations; epoch ``e`` has its own generator, from the digest of (order_seed, e).
        augment_seed: of crops and flips; batch ``i`` has its own generator, from the digest of (augment_seed, i).
        augmentation: "none", or "crop-flip", which mirror-pads by 4, crops to the size of the image and flips half of
            the images horizontally.

    Random numbers are drawn on the CPU, so that every device gets the same ones.
    """

    def __init__(
        self,
        dataset: DataSet,
        batch_size: int,
        order_seed: int,
        augment_seed: int,
        augmentation: Augmentation = "none",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size!r}, it must be at least 1")
        if augmentation not in ("none", "crop-flip"):
            raise ValueError(f"there is no augmentation {augmentation!r}; valid: none, crop-flip")
        if augmentation == "crop-flip" and min(dataset.input_shape[1:]) < MARGIN:
            size = f"{dataset.input_shape[1]}x{dataset.input_shape[2]}"
            raise ValueError(f"crop-flip mirrors {MARGIN} pixels; the images of {dataset.name!r} are only {size}")
        self.dataset, self.batch_size, self.augmentation = dataset, batch_size, augmentation
        self.order_seed, self.augment_seed = order_seed, augment_seed
        self._order = SampleOrder(len(dataset.train_inputs), order_seed, dataset.device)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Batch ``index``: inputs float32 [batch_size, C, H, W] and labels int64 [batch_size].

        Raises IndexError for a negative index.
        """
        return self.part(index, 0, self.batch_size)

    def part(self, index: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Samples [start, stop) of batch ``index``, as they are in the whole batch."""
        chosen = self._chosen(_counted(index), start, stop)
        inputs = self.dataset.prepare(self.dataset.train_inputs.index_select(0, chosen))
        # Augmentation follows scaling, as in the authors' CIFAR script: an image is standardised whole, then cropped.
        if self.augmentation == "crop-flip":
            inputs = self._crop_flip(inputs, index, start, stop)
        return inputs, self.dataset.train_labels.index_select(0, chosen)

    def stored(self, index: int) -> tuple[Tensor, Tensor, Tensor, float]:
        """Batch ``index`` for what converts bytes itself: samples, their labels, the rows of both that are the batch, and the
        factor that makes inputs of samples. Where more is done to them than that, the batch itself stands for the samples."""
        if self.augmentation == "none" and self.dataset.factor is not None:
            return (
                self.dataset.train_inputs,
                self.dataset.train_labels,
                self._chosen(index, 0, self.batch_size),
                self.dataset.factor,
            )
        return *self[index], torch.arange(self.batch_size), 1.0

    def epoch(self, index: int) -> float:
        """Passes over the training set that precede batch ``index``."""
        return index * self.batch_size / self._order.samples

    def continues(self, index: int) -> bool:
        """Whether batch ``index`` goes on where the one before it ended; images stand alone."""
        return False

    def _chosen(self, index: int, start: int, stop: int) -> Tensor:
        """Positions in the training set of samples [start, stop) of batch ``index``, int64."""
        return self._order.between(index * self.batch_size + start, index * self.batch_size + stop)

    def _crop_flip(self, images: Tensor, index: int, start: int, stop: int) -> Tensor:
        draw = generator(self.augment_seed, index)
        # Drawn for the whole batch, of which each part takes its own.
        corners = torch.randint(0, 2 * MARGIN + 1, (2, self.batch_size), generator=draw)
        flips = torch.randint(0, 2, (1, self.batch_size), generator=draw)
        top, left, flip = torch.cat([corners, flips])[:, start:stop].to(images.device)
        return crop_flip(images, top, left, flip)


def crop_flip(images: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
    """Mirror-padded crops at (top, left), mirrored left to right where ``flip`` is 1.

    The padding repeats the border pixel (numpy's "symmetric"), as the authors' ``pad_input`` does; (4, 4) is the image
    itself. Images [B, C, H, W] of any dtype, the other three int64 [B], corners in [0, 8].
    """
    batch, channels, height, width = images.shape
    rows = _mirrored(torch.arange(height, device=images.device) + top[:, None] - MARGIN, height)
    columns = torch.arange(width, device=images.device)
    columns = torch.where(flip[:, None] == 1, columns.flip(0), columns)
    columns = _mirrored(columns + left[:, None] - MARGIN, width)
    # One gather over pixels, the same for every channel, is faster than indexing by four tensors.
    pixels = (rows[:, :, None] * width + columns[:, None, :]).view(batch, 1, height * width)
    flat = images.reshape(batch, channels, height * width)
    return flat.gather(2, pixels.expand(-1, channels, -1)).view(images.shape)


class TextBatches:
    """The endless stream of training batches of a text: ``batches[i]`` is batch ``i``, in any order of asking.

    The text is cut into ``batch_size`` streams of equal length, side by side; batch ``i`` of a pass holds characters
    [i * sequence_length, (i + 1) * sequence_length) of each, and its labels are the characters that follow them. What is
    left at the end of a stream, fewer than ``sequence_length`` characters, is not used. No seed enters: the order is the
    text's own.
    """

    def __init__(self, dataset: TextSet, batch_size: int, sequence_length: int) -> None:
        predictions = len(dataset.train_text) - 1
        self.dataset, self.batch_size, self.sequence_length = dataset, batch_size, sequence_length
        self._stream_length = predictions // batch_size
        self._batches_per_pass = self._stream_length // sequence_length
        if self._batches_per_pass == 0:
            raise ValueError(
                f"{dataset.name!r} has {predictions + 1} characters, too few for {batch_size} streams (batch_size) of "
                f"{sequence_length} (sequence_length) and the one that follows"
            )

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Batch ``index``: characters and those that follow them, both int64 [batch_size, sequence_length].

        Raises IndexError for a negative index.
        """
        return self.part(index, 0, self.batch_size)

    def part(self, index: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Streams [start, stop) of batch ``index``."""
        first = _counted(index) % self._batches_per_pass * self.sequence_length
        window = range(first, first + self.sequence_length)
        return _window(self.dataset.train_text, range(start, stop), self._stream_length, window)

    def epoch(self, index: int) -> float:
        """Passes over the training text that precede batch ``index``."""
        return index / self._batches_per_pass

    def continues(self, index: int) -> bool:
        """Whether batch ``index`` goes on where the one before it ended; the first of a pass does not."""
        return index % self._batches_per_pass > 0


def evaluation_images(
    dataset: DataSet, share: Share = WHOLE, size: int = EVALUATION_SAMPLES
) -> Iterator[tuple[Tensor, Tensor]]:
    """This share of the test set in order, at most ``size`` samples at a time: float32 [B, C, H, W] and int64 [B]."""
    index, of = share
    inputs, labels = dataset.test_inputs.tensor_split(of)[index], dataset.test_labels.tensor_split(of)[index]
    for some, truth in zip(inputs.split(size), labels.split(size), strict=True):
        yield dataset.prepare(some), truth


def evaluation_text(
    dataset: TextSet, share: Share = WHOLE, streams: int = EVALUATION_STREAMS, length: int = EVALUATION_LENGTH
) -> Iterator[tuple[Tensor, Tensor]]:
    """This share of the test text's streams, at most ``length`` characters of each at a time, each batch going on where the
    one before it ended: characters and those that follow them, int64 [streams of the share, up to length].

    All shares together predict every character but the text's first exactly once. Streams differ in length by what the
    division leaves; where one has ended its labels are ``NOT_JUDGED``.
    """
    stream_length = math.ceil((len(dataset.test_text) - 1) / streams)
    index, of = share
    ours = range(streams * index // of, streams * (index + 1) // of)
    for first in range(0, stream_length if ours else 0, length):
        window = range(first, min(first + length, stream_length))
        yield _window(dataset.test_text, ours, stream_length, window)


def _counted(index: int) -> int:
    if index < 0:
        raise IndexError(f"batch {index}: batches are counted from 0 and have no end")
    return index


def _window(text: Tensor, streams: range, stream_length: int, window: range) -> tuple[Tensor, Tensor]:
    """The part ``window`` of some streams of a text, and the characters that follow; beyond the text's end NOT_JUDGED."""
    starts = torch.arange(streams.start, streams.stop, device=text.device) * stream_length
    positions = starts[:, None] + torch.arange(window.start, window.stop, device=text.device)
    last = len(text) - 1
    inputs, labels = text[positions.clamp(max=last)].long(), text[(positions + 1).clamp(max=last)].long()
    return inputs, labels.masked_fill(positions >= last, NOT_JUDGED)


def _mirrored(positions: Tensor, size: int) -> Tensor:
    """Positions up to ``size`` outside of 0..size-1, reflected into it about the border."""
    inside = torch.where(positions < 0, -1 - positions, positions)
    return torch.where(inside >= size, 2 * size - 1 - inside, inside)


AnyBatches = Batches | TextBatches | ImageBatches

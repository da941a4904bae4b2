"""How many images a second the batches of training come at, on one thread."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from benchmarks.paired import Rounds, timed
from pipeline.data.batches import Batches
from pipeline.data.tensors import DataSet

SETS = {
    "mnist": ("MNIST's shape, batch 100", (60_000, 1, 28, 28), "divide:255", "none", 100, 5000),
    "cifar10": ("CIFAR-10's shape, batch 128", (50_000, 3, 32, 32), "standardise-per-image", "none", 128, 300),
    "cifar10-crop-flip": (
        "CIFAR-10's shape with crops and flips, batch 128",
        (50_000, 3, 32, 32),
        "standardise-per-image",
        "crop-flip",
        128,
        150,
    ),
}
"""Words, shape of the training set, scaling, augmentation, batch size, and the batches of half a second."""


@pytest.mark.parametrize("name", SETS)
def test_images_a_second(name: str, rounds: Callable[..., Rounds], record: Callable[..., None]) -> None:
    words, shape, scaling, augmentation, size, block = SETS[name]
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, shape[:1], generator=generator)
    dataset = DataSet(name, 10, images, labels, images[:10], labels[:10], scaling)
    batches = Batches(dataset, size, order_seed=0, augment_seed=0, augmentation=augmentation)
    numbers = iter(range(10**9))
    found = rounds({"batch": timed(lambda: batches[next(numbers)], block)}, wanted=7)
    speed = found.value("batch", lambda seconds: size / seconds)
    record(f"data-{name}", speed, words=f"images from memory: {words}", unit="images/s", better="higher")

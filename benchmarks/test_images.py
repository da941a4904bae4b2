"""How many photographs of ImageNet a second one core reads, decodes and augments for training."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.paired import Rounds, timed
from pipeline.data import sources, tensors
from pipeline.data.images import Views, decoded

ROOT = Path(os.environ.get(sources.DATA_ROOT_VARIABLE) or Path(__file__).resolve().parents[2] / "shared" / "data")


@pytest.mark.skipif(not (ROOT / "imagenet-sample").is_dir(), reason="it needs the local mirror of imagenet-sample")
def test_photographs_a_second(tmp_path: Path, rounds: Callable[..., Rounds], record: Callable[..., None]) -> None:
    sample = tensors.load(sources.prepare("imagenet-sample", tmp_path, ROOT))
    views = Views(sample, augment_seed=0)
    positions = itertools.count()

    def every_photograph() -> None:
        places = [(number, next(positions)) for number in range(sample.train_samples)]
        (_,) = decoded(views, [places], decoders=0)

    found = rounds({"photographs": timed(every_photograph, 1)}, wanted=7)
    speed = found.value("photographs", lambda seconds: sample.train_samples / seconds)
    record("decode-imagenet", speed, unit="images/s")

"""What a step costs by method, and what a topology update costs, in dense steps of the same process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline import train
from pipeline.data import sources
from pipeline.data.tensors import DataSet, load
from pipeline.plan import resolve
from pipeline.study import load_study
from sparse_methods.methods import METHODS

BLOCK = 100
"""Batches per timed block: RigL's interval, so that every block holds one update."""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    torch.set_num_threads(1)
    return load(sources.prepare("digits", tmp_path_factory.mktemp("digits")))


@pytest.fixture(scope="module")
def training(digits: DataSet) -> Callable[[str], train.Training]:
    """The quick study's run of a method at 90 %, or dense."""
    runs = {run.method: run for run in load_study("quick").runs if run.sparsity in (0.0, 0.9) and run.seed == 0}
    return lambda method: train.prepare(resolve(runs[method], digits.input_shape, digits.classes), digits)


def block_seconds(training: train.Training) -> float:
    started = time.perf_counter()
    for _ in range(BLOCK):
        train.take_batch(training)
    return (time.perf_counter() - started) / BLOCK


@pytest.mark.parametrize("method", sorted(METHODS))
def test_step(benchmark, method: str, training: Callable[[str], train.Training]) -> None:
    """Seconds of a block of batches; beside it the ratio to dense, taken pair by pair so that both meet the same noise."""
    ours, dense = training(method), training("dense")
    block_seconds(ours), block_seconds(dense)
    ratios = sorted(block_seconds(ours) / block_seconds(dense) for _ in range(9))
    benchmark.extra_info["median_ratio_to_dense"] = round(ratios[len(ratios) // 2], 3)
    benchmark.extra_info["spread_of_ratio"] = [round(ratios[1], 3), round(ratios[-2], 3)]
    benchmark.pedantic(block_seconds, args=(training(method),), rounds=5, warmup_rounds=1)


def test_checkpoint(benchmark, training: Callable[[str], train.Training], tmp_path: Path) -> None:
    """Seconds of one checkpoint of a run with momentum, fsync included."""
    run = training("rigl")
    block_seconds(run)
    benchmark.pedantic(train.save_checkpoint, args=(run, tmp_path), rounds=10)

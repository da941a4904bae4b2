"""What a batch of the pipeline costs by method, topology updates included, over a batch of its dense run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.paired import Rounds, timed
from pipeline import train
from pipeline.data import sources
from pipeline.data.tensors import DataSet, load
from pipeline.origin import Origin
from pipeline.plan import resolve
from pipeline.run import StartFrom
from pipeline.study import load_study
from sparse_methods.methods import METHODS

BLOCK = 200
"""Batches per timed block: two of RigL's intervals, so that every block holds as many updates."""
REQUESTS, UNASKED = ((0.9, "uniform"), (0.9, "erk"), (0.5, "uniform")), ((0.0, "uniform"),)
"""Sparsities and distributions that a method is asked for in turn; of one that ignores sparsity, none."""
FEW = {"wanted": 5, "least": 3}
"""Rounds of every method: there are many."""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return load(sources.prepare("digits", tmp_path_factory.mktemp("digits")))


@pytest.fixture(scope="module")
def training(digits: DataSet) -> Callable[[str], train.Training]:
    """A run of a method under the quick study's protocol: at 90 %, or what it can do nearest to that."""
    quick = next(run for run in load_study("quick").runs if run.method == "rigl")

    def begun(method: str) -> train.Training:
        starts, skips = METHODS[method].starts, []
        parent = (
            {"start_from": StartFrom(replace(quick, method="dense", sparsity=0.0), "mask")}
            if starts == "origin"
            else {}
        )
        for sparsity, distribution in REQUESTS if "sparsity" not in METHODS[method].ignores else UNASKED:
            asked = replace(quick, method=method, sparsity=sparsity, distribution=distribution, snapshots=(), **parent)
            spec = resolve(asked, digits.input_shape, digits.classes)
            if spec.skip is None:
                # Any weights will do for a run to start from.
                return train.prepare(spec, digits, Origin(final=spec.build().state_dict()) if parent else None)
            skips.append(spec.skip)
        return pytest.fail("; ".join(skips))

    return begun


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"dense"}))
def test_step(
    method: str,
    training: Callable[[str], train.Training],
    rounds: Callable[..., Rounds],
    record: Callable[..., None],
) -> None:
    runs = {name: training(name) for name in (method, "dense")}
    blocks = {name: timed(lambda run=run: train.take_batch(run), BLOCK) for name, run in runs.items()}
    found = rounds(blocks, **FEW)
    run = runs[method].run
    words = (
        f"{METHODS[method].label} ({run.sparsity:.0%}, {run.distribution}), a batch of the quick study over a dense one"
    )
    record(f"batch-{method}", found.ratio(method, "dense"), words=words)


def test_checkpoint(
    training: Callable[[str], train.Training],
    rounds: Callable[..., Rounds],
    record: Callable[..., None],
    tmp_path: Path,
) -> None:
    """Of a run with momentum, fsync included."""
    run = training("rigl")
    timed(lambda: train.take_batch(run), BLOCK)()
    found = rounds({"save": timed(lambda: train.save_checkpoint(run, tmp_path), 20)}, wanted=7)
    milliseconds = found.value("save", lambda seconds: 1000 * seconds)
    record("checkpoint", milliseconds, words="a checkpoint of a quick study's RigL run", unit="ms")

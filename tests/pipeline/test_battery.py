"""One battery over every method found, from its run to its record: what holds for one must hold for all."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file

from pipeline import outcome, train
from pipeline.data.tensors import load
from pipeline.plan import Spec
from pipeline.record import Record
from pipeline.worker import CHECKPOINTS, RECORD, Bench, run_all
from sparse_methods.methods import METHODS

every_method = pytest.mark.parametrize("method", sorted(METHODS))


def record_without_timing(bench: Bench, spec: Spec) -> dict[str, Any]:
    record = json.loads((bench.folder(spec.run) / RECORD).read_text())
    timing = record.pop("timing")
    assert timing["train_seconds"] > 0
    return record


def trained(spec: Spec, digits_cache: Path) -> train.Training:
    return train.prepare(spec, load(digits_cache))


def wait_for_checkpoint(folder: Path, batch: int, seconds: float = 30.0) -> None:
    """Until a whole checkpoint of at least ``batch`` batches is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        whole = [int(path.name) for path in folder.glob("[0-9]*")] if folder.exists() else []
        if whole and max(whole) >= batch:
            return
        time.sleep(0.001)
    raise AssertionError(f"no checkpoint of batch {batch} in {folder} after {seconds} s")


@every_method
def test_killed_and_resumed_equals_unbroken_bit_for_bit(
    method: str, make_bench: Callable[..., Bench], make_spec: Callable[..., Spec]
) -> None:
    """SIGKILL at three points, each time a fresh process goes on: record, curve, weights and masks are the same bits."""
    spec = make_spec(method)
    unbroken, broken = make_bench("unbroken"), make_bench("broken", checkpoint_seconds=0.0)
    assert run_all([spec], unbroken) == 0
    checkpoints = broken.folder(spec.run) / CHECKPOINTS
    for batch in (4, 17, 31):
        process = multiprocessing.get_context("fork").Process(target=run_all, args=([spec], broken))
        process.start()
        wait_for_checkpoint(checkpoints, batch)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert not (broken.folder(spec.run) / RECORD).exists()
    assert run_all([spec], broken) == 0
    resumed = json.loads((broken.folder(spec.run) / RECORD).read_text())
    assert resumed["timing"]["resumes"] == 3
    assert record_without_timing(broken, spec) == record_without_timing(unbroken, spec)
    ours, theirs = (bench.folder(spec.run) for bench in (broken, unbroken))
    assert pq.read_table(ours / outcome.CURVE).equals(pq.read_table(theirs / outcome.CURVE))
    for name in (outcome.WEIGHTS, outcome.MASKS):
        a, b = load_file(ours / name), load_file(theirs / name)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)
    assert not checkpoints.exists()


@every_method
def test_train_flops_total_is_the_sum_over_its_batches(
    method: str, make_spec: Callable[..., Spec], digits_cache: Path
) -> None:
    """Each batch counted anew from the masks as they are: 3 f_S, or 2 f_S + f_D where the dense gradient was used."""
    spec = make_spec(method)
    training = trained(spec, digits_cache)
    expected = {"macs": 0, "rigl": 0}
    batches = dense_gradients = 0
    while training.sparse.steps < spec.run.steps:
        masks = training.sparse.masks
        dense = training.sparse.needs_dense_gradient
        for convention, per_output in (("macs", 0), ("rigl", 1)):
            f_s = f_d = 0
            for name, weight in training.model.named_parameters():
                if weight.ndim == 2:
                    active = int(masks.get(name.removesuffix(".weight"), torch.ones_like(weight)).sum())
                    f_s += 2 * active + per_output * weight.shape[0]
                    f_d += 2 * weight.numel() + per_output * weight.shape[0]
            expected[convention] += spec.run.protocol.batch_size * (2 * f_s + (f_d if dense else f_s))
        train.take_batch(training)
        batches, dense_gradients = batches + 1, dense_gradients + dense
    assert training.ledger.total_flops == expected
    assert (training.ledger.batches, training.ledger.dense_gradient_batches) == (batches, dense_gradients)


@pytest.mark.parametrize(
    ("method", "first_batches", "updates", "dense_gradients"),
    [
        ("dense", 0, 0, 0),
        ("small_dense", 0, 0, 0),
        ("static", 0, 0, 0),
        ("snip", 1, 0, 0),  # all masks are ones then, so the batch is dense without a dense gradient of its own
        ("set", 0, 6, 0),  # after steps 1, 6, ..., 26
        ("snfs", 0, 6, 40),
        ("rigl", 0, 7, 7),  # in place of steps 0, 5, ..., 30
        ("pruning", 0, 6, 0),  # after steps 5, 10, ..., 30
    ],
)
def test_what_a_run_did(
    method: str,
    first_batches: int,
    updates: int,
    dense_gradients: int,
    make_spec: Callable[..., Spec],
    make_bench: Callable[..., Bench],
) -> None:
    """T steps use T + (updates that took a step's place) batches; counted by hand for 40 steps, interval 5, end 30."""
    bench, spec = make_bench(), make_spec(method)
    assert run_all([spec], bench) == 0
    record = TypeAdapter(Record).validate_json((bench.folder(spec.run) / RECORD).read_bytes())
    in_place = updates if method == "rigl" else 0
    assert record.work is not None
    assert dataclasses.asdict(record.work) == {
        "gradient_steps": 40,
        "topology_updates": updates,
        "dense_gradient_batches": dense_gradients,
        "batches": 40 + in_place + first_batches,
        "samples": 16 * (40 + in_place + first_batches),
    }


@pytest.mark.parametrize("convention", ["macs", "rigl"])
def test_one_off_and_update_costs_by_hand(
    convention: str, make_spec: Callable[..., Spec], make_bench: Callable[..., Bench]
) -> None:
    """Totals of static, SNIP, RigL and SNFS from f_S and f_D alone."""
    bench = make_bench()
    specs = {method: make_spec(method) for method in ("static", "snip", "rigl", "snfs", "dense")}
    assert run_all(list(specs.values()), bench) == 0
    totals = {}
    for method, spec in specs.items():
        record = json.loads((bench.folder(spec.run) / RECORD).read_text())
        totals[method] = record["flops"][convention]["train_flops_total"]
    outputs = 410 if convention == "rigl" else 0
    f_d = 2 * (64 * 300 + 300 * 100 + 100 * 10) + outputs
    f_s = 2 * (1920 + 3000 + 100) + outputs
    assert totals["dense"] == 16 * 40 * 3 * f_d
    assert totals["static"] == 16 * 40 * 3 * f_s
    assert totals["snip"] == 16 * (40 * 3 * f_s + 3 * f_d)
    assert totals["rigl"] == 16 * (40 * 3 * f_s + 7 * (2 * f_s + f_d))
    assert totals["snfs"] == 16 * 40 * (2 * f_s + f_d)


@every_method
def test_records_are_valid_and_their_counts_exact(
    method: str, make_spec: Callable[..., Spec], make_bench: Callable[..., Bench]
) -> None:
    """Counts in the record are those of the masks and of the weights on disk, and those that were asked for."""
    bench, spec = make_bench(), make_spec(method, distribution="erk")
    assert run_all([spec], bench) == 0
    folder = bench.folder(spec.run)
    record = TypeAdapter(Record).validate_json((folder / RECORD).read_bytes())
    assert record.status == "done"
    assert record.result is not None
    assert record.result.test_total == 449
    weights, masks = load_file(folder / outcome.WEIGHTS), load_file(folder / outcome.MASKS)
    planned = {row.layer: row for row in spec.layers()}
    for layer in record.layers:
        assert layer.masked == (layer.layer in masks)
        assert layer.nonzeros == planned[layer.layer].nonzeros
        if layer.masked:
            mask = masks[layer.layer]
            assert int(mask.sum()) == layer.nonzeros
            assert not weights[f"{layer.layer}.weight"][~mask].any()
    curve = pq.read_table(folder / outcome.CURVE).to_pydict()
    assert curve["step"] == [10, 20, 30, 40]
    assert curve["test_accuracy"][-1] == record.result.test_correct / record.result.test_total
    assert curve["train_flops"][-1] == record.flops["rigl"].train_flops_total


def test_every_method_starts_from_the_same_weights_and_order(
    make_spec: Callable[..., Spec], digits_cache: Path
) -> None:
    """Paired comparisons: same seed index, same initial weights (where active) and same batches, whatever the method."""
    dense = trained(make_spec("dense"), digits_cache)
    for method in METHODS:
        if method != "small_dense":
            other = trained(make_spec(method), digits_cache)
            for a, b in zip(dense.model.parameters(), other.model.parameters(), strict=True):
                active = b != 0
                assert torch.equal(a[active], b[active])
            assert torch.equal(dense.batches[3][0], other.batches[3][0])

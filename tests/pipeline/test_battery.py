"""One battery over every method found, from its run to its record: what holds for one must hold for all."""

from __future__ import annotations

import dataclasses
import json
import math
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
from pipeline.plan import Spec
from pipeline.record import Record
from pipeline.run import Run
from pipeline.worker import CHECKPOINTS, RECORD, Bench, run_all
from sparse_methods.method import Method
from sparse_methods.methods import METHODS

Lineage = Callable[[Spec], list[Spec]]
Prepare = Callable[[Spec], train.Training]

every_method = pytest.mark.parametrize("method", sorted(METHODS))


def record_without_timing(bench: Bench, spec: Spec) -> dict[str, Any]:
    record = json.loads((bench.folder(spec.run) / RECORD).read_text())
    timing = record.pop("timing")
    assert timing["train_seconds"] > 0
    return record


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
def test_what_is_ignored_is_a_field(method: str) -> None:
    assert set(METHODS[method].ignores) <= {field.name for field in dataclasses.fields(Run)} | {"topology"}


@every_method
def test_killed_and_resumed_equals_unbroken_bit_for_bit(
    method: str, make_bench: Callable[..., Bench], spec_of: Callable[..., Spec], with_parents: Lineage
) -> None:
    """SIGKILL at three points, each time a fresh process goes on: record, curve, weights and masks are the same bits."""
    spec = spec_of(method)
    unbroken, broken = make_bench("unbroken"), make_bench("broken", checkpoint_seconds=0.0)
    assert run_all(with_parents(spec), unbroken) == 0
    assert run_all(with_parents(spec)[:-1], broken) == 0
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


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("method", ["rigl", "snfs", "dnw", "topkast", "str"])
def test_convolutions_resume_bit_for_bit(
    method: str, optimizer: str, make_spec: Callable[..., Spec], prepared: Prepare, tmp_path: Path
) -> None:
    """Their weights lie with channels innermost, and fused steps read momentum by place in memory."""
    settings = {"name": optimizer, "momentum": 0.9} if optimizer == "sgd" else {"name": optimizer}
    options = {"method_options": {"decay": 0.05}} if method == "str" else {}
    spec = make_spec(method, model="convnet", protocol={"optimizer": settings}, **options)
    whole = train.train(prepared(spec), tmp_path / "whole")
    begun = prepared(spec)
    for _ in range(33):  # beyond the last update, which would zero what lies where no weight is
        train.take_batch(begun)
    train.save_checkpoint(begun, tmp_path / "begun")
    resumed = train.train(prepared(spec), tmp_path / "begun")
    assert resumed.clock.resumes == 1
    ours, theirs = resumed.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


@every_method
def test_train_flops_total_is_the_sum_over_its_batches(
    method: str, spec_of: Callable[..., Spec], prepared: Prepare
) -> None:
    """Each batch counted anew from the masks as they are: 2 f_S, and f of the weights whose gradient was used.

    That is f_S, f_D where the dense gradient was needed, and where a method says what is trainable the f of that.
    """
    spec = spec_of(method)
    training = prepared(spec)
    sparse, size = training.sparse, spec.run.protocol.batch_size
    selects = METHODS[method].trainable is not Method.trainable
    weights = {n.removesuffix(".weight"): w for n, w in training.model.named_parameters() if w.ndim == 2}
    dense = {layer: weight.numel() for layer, weight in weights.items()}
    expected = {"macs": 0, "rigl": 0}
    batches = dense_gradients = 0
    while sparse.steps < spec.run.steps:
        active = {**dense, **{layer: int(mask.sum()) for layer, mask in sparse.masks.items()}}
        used = active
        if sparse.needs_dense_gradient:
            used = dense
        elif selects:
            used = {**dense, **sparse.gradient_nonzeros}
            assert all(active[layer] <= used[layer] <= dense[layer] for layer in dense)
        for convention, per_output in (("macs", 0), ("rigl", 1)):
            outputs = per_output * sum(weight.shape[0] for weight in weights.values())
            f_s, f_used, f_d = (2 * sum(counts.values()) + outputs for counts in (active, used, dense))
            if sparse.awaits_first_batch:
                expected[convention] += sparse.method.first_mask_flops(f_d, size)
            else:
                expected[convention] += size * (2 * f_s + f_used)
        batches, dense_gradients = batches + 1, dense_gradients + sparse.needs_dense_gradient
        train.take_batch(training)
    assert training.ledger.total_flops == expected
    assert (training.ledger.batches, training.ledger.dense_gradient_batches) == (batches, dense_gradients)


@pytest.mark.parametrize(
    ("method", "first_batches", "updates", "dense_gradients"),
    [
        ("dense", 0, 0, 0),
        ("small_dense", 0, 0, 0),
        ("static", 0, 0, 0),
        ("ticket", 0, 0, 0),
        ("snip", 1, 0, 0),  # all masks are ones then, so the batch is dense without a dense gradient of its own
        ("grasp", 1, 0, 0),
        ("synflow", 1, 0, 0),  # one batch, whatever its rounds
        ("set", 0, 6, 0),  # after steps 1, 6, ..., 26
        ("dsr", 0, 6, 0),
        ("snfs", 0, 6, 40),
        ("snfs_redistributed", 0, 6, 40),
        ("set_itop", 0, 8, 0),  # after steps 1, 6, ..., 36: to the end of training
        ("rigl_itop", 0, 8, 8),
        ("rigl", 0, 7, 7),  # in place of steps 0, 5, ..., 30
        ("srigl", 0, 7, 7),
        ("pruning", 0, 6, 0),  # after steps 5, 10, ..., 30
        ("mest", 0, 6, 0),
        ("acdc", 0, 7, 0),  # after steps 1, 5, 10, ..., 30; in dense phases all weights are active, so none is inactive
        ("granet", 0, 8, 8),  # after steps 5, 10, ..., 40: it regenerates to the end of training
        ("deepr", 0, 40, 0),  # after every step
        ("dnw", 0, 40, 40),
        ("nm", 0, 40, 40),
        ("topkast", 0, 40, 0),  # the gradient of the backward set alone
        ("str", 0, 40, 0),
    ],
)
def test_what_a_run_did(
    method: str,
    first_batches: int,
    updates: int,
    dense_gradients: int,
    spec_of: Callable[..., Spec],
    make_bench: Callable[..., Bench],
    with_parents: Lineage,
) -> None:
    """T steps use T + (updates that took a step's place) batches; counted by hand for 40 steps, interval 5, end 30."""
    bench, spec = make_bench(), spec_of(method)
    assert run_all(with_parents(spec), bench) == 0
    record = TypeAdapter(Record).validate_json((bench.folder(spec.run) / RECORD).read_bytes())
    in_place = updates if METHODS[method].updates == "instead_of_step" else 0
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
    """Totals of static, SNIP, GraSP, SynFlow, RigL and SNFS from f_S and f_D alone.

    Every weight of this network is used once, so that f_S does not depend on which layer holds it. SNIP's first batch costs
    its own passes, 3 f_D a sample; GraSP's 3 f_D more for the gradient with its graph and 6 f_D back through that; SynFlow's
    one sample in each of 100 rounds, at 3 f_D.
    """
    bench = make_bench()
    specs = {m: make_spec(m) for m in ("static", "snip", "grasp", "synflow", "rigl", "snfs", "dense")}
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
    assert totals["grasp"] == 16 * (40 * 3 * f_s + 12 * f_d)
    assert totals["synflow"] == 16 * (40 * 3 * f_s + 3 * f_d) + 100 * 3 * f_d
    assert totals["rigl"] == 16 * (40 * 3 * f_s + 7 * (2 * f_s + f_d))
    assert totals["snfs"] == 16 * 40 * (2 * f_s + f_d)


@every_method
def test_records_are_valid_and_their_counts_exact(
    method: str, spec_of: Callable[..., Spec], make_bench: Callable[..., Bench], with_parents: Lineage
) -> None:
    """Counts in the record are those of the masks and of the weights on disk, and those that were asked for."""
    bench, spec = make_bench(), spec_of(method, distribution="erk")
    assert run_all(with_parents(spec), bench) == 0
    folder = bench.folder(spec.run)
    record = TypeAdapter(Record).validate_json((folder / RECORD).read_bytes())
    assert record.status == "done"
    assert record.result is not None
    assert record.result.test_total == 449
    weights, masks = load_file(folder / outcome.WEIGHTS), load_file(folder / outcome.MASKS)
    for layer in record.layers:
        assert layer.masked == (layer.layer in masks)
        if layer.masked:
            mask = masks[layer.layer]
            assert int(mask.sum()) == layer.nonzeros
            assert not weights[f"{layer.layer}.weight"][~mask].any()
    exempt = METHODS[method].exempt
    found, planned = ({row.layer: row.nonzeros for row in rows} for rows in (record.layers, spec.layers()))
    assert "layer counts" in exempt or found == planned
    assert "total count" in exempt or sum(found.values()) == sum(planned.values())
    curve = pq.read_table(folder / outcome.CURVE).to_pydict()
    assert curve["step"] == [10, 20, 30, 40]
    assert curve["test_accuracy"][-1] == record.result.test_correct / record.result.test_total
    assert curve["train_flops"][-1] == record.flops["rigl"].train_flops_total


@every_method
def test_records_tell_what_was_explored_and_held(
    method: str, spec_of: Callable[..., Spec], make_bench: Callable[..., Bench], with_parents: Lineage
) -> None:
    """R_s is what is active where masks never change, and more where they do; the peak adds up what each layer states."""
    bench, spec = make_bench(), spec_of(method, distribution="erk")
    assert run_all(with_parents(spec), bench) == 0
    record = TypeAdapter(Record).validate_json((bench.folder(spec.run) / RECORD).read_bytes())
    masked = [layer for layer in record.layers if layer.masked]
    weights, nonzeros = (sum(getattr(layer, key) for layer in masked) for key in ("weights", "nonzeros"))
    if not masked:
        assert record.explored is None
    elif METHODS[method].updates == "never":
        assert record.explored == nonzeros / weights
    else:
        assert nonzeros / weights < record.explored <= 1
    numbers = 2 * sum(layer.weights for layer in record.layers if not layer.masked)
    for layer in masked:
        requested = layer.weights - math.floor(layer.requested_sparsity * layer.weights)
        numbers += spec.method().peak_parameters(requested, layer.weights)
    assert record.peak_parameter_bytes == 4 * numbers


@every_method
def test_every_method_starts_from_the_same_weights_and_order(
    method: str, make_spec: Callable[..., Spec], spec_of: Callable[..., Spec], prepared: Prepare
) -> None:
    """Paired comparisons: same seed index, same initial weights (where active) and same batches, whatever the method.

    Weights behind a mask are all the same; a network of another width has its own.
    """
    dense, other = prepared(make_spec("dense")), prepared(spec_of(method))
    assert all(torch.equal(a, b) for a, b in zip(dense.batches[3], other.batches[3], strict=True))
    if METHODS[method].build is not Method.build:
        return
    behind = other.sparse.state_dict()["dense"]
    for (name, a), b in zip(dense.model.named_parameters(), other.model.parameters(), strict=True):
        layer = name.removesuffix(".weight")
        if layer in behind:
            assert torch.equal(a, behind[layer])
        else:
            assert torch.equal(b, a * other.sparse.masks.get(layer, torch.ones_like(a)))

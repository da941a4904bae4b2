"""``execution: sparse`` and ``auto`` in a study's run: records, files, resumption, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline import train
from pipeline.plan import Spec
from pipeline.provenance import source_digest
from pipeline.record import MASKS, RECORD, WEIGHTS
from pipeline.worker import Bench, run_all

pytest.importorskip("numba", reason="the sparse execution needs numba, an optional extra")

MakeBench, MakeSpec, Prepared = Callable[..., Bench], Callable[..., Spec], Callable[[Spec], train.Training]


def recorded(bench: Bench, spec: Spec) -> dict:
    assert run_all([spec], bench) == 0
    return json.loads((bench.folder(spec.run) / RECORD).read_text())


@pytest.mark.parametrize("method", ["rigl", "set"])
def test_the_same_record_and_files(make_bench: MakeBench, make_spec: MakeSpec, method: str) -> None:
    bench = make_bench()
    specs = {how: make_spec(method, protocol={"execution": how}) for how in ("masked", "sparse")}
    records = {how: recorded(bench, spec) for how, spec in specs.items()}
    assert {how: record["execution"] for how, record in records.items()} == {"masked": "masked", "sparse": "sparse"}
    same = ("status", "sparsity", "layers", "flops", "work", "explored", "size_bytes", "file_bytes")
    for name in same:
        assert records["sparse"][name] == records["masked"][name], name
    assert records["sparse"]["result"]["test_loss_nats"] == pytest.approx(
        records["masked"]["result"]["test_loss_nats"], rel=1e-3
    )
    folders = {how: bench.folder(spec.run) for how, spec in specs.items()}
    dense, sparse = (load_file(folders[how] / WEIGHTS) for how in ("masked", "sparse"))
    assert {name: value.shape for name, value in sparse.items()} == {name: value.shape for name, value in dense.items()}
    masks = load_file(folders["sparse"] / MASKS)
    assert all(not sparse[f"{layer}.weight"][~mask].any() for layer, mask in masks.items())
    assert {layer: int(mask.sum()) for layer, mask in masks.items()} == {
        row["layer"]: row["nonzeros"] for row in records["sparse"]["layers"]
    }


def test_runs_have_names_of_their_own_and_old_ones_keep_theirs(make_spec: MakeSpec) -> None:
    masked, sparse = make_spec(), make_spec(protocol={"execution": "sparse"})
    assert masked.run.digest != sparse.run.digest
    assert make_spec(protocol={"execution": "masked"}).run.digest == masked.run.digest
    assert source_digest(masked.run) != source_digest(sparse.run)


@pytest.mark.parametrize("method", ["rigl", "snfs", "deepr", "pruning"])
def test_resumed_is_bit_equal(prepared: Prepared, make_spec: MakeSpec, method: str, tmp_path: Path) -> None:
    spec = make_spec(method, protocol={"execution": "sparse"})
    whole = train.train(prepared(spec), tmp_path / "whole")
    begun = prepared(spec)
    for _ in range(17):
        train.take_batch(begun)
    train.save_checkpoint(begun, tmp_path / "begun")
    resumed = train.train(prepared(spec), tmp_path / "begun")
    assert resumed.clock.resumes == 1
    assert resumed.sparse.digest() == whole.sparse.digest()
    assert resumed.ledger.state_dict() == whole.ledger.state_dict()
    assert resumed.curve[-1] == whole.curve[-1]
    ours, theirs = resumed.sparse.dense_state(), whole.sparse.dense_state()
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_what_cannot_be_served_is_a_skip_that_names_the_layer(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    spec = make_spec("rigl", model="convnet", protocol={"execution": "sparse"})
    status = recorded(make_bench(), spec)["status"]
    assert status.startswith("skipped: execution 'sparse' cannot do this: layer 'conv2' is Conv2d")


def test_auto_takes_what_it_can_and_falls_back(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    bench = make_bench()
    static = recorded(bench, make_spec("static", 0.9, protocol={"execution": "auto"}))
    assert (static["status"], static["execution"]) == ("done", "sparse")
    for spec in (
        make_spec("rigl", 0.5, protocol={"execution": "auto"}),
        make_spec("pruning", 0.9, protocol={"execution": "auto"}),
        make_spec("dense", 0.0, protocol={"execution": "auto"}),
        make_spec("rigl", 0.9, model="convnet", protocol={"execution": "auto"}),
    ):
        record = recorded(bench, spec)
        assert (record["status"], record["execution"]) == ("done", "masked")

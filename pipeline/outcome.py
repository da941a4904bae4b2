"""From a finished training to its record and its files."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save as to_bytes

from pipeline import memory
from pipeline.cost import CONVENTIONS, RunCost
from pipeline.export import file_size
from pipeline.plan import Spec
from pipeline.provenance import provenance
from pipeline.record import CURVE, MASKS, WEIGHTS, LayerCount, Ledger, Record, Timing, Work, snapshot_name, write_bytes
from pipeline.train import Training


def trained(training: Training, device: torch.device, data_digest: str | None) -> Record:
    """The record of a run that was trained, to its end or until it diverged."""
    run, sparse, ledger = training.run, training.sparse, training.ledger
    requested = sparse.requested
    layers = tuple(
        LayerCount(**dataclasses.asdict(count), requested_sparsity=requested.get(count.layer, 0.0))
        for count in sparse.counts()
    )
    status = "diverged" if training.diverged else "done"
    record = not_trained(training.spec, status, device, data_digest, training.ranks.count)
    return dataclasses.replace(
        record,
        sparsity=sparse.sparsity,
        layers=layers,
        flops={convention: _ledger(training, convention) for convention in CONVENTIONS},
        size_bytes=training.spec.network.size_bytes(sparse.nonzeros),
        file_bytes=file_size(training.spec, training.spec.outline(), sparse.nonzeros).file_bytes,
        explored=sparse.explored,
        execution=sparse.execution,
        peak_parameter_bytes=training.spec.peak_parameter_bytes(),
        result=None if training.diverged else training.result,
        work=Work(
            gradient_steps=sparse.steps,
            topology_updates=sparse.updates,
            dense_gradient_batches=ledger.dense_gradient_batches,
            batches=ledger.batches,
            samples=ledger.batches * run.protocol.batch_size,
        ),
        timing=Timing(
            **vars(training.clock),
            peak_memory_bytes=memory.peak_bytes(device),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
    )


def not_trained(
    spec: Spec, status: str, device: torch.device, data_digest: str | None = None, processes: int = 1
) -> Record:
    """The record of a run that was skipped or failed: its configuration and the reason."""
    return Record(
        run=spec.run.path,
        status=status,
        config=dataclasses.asdict(spec.run),
        sparsity=None,
        layers=(),
        flops={},
        size_bytes=None,
        result=None,
        work=None,
        timing=None,
        provenance=provenance(spec.run, device, data_digest, processes),
    )


def write_files(training: Training, folder: Path) -> None:
    """Final weights, masks and the learning curve, each by rename."""
    columns = {
        name: [point[name] for point in training.curve] for name in (training.curve[0] if training.curve else ())
    }
    curve = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), curve)
    for name, content in ((WEIGHTS, _weights(training)), (MASKS, _masks(training)), (CURVE, curve.getvalue())):
        write_bytes(folder / name, content)


def write_snapshot(training: Training, folder: Path) -> None:
    """Weights and masks of the step that was just made, for runs that rewind to it and for studies of the path."""
    for name, content in ((WEIGHTS, _weights(training)), (MASKS, _masks(training))):
        write_bytes(folder / snapshot_name(training.sparse.steps, name), content)


def _weights(training: Training) -> bytes:
    return to_bytes(
        {name: tensor.detach().cpu().contiguous() for name, tensor in training.sparse.dense_state().items()}
    )


def _masks(training: Training) -> bytes:
    return to_bytes({name: mask.cpu().contiguous() for name, mask in training.sparse.masks.items()})


def _ledger(training: Training, convention: str) -> Ledger:
    run, sparse, spec = training.run, training.sparse, training.spec
    dense = spec.dense_inference_flops[convention]
    inference = spec.network.inference_flops(convention, sparse.nonzeros)
    cost = RunCost(spec.network, sparse.requested, dense, convention, sparse.method, sparse.schedule)
    train_x = cost.train_x()
    return Ledger(
        dense_inference_flops=dense,
        inference_flops=inference,
        inference_x=inference / dense,
        train_x=None if train_x is None else train_x * run.multiplier,
        train_flops_total=training.ledger.total_flops[convention],
        dense_train_flops=3 * dense * run.protocol.batch_size * run.protocol.steps,
    )

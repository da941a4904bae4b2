"""What one run leaves: a record, written once, last and by rename.

Standard library only (see ``pipeline.run``). ``analysis.records`` validates records, ``pipeline.schema_export`` exports
their JSON schema.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.run import PYDANTIC

RECORD, WEIGHTS, MASKS, CURVE = "record.json", "weights.safetensors", "masks.safetensors", "curve.parquet"
"""Files of a run's folder."""

SCHEMA_VERSION = 1
COMPARABILITY_VERSION = 1
"""Raised by hand when the results of an unchanged configuration would change; a test on golden trajectories asks for it."""


@dataclass(frozen=True)
class LayerCount:
    """One weight tensor at the end of the run."""

    __pydantic_config__ = PYDANTIC

    layer: str
    shape: tuple[int, ...]
    weights: int
    nonzeros: int
    sparsity: float
    """Achieved: 1 - nonzeros / weights."""
    requested_sparsity: float
    masked: bool


@dataclass(frozen=True)
class Ledger:
    """Cost of the run under one counting convention (design: FLOPs)."""

    __pydantic_config__ = PYDANTIC

    dense_inference_flops: int
    """Of one sample, all weights active."""
    inference_flops: int
    """Of one sample, at the final masks."""
    inference_x: float
    """inference_flops over dense_inference_flops."""
    train_x: float | None
    """Closed form of the method's training cost per sample over the dense one, times the multiplier; null: it has none."""
    train_flops_total: int
    """Sum over every batch that the run used."""
    dense_train_flops: int
    """3 dense_inference_flops for each sample of a dense run at multiplier 1."""


@dataclass(frozen=True)
class Result:
    """Quality at the last step; never the best step on test."""

    __pydantic_config__ = PYDANTIC

    test_correct: int
    test_total: int
    test_loss_nats: float
    train_loss_nats: float
    """Mean training loss since the previous point of the curve, label smoothing included."""
    bits_per_character: float | None = None


@dataclass(frozen=True)
class Work:
    """What the run did."""

    __pydantic_config__ = PYDANTIC

    gradient_steps: int
    topology_updates: int
    dense_gradient_batches: int
    """Batches whose gradient was needed for inactive weights too."""
    batches: int
    samples: int


@dataclass(frozen=True)
class Timing:
    """The part of a record that differs between two executions of the same run."""

    __pydantic_config__ = PYDANTIC

    train_seconds: float
    """Wall time inside the training loop, evaluation and checkpoints excluded."""
    evaluation_seconds: float
    checkpoint_seconds: float
    peak_memory_bytes: int | None
    """During this run: of the process (CPU) or of the device's allocator (CUDA); null where it cannot be measured."""
    resumes: int
    finished: str
    """UTC, ISO 8601."""


@dataclass(frozen=True)
class Provenance:
    """Where and from what the record was made."""

    __pydantic_config__ = PYDANTIC

    device: str
    hardware: str
    versions: dict[str, str]
    commit: str | None
    """Git commit of the suite, with -dirty when the tree differed; null outside a checkout."""
    source_digest: str
    """Of the tokens of the method's file and of the engine's modules, the runs that this one starts from included."""
    numerics: str
    """E.g. "float32, bit-reproducible"."""
    data_digest: str | None = None
    """SHA-256 of the data set's content; null where it was not read."""


@dataclass(frozen=True)
class Record:
    """One run's outcome; failures and skips are records too."""

    __pydantic_config__ = PYDANTIC

    run: str
    """Path of the run: readable name and digest."""
    status: str
    """done | diverged | skipped: reason | failed: reason."""
    config: dict[str, Any]
    """Every field of the run, defaults included."""
    sparsity: float | None
    """Achieved over all layers, unmasked ones included; null where no network was built."""
    layers: tuple[LayerCount, ...]
    flops: dict[str, Ledger]
    """By convention: macs, rigl."""
    size_bytes: int | None
    result: Result | None
    """Null unless the status is done."""
    work: Work | None
    timing: Timing | None
    provenance: Provenance
    explored: float | None = None
    """Share of the weights of masked layers that were ever active (R_s of ITOP); null where nothing is masked."""
    peak_parameter_bytes: int | None = None
    """What the method states for the worst moment of training: weight tensors, their gradients and per-weight state of the
    method, 32 bits each, without optimizer slots; null in records from before it was stated."""
    file_bytes: int | None = None
    """Of the file that `rigl-bench export` makes of the final network, header included; null in records from before it was
    counted."""
    execution: str | None = None
    """How sparsity was computed with: masked, dense tensors behind masks, or sparse, active weights alone; null in records
    from before there was a choice, which are masked."""
    schema_version: int = SCHEMA_VERSION
    comparability_version: int = COMPARABILITY_VERSION


def snapshot_name(step: int, file: str = WEIGHTS) -> str:
    """File of the weights, or of the masks, after ``step`` gradient steps."""
    return file.replace(".", f"-step{step}.")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: to a neighbour, synced, then renamed over ``path``. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    with open(draft, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, path)


def write_json(path: Path, content: Any) -> None:
    """Write JSON by :func:`write_bytes`. Raises ValueError for a NaN or an infinity: those are statuses, not numbers."""
    write_bytes(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())

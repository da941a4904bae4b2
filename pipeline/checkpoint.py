"""Checkpoints: safetensors and JSON in one folder, whole or not there at all.

A state is any nesting of dictionaries and lists of tensors and plain values. Tensors come back with their dimensions in the
order in memory that they had: fused optimizers read momentum by its place, beside weights with channels innermost. Saving
writes a draft folder, syncs it, renames it and only then removes the previous one, so that a kill at any moment leaves a whole
checkpoint. Loading runs no code from the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from pipeline.record import write_bytes

TENSORS, STATE = "tensors.safetensors", "state.json"


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message names it and the way out."""


def save(folder: Path, step: int, state: Any, config_digest: str) -> None:
    """Write ``folder/<step>`` and remove older checkpoints. Raises OSError where the disk refuses."""
    tensors: dict[str, torch.Tensor] = {}
    plain = _split(state, tensors)
    final, draft = folder / f"{step:010d}", folder / f".draft-{step:010d}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    # Not save_file, which tells a full disk apart from nothing else.
    write_bytes(draft / TENSORS, to_bytes(tensors))
    head = {
        "config_digest": config_digest,
        "tensors_sha256": _sha256(draft / TENSORS),
        "state_sha256": _digest(plain),
        "state": plain,
    }
    write_bytes(draft / STATE, json.dumps(head).encode())
    _sync(draft)
    if final.exists():
        shutil.rmtree(final)
    draft.rename(final)
    _sync(folder)
    for other in folder.iterdir():
        if other != final and other.is_dir():
            shutil.rmtree(other)


def load(folder: Path, config_digest: str) -> Any | None:
    """The newest checkpoint's state, tensors on the CPU; None where there is none.

    Raises CheckpointError for one that is corrupt, truncated or of another configuration.
    """
    whole = sorted(path for path in folder.glob("[0-9]*") if path.is_dir())
    if not whole:
        return None
    newest = whole[-1]
    try:
        head = json.loads((newest / STATE).read_text())
        digest, expected, plain = head["config_digest"], head["tensors_sha256"], head["state"]
        if _sha256(newest / TENSORS) != expected:
            raise ValueError("its tensors do not match their SHA-256")
        if _digest(plain) != head["state_sha256"]:
            raise ValueError("its state does not match its SHA-256")
        state = _join(plain, load_file(newest / TENSORS))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(
            f"checkpoint {newest} is corrupt or truncated ({error}); delete {folder} to train this run from its start"
        ) from error
    if digest != config_digest:
        raise CheckpointError(
            f"checkpoint {newest} belongs to another configuration ({digest}, this is {config_digest}); "
            f"delete {folder} to train this run from its start"
        )
    return state


def _split(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The value with every tensor replaced by a reference into ``tensors``; dictionary keys keep their type."""
    if isinstance(value, torch.Tensor):
        # Numbered, because keys such as 1 and "1", or "a/b" and "b" in "a", make equal paths.
        name = str(len(tensors))
        order = sorted(range(value.dim()), key=value.stride, reverse=True)
        tensors[name] = value.detach().permute(order).to("cpu", copy=True).contiguous()
        return {"tensor": name, "order": order}
    if isinstance(value, dict):
        return {"items": [[key, _split(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"list": [_split(item, tensors) for item in value]}
    return {"value": value}


def _join(plain: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if "tensor" in plain:
        order = plain["order"]
        return tensors[plain["tensor"]].permute(sorted(range(len(order)), key=order.__getitem__))
    if "items" in plain:
        return {key: _join(item, tensors) for key, item in plain["items"]}
    if "list" in plain:
        return [_join(item, tensors) for item in plain["list"]]
    return plain["value"]


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

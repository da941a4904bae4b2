"""The file format of a sparse network: safetensors with what is inactive left out.

The file is a state dict, except that a masked weight ``W``, unless all of it is active, becomes two flat tensors:
``W.values``, its active values in row-major order, and where they are, in the form that takes fewer bytes:

- ``W.mask``: one bit a weight, the first weight in the lowest bit of the first byte;
- ``W.indices``: of the weights cut into rows of 255, how many are active in each row, one byte each; then of each active
  weight its place in its row, one byte each.

The mask says what is active, not the value: an active weight of 0 stays active. Bytes follow from shapes and counts alone,
so that a file's size is known, header included, before anything is trained. Nothing in a file is ever executed.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

Tensors = dict[str, Tensor]
FORMAT, VERSION = "rigl-bench", "1"
"""Key and value of the metadata by which a file is known."""
DIGEST, UNSET = "sha256", "0" * 64
"""SHA-256 of the whole file, taken while the digest itself is unset."""
ROW = 255
"""Weights in a row of indices: the most that one byte can count."""


class ExportError(ValueError):
    """A run that cannot be exported, or a file that cannot be loaded; the message names it and says why."""


def form_of(weights: int, nonzeros: int) -> str:
    """How a weight tensor takes the fewest bytes: dense, mask or indices."""
    if nonzeros == weights:
        return "dense"
    return min(("mask", "indices"), key=lambda form: place_bytes(form, weights, nonzeros))


def place_bytes(form: str, weights: int, nonzeros: int) -> int:
    """Bytes that say which weights are active."""
    return {"dense": 0, "mask": math.ceil(weights / 8), "indices": math.ceil(weights / ROW) + nonzeros}[form]


def outline(state: Mapping[str, Tensor], nonzeros: Mapping[str, int]) -> Tensors:
    """What is stored of a state dict whose masked weights have ``nonzeros`` active ones, as tensors without content."""
    stored = {}
    for name, tensor in state.items():
        weights, active = tensor.numel(), nonzeros.get(name, tensor.numel())
        form = form_of(weights, active)
        if form == "dense":
            stored[name] = torch.empty_like(tensor, device="meta")
        else:
            places = place_bytes(form, weights, active)
            stored[f"{name}.values"] = torch.empty(active, dtype=tensor.dtype, device="meta")
            stored[f"{name}.{form}"] = torch.empty(places, dtype=torch.uint8, device="meta")
    return stored


def header(stored: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The file up to its numbers: the header's length in 8 bytes, then JSON, filled up with spaces to a multiple of 8.

    Written here and not by the library, which would need the numbers to say how long it is, and orders metadata by chance.
    """
    entries: dict[str, Any] = {"__metadata__": {FORMAT: VERSION, DIGEST: UNSET, **metadata}}
    end = 0
    for name, tensor in _aligned(stored).items():
        start, end = end, end + tensor.nbytes
        entries[name] = {"dtype": _code(tensor.dtype), "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def content(state: Mapping[str, Tensor], masks: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The file of a state dict on the CPU, of whose weights ``masks``, by name in the state dict, tell the active ones."""
    stored = _stored(state, masks)
    unsigned = header(stored, metadata) + b"".join(map(raw, _aligned(stored).values()))
    return unsigned.replace(UNSET.encode(), hashlib.sha256(unsigned).hexdigest().encode(), 1)


def read(path: Path) -> tuple[dict[str, str], Tensors]:
    """Metadata and tensors as they are stored. Raises ExportError for a file that is not whole or not of this format."""
    try:
        found = path.read_bytes()
        stored = from_bytes(found)
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror}") from error
    except SafetensorError as error:
        raise ExportError(f"{path} is truncated, or no safetensors file: {error}") from error
    metadata = json.loads(found[8 : 8 + int.from_bytes(found[:8], "little")]).get("__metadata__") or {}
    if FORMAT not in metadata:
        raise ExportError(f"{path} was not written by `rigl-bench export`")
    if metadata[FORMAT] != VERSION:
        raise ExportError(f"{path} has version {metadata[FORMAT]} of the format, this suite reads {VERSION}")
    digest = metadata.get(DIGEST, "")
    if hashlib.sha256(found.replace(digest.encode(), UNSET.encode(), 1)).hexdigest() != digest:
        raise ExportError(f"{path} is damaged: its content does not match its SHA-256")
    return metadata, stored


def is_of_this_format(path: Path) -> bool:
    """Whether ``path`` is a file of this format, whole or not."""
    try:
        with safe_open(path, "pt") as opened:
            return FORMAT in (opened.metadata() or {})
    except (OSError, SafetensorError):
        return False


def expanded(stored: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> tuple[Tensors, Tensors]:
    """The state dict, inactive weights 0, and the masks of the weights that ``shapes`` names, by name in the state dict.

    Raises ValueError or KeyError for parts that contradict each other.
    """
    state, masks = dict(stored), {}
    for name, shape in shapes.items():
        if name in state:
            masks[name] = torch.ones_like(state[name], dtype=torch.bool)
            continue
        form = "mask" if f"{name}.mask" in state else "indices"
        values, places, weights = state.pop(f"{name}.values"), state.pop(f"{name}.{form}"), math.prod(shape)
        if len(places) != place_bytes(form, weights, len(values)):
            raise ValueError(f"{name} has {len(values)} values, but {len(places)} bytes for their places")
        mask = _UNPACK[form](places, weights)
        if int(mask.sum()) != len(values):
            raise ValueError(f"{name} has {len(values)} values for {int(mask.sum())} places")
        masks[name] = mask.reshape(shape)
        state[name] = torch.zeros(shape, dtype=values.dtype).masked_scatter_(masks[name], values)
    return state, masks


def raw(tensor: Tensor) -> bytes:
    """The bytes of a tensor's numbers, row-major."""
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _stored(state: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Tensors:
    stored = {}
    for name, tensor in state.items():
        mask = masks.get(name)
        form = "dense" if mask is None else form_of(mask.numel(), int(mask.sum()))
        if mask is None or form == "dense":
            stored[name] = tensor
        else:
            stored[f"{name}.values"] = tensor[mask]
            stored[f"{name}.{form}"] = _PACK[form](mask.flatten())
    return stored


def _pack_mask(mask: Tensor) -> Tensor:
    return torch.from_numpy(np.packbits(mask.numpy(), bitorder="little"))


def _unpack_mask(packed: Tensor, weights: int) -> Tensor:
    return torch.from_numpy(np.unpackbits(packed.numpy(), count=weights, bitorder="little")).bool()


def _pack_indices(mask: Tensor) -> Tensor:
    active = mask.nonzero().squeeze(1)
    counts = torch.bincount(active // ROW, minlength=math.ceil(mask.numel() / ROW))
    return torch.cat([counts, active % ROW]).to(torch.uint8)


def _unpack_indices(packed: Tensor, weights: int) -> Tensor:
    rows = math.ceil(weights / ROW)
    counts, places = packed[:rows].long(), packed[rows:].long()
    if int(counts.sum()) != len(places):
        raise ValueError(f"rows of {int(counts.sum())} indices hold {len(places)}")
    mask = torch.zeros(rows * ROW, dtype=torch.bool)
    mask[torch.repeat_interleave(torch.arange(rows), counts) * ROW + places] = True
    return mask[:weights]


_PACK: dict[str, Callable[[Tensor], Tensor]] = {"mask": _pack_mask, "indices": _pack_indices}
_UNPACK: dict[str, Callable[[Tensor, int], Tensor]] = {"mask": _unpack_mask, "indices": _unpack_indices}


def _aligned(stored: Mapping[str, Tensor]) -> Tensors:
    """The tensors in the order of the file: the widest numbers first, so that each lies at a multiple of its size; by name."""
    return dict(sorted(stored.items(), key=lambda item: (-item[1].element_size(), item[0])))


@functools.cache
def _code(dtype: torch.dtype) -> str:
    """The name that safetensors has for a type of numbers."""
    sample = to_bytes({"sample": torch.empty(0, dtype=dtype)})
    return json.loads(sample[8:])["sample"]["dtype"]

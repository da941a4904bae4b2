"""A finished run's network as one compact safetensors file, and back to identical outputs; the format is ``sparse_file``'s.

The file holds what builds the network again, so that ``load(path)`` needs nothing else. Torch, numpy and safetensors only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline import models, sparse_file
from pipeline.factories import is_dotted
from pipeline.plan import Spec
from pipeline.record import MASKS, RECORD, WEIGHTS, write_bytes
from pipeline.run import Run, run_from_dict
from pipeline.sparse_file import ExportError, Tensors
from sparse_methods.network import maskable_weights


@dataclass(frozen=True)
class Architecture:
    """What builds a network again."""

    model: str
    options: dict[str, Any]
    input_shape: tuple[int, ...]
    classes: int

    def build(self) -> nn.Module:
        """The network, with weights from torch's global random state. Raises ValueError as ``models.build`` does."""
        return models.build(self.model, tuple(self.input_shape), self.classes, **self.options)


@dataclass(frozen=True)
class LayerSize:
    """What one layer's weight takes in a file."""

    layer: str
    shape: tuple[int, ...]
    nonzeros: int
    form: str
    """dense | mask | indices."""
    bytes: int


@dataclass(frozen=True)
class FileSize:
    """What a file is made of, exact to the byte."""

    layers: tuple[LayerSize, ...]
    other_bytes: int
    """Biases, normalisation and buffers."""
    header_bytes: int

    @property
    def file_bytes(self) -> int:
        """Of the whole file."""
        return sum(layer.bytes for layer in self.layers) + self.other_bytes + self.header_bytes


def finished_run(folder: Path) -> Run:
    """The run that ended in ``folder``. Raises ExportError unless its record is there and says done."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        status, run = record["status"], run_from_dict(record["config"])
    except OSError as error:
        raise ExportError(f"{folder} is not the folder of a finished run: {RECORD}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{folder / RECORD} is corrupt ({error!r}); delete {folder} and run again") from error
    if status != "done":
        raise ExportError(f"{folder} has no network to export: its run is {status}")
    return run


def export(folder: Path, spec: Spec, path: Path) -> FileSize:
    """Write the final network of the run in ``folder``, resolved as ``spec``, to ``path``, and check it by reading it back.

    A file of this format that is there already is replaced, by rename; any other is not. Raises ExportError for that, and
    for weights and masks that cannot be read or are not of the run's network; OSError where the disk refuses.
    """
    if path.exists() and not sparse_file.is_of_this_format(path):
        raise ExportError(f"{path} exists and was not written by `rigl-bench export`: it is not replaced")
    weights, masks = _tensors(folder / WEIGHTS), _tensors(folder / MASKS)
    network = spec.build()
    names = _weight_names(network)
    try:
        network.load_state_dict(weights)
        by_weight = {names[layer]: mask for layer, mask in masks.items()}
        state = weights | {name: _seen_through(mask, weights[name]) for name, mask in by_weight.items()}
    except (RuntimeError, IndexError, KeyError, ValueError) as error:
        raise ExportError(
            f"{folder} does not hold the network of its run ({_in_a_line(error)}); delete it and run again"
        ) from error
    nonzeros = {layer: int(mask.sum()) for layer, mask in masks.items()}
    write_bytes(path, sparse_file.content(state, by_weight, about(spec, network, nonzeros)))
    _require_equal(path, (state, masks), state_dict(path))
    return file_size(spec, network, nonzeros)


def file_bytes(spec: Spec) -> int:
    """Bytes of the file of a run that ends with the counts it was asked for."""
    nonzeros = {row.layer: row.nonzeros for row in spec.layers() if row.masked}
    return file_size(spec, spec.outline(), nonzeros).file_bytes


def file_size(spec: Spec, network: nn.Module, nonzeros: Mapping[str, int]) -> FileSize:
    """What the file of a run's ``network`` holds, with ``nonzeros`` active weights in each masked layer."""
    names = _weight_names(network)
    stored = sparse_file.outline(network.state_dict(), {names[layer]: count for layer, count in nonzeros.items()})
    layers = []
    for layer, weight in maskable_weights(network).items():
        active = nonzeros.get(layer, weight.numel())
        form = sparse_file.form_of(weight.numel(), active)
        held = active * weight.element_size() + sparse_file.place_bytes(form, weight.numel(), active)
        layers.append(LayerSize(layer, tuple(weight.shape), active, form, held))
    other = sum(tensor.nbytes for tensor in stored.values()) - sum(layer.bytes for layer in layers)
    return FileSize(tuple(layers), other, len(sparse_file.header(stored, about(spec, network, nonzeros))))


def about(spec: Spec, network: nn.Module, nonzeros: Mapping[str, int]) -> dict[str, str]:
    """Metadata of the file of a run's ``network``, with ``nonzeros`` active weights in each masked layer."""
    names, weights = _weight_names(network), maskable_weights(network)
    active = sum(nonzeros.get(layer, weight.numel()) for layer, weight in weights.items())
    masked = [layer for layer in weights if layer in nonzeros]
    layers = {layer: {"weight": names[layer], "shape": list(weights[layer].shape)} for layer in masked}
    return {
        "run": spec.run.path,
        "method": spec.run.method,
        "sparsity": repr(1 - active / sum(weight.numel() for weight in weights.values())),
        "architecture": json.dumps(asdict(architecture_of(spec))),
        "layers": json.dumps(layers),
    }


def architecture_of(spec: Spec) -> Architecture:
    """What builds the run's network again."""
    return Architecture(spec.run.model, spec.options(), spec.input_shape, spec.classes)


def load(path: Path | str, network: nn.Module | None = None) -> nn.Module:
    """The exported network, in eval mode.

    A ``network`` of yours is filled and returned; one whose model is not the suite's (``package.module:factory``) must be
    given, because a file never says which code runs. Raises ExportError for a file that cannot be read or does not fit.
    """
    metadata, stored = sparse_file.read(Path(path))
    state, _ = _expanded(path, metadata, stored)
    if network is None:
        network = _built(path, metadata)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ExportError(f"{path} does not fit this {type(network).__name__}: {_in_a_line(error)}") from error
    return network.eval()


def state_dict(path: Path | str) -> tuple[Tensors, Tensors]:
    """The exported network's state dict, inactive weights 0, and the boolean masks of its masked layers by layer name.

    Fit for ``module.load_state_dict`` and ``sparsify(masks=...)``. Raises ExportError for a file that cannot be read.
    """
    return _expanded(path, *sparse_file.read(Path(path)))


def _expanded(path: Path | str, metadata: Mapping[str, str], stored: Tensors) -> tuple[Tensors, Tensors]:
    try:
        layers = json.loads(metadata["layers"])
        shapes = {layer["weight"]: tuple(layer["shape"]) for layer in layers.values()}
        state, masks = sparse_file.expanded(stored, shapes)
        return state, {name: masks[layer["weight"]] for name, layer in layers.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(f"{path} contradicts itself: {_in_a_line(error)}") from error


def _built(path: Path | str, metadata: Mapping[str, str]) -> nn.Module:
    try:
        architecture = Architecture(**json.loads(metadata["architecture"]))
        if is_dotted(architecture.model):
            raise ValueError(f"{architecture.model} is a model of your own: build it and call load(path, network)")
        return architecture.build()
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path}: its network cannot be built: {_in_a_line(error)}") from error


def _weight_names(network: nn.Module) -> dict[str, str]:
    """Names in the state dict of the maskable weights, by layer name."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {layer: names[id(weight)] for layer, weight in maskable_weights(network).items()}


def _tensors(path: Path) -> Tensors:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ExportError(f"{path} cannot be read ({error}); delete {path.parent} and run again") from error


def _seen_through(mask: Tensor, weight: Tensor) -> Tensor:
    """``weight`` with zeros where it is inactive; it has them already, but for their sign."""
    if weight[~mask].any():
        raise ValueError("an inactive weight is not 0")
    return torch.where(mask, weight, 0)


def _require_equal(path: Path, written: tuple[Tensors, Tensors], found: tuple[Tensors, Tensors]) -> None:
    """Raise ExportError unless both are the same to the bit."""
    for ours, theirs in zip(written, found, strict=True):
        same = {n for n in ours.keys() & theirs.keys() if _identical(ours[n], theirs[n])}
        differing = sorted((ours.keys() | theirs.keys()) - same)
        if differing:
            raise ExportError(f"{path} does not read back as it was written: {', '.join(differing)}")


def _identical(one: Tensor, other: Tensor) -> bool:
    return (one.dtype, one.shape) == (other.dtype, other.shape) and sparse_file.raw(one) == sparse_file.raw(other)


def _in_a_line(error: Exception) -> str:
    told = " ".join(str(error).split())
    return f"there is no {told}" if isinstance(error, KeyError) else told

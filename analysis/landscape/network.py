"""A network as a point of parameter space: what a finished run left, and the loss at any other point."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from analysis.errors import AnalysisError
from pipeline.data.tensors import DataSet
from pipeline.plan import Spec
from pipeline.record import MASKS, RECORD, WEIGHTS, snapshot_name
from pipeline.seeds import derive_seed
from sparse_methods.network import maskable_weights

Tensors = dict[str, Tensor]

# -- what runs left -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Solution:
    """The network that a finished run left. CPU tensors."""

    run: str
    """Path of the run."""
    record: dict[str, Any]
    parameters: Tensors
    """By name, in the order of ``module.named_parameters()``."""
    buffers: Tensors
    """The rest of the state dict: BatchNorm's statistics."""
    masks: Tensors
    """Of the masked layers, boolean, by layer name."""
    active: Tensors
    """A boolean mask for every parameter, by its name; all True for biases, normalisation and unmasked weights."""


def load(folder: Path, spec: Spec) -> Solution:
    """What the run ``spec`` left in ``folder``.

    Raises AnalysisError that names the run when it has no record, is not done, or its files are missing, unreadable or those
    of another network.
    """
    record = _record_of(folder, spec)
    network = spec.outline()
    parameters, buffers = _state(folder / WEIGHTS, spec, network)
    masks = {layer: mask.bool() for layer, mask in _tensors(folder / MASKS, spec).items()}
    shapes = {layer: weight.shape for layer, weight in maskable_weights(network).items() if layer in masks}
    _require_same(folder / MASKS, spec, {layer: mask.shape for layer, mask in masks.items()}, shapes)
    return Solution(spec.run.path, record, parameters, buffers, masks, activity(spec, masks))


def load_together(runs: Sequence[tuple[Path, Spec]]) -> tuple[Solution, ...]:
    """The solutions of several runs, folder and specification of each, which must be of one model on one data set.

    Raises AnalysisError that names all of them, where one has nothing to offer (``load``) or two do not belong together.
    """
    try:
        solutions = tuple(load(folder, spec) for folder, spec in runs)
        for other in solutions[1:]:
            _require_kin(solutions[0], other)
    except AnalysisError as error:
        named = " and ".join(spec.run.path for _, spec in runs)
        raise AnalysisError(f"{named} cannot be compared: {error}") from error
    return solutions


def snapshots(folder: Path, spec: Spec) -> dict[int, Tensors]:
    """Parameters that the run had after the steps it was asked to keep, by gradient step, in order. Raises AnalysisError."""
    steps = sorted(spec.run.scaled(step) for step in spec.run.snapshots)
    return {step: _state(folder / snapshot_name(step), spec, spec.outline())[0] for step in steps}


def snapshot_masks(folder: Path, spec: Spec) -> dict[int, Tensors]:
    """Masks that the run had after those steps, boolean, by layer name. Raises AnalysisError."""
    steps = sorted(spec.run.scaled(step) for step in spec.run.snapshots)
    stored = {step: _tensors(folder / snapshot_name(step, MASKS), spec) for step in steps}
    return {step: {layer: mask.bool() for layer, mask in masks.items()} for step, masks in stored.items()}


def activity(spec: Spec, masks: Mapping[str, Tensor]) -> Tensors:
    """A boolean mask for every parameter, by its name, from those by layer name; all True where no layer is masked."""
    network = spec.outline()
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    by_layer = {layer: names[id(weight)] for layer, weight in maskable_weights(network).items()}
    every = {name: torch.ones(parameter.shape, dtype=torch.bool) for name, parameter in network.named_parameters()}
    return every | {by_layer[layer]: mask for layer, mask in masks.items()}


def _record_of(folder: Path, spec: Spec) -> dict[str, Any]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        run, status = record["run"], record["status"]
    except OSError as error:
        raise AnalysisError(f"{spec.run.path} has no record in {folder}: {error.strerror}; train it first") from error
    except (ValueError, KeyError, TypeError) as error:
        raise AnalysisError(f"{folder / RECORD} is corrupt ({error!r}); delete {folder} and run again") from error
    if run != spec.run.path:
        raise AnalysisError(f"{folder} holds {run}, not {spec.run.path}")
    if status != "done":
        raise AnalysisError(f"{run} is {status}: it left no solution")
    return record


def _state(path: Path, spec: Spec, network: nn.Module) -> tuple[Tensors, Tensors]:
    """Parameters in the network's order, and buffers, from a file that must hold exactly the network's state."""
    stored, expected = _tensors(path, spec), network.state_dict()
    _require_same(path, spec, *({name: t.shape for name, t in tensors.items()} for tensors in (stored, expected)))
    parameters = {name: stored[name] for name, _ in network.named_parameters()}
    return parameters, {name: tensor for name, tensor in stored.items() if name not in parameters}


def _tensors(path: Path, spec: Spec) -> Tensors:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise AnalysisError(
            f"{path} of {spec.run.path} cannot be read ({error}); delete {path.parent} and run again"
        ) from error


def _require_same(path: Path, spec: Spec, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    differing = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
    if differing:
        name = differing[0]
        told = [f"of shape {list(shapes[name])}" if name in shapes else "absent" for shapes in (found, expected)]
        raise AnalysisError(
            f"{path} is not of {spec.run.path}: {name} is {told[0]} there and {told[1]} in its network"
            + (f"; so are {len(differing) - 1} more" if len(differing) > 1 else "")
        )


def _require_kin(one: Solution, other: Solution) -> None:
    for field in ("dataset", "model", "model_options"):
        ours, theirs = one.record["config"][field], other.record["config"][field]
        if ours != theirs:
            raise AnalysisError(f"{one.run} has {field} {ours!r}, {other.run} has {theirs!r}")
    ours, theirs = (solution.record["provenance"].get("data_digest") for solution in (one, other))
    if None not in (ours, theirs) and ours != theirs:
        raise AnalysisError(f"{one.run} saw another version of {one.record['config']['dataset']} than {other.run}")
    ours, theirs = ({n: tuple(t.shape) for n, t in solution.parameters.items()} for solution in (one, other))
    for name in {**ours, **theirs}:
        if ours.get(name) != theirs.get(name):
            raise AnalysisError(f"{name} is {ours.get(name)} in {one.run} and {theirs.get(name)} in {other.run}")


# -- the network at any point ---------------------------------------------------------------------------------------------


class Network:
    """A module whose parameters are views of one vector: one copy puts it at a point, and its gradient is a vector too.

    It takes the module over, on its device and in its dtype, which all parameters share: the module is in eval mode, and its
    BatchNorm layers, when they see batches in train mode, average plainly (momentum None).
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module.eval()
        self.parameters = dict(module.named_parameters())
        """The module's own, by name; views of ``vector``."""
        self.vector = torch.cat([parameter.detach().flatten() for parameter in self.parameters.values()])
        """Where the network is now, [D]."""
        self.gradient = torch.zeros_like(self.vector)
        """Sum of what ``backward`` gave since it was last set to zero, [D]."""
        values, gradients = self.named(self.vector), self.named(self.gradient)
        for name, parameter in self.parameters.items():
            parameter.data, parameter.grad = values[name], gradients[name]
        norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        self._norms = [norm for norm in norms if norm.track_running_stats]
        for norm in self._norms:
            norm.momentum = None

    @property
    def normalises(self) -> bool:
        """Whether it has statistics that depend on the data: BatchNorm's."""
        return bool(self._norms)

    def named(self, vector: Tensor) -> Tensors:
        """Views of ``vector`` [D] by parameter name, in the parameters' shapes."""
        parts = vector.split([parameter.numel() for parameter in self.parameters.values()])
        return {name: part.view(self.parameters[name].shape) for name, part in zip(self.parameters, parts, strict=True)}

    def point(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """The point [D] of parameters by name, in the network's dtype on its device. Raises KeyError for a missing one."""
        return self._joined(parameters).to(self.vector)

    def mask(self, active: Mapping[str, Tensor]) -> Tensor:
        """The mask bool [D] of boolean tensors by parameter name, on its device. Raises KeyError for a missing one."""
        return self._joined(active).to(self.vector.device, torch.bool)

    def _joined(self, tensors: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([tensors[name].flatten() for name in self.parameters])

    @torch.no_grad()
    def put(self, point: Tensor, buffers: Mapping[str, Tensor] | None = None) -> None:
        """Go to ``point`` [D], with these buffers where they are given."""
        self.vector.copy_(point)
        for name, value in (buffers or {}).items():
            self.module.get_buffer(name).copy_(value)

    @contextlib.contextmanager
    def normalising_by_batch(self) -> Iterator[None]:
        """BatchNorm by the statistics of each batch, which it averages from here on; everything else as in eval mode."""
        for norm in self._norms:
            norm.reset_running_stats()
            norm.train()
        try:
            yield
        finally:
            for norm in self._norms:
                norm.eval()


# -- the loss there -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quality:
    """A network at one point. Losses are mean cross-entropies in nats, finite or not; errors are fractions."""

    train_loss: float
    train_error: float
    test_loss: float
    test_error: float


class Loss:
    """The loss of one network over one data set as a function of its parameters.

    Args:
        network: whose parameters move.
        dataset: on the network's device; ``subset`` makes a smaller one.
        batch: samples that are evaluated at a time; on a GPU as many as memory holds, while a CPU likes what its caches do.
        statistics: training samples, the first ones, that BatchNorm's statistics are estimated on; None: all.
    """

    def __init__(self, network: Network, dataset: DataSet, batch: int = 1000, statistics: int | None = None) -> None:
        if not isinstance(dataset, DataSet):
            raise ValueError(f"{dataset.name!r} is not a set of images: its loss landscape cannot be measured")
        self.network, self.dataset, self.batch = network, dataset, batch
        self.statistics = statistics

    def at(self, point: Tensor, buffers: Mapping[str, Tensor] | None = None) -> Quality:
        """Loss and error over the training and the test set at ``point`` [D].

        BatchNorm uses the statistics in ``buffers``, as at the end of a run; without, those of the training set at this point,
        estimated in one pass as by Garipov et al. 2018 (``update_bn`` of their code, commit f17c9b2): a plain average over
        batches of about equal size.
        """
        self._go(point, buffers)
        data = self.dataset
        train, test = ((data.train_inputs, data.train_labels), (data.test_inputs, data.test_labels))
        return Quality(*self._judge(*train), *self._judge(*test))

    def train(self, point: Tensor, buffers: Mapping[str, Tensor] | None = None) -> float:
        """The training loss alone, as ``at`` gives it."""
        self._go(point, buffers)
        return self._judge(self.dataset.train_inputs, self.dataset.train_labels)[0]

    def gradient(self, point: Tensor, buffers: Mapping[str, Tensor] | None = None) -> Tensor:
        """Gradient [D] of the training loss at ``point``, inactive weights included; BatchNorm's statistics are constants."""
        self._go(point, buffers)
        self.network.gradient.zero_()
        for share in self.train_shares():
            share.backward()
        return self.network.gradient.clone()

    def train_shares(self) -> Iterator[Tensor]:
        """The training loss where the network is, in eval mode, as shares that sum to it, a batch each, with their graphs."""
        inputs, labels = self.dataset.train_inputs, self.dataset.train_labels
        for part, truth in self._batches(inputs, labels):
            yield functional.cross_entropy(self.network.module(part), truth, reduction="sum") / len(labels)

    def _go(self, point: Tensor, buffers: Mapping[str, Tensor] | None) -> None:
        self.network.put(point, buffers)
        if buffers is None and self.network.normalises:
            self._estimate_statistics()

    @torch.no_grad()
    def _estimate_statistics(self) -> None:
        seen = slice(self.statistics)
        with self.network.normalising_by_batch():
            for inputs, _ in self._batches(self.dataset.train_inputs[seen], self.dataset.train_labels[seen]):
                self.network.module(inputs)

    @torch.no_grad()
    def _judge(self, inputs: Tensor, labels: Tensor) -> tuple[float, float]:
        """Mean loss and error; sums first, one division, as ``pipeline.train.evaluate`` does."""
        loss = torch.zeros((), dtype=torch.float64, device=labels.device)
        wrong = torch.zeros((), dtype=torch.int64, device=labels.device)
        for part, truth in self._batches(inputs, labels):
            logits = self.network.module(part)
            loss += functional.cross_entropy(logits, truth, reduction="sum")
            wrong += (logits.argmax(1) != truth).sum()
        return float(loss) / len(labels), int(wrong) / len(labels)

    def _batches(self, inputs: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """All samples in order, in batches that differ in size by one at most."""
        parts = math.ceil(len(labels) / self.batch)
        for part, truth in zip(inputs.tensor_split(parts), labels.tensor_split(parts), strict=True):
            yield self.dataset.prepare(part).to(self.network.vector.dtype), truth


def subset(dataset: DataSet, samples: int, seed: int = 0) -> DataSet:
    """``dataset`` with at most ``samples`` of its training and of its test samples, drawn at random without replacement.

    Raises ValueError for fewer than one sample.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples!r}, it must be at least 1")
    kept = {}
    for split in ("train", "test"):
        inputs, labels = getattr(dataset, f"{split}_inputs"), getattr(dataset, f"{split}_labels")
        generator = torch.Generator().manual_seed(derive_seed("subset", split, seed))
        chosen = torch.randperm(len(labels), generator=generator)[:samples].to(dataset.device)
        kept |= {f"{split}_inputs": inputs[chosen], f"{split}_labels": labels[chosen]}
    return dataclasses.replace(dataset, **kept)

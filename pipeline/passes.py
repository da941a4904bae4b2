"""Passes through the network: loss and gradients of a training batch, in parts and on several ranks, and evaluation."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from pipeline.data.batches import NOT_JUDGED, AnyBatches, evaluation_batches
from pipeline.data.tensors import AnySet
from pipeline.ranks import ALONE, Ranks, RanksError, RunningStatistics, normalised
from pipeline.run import Protocol
from sparse_methods.method import Batch


class Passes:
    """How one rank learns from its part of each batch.

    Raises RanksError where a batch cannot be shared among ``ranks``, or where the result would depend on how many there are.
    """

    def __init__(self, model: nn.Module, batches: AnyBatches, protocol: Protocol, ranks: Ranks = ALONE) -> None:
        self.state: Tensor | None = None
        """In which this rank's part of the last batch left the network, [1, samples, units]; None for one that keeps none."""
        self._model, self._batches, self._protocol, self._ranks = model, batches, protocol, ranks
        self._samples = ranks.part_of(protocol.batch_size)
        together = protocol.microbatch or len(self._samples)
        self._parts = [range(at, at + together) for at in self._samples[::together]]
        self._learner: nn.Module = _Reader(model, protocol.precision)
        self._statistics: RunningStatistics | None = None
        if ranks.count > 1:
            _require_equal_parts(model, protocol, ranks)
            self._statistics = RunningStatistics(model, ranks, len(self._parts))
            # Buffers are not broadcast: the running statistics are joined, and there are no others that training changes.
            # Newer versions of torch warn that the option has another name, which older ones do not have.
            with warnings.catch_warnings(category=FutureWarning, action="ignore"):
                self._learner = DistributedDataParallel(self._learner, broadcast_buffers=False)

    def learn(self, number: int) -> Tensor:
        """Add the gradients of batch ``number`` to the parameters'; its mean loss over this rank's samples."""
        return self.learn_from(self.samples(number), self.goes_on(number))

    def goes_on(self, number: int) -> bool:
        """Whether batch ``number`` is read from the state that the one before it left."""
        return self._batches.continues(number)

    def samples(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and labels of this rank's parts of batch ``number``, each when it is asked for."""
        return (self._batches.part(number, part.start, part.stop) for part in self._parts)

    def learn_from(self, samples: Iterable[tuple[Tensor, Tensor]], goes_on: bool) -> Tensor:
        """As :meth:`learn`, from :meth:`samples` or others of their shapes."""
        if self._statistics is not None:
            self._statistics.begin()
        losses, states = [], []
        for part, (inputs, labels) in zip(self._parts, samples, strict=True):
            with self._without_averaging(part):
                outputs, state = self._learner(inputs, self._state_of(part) if goes_on else None)
                loss = self._loss(outputs, labels)
                (loss if len(self._parts) == 1 else loss / len(self._parts)).backward()
            losses.append(loss.detach())
            states.append(state)
        if self._statistics is not None:
            self._statistics.end()
        self.state = states[0] if len(states) == 1 or states[0] is None else torch.cat(states, dim=1)
        return losses[0] if len(losses) == 1 else torch.stack(losses).mean()

    def whole(self, number: int) -> Batch:
        """The samples of all ranks, for methods that choose their first mask with passes of their own, the same on each."""
        inputs, labels = self._batches[number]
        return Batch(self._model, inputs, lambda outputs: self._loss(outputs, labels))

    def whole_state(self) -> Tensor | None:
        """:attr:`state` for the samples of all ranks."""
        return None if self.state is None else self._ranks.joined(self.state, dim=1)

    def take_state(self, state: Tensor | None) -> None:
        """Go on from :meth:`whole_state`, whichever number of ranks it comes from."""
        device = next(self._model.parameters()).device
        self.state = None if state is None else state[:, self._samples.start : self._samples.stop].to(device)

    def _loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        smoothing = self._protocol.label_smoothing
        return functional.cross_entropy(outputs.flatten(0, -2), labels.flatten(), label_smoothing=smoothing)

    def _state_of(self, part: range) -> Tensor | None:
        first = self._samples.start
        return None if self.state is None else self.state[:, part.start - first : part.stop - first]

    def _without_averaging(self, part: range) -> contextlib.AbstractContextManager[None]:
        """Gradients are averaged over ranks once a batch, with those of the last part."""
        if self._ranks.count == 1 or part is self._parts[-1]:
            return contextlib.nullcontext()
        return self._learner.no_sync()


class _Reader(nn.Module):
    """:func:`read` as a module, which is what DistributedDataParallel takes."""

    def __init__(self, model: nn.Module, precision: str) -> None:
        super().__init__()
        self.model, self._precision = model, precision

    def forward(self, inputs: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return read(self.model, inputs, state, self._precision)


def _require_equal_parts(model: nn.Module, protocol: Protocol, ranks: Ranks) -> None:
    parts = protocol.batch_size // (protocol.microbatch or protocol.batch_size)
    layer = normalised(model)
    if protocol.microbatch is None and layer is not None:
        raise RanksError(
            f"{layer} normalises over the whole batch of {protocol.batch_size}, which {ranks.count} processes would part: "
            f"state protocol.microbatch, at most {protocol.batch_size // ranks.count}"
        )
    if protocol.microbatch is not None and parts % ranks.count:
        raise RanksError(
            f"{parts} microbatches of {protocol.microbatch} cannot be shared among {ranks.count} processes"
        )


def read(
    model: nn.Module, inputs: Tensor, state: Tensor | None, precision: str = "float32"
) -> tuple[Tensor, Tensor | None]:
    """The model's outputs, and the state that ``inputs`` leave it in.

    A network with a method ``continued(inputs, state)`` goes on from ``state``, None being its first; others have none.
    """
    if precision == "bf16":
        with torch.autocast(inputs.device.type, torch.bfloat16):
            outputs, state = read(model, inputs, state)
        return outputs.float(), state
    return model.continued(inputs, state) if hasattr(model, "continued") else (model(inputs), None)


@torch.no_grad()
def evaluate(
    model: nn.Module, dataset: AnySet, precision: str = "float32", ranks: Ranks = ALONE
) -> tuple[int, int, float]:
    """Correct predictions, predictions, and mean cross-entropy in nats on the test set; sums first, one division.

    A prediction is made for each image, or for each character of a text but its first. Each rank judges its share.
    """
    was_training = model.training
    model.eval()
    counts = torch.zeros(2, dtype=torch.int64, device=dataset.device)
    loss = torch.zeros((), dtype=torch.float64, device=dataset.device)
    state = None
    for inputs, labels in evaluation_batches(dataset, ranks.share):
        outputs, state = read(model, inputs, state, precision)
        logits, labels = outputs.flatten(0, -2), labels.flatten()
        counts[0] += (logits.argmax(1) == labels).sum()
        counts[1] += (labels != NOT_JUDGED).sum()
        loss += functional.cross_entropy(logits, labels, reduction="sum", ignore_index=NOT_JUDGED)
    model.train(was_training)
    correct, predictions = ranks.sum(counts).tolist()
    return correct, predictions, float(ranks.sum(loss)) / predictions

"""Several processes that train one run together, started by ``torchrun``.

Every rank holds the whole network and the same masks, reads its own part of each batch, and ends the batch with the gradients
of the whole of it. Batch size and learning rate are the protocol's, for all ranks together. Rank 0 alone writes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

from pipeline.data.batches import Share

Value = TypeVar("Value")
SILENCE = timedelta(minutes=10)
"""Longest wait for another rank, which may be writing a checkpoint. One that dies is noticed at once, by torchrun."""


class RanksError(ValueError):
    """What is asked for cannot be shared among the processes there are."""


@dataclass(frozen=True)
class Ranks:
    """The processes of one run, seen from one of them. With a single process nothing here communicates."""

    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes what the run leaves."""
        return self.index == 0

    @property
    def share(self) -> Share:
        """This process's part of the work."""
        return self.index, self.count

    def part_of(self, samples: int) -> range:
        """This rank's samples of a batch. Raises RanksError where the ranks' parts would differ in size."""
        if samples % self.count:
            raise RanksError(f"a batch of {samples} samples cannot be shared equally among {self.count} processes")
        each = samples // self.count
        return range(self.index * each, (self.index + 1) * each)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks, in place."""
        if self.count > 1:
            distributed.all_reduce(tensor)
        return tensor

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over all ranks, in place."""
        return self.sum(tensor).div_(self.count) if self.count > 1 else tensor

    def joined(self, tensor: Tensor, dim: int) -> Tensor:
        """The tensors of all ranks, of equal shapes, one after another along ``dim``."""
        if self.count == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.count)]
        distributed.all_gather(parts, tensor.contiguous())
        return torch.cat(parts, dim)

    def from_first(self, value: Callable[[], Value]) -> Value:
        """What ``value()`` is on rank 0, the only one that calls it; a plain value, or tensors on the CPU."""
        if self.count == 1:
            return value()
        box = [value() if self.is_first else None]
        distributed.broadcast_object_list(box)
        return box[0]


ALONE = Ranks()


def asked_for() -> bool:
    """Whether ``torchrun`` started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextlib.contextmanager
def together(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that ``torchrun`` started, which train on devices like this one; alone where it started none."""
    if not asked_for():
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)  # objects are exchanged through the current device
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=SILENCE)
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


class RunningStatistics:
    """Means and variances that batch normalisation keeps for evaluation, as one process would have kept them.

    Each is r <- (1 - m) r + m s over the parts of a batch in turn, so that what a rank's k parts make of r is
    (1 - m)^k r + c. All ranks' parts in their order then make (1 - m)^(nk) r and the sum of every c, decayed by the parts
    that come after it.

    Raises RanksError for normalisation by the plain average over all batches (``momentum=None``).
    """

    def __init__(self, model: nn.Module, ranks: Ranks, parts: int) -> None:
        self._ranks, self._others = ranks, (ranks.count - 1) * parts
        self._counters: list[Tensor] = []
        self._tensors: list[Tensor] = []
        self._decays: list[float] = []
        for name, module in model.named_modules():
            if getattr(module, "running_mean", None) is None:
                continue
            if module.momentum is None:
                raise RanksError(
                    f"{name} averages over all batches (momentum=None), which {ranks.count} processes cannot"
                )
            self._counters.append(module.num_batches_tracked)
            self._tensors += [module.running_mean, module.running_var]
            self._decays += [(1 - module.momentum) ** parts] * 2
        self._before: list[Tensor] = []

    @torch.no_grad()
    def begin(self) -> None:
        """Call before the batch."""
        self._before = [tensor.clone() for tensor in self._tensors]

    @torch.no_grad()
    def end(self) -> None:
        """Call after the batch: every rank then has what all parts of it made."""
        if not self._tensors:
            return
        later = self._ranks.count - 1 - self._ranks.index
        added = [
            (after - decay * before).mul_(decay**later).flatten()
            for after, before, decay in zip(self._tensors, self._before, self._decays, strict=True)
        ]
        parts = self._ranks.sum(torch.cat(added)).split([len(part) for part in added])
        for tensor, before, decay, part in zip(self._tensors, self._before, self._decays, parts, strict=True):
            tensor.copy_(decay**self._ranks.count * before + part.view_as(before))
        torch._foreach_add_(self._counters, self._others)


def normalised(model: nn.Module) -> str | None:
    """A layer whose output depends on the samples that are read together; None: there is none."""
    batch_norm = nn.modules.batchnorm._BatchNorm
    return next((name for name, module in model.named_modules() if isinstance(module, batch_norm)), None)

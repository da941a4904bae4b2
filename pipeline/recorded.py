"""The ordinary training step recorded once and replayed: on a GPU one CUDA graph, masks included.

Small networks on a GPU wait for Python, which starts some hundred kernels a step. A graph starts them all at once. Batches are
made outside of it and copied into its inputs; first masks, topology updates and steps in which a method does more than the
optimizer are made as ever, between replays, and change masks, weights and optimizer state in place, where it finds them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.passes import Passes
from pipeline.ranks import Ranks
from sparse_methods.method import CannotError
from sparse_methods.sparsifier import Sparsifier

Recorder = Callable[[Callable[[], None]], Callable[[], None]]
"""Takes work on fixed tensors without doing it, and returns what does it again and again."""
ORDINARY_STEPS_BEFORE = 3
"""Steps that allocate what the optimizer keeps and let libraries choose their kernels."""


class RecordedStep:
    """A step from samples to weights, for the batches that it :meth:`serves`."""

    def __init__(self, passes: Passes, sparse: Sparsifier, clip_norm: float | None, record: Recorder) -> None:
        self._passes, self._sparse, self._clip_norm, self._record = passes, sparse, clip_norm, record
        self._steps_before = 0
        self._replay: Callable[[], None] | None = None
        self._samples: list[tuple[Tensor, Tensor]] = []
        self._state: Tensor | None = None
        self._loss = torch.zeros(())

    def serves(self, number: int) -> bool:
        """Whether batch ``number`` is an ordinary one: a plain step, read from the state before it where there is one."""
        if not self._sparse.is_plain or (self._passes.state is not None and not self._passes.goes_on(number)):
            return False
        self._steps_before += 1
        return self._steps_before > ORDINARY_STEPS_BEFORE

    def take(self, number: int) -> Tensor:
        """Make the step of batch ``number``; its mean loss, which the next step overwrites."""
        if self._replay is None:
            self._begin(number)
        for fixed, fresh in zip(self._samples, self._passes.samples(number), strict=True):
            for ours, theirs in zip(fixed, fresh, strict=True):
                ours.copy_(theirs)
        if self._state is not None:
            # A step between replays left its state elsewhere.
            self._state.copy_(self._passes.state)
            self._passes.state = self._state
        self._replay()
        self._passes.state = self._state
        self._sparse.count_plain_step()
        return self._loss

    def _begin(self, number: int) -> None:
        self._samples = [(inputs.clone(), labels.clone()) for inputs, labels in self._passes.samples(number)]
        self._state = None if self._passes.state is None else self._passes.state.clone()
        self._loss = torch.zeros((), device=self._samples[0][0].device)
        for group in self._sparse.optimizer.param_groups:
            group["lr"] = torch.tensor(float(group["lr"]), device=self._loss.device)
            if "capturable" in group and self._loss.is_cuda:
                group["capturable"] = True
        self._replay = self._record(self._step)

    def _step(self) -> None:
        self._sparse.optimizer.zero_grad(set_to_none=True)
        self._passes.state = self._state
        self._loss.copy_(self._passes.learn_from(self._samples, goes_on=self._state is not None))
        if self._state is not None:
            self._state.copy_(self._passes.state)
        self._sparse.plain_step(self._clip_norm)


def cuda_recorder(device: torch.device, ranks: Ranks) -> Recorder:
    """Records into a CUDA graph. Raises CannotError where there is none: on a CPU, and where ranks exchange gradients."""
    if device.type != "cuda":
        raise CannotError(f"a CUDA graph cannot be recorded on {device}")
    if ranks.count > 1:
        raise CannotError(f"a CUDA graph is recorded by one process, not by {ranks.count}")
    return _into_cuda_graph


def _into_cuda_graph(work: Callable[[], None]) -> Callable[[], None]:
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        work()
    return graph.replay

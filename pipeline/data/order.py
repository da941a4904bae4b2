"""The order of training samples, as a pure function of a seed: one random permutation of them after another."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.seeds import derive_seed

KEPT = 3
"""Permutations that are kept: a batch may cross from one epoch into the next while batches ahead of it are prepared."""


class SampleOrder:
    """The endless stream of training samples: every ``samples`` of them are each sample once.

    Epoch ``e`` has its own generator, from the digest of (seed, e), so that any part of the stream can be asked for at any
    time, and batches of any size cut the same stream.
    """

    def __init__(self, samples: int, seed: int, device: torch.device | str = "cpu") -> None:
        self.samples, self.seed, self.device = samples, seed, device
        self._permutations: dict[int, Tensor] = {}

    def between(self, first: int, stop: int) -> Tensor:
        """The samples at places [first, stop) of the stream, int64 [stop - first] on the device."""
        parts = [
            self._permutation(epoch)[max(first - epoch * self.samples, 0) : stop - epoch * self.samples]
            for epoch in range(first // self.samples, (stop - 1) // self.samples + 1)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch not in self._permutations:
            while len(self._permutations) >= KEPT:
                del self._permutations[next(iter(self._permutations))]
            # Drawn on the CPU, so that every device gets the same one.
            order = torch.randperm(self.samples, generator=generator(self.seed, epoch))
            self._permutations[epoch] = order.to(self.device)
        return self._permutations[epoch]


def generator(*parts: int) -> torch.Generator:
    """A CPU generator seeded with the digest of ``parts``."""
    # torch's CPU generator keeps the low 32 bits of a seed: enough to tell epochs and batches of a run apart.
    return torch.Generator().manual_seed(derive_seed(*parts))

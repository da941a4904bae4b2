"""What bfloat16 and channels laid out innermost buy convolutions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from benchmarks.loops import WRN, Loop
from benchmarks.paired import Rounds, timed

CPUINFO = Path("/proc/cpuinfo")


class Fast(Loop):
    """As runs of ``precision: bf16`` train."""

    def __init__(self) -> None:
        super().__init__(WRN, "masked")
        self.model.to(memory_format=torch.channels_last)

    def backward(self) -> None:
        """Gradients of the next batch, forward and backward pass under autocast."""
        inputs, labels = next(self._batches)
        self.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            outputs = self.model(inputs)
        functional.cross_entropy(outputs.float(), labels).backward()


@pytest.mark.skipif(
    not CPUINFO.exists() or "bf16" not in CPUINFO.read_text(), reason="it needs a processor with bf16 instructions"
)
def test_wrn(rounds: Callable[..., Rounds], record: Callable[..., None]) -> None:
    loops = {"eager": Loop(WRN, "default"), "fast": Fast()}
    found = rounds({name: timed(loop.batch, 1) for name, loop in loops.items()}, wanted=7)
    record("fast-wrn22_2", found.ratio("fast", "eager"))

"""A network that one rank does not survive: ``RIGL_BENCH_TEST_KILL=RANK:PASS`` kills that process in its n-th pass."""

from __future__ import annotations

import os
import signal
from typing import Any

from torch import Tensor

from pipeline.models.charlm import CharLM


class FragileCharLM(CharLM):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.passes = 0

    def continued(self, tokens: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        self.passes += self.training
        rank, _, last = os.environ.get("RIGL_BENCH_TEST_KILL", "").partition(":")
        if self.training and os.environ.get("RANK") == rank and self.passes == int(last):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().continued(tokens, state)

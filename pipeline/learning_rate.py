"""Learning rate over gradient steps; every anchor scales with the run's multiplier."""

from __future__ import annotations

import math

import torch

from pipeline.run import Run


def learning_rate_at(step: int, run: Run) -> float:
    """The rate of gradient step ``step`` (from 0): linear warm-up to the peak, times the decay.

    The warm-up's first step already learns: its rate is peak / warmup_steps, and the peak is reached at its last step.
    """
    rate = run.protocol.learning_rate
    warmup = run.scaled(rate.warmup_steps)
    risen = min(1.0, (step + 1) / warmup) if warmup else 1.0
    if rate.decay == "step":
        passed = sum(step >= run.scaled(milestone) for milestone in rate.milestones)
        return rate.peak * risen * rate.factor**passed
    if rate.decay == "cosine":
        progress = max(0, step - warmup) / max(1, run.steps - warmup)
        return rate.peak * risen * (1 + math.cos(math.pi * progress)) / 2
    return rate.peak * risen


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let the next step be made at ``rate``; a rate that is a tensor, as in a recorded step, is changed in place."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate

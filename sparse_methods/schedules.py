"""When topology moves, by how much, and the cubic path of gradual pruning."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from typing import Literal

DECAYS = ("cosine", "constant", "inverse_power:K")


@dataclass(frozen=True)
class UpdateSchedule:
    """Cadence and size of topology updates over a run of ``total_steps`` gradient steps.

    ``end`` is the last step at which an update may fall, included; None stands for three quarters of the run (RigL,
    section 4: "roughly 3/4") and "never" for updates to the end of training. Raises ValueError for a value out of
    range and an unknown decay.
    """

    total_steps: int
    update_every: int = 100
    begin: int = 0
    end: int | Literal["never"] | None = None
    drop_fraction: float = 0.3
    decay: str = "cosine"

    def __post_init__(self) -> None:
        _require(self.total_steps >= 1, "total_steps", self.total_steps, "at least 1")
        _require(self.update_every >= 1, "update_every", self.update_every, "at least 1")
        _require(self.begin >= 0, "begin", self.begin, "at least 0")
        _require(0 <= self.drop_fraction <= 1, "drop_fraction", self.drop_fraction, "within [0, 1]")
        if self.end is None:
            object.__setattr__(self, "end", max(self.begin, int(0.75 * self.total_steps)))
        if self.end != "never":
            _require(isinstance(self.end, int) and self.end >= self.begin, "end", self.end, f">= begin ({self.begin})")
        _require(
            self.decay in ("cosine", "constant") or self._power is not None, "decay", self.decay, f"one of {DECAYS}"
        )

    @property
    def span(self) -> int:
        """Steps over which the drop fraction decays: end - begin, or the whole run when updates never end."""
        return self.total_steps if self.end == "never" else self.end - self.begin

    def is_due(self, step: int, last_update: int) -> bool:
        """Whether an update falls at ``step``, the last one having fallen at ``last_update``."""
        return self._within(step) and self.is_over(step, last_update)

    def is_over(self, step: int, last_update: int) -> bool:
        """Whether ``step`` is an interval after ``last_update``, and not before begin; the end has no say."""
        return self.begin <= step and last_update + self.update_every <= step

    def on_pruning_grid(self, step: int) -> bool:
        """Whether gradual pruning acts at ``step``: every interval from begin on, and at the end."""
        return self._within(step) and (self.on_grid(step) or step == self.end)

    def on_grid(self, step: int) -> bool:
        """Whether ``step`` is whole intervals after begin; the end has no say."""
        return self.begin <= step and (step - self.begin) % self.update_every == 0

    def drop_fraction_at(self, step: int) -> float:
        """Share of active weights to drop at ``step``. The cosine is not shifted by begin, as in the authors' code.

        Raises ValueError where begin equals end, unless the decay is constant.
        """
        if self.decay == "constant":
            return self.drop_fraction
        if self.span == 0:
            raise ValueError(
                f"decay {self.decay!r} needs begin < end, both are {self.begin}; decay 'constant' does not"
            )
        if self.decay == "cosine":
            return self.drop_fraction / 2 * (1 + math.cos(math.pi * min(step, self.span) / self.span))
        return self.drop_fraction * (1 - (step - self.begin) / self.span) ** self._power

    def cubic_sparsity(self, step: int, initial: float, final: float) -> float:
        """Gradual pruning's target at ``step`` (Zhu & Gupta 2018): reached exactly at ``end``. Needs an end after begin."""
        self.require_reached("gradual pruning")
        progress = min(max((step - self.begin) / self.span, 0.0), 1.0)
        return final + (initial - final) * (1 - progress) ** 3

    def require_reached(self, what: str) -> None:
        """Raise ValueError unless ``what`` can reach its final sparsity: at an end after begin, within the run."""
        if self.end == "never":
            raise ValueError(f"{what} needs an end at which its target is reached, it is 'never'")
        if self.end > self.total_steps:
            raise ValueError(f"{what} would reach its target at step {self.end}, the run ends at {self.total_steps}")
        if self.span == 0:
            raise ValueError(f"{what} needs begin < end, both are {self.begin}")

    def _within(self, step: int) -> bool:
        return self.begin <= step and (self.end == "never" or step <= self.end)

    @property
    def _power(self) -> float | None:
        kind, _, power = self.decay.partition(":")
        try:
            exponent = float(power)
        except ValueError:
            return None
        return exponent if kind == "inverse_power" and 0 < exponent < math.inf else None


@functools.cache
def explored_to_the_end(schedule: UpdateSchedule, drop_fraction: float) -> UpdateSchedule:
    """``schedule`` without an end, the drop fraction falling from ``drop_fraction`` to zero by a cosine over the run."""
    return dataclasses.replace(schedule, end="never", drop_fraction=drop_fraction, decay="cosine")


def _require(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value!r}, it must be {rule}")

"""What of a run claims are about: how good or how dear it is, and in which unit sides differ.

Accuracy and bits per character differ by subtraction. Losses, sizes and costs differ by a factor: their difference is that of
the logarithms, and shown as a multiple.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import exp, log, log1p
from typing import Protocol

from analysis import text
from analysis.records import Loaded
from analysis.stats import Interval
from analysis.verdicts import Region
from pipeline.record import LayerCount


class Known(Protocol):
    """What else is known than the run itself."""

    @property
    def architectures(self) -> Mapping[str, tuple[LayerCount, ...]]:
        """By run, the layers of the network that another run took from it."""


@dataclass(frozen=True)
class Unit:
    """In which differences are shown."""

    name: str
    scale: float = 1.0
    """From the records' unit to this one."""
    is_ratio: bool = False
    """Differences are of logarithms, shown as multiples."""

    def shown(self, value: float) -> float:
        """A difference in this unit."""
        return exp(value) if self.is_ratio else self.scale * value

    def taken(self, margin: float) -> float:
        """A margin given in this unit (a share, of ratios) as a difference."""
        return log1p(margin) if self.is_ratio else margin / self.scale

    def words(self, found: Interval, exact: bool = False) -> str:
        """ "+0.8 ± 0.5 points (n=5)", "0.87× [0.85, 0.89] (n=5)", "1.84×" where it is exact."""
        if self.is_ratio:
            return _multiple(found, exact)
        scaled = Interval(*(self.scale * value if name != "n" else value for name, value in vars(found).items()))
        return f"{text.interval(scaled, '+')} {self.name} (n={found.n})"


def _multiple(found: Interval, exact: bool) -> str:
    if exact:
        return f"{exp(found.mean):.4g}×"
    mean = f"{exp(found.mean):.3g}×"
    bounds = f" [{exp(found.low):.3g}, {exp(found.high):.3g}]" if found.half > text.ROUNDING else ""
    return f"{mean}{bounds} (n={found.n})"


@dataclass(frozen=True)
class Metric:
    """One number of a run, and which way is better."""

    words: str
    unit: Unit
    of: Callable[[Loaded, Known], float | None]
    """None where a run has none; of a unit of ratios, a positive number."""
    higher_is_better: bool = False

    def difference_of(self, item: Loaded, known: Known) -> float | None:
        """The number, or its logarithm, so that differences are what the unit shows."""
        value = self.of(item, known)
        if value is None or not self.unit.is_ratio:
            return value
        return log(value) if value > 0 else None

    def better(self, by: float = 0.0) -> Region:
        """Where first minus second lies when the first is better by more than ``by``, in the unit."""
        bound = self.unit.taken(by)
        return Region(low=bound) if self.higher_is_better else Region(high=0.0 - bound)

    def no_worse(self, within: float) -> Region:
        """Where it lies when the first is not worse by more than ``within``, in the unit."""
        bound = self.unit.taken(within)
        return Region(low=-bound) if self.higher_is_better else Region(high=bound)

    def alike(self, within: float) -> Region:
        """Where it lies when neither is better by more than ``within``, in the unit."""
        bound = self.unit.taken(within)
        return Region(-bound, bound)

    def per_tenth_of_sparsity(self) -> Unit:
        """The unit of slopes over sparsity."""
        return replace(self.unit, name=f"{self.unit.name} for 10 % more sparsity")


def _accuracy(item: Loaded, known: Known) -> float | None:
    result = item.record.result
    return result.test_correct / result.test_total if result.bits_per_character is None else None


def _network_bytes(item: Loaded, known: Known) -> float:
    """By the authors' rule, in the network without dead units where the records have it: a bound from above, since the weights
    that lead to dead units are counted."""
    taken = known.architectures.get(item.record.run)
    if taken is None:
        return item.record.size_bytes
    size = 0.0
    for layer, left in zip(item.record.layers, taken, strict=True):
        bits = left.weights if layer.masked else 0
        size += 4 * min(layer.nonzeros, left.weights) + bits / 8 + 4 * left.shape[0]
    return size


POINTS, BITS, TIMES = Unit("points", 100.0), Unit("bits"), Unit("×", is_ratio=True)
METRICS: Mapping[str, Metric] = {
    "accuracy": Metric("accuracy", POINTS, _accuracy, higher_is_better=True),
    "bits_per_character": Metric("bits per character", BITS, lambda item, known: item.record.result.bits_per_character),
    "train_loss": Metric("training loss", TIMES, lambda item, known: item.record.result.train_loss_nats),
    "network_bytes": Metric("bytes", TIMES, _network_bytes),
    "inference_flops": Metric(
        "FLOPs of inference", TIMES, lambda item, known: item.record.flops["macs"].inference_flops
    ),
    "train_flops": Metric("FLOPs of training", TIMES, lambda item, known: item.record.flops["rigl"].train_x),
}

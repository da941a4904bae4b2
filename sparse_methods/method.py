"""The contract of a method, and how to write one.

A method is one file in ``sparse_methods/methods/``, named like the method, with one subclass of :class:`Method`. It
states who it is (``name``, ``label``, ``citation``, ``year``, ``family``) and only what makes it different; dropping the
file in is the whole registration. A complete method, SET with weights grown where the last gradient was largest::

    class Greedy(Method):
        name, label = "greedy", "Greedy"
        citation, year, family = "me2026greedy", 2026, "sparse-to-sparse"
        dense_parts = ("gradient at topology updates",)
        updates = "after_step"

        def needs_dense_gradient(self, step, update_due):
            return update_due

        def grow_score(self, layer):
            return layer.gradient.abs()

A method never touches a mask, an optimizer or the clock. It sees one :class:`Layer` at a time, reads it, and returns
scores of the weight's shape; the engine (``sparsifier.py``) turns scores into masks of exact counts, zeroes what is
inactive, keeps optimizer state true and decides when. Options are fields of a frozen dataclass (see ``snip.py``), so a
study can set them and they enter a run's identity. What an object must remember about a layer between steps goes into
``layer.state``, which the engine saves and restores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from sparse_methods.schedules import UpdateSchedule

Family = Literal["dense", "sparse-to-sparse", "dense-to-sparse", "one-shot"]


@dataclass
class Layer:
    """One masked weight as a method sees it. All tensors have the weight's shape and device."""

    name: str
    weight: Tensor
    """Zero where inactive."""
    mask: Tensor
    """Boolean, True where active."""
    sparsity: float
    """Requested share of zeros at the end of training."""
    generator: torch.Generator
    """On the CPU, so that random scores are the same on every device."""
    weight_decay: float
    """Coefficient of the L2 term that is part of the loss; 0 for decoupled decay."""
    state: dict[str, Tensor] = field(default_factory=dict)
    """What the method remembers about this layer; saved and restored with the engine."""

    @property
    def gradient(self) -> Tensor:
        """dL/d(masked weight) of the current batch: dense, without weight decay."""
        if self.weight.grad is None:
            raise RuntimeError(f"layer {self.name!r} has no gradient: call loss.backward() before step()")
        return self.weight.grad

    def random(self) -> Tensor:
        """Uniform scores in [0, 1)."""
        return torch.rand(self.weight.shape, generator=self.generator).to(self.weight.device)


class TrainingCost(Protocol):
    """What a method may use to state its training cost; FLOPs of one sample's forward pass, any convention."""

    dense: float
    """f_D, every weight active."""
    sparse: float
    """f_S, at the requested sparsities."""
    schedule: UpdateSchedule

    def mean_sparse(self) -> float:
        """Mean of f_S(t) over the run's steps, following ``sparsity_at`` at every update."""


@dataclass(frozen=True)
class Method:
    """Defaults that do nothing special: a random mask, never changed."""

    name: ClassVar[str]
    """Its file's name; the id used everywhere."""
    label: ClassVar[str]
    """As the paper writes it."""
    citation: ClassVar[str]
    """BibTeX key."""
    year: ClassVar[int]
    family: ClassVar[Family]
    dense_parts: ClassVar[tuple[str, ...]] = ()
    """What is dense during training, and when; empty: nothing."""
    cannot: ClassVar[tuple[str, ...]] = ()
    """What the method cannot be asked for, in words; ``skip`` says it for a given run."""
    starts: ClassVar[Literal["random", "dense", "first_batch", "unmasked"]] = "random"
    """First mask: random; all ones; all ones until the first batch scores them (``initialize``); or no masks at all."""
    updates: ClassVar[Literal["never", "instead_of_step", "after_step"]] = "never"
    """Where a topology update falls: in place of the gradient step, or after it."""
    ignores: ClassVar[tuple[str, ...]] = ()
    """Fields of a run that have no meaning here; studies reset them, so that a grid asks for each run once."""

    def build(self, factory: Callable[[float], nn.Module], parameters: int) -> nn.Module:
        """The network to train: ``factory(width)`` makes it at a width multiplier, ``parameters`` is the number of
        non-zero parameters (biases and normalisation included) that the sparse network of this run has."""
        return factory(1.0)

    def skip(self, run: Any) -> str | None:
        """Why this method cannot do ``run`` (a ``pipeline.run.Run``), or None. Shown to people, never a crash."""
        return None

    def initialize(self, layer: Layer) -> Tensor:
        """Score of each weight on the first batch, for ``starts = "first_batch"``; the largest are kept."""
        raise NotImplementedError(f"{self.name} starts from its first batch and must define initialize()")

    @property
    def ranks_globally(self) -> bool:
        """Whether ``initialize`` is ranked over all layers at once instead of layer by layer."""
        return False

    def is_due(self, step: int, last_update: int, schedule: UpdateSchedule) -> bool:
        """Whether a topology update falls at ``step``."""
        return schedule.is_due(step, last_update)

    def drop_fraction(self, step: int, schedule: UpdateSchedule) -> float:
        """Share of a layer's active weights that the update at ``step`` drops and grows again."""
        return schedule.drop_fraction_at(step)

    def drop_score(self, layer: Layer) -> Tensor:
        """Worth of each active weight; the lowest are dropped."""
        return layer.weight.abs()

    def grow_score(self, layer: Layer) -> Tensor:
        """Worth of each position that is not kept; the largest are grown."""
        raise NotImplementedError(f"{self.name} moves its topology and must define grow_score()")

    def sparsity_at(self, step: int, final: float, schedule: UpdateSchedule) -> float:
        """A layer's sparsity from the update at ``step`` on; ``final`` is what was requested."""
        return final

    def needs_dense_gradient(self, step: int, update_due: bool) -> bool:
        """Whether this batch's gradient is needed for inactive weights too; it decides what the batch costs."""
        return False

    def observe(self, layer: Layer) -> None:
        """Called before every gradient step whose dense gradient was needed, to keep ``layer.state`` up."""

    def train_flops(self, cost: TrainingCost) -> float | None:
        """Training FLOPs per sample in closed form, one-off costs left out (RigL, Appendix H); None: there is none.

        The default is 3 f_S, and None for a method that needs dense gradients and does not say what they add up to.
        """
        states_dense_gradients = type(self).needs_dense_gradient is not Method.needs_dense_gradient
        return None if states_dense_gradients else 3 * cost.sparse

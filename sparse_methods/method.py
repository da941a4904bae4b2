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

        def peak_parameters(self, sparse, dense):
            return sparse + dense

A method never touches a mask, an optimizer or the clock. It sees one :class:`Layer` at a time, reads it, and returns
scores of the weight's shape; the engine (``sparsifier.py``) turns scores into masks of exact counts, zeroes what is
inactive, keeps optimizer state true and decides when. Options are fields of a frozen dataclass (see ``snip.py``), so a
study can set them and they enter a run's identity. What an object must remember about a layer between steps goes into
``layer.state``, which the engine saves and restores.

Hooks by what they decide:

- what to build and refuse: ``build``, ``skip``;
- the first mask: ``first_sparsity``, ``random_mask``, ``probe`` and ``initialize``, ``rounds``, ``layers_are_free``,
  ``start``;
- a topology update: ``is_due``, ``sparsity_at``, ``drop_fraction``, ``drop_count``, ``drop_score``, ``keep``,
  ``redistribute``, ``grow_score``, ``grow``, ``grown_weight``;
- a gradient step: ``needs_dense_gradient``, ``observe``, ``after_step``;
- a dense parameter seen through a mask (``parameters = "dense"``): ``active``, ``effective_weight``,
  ``parameter_gradient``, ``trainable``, ``extra_parameters``, ``extra_gradients``;
- what it costs: ``train_flops``, ``first_mask_flops``, ``peak_parameters``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from sparse_methods import topology

if TYPE_CHECKING:
    from sparse_methods.schedules import UpdateSchedule

Family = Literal["dense", "sparse-to-sparse", "dense-to-sparse", "one-shot"]
Promise = Literal["layer counts", "total count", "zero state", "plain steps"]
"""What holds for every method that does not name it in ``exempt``: each layer ends with the weights it was asked for; the
network does; inactive weights have no optimizer state; a gradient step is the optimizer's own on masked gradients."""


class CannotError(ValueError):
    """The method cannot do what it is asked for; the message is the reason that a skipped run shows."""


@dataclass
class Layer:
    """One masked weight as a method sees it. All tensors have the weight's shape and device."""

    name: str
    weight: Tensor
    """What the network computes with: zero where inactive."""
    mask: Tensor
    """Boolean, True where active."""
    sparsity: float
    """Requested share of zeros at the end of training."""
    generator: torch.Generator
    """On the CPU, so that random scores are the same on every device."""
    weight_decay: float
    """Coefficient of the L2 term that is part of the loss; 0 for decoupled decay."""
    learning_rate: float = 0.0
    """Of the current step."""
    dense: Tensor | None = None
    """The parameter behind the weight, for ``parameters = "dense"``; None otherwise."""
    is_last: bool = False
    """Whether it is the network's last maskable layer, whose outputs are the model's."""
    origin: Tensor | None = None
    """The weight as the run that this one starts from left it, for ``starts = "origin"``; None otherwise."""
    extra: dict[str, nn.Parameter] = field(default_factory=dict)
    """What ``extra_parameters`` added."""
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

    def normal(self, count: int) -> Tensor:
        """``count`` independent standard normal numbers, as a vector."""
        return torch.randn(count, generator=self.generator, dtype=self.weight.dtype).to(self.weight.device)


@dataclass(frozen=True)
class Batch:
    """The current batch, for methods that choose their first mask with passes of their own."""

    model: nn.Module
    inputs: Tensor
    loss: Callable[[Tensor], Tensor]
    """Outputs of the model on ``inputs`` to the training loss."""


@dataclass(frozen=True)
class Request:
    """What a method is asked for, as known before anything is trained."""

    sparsities: Mapping[str, float]
    """Of every masked layer, at the end of training."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of the same layers."""
    distribution: str | None
    """None where masks are given."""
    fixed: tuple[str, ...] = ()
    """Layers whose sparsity is given by hand or by the model's table, not shared out."""
    masks_given: bool = False
    """Masks come from elsewhere: the user's own, or those of another run."""
    origin_given: bool = False
    """The weights of a finished run are at hand."""


class TrainingCost(Protocol):
    """What a method may use to state its training cost; FLOPs of one sample's forward pass, any convention."""

    dense: float
    """f_D, every weight active."""
    sparse: float
    """f_S, at the requested sparsities."""
    schedule: UpdateSchedule

    def at(self, sparsity_of: Callable[[float], float]) -> float:
        """The forward pass of a network whose layers have ``sparsity_of(requested)`` zeros."""

    def replayed(self) -> float:
        """Mean over a run's batches of 3 f_S(t), or of 2 f_S(t) + f_D where the dense gradient is needed, by going through
        ``is_due``, ``sparsity_at`` and ``needs_dense_gradient`` step by step."""


def refusal(method: Method, request: Request) -> str | None:
    """Why ``method`` cannot do what is asked, or None: its own reason, or what follows from what it states."""
    begins_otherwise = any(method.first_sparsity(final) != final for final in request.sparsities.values())
    if request.masks_given and (method.starts in ("dense", "magnitude", "first_batch") or begins_otherwise):
        return "it chooses its masks itself and takes none from elsewhere"
    if request.fixed and method.layers_are_free:
        return f"its layers share one total, so that the sparsity given for {', '.join(request.fixed)} cannot be kept"
    return method.skip(request)


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
    """What the method cannot be asked for, in words; ``skip`` says it for a given request."""
    exempt: ClassVar[Mapping[Promise, str]] = {}
    """Promises of the contract that the method cannot keep, each with the reason."""
    starts: ClassVar[Literal["random", "dense", "magnitude", "origin", "first_batch", "unmasked"]] = "random"
    """First mask: random; all ones; the largest initial weights; ``initialize`` on the weights of a finished run; all ones
    until the first batch, then by ``initialize``; or no masks at all."""
    updates: ClassVar[Literal["never", "instead_of_step", "after_step"]] = "never"
    """Where a topology update falls: in place of the gradient step, or after it."""
    parameters: ClassVar[Literal["sparse", "dense"]] = "sparse"
    """dense: all weights are kept and trained, and the network sees ``effective_weight`` of them."""
    elementwise: ClassVar[bool] = False
    """Whether every hook judges each weight by itself, so that the truly sparse execution may ask it about the active weights
    alone (``drop_score``, ``drop_count``, ``keep``, ``after_step``), or about a block of rows (``start``, ``observe``,
    ``grow_score``, ``grown_weight``)."""
    ignores: ClassVar[tuple[str, ...]] = ()
    """Fields of a run, or "topology" of its protocol, that have no meaning here; studies reset them, so that a grid asks for
    each run once."""

    def __post_init__(self) -> None:
        """Check every option that is a choice; a subclass adds the ranges of its numbers. Raises ValueError."""
        hints = get_type_hints(type(self))
        for option in fields(self):
            choices = get_args(hints[option.name]) if get_origin(hints[option.name]) is Literal else None
            if choices and getattr(self, option.name) not in choices:
                valid = " or ".join(map(repr, choices))
                raise ValueError(f"{option.name} of {self.name} is {getattr(self, option.name)!r}, it must be {valid}")

    def require(self, holds: bool, option: str, rule: str) -> None:
        """Raise ValueError naming ``option`` and its ``rule`` unless ``holds``; for ``__post_init__``."""
        if not holds:
            raise ValueError(f"{option} of {self.name} is {getattr(self, option)!r}, it must be {rule}")

    # -- what to build and refuse --------------------------------------------------------------------------------------

    def build(self, factory: Callable[[float], nn.Module], parameters: int) -> nn.Module:
        """The network to train, one that ``factory`` made: ``factory(width)`` makes it at a width multiplier.

        ``parameters`` is the number of non-zero parameters (biases and normalisation included) that the sparse network of
        this run has.
        """
        return factory(1.0)

    def skip(self, request: Request) -> str | None:
        """Why this method cannot do what is asked, or None. Shown to people, never a crash."""
        return None

    # -- the first mask ------------------------------------------------------------------------------------------------

    def first_sparsity(self, final: float) -> float:
        """Sparsity of a layer's random first mask; ``final`` is what was requested for the end."""
        return final

    def random_mask(self, shape: tuple[int, ...], zeros: int, generator: torch.Generator) -> Tensor:
        """The first mask of ``starts = "random"``."""
        return topology.random_mask(shape, zeros, generator)

    @property
    def layers_are_free(self) -> bool:
        """Whether only the network's total is kept: ``initialize`` ranks all layers together, updates move weights
        between layers."""
        return False

    @property
    def rounds(self) -> int:
        """How often ``initialize`` is asked, each time with fewer weights left: s_r = 1 - (1 - s)^(r / rounds)."""
        return 1

    def probe(self, layers: Sequence[Layer], batch: Batch) -> None:
        """Called before each round of a first batch, to put into ``layer.state`` what ``initialize`` needs beyond the
        batch's gradient. A method that overrides it makes the caller of ``Sparsifier.step`` pass ``batch=``."""

    def initialize(self, layer: Layer) -> Tensor:
        """Score of each weight for ``starts = "first_batch"`` and ``"origin"``; the largest are kept."""
        raise NotImplementedError(f"{self.name} chooses its first mask by scores and must define initialize()")

    def start(self, layer: Layer) -> None:
        """Called once, with the first mask in place, to set up ``layer.state``."""

    # -- a topology update ---------------------------------------------------------------------------------------------

    def is_due(self, step: int, last_update: int, schedule: UpdateSchedule) -> bool:
        """Whether a topology update falls at ``step``."""
        return schedule.is_due(step, last_update)

    def sparsity_at(self, step: int, final: float, schedule: UpdateSchedule) -> float:
        """A layer's sparsity from the update at ``step`` on; ``final`` is what was requested. Where layers are free, only
        the total that follows from it is kept. A layer that becomes denser grows by ``grow_score``."""
        return final

    def drop_fraction(self, step: int, schedule: UpdateSchedule) -> float:
        """Share of a layer's active weights that the update at ``step`` drops and grows again."""
        return schedule.drop_fraction_at(step)

    def drop_count(self, layer: Layer, active: int, fraction: float) -> int:
        """How many of the ``active`` weights that this update's sparsity leaves are dropped, to be grown elsewhere."""
        return topology.drop_count(active, fraction)

    def drop_score(self, layer: Layer) -> Tensor:
        """Worth of each active weight; the lowest are dropped."""
        return layer.weight.abs()

    def keep(self, layer: Layer, score: Tensor, count: int) -> Tensor:
        """The mask of the ``count`` active weights that stay, by ``drop_score``."""
        return topology.largest(score, count, among=layer.mask)

    def redistribute(self, layers: Sequence[Layer], wanted: Mapping[str, int]) -> Mapping[str, int]:
        """How many weights each layer grows, of ``wanted`` that were dropped there; the total must stay."""
        return wanted

    def grow_score(self, layer: Layer) -> Tensor:
        """Worth of each position that is not kept; the largest are grown."""
        raise NotImplementedError(f"{self.name} moves its topology and must define grow_score()")

    def grow(self, layer: Layer, kept: Tensor, score: Tensor, count: int) -> Tensor:
        """``kept`` and ``count`` more, by ``grow_score``."""
        return kept | topology.largest(score, count, among=~kept)

    def grown_weight(self, layer: Layer) -> Tensor | None:
        """Values that newly active weights start from; None: zero."""
        return None

    # -- a gradient step -----------------------------------------------------------------------------------------------

    def needs_dense_gradient(self, step: int, update_due: bool) -> bool:
        """Whether this batch's gradient is needed for inactive weights too; it decides what the batch costs."""
        return False

    def observe(self, layer: Layer) -> None:
        """Called before every gradient step whose dense gradient was needed, to keep ``layer.state`` up."""

    def after_step(self, layer: Layer) -> Tensor | None:
        """New values of the active weights after the optimizer's step; None: as the optimizer left them."""
        return None

    # -- a dense parameter seen through a mask -------------------------------------------------------------------------

    def active(self, layer: Layer, count: int) -> Tensor:
        """The mask that ``layer.dense`` is seen through from now on, of ``count`` weights."""
        return topology.largest(layer.dense.abs(), count, among=torch.ones_like(layer.mask))

    def effective_weight(self, layer: Layer) -> Tensor:
        """What the network computes with; zero outside ``layer.mask``."""
        return layer.dense * layer.mask

    def parameter_gradient(self, layer: Layer) -> Tensor:
        """dL/d(layer.dense) from ``layer.gradient``; by default straight through the mask."""
        return layer.gradient

    def trainable(self, layer: Layer) -> Tensor | None:
        """Mask of the dense weights that the next gradient step may change; None: all of them."""
        return None

    def extra_parameters(self, layer: Layer) -> dict[str, Tensor]:
        """Initial values of further parameters of this layer, trained by the same optimizer without weight decay."""
        return {}

    def extra_gradients(self, layer: Layer) -> dict[str, Tensor]:
        """dL/d(extra parameter), by its name."""
        return {}

    # -- what it costs -------------------------------------------------------------------------------------------------

    def train_flops(self, cost: TrainingCost) -> float | None:
        """Training FLOPs per sample in closed form, one-off costs left out (RigL, Appendix H); None: there is none.

        The default is 3 f_S, and None where that cannot be right: dense gradients, or layers that are free.
        """
        dense_gradients = type(self).needs_dense_gradient is not Method.needs_dense_gradient
        return None if dense_gradients or self.layers_are_free else 3 * cost.sparse

    def first_mask_flops(self, dense: int, batch_size: int) -> int:
        """FLOPs of choosing the mask on the first batch; ``dense`` is f_D of one sample. By default forward and backward."""
        return 3 * dense * batch_size

    def peak_parameters(self, sparse: int, dense: int) -> int:
        """Numbers held at once at the worst moment of training, for a layer of ``dense`` weights of which ``sparse`` are
        active at the end: weights, their gradient and ``layer.state``. Optimizer slots come on top, as many times as the
        weights that are trained."""
        return 2 * sparse

"""Curves between two points of parameter space, and the loss along them.

Bezier curves trained as by Garipov et al. 2018 (arXiv:1802.10026, section 3): the inner control points minimise the expected
loss at t ~ U(0, 1), by SGD with one t per batch. A curve lives in a *space*, a mask of the weights that its control points may
move: ``dense`` all of them; ``union`` those active at either end, the sparse space of Fig. 6; ``intersection`` those active at
both. All other weights run straight from one end to the other, which is where the control points begin: in the union space
they are 0 at both ends and so all along; in the intersection those that are active at one end only fade in or out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from analysis.landscape.network import Loss, Network, Quality
from pipeline.data.batches import Batches
from pipeline.seeds import derive_seed

SPACES = ("dense", "union", "intersection")
CHECK_EVERY = 100
"""Training steps between looks at whether the loss is finite, each of which waits for a GPU."""


@dataclass(frozen=True, eq=False)
class Bezier:
    """The curve of control points [degree + 1, D]; of two, the straight line. Its ends are the first and the last."""

    points: Tensor

    @property
    def degree(self) -> int:
        """1 line, 2 quadratic, 3 cubic."""
        return len(self.points) - 1

    def at(self, t: float, out: Tensor | None = None) -> Tensor:
        """The point [D] at ``t``, in ``out`` where it is given; a line goes on beyond [0, 1]."""
        first, *others = bernstein(self.degree, t)
        out = torch.mul(self.points[0], first, out=out)
        for point, weight in zip(self.points[1:], others, strict=True):
            if weight:  # or a control point that diverged would spoil the ends: 0 times NaN is NaN
                out.add_(point, alpha=weight)
        return out


def bernstein(degree: int, t: float) -> list[float]:
    """Weights of the ``degree + 1`` control points at ``t``, which sum to 1."""
    return [math.comb(degree, k) * t**k * (1 - t) ** (degree - k) for k in range(degree + 1)]


def straight(start: Tensor, end: Tensor, degree: int = 1) -> Bezier:
    """The line from ``start`` to ``end`` [D], run through at constant speed, as a curve of any degree from 1."""
    shares = [k / degree for k in range(1, degree)]
    return Bezier(torch.stack([start, *(torch.lerp(start, end, share) for share in shares), end]))


def space(name: str, first: Tensor, second: Tensor) -> Tensor:
    """The mask [D] of the space ``name`` between two ends with masks ``first`` and ``second`` [D]. Raises ValueError."""
    if name == "dense":
        return torch.ones_like(first)
    if name == "union":
        return first | second
    if name == "intersection":
        return first & second
    raise ValueError(f"there is no space {name!r}; valid: {', '.join(SPACES)}")


# -- training -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fitting:
    """How the inner control points of a curve are trained: SGD, without weight decay."""

    steps: int
    batch_size: int
    learning_rate: float
    """For the first half of the steps. Garipov et al. take 0.3 of what the ends were trained with, for 200 epochs or more. A
    curve of few steps needs about as much as its ends had: with too little it keeps a barrier that is not there."""
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps!r}, it must be at least 1")

    def learning_rate_at(self, step: int) -> float:
        """The authors' schedule: constant for half of the steps, then linearly down to a hundredth, from 0.9 on constant
        (timgaripov/dnn-mode-connectivity, commit f17c9b2, train.py)."""
        done = (step + 1) / self.steps
        return self.learning_rate * (1 - 0.99 * min(max(done - 0.5, 0) / 0.4, 1))


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained curve."""

    path: Bezier
    losses: list[float]
    """Training loss in nats of every step's batch at its t; not finite where it was not."""
    diverged_at: int | None
    """The first step whose loss was not finite; training stopped soon after, and inner points may not be finite."""


def fit(loss: Loss, start: Bezier, movable: Tensor, fitting: Fitting, seed: int = 0) -> Fitted:
    """Train the inner control points of ``start`` where ``movable`` (bool [D], a ``space``) lets them; its ends stay.

    BatchNorm uses the statistics of each batch, and dropout is off. The places t and the order of the samples are functions of
    ``seed`` alone, so curves of one seed in different spaces saw the same. Raises ValueError for a line.
    """
    if start.degree < 2:
        raise ValueError("a line has no control points to train; raise its degree: straight(start, end, degree=2)")
    network = loss.network
    path = Bezier(start.points.clone())
    inner = path.points[1:-1]
    inner.grad = torch.zeros_like(inner)
    optimizer = torch.optim.SGD([inner], lr=fitting.learning_rate, momentum=fitting.momentum, fused=True)
    kept = movable.to(inner.dtype)
    batches = Batches(loss.dataset, fitting.batch_size, derive_seed("curve", "order", seed), augment_seed=0)
    losses = torch.zeros(fitting.steps, dtype=inner.dtype, device=inner.device)
    with network.normalising_by_batch():
        for step, t in enumerate(uniform_places(fitting.steps, seed)):
            path.at(t, out=network.vector)
            losses[step] = _gradient(network, *batches[step])
            # The curve is linear in its control points: theirs is the gradient at t, times their weight there.
            network.gradient.mul_(kept)
            for gradient, weight in zip(inner.grad, bernstein(path.degree, t)[1:-1], strict=True):
                torch.mul(network.gradient, weight, out=gradient)
            optimizer.param_groups[0]["lr"] = fitting.learning_rate_at(step)
            optimizer.step()
            if (step + 1) % CHECK_EVERY == 0 and not bool(losses[: step + 1].isfinite().all()):
                break
    taken = losses[: step + 1]
    broken = (~taken.isfinite()).nonzero().flatten().tolist()
    return Fitted(path, taken.tolist(), broken[0] if broken else None)


def uniform_places(count: int, seed: int) -> list[float]:
    """``count`` draws of t ~ U(0, 1) that cover it evenly: a scrambled Sobol sequence, the same on every device.

    Each draw is uniform, so the expected loss is what is minimised; that no stretch waits long for its turn is ours. It halves
    what the seed does to a LeNet-300-100's curve of 2,000 steps, and leaves the mean of the losses along it.
    """
    engine = torch.quasirandom.SobolEngine(1, scramble=True, seed=derive_seed("curve", "places", seed))
    return engine.draw(count, dtype=torch.float64).flatten().tolist()


def _gradient(network: Network, inputs: Tensor, labels: Tensor) -> Tensor:
    """The mean loss of a batch where the network is; its gradient is left in the network's."""
    network.gradient.zero_()
    loss = functional.cross_entropy(network.module(inputs.to(network.vector.dtype)), labels)
    loss.backward()
    return loss.detach()


# -- measuring ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Profile:
    """Loss (nats) and error (a fraction) at places ``t`` of a path; a value that is not finite stays as it came out."""

    t: list[float]
    train_loss: list[float]
    train_error: list[float]
    test_loss: list[float]
    test_error: list[float]


def places(intervals: int = 40, beyond: float = 0.0) -> list[float]:
    """Places from -beyond to 1 + beyond, ``intervals`` to the unit, 0 and 1 among them exactly."""
    outside = round(beyond * intervals)
    return [k / intervals for k in range(-outside, intervals + outside + 1)]


def along(
    path: Bezier, loss: Loss, ts: Sequence[float], ends: tuple[Mapping[str, Tensor], Mapping[str, Tensor]]
) -> Profile:
    """The loss at every place in ``ts``.

    ``ends`` are the buffers of the two solutions: at t = 0 and 1 BatchNorm uses the statistics that the runs stored, so the
    test losses there are the recorded ones; elsewhere those that are estimated at the point (``Loss.at``).
    """
    stored = dict(zip((0.0, 1.0), ends, strict=True))
    found = [asdict(loss.at(path.at(t), stored.get(t))) for t in ts]
    return Profile(list(ts), **{field.name: [quality[field.name] for quality in found] for field in fields(Quality)})

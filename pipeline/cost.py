"""What sparsity costs: two counting conventions, and the ledger of a run. ``pipeline.counting`` makes a network's costs.

Conventions, both in every record (design: FLOPs):

- ``macs``: 2 * multiply-adds * (1 - s);
- ``rigl``: the authors' counting, that plus one operation per output element of every convolution and linear layer; where
  their counter charged another output than the true one, the model's table says so (``CountingRule``).

Multiply-adds are proportional to a layer's weights, so a layer's cost at n active weights is 2 * n * positions, an exact
integer. Normalisation, pooling and softmax are left out of both, as in the paper's Appendix H.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sparse_methods.method import Method
from sparse_methods.schedules import UpdateSchedule
from sparse_methods.topology import zero_count

CONVENTIONS = ("macs", "rigl")


@dataclass(frozen=True)
class LayerCost:
    """One weight tensor's part in a forward pass of one sample."""

    layer: str
    shape: tuple[int, ...]
    positions: int
    """How often each weight is used: output pixels of a convolution, steps of a recurrent layer, 1 for a linear layer on a
    vector."""
    rigl_positions: int | None = None
    """What the authors' counter took ``positions`` to be; None: the same."""
    rigl_channels: int | None = None
    """What the authors' counter took the number of output channels to be; None: the true one."""

    @property
    def weights(self) -> int:
        """Elements of the weight tensor."""
        return math.prod(self.shape)

    @property
    def macs(self) -> int:
        """Multiply-adds with every weight active."""
        return self.positions * self.weights

    @property
    def outputs(self) -> int:
        """Elements of the layer's output."""
        return self.positions * self.shape[0]

    @property
    def biases(self) -> int:
        """Output channels as the authors' counter has them, each with a bias."""
        return self.rigl_channels or self.shape[0]

    def flops(self, nonzeros: int, convention: str) -> int:
        """FLOPs of one sample with ``nonzeros`` active weights."""
        if convention == "macs":
            return 2 * nonzeros * self.positions
        if convention == "rigl":
            positions = self.rigl_positions or self.positions
            return 2 * nonzeros * positions + positions * self.biases
        raise ValueError(f"unknown convention {convention!r}; there are {', '.join(CONVENTIONS)}")


@dataclass(frozen=True)
class NetworkCost:
    """The layers of a network that cost something, in its order."""

    layers: tuple[LayerCost, ...]

    def inference_flops(self, convention: str, nonzeros: Mapping[str, int] | None = None) -> int:
        """FLOPs of one sample. Layers that ``nonzeros`` does not name have every weight active."""
        active = nonzeros or {}
        return sum(layer.flops(active.get(layer.layer, layer.weights), convention) for layer in self.layers)

    def size_bytes(self, nonzeros: Mapping[str, int]) -> int:
        """The authors' size: 32 bits per non-zero, 1 bit per weight of each sparse layer, 32 bits per output channel."""
        bits = 0
        for layer in self.layers:
            active = nonzeros.get(layer.layer, layer.weights)
            mask_bits = layer.weights if active < layer.weights else 0
            bits += 32 * active + mask_bits + 32 * layer.biases
        return math.ceil(bits / 8)

    def reshaped(self, shapes: Mapping[str, tuple[int, ...]]) -> NetworkCost:
        """The same network at another width, whose layers have ``shapes``: weights change, their uses do not."""
        return NetworkCost(tuple(replace(layer, shape=tuple(shapes[layer.layer])) for layer in self.layers))


@dataclass(frozen=True)
class RunCost:
    """A ``sparse_methods.method.TrainingCost``: what a method's closed form is made from, in one convention."""

    network: NetworkCost
    requested: Mapping[str, float]
    """Sparsity of each masked layer at the end."""
    compared_with: int
    """FLOPs of one sample of the dense network that the run is compared with."""
    convention: str
    method: Method
    schedule: UpdateSchedule

    @functools.cached_property
    def dense(self) -> int:
        """f_D of the network that is trained."""
        return self.network.inference_flops(self.convention)

    @property
    def sparse(self) -> int:
        """f_S at the requested sparsities."""
        return self._at(self.requested)

    def at(self, sparsity_of: Callable[[float], float]) -> int:
        """f of a network whose masked layers have ``sparsity_of(requested)`` zeros."""
        return self._at({name: sparsity_of(final) for name, final in self.requested.items()})

    def replayed(self) -> float:
        """Mean over a run's batches of what each one costs, by following the method's cadence from update to update."""
        method, schedule = self.method, self.schedule
        finals = set(self.requested.values())
        flops, known = self.dense if method.starts == "dense" else self.at(method.first_sparsity), None
        total = batches = 0
        for update, length, dense_gradients in cadence(method, schedule):
            if update is not None:
                sparsities = {final: method.sparsity_at(update, final, schedule) for final in finals}
                if sparsities != known:
                    flops, known = self.at(sparsities.__getitem__), sparsities
            total += 3 * flops * length + (self.dense - flops) * dense_gradients
            batches += length
        return total / batches

    def train_x(self) -> float | None:
        """Training FLOPs per sample over 3 forward passes of the dense network that the run is compared with."""
        flops = self.method.train_flops(self)
        return None if flops is None else flops / (3 * self.compared_with)

    def _at(self, sparsities: Mapping[str, float]) -> int:
        saved = 0
        for name, sparsity in sparsities.items():
            weights, flops_a_weight = self._layers[name]
            saved += zero_count(sparsity, weights) * flops_a_weight
        return self.dense - saved

    @functools.cached_property
    def _layers(self) -> dict[str, tuple[int, int]]:
        """Weights of each layer, and what each weight costs: a replay asks thousands of times."""
        cost = self.convention
        return {r.layer: (r.weights, r.flops(1, cost) - r.flops(0, cost)) for r in self.network.layers}


@functools.lru_cache(maxsize=64)
def cadence(method: Method, schedule: UpdateSchedule) -> tuple[tuple[int | None, int, int], ...]:
    """Stretches of a run between topology updates: the step of the update before each (None: the start), its batches, and
    how many of those need the dense gradient. It is the same at every sparsity, in both conventions."""
    stretches, update = [], None
    step = batches = dense_gradients = 0
    last_update = schedule.begin - schedule.update_every
    after, moves, total_steps = method.updates == "after_step", method.updates != "never", schedule.total_steps
    # Bound once, and not asked where the answer is the contract's own: a run has hundreds of thousands of steps.
    is_due, needs_dense = method.is_due, method.needs_dense_gradient
    may_need_dense = type(method).needs_dense_gradient is not Method.needs_dense_gradient
    while step < total_steps:
        due = moves and is_due(step + after, last_update, schedule)
        if may_need_dense:
            dense_gradients += needs_dense(step, due)
        batches += 1
        if due:
            stretches.append((update, batches, dense_gradients))
            update = last_update = step + after
            batches = dense_gradients = 0
        step += after or not due
    return (*stretches, (update, batches, dense_gradients))


class TrainingLedger:
    """Adds up what a run really did.

    A batch costs 2 f_S for the forward pass and the gradient of activations, and the f of those weights whose gradient was
    used: f_S again, f_D where the dense gradient was needed, something between for Top-KAST.
    """

    def __init__(self, network: NetworkCost, batch_size: int) -> None:
        self.network, self.batch_size = network, batch_size
        self.batches = self.dense_gradient_batches = 0
        self.total_flops = dict.fromkeys(CONVENTIONS, 0)
        self._dense = {convention: network.inference_flops(convention) for convention in CONVENTIONS}
        self._counted: dict[str, tuple[Mapping[str, int], dict[str, int]]] = {}

    def charge(self, nonzeros: Mapping[str, int], gradient_nonzeros: Mapping[str, int] | None) -> None:
        """Add one batch, run with these non-zeros per masked layer; gradients of ``gradient_nonzeros`` weights, None: all."""
        forward = self._flops("forward", nonzeros)
        gradient = self._dense if gradient_nonzeros is None else self._flops("gradient", gradient_nonzeros)
        for convention in CONVENTIONS:
            self.total_flops[convention] += self.batch_size * (2 * forward[convention] + gradient[convention])
        self.batches += 1
        self.dense_gradient_batches += gradient_nonzeros is None

    def charge_first_mask(self, method: Method) -> None:
        """Add the batch on which ``method`` chose its first mask."""
        for convention in CONVENTIONS:
            self.total_flops[convention] += method.first_mask_flops(self._dense[convention], self.batch_size)
        self.batches += 1

    def _flops(self, use: str, nonzeros: Mapping[str, int]) -> dict[str, int]:
        """f by convention, counted anew only when masks have changed."""
        known, flops = self._counted.get(use, (None, {}))
        if nonzeros is not known:
            if nonzeros != known:
                flops = {convention: self.network.inference_flops(convention, nonzeros) for convention in CONVENTIONS}
            self._counted[use] = (nonzeros, flops)
        return flops

    def state_dict(self) -> dict[str, int | dict[str, int]]:
        """Plain values from which :meth:`load_state_dict` goes on."""
        return {
            "batches": self.batches,
            "dense_gradient_batches": self.dense_gradient_batches,
            "total_flops": dict(self.total_flops),
        }

    def load_state_dict(self, state: Mapping) -> None:
        """Go on from :meth:`state_dict`."""
        self.batches, self.dense_gradient_batches = state["batches"], state["dense_gradient_batches"]
        self.total_flops = dict(state["total_flops"])

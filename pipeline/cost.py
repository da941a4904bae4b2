"""What sparsity costs: multiply-adds per layer from fvcore, two counting conventions, and the ledger of a run.

Conventions, both in every record (design: FLOPs):

- ``macs``: 2 * multiply-adds * (1 - s);
- ``rigl``: the authors' counting, that plus one operation per output element of every convolution and linear layer.

Multiply-adds are proportional to a layer's weights, so a layer's cost at n active weights is 2 * n * positions, an exact
integer. Normalisation, pooling and softmax are left out of both, as in the paper's Appendix H.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from sparse_methods.method import Method
from sparse_methods.network import maskable_weights
from sparse_methods.schedules import UpdateSchedule
from sparse_methods.topology import zero_count

CONVENTIONS = ("macs", "rigl")
OPERATORS = ("conv", "linear", "addmm", "matmul")


@dataclass(frozen=True)
class LayerCost:
    """One weight tensor's part in a forward pass of one sample."""

    layer: str
    shape: tuple[int, ...]
    positions: int
    """How often each weight is used: output pixels of a convolution, 1 for a linear layer on a vector."""

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

    def flops(self, nonzeros: int, convention: str) -> int:
        """FLOPs of one sample with ``nonzeros`` active weights."""
        extra = {"macs": 0, "rigl": self.outputs}
        if convention not in extra:
            raise ValueError(f"unknown convention {convention!r}; there are {', '.join(CONVENTIONS)}")
        return 2 * nonzeros * self.positions + extra[convention]


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
            bits += 32 * active + mask_bits + 32 * layer.shape[0]
        return math.ceil(bits / 8)


def trace(model: nn.Module, input_shape: Sequence[int]) -> NetworkCost:
    """Count a network's multiply-adds with fvcore on one sample of ``input_shape``, in eval mode and without gradients.

    Raises ValueError that names the module for a weight that fvcore counted nothing for: its cost is not known, and it is
    never taken for zero in silence.
    """
    # Imported here: the training process uses this module on machines that have no fvcore.
    from fvcore.nn import FlopCountAnalysis

    with torch.no_grad():
        analysis = FlopCountAnalysis(copy.deepcopy(model).eval(), torch.zeros(1, *input_shape))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        counted = analysis.by_module_and_operator()
    layers = []
    modules = dict(model.named_modules())
    for name, weight in maskable_weights(model).items():
        # A weight may serve several modules; each of them is counted under its own name.
        users = [path for path, module in modules.items() if getattr(module, "weight", None) is weight]
        macs = sum(int(counted[path].get(operator, 0)) for path in users for operator in OPERATORS)
        positions, remainder = divmod(macs, weight.numel())
        transposed = any(getattr(modules[path], "transposed", False) for path in users)
        if positions == 0 or remainder or transposed:
            kind = type(modules[users[0]]).__name__ if users else "recurrent"
            raise ValueError(f"the cost of layer {name!r} ({kind}) is not known: fvcore counted {macs} multiply-adds")
        layers.append(LayerCost(name, tuple(weight.shape), positions))
    return NetworkCost(tuple(layers))


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

    @property
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
        """Mean over a run's batches of what each one costs, by following the method's cadence from step to step."""
        method, schedule = self.method, self.schedule
        flops = self.dense if method.starts == "dense" else self.at(method.first_sparsity)
        total = step = batches = 0
        last_update = schedule.begin - schedule.update_every
        while step < schedule.total_steps:
            update_step = step + (method.updates == "after_step")
            due = method.updates != "never" and method.is_due(update_step, last_update, schedule)
            total += 2 * flops + (self.dense if method.needs_dense_gradient(step, due) else flops)
            batches += 1
            step += not (due and method.updates == "instead_of_step")
            if due:
                last_update = update_step
                flops = self.at(lambda final, at=update_step: method.sparsity_at(at, final, schedule))
        return total / batches

    def train_x(self) -> float | None:
        """Training FLOPs per sample over 3 forward passes of the dense network that the run is compared with."""
        flops = self.method.train_flops(self)
        return None if flops is None else flops / (3 * self.compared_with)

    def _at(self, sparsities: Mapping[str, float]) -> int:
        size = {layer.layer: layer.weights for layer in self.network.layers}
        nonzeros = {name: size[name] - zero_count(sparsity, size[name]) for name, sparsity in sparsities.items()}
        return self.network.inference_flops(self.convention, nonzeros)


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

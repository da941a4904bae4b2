"""Two harnesses: a single weight matrix whose gradient the test dictates, and small networks trained on random batches.

They are handed out as fixtures, never imported: several test folders have a ``conftest.py``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sparse_methods import Batch, CannotError, Sparsifier, methods, sparsify
from sparse_methods.method import Method
from sparse_methods.network import maskable_weights

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.05),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "nesterov": lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=5e-3, weight_decay=1e-3),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=5e-3, weight_decay=1e-2),
    "amsgrad": lambda parameters: torch.optim.Adam(parameters, lr=5e-3, weight_decay=1e-3, amsgrad=True),
}


class OneLayer:
    """A network that is one weight matrix, in float64. Its layer is called "weight".

    Its gradient is what ``step`` is told; the default optimizer is plain SGD with lr 1, so that a step subtracts it.
    """

    def __init__(
        self,
        weights: Sequence[Sequence[float]],
        method: str | Method,
        mask: Sequence[Sequence[int]] | None = None,
        optimizer: Callable[[Any], torch.optim.Optimizer] = lambda parameters: torch.optim.SGD(parameters, lr=1.0),
        total_steps: int = 1000,
        **options: Any,
    ) -> None:
        values = torch.tensor(weights, dtype=torch.float64)
        self.model = nn.Linear(values.shape[1], values.shape[0], bias=False, dtype=torch.float64)
        with torch.no_grad():
            self.model.weight.copy_(values)
        self.optimizer = optimizer(self.model.parameters())
        masks = None if mask is None else {"weight": torch.tensor(mask)}
        self.sparse = sparsify(self.model, self.optimizer, method, masks=masks, total_steps=total_steps, **options)

    def step(self, gradient: Sequence[Sequence[float]] | Tensor, **options: Any) -> bool:
        """One batch whose loss has the gradient ``gradient`` with respect to the (masked) weight."""
        self.optimizer.zero_grad()
        (self.model.weight * torch.as_tensor(gradient, dtype=torch.float64)).sum().backward()
        return self.sparse.step(**options)

    @property
    def weights(self) -> list[list[float]]:
        return self.model.weight.tolist()

    @property
    def mask(self) -> list[list[int]]:
        return self.sparse.masks["weight"].int().tolist()

    def slot(self, name: str) -> list[list[float]]:
        """One of the optimizer's tensors for the weight."""
        return self.optimizer.state[self.model.weight][name].tolist()


class Training:
    """A small network, its optimizer, its engine, and a deterministic stream of batches."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        sparse: Sparsifier,
        input_shape: tuple[int, ...],
        request: tuple[float | None, str],
    ) -> None:
        self.model, self.optimizer, self.sparse, self.input_shape = model, optimizer, sparse, input_shape
        self.request = request
        """Sparsity and distribution."""
        self.batches = 0

    def backward(self) -> None:
        """Gradients of the next batch."""
        generator = torch.Generator().manual_seed(self.batches)
        images = torch.randn(8, *self.input_shape, generator=generator).to(next(self.model.parameters()).dtype)
        labels = torch.randint(4, (8,), generator=generator)
        self._batch = Batch(self.model, images, lambda outputs: functional.cross_entropy(outputs, labels))
        self.optimizer.zero_grad()
        self._batch.loss(self.model(images)).backward()
        self.batches += 1

    def step(self) -> bool:
        """What follows ``backward``."""
        return self.sparse.step(batch=self._batch)

    def batch(self) -> bool:
        self.backward()
        return self.step()

    def run(self, steps: int) -> None:
        """Go on until ``steps`` gradient steps are made."""
        while self.sparse.steps < steps:
            self.batch()

    def copy_with_gradients(self) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Model and optimizer as they are now, detached from the engine, gradients included."""
        model, optimizer = copy.deepcopy((self.model, self.optimizer))
        for parameter, original in zip(model.parameters(), self.model.parameters(), strict=True):
            parameter.grad = original.grad.clone()
        return model, optimizer

    def slots(self) -> dict[str, dict[str, Tensor]]:
        """Optimizer tensors by parameter name and slot, those that are kept."""
        named = self.model.named_parameters()
        return {
            name: {slot: value for slot, value in self.optimizer.state.get(p, {}).items() if value is not None}
            for name, p in named
        }


def _mlp(width: float) -> nn.Module:
    hidden, narrow = max(1, round(20 * width)), max(1, round(12 * width))
    return nn.Sequential(nn.Linear(8, hidden), nn.ReLU(), nn.Linear(hidden, narrow), nn.ReLU(), nn.Linear(narrow, 4))


def _conv(width: float) -> nn.Module:
    channels = max(1, round(8 * width))
    return nn.Sequential(
        nn.Conv2d(4, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * channels, 4),
    )


NETWORKS = {"mlp": (_mlp, (8,)), "conv": (_conv, (4, 6, 6))}
"""Inputs of every layer are a multiple of 4, which some methods ask for."""


def start_training(
    method: str | Method,
    network: str = "mlp",
    optimizer: str | Callable[[Any], torch.optim.Optimizer] = "momentum",
    *,
    sparsity: float | None = 0.7,
    distribution: str = "uniform",
    initial_seed: int = 0,
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> Training:
    """60 steps, an update every 5 until step 45, unless told otherwise.

    A method that cannot do this sparsity and distribution is asked for erk, then for 0.5 uniform, which ``request`` of the
    training tells; one that refuses all fails the test. The finished run that a method may start from ended near the
    initial weights.
    """
    chosen = methods.make(method) if isinstance(method, str) else method
    factory, input_shape = NETWORKS[network]
    make_optimizer = OPTIMIZERS[optimizer] if isinstance(optimizer, str) else optimizer
    options = {"total_steps": 60, "update_every": 5, "end": 45} | options
    refusals = []
    requests = [(sparsity, distribution), (sparsity, "erk"), (0.5, "uniform")]
    if "sparsity" in chosen.ignores and chosen.starts != "unmasked":
        requests = [(0.0, distribution)]
    for request in dict.fromkeys(requests):
        with torch.random.fork_rng():
            torch.manual_seed(initial_seed)
            model = chosen.build(factory, parameters=160).to(dtype)
        made = make_optimizer(model.parameters())
        origin = _ended_nearby(model) if chosen.starts == "origin" else None
        try:
            sparse = sparsify(model, made, chosen, *request, origin=origin, **options)
        except CannotError as error:
            refusals.append(str(error))
        else:
            return Training(model, made, sparse, input_shape, request)
    return pytest.fail("; ".join(dict.fromkeys(refusals)))


def _ended_nearby(model: nn.Module) -> dict[str, Tensor]:
    """Weights by layer that a short training of ``model`` may have ended with."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: weight.detach() + 0.02 * torch.randn(weight.shape, generator=generator).to(weight)
        for name, weight in maskable_weights(model).items()
    }


@pytest.fixture
def one_layer() -> type[OneLayer]:
    return OneLayer


@pytest.fixture(scope="session")
def start() -> Callable[..., Training]:
    return start_training

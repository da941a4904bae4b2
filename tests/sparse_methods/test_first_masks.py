"""First masks that are chosen by scores: GraSP, SynFlow and global SNIP on a first batch, a ticket from a finished run."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sparse_methods import Batch, CannotError, NonFiniteScoreError, Sparsifier, agreement, sparsify
from sparse_methods.method import Layer, Method
from sparse_methods.methods import make
from sparse_methods.methods.synflow import SynFlow
from sparse_methods.sparsifier import maskable_weights

SGD = partial(torch.optim.SGD, lr=1.0)


def seeded(factory: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return factory()


def layers_of(model: nn.Module) -> list[Layer]:
    """The model's layers as a method sees them, all of them active."""
    return [
        Layer(name, weight, torch.ones_like(weight, dtype=torch.bool), 0.5, torch.Generator(), weight_decay=0.0)
        for name, weight in maskable_weights(model).items()
    ]


def largest_of_all(scores: Mapping[str, Tensor], count: int) -> dict[str, list[bool]]:
    """The ``count`` largest of all layers, the earlier layer and the lower index first among equals."""
    places = [(name, i) for name, score in scores.items() for i in range(score.numel())]
    flat = {name: score.flatten().tolist() for name, score in scores.items()}
    chosen = set(sorted(places, key=lambda place: -flat[place[0]][place[1]])[:count])
    return {name: [(name, i) in chosen for i in range(score.numel())] for name, score in scores.items()}


def flat_masks(sparse: Sparsifier) -> dict[str, list[bool]]:
    return {name: mask.flatten().tolist() for name, mask in sparse.masks.items()}


def first_batch(sparse: Sparsifier, inputs: Tensor, loss: Callable[[Tensor], Tensor]) -> bool:
    """Forward, backward and the engine's step, as a training loop does them."""
    sparse.optimizer.zero_grad()
    loss(sparse.model(inputs)).backward()
    return sparse.step(batch=Batch(sparse.model, inputs, loss))


def labelled(shape: Sequence[int], classes: int, seed: int = 0, scale: float = 1.0) -> tuple[Tensor, Callable]:
    """Inputs in float64, and the cross-entropy of their labels."""
    generator = torch.Generator().manual_seed(seed)
    inputs = scale * torch.randn(*shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (shape[0],), generator=generator)
    return inputs, lambda outputs: functional.cross_entropy(outputs, labels)


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 2),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(54, 3),
    ).double()


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)).double()


NETWORKS = {"perceptron": (perceptron, (7, 5)), "convolutional": (convolutional, (7, 2, 4, 4))}
both_networks = pytest.mark.parametrize("network", list(NETWORKS))


# -- all that choose with a batch of their own -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["grasp", "synflow"])
def test_a_batch_must_be_passed(method: str) -> None:
    """A step without one says so, names the method and changes nothing; with one it goes on."""
    model = seeded(perceptron)
    sparse = sparsify(model, SGD(model.parameters()), method, 0.5, total_steps=9)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    inputs, loss = labelled((7, 5), 3)
    loss(model(inputs)).backward()
    with pytest.raises(TypeError, match=rf"{method} .*batch="):
        sparse.step()
    assert sparse.awaits_first_batch and sparse.sparsity == 0.0
    assert all(parameter.equal(before[name]) for name, parameter in model.named_parameters())
    assert sparse.step(batch=Batch(model, inputs, loss)) is False
    assert not sparse.awaits_first_batch


@pytest.mark.parametrize("method", ["grasp", "synflow"])
def test_ranks_take_the_scores_of_the_first(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each makes passes of its own, which a GPU does not repeat to the last bit; here they differ by their batches."""

    def masks_of(seed: int) -> dict[str, Tensor]:
        model = seeded(perceptron)
        for parameter in model.parameters():
            parameter.data.mul_(1 + seed)
        sparse = sparsify(model, SGD(model.parameters()), method, 0.5, total_steps=9)
        inputs, loss = labelled((7, 5), 3, seed)
        sparse.step(batch=Batch(model, inputs, loss))
        return sparse.masks

    own = [masks_of(seed) for seed in (0, 1)]
    for seed in (0, 1):
        shared = torch.Generator().manual_seed(5)
        first = partial(
            lambda score, generator: torch.rand(score.shape, generator=generator).to(score), generator=shared
        )
        monkeypatch.setattr(agreement, "from_first", first)
        own.append(masks_of(seed))
    assert all(own[2][name].equal(mask) for name, mask in own[3].items())
    assert not all(own[0][name].equal(mask) for name, mask in own[2].items())


@pytest.mark.parametrize("method", ["grasp", "synflow", make("snip", {"ranking": "global"})])
@both_networks
def test_the_total_is_exact_and_then_frozen(method: str | Method, network: str) -> None:
    """Each layer's floor(0.37 N) zeros in sum, though not layer by layer; weights are the masked initial ones."""
    factory, shape = NETWORKS[network]
    model = seeded(factory)
    initial = {name: weight.detach().clone() for name, weight in maskable_weights(model).items()}
    sparse = sparsify(model, SGD(model.parameters()), method, 0.37, total_steps=9)
    inputs, loss = labelled(shape, 3)
    assert first_batch(sparse, inputs, loss) is False
    wanted = {name: math.floor(0.37 * weight.numel()) for name, weight in initial.items()}
    found = {name: int((~mask).sum()) for name, mask in sparse.masks.items()}
    assert sum(found.values()) == sum(wanted.values())
    assert found != wanted
    assert (sparse.steps, sparse.updates) == (0, 0)
    for name, weight in maskable_weights(model).items():
        assert weight.equal(initial[name] * sparse.masks[name])
    digest = sparse.digest()
    for seed in range(1, 4):
        assert first_batch(sparse, *labelled(shape, 3, seed)) is True
    assert (sparse.digest(), sparse.steps) == (digest, 3)
    for name, weight in maskable_weights(model).items():
        assert not weight[~sparse.masks[name]].any()


@pytest.mark.parametrize("method", ["grasp", "synflow"])
def test_an_unmasked_layer_is_not_ranked(method: str) -> None:
    """5 x 8 stays whole; of 8 x 6 and 6 x 3 together 48 - 24 + 18 - 9 = 33 weights are left."""
    model = seeded(perceptron)
    sparse = sparsify(model, SGD(model.parameters()), method, 0.5, total_steps=9, layers={"0": "unmasked"})
    first_batch(sparse, *labelled((7, 5), 3))
    assert set(sparse.masks) == {"2", "4"}
    assert sum(int(mask.sum()) for mask in sparse.masks.values()) == 33
    assert bool((model[0].weight != 0).all())


@pytest.mark.parametrize("method", ["grasp", "synflow"])
def test_choosing_leaves_the_rest_of_the_model_as_it_was(method: str) -> None:
    """Parameters, but for the new zeros, gradients, normalisation statistics, mode and random state."""
    model = seeded(convolutional)
    model[1].eval()  # a frozen normalisation, so that one mode for all would show
    sparse = sparsify(model, SGD(model.parameters()), method, 0.5, total_steps=9)
    inputs, loss = labelled((7, 2, 4, 4), 3)
    loss(model(inputs)).backward()
    values = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    modes = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    sparse.step(batch=Batch(model, inputs, loss))
    for name, value in model.state_dict().items():
        mask = sparse.masks.get(name.removesuffix(".weight")) if name.endswith(".weight") else None
        assert value.equal(values[name] if mask is None else values[name] * mask), name
    assert all(parameter.grad.equal(gradients[name]) for name, parameter in model.named_parameters())
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.get_rng_state().equal(random)


# -- GraSP -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, [[1, 1, 0, 0]]), (4.0, [[1, 0, 0, 1]])])
def test_grasp_by_hand(temperature: float, expected: list[list[int]]) -> None:
    """Four inputs of one 1 each: the outputs are w = 1 2 3 -1, the loss is sum a/2 (o/T)^2 + b o/T.

    With a = 1 2 1 1 and b = 1 -3 -4 3: g = (a w/T + b) / T and H = a / T^2, so w * (H g) is in proportion to
    w a (a w/T + b). T = 1: 2 4 -3 -2. T = 4: 1.25 -8 -9.75 -2.75. The largest, with their sign, stay.
    """
    a = torch.tensor([[1.0], [2.0], [1.0], [1.0]], dtype=torch.float64)
    b = torch.tensor([[1.0], [-3.0], [-4.0], [3.0]], dtype=torch.float64)
    model = nn.Linear(4, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 2.0, 3.0, -1.0]]))
    made = make("grasp", {"temperature": temperature})
    sparse = sparsify(model, SGD(model.parameters()), made, 0.5, total_steps=9)
    inputs = torch.eye(4, dtype=torch.float64)
    first_batch(sparse, inputs, lambda outputs: (a / 2 * outputs.square() + b * outputs).sum())
    assert sparse.masks["weight"].int().tolist() == expected


class LossOfWeights:
    """The loss as a function of the layers' weights alone, on a copy of the model."""

    def __init__(self, model: nn.Module, inputs: Tensor, loss: Callable[[Tensor], Tensor], temperature: float) -> None:
        self.twin, self.inputs, self.loss, self.temperature = copy.deepcopy(model), inputs, loss, temperature
        self.names = [f"{name}.weight" for name in maskable_weights(model)]
        self.weights = tuple(weight.detach().clone() for weight in maskable_weights(model).values())

    def __call__(self, *weights: Tensor) -> Tensor:
        given = dict(zip(self.names, weights, strict=True))
        return self.loss(torch.func.functional_call(self.twin, given, (self.inputs,)) / self.temperature)

    def gradient(self, *weights: Tensor) -> tuple[Tensor, ...]:
        leaves = [weight.clone().requires_grad_() for weight in weights]
        return torch.autograd.grad(self(*leaves), leaves)

    def hessian_gradient(self) -> tuple[Tensor, ...]:
        """By torch's own Hessian-vector product."""
        return torch.autograd.functional.hvp(self, self.weights, self.gradient(*self.weights))[1]


@both_networks
@pytest.mark.parametrize("temperature", [1.0, 200.0])
def test_grasp_s_product_is_the_hessian_times_the_gradient(network: str, temperature: float) -> None:
    """By reverse over reverse of torch on a functional copy, and by central differences of the gradient along itself."""
    factory, shape = NETWORKS[network]
    model = seeded(factory)
    inputs, loss = labelled(shape, 3)
    of_weights = LossOfWeights(model, inputs, loss, temperature)
    gradient, products = of_weights.gradient(*of_weights.weights), of_weights.hessian_gradient()

    step = 1e-4 / math.sqrt(sum(float(part.square().sum()) for part in gradient))
    ahead, behind = (
        of_weights.gradient(*(weight + move * part for weight, part in zip(of_weights.weights, gradient, strict=True)))
        for move in (step, -step)
    )
    layers = layers_of(model)
    made = make("grasp", {"temperature": temperature})
    made.probe(layers, Batch(model, inputs, loss))
    scale = max(float(product.abs().max()) for product in products)
    assert scale > 0
    for layer, value, product, plus, minus in zip(layers, of_weights.weights, products, ahead, behind, strict=True):
        found = layer.state["hessian_gradient"]
        assert (found - product).abs().max() < 1e-10 * scale
        assert (found - (plus - minus) / (2 * step)).abs().max() < 1e-5 * scale
        assert made.initialize(layer).allclose(value * product, rtol=0.0, atol=1e-10 * scale)


@both_networks
def test_grasp_keeps_the_largest_w_times_h_g_of_all_layers(network: str) -> None:
    """Scores from torch's own Hessian-vector product at T = 200, ranked together by Python's sort."""
    factory, shape = NETWORKS[network]
    model = seeded(factory)
    inputs, loss = labelled(shape, 3)
    of_weights = LossOfWeights(model, inputs, loss, temperature=200.0)
    products = zip(of_weights.weights, of_weights.hessian_gradient(), strict=True)
    scores = {name: weight * product for name, (weight, product) in zip(maskable_weights(model), products, strict=True)}
    sparse = sparsify(model, SGD(model.parameters()), "grasp", 0.6, total_steps=9)
    first_batch(sparse, inputs, loss)
    left = sum(score.numel() - math.floor(0.6 * score.numel()) for score in scores.values())
    assert flat_masks(sparse) == largest_of_all(scores, left)


def test_grasp_s_temperature_is_200_and_above_zero() -> None:
    assert make("grasp").temperature == 200.0
    with pytest.raises(ValueError, match="temperature of grasp is 0"):
        make("grasp", {"temperature": 0.0})


def test_grasp_scores_the_loss_without_weight_decay() -> None:
    """The same mask with a decay that would turn every gradient around."""
    digests = set()
    for weight_decay in (0.0, 100.0):
        model = seeded(perceptron)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=weight_decay)
        sparse = sparsify(model, optimizer, "grasp", 0.5, total_steps=9)
        first_batch(sparse, *labelled((7, 5), 3))
        digests.add(sparse.digest())
    assert len(digests) == 1


# -- SynFlow -----------------------------------------------------------------------------------------------------------


def flows(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    layers = layers_of(model)
    made = make("synflow")
    made.probe(layers, Batch(model, inputs, lambda outputs: outputs.sum()))
    return {layer.name: made.initialize(layer) for layer in layers}


def test_synflow_by_hand() -> None:
    """W1 = (1 -2), (-3 0.5), W2 = (2 -1): R = 2 (1 + 2) + 1 (3 + 0.5) = 9.5.

    A weight of W1 scores |w1| times the |w2| behind it: 2 4, 3 0.5. One of W2 scores |w2| times the row before it: 6 3.5.
    """
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -2.0], [-3.0, 0.5]]))
        model[1].weight.copy_(torch.tensor([[2.0, -1.0]]))
    found = flows(model, torch.full((3, 2), -7.0, dtype=torch.float64))
    assert found["0"].tolist() == [[2.0, 4.0], [3.0, 0.5]]
    assert found["1"].tolist() == [[6.0, 3.5]]
    sparse = sparsify(model, SGD(model.parameters()), make("synflow", {"rounds": 1}), 0.5, total_steps=9)
    first_batch(sparse, torch.ones(1, 2, dtype=torch.float64), lambda outputs: outputs.sum())
    assert {name: mask.int().tolist() for name, mask in sparse.masks.items()} == {"0": [[0, 1], [0, 0]], "1": [[1, 1]]}


def test_synflow_of_two_layers_is_a_product_of_path_sums() -> None:
    """With biases, after a ReLU: |w1_ij| sum_k |w2_ki| and |w2_ki| (|b1_i| + sum_j |w1_ij|)."""
    model = seeded(lambda: nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))).double()
    first, bias, second = (parameter.detach().abs().numpy() for parameter in list(model.parameters())[:3])
    found = flows(model, labelled((4, 5), 3)[0])
    for i, j in np.ndindex(7, 5):
        assert float(found["0"][i, j]) == pytest.approx(first[i, j] * sum(second[k, i] for k in range(3)))
    for k, i in np.ndindex(3, 7):
        into = bias[i] + sum(first[i, j] for j in range(5))
        assert float(found["2"][k, i]) == pytest.approx(second[k, i] * into)


def test_synflow_conserves_flow() -> None:
    """Without biases the scores of every layer sum to R (the paper's conservation), of wide and narrow ones alike."""

    def factory() -> nn.Module:
        linear = [nn.Linear(a, b, bias=False) for a, b in itertools.pairwise((6, 30, 4, 17, 3))]
        return nn.Sequential(*(module for layer in linear for module in (layer, nn.ReLU()))).double()

    model = seeded(factory)
    sums = [float(score.sum()) for score in flows(model, torch.ones(1, 6, dtype=torch.float64)).values()]
    signal = torch.ones(6, dtype=torch.float64)
    for layer in model[::2]:
        signal = layer.weight.detach().abs() @ signal
    assert sums == pytest.approx([float(signal.sum())] * 4)


def magnitudes_scored(model: nn.Module, shape: Sequence[int]) -> dict[str, Tensor]:
    """|w dR/dw| by autograd on a functional copy whose parameters and buffers are magnitudes."""
    twin = copy.deepcopy(model).eval()
    values = {name: value.detach().abs() for name, value in model.state_dict().items() if value.is_floating_point()}
    weights = {name: values[f"{name}.weight"].requires_grad_() for name in maskable_weights(model)}
    outputs = torch.func.functional_call(twin, values, (torch.ones(1, *shape, dtype=torch.float64),))
    gradients = torch.autograd.grad(outputs.sum(), list(weights.values()))
    return {
        name: (weight * gradient).abs().detach()
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }


def test_synflow_s_scores_follow_from_autograd_on_magnitudes() -> None:
    """A convolutional network with fresh normalisation, its scale and shift of both signs, in train mode."""
    model = seeded(convolutional)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for norm in (model[1], model[4]):
            norm.weight.copy_(torch.randn(norm.num_features, generator=generator))
            norm.bias.copy_(torch.randn(norm.num_features, generator=generator))
    expected = magnitudes_scored(model, (2, 4, 4))
    found = flows(model, labelled((7, 2, 4, 4), 3)[0])
    assert set(found) == {"0", "3", "7"}
    for name, score in found.items():
        assert score.allclose(expected[name], rtol=1e-12, atol=0.0)
        assert float(score.max()) > 0


def test_synflow_s_scores_are_magnitudes_where_normalisation_turns_their_sign() -> None:
    """LayerNorm subtracts: some dR/dw are negative, and |w dR/dw| counts."""
    model = seeded(lambda: nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.Linear(6, 3))).double()
    expected = magnitudes_scored(model, (5,))
    for name, score in flows(model, labelled((4, 5), 3)[0]).items():
        assert score.allclose(expected[name], rtol=1e-9, atol=1e-12)


@dataclass(frozen=True)
class WatchedSynFlow(SynFlow):
    """SynFlow that notes how many weights are left before each round."""

    seen: list[int] = field(default_factory=list)

    def probe(self, layers: Sequence[Layer], batch: Batch) -> None:
        self.seen.append(sum(int(layer.mask.sum()) for layer in layers))
        for layer in layers:
            assert not layer.weight[~layer.mask].any()
        super().probe(layers, batch)


def test_synflow_removes_the_share_1_minus_1_minus_s_to_the_r_over_n() -> None:
    """s = 0.875 in 3 rounds leaves 1/2, 1/4, 1/8 of 32 and 64 weights: 48, 24, 12 of 96."""
    model = seeded(lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8))).double()
    made = WatchedSynFlow(rounds=3)
    sparse = sparsify(model, SGD(model.parameters()), made, 0.875, total_steps=9)
    first_batch(sparse, *labelled((4, 4), 8))
    assert made.seen == [96, 48, 24]
    assert sum(sparse.nonzeros.values()) == 12


@pytest.mark.parametrize("rounds", [1, 4, 25])
def test_synflow_s_rounds_follow_a_plain_loop(rounds: int) -> None:
    """The closed form of two layers, scored anew after each round, in numpy."""
    model = seeded(lambda: nn.Sequential(nn.Linear(9, 11, bias=False), nn.Linear(11, 6, bias=False))).double()
    first, second = (parameter.detach().abs().numpy().copy() for parameter in model.parameters())
    for number in range(1, rounds + 1):
        sparsity = 0.8 if number == rounds else 1 - (1 - 0.8) ** (number / rounds)
        left = sum(size - math.floor(sparsity * size) for size in (99, 66))
        scores = {
            "0": torch.from_numpy(first * second.sum(axis=0)[:, None]),
            "1": torch.from_numpy(second * first.sum(axis=1)[None, :]),
        }
        masks = largest_of_all(scores, left)
        first *= np.array(masks["0"]).reshape(first.shape)
        second *= np.array(masks["1"]).reshape(second.shape)
    sparse = sparsify(model, SGD(model.parameters()), make("synflow", {"rounds": rounds}), 0.8, total_steps=9)
    first_batch(sparse, *labelled((4, 9), 6))
    assert flat_masks(sparse) == masks


def test_synflow_needs_its_rounds_where_one_would_cut_the_network() -> None:
    """At 99 % the layer of 40,000 weights is a tenth as strong per weight as its neighbours: one round empties it."""

    def deep() -> nn.Module:
        return nn.Sequential(nn.Linear(20, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10)).double()

    def pruned(rounds: int) -> Sparsifier:
        model = seeded(deep)
        sparse = sparsify(model, SGD(model.parameters()), make("synflow", {"rounds": rounds}), 0.99, total_steps=9)
        first_batch(sparse, *labelled((2, 20), 10))
        return sparse

    with pytest.raises(CannotError, match=r"leaves .*2 without a weight"):
        pruned(rounds=1)
    masks = {name: mask.double() for name, mask in pruned(rounds=100).masks.items()}
    assert sum(int(mask.sum()) for mask in masks.values()) == 40 + 400 + 20
    assert all(bool(mask.any()) for mask in masks.values())
    assert float((masks["4"] @ masks["2"] @ masks["0"]).sum()) > 0


def synflow_digest(network: str, seed: int, scale: float, samples: int) -> str:
    factory, shape = NETWORKS[network]
    model = seeded(factory)
    sparse = sparsify(model, SGD(model.parameters()), make("synflow", {"rounds": 5}), 0.7, total_steps=9)
    first_batch(sparse, *labelled((samples, *shape[1:]), 3, seed, scale))
    return sparse.digest()


@both_networks
def test_synflow_uses_no_data(network: str) -> None:
    """Other values, other labels, another number of samples: the same mask, normalisation statistics or not."""
    reference = synflow_digest(network, seed=0, scale=1.0, samples=7)
    assert synflow_digest(network, seed=1, scale=1.0, samples=7) == reference
    assert synflow_digest(network, seed=2, scale=100.0, samples=3) == reference


def test_synflow_takes_models_with_buffers_that_are_no_numbers() -> None:
    """A boolean buffer has no magnitude and stays as it is."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 3)
            self.register_buffer("gate", torch.tensor([True, False, True, True, False, True]))

        def forward(self, inputs: Tensor) -> Tensor:
            return self.second(torch.where(self.gate, self.first(inputs), 0.0))

    model = seeded(Gated)
    found = flows(model, torch.ones(1, 4))
    assert found["first"].any(dim=1).tolist() == [True, False, True, True, False, True]


def test_synflow_refuses_inputs_that_are_indices() -> None:
    """Token ids cannot be ones in float64: a reason, not the embedding's own error."""

    class Language(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.gates, self.out = nn.Embedding(5, 8), nn.GRU(8, 6, batch_first=True), nn.Linear(6, 5)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.out(self.gates(self.embedding(tokens))[0]).flatten(0, 1)

    model = seeded(Language)
    sparse = sparsify(model, SGD(model.parameters()), "synflow", 0.5, total_steps=9)
    tokens = torch.arange(12).view(3, 4) % 5
    with pytest.raises(CannotError, match="synflow"):
        first_batch(sparse, tokens, lambda outputs: functional.cross_entropy(outputs, tokens.flatten()))


# -- SNIP, all layers ranked together ----------------------------------------------------------------------------------


def three_layers(**options: Any) -> tuple[nn.ModuleDict, Sparsifier]:
    """Layers a, b, c of four weights, all ones."""
    model = nn.ModuleDict({name: nn.Linear(4, 1, bias=False, dtype=torch.float64) for name in "abc"})
    for layer in model.values():
        nn.init.ones_(layer.weight)
    made = make("snip", {"ranking": "global"})
    return model, sparsify(model, SGD(model.parameters()), made, total_steps=9, **options)


def give(model: nn.ModuleDict, gradients: Mapping[str, Sequence[float]]) -> None:
    for name, gradient in gradients.items():
        model[name].weight.grad = torch.tensor([gradient], dtype=torch.float64)


def test_global_snip_by_hand() -> None:
    """Scores 9 1 8 2, 3 7 0 0, 4 3 3 0; at 0.5 each layer may keep 2, the network 6.

    They go to 9 8 7 4 and, of the three 3s, to the earliest two: in b and the first of c.
    """
    model, sparse = three_layers(sparsity=0.5)
    give(model, {"a": [9.0, -1.0, -8.0, 2.0], "b": [-3.0, 7.0, 0.0, 0.0], "c": [4.0, 3.0, -3.0, 0.0]})
    assert sparse.step() is False
    assert {name: mask.int().tolist()[0] for name, mask in sparse.masks.items()} == {
        "a": [1, 0, 1, 0],
        "b": [1, 1, 0, 0],
        "c": [1, 1, 0, 0],
    }


def test_layers_that_share_one_total_refuse_a_layer_s_own_sparsity() -> None:
    with pytest.raises(CannotError, match="the sparsity given for a, c cannot be kept"):
        three_layers(sparsity=0.5, layers={"a": 0.25, "c": 0.75})


def test_global_snip_refuses_to_empty_a_layer() -> None:
    """The six best are in a and c: b and its name are in the reason; no mask and no weight has changed."""
    model, sparse = three_layers(sparsity=0.5)
    give(model, {"a": [9.0, 8.0, 7.0, 6.0], "b": [0.5, 0.1, 0.2, 0.3], "c": [4.0, 3.0, 1.0, 1.0]})
    with pytest.raises(CannotError, match=r"leaves b without a weight") as refused:
        sparse.step()
    assert isinstance(refused.value, ValueError)
    assert all(bool(mask.all()) for mask in sparse.masks.values())
    assert all(bool((layer.weight == 1).all()) for layer in model.values())
    per_layer = sparsify(model, SGD(model.parameters()), "snip", 0.5, total_steps=9)
    assert per_layer.step() is False
    assert set(per_layer.nonzeros.values()) == {2}


def test_a_score_that_is_nan_is_an_error_that_names_the_layer() -> None:
    model, sparse = three_layers(sparsity=0.5)
    give(model, {"a": [1.0] * 4, "b": [1.0, math.nan, 1.0, 1.0], "c": [1.0] * 4})
    with pytest.raises(NonFiniteScoreError, match="'b'"):
        sparse.step()


# -- lottery ticket ----------------------------------------------------------------------------------------------------


def test_a_ticket_is_the_largest_of_the_origin_per_layer() -> None:
    """Half of 1 -4 3 2 is -4 3; half of 5 5 -5 1 is, of equals, the earlier two. The weights are the model's own."""
    model = nn.ModuleDict({name: nn.Linear(4, 1, bias=False, dtype=torch.float64) for name in "ab"})
    with torch.no_grad():
        model["a"].weight.copy_(torch.tensor([[10.0, 20.0, 30.0, 40.0]]))
        model["b"].weight.copy_(torch.tensor([[50.0, 60.0, 70.0, 80.0]]))
    origin = {"a": torch.tensor([[1.0, -4.0, 3.0, 2.0]]), "b": torch.tensor([[5.0, 5.0, -5.0, 1.0]])}
    sparse = sparsify(model, SGD(model.parameters()), "ticket", 0.5, origin=origin, total_steps=9)
    assert not sparse.awaits_first_batch
    assert {name: mask.int().tolist() for name, mask in sparse.masks.items()} == {
        "a": [[0, 1, 1, 0]],
        "b": [[1, 1, 0, 0]],
    }
    assert model["a"].weight.tolist() == [[0.0, 20.0, 30.0, 0.0]]
    assert model["b"].weight.tolist() == [[50.0, 60.0, 0.0, 0.0]]
    give(model, {"a": [1.0] * 4, "b": [1.0] * 4})
    assert sparse.step() is True
    assert model["a"].weight.tolist() == [[0.0, 19.0, 29.0, 0.0]]


def test_a_ticket_has_each_layer_s_own_sparsity() -> None:
    """10 x 10 and 5 x 20 at 0.8 by ERK keep 18 and 23 (design, decision 2), the largest of the origin."""
    model = nn.ModuleDict({"a": nn.Linear(10, 10), "b": nn.Linear(20, 5)})
    generator = torch.Generator().manual_seed(0)
    origin = {name: torch.randn(layer.weight.shape, generator=generator) for name, layer in model.items()}
    sparse = sparsify(model, SGD(model.parameters()), "ticket", 0.8, "erk", origin=origin, total_steps=9)
    assert sparse.nonzeros == {"a": 18, "b": 23}
    for name, mask in sparse.masks.items():
        magnitude = origin[name].abs()
        assert magnitude[mask].min() > magnitude[~mask].max()


def test_a_ticket_needs_a_finished_run() -> None:
    model = nn.Linear(4, 1)
    with pytest.raises(CannotError, match=r"'ticket' cannot.*start_from"):
        sparsify(model, SGD(model.parameters()), "ticket", 0.5, total_steps=9)


def test_a_ticket_can_be_a_mask_alone() -> None:
    model = nn.Linear(4, 1, bias=False)
    mask = torch.tensor([[0, 1, 1, 0]])
    sparse = sparsify(model, SGD(model.parameters()), "ticket", masks={"weight": mask}, total_steps=9)
    assert sparse.masks["weight"].int().equal(mask.int())


@pytest.mark.parametrize(
    "origin", [{"a": torch.ones(1, 4)}, {"a": torch.ones(1, 4), "b": torch.ones(4, 1)}], ids=["missing", "shape"]
)
def test_an_origin_of_another_network_is_an_error_that_names_the_layer(origin: dict[str, Tensor]) -> None:
    """Layer b is missing, or of another shape; neither is a mask, nor a bare KeyError."""
    model = nn.ModuleDict({name: nn.Linear(4, 1, bias=False) for name in "ab"})
    with pytest.raises(ValueError, match="'b'"):
        sparsify(model, SGD(model.parameters()), "ticket", 0.5, origin=origin, total_steps=9)


def test_an_origin_that_diverged_is_an_error() -> None:
    model = nn.Linear(2, 1, bias=False)
    with pytest.raises(NonFiniteScoreError, match="weight"):
        sparsify(
            model,
            SGD(model.parameters()),
            "ticket",
            0.5,
            origin={"weight": torch.tensor([[1.0, math.nan]])},
            total_steps=9,
        )

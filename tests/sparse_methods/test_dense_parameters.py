"""Methods that train dense parameters behind a mask: DNW, N:M, Top-KAST and STR, by hand and against a plain loop.

In ``one_layer`` plain SGD has lr 1 and each step is told its gradient, so a step subtracts it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from sparse_methods import CannotError, NonFiniteScoreError, Sparsifier, sparsify
from sparse_methods.method import Layer
from sparse_methods.methods import make

Arrays = dict[str, np.ndarray]

SGD = partial(torch.optim.SGD, lr=1.0)
MOMENTUM = partial(torch.optim.SGD, lr=0.5, momentum=0.5, weight_decay=0.1)


def dense_of(sparse: Sparsifier, layer: str = "weight") -> Tensor:
    return sparse.state_dict()["dense"][layer]


def backward_set_of(sparse: Sparsifier, layer: str = "weight") -> Tensor:
    return sparse.state_dict()["layer_state"][layer]["backward"]


def layer_of(dense: Tensor) -> Layer:
    """A layer as a method sees it, all of it active."""
    layer = Layer("w", dense.clone(), torch.ones_like(dense, dtype=torch.bool), 0.5, torch.Generator(), 0.0)
    layer.dense = dense
    return layer


def top(dense: Tensor, count: int) -> list[bool]:
    """The ``count`` largest magnitudes, the lower index first among equals, by Python's stable sort."""
    magnitudes = dense.abs().flatten().tolist()
    chosen = set(sorted(range(len(magnitudes)), key=lambda index: -magnitudes[index])[:count])
    return [index in chosen for index in range(len(magnitudes))]


# -- the mechanism, seen in DNW ----------------------------------------------------------------------------------------


def test_dnw_sees_the_largest_weights_and_keeps_the_others(one_layer: Callable[..., Any]) -> None:
    """Of 2 -3 2 1 half is 2: 3 and, of the two 2s, the earlier."""
    layer = one_layer([[2.0, -3.0, 2.0, 1.0]], "dnw", sparsity=0.5)
    assert (layer.mask, layer.weights) == ([[1, 1, 0, 0]], [[2.0, -3.0, 0.0, 0.0]])
    assert dense_of(layer.sparse).tolist() == [[2.0, -3.0, 2.0, 1.0]]


def test_dnw_s_gradient_goes_straight_through_to_inactive_weights(one_layer: Callable[..., Any]) -> None:
    """3 -2 [1 0.5] with gradient 1 0 -2 0 becomes 2 -2 3 0.5: the third is in, and of 2 and -2 the earlier."""
    layer = one_layer([[3.0, -2.0, 1.0, 0.5]], "dnw", sparsity=0.5)
    assert layer.step([[1.0, 0.0, -2.0, 0.0]]) is True
    assert dense_of(layer.sparse).tolist() == [[2.0, -2.0, 3.0, 0.5]]
    assert (layer.mask, layer.weights) == ([[1, 0, 1, 0]], [[2.0, 0.0, 3.0, 0.0]])
    assert (layer.sparse.steps, layer.sparse.updates) == (1, 1)


def test_weight_decay_and_momentum_act_on_the_dense_parameter(one_layer: Callable[..., Any]) -> None:
    """4 [2], lr 0.5, momentum 0.5, decay 0.1, gradient 0 -2 twice.

    First d = 0.4, -2 + 0.2 = -1.8: 3.8, 2.9. Then d = 0.38, -2 + 0.29 = -1.71, velocity 0.2 + 0.38 = 0.58 and
    -0.9 - 1.71 = -2.61: 3.51, 4.205, and the second is the larger. Then, without a gradient, d = 0.351, 0.4205, velocity
    0.29 + 0.351 = 0.641 and -1.305 + 0.4205 = -0.8845: the inactive one is 3.51 - 0.3205 = 3.1895.
    """
    layer = one_layer([[4.0, 2.0]], "dnw", optimizer=MOMENTUM, sparsity=0.5)
    layer.step([[0.0, -2.0]])
    assert dense_of(layer.sparse).tolist()[0] == pytest.approx([3.8, 2.9], abs=1e-12)
    assert layer.weights[0] == pytest.approx([3.8, 0.0], abs=1e-12)
    layer.step([[0.0, -2.0]])
    assert dense_of(layer.sparse).tolist()[0] == pytest.approx([3.51, 4.205], abs=1e-12)
    assert layer.weights[0] == pytest.approx([0.0, 4.205], abs=1e-12)
    layer.step([[0.0, 0.0]])
    assert dense_of(layer.sparse).tolist()[0] == pytest.approx([3.1895, 4.64725], abs=1e-12)
    assert layer.slot("momentum_buffer")[0] == pytest.approx([0.641, -0.8845], abs=1e-12)


def test_clipping_counts_what_is_trained(one_layer: Callable[..., Any]) -> None:
    """3 on the active weight and 4 on the inactive one, which DNW trains too, have norm 5: clipped to 0.6 and 0.8."""
    layer = one_layer([[5.0, 1.0]], "dnw", sparsity=0.5)
    layer.step([[3.0, 4.0]], clip_norm=1.0)
    assert dense_of(layer.sparse).tolist()[0] == pytest.approx([4.4, 0.2], abs=1e-6)


def test_clipping_does_not_count_what_top_kast_does_not_train(one_layer: Callable[..., Any]) -> None:
    """A is the 5, B adds the 4, and the 1000 at the 2 is outside B: 3 and 4 have norm 5."""
    layer = one_layer([[5.0, 4.0, 2.0, 1.0]], "topkast", sparsity=0.75)
    layer.step([[3.0, 4.0, 1000.0, 0.0]], clip_norm=1.0)
    assert dense_of(layer.sparse).tolist()[0] == pytest.approx([4.4, 3.2, 2.0, 1.0], abs=1e-6)


@pytest.mark.parametrize(("network", "optimizer"), [("mlp", "nesterov"), ("mlp", "adamw"), ("conv", "adam")])
def test_dnw_s_mask_is_the_largest_of_its_parameters_after_every_step(
    start: Callable[..., Any], network: str, optimizer: str
) -> None:
    """And the module's weight is always the masked parameter; updates go on after the protocol's end, step 45."""
    training = start("dnw", network, optimizer)
    first = training.sparse.digest()
    for step in range(50):
        parameters = dict(training.model.named_parameters())
        for name, mask in training.sparse.masks.items():
            dense = dense_of(training.sparse, name)
            assert mask.flatten().tolist() == top(dense, mask.numel() - math.floor(0.7 * mask.numel()))
            assert parameters[f"{name}.weight"].equal(dense * mask)
        assert training.batch() is True
        assert training.sparse.updates == step + 1
    assert training.sparse.digest() != first


def test_what_is_not_masked_is_trained_as_ever(start: Callable[..., Any]) -> None:
    """A bias and an unmasked layer take the optimizer's own step."""
    training = start("dnw", "mlp", "momentum", layers={"0": "unmasked"})
    for _ in range(3):
        training.backward()
        model, optimizer = training.copy_with_gradients()
        optimizer.step()
        training.sparse.step()
        expected, found = dict(model.named_parameters()), dict(training.model.named_parameters())
        assert all(found[name].equal(expected[name]) for name in ("0.weight", "0.bias", "2.bias", "4.bias"))


def test_a_dense_parameter_that_is_nan_changes_no_mask(one_layer: Callable[..., Any]) -> None:
    layer = one_layer([[2.0, 1.0]], "dnw", sparsity=0.5)
    with pytest.raises(NonFiniteScoreError, match="weight"):
        layer.step([[0.0, math.nan]])
    assert layer.mask == [[1, 0]]


def test_dense_parameters_are_saved_and_restored(start: Callable[..., Any]) -> None:
    """What is behind the mask comes back bit for bit, and is not what the module shows."""
    original = start("dnw")
    original.run(7)
    resumed = start("dnw", initial_seed=5)
    resumed.model.load_state_dict(original.model.state_dict())
    resumed.sparse.load_state_dict(original.sparse.state_dict())
    for name, mask in original.sparse.masks.items():
        dense = dense_of(original.sparse, name)
        assert dense.equal(dense_of(resumed.sparse, name))
        assert bool((dense[~mask] != 0).any())


@pytest.mark.parametrize(
    ("method", "dense_gradient", "trained"), [("dnw", True, None), ("nm", True, None), ("topkast", False, 4)]
)
def test_whose_gradient_a_step_uses(
    one_layer: Callable[..., Any], method: str, dense_gradient: bool, trained: int | None
) -> None:
    """Straight-through methods use all gradients; Top-KAST those of B, twice the 2 of 8 in A."""
    if method == "nm":
        method = make("nm", {"n": 1, "m": 4})
    layer = one_layer([[8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]], method, sparsity=0.75)
    for _ in range(3):
        assert layer.sparse.needs_dense_gradient is dense_gradient
        assert layer.sparse.gradient_nonzeros == (None if trained is None else {"weight": trained})
        assert layer.sparse.nonzeros == {"weight": 2}
        layer.step([[1.0] * 8])


@pytest.mark.parametrize("method", ["dnw", "nm", "topkast", "str"])
def test_masks_from_elsewhere_are_refused(one_layer: Callable[..., Any], method: str) -> None:
    """The masks follow from the parameters, from the first one on."""
    with pytest.raises(CannotError, match=rf"'{method}' cannot do this: .*masks"):
        one_layer([[4.0, 3.0, 2.0, 1.0]], method, [[0, 0, 1, 1]])


# -- 20 steps against a plain loop -------------------------------------------------------------------------------------

LR = {"momentum": 0.1, "adam": 0.03}
WEIGHT_DECAY, PULL, RATIO, INITIAL, THRESHOLD_DECAY = 0.02, 0.1, 1.7, -2.0, 0.05
SETTINGS = {
    "dnw": (make("dnw"), 0.6),
    "nm": (make("nm", {"decay": PULL}), 0.5),
    "topkast": (make("topkast", {"backward_ratio": RATIO}), 0.7),
    "str": (make("str", {"initial": INITIAL, "decay": THRESHOLD_DECAY}), 0.0),
}


class Plain:
    """Dense parameters as numpy arrays, moved one number at a time. ``active`` and ``trained`` are A and B."""

    def __init__(self, method: str, optimizer: str, sparsity: float, weights: Arrays, masked: list[str]) -> None:
        self.method, self.optimizer, self.sparsity, self.weights = method, optimizer, sparsity, weights
        self.thresholds = dict.fromkeys(masked, INITIAL)
        self.slots: dict[tuple[Any, ...], list[float]] = {}
        self.steps = 0
        self.active: Arrays = {}
        self.trained: Arrays = {}
        for name in masked:
            self.choose(name)

    def choose(self, name: str) -> None:
        weight = self.weights[name]
        size = weight.size
        count = size - math.floor(self.sparsity * size)
        self.trained[name] = np.ones(weight.shape, dtype=bool)
        if self.method == "nm":
            self.active[name] = np.zeros(weight.shape, dtype=bool)
            outputs, inputs, *kernel = weight.shape
            for output in range(outputs):
                for position in np.ndindex(*kernel):
                    for first in range(0, inputs, 4):
                        group = [(output, first + offset, *position) for offset in range(4)]
                        for index in sorted(group, key=lambda index: -abs(weight[index]))[:2]:
                            self.active[name][index] = True
        elif self.method == "str":
            self.active[name] = np.abs(weight) > self.threshold(name)
        else:
            order = sorted(np.ndindex(weight.shape), key=lambda index: -abs(weight[index]))
            self.active[name] = self.of(order[:count], weight.shape)
            if self.method == "topkast":
                self.trained[name] = self.of(order[: int(RATIO * count)], weight.shape)

    @staticmethod
    def of(indices: list[tuple[int, ...]], shape: tuple[int, ...]) -> np.ndarray:
        mask = np.zeros(shape, dtype=bool)
        for index in indices:
            mask[index] = True
        return mask

    def threshold(self, name: str) -> float:
        return 1 / (1 + math.exp(-self.thresholds[name]))

    def seen(self) -> Arrays:
        """What the network computes with."""
        shown = dict(self.weights)
        for name, active in self.active.items():
            if self.method == "str":
                shown[name] = np.sign(self.weights[name]) * np.maximum(
                    np.abs(self.weights[name]) - self.threshold(name), 0
                )
            else:
                shown[name] = self.weights[name] * active
        return shown

    def step(self, gradients: Arrays) -> None:
        self.steps += 1
        for name, weight in self.weights.items():
            before = weight.copy()
            for index in np.ndindex(weight.shape):
                gradient = gradients[name][index] + WEIGHT_DECAY * before[index]
                if name in self.active:
                    active = self.active[name][index]
                    if self.method == "nm" and not active:
                        gradient += PULL * before[index]
                    if self.method == "str" and not active:
                        gradient = WEIGHT_DECAY * before[index]
                    if self.method == "topkast" and not active:
                        share = self.active[name].mean()
                        gradient = gradients[name][index] + WEIGHT_DECAY / share * before[index]
                    if not self.trained[name][index]:
                        self.slots.pop((name, index), None)
                        continue
                weight[index] -= self.change((name, index), gradient)
            if self.method == "str" and name in self.active:
                value = self.threshold(name)
                through = sum(
                    gradients[name][index] * np.sign(before[index])
                    for index in np.ndindex(weight.shape)
                    if self.active[name][index]
                )
                gradient = -value * (1 - value) * through + THRESHOLD_DECAY * self.thresholds[name]
                self.thresholds[name] -= self.change((name,), gradient)
        for name in self.active:
            self.choose(name)

    def change(self, key: tuple[Any, ...], gradient: float) -> float:
        first, second = self.slots.get(key, [0.0, 0.0])
        if self.optimizer == "momentum":
            first = 0.9 * first + gradient
            self.slots[key] = [first, 0.0]
            return LR["momentum"] * first
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        self.slots[key] = [first, second]
        mean, square = first / (1 - 0.9**self.steps), second / (1 - 0.999**self.steps)
        return LR["adam"] * mean / (math.sqrt(square) + 1e-8)


def network_of(kind: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "linear":
            return nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 4)).double()
        return nn.Sequential(nn.Conv2d(4, 8, 2), nn.Tanh(), nn.Flatten(), nn.Linear(32, 4)).double()


def loss_of(outputs: Callable[[Tensor], Tensor], kind: str, number: int) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    inputs = torch.randn(6, *((8,) if kind == "linear" else (4, 3, 3)), generator=generator, dtype=torch.float64)
    return functional.cross_entropy(outputs(inputs), torch.randint(4, (6,), generator=generator))


def gradients_at(model: nn.Module, weights: Mapping[str, np.ndarray], kind: str, number: int) -> Arrays:
    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in weights.items()}
    loss = loss_of(lambda inputs: torch.func.functional_call(model, leaves, (inputs,)), kind, number)
    found = torch.autograd.grad(loss, list(leaves.values()))
    return {name: gradient.numpy() for name, gradient in zip(leaves, found, strict=True)}


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize(
    ("method", "kind"),
    [("dnw", "linear"), ("dnw", "conv"), ("nm", "linear"), ("nm", "conv"), ("topkast", "linear"), ("str", "linear")],
)
def test_twenty_steps_follow_a_plain_loop(method: str, kind: str, optimizer: str) -> None:
    """Masks are equal at every step; what is seen, what is behind it and STR's thresholds to 1e-9."""
    chosen, sparsity = SETTINGS[method]
    model, twin = network_of(kind), network_of(kind)
    weights = {name: parameter.detach().numpy().copy() for name, parameter in model.named_parameters()}
    made = (
        torch.optim.SGD(model.parameters(), lr=LR[optimizer], momentum=0.9, weight_decay=WEIGHT_DECAY)
        if optimizer == "momentum"
        else torch.optim.Adam(model.parameters(), lr=LR[optimizer], weight_decay=WEIGHT_DECAY)
    )
    sparse = sparsify(model, made, chosen, sparsity, total_steps=20)
    plain = Plain(method, optimizer, sparsity, weights, [f"{name}.weight" for name in sparse.masks])
    moved = 0
    for number in range(21):
        parameters, seen = dict(model.named_parameters()), plain.seen()
        for name, mask in sparse.masks.items():
            weight = f"{name}.weight"
            assert np.array_equal(mask.numpy(), plain.active[weight]), (number, name)
            assert np.abs(dense_of(sparse, name).numpy() - plain.weights[weight]).max() < 1e-9, (number, name)
            if method == "str":
                assert abs(float(sparse.extra_parameters[f"{name}.s"]) - plain.thresholds[weight]) < 1e-9
        for name, parameter in parameters.items():
            assert np.abs(parameter.detach().numpy() - seen[name]).max() < 1e-9, (number, name)
        before = sparse.digest()
        made.zero_grad()
        loss_of(model, kind, number).backward()
        assert sparse.step() is True
        plain.step(gradients_at(twin, seen, kind, number))
        moved += sparse.digest() != before
    assert moved >= 5


# -- N:M ---------------------------------------------------------------------------------------------------------------


def test_two_of_every_four_inputs(one_layer: Callable[..., Any]) -> None:
    """1 -4 3 2 | 5 5 5 5: the 4 and the 3; of four equal ones the first two."""
    layer = one_layer([[1.0, -4.0, 3.0, 2.0, 5.0, 5.0, 5.0, 5.0]], "nm", sparsity=0.5)
    assert layer.mask == [[0, 1, 1, 0, 1, 1, 0, 0]]
    assert layer.weights == [[0.0, -4.0, 3.0, 0.0, 5.0, 5.0, 0.0, 0.0]]


def test_groups_of_a_convolution_run_along_the_input_channels() -> None:
    """Four channels at two kernel positions: 1 2 3 4 at the left, 8 7 6 5 at the right.

    Of each position's four the two largest stay: channels 2 and 3 at the left, 0 and 1 at the right. In memory the order
    is 1 8 2 7 3 6 4 5, whose groups 1 8 2 7 and 3 6 4 5 would keep the whole right side.
    """
    model = nn.Conv2d(4, 1, (1, 2), bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 8.0], [2.0, 7.0], [3.0, 6.0], [4.0, 5.0]]).view(1, 4, 1, 2))
    sparse = sparsify(model, SGD(model.parameters()), "nm", 0.5, total_steps=9)
    assert sparse.masks["weight"].view(4, 2).int().tolist() == [[0, 1], [0, 1], [1, 0], [1, 0]]


@given(data=st.data(), m=st.integers(2, 5), groups=st.integers(1, 3), outputs=st.integers(1, 3))
def test_exactly_n_of_every_m_and_ties_to_the_earlier(data: st.DataObject, m: int, groups: int, outputs: int) -> None:
    """Linear weights and kernels of any rank, from few distinct magnitudes so that ties abound."""
    n = data.draw(st.integers(1, m - 1))
    kernel = data.draw(st.sampled_from([(), (2,), (2, 3), (1, 2, 2)]))
    shape = (outputs, m * groups, *kernel)
    values = data.draw(st.lists(st.integers(-2, 2), min_size=math.prod(shape), max_size=math.prod(shape)))
    dense = torch.tensor(values, dtype=torch.float64).view(shape)
    mask = make("nm", {"n": n, "m": m}).active(layer_of(dense), count=0)
    assert (mask.shape, mask.dtype) == (dense.shape, torch.bool)
    for index in np.ndindex(outputs, groups, *kernel):
        output, group, *position = index
        at = [(output, group * m + offset, *position) for offset in range(m)]
        best = sorted(at, key=lambda one: -abs(float(dense[one])))[:n]
        assert [bool(mask[one]) for one in at] == [one in best for one in at]


@pytest.mark.parametrize(
    ("network", "n", "m", "optimizer"), [("mlp", 2, 4, "adam"), ("mlp", 1, 4, "momentum"), ("conv", 2, 4, "nesterov")]
)
def test_n_of_m_hold_after_every_step(start: Callable[..., Any], network: str, n: int, m: int, optimizer: str) -> None:
    training = start(make("nm", {"n": n, "m": m}), network, optimizer, sparsity=1 - n / m)
    first = training.sparse.digest()
    for _ in range(20):
        for name, mask in training.sparse.masks.items():
            assert bool((mask.movedim(1, -1).reshape(-1, m).sum(dim=1) == n).all())
            weight = dict(training.model.named_parameters())[f"{name}.weight"]
            assert weight.equal(dense_of(training.sparse, name) * mask)
        training.batch()
    assert training.sparse.digest() != first


def test_pruned_weights_are_pulled_to_zero(one_layer: Callable[..., Any]) -> None:
    """8 -4 [2 -1] with pull 0.25 and gradients 1 1 1 1: 8 - 1, -4 - 1, 2 - 1 - 0.5, -1 - 1 + 0.25; lr 1."""
    layer = one_layer([[8.0, -4.0, 2.0, -1.0]], make("nm", {"decay": 0.25}), sparsity=0.5)
    layer.step([[1.0, 1.0, 1.0, 1.0]])
    assert dense_of(layer.sparse).tolist() == [[7.0, -5.0, 0.5, -1.75]]
    assert layer.weights == [[7.0, -5.0, 0.0, 0.0]]


def test_the_pull_is_a_gradient_with_momentum_and_beside_weight_decay(one_layer: Callable[..., Any]) -> None:
    """8 -4 [2 -1], lr 0.5, momentum 0.5, decay 0.1, pull 0.25, no gradient.

    d = 0.1 w on the active, 0.35 w on the others: 7.6 -3.8 1.65 -0.825. Then d = 0.76 -0.38 0.5775 -0.28875 and the
    velocity 0.4 + 0.76 = 1.16, -0.58, 0.35 + 0.5775 = 0.9275, -0.46375: 7.02 -3.51 1.18625 -0.593125.
    """
    layer = one_layer([[8.0, -4.0, 2.0, -1.0]], make("nm", {"decay": 0.25}), optimizer=MOMENTUM, sparsity=0.5)
    layer.step([[0.0] * 4])
    assert dense_of(layer.sparse).tolist()[0] == pytest.approx([7.6, -3.8, 1.65, -0.825], abs=1e-12)
    layer.step([[0.0] * 4])
    assert dense_of(layer.sparse).tolist()[0] == pytest.approx([7.02, -3.51, 1.18625, -0.593125], abs=1e-12)


def test_the_pull_is_computed_in_the_weight_s_precision(one_layer: Callable[..., Any]) -> None:
    """0.1 of 2 and of 1 in float64: 1.8 and 0.9; a float32 0.1 is off by 1.5e-9."""
    layer = one_layer([[4.0, 3.0, 2.0, 1.0]], make("nm", {"decay": 0.1}), sparsity=0.5)
    layer.step([[0.0] * 4])
    assert dense_of(layer.sparse).tolist()[0] == pytest.approx([4.0, 3.0, 1.8, 0.9], abs=1e-12)


def test_a_pruned_weight_comes_back_by_its_gradient(one_layer: Callable[..., Any]) -> None:
    """8 4 [2 1]: the straight-through gradient -4 makes the 2 a 5.5 (pull 0.25): it takes the 4's place."""
    layer = one_layer([[8.0, 4.0, 2.0, 1.0]], make("nm", {"decay": 0.25}), sparsity=0.5)
    layer.step([[0.0, 0.0, -4.0, 0.0]])
    assert layer.mask == [[1, 0, 1, 0]]
    assert dense_of(layer.sparse).tolist() == [[8.0, 4.0, 5.5, 0.75]]


def test_a_row_that_groups_do_not_divide_is_refused() -> None:
    model = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 4))
    with pytest.raises(CannotError, match=r"'nm' cannot.*row of 1 has 6 inputs.*4"):
        sparsify(model, SGD(model.parameters()), "nm", 0.5, total_steps=9)
    sparsify(model, SGD(model.parameters()), "nm", 0.5, layers={"1": "unmasked"}, total_steps=9)


def test_another_sparsity_than_n_of_m_is_refused() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4))
    with pytest.raises(CannotError, match=r"2:4 is a sparsity of 0\.5, 0 is asked for 0\.75"):
        sparsify(model, SGD(model.parameters()), "nm", 0.75, total_steps=9)
    with pytest.raises(CannotError, match=r"1 is asked for 0\.6"):
        sparsify(model, SGD(model.parameters()), "nm", 0.5, layers={"1": 0.6}, total_steps=9)
    made = make("nm", {"n": 1, "m": 4})
    assert sparsify(model, SGD(model.parameters()), made, 0.75, total_steps=9).sparsity == 0.75


@pytest.mark.parametrize("options", [{"n": 0}, {"n": 4, "m": 4}, {"n": 1, "m": 1}, {"decay": -1.0}])
def test_n_of_m_s_options_have_ranges(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="of nm is"):
        make("nm", options)


# -- Top-KAST ----------------------------------------------------------------------------------------------------------

EIGHT = [[8.0, -7.0, 6.0, 5.0, -4.0, 3.0, 2.0, 1.0]]


def test_exploration_decays_the_outer_ring_by_one_over_d(one_layer: Callable[..., Any]) -> None:
    """A is 8 -7, B adds 6 5, D = 2/8; lambda 0.01 on A, 0.04 on the ring, none outside; gradient 1 -1 and then ones.

    8 - 1 - 0.08 = 6.92, -7 + 1 + 0.07 = -5.93, 6 - 1 - 0.24 = 4.76, 5 - 1 - 0.2 = 3.8; the others stay as they are. So
    the -4, which did not move, has overtaken the 3.8 and is in B now: exploration.
    """
    sgd = partial(torch.optim.SGD, lr=1.0, weight_decay=0.01)
    layer = one_layer(EIGHT, "topkast", optimizer=sgd, sparsity=0.75)
    assert layer.weights == [[8.0, -7.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    assert backward_set_of(layer.sparse).int().tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]]
    layer.step([[1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    found = dense_of(layer.sparse).tolist()[0]
    assert found[:4] == pytest.approx([6.92, -5.93, 4.76, 3.8], abs=1e-7)
    assert found[4:] == [-4.0, 3.0, 2.0, 1.0]
    assert backward_set_of(layer.sparse).int().tolist() == [[1, 1, 1, 0, 1, 0, 0, 0]]
    assert layer.mask == [[1, 1, 0, 0, 0, 0, 0, 0]]


def test_a_weight_that_returns_to_b_has_its_value_and_no_momentum(one_layer: Callable[..., Any]) -> None:
    """As above with momentum 0.5: the 5 is 3.8 when it leaves, its velocity 1.2.

    In the second step -4 has gradient -2 and becomes -4 + 2 + 0.16 = -1.84; 6.92 -5.93 4.76 go to 6.3108, -5.3357 and
    4.76 - (0.62 + 0.1904) = 3.9496: the 3.8 is back in B. In the third, without gradients, it only decays: 3.8 * 0.96.
    """
    sgd = partial(torch.optim.SGD, lr=1.0, weight_decay=0.01, momentum=0.5)
    layer = one_layer(EIGHT, "topkast", optimizer=sgd, sparsity=0.75)
    layer.step([[1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    assert backward_set_of(layer.sparse).int().tolist() == [[1, 1, 1, 0, 1, 0, 0, 0]]
    layer.step([[0.0, 0.0, 0.0, 9.0, -2.0, 9.0, 9.0, 9.0]])
    expected = [6.3108, -5.3357, 3.9496, 3.8, -1.84, 3.0, 2.0, 1.0]
    assert dense_of(layer.sparse).tolist()[0] == pytest.approx(expected, abs=1e-7)
    assert backward_set_of(layer.sparse).int().tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]]
    layer.step([[0.0] * 8])
    assert dense_of(layer.sparse).tolist()[0][3] == pytest.approx(3.8 * 0.96, abs=1e-7)


def test_exploration_is_computed_in_the_weight_s_precision(one_layer: Callable[..., Any]) -> None:
    """D = 3/10 and lambda 0.3: the ring's decay is 0.3 / 0.3 = 1, which at lr 1 leaves nothing of it; A keeps 0.7."""
    sgd = partial(torch.optim.SGD, lr=1.0, weight_decay=0.3)
    layer = one_layer([[float(i) for i in range(10, 0, -1)]], "topkast", optimizer=sgd, sparsity=0.7)
    layer.step([[0.0] * 10])
    expected = [7.0, 6.3, 5.6, 0.0, 0.0, 0.0, 4.0, 3.0, 2.0, 1.0]
    assert dense_of(layer.sparse).tolist()[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("network", "optimizer"),
    [("mlp", "momentum"), ("mlp", "nesterov"), ("mlp", "adam"), ("mlp", "adamw"), ("conv", "amsgrad")],
)
def test_outside_b_nothing_moves(start: Callable[..., Any], network: str, optimizer: str) -> None:
    """Bit for bit, and without optimizer state, although momentum and weight decay are on; B always contains A."""
    training = start("topkast", network, optimizer)
    entered = 0
    for _ in range(20):
        layers = training.sparse.masks
        before = {name: dense_of(training.sparse, name) for name in layers}
        outside = {name: ~backward_set_of(training.sparse, name) for name in layers}
        trained = {name: int((~mask).sum()) for name, mask in outside.items()}
        assert training.sparse.gradient_nonzeros == trained
        assert trained == {name: min(2 * int(mask.sum()), mask.numel()) for name, mask in layers.items()}
        assert not any((mask & outside[name]).any() for name, mask in layers.items())
        assert training.batch() is True
        slots = training.slots()
        for name, mask in outside.items():
            after = dense_of(training.sparse, name)
            assert after[mask].equal(before[name][mask])
            assert bool((after[~mask] != before[name][~mask]).any())
            entered += int((mask & backward_set_of(training.sparse, name)).sum())
            for slot, value in slots[f"{name}.weight"].items():
                assert value.shape != mask.shape or not value[mask].any(), slot
    assert entered > 0


def test_what_has_just_left_b_has_no_optimizer_state(start: Callable[..., Any]) -> None:
    """Seen from outside, after each step, as a checkpoint would hold it."""
    training = start("topkast", "mlp", "adam")
    for _ in range(20):
        training.batch()
        slots = training.slots()
        for name in training.sparse.masks:
            outside = ~backward_set_of(training.sparse, name)
            for slot, value in slots[f"{name}.weight"].items():
                assert value.shape != outside.shape or not value[outside].any(), slot


@given(
    values=st.lists(st.integers(-3, 3), min_size=1, max_size=40),
    share=st.floats(0.01, 1.0),
    ratio=st.floats(1.0, 8.0),
)
def test_b_is_the_larger_of_two_nested_sets(values: list[int], share: float, ratio: float) -> None:
    """Ties, of which there are many here, go the same way in both."""
    dense = torch.tensor([values], dtype=torch.float64)
    count = max(1, int(share * len(values)))
    layer = layer_of(dense)
    active = make("topkast", {"backward_ratio": ratio}).active(layer, count)
    backward = layer.state["backward"]
    assert active.flatten().tolist() == top(dense, count)
    assert backward.flatten().tolist() == top(dense, min(int(ratio * count), len(values)))
    assert not bool((active & ~backward).any())


def test_a_ratio_of_one_trains_a_alone_and_a_large_one_trains_all(one_layer: Callable[..., Any]) -> None:
    """lambda 0 here: the gradient alone moves 2, or all 8, by 1."""
    alone = one_layer(EIGHT, make("topkast", {"backward_ratio": 1.0}), sparsity=0.75)
    alone.step([[1.0] * 8])
    assert dense_of(alone.sparse).tolist() == [[7.0, -8.0, 6.0, 5.0, -4.0, 3.0, 2.0, 1.0]]
    everything = one_layer(EIGHT, make("topkast", {"backward_ratio": 100.0}), sparsity=0.75)
    everything.step([[1.0] * 8])
    assert dense_of(everything.sparse).tolist() == [[7.0, -8.0, 5.0, 4.0, -5.0, 2.0, 1.0, 0.0]]


def test_top_kast_refuses_a_backward_set_smaller_than_the_forward_set() -> None:
    with pytest.raises(ValueError, match=r"backward_ratio of topkast is 0\.5, it must be at least 1"):
        make("topkast", {"backward_ratio": 0.5})


# -- STR ---------------------------------------------------------------------------------------------------------------


def test_str_by_hand(one_layer: Callable[..., Any]) -> None:
    """s = 0: g = 1/2, g' = 1/4. 2 -1 0.1 are seen as 1.5 -0.5 0; the gradient 1 2 4 passes as 1 2 0.

    dL/ds = -1/4 (1 * 1 + 2 * (-1)) = 1/4. With lr 1: 1 -3 0.1, s = -1/4, g(s) = 1 / (1 + e^0.25) = 0.437823: seen as
    0.562177, -2.562177, 0.
    """
    layer = one_layer([[2.0, -1.0, 0.1]], make("str", {"initial": 0.0, "decay": 0.0}), sparsity=0.0)
    assert (layer.mask, layer.weights) == ([[1, 1, 0]], [[1.5, -0.5, 0.0]])
    layer.step([[1.0, 2.0, 4.0]])
    assert dense_of(layer.sparse).tolist() == [[1.0, -3.0, 0.1]]
    assert float(layer.sparse.extra_parameters["weight.s"]) == pytest.approx(-0.25, abs=1e-15)
    assert layer.weights[0] == pytest.approx([0.562177, -2.562177, 0.0], abs=1e-6)


def test_a_threshold_can_prune_and_revive(one_layer: Callable[..., Any]) -> None:
    """0.6 and 3 at g(0) = 0.5; a gradient of -8 on the 3 alone: dL/ds = 2, s = -2, g = 0.119: all three are seen.

    Then +40 through 11 raises s to -2 + 0.104994 * 40 = 2.199742 and g to 0.900: only the 11 is left, by then -29.
    """
    layer = one_layer([[0.6, 3.0, 0.3]], make("str", {"initial": 0.0, "decay": 0.0}), sparsity=0.0)
    assert layer.mask == [[1, 1, 0]]
    layer.step([[0.0, -8.0, 0.0]])
    assert float(layer.sparse.extra_parameters["weight.s"]) == pytest.approx(-2.0)
    assert (layer.mask, layer.sparse.nonzeros) == ([[1, 1, 1]], {"weight": 3})
    layer.step([[0.0, 40.0, 0.0]])
    assert float(layer.sparse.extra_parameters["weight.s"]) == pytest.approx(2.199742, abs=1e-5)
    assert (layer.mask, layer.sparse.nonzeros) == ([[0, 1, 0]], {"weight": 1})
    assert layer.sparse.sparsity == pytest.approx(2 / 3)


def test_str_s_gradients_are_those_of_the_loss_in_w_and_s() -> None:
    """Central differences, in float64, of the loss as a function of all weights and both thresholds, off the kinks."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 1, 0, 1])
    weights = [torch.rand(4, 3, generator=generator).double() * 2 - 1, torch.rand(2, 4, generator=generator).double()]
    initial = -1.0
    threshold = 1 / (1 + math.exp(1.0))
    assert all(bool(((weight.abs() - threshold).abs() > 1e-3).all()) for weight in weights)
    assert all(0 < int((weight.abs() > threshold).sum()) < weight.numel() for weight in weights)

    def loss(values: list[Tensor], thresholds: list[float]) -> float:
        first, second = (
            torch.sign(value) * torch.clamp(value.abs() - 1 / (1 + math.exp(-s)), min=0)
            for value, s in zip(values, thresholds, strict=True)
        )
        return float(functional.cross_entropy(torch.tanh(inputs @ first.T) @ second.T, labels))

    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 2, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(weights[0])
        model[2].weight.copy_(weights[1])
    made = make("str", {"initial": initial, "decay": 0.0})
    sparse = sparsify(model, SGD(model.parameters()), made, 0.0, total_steps=9)
    shown = functional.cross_entropy(model(inputs), labels)
    assert shown.item() == pytest.approx(loss(weights, [initial, initial]), abs=1e-14)
    shown.backward()
    sparse.step()

    step = 1e-5
    for number, name in enumerate(("0", "2")):
        moved = weights[number] - dense_of(sparse, name)
        for index in np.ndindex(*weights[number].shape):
            up, down = ([value.clone() for value in weights] for _ in range(2))
            up[number][index] += step
            down[number][index] -= step
            slope = (loss(up, [initial] * 2) - loss(down, [initial] * 2)) / (2 * step)
            assert float(moved[index]) == pytest.approx(slope, abs=1e-8)
        up, down = [initial] * 2, [initial] * 2
        up[number] += step
        down[number] -= step
        slope = (loss(weights, up) - loss(weights, down)) / (2 * step)
        assert abs(slope) > 1e-3
        assert initial - float(sparse.extra_parameters[f"{name}.s"]) == pytest.approx(slope, abs=1e-8)


def test_decay_pulls_a_threshold_up(one_layer: Callable[..., Any]) -> None:
    """s = -5 without a gradient: s + lr * decay * 5 = -5 + 0.5 * 0.1 * 5; the weights' own decay (0.1) takes no part."""
    sgd = partial(torch.optim.SGD, lr=0.5, weight_decay=0.1)
    layer = one_layer([[2.0, 1.0]], make("str", {"initial": -5.0, "decay": 0.1}), optimizer=sgd, sparsity=0.0)
    layer.step([[0.0, 0.0]])
    assert float(layer.sparse.extra_parameters["weight.s"]) == pytest.approx(-4.75)
    assert dense_of(layer.sparse).tolist()[0] == pytest.approx([1.9, 0.95])
    without = one_layer([[2.0, 1.0]], make("str", {"initial": -5.0, "decay": 0.0}), optimizer=sgd, sparsity=0.0)
    without.step([[0.0, 0.0]])
    assert float(without.sparse.extra_parameters["weight.s"]) == -5.0


def test_a_threshold_has_the_optimizer_s_momentum(one_layer: Callable[..., Any]) -> None:
    """lr 0.5, momentum 0.5: dL/ds = -1/4 and then 0. s = 0.125, then 0.125 + 0.5 * 0.125 = 0.1875."""
    layer = one_layer([[9.0]], make("str", {"initial": 0.0, "decay": 0.0}), optimizer=MOMENTUM, sparsity=0.0)
    layer.step([[1.0]])
    assert float(layer.sparse.extra_parameters["weight.s"]) == pytest.approx(0.125)
    layer.step([[0.0]])
    assert float(layer.sparse.extra_parameters["weight.s"]) == pytest.approx(0.1875)


def test_thresholds_are_a_group_of_their_own_without_weight_decay(start: Callable[..., Any]) -> None:
    training = start("str", "mlp", "momentum")
    weights, thresholds = training.optimizer.param_groups
    assert [parameter.ndim for parameter in thresholds["params"]] == [0, 0, 0]
    assert set(training.sparse.extra_parameters) == {"0.s", "2.s", "4.s"}
    assert thresholds["weight_decay"] == 0.0
    assert {key: value for key, value in thresholds.items() if key not in ("params", "weight_decay")} == {
        key: value for key, value in weights.items() if key not in ("params", "weight_decay")
    }


def test_thresholds_follow_the_weights_group() -> None:
    """STR's s has the weights' learning rate and momentum, also where a group of the optimizer has its own."""
    model = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD([{"params": model.parameters(), "lr": 0.5, "momentum": 0.9}], lr=0.01)
    sparsify(model, optimizer, "str", 0.0, total_steps=9)
    assert optimizer.param_groups[-1]["weight_decay"] == 0.0
    assert (optimizer.param_groups[-1]["lr"], optimizer.param_groups[-1]["momentum"]) == (0.5, 0.9)


def test_a_learning_rate_schedule_reaches_thresholds(one_layer: Callable[..., Any]) -> None:
    """At a tenth of the rate the decay 0.1 moves s = -5 by 0.05."""
    layer = one_layer([[1.0]], make("str", {"initial": -5.0, "decay": 0.1}), sparsity=0.0)
    torch.optim.lr_scheduler.LambdaLR(layer.optimizer, lambda step: 0.1)
    layer.step([[0.0]])
    assert float(layer.sparse.extra_parameters["weight.s"]) == pytest.approx(-4.95)


def test_thresholds_are_saved_and_restored(start: Callable[..., Any]) -> None:
    """Through a file into another network, optimizer and engine; ten steps further all is still equal."""
    made = make("str", {"initial": -2.0})
    original = start(made)
    original.run(10)
    file = io.BytesIO()
    torch.save([original.model.state_dict(), original.optimizer.state_dict(), original.sparse.state_dict()], file)
    file.seek(0)
    model, optimizer, engine = torch.load(file, weights_only=True)
    resumed = start(made, initial_seed=5)
    resumed.model.load_state_dict(model)
    resumed.optimizer.load_state_dict(optimizer)
    resumed.sparse.load_state_dict(engine)
    resumed.batches = original.batches
    thresholds = original.sparse.extra_parameters
    assert all(float(value) != -2.0 for value in thresholds.values())
    assert all(value.equal(thresholds[name]) for name, value in resumed.sparse.extra_parameters.items())
    for training in (original, resumed):
        training.run(20)
    assert original.sparse.digest() == resumed.sparse.digest()
    restored = resumed.sparse.extra_parameters
    assert all(value.equal(restored[name]) for name, value in original.sparse.extra_parameters.items())
    assert all(a.equal(b) for a, b in zip(original.model.parameters(), resumed.model.parameters(), strict=True))


def test_str_s_sparsity_is_what_it_reached(start: Callable[..., Any]) -> None:
    """Whatever is asked for: the same training, counted from the thresholds."""
    made = make("str", {"initial": -2.0})
    little, much = start(made, sparsity=0.1), start(made, sparsity=0.9)
    for _ in range(15):
        for training in (little, much):
            zeros = weights = 0
            for name, mask in training.sparse.masks.items():
                s = training.sparse.extra_parameters[f"{name}.s"].double()
                expected = dense_of(training.sparse, name).double().abs() > 1 / (1 + torch.exp(-s))
                assert mask.equal(expected)
                zeros, weights = zeros + int((~mask).sum()), weights + mask.numel()
            assert 0 < zeros < weights
            assert training.sparse.sparsity == pytest.approx(zeros / weights)
            active = {name: int(mask.sum()) for name, mask in training.sparse.masks.items()}
            assert training.sparse.gradient_nonzeros == active
            training.batch()
        assert little.sparse.digest() == much.sparse.digest()
    assert all(a.equal(b) for a, b in zip(little.model.parameters(), much.model.parameters(), strict=True))


def test_str_s_decay_is_not_negative() -> None:
    with pytest.raises(ValueError, match="decay of str is -1"):
        make("str", {"decay": -1.0})

"""SRigL: constant fan-in from the first mask on, ablation and regrowth by hand.

Neuron i is row i of a weight. First masks by hand come through the contract's own hook, ``random_mask``; SRigL takes none
from elsewhere. Updates of a hand-computed test come at step 0 unless it says otherwise, and drop a constant share.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sparse_methods import CannotError, Sparsifier, sparsify
from sparse_methods.method import Request
from sparse_methods.methods import make
from sparse_methods.methods.srigl import SRigL

SGD = partial(torch.optim.SGD, lr=1.0)


@dataclass(frozen=True)
class FromMask(SRigL):
    """SRigL that starts from given rows of zeros and ones, for layers of their shape."""

    rows: tuple[tuple[int, ...], ...] = ()

    def random_mask(self, shape: tuple[int, ...], zeros: int, generator: torch.Generator) -> Tensor:
        mask = torch.tensor(self.rows, dtype=torch.bool)
        return mask if mask.shape == shape else super().random_mask(shape, zeros, generator)


class Hidden:
    """A hidden layer "hidden" of given weights and mask, an unmasked layer after it, and gradients as they are told."""

    def __init__(
        self,
        weights: Sequence[Sequence[float]],
        mask: Sequence[Sequence[int]],
        sparsity: float,
        optimizer: Callable[[Any], torch.optim.Optimizer] = SGD,
        ablation: float = 0.3,
        last: bool = False,
        **options: Any,
    ) -> None:
        values = torch.tensor(weights, dtype=torch.float64)
        neurons, inputs = values.shape
        layers = {"hidden": nn.Linear(inputs, neurons, bias=False), "other": nn.Linear(neurons, 1, bias=False)}
        order = ["other", "hidden"] if last else ["hidden", "other"]
        self.model = nn.ModuleDict({name: layers[name] for name in order}).double()
        self.weight = self.model["hidden"].weight
        with torch.no_grad():
            self.weight.copy_(values)
        self.optimizer = optimizer(self.model.parameters())
        self.sparse = sparsify(
            self.model,
            self.optimizer,
            FromMask(ablation=ablation, rows=tuple(map(tuple, mask))),
            sparsity,
            layers={"other": "unmasked"},
            **({"total_steps": 1000, "decay": "constant"} | options),
        )

    def step(self, gradient: Sequence[Sequence[float]]) -> bool:
        self.optimizer.zero_grad()
        self.model["other"].weight.grad = torch.zeros_like(self.model["other"].weight)
        (self.weight * torch.tensor(gradient, dtype=torch.float64)).sum().backward()
        return self.sparse.step()

    @property
    def mask(self) -> list[list[int]]:
        return self.sparse.masks["hidden"].int().tolist()

    @property
    def weights(self) -> list[list[float]]:
        return self.weight.tolist()


# -- fan-ins -----------------------------------------------------------------------------------------------------------


def fan_ins(sparse: Sparsifier, layer: str) -> list[int]:
    return sparse.masks[layer].flatten(1).sum(dim=1).tolist()


def check_fan_in(sparse: Sparsifier, layer: str, sparsity: float, ablates: bool) -> int:
    """Every neuron has all of it or nothing, rounded down from the budget; how many neurons are left."""
    mask = sparse.masks[layer]
    row = mask[0].numel()
    budget = mask.numel() - math.floor(sparsity * mask.numel())
    found = fan_ins(sparse, layer)
    alive = [fan_in for fan_in in found if fan_in]
    assert alive and set(alive) == {budget // len(alive)}
    assert max(alive) <= row
    assert budget - len(alive) < sum(alive) <= budget
    assert ablates or len(alive) == len(found)
    return len(alive)


SHAPES = st.sampled_from([(4, 6), (7, 5), (1, 9), (12, 3), (6, 2, 3, 3), (5, 4, 1, 2), (3, 2, 4)])


@settings(max_examples=30, deadline=None)
@given(
    shape=SHAPES,
    sparsity=st.floats(0.0, 0.95),
    ablation=st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.0]),
    fraction=st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0]),
    seed=st.integers(0, 99),
)
def test_fan_in_is_constant_at_first_and_after_each_update(
    shape: tuple[int, ...], sparsity: float, ablation: float, fraction: float, seed: int
) -> None:
    """Of linear layers and convolutions; a neuron has no more weights than its row; the last layer keeps all neurons."""
    size = math.prod(shape)
    assume(size - math.floor(sparsity * size) >= shape[0])
    kinds = {2: nn.Linear, 3: nn.Conv1d, 4: nn.Conv2d}

    def layer() -> nn.Module:
        kernel = () if len(shape) == 2 else (shape[2:],)
        return kinds[len(shape)](shape[1], shape[0], *kernel, bias=False)

    generator = torch.Generator().manual_seed(seed)
    model = nn.ModuleDict({"hidden": layer(), "last": layer()})
    with torch.no_grad():
        for module in model.values():
            module.weight.copy_(torch.randn(shape, generator=generator))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    made = make("srigl", {"ablation": ablation})
    options = {"total_steps": 9, "update_every": 1, "end": "never", "drop_fraction": fraction, "decay": "constant"}
    sparse = sparsify(model, optimizer, made, sparsity, seed=seed, **options)
    assert check_fan_in(sparse, "hidden", sparsity, ablates=False) == shape[0]
    assert check_fan_in(sparse, "last", sparsity, ablates=False) == shape[0]
    for _ in range(8):
        scales = torch.randn(shape[0], generator=generator).exp().view(-1, *[1] * (len(shape) - 1))
        for module in model.values():
            module.weight.grad = scales * torch.randn(shape, generator=generator)
        updates = sparse.updates
        stepped = sparse.step()
        assert stepped == (sparse.updates == updates)
        check_fan_in(sparse, "hidden", sparsity, ablates=ablation > 0)
        check_fan_in(sparse, "last", sparsity, ablates=False)
        for name, module in model.items():
            mask = sparse.masks[name]
            assert not module.weight[~mask].any()
            momentum = optimizer.state.get(module.weight, {}).get("momentum_buffer")
            assert momentum is None or not momentum[~mask].any()
    assert sparse.updates >= 4


def test_first_fan_ins_are_random_and_rounded_down(one_layer: Callable[..., Any]) -> None:
    """10 x 5 at 0.33 has 50 - 16 = 34 weights: 3 for each neuron. 300 seeds: each is in 180 +- 5 deviations (8.5) times."""
    drawn = torch.zeros(10, 5)
    for seed in range(300):
        mask = one_layer([[1.0] * 5] * 10, "srigl", sparsity=0.33, seed=seed).sparse.masks["weight"]
        assert mask.sum(dim=1).tolist() == [3] * 10
        drawn += mask
    assert (drawn - 180).abs().max() < 5 * 8.5


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_training_keeps_constant_fan_in(start: Callable[..., Any], network: str) -> None:
    """With the gradients of a real loss, in every layer."""
    training = start("srigl", network)
    names = list(training.sparse.masks)
    digests = set()
    for _ in range(60):
        training.batch()
        digests.add(training.sparse.digest())
        for name in names:
            check_fan_in(training.sparse, name, 0.7, ablates=name != names[-1])
    assert training.sparse.updates == 10
    assert len(digests) > 5


# -- updates by hand ---------------------------------------------------------------------------------------------------

LEFT = [[1, 1, 1, 0, 0, 0]]


def test_an_update_by_hand() -> None:
    """Two neurons, 3 of 6 inputs each; a third of 6 weights goes: 2 and 1, both of the second neuron.

    The first keeps its three and has no room, whatever its gradients; the second keeps the 3 and grows the two largest of
    0 7 -9 5 8 at 1..5: 3 and 5. Grown weights start at zero, and the batch takes the place of a step.
    """
    layer = Hidden(
        [[6.0, -5.0, 4.0, 0.0, 0.0, 0.0], [3.0, 2.0, -1.0, 0.0, 0.0, 0.0]],
        LEFT * 2,
        sparsity=0.5,
        ablation=0.0,
        drop_fraction=1 / 3,
    )
    assert layer.step([[50.0] * 6, [9.0, 0.0, 7.0, -9.0, 5.0, 8.0]]) is False
    assert layer.mask == [[1, 1, 1, 0, 0, 0], [1, 0, 0, 1, 0, 1]]
    assert layer.weights == [[6.0, -5.0, 4.0, 0.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    assert (layer.sparse.steps, layer.sparse.updates) == (0, 1)


THREE = [[9.0, 8.0, 7.0, 0.0, 0.0, 0.0], [6.0, 5.0, 4.0, 0.0, 0.0, 0.0], [3.0, 2.0, 1.0, 0.0, 0.0, 0.0]]
THREE_GRADIENTS = [[0.0, 0.0, 0.0, 10.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, 9.0, 1.0], [8.0, 7.0, 6.0, 0.0, 0.0, 0.0]]


def test_a_neuron_with_few_salient_weights_is_ablated_and_its_budget_shared() -> None:
    """Three neurons with 3 of 6 inputs, a budget of 9; 3 2 1 go, all of the third; the gradients 10 9 8 are salient.

    Salient are 4, 4 and 1; the threshold is int(0.7 * 3) = 2, so the third neuron goes. 9 // 2 = 4: the others keep
    their three and grow one each, at the 10 and the 9.
    """
    layer = Hidden(THREE, LEFT * 3, sparsity=0.5, ablation=0.7, drop_fraction=1 / 3)
    layer.step(THREE_GRADIENTS)
    assert layer.mask == [[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 1, 0], [0] * 6]
    assert layer.weights == [[9.0, 8.0, 7.0, 0.0, 0.0, 0.0], [6.0, 5.0, 4.0, 0.0, 0.0, 0.0], [0.0] * 6]
    assert layer.sparse.nonzeros == {"hidden": 8}


@pytest.mark.parametrize(("ablation", "last"), [(0.7, True), (0.0, False), (0.3, False)])
def test_the_last_layer_and_a_low_threshold_keep_every_neuron(ablation: float, last: bool) -> None:
    """The same update: the third neuron grows its three anew at 8 7 6, and the just-dropped keep their values.

    int(0.3 * 3) = 0 is raised to 1, which the third neuron's one salient weight meets.
    """
    layer = Hidden(THREE, LEFT * 3, sparsity=0.5, ablation=ablation, last=last, drop_fraction=1 / 3)
    layer.step(THREE_GRADIENTS)
    assert layer.mask == LEFT * 3
    assert layer.weights == THREE


def test_a_weight_that_is_kept_and_has_a_large_gradient_is_salient_once() -> None:
    """The three largest gradients 10 9 8 are at the second neuron's kept 6 5 4: salient are 3, 3 and 0 weights.

    The threshold int(0.7 * 3) = 2 ablates the third neuron. Were kept weights left out of the three largest gradients, the
    third's 7 5 4 would be salient, and it would stay. The first grows at its lowest index, its gradients being equal.
    """
    gradients = [[0.0] * 6, [10.0, 9.0, 8.0, 0.0, 0.0, 2.0], [7.0, 5.0, 4.0, 0.0, 0.0, 0.0]]
    layer = Hidden(THREE, LEFT * 3, sparsity=0.5, ablation=0.7, drop_fraction=1 / 3)
    layer.step(gradients)
    assert layer.mask == [[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 1], [0] * 6]


def test_the_threshold_is_a_share_of_the_current_fan_in() -> None:
    """Row 20, fan-in 4: int(0.5 * 4) = 2, where half of the dense fan-in would be 10 and cost all neurons but one.

    Three neurons, budget 60 - 48 = 12. A quarter is 3: 1 2 3 go, all of the third neuron, which keeps 4; gradients 9 8 7
    are one in each: salient 5 5 2, and all stay.
    """
    start = [[12.0, 11.0, 10.0, 9.0] + [0.0] * 16, [8.0, 7.0, 6.0, 5.0] + [0.0] * 16, [4.0, 3.0, 2.0, 1.0] + [0.0] * 16]
    gradients = [
        [0.0] * 4 + [9.0] + [0.0] * 15,
        [0.0] * 4 + [8.0] + [0.0] * 15,
        [0.0] * 4 + [7.0, 6.0, 5.0] + [0.0] * 13,
    ]
    layer = Hidden(start, [[1] * 4 + [0] * 16] * 3, sparsity=0.8, ablation=0.5, drop_fraction=0.25)
    layer.step(gradients)
    assert layer.mask == [[1] * 4 + [0] * 16] * 2 + [[1, 0, 0, 0, 1, 1, 1] + [0] * 13]


def test_an_ablated_neuron_comes_back_by_its_gradients_and_others_keep_their_largest() -> None:
    """Two neurons with 3 of 6, a third with none, a budget of 18 - floor(2/3 * 18) = 6; two weights go, 2 and 1.

    The largest gradients, 9 8, are in the third: salient 3 1 2, all at least max(1, int(0.3 * 3)) = 1. 6 // 3 = 2: the
    first neuron keeps 6 -5 of its 6 4 -5, the second the 3 and grows at its 7, the third grows at 9 and 8.
    """
    layer = Hidden(
        [[6.0, 4.0, -5.0, 0.0, 0.0, 0.0], [3.0, 2.0, 1.0, 0.0, 0.0, 0.0], [0.0] * 6],
        [*LEFT * 2, [0] * 6],
        sparsity=2 / 3,
        drop_fraction=1 / 3,
    )
    layer.step([[0.0, 0.0, 0.0, 5.0, 0.0, 0.0], [0.0, 1.0, 0.0, 7.0, 2.0, 0.0], [0.0, 9.0, 0.0, 3.0, 8.0, 0.0]])
    assert layer.mask == [[1, 0, 1, 0, 0, 0], [1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 1, 0]]
    assert layer.weights == [[6.0, 0.0, -5.0, 0.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0] * 6]


def test_an_ablated_neuron_without_gradients_stays_away() -> None:
    """The same start; both large gradients in the second neuron: the third has no salient weight, the fan-in stays 3."""
    layer = Hidden(
        [[6.0, 4.0, -5.0, 0.0, 0.0, 0.0], [3.0, 2.0, 1.0, 0.0, 0.0, 0.0], [0.0] * 6],
        [*LEFT * 2, [0] * 6],
        sparsity=2 / 3,
        drop_fraction=1 / 3,
    )
    layer.step([[0.0] * 6, [0.0, 1.0, 0.0, 7.0, 6.0, 0.0], [0.0, 5.0, 0.0, 3.0, 4.0, 0.0]])
    assert layer.mask == [*LEFT, [1, 0, 0, 1, 1, 0], [0] * 6]


FOUR = [[9.0, 8.0, 0.0, 0.0], [7.0, 1.0, 0.0, 0.0], [2.0, 3.0, 0.0, 0.0], [4.0, 6.0, 0.0, 0.0]]


def test_as_many_neurons_stay_as_can_hold_the_budget() -> None:
    """Four neurons, 2 of 4 inputs each, threshold int(1.0 * 2) = 2, half of 8 weights go: 9 8 7 6 are kept.

    The largest gradients, 10 9 8 7, are three in the first neuron, and at the second's 1: salient 4 2 0 1 of 4, so two
    neurons pass, and two are needed: 8 weights in rows of 4. Each has all of its row then, and no more.
    """
    gradients = [[10.0, 0.0, 9.0, 8.0], [0.0, 7.0, 0.0, 0.0], [0.0] * 4, [0.0, 0.0, 5.0, 0.0]]
    layer = Hidden(FOUR, [[1, 1, 0, 0]] * 4, sparsity=0.5, ablation=1.0, drop_fraction=0.5)
    layer.step(gradients)
    assert layer.mask == [[1] * 4, [1] * 4, [0] * 4, [0] * 4]
    assert layer.weights == [[9.0, 8.0, 0.0, 0.0], [7.0, 1.0, 0.0, 0.0], [0.0] * 4, [0.0] * 4]


def test_the_most_salient_fill_up_where_too_few_pass_the_threshold() -> None:
    """Three neurons, 3 of 6 inputs each, threshold int(1.0 * 3) = 3, two thirds of 9 weights go: 9 8 7 are kept.

    Of the six largest gradients 16 15 14 13 are in the first neuron, 11 in the second, 12 in the third: salient 6 1 2. Only
    the first passes, but 9 weights need two rows of 6: the third is next. 9 // 2 = 4, grown at 16 15 and at 12 2 1.
    """
    layer = Hidden(
        [[9.0, 8.0, 1.0, 0.0, 0.0, 0.0], [2.0, 3.0, 4.0, 0.0, 0.0, 0.0], [7.0, 6.0, 5.0, 0.0, 0.0, 0.0]],
        LEFT * 3,
        sparsity=0.5,
        ablation=1.0,
        drop_fraction=2 / 3,
    )
    layer.step([[0.0, 0.0, 16.0, 15.0, 14.0, 13.0], [0.0, 0.0, 0.0, 11.0, 0.0, 0.0], [0.0, 0.0, 1.0, 12.0, 2.0, 0.0]])
    assert layer.mask == [[1, 1, 1, 1, 0, 0], [0] * 6, [1, 0, 1, 1, 1, 0]]


def test_the_weights_of_ablated_neurons_are_dropped_first() -> None:
    """The authors' step 6: the K smallest are found with those of ablated neurons below all others.

    Three neurons, 3 of 6; K = 3 of 9: 1 and the third neuron's 0.5 0.4. It keeps one, its 5, no large gradient, and has
    less than int(0.7 * 3) = 2 salient weights: ablated. Its three weights are the three that go: the first neuron keeps its
    1, and both others have their three and one more.
    """
    layer = Hidden(
        [[9.0, 8.0, 1.0, 0.0, 0.0, 0.0], [7.0, 6.0, 2.0, 0.0, 0.0, 0.0], [5.0, 0.5, 0.4, 0.0, 0.0, 0.0]],
        LEFT * 3,
        sparsity=0.5,
        ablation=0.7,
        drop_fraction=1 / 3,
    )
    layer.step([[0.0, 0.0, 0.0, 10.0, 9.0, 0.0], [0.0, 0.0, 0.0, 0.0, 8.0, 7.0], [0.0] * 6])
    assert layer.mask == [[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 1, 0], [0] * 6]
    assert layer.weights[0] == [9.0, 8.0, 1.0, 0.0, 0.0, 0.0]


def test_equally_salient_neurons_stay_or_go_together() -> None:
    """The authors lower the threshold to the count of the last neuron that is needed; all that have it stay.

    Four neurons, 2 of 4, threshold 2; kept are 9 8 7 6, the four largest gradients all in the first row: salient 4 1 0 1.
    Two neurons are needed, the second most salient has 1: three stay, of 8 // 3 = 2 each.
    """
    gradients = [[10.0, 9.0, 8.0, 7.0], [0.0, 0.0, 2.0, 1.0], [0.0] * 4, [0.0, 0.0, 1.0, 2.0]]
    layer = Hidden(FOUR, [[1, 1, 0, 0]] * 4, sparsity=0.5, ablation=1.0, drop_fraction=0.5)
    layer.step(gradients)
    assert layer.mask == [[1, 1, 0, 0], [1, 0, 1, 0], [0] * 4, [0, 1, 0, 1]]


def test_rounding_is_not_lost_twice() -> None:
    """Fan-ins come from the budget of what was asked for, not from what rounding left of it.

    Three neurons, row 6, sparsity 0.4: 18 - 7 = 11 weights, 3 each, 9 in all. With one neuron ablated the others have
    11 // 2 = 5, where 9 // 2 would be 4.
    """
    layer = Hidden(THREE, LEFT * 3, sparsity=0.4, ablation=0.7, drop_fraction=1 / 3)
    layer.step(THREE_GRADIENTS)
    assert layer.mask == [[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 1, 1], [0] * 6]
    assert layer.sparse.nonzeros == {"hidden": 10}


def test_an_update_that_drops_nothing_changes_nothing() -> None:
    """trunc(9 * 0.1) = 0 weights: no neuron is ablated, though the budget of 11 is not reached."""
    layer = Hidden(THREE, LEFT * 3, sparsity=0.4, ablation=1.0, drop_fraction=0.1)
    layer.step([[0.0] * 6, [0.0] * 6, [9.0] * 6])
    assert (layer.mask, layer.weights) == (LEFT * 3, THREE)
    assert (layer.sparse.steps, layer.sparse.updates) == (0, 1)


def test_new_weights_start_at_zero_without_momentum_and_kept_ones_keep_theirs() -> None:
    """A step first, lr 1, momentum 0.5: gradients 1 2 on 7 and 5 of the first, 1 -1 on 4 and 2 of the second neuron.

    Weights 6 3 and 3 3, momentum 1 2 and 1 -1. Half of 4 goes: with magnitudes 6 3 3 3 the first's two stay, the second
    loses both and grows the larger two of its gradients 0 5 6: the just-dropped one at 1, which keeps 3 and -1, and the
    new one at 2, from nothing. The next step, without gradients, moves by half the momentum.
    """
    sgd = partial(torch.optim.SGD, lr=1.0, momentum=0.5)
    layer = Hidden(
        [[7.0, 5.0, 0.0, 0.0], [4.0, 2.0, 0.0, 0.0]],
        [[1, 1, 0, 0]] * 2,
        sparsity=0.5,
        optimizer=sgd,
        ablation=0.0,
        drop_fraction=0.5,
        begin=1,
    )
    assert layer.step([[1.0, 2.0, 9.0, 9.0], [1.0, -1.0, 9.0, 9.0]]) is True
    assert layer.weights == [[6.0, 3.0, 0.0, 0.0], [3.0, 3.0, 0.0, 0.0]]
    assert layer.step([[0.0] * 4, [0.0, 5.0, 6.0, 0.0]]) is False
    assert layer.mask == [[1, 1, 0, 0], [0, 1, 1, 0]]
    assert layer.weights == [[6.0, 3.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0]]
    momentum = layer.optimizer.state[layer.weight]["momentum_buffer"]
    assert momentum.tolist() == [[1.0, 2.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0]]
    assert layer.step([[0.0] * 4, [0.0, 0.0, 1.0, 1.0]]) is True
    assert layer.weights == [[5.5, 2.0, 0.0, 0.0], [0.0, 3.5, -1.0, 0.0]]


def test_a_neuron_s_return_starts_from_nothing() -> None:
    """Ablated in one update, back in the next: its old weights 3 2 1 and its momentum are gone.

    First as above: the third neuron goes, two have 4 of 9. Then trunc(8 / 3) = 2 of 8 weights go, of the zeros grown
    last; the gradients 9 8 are in the third: salient 3 3 2 >= int(0.7 * 4) = 2. 9 // 3 = 3.
    """
    sgd = partial(torch.optim.SGD, lr=1.0, momentum=0.5)
    layer = Hidden(THREE, LEFT * 3, sparsity=0.5, optimizer=sgd, ablation=0.7, drop_fraction=1 / 3, update_every=1)
    layer.step(THREE_GRADIENTS)
    assert layer.mask[2] == [0] * 6
    assert layer.step([[0.0] * 6, [0.0] * 6, [1.0] * 6]) is True
    layer.step([[0.0] * 6, [0.0] * 6, [9.0, 8.0, 7.0, 0.0, 0.0, 0.0]])
    assert layer.mask == LEFT * 3
    assert layer.weights == [*THREE[:2], [0.0] * 6]
    assert not layer.optimizer.state[layer.weight]["momentum_buffer"][2].any()


def test_ablated_neurons_are_saved_and_restored(start: Callable[..., Any]) -> None:
    """A resumed training goes on with the neurons it had, update by update."""
    made = make("srigl", {"ablation": 1.0})
    original, resumed = start(made, "mlp", "adam", seed=3), start(made, "mlp", "adam", seed=4, initial_seed=5)
    original.run(12)
    assert any(0 in fan_ins(original.sparse, name) for name in original.sparse.masks)
    resumed.model.load_state_dict(original.model.state_dict())
    resumed.optimizer.load_state_dict(copy.deepcopy(original.optimizer.state_dict()))
    resumed.sparse.load_state_dict(original.sparse.state_dict())
    resumed.batches = original.batches
    for _ in range(25):
        assert original.batch() == resumed.batch()
        assert original.sparse.digest() == resumed.sparse.digest()


# -- what it refuses ---------------------------------------------------------------------------------------------------


def test_fewer_weights_than_neurons_are_refused() -> None:
    """8 x 4 at 0.8 has 32 - 25 = 7 weights for 8 neurons; at 0.75 it has one each."""
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(4, 8))
    with pytest.raises(CannotError, match=r"'srigl' cannot.*1 would have 7 weights for 8 neurons"):
        sparsify(model, SGD(model.parameters()), "srigl", 0.8, total_steps=9)
    sparse = sparsify(model, SGD(model.parameters()), "srigl", 0.8, layers={"1": 0.75}, total_steps=9)
    assert fan_ins(sparse, "1") == [1] * 8
    assert fan_ins(sparse, "0") == [1] * 8


def test_masks_from_elsewhere_are_refused() -> None:
    reason = make("srigl").skip(Request({"w": 0.5}, {"w": (4, 4)}, distribution=None, masks_given=True))
    assert reason and "masks" in reason


@pytest.mark.parametrize("ablation", [-0.1, 1.1])
def test_ablation_is_a_share(ablation: float) -> None:
    with pytest.raises(ValueError, match="ablation of srigl is"):
        make("srigl", {"ablation": ablation})

"""Methods whose topology moves, each rule on weights few enough to follow by hand.

A network here is a handful of rows; each step is told its gradients. Plain SGD has lr 1 unless a test says otherwise, so that
a step subtracts the gradient; with lr 0 weights stand still and only topology moves.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparse_methods import CannotError, growth, sparsify
from sparse_methods.method import Layer, Method
from sparse_methods.methods import make
from sparse_methods.topology import NonFiniteScoreError

Row = Sequence[float]
SGD = partial(torch.optim.SGD, lr=1.0)
STILL = partial(torch.optim.SGD, lr=0.0)


class Rows:
    """A network whose layers are single rows, in float64, named as they are passed."""

    def __init__(
        self,
        rows: Mapping[str, Row],
        method: str | Method,
        masks: Mapping[str, Sequence[int]] | None = None,
        optimizer: Callable[[Any], torch.optim.Optimizer] = SGD,
        total_steps: int = 1000,
        **options: Any,
    ) -> None:
        self.model = nn.ModuleDict(
            {name: nn.Linear(len(row), 1, bias=False, dtype=torch.float64) for name, row in rows.items()}
        )
        with torch.no_grad():
            for name, row in rows.items():
                self.model[name].weight.copy_(torch.tensor([row], dtype=torch.float64))
        self.optimizer = optimizer(self.model.parameters())
        given = None if masks is None else {name: torch.tensor([mask]) for name, mask in masks.items()}
        self.sparse = sparsify(self.model, self.optimizer, method, masks=given, total_steps=total_steps, **options)

    def step(self, gradients: Mapping[str, Row] | None = None, **options: Any) -> bool:
        """One batch with these gradients, zero for layers that are not named."""
        for name, layer in self.model.items():
            row = (gradients or {}).get(name, [0.0] * layer.in_features)
            layer.weight.grad = torch.tensor([row], dtype=torch.float64)
        return self.sparse.step(**options)

    @property
    def active(self) -> dict[str, list[int]]:
        """Indices of the active weights of each layer."""
        return {name: mask[0].nonzero()[:, 0].tolist() for name, mask in self.sparse.masks.items()}

    @property
    def weights(self) -> dict[str, list[float]]:
        return {name: layer.weight[0].tolist() for name, layer in self.model.items()}

    def slot(self, layer: str, name: str) -> list[float]:
        return self.optimizer.state[self.model[layer].weight][name][0].tolist()

    def state(self, layer: str, name: str) -> Tensor:
        """What the method remembers."""
        return self.sparse.state_dict()["layer_state"][layer][name]


def first(count: int, of: int) -> list[int]:
    """A mask whose first ``count`` weights are active."""
    return [1] * count + [0] * (of - count)


def draw_instead(monkeypatch: pytest.MonkeyPatch, random: Callable[[Layer], Tensor]) -> None:
    """``random`` in place of the generator, also where RigL's options look their score up."""
    monkeypatch.setattr(Layer, "random", random)
    monkeypatch.setitem(growth.SCORES, "random", random)


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> dict[str, Row]:
    """Random scores by layer; what is put here is what ``Layer.random`` draws from then on."""
    fixed: dict[str, Row] = {}
    draw_instead(monkeypatch, lambda layer: torch.tensor([fixed[layer.name]], dtype=torch.float64))
    return fixed


@pytest.fixture
def inactive_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random growth takes positions that were inactive before the update, the lowest index first."""
    draw_instead(monkeypatch, lambda layer: (~layer.mask).double())


def moves(network: Rows, steps: int, layer: str = "a") -> list[tuple[int, int]]:
    """(weights that left, weights that came) at each of ``steps`` gradient steps.

    The gradient is 1 where the mask is 0, so that nothing that is dropped by it can grow again.
    """
    found = []
    while network.sparse.steps < steps:
        before = network.sparse.masks
        network.step({name: (~mask[0]).double().tolist() for name, mask in before.items()})
        after = network.sparse.masks[layer]
        found.append((int((before[layer] & ~after).sum()), int((after & ~before[layer]).sum())))
    return found


# -- DeepR -------------------------------------------------------------------------------------------------------------


def deepr(l1: float = 0.0, noise: float = 0.0) -> Method:
    return make("deepr", {"l1": l1, "noise": noise})


def test_deepr_drifts_towards_zero_by_lr_times_l1() -> None:
    """theta = |w| here; lr 1/2 and l1 1/2 take 1/4 off each, then lr 1/10 takes 1/20. Nothing falls below zero."""
    network = Rows(
        {"a": [2.0, -2.0, 1.0, 0.0, 0.0]}, deepr(l1=0.5), {"a": first(3, 5)}, partial(torch.optim.SGD, lr=0.5)
    )
    assert network.step() is True
    assert network.weights["a"] == pytest.approx([1.75, -1.75, 0.75, 0.0, 0.0])
    network.optimizer.param_groups[0]["lr"] = 0.1
    network.step()
    assert network.weights["a"] == pytest.approx([1.7, -1.7, 0.7, 0.0, 0.0])
    assert network.active == {"a": [0, 1, 2]}
    assert (network.sparse.steps, network.sparse.updates) == (2, 2)


def test_deepr_adds_the_walk_to_the_gradient_step_in_theta() -> None:
    """lr 1/2, l1 1/4, noise 2: theta moves by -g sign / 2 + n - 1/8, n the generator's next normal numbers.

    8 -8 (0) 8 with gradients 1 1 (9) -1 is 7.5 -8.5 (0) 8.5 after the gradient step. No n of 8 is in sight.
    """
    network = Rows(
        {"a": [8.0, -8.0, 0.0, 8.0]},
        deepr(l1=0.25, noise=2.0),
        {"a": [1, 1, 0, 1]},
        partial(torch.optim.SGD, lr=0.5),
        seed=3,
    )
    generator = torch.Generator()
    generator.set_state(network.sparse.state_dict()["growth"])
    n = torch.randn(3, generator=generator, dtype=torch.float64).tolist()
    network.step({"a": [1.0, 1.0, 9.0, -1.0]})
    walk = [number - 0.125 for number in n]
    assert network.weights["a"] == pytest.approx([7.5 + walk[0], -8.5 - walk[1], 0.0, 8.5 + walk[2]])
    assert network.active == {"a": [0, 1, 3]}


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_deepr_walk_has_the_mean_of_the_drift_and_the_spread_of_the_noise(
    one_layer: Callable[..., Any], sign: float
) -> None:
    """lr 1/4, l1 1/2, noise 2: theta moves by N(-1/8, 1/2). Of 4,000: mean and spread within 5 standard errors."""
    layer = one_layer(
        [[sign * 100.0] * 80] * 50,
        deepr(l1=0.5, noise=2.0),
        [[1] * 80] * 50,
        partial(torch.optim.SGD, lr=0.25),
    )
    layer.step(torch.zeros(50, 80))
    moved = sign * (layer.model.weight.detach() - sign * 100.0)
    assert float(moved.mean()) == pytest.approx(-0.125, abs=5 * 0.5 / math.sqrt(4000))
    assert float(moved.std()) == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(8000))


def test_deepr_drops_what_falls_below_zero_and_grows_as_many_at_random(scores: dict[str, Row]) -> None:
    """Weights 1 -1 0.5 3, gradients 2 -2 0 0, l1 0.5: theta is 1-2-0.5 = -1.5 twice, 0 (still active) and 2.5.

    The two that died have the best scores and must not come back while others can; of 4..7 the best are 5 and 7.
    """
    scores["a"] = [0.99, 0.98, 0.0, 0.0, 0.3, 0.9, 0.1, 0.8]
    network = Rows({"a": [1.0, -1.0, 0.5, 3.0, 0.0, 0.0, 0.0, 0.0]}, deepr(l1=0.5), {"a": first(4, 8)})
    network.step({"a": [2.0, -2.0, 0.0, 0.0, 9.0, 0.0, 9.0, 0.0]})
    assert network.active == {"a": [2, 3, 5, 7]}
    assert network.weights == {"a": [0.0, 0.0, 0.0, 2.5, 0.0, 0.0, 0.0, 0.0]}


def test_deepr_new_connections_have_no_momentum_and_dead_ones_lose_theirs(scores: dict[str, Row]) -> None:
    """Momentum 1/2: after the first step it is the gradient, 3 and 1; the first weight dies of it, index 2 grows."""
    scores["a"] = [0.9, 0.9, 0.8, 0.1]
    network = Rows({"a": [2.0, 2.0, 0.0, 0.0]}, deepr(), {"a": first(2, 4)}, partial(SGD, momentum=0.5))
    network.step({"a": [3.0, 1.0, 7.0, 7.0]})
    assert network.active == {"a": [1, 2]}
    assert network.slot("a", "momentum_buffer") == [0.0, 1.0, 0.0, 0.0]


def test_deepr_a_position_keeps_its_sign_for_life(scores: dict[str, Row]) -> None:
    """Signs: -1 from the weight at 0, -1 and +1 drawn at 1 and 2 (below and above a half).

    Scores prefer 0 to 2 to 1, the one that just died excepted. A gradient pulls a weight from 0 to its negative.
    """
    scores["a"] = [0.9, 0.3, 0.7]
    network = Rows({"a": [-1.0, 0.0, 0.0]}, deepr(), {"a": [1, 0, 0]})
    assert network.state("a", "sign").tolist() == [[-1.0, -1.0, 1.0]]
    for gradient, weights, active in (
        ([-2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [2]),  # -1 + 2 is positive: the negative position dies
        ([0.0, 0.0, 5.0], [0.0, 0.0, 0.0], [0]),  # -5 at the positive position: it dies
        ([-3.0, 0.0, 0.0], [0.0, 0.0, 0.0], [2]),  # back again, 0 still is a negative position
        ([0.0, 0.0, -4.0], [0.0, 0.0, 4.0], [2]),  # +4 at the positive position lives
        ([0.0, 0.0, 9.0], [0.0, 0.0, 0.0], [0]),
        ([2.0, 0.0, 0.0], [-2.0, 0.0, 0.0], [0]),  # -2 at the negative position lives
    ):
        network.step({"a": gradient})
        assert (network.active["a"], network.weights["a"]) == (active, weights)
    assert network.state("a", "sign").tolist() == [[-1.0, -1.0, 1.0]]


def test_deepr_draws_the_signs_of_dormant_positions_evenly(one_layer: Callable[..., Any]) -> None:
    """2,000 positions, one active at 0, which has no sign of its own: 1000 +- 5 standard deviations (22.4)."""
    mask = [[1] + [0] * 49] + [[0] * 50] * 39
    layer = one_layer([[0.0] * 50] * 40, deepr(), mask)
    sign = layer.sparse.state_dict()["layer_state"]["weight"]["sign"]
    assert set(sign.flatten().tolist()) == {-1.0, 1.0}
    assert abs(int((sign > 0).sum()) - 1000) < 5 * 22.4


def test_deepr_what_just_died_comes_back_only_where_no_other_is_left(scores: dict[str, Row]) -> None:
    """0 and 1 of three die, one dormant position is left: it grows in spite of its score, then the better of the dead."""
    scores["a"] = [0.2, 0.6, 0.0, 0.1]
    network = Rows({"a": [1.0, 2.0, 3.0, 0.0]}, deepr(), {"a": first(3, 4)})
    network.step({"a": [2.0, 3.0, 0.0, 0.0]})
    assert network.active == {"a": [1, 2, 3]}


def test_deepr_what_comes_back_at_once_starts_at_zero(scores: dict[str, Row]) -> None:
    """A connection is dormant below zero and new ones start at 0: nowhere is a weight of the wrong sign.

    As above, 1 died at theta -1 and comes back. In a layer without zeros (ERK makes such) every dead one does.
    """
    scores["a"], scores["b"] = [0.2, 0.6, 0.0, 0.1], [0.5, 0.5]
    network = Rows({"a": [1.0, 2.0, 3.0, 0.0], "b": [1.0, -1.0]}, deepr(), {"a": first(3, 4), "b": [1, 1]})
    network.step({"a": [2.0, 3.0, 0.0, 0.0], "b": [4.0, 0.5]})
    assert network.active == {"a": [1, 2, 3], "b": [0, 1]}
    assert network.weights == {"a": [0.0, 0.0, 3.0, 0.0], "b": [0.0, -1.5]}


def test_deepr_grows_uniformly_among_the_dormant(one_layer: Callable[..., Any]) -> None:
    """Both active weights die; 2 of 4 dormant positions grow, 200 seeds: 100 +- 5 standard deviations (7.1) each."""
    grown = torch.zeros(6)
    for seed in range(200):
        layer = one_layer([[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]], deepr(), [first(2, 6)], seed=seed)
        layer.step([[3.0, 3.0, 0.0, 0.0, 0.0, 0.0]])
        grown += torch.tensor(layer.mask[0])
    assert grown[:2].tolist() == [0, 0] and grown.sum() == 400
    assert (grown[2:] - 100).abs().max() < 5 * 7.1


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_deepr_keeps_counts_and_signs_at_each_of_many_steps(start: Callable[..., Any], optimizer: str) -> None:
    """Layers of 160, 240 and 48 weights at 0.7: 48, 72 and 15 active, at every step, each with its position's sign."""
    training = start(deepr(l1=0.05, noise=0.1), optimizer=optimizer)
    signs = {name: state["sign"] for name, state in training.sparse.state_dict()["layer_state"].items()}
    rewired = 0
    for _ in range(25):
        before = training.sparse.digest()
        training.batch()
        rewired += training.sparse.digest() != before
        assert [row.nonzeros for row in training.sparse.counts()] == [48, 72, 15]
        for name, sign in signs.items():
            weight = dict(training.model.named_parameters())[f"{name}.weight"].detach()
            assert bool((sign * weight >= 0).all())
            assert training.sparse.state_dict()["layer_state"][name]["sign"].equal(sign)
    assert training.sparse.updates == 25 and rewired > 10


# -- DSR ---------------------------------------------------------------------------------------------------------------


def dsr(**options: float) -> Method:
    return make("dsr", {"threshold": 0.1} | options)


def test_dsr_drops_below_one_threshold_and_grows_where_weights_survive(scores: dict[str, Row]) -> None:
    """H = 0.1. a: 6 of 6 survive; b: 2 of 6. The 4 that fell are shared 6:2, 3 to a and 1 to b (6:6 would be 2 and 2).

    In b the best score is that of a weight that just fell, -0.05: it may come back, and keeps its value.
    """
    scores["a"] = [0.0] * 6 + [0.1, 0.9, 0.8, 0.7]
    scores["b"] = [0.1, 0.95, 0.1, 0.1, 0.0, 0.0, 0.9, 0.9, 0.9, 0.9]
    network = Rows(
        {"a": [0.5, 0.4, -0.3, 0.2, 0.6, -0.7] + [0.0] * 4, "b": [0.05, -0.05, 0.01, 0.09, 0.1, -0.5] + [0.0] * 4},
        dsr(),
        {"a": first(6, 10), "b": first(6, 10)},
        STILL,
    )
    network.step()
    assert network.active == {"a": [0, 1, 2, 3, 4, 5, 7, 8, 9], "b": [1, 4, 5]}
    assert network.weights["b"] == [0.0, -0.05, 0.0, 0.0, 0.1, -0.5, 0.0, 0.0, 0.0, 0.0]
    assert (network.sparse.updates, network.sparse.nonzeros) == (1, {"a": 9, "b": 3})


def test_dsr_steps_before_it_drops(scores: dict[str, Row]) -> None:
    """0.05 grows to 0.55 by its step and stays, 0.5 shrinks to 0.05 and falls."""
    scores["a"] = [0.0, 0.1, 0.9, 0.2]
    network = Rows({"a": [0.05, 0.5, 0.0, 0.0]}, dsr(), {"a": first(2, 4)})
    assert network.step({"a": [-0.5, 0.45, 0.0, 0.0]}) is True
    assert network.active == {"a": [0, 2]}


def test_dsr_rounds_shares_by_their_largest_remainders(inactive_first: None) -> None:
    """3 fell; 6, 2 and 1 survive: 3*6/9 = 2, 2/3 and 1/3, so 2, 1 and 0."""
    rows = {"a": [1.0] * 6 + [0.0] * 6, "b": [1.0, 1.0, 0.01, 0.01, 0.0, 0.0], "c": [1.0, 0.01, 0.0, 0.0]}
    masks = {"a": first(6, 12), "b": first(4, 6), "c": first(2, 4)}
    network = Rows(rows, dsr(), masks, STILL)
    network.step()
    assert network.sparse.nonzeros == {"a": 8, "b": 3, "c": 1}


def test_dsr_shares_anew_what_a_full_layer_cannot_take(inactive_first: None) -> None:
    """As in the first test 3 are due to a, which has room for 1; the other two go to b as well: 2 + 3."""
    rows = {"a": [1.0] * 6 + [0.0], "b": [0.01] * 4 + [1.0] * 2 + [0.0] * 4}
    network = Rows(rows, dsr(), {"a": first(6, 7), "b": first(6, 10)}, STILL)
    network.step()
    assert network.sparse.nonzeros == {"a": 7, "b": 5}


def test_dsr_keeps_the_largest_of_a_layer_of_which_all_would_fall(scores: dict[str, Row]) -> None:
    """b is all below H: its 0.03 stays. 2 fell, 3 and 1 survive: 3/2 and 1/2; the tie goes to a: 2 and 0."""
    scores["a"], scores["b"] = [0.0] * 3 + [0.1, 0.9, 0.8], [0.9] * 6
    network = Rows(
        {"a": [1.0, 1.0, 1.0, 0.0, 0.0, 0.0], "b": [0.01, 0.03, -0.02, 0.0, 0.0, 0.0]},
        dsr(),
        {"a": first(3, 6), "b": first(3, 6)},
        STILL,
    )
    network.step()
    assert network.active == {"a": [0, 1, 2, 4, 5], "b": [1]}


def test_dsr_adds_nothing_to_a_layer_without_weights(inactive_first: None) -> None:
    """No survivors, no share."""
    rows = {"a": [1.0, 1.0, 0.01, 0.0, 0.0], "b": [0.0] * 4}
    network = Rows(rows, dsr(), {"a": first(3, 5), "b": [0] * 4}, STILL)
    network.step()
    assert network.sparse.nonzeros == {"a": 3, "b": 0}


@pytest.mark.parametrize(("fallen", "after"), [(0, 0.2), (2, 0.2), (3, 0.1), (4, 0.1), (5, 0.1), (6, 0.05), (11, 0.05)])
def test_dsr_doubles_and_halves_the_threshold_outside_the_tolerance(
    inactive_first: None, fallen: int, after: float
) -> None:
    """A third of 12 active weights is intended, 4; tolerance 1/4: 3 to 5 change nothing. The same H in every layer."""
    rows = {"a": [0.01] * fallen + [1.0] * (12 - fallen) + [0.0] * 12, "b": [0.0] * 3}
    method = dsr(dropped=1 / 3, tolerance=0.25)
    network = Rows(rows, method, {"a": first(12, 24), "b": [0, 0, 0]}, STILL)
    network.step()
    assert (float(network.state("a", "threshold")), float(network.state("b", "threshold"))) == (after, after)


def test_dsr_a_doubled_threshold_drops_more_at_the_next_update(scores: dict[str, Row]) -> None:
    """2 of 4 are intended. Below 0.1 is the 0.05 alone: H becomes 0.2. Then the 0.15 falls, with the new weight at 0."""
    scores["a"] = [0.1, 0.2, 0.0, 0.0, 0.9, 0.8, 0.7, 0.6]
    network = Rows(
        {"a": [0.05, 0.15, 0.5, 0.6, 0.0, 0.0, 0.0, 0.0]},
        dsr(dropped=0.5),
        {"a": first(4, 8)},
        STILL,
        update_every=1,
    )
    network.step()
    assert (network.active, float(network.state("a", "threshold"))) == ({"a": [1, 2, 3, 4]}, 0.2)
    network.step()
    assert (network.active, float(network.state("a", "threshold"))) == ({"a": [2, 3, 4, 5]}, 0.2)


def test_dsr_a_halved_threshold_drops_less_at_the_next_update(scores: dict[str, Row]) -> None:
    """2 of 4 are intended, 3 fall below 0.2: H becomes 0.1. The 0.5 moves to 0.15 and stays, the new ones to 1."""
    scores["a"] = [0.1, 0.2, 0.0, 0.0, 0.9, 0.8, 0.7, 0.6]
    network = Rows(
        {"a": [0.05, 0.05, 0.05, 0.5, 0.0, 0.0, 0.0, 0.0]},
        dsr(dropped=0.5, threshold=0.2),
        {"a": first(4, 8)},
        update_every=1,
    )
    network.step()
    assert (network.active, float(network.state("a", "threshold"))) == ({"a": [3, 4, 5, 6]}, 0.1)
    network.step({"a": [0.0, 0.0, 0.0, 0.35, -1.0, -1.0, -1.0, 0.0]})
    assert (network.active, float(network.state("a", "threshold"))) == ({"a": [3, 4, 5, 6]}, 0.2)


@pytest.mark.parametrize(
    "method",
    [make("dsr", {"threshold": 0.02, "dropped": 0.1}), make("snfs_redistributed", {})],
    ids=["dsr", "snfs_redistributed"],
)
@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_weights_move_between_layers_and_the_total_stays(
    start: Callable[..., Any], method: Method, network: str
) -> None:
    training = start(method, network, distribution="erk")
    history = [dict(training.sparse.nonzeros)]
    for _ in range(40):
        training.batch()
        history.append(dict(training.sparse.nonzeros))
        assert sum(history[-1].values()) == sum(history[0].values())
        assert min(history[-1].values()) >= 1
    assert sum(earlier != later for earlier, later in itertools.pairwise(history)) >= 3


@pytest.mark.parametrize("method", ["dsr", "snfs_redistributed"])
def test_methods_that_move_weights_between_layers_refuse_a_uniform_distribution(
    one_layer: Callable[..., Any], method: str
) -> None:
    with pytest.raises(CannotError, match=f"'{method}'.*uniform distribution"):
        one_layer([[1.0, 2.0]], method, sparsity=0.5)
    one_layer([[1.0, 2.0]], method, sparsity=0.5, distribution="erk")
    one_layer([[1.0, 2.0]], method, [[1, 0]])


# -- SNFS with redistribution ------------------------------------------------------------------------------------------

MOMENTUM_A = [50.0, 50.0, 10.0, 10.0, 20.0, -90.0, 30.0, 5.0]
"""Of four active weights the mean is 30; of the two largest, which stay, 10."""
MOMENTUM_B = [13.0, 8.0, 9.0, 10.0, 10.0, 10.0, 1.0, -4.0, 2.0, 3.0, 0.0, 0.0]
"""Of six active weights the mean is 10; of the three largest, which stay, 10 as well."""


def redistributed(a: int, **more: Row) -> Rows:
    """4 of ``a`` and 6 of 12 weights are active and ascend; half of each layer is dropped."""
    rows = {"a": [1.0, 2.0, 3.0, 4.0] + [0.0] * (a - 4), "b": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] + [0.0] * 6}
    masks = {"a": first(4, a), "b": first(6, 12)} | {name: [0] * len(row) for name, row in more.items()}
    return Rows(rows | more, "snfs_redistributed", masks, STILL, drop_fraction=0.5, decay="constant")


def test_snfs_shares_what_was_dropped_by_the_mean_momentum_of_what_was_active() -> None:
    """2 and 3 are dropped. Means of |e| before: 3 and 1 (e is a tenth of the gradient): 5 * 3/4 = 3.75, so 4 and 1.

    By sums (12 and 6), or by the means of what stays (1 and 1), it would be 3 and 2. Largest |e| of what is not kept: in
    a -9, 5 and 5 (just dropped) and 3; in b the 1.3, just dropped.
    """
    network = redistributed(8)
    assert network.sparse.needs_dense_gradient
    assert network.step({"a": MOMENTUM_A, "b": MOMENTUM_B}) is True
    assert network.active == {"a": [0, 1, 2, 3, 5, 6], "b": [0, 3, 4, 5]}


def test_snfs_shares_by_the_running_mean_with_the_current_batch() -> None:
    """e of a: 0.9 * 0.1 * 40 = 3.6, of b: 0.1 * 24 = 2.4. 5 are shared 3:2; by the last gradient b would get all."""
    rows = {"a": [1.0, 2.0, 3.0, 4.0] + [0.0] * 6, "b": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] + [0.0] * 6}
    masks = {"a": first(4, 10), "b": first(6, 12)}
    network = Rows(rows, "snfs_redistributed", masks, STILL, drop_fraction=0.5, decay="constant", begin=2)
    network.step({"a": [-40.0] * 10})
    assert network.sparse.nonzeros == {"a": 4, "b": 6}
    network.step({"b": [24.0] * 12})
    assert network.sparse.nonzeros == {"a": 5, "b": 5}


def test_snfs_a_full_layer_passes_on_what_it_cannot_take() -> None:
    """As in the first test, but a has room for 3 of its 4: b gets the fourth, 3 + 2."""
    network = redistributed(5)
    network.step({"a": MOMENTUM_A[:5], "b": MOMENTUM_B})
    assert network.sparse.nonzeros == {"a": 5, "b": 5}


def test_snfs_a_layer_without_weights_has_no_share_and_leaves_those_of_others_alone() -> None:
    """As in the first test, beside a layer that is all zero: it has no momentum of active weights to show."""
    network = redistributed(8, c=[0.0] * 4)
    network.step({"a": MOMENTUM_A, "b": MOMENTUM_B, "c": [99.0] * 4})
    assert network.sparse.nonzeros == {"a": 6, "b": 4, "c": 0}


# -- MEST --------------------------------------------------------------------------------------------------------------


def mest(**options: Any) -> Method:
    return make("mest", options)


def test_mest_hard_mutates_by_stages_within_the_target(inactive_first: None) -> None:
    """10 of 20 at 0.5. A fifth mutates until 3/4 of 0..8: trunc(10 * 0.2) = 2 at 2 and 4; half as many at 6; none at 8."""
    network = Rows(
        {"a": [float(i + 1) for i in range(20)]},
        mest(bound="hard"),
        sparsity=0.5,
        optimizer=STILL,
        update_every=2,
        end=8,
        total_steps=10,
    )
    assert network.sparse.nonzeros == {"a": 10}
    found = moves(network, 10)
    assert found == [(0, 0), (2, 2), (0, 0), (2, 2), (0, 0), (1, 1), (0, 0), (0, 0), (0, 0), (0, 0)]
    assert (network.sparse.nonzeros, network.sparse.updates) == ({"a": 10}, 4)


def test_mest_soft_trains_above_the_target_and_ends_on_it(inactive_first: None) -> None:
    """10 of 40 at 0.75. Half on top: s = 0.75 - 0.125, 25 zeros, 15 active. At 6: 0.75 - 0.0625, 27.5, so 13. At 8: 10.

    Each update prunes to the 10 and grows the rest: 5 move at 2 and 4; at 6 5 go and 3 come; at 8 3 go.
    """
    network = Rows(
        {"a": [float(i + 1) for i in range(40)]},
        mest(),
        sparsity=0.75,
        optimizer=STILL,
        update_every=2,
        end=8,
        total_steps=10,
    )
    assert network.sparse.nonzeros == {"a": 15}
    found = moves(network, 10)
    assert found == [(0, 0), (5, 5), (0, 0), (5, 5), (0, 0), (5, 3), (0, 0), (3, 0), (0, 0), (0, 0)]
    assert network.sparse.nonzeros == {"a": 10}


def test_mest_soft_masks(inactive_first: None) -> None:
    """4 of 8 at 0.5, half on top: 6. The two smallest go and the two that were inactive come; at the end the four largest
    stay, new weights at 0 not among them."""
    network = Rows(
        {"a": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]},
        mest(),
        sparsity=0.5,
        optimizer=STILL,
        update_every=1,
        end=2,
        total_steps=4,
    )
    began = network.active["a"]
    absent = sorted(set(range(8)) - set(began))
    assert len(began) == 6
    network.step()
    assert network.active["a"] == sorted(began[2:] + absent)
    network.step()
    assert network.active["a"] == began[2:]
    network.step()
    assert network.active["a"] == began[2:]


@pytest.mark.parametrize(("options", "active"), [({"mutated": 1.0}, 8), ({"mutated": 0.25}, 5), ({"mutated": 0.0}, 4)])
def test_mest_the_share_on_top_is_an_option(options: dict[str, float], active: int) -> None:
    """4 of 8 is the target: 4 (1 + mutated)."""
    network = Rows({"a": [1.0] * 8}, mest(**options), sparsity=0.5, end=8)
    assert network.sparse.nonzeros == {"a": active}


def test_mest_cannot_have_more_than_all_weights() -> None:
    """6 of 8 and half on top would be 9."""
    network = Rows({"a": [1.0] * 8}, mest(), sparsity=0.25, end=8)
    assert network.sparse.nonzeros == {"a": 8}


@pytest.mark.parametrize("sparsity", [0.29, 0.57, 0.7, 0.965])
@pytest.mark.parametrize("bound", ["hard", "soft"])
def test_mest_reaches_the_target_exactly(bound: str, sparsity: float) -> None:
    """floor(s N) zeros at the end, for awkward products too, off the grid of the interval."""
    network = Rows(
        {"a": [float(i + 1) for i in range(100)]}, mest(bound=bound), sparsity=sparsity, update_every=5, end=7
    )
    for _ in range(7):
        network.step()
    assert 100 - network.sparse.nonzeros["a"] == {0.29: 28, 0.57: 56, 0.7: 70, 0.965: 96}[sparsity]


@pytest.mark.parametrize(("gradient_weight", "dropped"), [(0.0, 1), (0.05, 1), (1.0, 0)])
def test_mest_importance_is_magnitude_and_weighted_gradient(
    inactive_first: None, gradient_weight: float, dropped: int
) -> None:
    """1 -2 3 4 and gradients 0.4 -1.5 0 0: after the step 0.6 -0.5 3 4. One of four mutates.

    With weight 0: 0.6 > 0.5; 0.05: 0.62 > 0.575; 1: 1.0 < 2.0. Gradients of inactive weights (100) have no say.
    """
    method = mest(bound="hard", mutated=0.25, gradient_weight=gradient_weight)
    network = Rows({"a": [1.0, -2.0, 3.0, 4.0, 0.0, 0.0]}, method, {"a": first(4, 6)}, update_every=1, end=8)
    assert not network.sparse.needs_dense_gradient
    assert network.step({"a": [0.4, -1.5, 0.0, 0.0, 0.0, 100.0]}) is True
    assert network.active["a"] == sorted({0, 1, 2, 3, 4} - {dropped})


def test_mest_importance_counts_gradients_before_clipping(inactive_first: None) -> None:
    """The gradient of the batch is 2, its clipped one 0.5: w is 2 and 1 - 0.5, importance 2 and 0.5 + 2, not 0.5 + 0.5."""
    method = mest(bound="hard", mutated=0.25, gradient_weight=1.0)
    network = Rows({"a": [2.0, 1.0, 9.0, 9.0, 0.0]}, method, {"a": first(4, 5)}, update_every=1, end=8)
    network.step({"a": [0.0, 2.0, 0.0, 0.0, 0.0]}, clip_norm=0.5)
    assert network.active == {"a": [1, 2, 3, 4]}


def test_mest_importance_does_not_count_an_optimizer_s_momentum(inactive_first: None) -> None:
    """Nesterov's step is 1.9 g at first, and torch's fused form writes it over the gradient.

    w is 2 and 1.09 - 0.1 * 1.9 = 0.9, importance 2 and 0.9 + 1, not 0.9 + 1.9.
    """
    nesterov = partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True, foreach=True)
    method = mest(bound="hard", mutated=0.25, gradient_weight=1.0)
    network = Rows({"a": [2.0, 1.09, 9.0, 9.0, 0.0]}, method, {"a": first(4, 5)}, nesterov, update_every=1, end=8)
    network.step({"a": [0.0, 1.0, 0.0, 0.0, 0.0]})
    assert network.active == {"a": [0, 2, 3, 4]}


# -- GraNet ------------------------------------------------------------------------------------------------------------


def test_granet_prunes_then_regenerates_after_the_step_with_the_batch_s_gradient() -> None:
    """From dense to 4 of 8 by step 2 of 8; regenerated is 0.25 (1 + cos(pi t/8)): 0.4268 at 2, 0.25 at 4, 0.0732 at 6.

    At 2: the step makes the 1 a 10; 3 of 4 stay, 10 8 7; by |g| of what is left index 4 (0.75) grows. At 4, past the end of
    pruning: 10 has become 2, the smallest, and goes; index 2 (20) grows. At 6: trunc(4 * 0.0732) is nothing.
    """
    method = make("granet", {"initial_sparsity": 0.0})
    network = Rows(
        {"a": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]}, method, sparsity=0.5, end=2, update_every=2, total_steps=8
    )
    network.step()
    assert network.sparse.nonzeros == {"a": 8}
    assert network.sparse.needs_dense_gradient
    assert network.step({"a": [-9.0, 0.0, 0.5, 0.0, -0.75, 0.0, 0.0, 0.0]}) is True
    assert network.active == {"a": [0, 4, 6, 7]}
    assert not network.sparse.needs_dense_gradient
    network.step()
    network.step({"a": [8.0, 0.0, -20.0, 0.0, 0.0, 3.0, 0.0, 0.0]})
    assert network.active == {"a": [2, 4, 6, 7]}
    assert network.weights["a"][2] == 0.0
    for _ in range(4):
        network.step({"a": [0.0, 99.0, 0.0, 99.0, 0.0, 99.0, 0.0, 0.0]})
        assert network.active == {"a": [2, 4, 6, 7]}
    assert network.sparse.updates == 4


def test_granet_counts_of_pruning_and_regeneration() -> None:
    """50 of 100 to 40 over 0..4 of 8 steps, every 2, then regeneration alone, annealed over the run.

    At 2: s = 0.6 - 0.1/8 = 0.5875, 42 left; trunc(42 * 0.42678) = 17 regrown, so 50 - 25 go. At 4: 40 left, 10 regrown, 42 -
    30 go. At 6: trunc(40 * 0.07322) = 2. At 8: none.
    """
    network = Rows(
        {"a": [float(i + 1) for i in range(100)]},
        "granet",
        sparsity=0.6,
        optimizer=STILL,
        end=4,
        update_every=2,
        total_steps=8,
    )
    assert network.sparse.nonzeros == {"a": 50}
    assert moves(network, 8) == [(0, 0), (25, 17), (0, 0), (12, 10), (0, 0), (2, 2), (0, 0), (0, 0)]
    assert network.sparse.nonzeros == {"a": 40}


def test_granet_the_protocol_s_drop_fraction_and_decay_have_no_say() -> None:
    """As above, with regenerated 1: trunc(42 * 0.85355) = 35, 50 - 7 go; trunc(40 * 0.5) = 20, 42 - 20 go."""
    network = Rows(
        {"a": [float(i + 1) for i in range(100)]},
        make("granet", {"regenerated": 1.0}),
        sparsity=0.6,
        optimizer=STILL,
        end=4,
        update_every=2,
        total_steps=8,
        drop_fraction=0.01,
        decay="constant",
    )
    assert moves(network, 4) == [(0, 0), (43, 35), (0, 0), (22, 20)]


def test_granet_a_layer_asked_for_less_than_the_initial_sparsity_starts_at_its_own() -> None:
    """0.25 of 8 from the start; the other from 0.5 of 8 to 0.75."""
    network = Rows(
        {"a": [1.0] * 8, "b": [1.0] * 8},
        make("granet", {"regenerated": 0.0}),
        sparsity=0.75,
        layers={"a": 0.25},
        optimizer=STILL,
        end=2,
        update_every=2,
        total_steps=4,
    )
    assert network.sparse.nonzeros == {"a": 6, "b": 4}
    network.step()
    network.step()
    assert network.sparse.nonzeros == {"a": 6, "b": 2}


def test_granet_global_ranks_all_layers_and_regenerates_within_each() -> None:
    """Of 5 6 7 8 and 1 2 3 9 the four largest leave 3 and 1. At 2 of 8 steps regenerated is 0.5 (1 + cos(pi/4)) = 0.854:
    trunc(2.56) = 2 of a, whose 8 stays, and 0 of b. a's best gradients are at 0 and 2; b's do not matter.

    At 4, after the end, 0.5: of the three 1 is dropped, a new 0 at the highest index; 1 grows. Counts stay 3 and 1.
    """
    method = make("granet", {"initial_sparsity": 0.0, "ranking": "global", "regenerated": 1.0})
    network = Rows(
        {"a": [5.0, 6.0, 7.0, 8.0], "b": [1.0, 2.0, 3.0, 9.0]},
        method,
        sparsity=0.5,
        optimizer=STILL,
        end=2,
        update_every=2,
        total_steps=8,
    )
    network.step()
    network.step({"a": [0.2, 0.0, 0.1, 0.0], "b": [99.0, 99.0, 99.0, 0.0]})
    assert network.active == {"a": [0, 2, 3], "b": [3]}
    network.step()
    network.step({"a": [0.0, 5.0, 0.0, 0.0], "b": [99.0, 99.0, 99.0, 0.0]})
    assert network.sparse.nonzeros == {"a": 3, "b": 1}
    assert network.active["b"] == [3]


# -- AC/DC -------------------------------------------------------------------------------------------------------------


def test_acdc_alternates_and_ends_compressed() -> None:
    """Two of four: dense until 1, compressed until 3, dense until 5 (the end), compressed from then on.

    lr 1, momentum 1/2. What is pruned loses weight and momentum and comes back with neither; at 5 another pair is chosen.
    """
    network = Rows(
        {"a": [1.0, 2.0, 3.0, 4.0]},
        "acdc",
        sparsity=0.5,
        optimizer=partial(SGD, momentum=0.5),
        begin=1,
        update_every=2,
        end=5,
        total_steps=8,
    )
    for gradient, active, weights, momentum in (
        ([-1.0, -1.0, -1.0, -1.0], [2, 3], [0.0, 0.0, 4.0, 5.0], [0.0, 0.0, -1.0, -1.0]),
        ([-9.0, -9.0, 0.0, 0.0], [2, 3], [0.0, 0.0, 4.5, 5.5], [0.0, 0.0, -0.5, -0.5]),
        ([-9.0, -9.0, 0.5, 0.5], [0, 1, 2, 3], [0.0, 0.0, 4.25, 5.25], [0.0, 0.0, 0.25, 0.25]),
        ([-8.0, 0.0, 0.0, 0.0], [0, 1, 2, 3], [8.0, 0.0, 4.125, 5.125], [-8.0, 0.0, 0.125, 0.125]),
        ([0.0, 0.0, 0.0, 0.0], [0, 3], [12.0, 0.0, 0.0, 5.0625], [-4.0, 0.0, 0.0, 0.0625]),
        ([0.0, -9.0, -9.0, 0.0], [0, 3], [14.0, 0.0, 0.0, 5.03125], [-2.0, 0.0, 0.0, 0.03125]),
        ([0.0, -9.0, -9.0, 0.0], [0, 3], [15.0, 0.0, 0.0, 5.015625], [-1.0, 0.0, 0.0, 0.015625]),
    ):
        assert network.step({"a": gradient}) is True
        assert (network.active["a"], network.weights["a"]) == (active, weights)
        assert network.slot("a", "momentum_buffer") == momentum
    assert network.sparse.updates == 3


def test_acdc_phases_last_one_interval_each() -> None:
    """Dense to 2, then compressed and dense by turns of 3 steps: 2-5, 5-8, 8-11, 11-13; from the end, 13, compressed."""
    network = Rows(
        {"a": [1.0] * 4}, "acdc", sparsity=0.5, optimizer=STILL, begin=2, update_every=3, end=13, total_steps=16
    )
    found = []
    for _ in range(16):
        network.step()
        found.append(network.sparse.nonzeros["a"])
    assert found == [4, 2, 2, 2, 4, 4, 4, 2, 2, 2, 4, 4, 2, 2, 2, 2]


def test_acdc_an_end_within_a_compressed_phase_keeps_its_mask() -> None:
    """Compressed from 1; the end at 2 finds as many weights as it wants and moves none of them."""
    network = Rows({"a": [1.0, 2.0, 3.0, 4.0]}, "acdc", sparsity=0.5, begin=1, update_every=4, end=2, total_steps=4)
    network.step()
    network.step({"a": [-99.0, 0.0, 2.999, 0.0]})
    assert network.active == {"a": [2, 3]}


def test_acdc_without_a_warm_up_begins_compressed() -> None:
    """begin 0 is no warm-up: compressed up to 3, from the first step on at the latest, then dense up to 6, the end."""
    network = Rows(
        {"a": [1.0, 2.0, 3.0, 4.0]},
        "acdc",
        sparsity=0.5,
        optimizer=STILL,
        begin=0,
        update_every=3,
        end=6,
        total_steps=8,
    )
    found = []
    for _ in range(7):
        network.step()
        found.append(network.sparse.nonzeros["a"])
    assert found == [2, 2, 4, 4, 4, 2, 2]


def test_acdc_global_ranks_all_layers_at_each_compression() -> None:
    """The four largest of 5 6 7 8 and 1 2 3 9 leave 3 and 1; all come back; then of 0 6 7 8 and 7.5 8.5 0 9 they leave 1 and
    3."""
    network = Rows(
        {"a": [5.0, 6.0, 7.0, 8.0], "b": [1.0, 2.0, 3.0, 9.0]},
        make("acdc", {"ranking": "global"}),
        sparsity=0.5,
        begin=1,
        update_every=1,
        end=3,
        total_steps=5,
    )
    network.step()
    assert network.active == {"a": [1, 2, 3], "b": [3]}
    network.step()
    assert network.active == {"a": [0, 1, 2, 3], "b": [0, 1, 2, 3]}
    network.step({"b": [-7.5, -8.5, 0.0, 0.0]})
    assert network.active == {"a": [3], "b": [0, 1, 3]}
    network.step({"a": [-9.0, -9.0, -9.0, 0.0]})
    assert network.weights == {"a": [0.0, 0.0, 0.0, 8.0], "b": [7.5, 8.5, 0.0, 9.0]}


# -- pruning, ranking layers together ----------------------------------------------------------------------------------


def globally_pruned(b: Row, **options: Any) -> Rows:
    rows = {"a": [5.0, 6.0, 7.0, 8.0], "b": b}
    method = make("pruning", {"ranking": "global"})
    return Rows(rows, method, sparsity=0.5, update_every=1, end=2, total_steps=4, **options)


def test_pruning_global_removes_the_smallest_of_the_network() -> None:
    """Total by layers' own counts: 0.5 - 0.5/8 of 4 is 1.75, so 1 zero each at 1, 2 each at 2: 6 and then 4 are left.

    At 1: 1 and 2 go, both of b. At 2 the step has made the 5 a 10: 10 9 8 7 stay, and the 2 does not come back.
    """
    network = globally_pruned([1.0, 2.0, 3.0, 9.0])
    network.step()
    assert network.active == {"a": [0, 1, 2, 3], "b": [2, 3]}
    network.step({"a": [-5.0, 0.0, 0.0, 0.0], "b": [0.0, -99.0, 0.0, 0.0]})
    assert network.active == {"a": [0, 2, 3], "b": [3]}
    network.step({"a": [0.0, -99.0, 0.0, 0.0], "b": [-99.0, -99.0, -99.0, 0.0]})
    assert network.weights == {"a": [10.0, 0.0, 7.0, 8.0], "b": [0.0, 0.0, 0.0, 9.0]}


def test_pruning_global_gives_ties_to_the_first_layer() -> None:
    """5 5 5 5 and 5 5 5 5 at 2: the first four."""
    network = Rows(
        {"a": [5.0] * 4, "b": [-5.0] * 4},
        make("pruning", {"ranking": "global"}),
        sparsity=0.375,
        begin=1,
        update_every=1,
        end=2,
    )
    network.step()
    network.step()
    assert network.active == {"a": [0, 1, 2, 3], "b": [0, 1]}


@pytest.mark.parametrize(
    ("method", "at"), [("pruning", {"begin": 0}), ("granet", {"begin": 0}), ("acdc", {"begin": 1})]
)
def test_ranking_that_empties_a_layer_cannot_be_done(method: str, at: dict[str, int]) -> None:
    """1 1 1 1 beside 5 6 7 8: the four largest leave b nothing. No mask has moved."""
    options = {"ranking": "global"} | ({"initial_sparsity": 0.0} if method == "granet" else {})
    network = Rows(
        {"a": [5.0, 6.0, 7.0, 8.0], "b": [1.0] * 4},
        make(method, options),
        sparsity=0.5,
        optimizer=STILL,
        update_every=2,
        end=2,
        total_steps=4,
        **at,
    )
    with pytest.raises(CannotError, match="leaves b without a weight"):
        for _ in range(2):
            network.step()
    assert network.sparse.nonzeros == {"a": 4, "b": 4}


def test_a_layer_that_keeps_one_weight_is_not_emptied() -> None:
    """1 1 1 5.5: of eight the four largest are 8 7 6 5.5."""
    network = globally_pruned([1.0, 1.0, 1.0, 5.5])
    network.step()
    network.step()
    assert network.active == {"a": [1, 2, 3], "b": [3]}


def test_pruning_by_layers_is_the_default() -> None:
    network = Rows(
        {"a": [5.0, 6.0, 7.0, 8.0], "b": [1.0, 2.0, 3.0, 9.0]}, "pruning", sparsity=0.5, update_every=1, end=2
    )
    network.step()
    network.step()
    assert network.active == {"a": [2, 3], "b": [2, 3]}


@pytest.mark.parametrize("method", ["pruning", "granet", "acdc", "mest"])
def test_masks_from_elsewhere_are_refused_or_trained(method: str) -> None:
    """A mask that is sparse already, as a ticket is: never a crash. What is trained ends at the mask's count."""
    rows, masks = {"a": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}, {"a": [1, 0, 1, 0, 0, 0]}
    try:
        network = Rows(rows, method, masks, update_every=2, end=8, total_steps=10)
    except CannotError:
        return
    for _ in range(10):
        network.step()
    assert network.sparse.nonzeros == {"a": 2}


# -- ITOP --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["set_itop", "rigl_itop"])
def test_itop_explores_to_the_end_of_training(method: str, inactive_first: None) -> None:
    """16 of 40, T = 20: 0.25 (1 + cos(pi t/20)) of 16, after the step, at 1 5 9 13 17.

    0.4969, 0.4268, 0.2891, 0.1365, 0.0272: 7, 6, 4, 2 and 0. The protocol's end, drop fraction and decay have no say.
    """
    network = Rows(
        {"a": [float(i + 1) for i in range(16)] + [0.0] * 24},
        method,
        {"a": first(16, 40)},
        STILL,
        update_every=4,
        end=6,
        total_steps=20,
        drop_fraction=0.9,
        decay="constant",
    )
    found = moves(network, 20)
    assert {step: moved for step, moved in enumerate(found, 1) if step % 4 == 1} == {
        1: (7, 7),
        5: (6, 6),
        9: (4, 4),
        13: (2, 2),
        17: (0, 0),
    }
    assert sum(came for _, came in found) == 19
    assert network.sparse.updates == 5


@pytest.mark.parametrize(("method", "drop", "moved"), [("set_itop", 0.25, 3), ("rigl_itop", 1.0, 15)])
def test_itop_drop_is_its_own_option(method: str, drop: float, moved: int, inactive_first: None) -> None:
    """At 1 of 20 steps: drop/2 (1 + cos(pi/20)) = 0.99384 drop of 16: 3.98 and 15.9."""
    network = Rows(
        {"a": [float(i + 1) for i in range(16)] + [0.0] * 24},
        make(method, {"drop": drop}),
        {"a": first(16, 40)},
        STILL,
        total_steps=20,
    )
    assert moves(network, 1) == [(moved, moved)]


@pytest.mark.parametrize("method", ["set_itop", "rigl_itop"])
def test_itop_needs_no_span_of_the_protocol(method: str) -> None:
    """begin and end at 5: its own schedule has no end."""
    network = Rows({"a": [1.0, 2.0, 3.0, 4.0]}, method, sparsity=0.5, begin=5, end=5, update_every=3, total_steps=12)
    found = []
    for _ in range(12):
        due = network.sparse.update_due
        network.step()
        found += [network.sparse.steps] if due else []
    assert found == [5, 8, 11]


def test_rigl_itop_steps_first_and_grows_by_the_dense_gradient_of_that_batch() -> None:
    """The step turns 1 2 3 into 4 2 3: the 2 goes (trunc(3 * 0.34)), index 4 has the largest other gradient."""
    network = Rows({"a": [1.0, 2.0, 3.0, 9.0, 9.0]}, make("rigl_itop", {"drop": 0.34}), {"a": [1, 1, 1, 0, 0]})
    assert network.sparse.needs_dense_gradient
    assert network.step({"a": [-3.0, 0.0, 0.0, 1.0, 2.0]}) is True
    assert (network.active, network.weights) == ({"a": [0, 2, 4]}, {"a": [4.0, 0.0, 3.0, 0.0, 0.0]})
    assert (network.sparse.steps, network.sparse.updates) == (1, 1)
    assert not network.sparse.needs_dense_gradient


# -- explored weights --------------------------------------------------------------------------------------------------


def test_explored_is_the_share_of_masked_weights_that_were_ever_active() -> None:
    """2 of 6 in a, 1 of 4 in b, the unmasked c does not count: 3/10. Then one weight of a moves: 4/10. It moves to a third
    place: 5/10. It moves back to the first: still 5/10.
    """
    network = Rows(
        {"a": [1.0, 2.0, 0.0, 0.0, 0.0, 0.0], "b": [1.0, 0.0, 0.0, 0.0], "c": [1.0, 1.0]},
        "rigl",
        {"a": first(2, 6), "b": first(1, 4)},
        STILL,
        drop_fraction=0.5,
        decay="constant",
        update_every=1,
    )
    assert network.sparse.explored == pytest.approx(0.3)
    for best, active, explored in ((3, [1, 3], 0.4), (5, [1, 5], 0.5), (0, [0, 1], 0.5)):
        network.step({"a": [float(index == best) for index in range(6)]})
        assert network.active == {"a": active, "b": [0]}
        assert network.sparse.explored == pytest.approx(explored)
        network.step()
        assert network.sparse.explored == pytest.approx(explored)


def test_explored_is_what_a_dense_start_saw_and_what_a_static_mask_keeps(start: Callable[..., Any]) -> None:
    """Everything was active under gradual pruning; 0.3 of the 448 weights stay under static: 48 + 72 + 15."""
    pruning, static, dense = (start(name) for name in ("pruning", "static", "dense"))
    for training in (pruning, static, dense):
        training.run(45)
    assert pruning.sparse.explored == 1.0
    assert static.sparse.explored == pytest.approx(135 / 448)
    assert dense.sparse.explored is None


def test_explored_survives_saving() -> None:
    def one() -> Rows:
        return Rows(
            {"a": [1.0, 2.0, 0.0, 0.0]},
            "rigl",
            {"a": first(2, 4)},
            STILL,
            drop_fraction=0.5,
            decay="constant",
            update_every=1,
        )

    network, resumed = one(), one()
    network.step({"a": [0.0, 0.0, 0.0, 1.0]})
    resumed.sparse.load_state_dict(network.sparse.state_dict())
    assert network.sparse.explored == resumed.sparse.explored == pytest.approx(0.75)


# -- RigL's ablations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decay", "at"),
    [
        ("cosine", {0: 8, 2: 6, 4: 4, 6: 1, 8: 0}),
        ("constant", {0: 8, 2: 8, 4: 8, 6: 8, 8: 8}),
        ("inverse_power:1", {0: 8, 2: 6, 4: 4, 6: 2, 8: 0}),
        ("inverse_power:3", {0: 8, 2: 3, 4: 1, 6: 0, 8: 0}),
    ],
)
def test_rigl_decays_through_whole_updates(decay: str, at: dict[int, int]) -> None:
    """16 of 40 at alpha 0.5 over 0..8. Cosine: 16/4 (1 + cos(pi t/8)) = 8, 6.83, 4, 1.17, 0. Power 1: 8 (1 - t/8) = 8, 6, 4,
    2, 0; power 3: 8 (1 - t/8)^3 = 8, 3.375, 1, 0.125, 0.

    At 0 the eight smallest, 0-7, go and 16-23 come, at 0; at 2 the last k of those go and 0..k-1 come.
    """
    network = Rows(
        {"a": [float(i + 1) for i in range(16)] + [0.0] * 24},
        "rigl",
        {"a": first(16, 40)},
        STILL,
        update_every=2,
        end=8,
        drop_fraction=0.5,
        decay=decay,
    )
    found = {}
    for _ in range(14):
        step, before = network.sparse.steps, network.sparse.masks["a"]
        stepped = network.step({"a": (~before[0]).double().tolist()})
        left = int((before & ~network.sparse.masks["a"]).sum())
        if stepped:
            assert left == 0
            continue
        found[step] = left
        if step == 0:
            assert network.active["a"] == list(range(8, 24))
        if step == 2:
            assert network.active["a"] == [*range(at[2]), *range(8, 24 - at[2])]
    assert found == at


def moving_rigl(method: str = "rigl", optimizer: Callable[[Any], torch.optim.Optimizer] = SGD, **options: Any) -> Rows:
    """Half of 1 2 (0 0) moves, so one weight; the protocol's options beside those of the method."""
    protocol = {name: options.pop(name) for name in ("begin", "seed", "update_every") if name in options}
    return Rows(
        {"a": [1.0, 2.0, 0.0, 0.0]},
        make(method, options),
        {"a": first(2, 4)},
        optimizer,
        drop_fraction=0.5,
        decay="constant",
        **protocol,
    )


def test_rigl_random_growth_has_no_use_for_gradients(scores: dict[str, Row]) -> None:
    scores["a"] = [0.1, 0.9, 0.3, 0.2]
    network = moving_rigl(growth="random")
    assert network.sparse.update_due and not network.sparse.needs_dense_gradient
    assert network.step({"a": [9.0, 0.0, 0.0, 9.0]}) is False
    assert (network.active, network.weights) == ({"a": [1, 2]}, {"a": [0.0, 2.0, 0.0, 0.0]})


@pytest.mark.parametrize(("last", "grown"), [(-8.0, 2), (-8.2, 3)])
@pytest.mark.parametrize("method", ["rigl", "rigl_itop"])
def test_rigl_momentum_growth_includes_the_update_s_batch(method: str, last: float, grown: int) -> None:
    """e at 2: 0.1 * 10 * 0.9^2 = 0.81, at 3: 0.1 * |last| = 0.8 or 0.82; without the last batch 3 would have nothing.

    RigL's third batch is the update at step 2; ITOP's is that of step 3, before its update.
    """
    network = moving_rigl(
        method,
        STILL,
        growth="momentum",
        begin=3 if method == "rigl_itop" else 2,
        **{"drop": 0.6} if "_" in method else {},
    )
    for gradient in ([0.0, 0.0, 10.0, 0.0], [0.0] * 4, [0.0, 0.0, 0.0, last]):
        assert network.sparse.needs_dense_gradient
        assert network.sparse.updates == 0
        network.step({"a": gradient})
    assert network.sparse.updates == 1
    assert network.active == {"a": [1, grown]}
    assert network.state("a", "mean_gradient")[0].tolist() == pytest.approx([0.0, 0.0, 0.81, last / 10])


@pytest.mark.parametrize("grown_by", ["gradient", "random", "momentum"])
def test_rigl_needs_dense_gradients_when_its_options_do(grown_by: str) -> None:
    """At an update for gradients, as score or start; at every step for momentum; never for random growth from zero."""
    for initial in ("zeros", "random", "gradient"):
        method = make("rigl", {"growth": grown_by, "initial": initial})
        assert method.needs_dense_gradient(7, False) is (grown_by == "momentum")
        assert method.needs_dense_gradient(7, True) is (grown_by != "random" or initial == "gradient")


@pytest.mark.parametrize(
    ("grown_by", "initial", "expected"),
    [("gradient", "zeros", 0.0), ("gradient", "gradient", -4.0), ("random", "gradient", 3.0)],
)
def test_rigl_starts_of_grown_weights(grown_by: str, initial: str, expected: float, scores: dict[str, Row]) -> None:
    """By gradient -4 at 3 grows; by score 2, whose gradient is 3. The value is the gradient, sign included."""
    scores["a"] = [0.0, 0.0, 0.9, 0.1]
    network = moving_rigl(growth=grown_by, initial=initial)
    assert network.step({"a": [1.0, 1.0, 3.0, -4.0]}) is False
    grown = 2 if grown_by == "random" else 3
    assert network.active == {"a": [1, grown]}
    assert network.weights["a"] == [0.0, 2.0] + [expected if index == grown else 0.0 for index in (2, 3)]


def test_rigl_random_start_is_normal_with_the_tensor_s_deviation() -> None:
    """1 2 0 0: mean 3/4, deviation sqrt((1/16 + 25/16 + 9/16 + 9/16) / 4) = sqrt(11)/4, zeros included.

    Times the generator's number for the place; no other weight moves.
    """
    network = moving_rigl(initial="random", seed=5)
    generator = torch.Generator()
    generator.set_state(network.sparse.state_dict()["growth"])
    n = torch.randn(4, generator=generator, dtype=torch.float64).tolist()
    network.step({"a": [0.0, 0.0, 0.0, 1.0]})
    assert network.active == {"a": [1, 3]}
    assert network.weights["a"] == pytest.approx([0.0, 2.0, 0.0, n[3] * math.sqrt(11) / 4])


@pytest.mark.parametrize("initial", ["random", "gradient"])
def test_rigl_what_is_dropped_and_regrown_is_not_new(initial: str) -> None:
    """The 1 has the largest gradient: it comes back as it was, with its momentum."""
    network = moving_rigl(initial=initial, optimizer=partial(SGD, momentum=0.9), begin=1)
    network.step({"a": [0.5, 0.5, 0.0, 0.0]})
    network.step({"a": [9.0, 0.0, 1.0, 1.0]})
    assert (network.sparse.updates, network.active, network.weights) == (
        1,
        {"a": [0, 1]},
        {"a": [0.5, 1.5, 0.0, 0.0]},
    )
    assert network.slot("a", "momentum_buffer") == [0.5, 0.5, 0.0, 0.0]


def test_rigl_a_start_of_its_own_has_no_momentum_and_is_trained_from() -> None:
    """Momentum 1/2. Grown at -4 without momentum; the next step's gradient of 1 makes it -5, momentum 1."""
    network = moving_rigl(initial="gradient", optimizer=partial(SGD, momentum=0.5), begin=1)
    network.step({"a": [0.0, 0.0, 7.0, 7.0]})
    network.step({"a": [0.0, 0.0, 0.0, -4.0]})
    assert (network.active, network.weights) == ({"a": [1, 3]}, {"a": [0.0, 2.0, 0.0, -4.0]})
    assert network.slot("a", "momentum_buffer") == [0.0] * 4
    network.step({"a": [9.0, 0.0, 9.0, 1.0]})
    assert network.weights == {"a": [0.0, 2.0, 0.0, -5.0]}
    assert network.slot("a", "momentum_buffer") == [0.0, 0.0, 0.0, 1.0]


def test_rigl_itop_starts_new_weights_from_the_dense_gradient_too() -> None:
    """After the step, which masked the gradient; the -4 of the batch is what index 3 starts from."""
    network = moving_rigl("rigl_itop", STILL, initial="gradient", drop=0.6)
    network.step({"a": [0.0, 0.0, 1.0, -4.0]})
    assert (network.active, network.weights) == ({"a": [1, 3]}, {"a": [0.0, 2.0, 0.0, -4.0]})


# -- the engine's promises ---------------------------------------------------------------------------------------------


class Careless(Method):
    """Moves weights between layers and miscounts."""

    name, label = "careless", "Careless"
    citation, year, family = "nobody", 2026, "sparse-to-sparse"
    updates = "after_step"
    layers_are_free = True

    def grow_score(self, layer: Layer) -> Tensor:
        return layer.random()

    def redistribute(self, layers: Sequence[Layer], wanted: Mapping[str, int]) -> dict[str, int]:
        return {name: count + 1 for name, count in wanted.items()}


def test_a_redistribution_that_changes_the_total_is_an_error() -> None:
    """1 was dropped in each of two layers, 2 are to be grown in each; no mask has moved."""
    network = Rows(
        {"a": [1.0, 2.0, 0.0, 0.0], "b": [1.0, 2.0, 0.0, 0.0]},
        Careless(),
        {"a": first(2, 4), "b": first(2, 4)},
        drop_fraction=0.5,
        decay="constant",
    )
    with pytest.raises(RuntimeError, match=r"careless redistributes 2 weights to \{'a': 2, 'b': 2\}"):
        network.step()
    assert network.active == {"a": [0, 1], "b": [0, 1]}


class Swapping(Careless):
    """Gives what one layer drops to the other."""

    name, label = "swapping", "Swapping"

    def redistribute(self, layers: Sequence[Layer], wanted: Mapping[str, int]) -> dict[str, int]:
        return dict(zip(wanted, reversed(wanted.values()), strict=True))


def test_free_layers_keep_what_they_were_given_at_later_updates(inactive_first: None) -> None:
    """2 and 4 active, half of each dropped: 1 + 2 and 2 + 1. Then of 3 and 3 one each: nothing is owed to the request."""
    network = Rows(
        {"a": [1.0, 2.0] + [0.0] * 6, "b": [1.0, 2.0, 3.0, 4.0] + [0.0] * 4},
        Swapping(),
        {"a": first(2, 8), "b": first(4, 8)},
        STILL,
        drop_fraction=0.5,
        decay="constant",
        update_every=1,
    )
    network.step()
    assert network.sparse.nonzeros == {"a": 3, "b": 3}
    network.step()
    assert network.sparse.nonzeros == {"a": 3, "b": 3}


@pytest.mark.parametrize(
    "method",
    [
        "dsr",
        "snfs_redistributed",
        make("pruning", {"ranking": "global"}),
        make("granet", {"ranking": "global"}),
        make("acdc", {"ranking": "global"}),
        "mest",
        "deepr",
        "rigl_itop",
    ],
    ids=lambda method: method if isinstance(method, str) else method.name,
)
def test_a_score_that_is_nan_moves_no_mask(method: str | Method) -> None:
    """b's weights are NaN after the step; a, which comes first, stays as it was."""
    network = Rows(
        {"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0, 2.0, 3.0, 4.0]},
        method,
        sparsity=0.5,
        distribution="erk",
        begin=1,
        update_every=1,
        end=8,
        total_steps=10,
    )
    before = network.sparse.digest()
    with pytest.raises(NonFiniteScoreError, match="'b'"):
        network.step({"b": [math.nan] * 4})
    assert network.sparse.digest() == before


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("deepr", {"l1": -1e-9}, "l1 of deepr is -1e-09, it must be at least 0"),
        ("deepr", {"noise": -1.0}, "noise of deepr is -1.0, it must be at least 0"),
        ("deepr", {"noise": math.nan}, "noise of deepr is nan"),
        ("dsr", {"dropped": 0.0}, r"dropped of dsr is 0.0, it must be within \(0, 1\)"),
        ("dsr", {"dropped": 1.0}, r"within \(0, 1\)"),
        ("dsr", {"threshold": 0.0}, "threshold of dsr is 0.0, it must be above 0"),
        ("dsr", {"tolerance": 1.0}, r"tolerance of dsr is 1.0, it must be within \[0, 1\)"),
        ("dsr", {"tolerance": -0.1}, r"within \[0, 1\)"),
        ("snfs_redistributed", {"momentum": 1.0}, r"momentum of snfs_redistributed is 1.0, it must be within \[0, 1\)"),
        ("mest", {"bound": "firm"}, "bound of mest is 'firm', it must be 'hard' or 'soft'"),
        ("mest", {"mutated": 1.5}, r"mutated of mest is 1.5, it must be within \[0, 1\]"),
        ("mest", {"mutated": -0.5}, r"within \[0, 1\]"),
        ("mest", {"gradient_weight": -1.0}, "gradient_weight of mest is -1.0, it must be at least 0"),
        ("granet", {"initial_sparsity": 1.0}, r"initial_sparsity of granet is 1.0, it must be within \[0, 1\)"),
        ("granet", {"regenerated": 1.1}, r"regenerated of granet is 1.1, it must be within \[0, 1\]"),
        ("granet", {"ranking": "both"}, "ranking of granet is 'both', it must be 'layer' or 'global'"),
        ("acdc", {"ranking": "network"}, "ranking of acdc is 'network', it must be 'layer' or 'global'"),
        ("pruning", {"ranking": "network"}, "ranking of pruning is 'network', it must be 'layer' or 'global'"),
        ("pruning", {"initial_sparsity": -0.1}, r"initial_sparsity of pruning is -0.1, it must be within \[0, 1\)"),
        (
            "rigl",
            {"growth": "magnitude"},
            "growth of rigl is 'magnitude', it must be 'gradient' or 'random' or 'momentum'",
        ),
        ("rigl", {"initial": "ones"}, "initial of rigl is 'ones', it must be 'zeros' or 'random' or 'gradient'"),
        ("rigl_itop", {"growth": "noise"}, "growth of rigl_itop is 'noise'"),
        ("rigl_itop", {"drop": 1.01}, r"drop of rigl_itop is 1.01, it must be within \[0, 1\]"),
        ("set_itop", {"drop": -0.1}, r"drop of set_itop is -0.1, it must be within \[0, 1\]"),
        ("mest", {"bounds": "hard"}, "'mest' has no option 'bounds'; it has bound, mutated, gradient_weight"),
    ],
)
def test_options_out_of_range_are_named_with_what_is_valid(method: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(method, options)


@pytest.mark.parametrize("method", ["pruning", "granet", "acdc", "mest"])
@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ({"end": "never"}, "needs an end"),
        ({"end": 11}, "at step 11, the run ends at 10"),
        ({"begin": 5, "end": 5}, "begin < end"),
    ],
)
def test_methods_with_a_target_to_reach_refuse_a_schedule_that_does_not_at_the_start(
    method: str, protocol: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Rows({"a": [1.0] * 4}, method, sparsity=0.5, total_steps=10, **protocol)

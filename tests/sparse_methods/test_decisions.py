"""One or a few tests for each numbered decision of the design's section 6, on networks small enough to follow by hand.

In ``one_layer`` plain SGD has lr 1 and each step is told its gradient, so a step subtracts it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from sparse_methods import sparsify
from sparse_methods.methods import make

SGD = partial(torch.optim.SGD, lr=1.0)
EVERY_OPTIMIZER = ["sgd", "momentum", "nesterov", "adam", "adamw", "amsgrad"]
MOVING = ["rigl", "set", "snfs"]


def model_of(**modules: nn.Module) -> nn.Module:
    return nn.ModuleDict(modules)


def zeros_of(model: nn.Module, method: str = "static", **options: Any) -> dict[str, int]:
    sparse = sparsify(model, SGD(model.parameters()), method, total_steps=100, **options)
    return {name: int((~mask).sum()) for name, mask in sparse.masks.items()}


# -- 1. counts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["static", "set", "rigl", "snfs"])
def test_1_a_layer_has_exactly_floor_s_n_zeros(method: str) -> None:
    """Decision 1: 0.29 of 100 is 28 in float64, 0.29 of 42 is 12.18, so 12."""
    model = model_of(a=nn.Linear(10, 10), b=nn.Conv2d(2, 7, (1, 3)))
    assert zeros_of(model, method, sparsity=0.29) == {"a": 28, "b": 12}
    assert int((model["a"].weight == 0).sum()) == 28


def test_1_the_positions_are_random(one_layer: Callable[..., Any]) -> None:
    """Decision 1: over 300 seeds each of 20 weights is zero 150 +- 5 standard deviations (8.7) times."""
    zeroed = torch.zeros(4, 5)
    for seed in range(300):
        mask = one_layer([[1.0] * 5] * 4, "static", sparsity=0.5, seed=seed).sparse.masks["weight"]
        assert int(mask.sum()) == 10
        zeroed += (~mask).float()
    assert (zeroed - 150).abs().max() < 5 * 8.7


# -- 2, 3. distributions and layer rules -------------------------------------------------------------------------------


def test_2_distributions_become_counts() -> None:
    """Decision 2: for 10x10 and 5x20 at 0.8, eps = 8/9: sparsities 0.8222 and 0.7778, so 82 and 77 zeros."""
    model = model_of(a=nn.Linear(10, 10), b=nn.Linear(20, 5))
    assert zeros_of(model, sparsity=0.8, distribution="erk") == {"a": 82, "b": 77}
    assert zeros_of(model, sparsity=0.8) == {"a": 80, "b": 80}


def test_2_fixed_layers_are_not_compensated() -> None:
    """Decision 2: an unmasked and an explicit layer leave the others where they were."""
    model = model_of(stem=nn.Conv2d(3, 8, 3), a=nn.Linear(10, 10), own=nn.Linear(9, 9), b=nn.Linear(20, 5))
    found = zeros_of(model, sparsity=0.8, distribution="erk", layers={"stem": "unmasked", "own": 0.5})
    assert found == {"a": 82, "own": 40, "b": 77}
    assert int((model["stem"].weight == 0).sum()) == 0


def test_3_the_mnist_layout_of_the_authors() -> None:
    """Decision 3: layer 1 at S, layer 2 at 0.9 S, layer 3 dense: 0.98 of 235,200 and 0.882 of 30,000."""
    model = model_of(fc1=nn.Linear(784, 300), fc2=nn.Linear(300, 100), fc3=nn.Linear(100, 10))
    found = zeros_of(model, sparsity=0.98, layers={"fc2": 0.9 * 0.98, "fc3": "unmasked"})
    assert found == {"fc1": 230_496, "fc2": 26_460}


def test_3_each_stacked_gate_matrix_is_a_layer_and_biases_and_norms_are_none() -> None:
    """Decision 3: a GRU of 5 inputs and 4 units has a 12x5 and a 12x4 matrix."""
    model = model_of(gru=nn.GRU(5, 4), norm=nn.LayerNorm(4), batch_norm=nn.BatchNorm1d(4), out=nn.Linear(4, 3))
    biases = {name: p.clone() for name, p in model.named_parameters() if p.ndim == 1}
    assert zeros_of(model, sparsity=0.5) == {"gru.weight_ih_l0": 30, "gru.weight_hh_l0": 24, "out": 6}
    assert len(biases) == 7
    assert all(dict(model.named_parameters())[name].equal(value) for name, value in biases.items())


# -- 4. cadence --------------------------------------------------------------------------------------------------------


def cadence(layer: Any, batches: int) -> list[int]:
    """Values of ``sparse.steps`` right after each batch that made a topology update."""
    found = []
    for _ in range(batches):
        before = layer.sparse.updates
        layer.step([[0.01, 0.02, 0.03, 0.04]])
        if layer.sparse.updates > before:
            found.append(layer.sparse.steps)
    return found


@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        ("rigl", {"end": 200}, [0, 100, 200]),
        ("rigl", {"end": 199}, [0, 100]),
        ("rigl", {"begin": 30, "end": 130}, [30, 130]),
        ("rigl", {"end": "never", "update_every": 60}, [0, 60, 120, 180, 240]),
        ("rigl", {}, [0, 100]),
        ("set", {"end": 201}, [1, 101, 201]),
        ("set", {"end": 200}, [1, 101]),
        ("set", {"begin": 30, "end": 130}, [30, 130]),
        ("snfs", {"end": "never"}, [1, 101, 201]),
        ("snfs", {}, [1, 101]),
    ],
)
def test_4_updates_fall_where_the_authors_let_them(
    one_layer: Callable[..., Any], method: str, options: dict[str, Any], expected: list[int]
) -> None:
    """Decision 4: first at begin (in place) or after the first step; end included, 3/4 of the 240 steps by default."""
    layer = one_layer([[1.0, 2.0, 3.0, 4.0]], method, sparsity=0.5, total_steps=240, **options)
    in_place = len(expected) if method == "rigl" else 0
    assert cadence(layer, 240 + in_place) == expected
    assert (layer.sparse.steps, layer.sparse.updates) == (240, len(expected))


def test_4_rigl_s_update_takes_the_place_of_the_step(one_layer: Callable[..., Any]) -> None:
    """Decision 4: False, no step counted, weights that stay are as they were, in spite of gradient, momentum and decay.

    Of 1 2 3 the 1 is dropped (0.34 of 3, truncated); the largest other gradient is at 4.
    """
    sgd = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.1)
    layer = one_layer([[1.0, 2.0, 3.0, 9.0, 9.0]], "rigl", [[1, 1, 1, 0, 0]], sgd, drop_fraction=0.34, decay="constant")
    scheduler = torch.optim.lr_scheduler.ExponentialLR(layer.optimizer, 0.5)
    assert layer.sparse.update_due and layer.sparse.needs_dense_gradient
    assert layer.step([[5.0, 5.0, 5.0, 6.0, 7.0]]) is False
    assert (layer.sparse.steps, layer.sparse.updates, layer.sparse.last_update) == (0, 1, 0)
    assert layer.mask == [[0, 1, 1, 0, 1]]
    assert layer.weights == [[0.0, 2.0, 3.0, 0.0, 0.0]]
    assert layer.optimizer.param_groups[0]["lr"] == 0.1
    assert not layer.optimizer.state

    assert not layer.sparse.update_due and not layer.sparse.needs_dense_gradient
    assert layer.step([[5.0, 5.0, 5.0, 6.0, 7.0]]) is True
    scheduler.step()
    assert layer.sparse.steps == 1
    # w - 0.1 (g + 0.1 w) where active
    assert layer.weights[0] == pytest.approx([0.0, 2 - 0.1 * 5.2, 3 - 0.1 * 5.3, 0.0, -0.7])
    assert layer.optimizer.param_groups[0]["lr"] == 0.05


@pytest.mark.parametrize("method", ["set", "snfs"])
def test_4_set_and_snfs_step_first(one_layer: Callable[..., Any], method: str) -> None:
    """Decision 4: the step turns 1 2 3 into 4 2 3, so that the update drops the 2 (before the step: the 1)."""
    layer = one_layer([[1.0, 2.0, 3.0, 9.0, 9.0]], method, [[1, 1, 1, 0, 0]], drop_fraction=0.34, decay="constant")
    assert layer.sparse.update_due
    assert layer.step([[-3.0, 0.0, 0.0, 0.0, 1.0]]) is True
    assert (layer.sparse.steps, layer.sparse.updates, layer.sparse.last_update) == (1, 1, 1)
    assert layer.weights[0][0] == 4.0 and layer.mask[0][0] == layer.mask[0][2] == 1
    if method == "snfs":
        assert layer.mask == [[1, 0, 1, 0, 1]]
    assert sum(layer.mask[0]) == 3


def test_4_the_batch_of_an_update_is_used(start: Callable[..., Any]) -> None:
    """Decision 4: T steps take T + updates batches, and BatchNorm sees every one of them."""
    training = start("rigl", "conv")
    training.run(20)
    assert training.sparse.updates == 4  # at 0, 5, 10, 15
    assert training.batches == 24
    assert training.model[1].num_batches_tracked == 24


# -- 5. drop fraction --------------------------------------------------------------------------------------------------


def moved_by_one_update(one_layer: Callable[..., Any], active: int, at: int, **options: Any) -> int:
    """How many of ``active`` weights RigL's update at step ``at`` moves, when nothing dropped can grow again."""
    weights = [[float(index + 1) for index in range(2 * active)]]
    mask = [[1] * active + [0] * active]
    layer = one_layer(weights, "rigl", mask, begin=at, **options)
    gradient = torch.cat([torch.zeros(1, active), torch.ones(1, active)], 1)
    for _ in range(at):
        layer.step(torch.zeros(1, 2 * active))
    before = layer.sparse.masks["weight"]
    assert layer.step(gradient) is False
    return int((before & ~layer.sparse.masks["weight"]).sum())


@pytest.mark.parametrize(
    ("active", "at", "options", "expected"),
    [
        # float32: 100 * 0.29 is 29, in float64 it would be 28
        (100, 0, {"drop_fraction": 0.29, "decay": "constant"}, 29),
        (10, 0, {"drop_fraction": 0.39, "decay": "constant"}, 3),
        (3, 0, {"drop_fraction": 0.3, "decay": "constant"}, 0),
        # cosine: 0.5/2 (1 + cos(pi t/D)); half of 0.5 at t = D/2, though begin is 10: D = 30 - 10
        (40, 10, {"drop_fraction": 0.5, "end": 30}, 10),
        # past D = 12 - 10 the cosine stays at its end
        (40, 10, {"drop_fraction": 0.5, "end": 12}, 0),
        # never: D = T = 20
        (40, 10, {"drop_fraction": 0.5, "end": "never", "total_steps": 20}, 10),
        # at begin an inverse power has not started to fall
        (40, 10, {"drop_fraction": 0.5, "end": 30, "decay": "inverse_power:3"}, 20),
    ],
)
def test_5_how_many_move(
    one_layer: Callable[..., Any], active: int, at: int, options: dict[str, Any], expected: int
) -> None:
    """Decision 5: trunc(float32(nonzeros) * float32(fraction)) per layer, with the fraction of that step."""
    assert moved_by_one_update(one_layer, active, at, **options) == expected


@pytest.mark.parametrize("method", MOVING)
def test_5_no_span_is_an_error_before_training(one_layer: Callable[..., Any], method: str) -> None:
    """Decision 5: D = 0 is an error except for constant."""
    with pytest.raises(ValueError, match="constant"):
        one_layer([[1.0, 2.0]], method, sparsity=0.5, begin=5, end=5)
    one_layer([[1.0, 2.0]], method, sparsity=0.5, begin=5, end=5, decay="constant")
    one_layer([[1.0, 2.0]], "static", sparsity=0.5, begin=5, end=5)


def test_5_after_a_step_the_fraction_is_that_of_the_incremented_step(one_layer: Callable[..., Any]) -> None:
    """Decision 5: with D = 2, SNFS's first update (at 1) moves alpha/2 of 8, its second (at 2) none."""
    weights = [[float(index + 1) for index in range(16)]]
    layer = one_layer(weights, "snfs", [[1] * 8 + [0] * 8], update_every=1, end=2, drop_fraction=0.5)
    gradient = torch.tensor([[0.0] * 8 + [1.0] * 8])
    layer.step(gradient)
    assert layer.mask == [[0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]]
    layer.step(gradient)
    assert layer.sparse.updates == 2
    assert layer.mask == [[0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]]


# -- 6. drop and grow --------------------------------------------------------------------------------------------------


def test_6_drop_by_magnitude_grow_by_gradient_magnitude(one_layer: Callable[..., Any]) -> None:
    """Decision 6: of -1 2 -3 4 the -1 and the 2 go; |gradient| of the rest ranks -8 (kept out: 3 is active), 7, -6."""
    weights, mask = [[-1.0, 2.0, -3.0], [4.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    layer = one_layer(weights, "rigl", mask, drop_fraction=0.5, decay="constant")
    layer.step([[0.0, 1.0, -8.0], [0.0, 7.0, 5.0], [-6.0, 2.0, 3.0]])
    assert layer.mask == [[0, 0, 1], [1, 1, 0], [1, 0, 0]]
    assert layer.weights == [[0.0, 0.0, -3.0], [4.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


def test_6_ties_go_to_the_lowest_row_major_index(one_layer: Callable[..., Any]) -> None:
    """Decision 6: four equal magnitudes, two stay: the first two; five equal scores, two grow: the first two."""
    layer = one_layer(
        [[0.0, 2.0, -2.0, 2.0], [2.0, 0.0, 0.0, 0.0]],
        "rigl",
        [[0, 1, 1, 1], [1, 0, 0, 0]],
        drop_fraction=0.5,
        decay="constant",
    )
    layer.step([[0.0, 0.0, 0.0, 0.0], [0.0, 3.0, -3.0, 3.0]])
    assert layer.mask == [[0, 1, 1, 0], [0, 1, 1, 0]]


def test_6_dropped_and_regrown_keeps_value_and_momentum(one_layer: Callable[..., Any]) -> None:
    """Decision 6: of 1 2 3 4 the 1 and the 2 are dropped; the 1 has the largest gradient and comes back as it was.

    A first step with lr 1 and gradient -1 per weight makes 0 1 2 3 into 1 2 3 4 and leaves a momentum of -1.
    """
    sgd = partial(torch.optim.SGD, lr=1.0, momentum=0.9)
    layer = one_layer(
        [[0.0, 1.0, 2.0, 3.0, 0.0]], "rigl", [[1, 1, 1, 1, 0]], sgd, begin=1, drop_fraction=0.5, decay="constant"
    )
    assert layer.step([[-1.0, -1.0, -1.0, -1.0, -1.0]]) is True
    assert layer.weights == [[1.0, 2.0, 3.0, 4.0, 0.0]]
    assert layer.slot("momentum_buffer") == [[-1.0, -1.0, -1.0, -1.0, 0.0]]
    assert layer.step([[9.0, 0.0, 0.0, 0.0, 8.0]]) is False
    assert layer.mask == [[1, 0, 1, 1, 1]]
    assert layer.weights == [[1.0, 0.0, 3.0, 4.0, 0.0]]
    assert layer.slot("momentum_buffer") == [[-1.0, 0.0, -1.0, -1.0, 0.0]]


def test_6_each_layer_keeps_its_own_count() -> None:
    """Decision 6: nothing moves between layers, whatever their gradients."""
    model = model_of(a=nn.Linear(10, 10, bias=False), b=nn.Linear(10, 10, bias=False))
    sparse = sparsify(model, SGD(model.parameters()), "rigl", 0.8, total_steps=100, drop_fraction=0.5)
    (model["a"].weight * 1000 * torch.rand(10, 10) + model["b"].weight * 1e-3).sum().backward()
    sparse.step()
    assert {name: int(mask.sum()) for name, mask in sparse.masks.items()} == {"a": 20, "b": 20}


# -- 7. state ----------------------------------------------------------------------------------------------------------


def test_7_newly_grown_weights_start_at_zero_without_momentum(one_layer: Callable[..., Any]) -> None:
    """Decision 7: weight 1 goes and comes back two updates later with neither its value nor its momentum.

    Steps of lr 1 with gradient 0.5 and momentum 1/2, updates at 1 and 2. At 1: 1 2 -> 0.5 1.5 with momentum 0.5; index
    0 goes, index 2 comes. At 2: 1.5 - (0.25 + 0.5) = 0.75 and 0 - 0.5 = -0.5, so index 2 goes, index 0 comes back.
    """
    sgd = partial(torch.optim.SGD, lr=1.0, momentum=0.5)
    layer = one_layer(
        [[1.0, 2.0, 0.0]], "rigl", [[1, 1, 0]], sgd, begin=1, update_every=1, drop_fraction=0.5, decay="constant"
    )
    assert layer.step([[0.5, 0.5, 0.5]]) is True
    assert layer.step([[0.0, 0.0, 1.0]]) is False
    assert (layer.mask, layer.weights) == ([[0, 1, 1]], [[0.0, 1.5, 0.0]])
    assert layer.slot("momentum_buffer") == [[0.0, 0.5, 0.0]]
    assert layer.step([[0.5, 0.5, 0.5]]) is True
    assert layer.weights == [[0.0, 0.75, -0.5]]
    assert layer.step([[1.0, 0.0, 0.0]]) is False
    assert (layer.mask, layer.weights) == ([[1, 1, 0]], [[0.0, 0.75, 0.0]])
    assert layer.slot("momentum_buffer") == [[0.0, 0.75, 0.0]]


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.AdamW])
def test_7_adam_s_moments_start_at_zero_and_its_counter_goes_on(
    one_layer: Callable[..., Any], optimizer: type[torch.optim.Optimizer], amsgrad: bool
) -> None:
    """Decision 7: index 0 is dropped and index 2 grown after one step of gradient 4: moments 0.1*4 and 0.001*16."""
    adam = partial(optimizer, lr=0.1, amsgrad=amsgrad, weight_decay=0.0)
    layer = one_layer([[1.0, 2.0, 0.0]], "rigl", [[1, 1, 0]], adam, begin=1, drop_fraction=0.5, decay="constant")
    layer.step([[4.0, 4.0, 4.0]])
    second = ["exp_avg_sq", "max_exp_avg_sq"] if amsgrad else ["exp_avg_sq"]
    assert layer.slot("exp_avg")[0] == pytest.approx([0.4, 0.4, 0.0])
    assert all(layer.slot(name)[0] == pytest.approx([0.016, 0.016, 0.0]) for name in second)
    assert layer.step([[0.0, 0.0, 4.0]]) is False
    assert layer.mask == [[0, 1, 1]]
    assert layer.slot("exp_avg")[0] == pytest.approx([0.0, 0.4, 0.0])
    assert all(layer.slot(name)[0] == pytest.approx([0.0, 0.016, 0.0]) for name in second)
    assert layer.slot("step") == 1
    # The counter is not the new weight's own: its first step is 0.1 m_hat / sqrt(v_hat) with the corrections of t = 2.
    layer.step([[0.0, 0.0, 4.0]])
    first_moment, second_moment = 0.4 / (1 - 0.9**2), 0.016 / (1 - 0.999**2)
    assert layer.slot("step") == 2
    assert layer.weights[0][2] == pytest.approx(-0.1 * first_moment / (math.sqrt(second_moment) + 1e-8))


@pytest.mark.parametrize("optimizer", EVERY_OPTIMIZER)
@pytest.mark.parametrize("method", ["static", "set", "rigl", "snfs", "pruning", "snip"])
def test_7_inactive_weights_and_slots_are_zero_at_all_times(
    start: Callable[..., Any], method: str, optimizer: str
) -> None:
    """Decision 7: exactly, after every batch, weight decay and Nesterov included."""
    training = start(method, optimizer=optimizer)
    slots_seen = set()
    while training.sparse.steps < 25:
        training.batch()
        parameters = dict(training.model.named_parameters())
        for layer, mask in training.sparse.masks.items():
            weight = parameters[f"{layer}.weight"]
            assert not weight.detach()[~mask].any()
            for slot, value in training.slots()[f"{layer}.weight"].items():
                if value.shape == weight.shape:
                    slots_seen.add(slot)
                    assert not value[~mask].any(), slot
    expected = {
        "sgd": set(),
        "momentum": {"momentum_buffer"},
        "nesterov": {"momentum_buffer"},
        "adam": {"exp_avg", "exp_avg_sq"},
        "adamw": {"exp_avg", "exp_avg_sq"},
        "amsgrad": {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"},
    }
    assert slots_seen == expected[optimizer]


def test_7_masks_given_to_a_warm_optimizer_zero_its_state() -> None:
    """Decision 7: "at all times" includes before the first step."""
    model = nn.Linear(3, 1, bias=False)
    optimizer = SGD(model.parameters(), momentum=0.9)
    model.weight.sum().backward()
    optimizer.step()
    sparsify(model, optimizer, "static", masks={"weight": torch.tensor([[1, 0, 1]])}, total_steps=10)
    assert model.weight[0, 1] == 0 and (model.weight != 0).sum() == 2
    assert optimizer.state[model.weight]["momentum_buffer"].tolist() == [[1.0, 0.0, 1.0]]


class SGDOfOurOwn(torch.optim.SGD):
    """Could keep anything beside its momentum."""


@pytest.mark.parametrize("optimizer", [torch.optim.RMSprop, torch.optim.Adagrad, SGDOfOurOwn])
def test_7_an_unknown_optimizer_is_an_error_that_names_the_known_ones(
    one_layer: Callable[..., Any], optimizer: type[torch.optim.Optimizer]
) -> None:
    """Decision 7."""
    with pytest.raises(TypeError, match=rf"{optimizer.__name__}.*SGD.*Adam.*AdamW"):
        one_layer([[1.0, 2.0]], "static", sparsity=0.5, optimizer=partial(optimizer, lr=0.1))


def test_7_an_unknown_slot_is_an_error_that_names_it(one_layer: Callable[..., Any]) -> None:
    """Decision 7: a known optimizer with a slot of another version."""
    sgd = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
    layer = one_layer([[1.0, 2.0, 3.0, 4.0]], "rigl", [[1, 1, 0, 0]], sgd, begin=1, drop_fraction=0.5)
    layer.step([[1.0] * 4])
    layer.optimizer.state[layer.model.weight]["curvature"] = torch.ones(1, 4)
    with pytest.raises(TypeError, match=r"SGD.*'curvature'"):
        layer.step([[1.0] * 4])


def test_7_snfs_mean_gradient_by_hand(one_layer: Callable[..., Any]) -> None:
    """Decision 7: e += 0.1 (g - e) from 0, dense, current batch included, no bias correction; sign does not count.

    Index 2: 10, 0, 0 gives 1, 0.9, 0.81; index 3: 0, 0, -8 gives 0, 0, -0.8; so after three batches 2 beats 3, though
    the latest gradient says otherwise. Index 0 (active, 20 each time): 2, 3.8, 5.42, weight decay left out.
    """
    sgd = partial(torch.optim.SGD, lr=0.001, weight_decay=0.5)
    layer = one_layer([[1.0, 2.0, 0.0, 0.0]], "snfs", [[1, 1, 0, 0]], sgd, begin=3, drop_fraction=0.5, decay="constant")
    for gradient, mean in (
        ([[20.0, 0.0, 10.0, 0.0]], [[2.0, 0.0, 1.0, 0.0]]),
        ([[20.0, 0.0, 0.0, 0.0]], [[3.8, 0.0, 0.9, 0.0]]),
        ([[20.0, 0.0, 0.0, -8.0]], [[5.42, 0.0, 0.81, -0.8]]),
    ):
        assert layer.sparse.needs_dense_gradient
        layer.step(gradient)
        (saved,) = layer.sparse.state_dict()["layer_state"]["weight"].values()
        assert saved[0].tolist() == pytest.approx(mean[0])
    # 1 is dropped, then of 0 2 3 index 0 has the largest mean: it is regrown.
    assert layer.mask == [[1, 1, 0, 0]]


def test_7_snfs_grows_by_the_mean_and_not_by_the_last_gradient(one_layer: Callable[..., Any]) -> None:
    """Decision 7: as above with index 0 without a gradient: 2 (0.81) grows before 3 (0.8, negative)."""
    layer = one_layer([[1.0, 2.0, 0.0, 0.0]], "snfs", [[1, 1, 0, 0]], begin=3, drop_fraction=0.5, decay="constant")
    for gradient in ([[0.0, 0.0, 10.0, 0.0]], [[0.0] * 4], [[0.0, 0.0, 0.0, -8.0]]):
        layer.step(gradient)
    assert layer.mask == [[0, 1, 1, 0]]
    layer = one_layer([[1.0, 2.0, 0.0, 0.0]], "snfs", [[1, 1, 0, 0]], begin=3, drop_fraction=0.5, decay="constant")
    for gradient in ([[0.0, 0.0, 10.0, 0.0]], [[0.0] * 4], [[0.0, 0.0, 0.0, -8.2]]):
        layer.step(gradient)
    assert layer.mask == [[0, 1, 0, 1]]


def test_7_snfs_remembers_when_something_is_dropped(one_layer: Callable[..., Any]) -> None:
    """Decision 7: the mean is not optimizer state, a topology update does not touch it."""
    layer = one_layer([[1.0, 2.0, 0.0, 0.0]], "snfs", [[1, 1, 0, 0]], drop_fraction=0.5, decay="constant")
    layer.step([[0.5, 0.0, 2.0, 1.0]])
    assert layer.mask == [[0, 1, 1, 0]]
    (mean,) = layer.sparse.state_dict()["layer_state"]["weight"].values()
    assert mean[0].tolist() == pytest.approx([0.05, 0.0, 0.2, 0.1])


# -- 8. scores ---------------------------------------------------------------------------------------------------------


def test_8_rigl_scores_without_weight_decay(one_layer: Callable[..., Any]) -> None:
    """Decision 8: the dropped 1 would come back by its decay (gradient 0.5 + 10 * 1); by the loss, index 2 is ahead."""
    sgd = partial(torch.optim.SGD, lr=0.1, weight_decay=10.0)
    layer = one_layer([[1.0, 2.0, 0.0]], "rigl", [[1, 1, 0]], sgd, drop_fraction=0.5, decay="constant")
    layer.step([[0.5, 0.0, 0.6]])
    assert layer.mask == [[0, 1, 1]]


def test_8_rigl_scores_at_the_masked_weight() -> None:
    """Decision 8: loss |W x - 1|^2 with x = (1, 1, 2) and W = (1, 0.1, [5]), (3, 0.2, [-1]), the bracketed ones masked.

    W x = (1.1, 3.2), so the gradient is 0.2 x and 4.4 x: the 0.1 goes, (1, 2) grows. At the unmasked W, W x would be
    (11.1, 1.2) and (0, 2) would grow.
    """
    model = nn.Linear(3, 2, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0.1, 5.0], [3.0, 0.2, -1.0]]))
    masks = {"weight": torch.tensor([[1, 1, 0], [1, 1, 0]])}
    optimizer = SGD(model.parameters())
    sparse = sparsify(model, optimizer, "rigl", masks=masks, total_steps=10, drop_fraction=0.25, decay="constant")
    (model(torch.tensor([[1.0, 1.0, 2.0]], dtype=torch.float64)) - 1).square().sum().backward()
    sparse.step()
    assert sparse.masks["weight"].int().tolist() == [[1, 0, 0], [1, 1, 1]]


def test_8_set_grows_by_its_random_scores_alone(one_layer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Decision 8: two of the five that are not kept, by score, the gradients notwithstanding."""
    scores = torch.tensor([[0.9, 0.99, 0.99, 0.2, 0.8, 0.5, 0.7]], dtype=torch.float64)
    monkeypatch.setattr("sparse_methods.method.Layer.random", lambda layer: scores)
    layer = one_layer(
        [[1.0, 3.0, 4.0, 2.0, 0.0, 0.0, 0.0]], "set", [[1, 1, 1, 1, 0, 0, 0]], drop_fraction=0.5, decay="constant"
    )
    layer.step([[0.0, 0.0, 0.0, 0.0, 0.0, 9.0, 0.0]])
    assert layer.mask == [[1, 1, 1, 0, 1, 0, 0]]


def test_8_set_grows_uniformly(one_layer: Callable[..., Any]) -> None:
    """Decision 8: 1 of 5 candidates, the just-dropped among them, 400 seeds: 80 +- 5 standard deviations (8) each."""
    grown = torch.zeros(6)
    for seed in range(400):
        layer = one_layer(
            [[1.0, 3.0, 0.0, 0.0, 0.0, 0.0]],
            "set",
            [[1, 1, 0, 0, 0, 0]],
            drop_fraction=0.5,
            decay="constant",
            seed=seed,
        )
        layer.step([[0.0] * 6])
        grown += torch.tensor(layer.mask[0])
    assert grown[1] == 400
    assert (grown[[0, 2, 3, 4, 5]] - 80).abs().max() < 5 * 8


def test_8_snip_scores_by_hand(one_layer: Callable[..., Any]) -> None:
    """Decision 8: |(g + wd w) w| with wd 0.5. w = 1 2 3 4, g = 3 -1 0 -2.1: 3.5 0 4.5 0.4; half of them stay."""
    sgd = partial(torch.optim.SGD, lr=1.0, weight_decay=0.5)
    layer = one_layer([[1.0, 2.0, 3.0, 4.0]], "snip", optimizer=sgd, sparsity=0.5)
    assert layer.sparse.awaits_first_batch and layer.mask == [[1, 1, 1, 1]]
    assert layer.step([[3.0, -1.0, 0.0, -2.1]]) is False
    assert layer.mask == [[1, 0, 1, 0]]
    assert layer.weights == [[1.0, 0.0, 3.0, 0.0]]
    assert (layer.sparse.steps, layer.sparse.updates) == (0, 0)
    # Step 0: w - (g + w/2) where active, by then the mask is frozen.
    assert layer.step([[1.0, 100.0, -1.0, 100.0]]) is True
    assert layer.weights == [[-0.5, 0.0, 2.5, 0.0]]
    assert (layer.mask, layer.sparse.steps) == ([[1, 0, 1, 0]], 1)


def test_8_snip_without_the_l2_term_chooses_otherwise(one_layer: Callable[..., Any]) -> None:
    """Decision 8: |g w| of the same weights is 3 2 0 8.4; and AdamW's decoupled decay is no part of the loss."""
    adamw = partial(torch.optim.AdamW, lr=1.0, weight_decay=0.5)
    for optimizer in (SGD, adamw):
        layer = one_layer([[1.0, 2.0, 3.0, 4.0]], "snip", optimizer=optimizer, sparsity=0.5)
        layer.step([[3.0, -1.0, 0.0, -2.1]])
        assert layer.mask == [[1, 0, 0, 1]]
    adam = partial(torch.optim.Adam, lr=1.0, weight_decay=0.5)
    layer = one_layer([[1.0, 2.0, 3.0, 4.0]], "snip", optimizer=adam, sparsity=0.5)
    layer.step([[3.0, -1.0, 0.0, -2.1]])
    assert layer.mask == [[1, 0, 1, 0]]


@pytest.mark.parametrize(
    ("ranking", "expected"),
    [
        ("layer", {"a": [[0, 0, 1, 1]], "b": [[1, 0, 1, 0]]}),
        ("global", {"a": [[0, 1, 1, 1]], "b": [[1, 0, 0, 0]]}),
    ],
)
def test_8_snip_ranks_per_layer_and_on_request_globally(ranking: str, expected: dict[str, list[list[int]]]) -> None:
    """Decision 8: scores 1 5 6 7 and 4 2 3 1, half of each layer, or the four largest of all."""
    model = model_of(a=nn.Linear(4, 1, bias=False), b=nn.Linear(4, 1, bias=False))
    for layer in model.values():
        nn.init.ones_(layer.weight)
    sparse = sparsify(model, SGD(model.parameters()), make("snip", {"ranking": ranking}), 0.5, total_steps=10)
    gradients = {"a": torch.tensor([[1.0, -5.0, 6.0, 7.0]]), "b": torch.tensor([[-4.0, 2.0, 3.0, 1.0]])}
    sum((model[name].weight * gradient).sum() for name, gradient in gradients.items()).backward()
    sparse.step()
    assert {name: mask.int().tolist() for name, mask in sparse.masks.items()} == expected


def test_8_snip_at_each_layer_s_own_sparsity() -> None:
    """Decision 8: 10x10 and 5x20 at 0.8 by ERK keep 18 and 23."""
    model = model_of(a=nn.Linear(10, 10), b=nn.Linear(20, 5))
    sparse = sparsify(model, SGD(model.parameters()), "snip", 0.8, "erk", total_steps=10)
    (model["a"].weight.square().sum() + model["b"].weight.square().sum()).backward()
    for layer in model.values():
        layer.bias.grad = torch.zeros_like(layer.bias)
    sparse.step()
    assert {name: int(mask.sum()) for name, mask in sparse.masks.items()} == {"a": 18, "b": 23}


def test_8_static_is_frozen(start: Callable[..., Any]) -> None:
    """Decision 8: nothing is dropped and nothing regrown."""
    training = start("static")
    before = training.sparse.digest()
    training.run(30)
    assert training.sparse.digest() == before
    assert (training.sparse.updates, training.batches) == (0, 30)


# -- 9. gradual pruning ------------------------------------------------------------------------------------------------


def test_9_pruning_follows_the_cubic_on_its_grid(one_layer: Callable[..., Any]) -> None:
    """Decision 9: 20 weights to 0.7 from step 2 to 9, every 3: at 2, 5, 8 and 9.

    s = 0.7 (1 - (1-p)^3) with p = 0, 3/7, 6/7, 1: 0, 0.5694, 0.69796, 0.7; times 20: 0, 11.39, 13.96, 14.
    """
    layer = one_layer(
        [[float(i + 1) for i in range(20)]], "pruning", sparsity=0.7, begin=2, end=9, update_every=3, total_steps=12
    )
    zeros = []
    for _ in range(12):
        assert layer.step([[0.0] * 20]) is True
        zeros.append(20 - sum(layer.mask[0]))
    assert zeros == [0, 0, 0, 0, 11, 11, 11, 13, 14, 14, 14, 14]
    assert layer.mask == [[0] * 14 + [1] * 6]
    assert (layer.sparse.steps, layer.sparse.updates) == (12, 4)


def test_9_pruning_from_an_initial_sparsity(one_layer: Callable[..., Any]) -> None:
    """Decision 9: s = 0.75 - 0.5 (1-p)^3 over 1..3: 0.25 at 1, 0.6875 at 2, 0.75 at 3; of 20: 5, 13.75, 15."""
    layer = one_layer(
        [[float(i + 1) for i in range(20)]],
        make("pruning", {"initial_sparsity": 0.25}),
        sparsity=0.75,
        begin=1,
        end=3,
        update_every=1,
    )
    zeros = []
    for _ in range(4):
        layer.step([[0.0] * 20])
        zeros.append(20 - sum(layer.mask[0]))
    assert zeros == [5, 13, 15, 15]


def test_9_pruning_steps_first_and_what_is_pruned_stays_pruned(one_layer: Callable[..., Any]) -> None:
    """Decision 9: 1 2 3 4 with gradient -5 0 0 0 is 6 2 3 4 when half of it goes; later gradients revive nothing."""
    sgd = partial(torch.optim.SGD, lr=1.0, momentum=0.5)
    layer = one_layer([[1.0, 2.0, 3.0, 4.0]], "pruning", optimizer=sgd, sparsity=0.5, end=2, update_every=2)
    layer.step([[0.0, 0.0, 0.0, 0.0]])
    layer.step([[-5.0, 0.0, 0.0, 0.0]])
    assert (layer.mask, layer.weights) == ([[1, 0, 0, 1]], [[6.0, 0.0, 0.0, 4.0]])
    layer.step([[0.0, -9.0, -9.0, 0.0]])
    assert (layer.mask, layer.weights) == ([[1, 0, 0, 1]], [[8.5, 0.0, 0.0, 4.0]])


@pytest.mark.parametrize("sparsity", [0.29, 0.57, 0.7, 0.965])
def test_9_the_target_is_reached_exactly(one_layer: Callable[..., Any], sparsity: float) -> None:
    """Decision 9: floor(s_f N) at the end, for awkward products too."""
    layer = one_layer([[float(i + 1) for i in range(100)]], "pruning", sparsity=sparsity, end=7, update_every=5)
    for _ in range(8):
        layer.step(torch.zeros(1, 100))
    assert 100 - sum(layer.mask[0]) == {0.29: 28, 0.57: 56, 0.7: 70, 0.965: 96}[sparsity]


def test_9_pruning_needs_a_span_before_training(one_layer: Callable[..., Any]) -> None:
    """Decision 9: its cubic has none between begin and an equal end."""
    with pytest.raises(ValueError, match="begin < end"):
        one_layer([[1.0, 2.0]], "pruning", sparsity=0.5, begin=5, end=5)


# -- 10. seeds ---------------------------------------------------------------------------------------------------------


def test_10_methods_share_the_first_masks_of_a_seed(start: Callable[..., Any]) -> None:
    """Decision 10: comparisons are paired."""
    digests = {method: start(method, seed=3).sparse.digest() for method in ("static", "set", "rigl", "snfs")}
    assert len(set(digests.values())) == 1
    assert start("static", seed=4).sparse.digest() != digests["static"]


def test_10_growth_depends_on_seed_and_method(one_layer: Callable[..., Any]) -> None:
    """Decision 10: from the same mask and weights, another seed grows elsewhere, the same seed does not."""

    def grown(method: str, seed: int) -> list[list[int]]:
        layer = one_layer(
            [[1.0] * 8 + [0.0] * 40],
            method,
            [[1] * 8 + [0] * 40],
            drop_fraction=0.5,
            decay="constant",
            seed=seed,
        )
        layer.step([[0.0] * 48])
        return layer.mask

    assert grown("set", 0) == grown("set", 0) != grown("set", 1)


def test_10_growth_adds_the_method(start: Callable[..., Any]) -> None:
    """Decision 10: two methods that both grow at random do it differently from the same seed."""
    states = [start(method, seed=0).sparse.state_dict()["growth"] for method in ("set", "rigl", "snfs")]
    assert not states[0].equal(states[1]) and not states[0].equal(states[2])


# -- section 5: clipping, dense and Small-Dense ------------------------------------------------------------------------


def test_clipping_counts_active_weights_only(one_layer: Callable[..., Any]) -> None:
    """Section 5: active gradients 3 and 4 have norm 5, whatever the inactive one is; clipped to 1, 0.6 and 0.8."""
    layer = one_layer([[1.0, 1.0, 0.0]], "static", [[1, 1, 0]])
    layer.step([[3.0, 4.0, 1000.0]], clip_norm=1.0)
    assert layer.weights[0] == pytest.approx([0.4, 0.2, 0.0], abs=1e-6)
    layer.step([[0.3, 0.4, 1000.0]], clip_norm=1.0)
    assert layer.weights[0] == pytest.approx([0.1, -0.2, 0.0], abs=1e-6)


def test_clipping_counts_unmasked_parameters() -> None:
    """Section 5: the bias is active: gradients 3 (weight) and 4 (bias) have norm 5."""
    model = nn.Linear(2, 1)
    nn.init.ones_(model.weight)
    nn.init.ones_(model.bias)
    sparse = sparsify(model, SGD(model.parameters()), "static", masks={"weight": torch.tensor([[1, 0]])}, total_steps=9)
    (model.weight * torch.tensor([[3.0, 1000.0]])).sum().add(4 * model.bias.sum()).backward()
    sparse.step(clip_norm=1.0)
    assert model.weight.tolist()[0] == pytest.approx([0.4, 0.0], abs=1e-6)
    assert model.bias.tolist() == pytest.approx([0.2], abs=1e-6)


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_dense_is_the_optimizer_s_own_training(start: Callable[..., Any], optimizer: str) -> None:
    """Dense training through the engine equals training without it."""
    ours, plain = start("dense", optimizer=optimizer), start("dense", optimizer=optimizer)
    ours.run(10)
    for _ in range(10):
        plain.backward()
        plain.optimizer.step()
    assert (ours.sparse.masks, ours.sparse.sparsity, ours.sparse.steps) == ({}, 0.0, 10)
    assert all(a.equal(b) for a, b in zip(ours.model.parameters(), plain.model.parameters(), strict=True))


def perceptron(width: float) -> nn.Module:
    """h = max(1, round(100 width)) hidden units: 8 h + h parameters into them, 3 h + 3 out of them."""
    hidden = max(1, round(100 * width))
    return nn.Sequential(nn.Linear(8, hidden), nn.ReLU(), nn.Linear(hidden, 3))


@pytest.mark.parametrize(("budget", "hidden"), [(603, 50), (602, 49), (614, 50), (615, 51), (15, 1), (1203, 100)])
def test_small_dense_is_the_widest_network_within_the_budget(budget: int, hidden: int) -> None:
    """8 h + h + 3 h + 3 = 12 h + 3 parameters do not exceed the budget, and 12 (h + 1) + 3 would."""
    model = make("small_dense").build(perceptron, budget)
    assert model[0].out_features == hidden
    assert 12 * hidden + 3 <= budget < 12 * (hidden + 1) + 3


def test_small_dense_refuses_an_impossible_budget() -> None:
    with pytest.raises(ValueError, match=r"14 parameters.*15"):
        make("small_dense").build(perceptron, 14)


def test_small_dense_has_no_masks(start: Callable[..., Any]) -> None:
    """Its sparsity is in its width: training is dense training, of at most the parameters asked for."""
    training = start("small_dense")
    assert sum(parameter.numel() for parameter in training.model.parameters()) <= 160
    training.run(5)
    assert (training.sparse.masks, training.sparse.sparsity, training.batches) == ({}, 0.0, 5)

"""Costs against other counters, against hand computation, and against the published multiples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline import models
from pipeline.cost import LayerCost, NetworkCost, RunCost, TrainingLedger
from pipeline.counting import trace
from pipeline.plan import Spec, resolve
from pipeline.run import LearningRate, Protocol, Run, Topology
from sparse_methods import methods
from sparse_methods.distributions import layer_sparsities
from sparse_methods.schedules import UpdateSchedule

MNIST, CIFAR = (1, 28, 28), (3, 32, 32)
# LeNet-300-100 on 784 inputs, by hand: weights = multiply-adds, every layer is used once.
FC1, FC2, FC3 = 784 * 300, 300 * 100, 100 * 10
LENET_MACS = FC1 + FC2 + FC3
LENET = NetworkCost((LayerCost("fc1", (300, 784), 1), LayerCost("fc2", (100, 300), 1), LayerCost("fc3", (10, 100), 1)))


@pytest.fixture(scope="module")
def wrn() -> NetworkCost:
    return trace(models.build("wrn22_2", CIFAR, 10), CIFAR)


def counted_by_torch(model: nn.Module, shape: tuple[int, ...]) -> dict[str, int]:
    """FLOPs by module, twice the multiply-adds of its convolution or linear layer."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, *shape))
    prefix = f"{type(model).__name__}."
    return {name.removeprefix(prefix): sum(ops.values()) for name, ops in counter.get_flop_counts().items()}


# -- multiply-adds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "shape"), [("lenet300", MNIST), ("wrn22_2", CIFAR)])
def test_every_layer_is_counted_as_torch_counts_it(name: str, shape: tuple[int, ...]) -> None:
    model = models.build(name, shape, 10)
    network, flops = trace(model, shape), counted_by_torch(model, shape)
    assert {layer.layer: 2 * layer.macs for layer in network.layers} == {
        layer.layer: flops[layer.layer] for layer in network.layers
    }
    assert network.inference_flops("macs") == flops["Global"]


def test_lenet300_by_hand() -> None:
    assert trace(models.build("lenet300", MNIST, 10), MNIST) == LENET
    assert LENET_MACS == 266_200
    assert LENET.inference_flops("macs") == 532_400
    assert LENET.inference_flops("rigl") == 532_400 + 300 + 100 + 10
    active = {"fc1": 23_520, "fc2": 3_000, "fc3": 100}
    assert LENET.inference_flops("macs", active) == 2 * 26_620
    assert LENET.inference_flops("rigl", active) == 2 * 26_620 + 410
    assert LENET.inference_flops("rigl", {"fc1": 1}) == 2 * (1 + 30_000 + 1_000) + 410


def test_wrn22_2_by_hand(wrn: NetworkCost) -> None:
    convolutions = [(3, 16, 3, 32)]  # channels in and out, kernel, output side
    for channels, out, side in ((16, 32, 32), (32, 64, 16), (64, 128, 8)):
        convolutions += [(channels, out, 3, side), (out, out, 3, side), (channels, out, 1, side)]
        convolutions += [(out, out, 3, side)] * 4
    weights = sum(i * o * k * k for i, o, k, _ in convolutions) + 128 * 10
    macs = sum(i * o * k * k * side * side for i, o, k, side in convolutions) + 128 * 10
    outputs = sum(o * side * side for _, o, _, side in convolutions) + 10
    assert sum(layer.weights for layer in wrn.layers) == weights == 1_076_912
    assert wrn.inference_flops("macs") == 2 * macs
    assert wrn.inference_flops("rigl") == 2 * macs + outputs
    assert wrn.inference_flops("macs") == 315_460_096  # facts.md, section 2.3: 3.155e8


def test_unknown_conventions_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown convention 'mac'; there are macs, rigl"):
        LENET.inference_flops("mac")


def test_sizes_by_hand() -> None:
    dense_bits = 32 * 266_200 + 32 * 410
    assert LENET.size_bytes({}) == dense_bits // 8
    # fc1 and fc2 sparse with one mask bit a weight; fc3 dense, without a mask.
    bits = 32 * (23_520 + 3_000 + 1_000) + FC1 + FC2 + 32 * 410
    assert LENET.size_bytes({"fc1": 23_520, "fc2": 3_000, "fc3": 1_000}) == bits // 8
    assert LENET.size_bytes({"fc1": 23_520, "fc2": 3_000}) == bits // 8
    tiny = NetworkCost((LayerCost("a", (1, 3), 1),))
    assert tiny.size_bytes({"a": 2}) == math.ceil((64 + 3 + 32) / 8) == 13


class Case(nn.Module):
    """A layer ``a`` used as the test says, before a layer ``last``."""

    def __init__(self, use: Any, a: nn.Module | None = None) -> None:
        super().__init__()
        self.a, self.last, self.use = a or nn.Linear(4, 4), nn.Linear(4, 2), use

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.last(self.use(self, inputs))


def test_a_layer_used_twice_costs_twice() -> None:
    network = trace(Case(lambda net, x: net.a(net.a(x))), (4,))
    assert network.layers == (LayerCost("a", (4, 4), 2), LayerCost("last", (2, 4), 1))


def test_a_linear_layer_on_a_sequence_costs_its_length() -> None:
    assert trace(nn.Linear(4, 6), (5, 4)).layers == (LayerCost("weight", (6, 4), 5),)


def test_grouped_and_strided_convolutions_by_hand() -> None:
    network = trace(nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, groups=4)), (4, 9, 9))
    assert network.layers == (LayerCost("0", (8, 1, 3, 3), 16),)
    assert network.layers[0].outputs == 8 * 4 * 4


@pytest.mark.parametrize(
    ("use", "kind"),
    [
        (lambda net, x: x, "Linear"),
        (lambda net, x: nn.functional.linear(x, net.a.weight), "Linear"),
    ],
    ids=["never called", "called as a function"],
)
def test_a_layer_whose_cost_is_not_known_is_an_error_that_names_it(use: Any, kind: str) -> None:
    with pytest.raises(ValueError) as caught:
        trace(Case(use), (4,))
    assert str(caught.value) == f"the cost of layer 'a' ({kind}) is not known: fvcore counted 0 multiply-adds"


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (nn.GRU(4, 4, batch_first=True), {"a.weight_ih_l0": (12, 4), "a.weight_hh_l0": (12, 4)}),
        (nn.LSTM(4, 4, batch_first=True), {"a.weight_ih_l0": (16, 4), "a.weight_hh_l0": (16, 4)}),
        (nn.RNN(4, 4, batch_first=True, bias=False), {"a.weight_ih_l0": (4, 4), "a.weight_hh_l0": (4, 4)}),
        (
            nn.RNN(4, 2, batch_first=True, nonlinearity="relu", bidirectional=True),
            {
                f"a.weight_{gate}_l0{way}": (2, 4 if gate == "ih" else 2)
                for way in ("", "_reverse")
                for gate in ("ih", "hh")
            },
        ),
        (
            nn.GRU(4, 4, num_layers=2, batch_first=True),
            {f"a.weight_{gate}_l{level}": (12, 4) for level in (0, 1) for gate in ("ih", "hh")},
        ),
    ],
    ids=["gru", "lstm", "rnn without bias", "bidirectional rnn", "gru of two layers"],
)
def test_a_recurrent_layer_costs_each_of_its_matrices_once_a_step(layer: nn.Module, shapes: dict) -> None:
    network = trace(Case(lambda net, x: net.a(x)[0][:, -1], layer), (3, 4))
    expected = [LayerCost(name, shape, 3) for name, shape in shapes.items()]
    assert network.layers == (*expected, LayerCost("last", (2, 4), 1))


def packed(net: Case, inputs: torch.Tensor) -> torch.Tensor:
    return net.a(nn.utils.rnn.pack_padded_sequence(inputs, torch.tensor([3]), batch_first=True))[1][0]


def test_a_packed_sequence_is_an_error_that_names_the_module() -> None:
    with pytest.raises(ValueError, match=r"Case itself is not known: there is no rule for aten::_pack_padded_sequence"):
        trace(Case(packed, nn.GRU(4, 4, batch_first=True)), (3, 4))


class Square(torch.autograd.Function):
    """An operation that fvcore cannot look into."""

    @staticmethod
    def forward(context: Any, inputs: torch.Tensor) -> torch.Tensor:
        return inputs @ inputs.T @ inputs

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


class Squared(nn.Module):
    """A module of no weights whose cost has no rule."""

    def __init__(self, use: Any) -> None:
        super().__init__()
        self.use = use

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.use(inputs)


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        (Square.apply, "there is no rule for prim::PythonOp.Square"),
        (lambda x: torch.cdist(x, x), "there is no rule for aten::cdist"),
        (lambda x: x @ x.T, "its 4 multiply-adds belong to no linear, convolutional or recurrent layer"),
        (
            lambda x: torch.einsum("ij,kj->ik", x, x),
            "its 4 multiply-adds belong to no linear, convolutional or recurrent",
        ),
    ],
    ids=["a function of the user's", "no rule", "a product of activations", "einsum"],
)
def test_an_operation_whose_cost_is_not_known_is_an_error_that_names_the_module(use: Any, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        trace(nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), Squared(use))), (4,))
    assert f"the cost of module '1.1' (Squared) is not known: {reason}" in str(caught.value)


def test_a_weight_used_as_a_tensor_beside_its_layer_is_not_taken_for_free() -> None:
    with pytest.raises(ValueError, match="the cost of Case itself is not known: its 16 multiply-adds belong to no"):
        trace(Case(lambda net, x: nn.functional.linear(net.a(x), net.a.weight)), (4,))


def test_what_appendix_h_leaves_out_costs_nothing() -> None:
    free = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.SiLU(), nn.MaxPool2d(2), nn.Hardswish(), nn.Dropout2d(0.5),
        nn.GroupNorm(2, 8), nn.PReLU(), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
        nn.LayerNorm(4), nn.Softmax(1),
    )  # fmt: skip
    assert trace(free, (3, 8, 8)).layers == (LayerCost("0", (8, 3, 3, 3), 36), LayerCost("11", (4, 8), 1))


def test_a_network_of_indices_says_so() -> None:
    class Characters(nn.Module):
        input_dtype = torch.long

        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.last = nn.Embedding(5, 4), nn.Linear(4, 2)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.last(self.embedding(tokens))

    assert trace(Characters(), (7,)).layers == (LayerCost("last", (2, 4), 7),)


def test_the_authors_counter_charges_what_its_rule_says() -> None:
    # A convolution of stride 2 on 9x9 pixels, padded to 12x12: charged at 6x6 where 4x4 are computed, and 1 channel of 8.
    rule = models.CountingRule("0", stride=2, padding=3, channels=1)
    network = trace(nn.Sequential(nn.Conv2d(4, 8, 3, stride=2)), (4, 9, 9), [rule])
    assert network.layers == (LayerCost("0", (8, 4, 3, 3), 16, rigl_positions=36, rigl_channels=1),)
    assert network.inference_flops("macs") == 2 * 288 * 16
    assert network.inference_flops("rigl") == 2 * 288 * 36 + 36
    assert network.size_bytes({}) == 4 * 288 + 4


class Tied(nn.Module):
    """Two linear layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(inputs))


def test_a_tied_weight_is_not_taken_for_free() -> None:
    try:
        network = trace(Tied(), (4,))
    except ValueError as error:
        assert "'a'" in str(error) or "'b'" in str(error)
    else:
        assert network.inference_flops("macs") == 2 * 32


class NamedWeight(nn.Module):
    """A layer that is called ``weight``."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.last = nn.Linear(4, 4), nn.Linear(4, 8)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.last(self.weight(inputs))


def test_a_layer_called_weight_costs_what_it_costs() -> None:
    assert trace(NamedWeight(), (4,)).layers == (LayerCost("weight", (4, 4), 1), LayerCost("last", (8, 4), 1))


def test_a_transposed_convolution_is_right_or_refused() -> None:
    layer = nn.ConvTranspose2d(3, 8, 2, 2)
    try:
        network = trace(nn.Sequential(layer), (3, 4, 4))
    except ValueError as error:
        assert "'0'" in str(error)
    else:
        assert network.layers[0].outputs == layer(torch.zeros(1, 3, 4, 4)).numel()


@pytest.mark.parametrize("training", [True, False])
def test_tracing_leaves_the_network_as_it_was(training: bool) -> None:
    model = models.build("wrn22_2", CIFAR, 10, dropout=0.3).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    trace(model, CIFAR)
    assert model.training == training
    assert all(module.training == training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_tracing_keeps_the_mode_of_a_frozen_part() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).train()
    model[1].eval()
    trace(model, (4,))
    assert (model[0].training, model[1].training) == (True, False)


def test_tracing_that_fails_keeps_the_mode() -> None:
    model = Case(lambda net, x: net.a(x)).train()
    with pytest.raises(RuntimeError):
        trace(model, (5,))
    assert model.training


# -- closed forms ---------------------------------------------------------------------------------------------------------

# At 90 % uniform: 235200 - 211680, 30000 - 27000, 1000 - 900 active weights.
DENSE_FLOPS, SPARSE_FLOPS = 532_400, 2 * (23_520 + 3_000 + 100)
PROTOCOL = Protocol(1000, 32, LearningRate(0.1), topology=Topology(update_every=100, begin=200, end=700))


def spec_of(method: str, **fields: Any) -> Spec:
    fields = {"sparsity": 0.9, "protocol": PROTOCOL, **fields}
    return resolve(Run("lenet300", "mnist", method, **fields), MNIST, 10)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("dense", 1.0),
        ("static", SPARSE_FLOPS / DENSE_FLOPS),
        ("set", SPARSE_FLOPS / DENSE_FLOPS),
        ("snip", SPARSE_FLOPS / DENSE_FLOPS),
        ("snfs", (2 * SPARSE_FLOPS + DENSE_FLOPS) / (3 * DENSE_FLOPS)),
        ("rigl", (3 * SPARSE_FLOPS * 100 + 2 * SPARSE_FLOPS + DENSE_FLOPS) / (101 * 3 * DENSE_FLOPS)),
    ],
)
@pytest.mark.parametrize("multiplier", [1.0, 5.0])
def test_training_multiples_by_hand(method: str, expected: float, multiplier: float) -> None:
    sparsity = 0.0 if method == "dense" else 0.9
    costs = spec_of(method, sparsity=sparsity, multiplier=multiplier).costs()["macs"]
    assert costs["dense_inference_flops"] == DENSE_FLOPS
    assert costs["inference_flops"] == (DENSE_FLOPS if method == "dense" else SPARSE_FLOPS)
    assert costs["inference_x"] == costs["inference_flops"] / DENSE_FLOPS
    assert costs["train_x"] == pytest.approx(multiplier * expected, rel=1e-12)


def test_training_multiples_count_outputs_under_rigl() -> None:
    costs = spec_of("rigl").costs()["rigl"]
    dense, sparse = DENSE_FLOPS + 410, SPARSE_FLOPS + 410
    assert costs["inference_flops"] == sparse
    assert costs["train_x"] == pytest.approx((302 * sparse + dense) / (303 * dense), rel=1e-12)


def test_rigls_multiple_depends_on_the_interval() -> None:
    protocol = replace(PROTOCOL, topology=Topology(update_every=9, begin=200, end=700))
    costs = spec_of("rigl", protocol=protocol).costs()["macs"]
    assert costs["train_x"] == pytest.approx((29 * SPARSE_FLOPS + DENSE_FLOPS) / (30 * DENSE_FLOPS), rel=1e-12)


def test_small_dense_costs_its_own_width() -> None:
    spec = spec_of("small_dense")
    widths = [layer.shape[0] for layer in spec.network.layers]
    macs = 784 * widths[0] + widths[0] * widths[1] + widths[1] * 10
    assert widths[0] < 300 and widths[2] == 10
    assert macs + sum(widths) <= spec.parameters == 26_620 + 410
    costs = spec.costs()["macs"]
    assert costs["inference_flops"] == 2 * macs
    assert costs["dense_inference_flops"] == DENSE_FLOPS
    assert costs["train_x"] == pytest.approx(2 * macs / DENSE_FLOPS, rel=1e-12)
    assert spec.requested() == {}
    assert {row.masked for row in spec.layers()} == {False}


def lenet_flops_at(sparsity: float) -> int:
    return sum(2 * (weights - math.floor(sparsity * weights)) for weights in (FC1, FC2, FC3))


def pruning_flops(steps: int, interval: int, begin: int, end: int, initial: float, final: float) -> Iterator[int]:
    """FLOPs of every gradient step, pruning as a loop does it: after the step, at the number of steps taken."""
    sparsity = None
    for step in range(steps):
        yield lenet_flops_at(sparsity or 0.0)
        taken = step + 1
        if begin <= taken <= end and ((taken - begin) % interval == 0 or taken == end):
            progress = min(max((taken - begin) / (end - begin), 0.0), 1.0)
            sparsity = final + (initial - final) * (1 - progress) ** 3


@pytest.mark.parametrize(
    ("steps", "interval", "begin", "end", "initial"),
    [
        (1000, 100, 200, 700, 0.0),
        (1000, 70, 0, 999, 0.0),
        (500, 33, 1, 450, 0.25),
        (300, 50, 100, 300, 0.0),
        (300, 1, 100, 200, 0.0),
        (300, 1000, 10, 200, 0.5),
    ],
)
def test_prunings_multiple_is_the_mean_over_its_steps(
    steps: int, interval: int, begin: int, end: int, initial: float
) -> None:
    protocol = Protocol(steps, 32, LearningRate(0.1), topology=Topology(interval, begin, end))
    spec = spec_of("pruning", protocol=protocol, method_options={"initial_sparsity": initial})
    expected = list(pruning_flops(steps, interval, begin, end, initial, 0.9))
    assert len(expected) == steps
    assert expected[0] == DENSE_FLOPS
    if end < steps:
        assert expected[-1] == SPARSE_FLOPS
    assert spec.costs()["macs"]["train_x"] == pytest.approx(sum(expected) / steps / DENSE_FLOPS, rel=1e-12)


@pytest.mark.parametrize("name", sorted(methods.METHODS))
def test_a_closed_form_is_the_mean_over_a_run_s_batches(name: str) -> None:
    """Within 1 % of going through 2,000 steps with an update every 10, to the end. Top-KAST's backward set is not replayed:
    of 2 f_A + f_B at 90 % and twice the weights it is (2 * 0.1 + 0.2) / 3 of the dense weights' cost."""
    schedule = UpdateSchedule(2000, update_every=10, end=2000)
    cost = RunCost(LENET, dict.fromkeys(("fc1", "fc2", "fc3"), 0.9), DENSE_FLOPS, "macs", methods.make(name), schedule)
    if methods.METHODS[name].starts == "unmasked":
        cost = replace(cost, requested={})
    flops = cost.method.train_flops(cost)
    if name == "topkast":
        assert flops == pytest.approx(0.4 * DENSE_FLOPS, rel=1e-3)
    elif flops is not None:
        assert flops == pytest.approx(cost.replayed(), rel=0.01)


def test_a_fixed_layer_is_left_out_of_the_mean() -> None:
    cost = RunCost(
        LENET,
        {"fc1": 0.9},
        DENSE_FLOPS,
        "macs",
        methods.make("pruning"),
        UpdateSchedule(10, update_every=1, begin=1, end=2),
    )
    one, rest = 2 * (FC1 - math.floor(0.9 * FC1)), 2 * (FC2 + FC3)
    assert cost.sparse == one + rest
    # Dense at steps 0 and 1 (the update at begin asks for no zeros), at the target from step 2 on.
    assert cost.replayed() == 3 * (2 * DENSE_FLOPS + 8 * (one + rest)) / 10


# -- the ledger -----------------------------------------------------------------------------------------------------------


def test_a_batch_costs_three_sparse_passes() -> None:
    ledger = TrainingLedger(LENET, batch_size=32)
    active = {"fc1": 23_520, "fc2": 3_000, "fc3": 100}
    ledger.charge(active, active)
    assert ledger.total_flops == {"macs": 32 * 3 * SPARSE_FLOPS, "rigl": 32 * 3 * (SPARSE_FLOPS + 410)}
    ledger.charge(active, None)
    assert ledger.total_flops["macs"] == 32 * (5 * SPARSE_FLOPS + DENSE_FLOPS)
    assert ledger.total_flops["rigl"] == 32 * (5 * (SPARSE_FLOPS + 410) + DENSE_FLOPS + 410)
    assert (ledger.batches, ledger.dense_gradient_batches) == (2, 1)


def test_masks_that_change_are_counted_anew() -> None:
    ledger = TrainingLedger(LENET, batch_size=1)
    for active in ({"fc1": 1}, {"fc1": 2}, {}):
        ledger.charge(active, active)
    rest = FC2 + FC3
    assert ledger.total_flops["macs"] == 3 * 2 * ((1 + rest) + (2 + rest) + LENET_MACS)


@given(st.lists(st.tuples(st.integers(0, FC1), st.booleans()), max_size=8), st.integers(0, 8))
def test_a_ledger_that_was_saved_goes_on(batches: list[tuple[int, bool]], cut: int) -> None:
    straight, first, second = (TrainingLedger(LENET, batch_size=3) for _ in range(3))
    for number, (active, dense) in enumerate(batches):
        straight.charge({"fc1": active}, None if dense else {"fc1": active})
        if number < cut:
            first.charge({"fc1": active}, None if dense else {"fc1": active})
    second.load_state_dict(first.state_dict())
    for active, dense in batches[cut:]:
        second.charge({"fc1": active}, None if dense else {"fc1": active})
    assert second.state_dict() == straight.state_dict()
    sparse = [2 * (active + FC2 + FC3) for active, _ in batches]
    expected = sum(3 * (2 * f + (DENSE_FLOPS if dense else f)) for f, (_, dense) in zip(sparse, batches, strict=True))
    assert straight.total_flops["macs"] == expected


# -- published multiples ---------------------------------------------------------------------------------------------------


def multiple(network: NetworkCost, distribution: str, sparsity: float, unmasked: tuple[str, ...]) -> float:
    shapes = {layer.layer: layer.shape for layer in network.layers}
    shared = layer_sparsities(distribution, sparsity, shapes, dict.fromkeys(unmasked, "unmasked"))
    nonzeros = {
        layer.layer: layer.weights - math.floor((shared[layer.layer] or 0.0) * layer.weights)
        for layer in network.layers
    }
    return network.inference_flops("rigl", nonzeros) / network.inference_flops("rigl")


# facts.md, section 5: Erdos-Renyi-Kernel with the first convolution in the pool, as the reproduction report that publishes
# 0.35x and 0.17x has it; uniform with the first convolution dense.
@pytest.mark.parametrize(
    ("distribution", "unmasked", "sparsity", "expected"),
    [
        ("erk", (), 0.5, 0.729),
        ("erk", (), 0.8, 0.353),
        ("erk", (), 0.9, 0.175),
        ("erk", (), 0.95, 0.089),
        ("uniform", ("conv1",), 0.5, 0.502),
        ("uniform", ("conv1",), 0.8, 0.203),
        ("uniform", ("conv1",), 0.9, 0.104),
        ("uniform", ("conv1",), 0.95, 0.054),
    ],
)
def test_wrn22_2_multiples(
    wrn: NetworkCost, distribution: str, unmasked: tuple[str, ...], sparsity: float, expected: float
) -> None:
    assert round(multiple(wrn, distribution, sparsity, unmasked), 3) == expected


@pytest.mark.parametrize(("unmasked", "expected"), [((), 0.1747), (("conv1",), 0.1753)])
def test_wrn22_2_at_90_percent_erk_with_and_without_its_first_convolution(
    wrn: NetworkCost, unmasked: tuple[str, ...], expected: float
) -> None:
    # facts.md, section 4, item 10.
    assert round(multiple(wrn, "erk", 0.9, unmasked), 4) == expected


def test_a_resolved_run_comes_to_the_same_multiple() -> None:
    protocol = Protocol(97_656, 128, LearningRate(0.1), topology=Topology(end=75_000))
    spec = resolve(Run("wrn22_2", "cifar10", "rigl", protocol, sparsity=0.9, distribution="erk"), CIFAR, 10)
    costs = spec.costs()["rigl"]
    assert round(costs["inference_x"], 4) == 0.1753
    assert costs["train_x"] == pytest.approx((302 * costs["inference_x"] + 1) / 303, rel=1e-12)

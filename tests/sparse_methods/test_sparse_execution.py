"""The truly sparse execution against the masked one: the same network, step for step."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from sparse_methods import sparsify, topology
from sparse_methods.method import CannotError, Method
from sparse_methods.methods import METHODS, make
from sparse_methods.methods.mest import MEST
from sparse_methods.methods.rigl import RigL
from sparse_methods.sparsifier import Sparsifier

if importlib.util.find_spec("numba") is None:
    pytest.skip("the sparse execution needs numba, an optional extra", allow_module_level=True)

from sparse_methods.execution import serving
from sparse_methods.execution.engine import SparseExecution
from sparse_methods.execution.linear import SparseLinear
from sparse_methods.execution.update import Selection

STEPS = 200
SERVED = sorted(name for name in METHODS if serving.refusal(make(name)) is None)
OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3, nesterov=True),
    "adam": lambda model: torch.optim.Adam(model.parameters(), lr=0.01, amsgrad=True),
}


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    sizes = (24, 19, 13, 5)
    layers = [layer for i in range(3) for layer in (nn.Linear(sizes[i], sizes[i + 1]), nn.ReLU())]
    return nn.Sequential(*layers[:-1]).double()


def sparse_network(
    execution: str,
    method: str | Method,
    optimizer: str = "sgd",
    model: nn.Module | None = None,
    sparsity: float = 0.8,
    **settings: object,
) -> tuple[nn.Module, Sparsifier]:
    model = network() if model is None else model
    schedule = {"total_steps": STEPS, "update_every": 7, "end": 150, "seed": 3, "distribution": "erk"} | settings
    optimizer = OPTIMIZERS[optimizer](model)
    return model, sparsify(model, optimizer, method, sparsity, execution=execution, **schedule)


def batch(number: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(number)
    inputs = torch.randn((16, 24), generator=generator, dtype=torch.float64)
    return inputs, (inputs[:, :5].abs().argmax(1))


def train(model: nn.Module, sparse: Sparsifier, batches: range, clip_norm: float | None = None) -> list[float]:
    losses = []
    for number in batches:
        inputs, labels = batch(number)
        sparse.optimizer.zero_grad()
        loss = functional.cross_entropy(model(inputs), labels)
        loss.backward()
        sparse.step(clip_norm)
        losses.append(loss.item())
    return losses


def assert_same(masked: Sparsifier, sparse: SparseExecution) -> None:
    assert sparse.digest() == masked.digest()
    for name, mask in masked.masks.items():
        assert torch.equal(sparse.masks[name], mask), name
    expected = masked.model.state_dict()
    state = sparse.dense_state()
    assert set(state) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value, rtol=0, atol=1e-9)


def test_what_is_served() -> None:
    assert {"static", "set", "snfs", "rigl", "pruning", "deepr"} <= set(SERVED)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("method", SERVED)
def test_equal_to_the_masked_engine(method: str, optimizer: str) -> None:
    (dense, masked), (model, sparse) = (sparse_network(how, method, optimizer) for how in ("masked", "sparse"))
    assert isinstance(sparse, SparseExecution)
    ours, theirs = train(model, sparse, range(STEPS)), train(dense, masked, range(STEPS))
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 1e-9
    assert_same(masked, sparse)
    assert (sparse.steps, sparse.updates, sparse.nonzeros) == (masked.steps, masked.updates, masked.nonzeros)
    assert sparse.explored == masked.explored
    assert sparse.counts() == masked.counts()
    assert masked.updates > 0 or method == "static"


@pytest.mark.parametrize(
    "method", [RigL(growth="momentum"), RigL(initial="gradient"), RigL(growth="random"), MEST(bound="hard")]
)
def test_equal_with_options(method: Method) -> None:
    (dense, masked), (model, sparse) = (sparse_network(how, method) for how in ("masked", "sparse"))
    assert train(model, sparse, range(60), 0.5) == pytest.approx(train(dense, masked, range(60), 0.5), abs=1e-9, rel=0)
    assert_same(masked, sparse)


def test_blocks_of_rows_choose_as_the_whole_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparse_methods.execution.update.BLOCK_WEIGHTS", 60)
    for method in ("rigl", "set", "deepr", "snfs"):
        (dense, masked), (model, sparse) = (sparse_network(how, method) for how in ("masked", "sparse"))
        train(model, sparse, range(40)), train(dense, masked, range(40))
        assert_same(masked, sparse)


@pytest.mark.parametrize("method", ["rigl", "snfs", "deepr", "pruning"])
def test_resumed_is_bit_equal(method: str) -> None:
    model, sparse = sparse_network("sparse", method)
    train(model, sparse, range(60))
    saved = [copy.deepcopy(part.state_dict()) for part in (model, sparse.optimizer, sparse)]
    whole = train(model, sparse, range(60, 120))
    again, resumed = sparse_network("sparse", method)
    again.load_state_dict(saved[0])
    resumed.optimizer.load_state_dict(saved[1])
    resumed.load_state_dict(saved[2])
    assert train(again, resumed, range(60, 120)) == whole
    assert resumed.digest() == sparse.digest()
    assert resumed.explored == sparse.explored
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))


def test_state_of_another_network_is_refused() -> None:
    _, sparse = sparse_network("sparse", "rigl")
    state = sparse.state_dict()
    with pytest.raises(ValueError, match="the state is of method 'rigl', this is 'set'"):
        sparse_network("sparse", "set")[1].load_state_dict(state)
    del state["requested"]["0"]
    with pytest.raises(ValueError, match="the state has layers"):
        sparse.load_state_dict(state)


def test_only_active_weights_exist() -> None:
    model, sparse = sparse_network("sparse", "rigl", sparsity=0.9)
    train(model, sparse, range(20))
    for name, layer in model.named_modules():
        if isinstance(layer, SparseLinear):
            active = sparse.nonzeros[name]
            held = [layer.values, layer.values.grad, sparse.optimizer.state[layer.values]["momentum_buffer"]]
            assert {tensor.shape for tensor in held} == {(active,)}
            assert layer.pattern.columns.dtype == np.uint16
    assert not any(isinstance(module, nn.Linear) for module in model.modules())


@pytest.mark.parametrize("set_to_none", [True, False])
def test_gradients_of_several_backward_passes_add_up(set_to_none: bool) -> None:
    def halves(model: nn.Module, sparse: Sparsifier, batches: range) -> None:
        for number in batches:
            sparse.optimizer.zero_grad(set_to_none=set_to_none)
            for inputs, labels in zip(*(part.chunk(2) for part in batch(number)), strict=True):
                (functional.cross_entropy(model(inputs), labels) / 2).backward()
            sparse.step()

    (dense, masked), (model, sparse) = (sparse_network(how, "rigl") for how in ("masked", "sparse"))
    halves(dense, masked, range(30)), halves(model, sparse, range(30))
    assert_same(masked, sparse)
    assert not any(layer.module.factors for layer in sparse._sparse.values())


def test_masks_of_ones_own_and_unmasked_layers() -> None:
    masks = {"0": torch.arange(19 * 24).view(19, 24) % 7 == 0, "2": torch.arange(13 * 19).view(13, 19) % 3 == 0}
    settings = {"masks": masks, "sparsity": None}
    (dense, masked), (model, sparse) = (sparse_network(how, "rigl", **settings) for how in ("masked", "sparse"))
    assert isinstance(model[4], nn.Linear)
    train(model, sparse, range(30)), train(dense, masked, range(30))
    assert_same(masked, sparse)


def test_a_network_built_sparse() -> None:
    layers = [SparseLinear.random(24, 400, 0.95, seed=1, dtype=torch.float64), nn.ReLU(), nn.Linear(400, 5).double()]
    model = nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    sparse = sparsify(model, optimizer, "rigl", total_steps=STEPS, update_every=7, execution="auto")
    assert sparse.requested == {"0": 0.95}
    assert sparse.nonzeros == {"0": 480}
    assert [row.nonzeros for row in sparse.counts()] == [480, 2000]
    before = sparse.digest()
    losses = train(model, sparse, range(STEPS))
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])
    assert sparse.nonzeros == {"0": 480}
    assert sparse.digest() != before


def test_what_cannot_be_served_is_named() -> None:
    def convolutional() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 5))

    def shared() -> nn.Module:
        model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
        model[2].weight = model[0].weight
        return model

    cases = [
        ("rigl", convolutional(), "layer '0' is Conv2d, not a linear layer"),
        ("rigl", shared(), "layer '0' is shared"),
        ("rigl", network().half(), "layer '0' is torch.float16"),
        ("snip", network(), "'snip' chooses its first mask by scores"),
        ("topkast", network(), "'topkast' trains all weights behind its masks"),
        ("srigl", network(), "'srigl' judges weights together"),
        ("dense", network(), "'dense' has no sparse layer"),
    ]
    for method, model, reason in cases:
        with pytest.raises(CannotError, match=reason):
            sparse_network("sparse", method, model=model)
        fallen_back = sparse_network("auto", method, model=model, sparsity=0.95, update_every=serving.INTERVAL)[1]
        assert type(fallen_back) is Sparsifier
    with pytest.raises(ValueError, match="there is no execution 'fast'; valid: masked, sparse, auto"):
        sparse_network("fast", "rigl")


def test_auto_takes_what_is_sparse_from_the_first_step() -> None:
    chosen = {
        (method, sparsity): type(sparse_network("auto", method, sparsity=sparsity, update_every=serving.INTERVAL)[1])
        for method in ("rigl", "pruning")
        for sparsity in (0.5, 0.95)
    }
    assert chosen.pop(("rigl", 0.95)) is SparseExecution
    assert set(chosen.values()) == {Sparsifier}


@pytest.mark.parametrize(
    ("method", "update_every", "engine"),
    [
        ("rigl", serving.INTERVAL, SparseExecution),
        ("rigl", serving.INTERVAL - 1, Sparsifier),
        ("set_itop", serving.INTERVAL - 1, Sparsifier),
        ("static", 1, SparseExecution),
        ("deepr", 100, Sparsifier),  # moves at every step, whatever the cadence
    ],
)
def test_auto_takes_what_moves_seldom(method: str, update_every: int, engine: type[Sparsifier]) -> None:
    begin = {"begin": 40} if method == "rigl" else {}
    assert type(sparse_network("auto", method, sparsity=0.95, update_every=update_every, **begin)[1]) is engine


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "numba" else found(name, *rest)
    )
    assert type(sparse_network("auto", "static", sparsity=0.95)[1]) is Sparsifier
    with pytest.raises(CannotError, match="needs numba: pip install"):
        sparse_network("sparse", "rigl")


def test_an_optimizer_that_has_trained_is_refused() -> None:
    model = network()
    optimizer = OPTIMIZERS["sgd"](model)
    model(batch(0)[0]).sum().backward()
    optimizer.step()
    with pytest.raises(ValueError, match="before the first step"):
        sparsify(model, optimizer, "rigl", 0.9, total_steps=10, execution="sparse")


def test_wrong_inputs_are_named() -> None:
    layer = SparseLinear.random(6, 4, 0.5, seed=0)
    for inputs in (torch.zeros(2, 5), torch.zeros(6), torch.zeros(2, 6, dtype=torch.float64)):
        with pytest.raises(ValueError, match=r"this layer takes torch.float32 of shape \(batch, 6\)"):
            layer(inputs)
    with pytest.raises(ValueError, match="sparsity is 1"):
        SparseLinear.random(6, 4, 1, seed=0)


class Network(nn.Module):
    """Sparse layers with ReLU between them, which says so."""

    relu_chain = ("first", "second", "third")

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second, self.third = nn.Linear(24, 19), nn.Linear(19, 13), nn.Linear(13, 5)
        self.double()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.third(functional.relu(self.second(functional.relu(self.first(inputs)))))


def train_in_one_call(sparse: Sparsifier, batches: range, clip_norm: float | None = None) -> list[float]:
    chain, losses = sparse.gradient_of_chain(0.1), []
    for number in batches:
        inputs, labels = (torch.cat([part, part]) for part in batch(number))
        losses.append(chain(inputs * 4, labels, torch.arange(3, 16), 0.25))
        sparse.step(clip_norm)
    return losses


def train_by_autograd(model: nn.Module, sparse: Sparsifier, batches: range, clip_norm: float | None) -> list[float]:
    losses = []
    for number in batches:
        inputs, labels = (part[3:] for part in batch(number))
        sparse.optimizer.zero_grad()
        loss = functional.cross_entropy(model(inputs), labels, label_smoothing=0.1)
        loss.backward()
        sparse.step(clip_norm)
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("unmasked", [(), ("third",)], ids=["all", "dense last"])
@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("method", ["static", "rigl", "snfs", "deepr"])
def test_the_whole_gradient_in_one_call(
    method: str, optimizer: str, clip_norm: float | None, unmasked: tuple[str, ...]
) -> None:
    rules = dict.fromkeys(unmasked, "unmasked")
    dense, masked = sparse_network("masked", method, optimizer, Network(), layers=rules)
    _, sparse = sparse_network("sparse", method, optimizer, Network(), layers=rules)
    assert isinstance(sparse.model.third, nn.Linear) == bool(unmasked)
    theirs = train_by_autograd(dense, masked, range(60), clip_norm)
    assert train_in_one_call(sparse, range(60), clip_norm) == pytest.approx(theirs, abs=1e-9, rel=0)
    assert_same(masked, sparse)


def test_a_chain_takes_autograds_gradients_too() -> None:
    """Of a batch that went through autograd, the optimizer's own step is made."""
    (dense, masked), (model, sparse) = (sparse_network(how, "rigl", model=Network()) for how in ("masked", "sparse"))
    train_by_autograd(dense, masked, range(30), None)
    train_in_one_call(sparse, range(15)), train_by_autograd(model, sparse, range(15, 30), None)
    assert_same(masked, sparse)


def test_a_chain_that_has_diverged_says_so() -> None:
    _, sparse = sparse_network("sparse", "rigl", model=Network())
    inputs, labels = batch(0)
    with torch.no_grad():
        sparse.model.first.bias.fill_(float("nan"))
    assert np.isnan(sparse.gradient_of_chain(0.0)(inputs, labels, torch.arange(16)))


def test_who_has_a_chain() -> None:
    assert sparse_network("masked", "rigl", model=Network())[1].gradient_of_chain(0.0) is None
    assert sparse_network("sparse", "rigl")[1].gradient_of_chain(0.0) is None
    mostly_dense = {"second": torch.arange(13 * 19).view(13, 19) % 3 == 0}
    assert sparse_network("sparse", "rigl", model=Network(), masks=mostly_dense)[1].gradient_of_chain(0.0) is None
    chain = sparse_network("sparse", "rigl", model=Network())[1].gradient_of_chain(0.0)
    with pytest.raises(ValueError, match=r"samples are torch.float64 of 7 numbers, the network takes uint8"):
        chain(torch.zeros(2, 7, dtype=torch.float64), torch.zeros(2, dtype=torch.int64), torch.arange(2))


@given(data=st.data(), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_the_running_selection_is_that_of_all_blocks_at_once(data: st.DataObject, sizes: list[int]) -> None:
    """Ties included: scores are few."""
    total = sum(sizes)
    scores = torch.tensor(data.draw(st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=total, max_size=total)))
    free = torch.tensor(data.draw(st.lists(st.booleans(), min_size=total, max_size=total)))
    count = data.draw(st.integers(1, max(1, int(free.sum()))))
    selection, first = Selection(count), 0
    for part, allowed in zip(scores.split(sizes), free.split(sizes), strict=True):
        selection.offer(part, allowed.clone(), first, 10 * part)
        first += len(part)
    if free.any():
        assert selection.positions.tolist() == topology.largest(scores, count, free).nonzero().squeeze(1).tolist()
    assert selection.values.tolist() == (10 * scores[selection.positions]).tolist()

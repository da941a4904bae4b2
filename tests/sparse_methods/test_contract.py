"""What every method of the folder must satisfy: one battery over METHODS, a new file included without an edit here.

What a method is excused from, and what it does when, is read from its class, never from its name.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib.util
import io
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from torch import Tensor, nn

import sparse_methods
from sparse_methods import method as contract
from sparse_methods import methods
from sparse_methods.distributions import layer_sparsities
from sparse_methods.method import Family, Method, Promise
from sparse_methods.methods import METHODS

SPARSITY = 0.7
STEPS = 60

every_method = pytest.mark.parametrize("method", sorted(METHODS))
every_network = pytest.mark.parametrize("network", ["mlp", "conv"])


def weights_of(training: Any) -> dict[str, Tensor]:
    """Detached weights by layer name, all layers that could be masked."""
    parameters = dict(training.model.named_parameters())
    return {row.layer: parameters[f"{row.layer}.weight"].detach() for row in training.sparse.counts()}


# -- identity ----------------------------------------------------------------------------------------------------------


def test_the_methods_of_the_paper_are_there() -> None:
    assert {"dense", "small_dense", "static", "snip", "set", "snfs", "rigl", "pruning"} <= set(METHODS)
    assert {"deepr", "dsr", "snfs_redistributed", "dnw", "ticket"} <= set(METHODS)


@every_method
def test_identity(method: str) -> None:
    cls = METHODS[method]
    assert cls.name == method
    assert isinstance(cls.label, str) and cls.label.strip()
    assert isinstance(cls.citation, str) and cls.citation.strip()
    assert isinstance(cls.year, int) and 1980 <= cls.year <= 2100
    assert cls.family in get_args(Family)
    hints = get_type_hints(Method)
    for choice in ("starts", "updates", "parameters"):
        (choices,) = get_args(hints[choice])
        assert getattr(cls, choice) in get_args(choices), choice
    for words in (cls.dense_parts, cls.cannot, cls.ignores):
        assert isinstance(words, tuple) and all(isinstance(word, str) and word for word in words)
    assert set(cls.exempt) <= set(get_args(Promise))
    assert all(isinstance(reason, str) and reason.strip() for reason in cls.exempt.values())
    assert cls.__doc__ and sys.modules[cls.__module__].__doc__


@every_method
def test_needs_dense_gradient_is_a_bool(method: str, start: Callable[..., Any]) -> None:
    made = methods.make(method)
    for step in (0, 1, 59):
        for due in (False, True):
            assert type(made.needs_dense_gradient(step, due)) is bool
    training = start(method)
    for _ in range(12):
        assert type(training.sparse.needs_dense_gradient) is bool
        assert type(training.sparse.update_due) is bool
        assert type(training.batch()) is bool


@every_method
def test_its_label_is_its_own(method: str) -> None:
    assert [name for name, cls in METHODS.items() if cls.label == METHODS[method].label] == [method]


@every_method
def test_what_is_dense_is_said(method: str, start: Callable[..., Any]) -> None:
    """A method that needs dense gradients, keeps dense parameters or is dense at first must not show as sparse."""
    cls, training = METHODS[method], start(method)
    dense = cls.parameters == "dense" or cls.starts in ("dense", "first_batch", "unmasked", "origin")
    while training.sparse.steps < STEPS:
        training.backward()
        dense |= training.sparse.needs_dense_gradient
        training.step()
    assert bool(cls.dense_parts) or not dense


@every_method
def test_a_refusal_says_why(method: str) -> None:
    """``cannot`` states in words whatever ``skip`` refuses, so that people know before they ask."""
    shapes = {"a": (6, 7), "b": (5, 6)}
    for sparsity, distribution, elsewhere in itertools.product((0.5, 0.99), ("uniform", "erk"), (False, True)):
        sparsities = {name: s or 0.0 for name, s in layer_sparsities(distribution, sparsity, shapes).items()}
        reason = methods.make(method).skip(contract.Request(sparsities, shapes, distribution, masks_given=elsewhere))
        assert reason is None or (reason.strip() and METHODS[method].cannot)


# -- whole trainings, every batch followed -----------------------------------------------------------------------------


def settings() -> Iterator[Any]:
    """Every method as it is, twice, and once with each other choice of each option that is a choice."""
    perceptron, convolutions = ("mlp", "adam", "erk"), ("conv", "momentum", "uniform")
    for name, cls in sorted(METHODS.items()):
        yield pytest.param(cls(), *perceptron, id=f"{name}-mlp")
        yield pytest.param(cls(), *convolutions, id=f"{name}-conv")
        hints = get_type_hints(cls)
        for option in dataclasses.fields(cls):
            choices = get_args(hints[option.name]) if get_origin(hints[option.name]) is Literal else ()
            for choice in choices:
                if choice != option.default:
                    yield pytest.param(cls(**{option.name: choice}), *perceptron, id=f"{name}-{option.name}={choice}")


every_setting = pytest.mark.parametrize(("method", "network", "optimizer", "distribution"), list(settings()))


@dataclass
class Followed:
    """What a whole training showed."""

    training: Any
    broken: dict[str, str] = field(default_factory=dict)
    """Promises that were broken, and where first."""
    held: int = 0
    """Most numbers held in a batch, for masked layers."""
    moved: bool = False
    """Whether a mask changed."""


@pytest.fixture(scope="module")
def followed(start: Callable[..., Any]) -> Callable[[Method, str, str, str], Followed]:
    """Trainings of this module, each done once."""

    @functools.cache
    def once(method: Method, network: str, optimizer: str, distribution: str) -> Followed:
        with pytest.MonkeyPatch.context() as patch:
            grown = spy_on_grown_weights(type(method), patch)
            return follow(start(method, network, optimizer, sparsity=SPARSITY, distribution=distribution), grown)

    return once


def spy_on_grown_weights(cls: type[Method], patch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """By layer, the values that the method gave to newly active weights last."""
    values: dict[str, Tensor] = {}
    original = cls.grown_weight

    def spy(self: Method, layer: contract.Layer) -> Tensor | None:
        given = original(self, layer)
        if given is not None:
            values[layer.name] = given.clone()
        return given

    patch.setattr(cls, "grown_weight", spy)
    return values


def follow(training: Any, grown: Mapping[str, Tensor]) -> Followed:
    """Train to the end, every batch against a replay of the optimizer.

    What no method is excused from is asserted: zeros where inactive, masks that stay between updates, what is explored.
    """
    sparse, followed = training.sparse, Followed(training)
    explored = {} if sparse.awaits_first_batch else sparse.masks
    while sparse.steps < STEPS:
        training.backward()
        expected, optimizer = copies(training)
        old, steps, updates, awaited = sparse.masks, sparse.steps, sparse.updates, sparse.awaits_first_batch
        weights_and_gradient = weights_held(sparse) + gradient_used(sparse)
        stepped = training.step()
        new = sparse.masks
        followed.held = max(followed.held, weights_and_gradient + state_held(sparse))
        if stepped:
            for layer, mask in old.items():
                expected[f"{layer}.weight"].grad *= mask
            optimizer.step()
        changed = not all(old[layer].equal(new[layer]) for layer in old)
        assert sparse.steps == steps + stepped
        assert not changed or awaited or sparse.updates > updates
        followed.moved |= changed
        state = {name: optimizer.state.get(parameter, {}) for name, parameter in expected.items()}
        for promise, what in (*departures(training, expected, state, old, grown), *miscounts(sparse, planned(sparse))):
            followed.broken.setdefault(promise, f"{what}, batch {training.batches}")
        if not sparse.awaits_first_batch:
            explored = {layer: mask | explored.get(layer, mask) for layer, mask in new.items()}
    for promise, what in miscounts(sparse, sparse.requested):
        followed.broken.setdefault(promise, f"{what}, at the end")
    weights = sum(mask.numel() for mask in explored.values())
    assert sparse.explored == (sum(int(mask.sum()) for mask in explored.values()) / weights if weights else None)
    return followed


def copies(training: Any) -> tuple[dict[str, nn.Parameter], torch.optim.Optimizer]:
    """Parameters by name, with their gradients, and the optimizer that holds them; a copy of the model costs far more."""
    named = dict(training.model.named_parameters())
    copied, optimizer = copy.deepcopy((named, training.optimizer))
    for name, parameter in copied.items():
        parameter.grad = named[name].grad.clone()
    return copied, optimizer


def departures(
    training: Any,
    expected: Mapping[str, Tensor],
    state: Mapping[str, Mapping[str, Tensor]],
    old: Mapping[str, Tensor],
    grown: Mapping[str, Tensor],
) -> Iterator[tuple[Promise, str]]:
    """Where a batch did anything but the optimizer's own step, which led to ``expected`` and ``state`` under ``old`` masks.

    What stays active is bit-equal to that; what came starts from nothing, or from ``grown``, and without optimizer state.
    """
    masks, slots = training.sparse.masks, training.slots()
    for name, parameter in training.model.named_parameters():
        weight, layer = parameter.detach(), name.removesuffix(".weight")
        mask = masks.get(layer, torch.ones_like(weight, dtype=torch.bool))
        kept = mask & old.get(layer, mask)
        assert torch.isfinite(weight).all()
        assert not weight[~mask].any(), f"{name} is not zero where it is inactive"
        begun = grown.get(layer, torch.zeros_like(weight))
        follows = torch.equal(weight, torch.where(mask & ~kept, begun, expected[name].detach() * kept))
        assert set(slots[name]) == {slot for slot, value in state[name].items() if value is not None}
        for slot, value in slots[name].items():
            if value.shape == weight.shape:
                follows &= torch.equal(value[kept], state[name][slot][kept])
                if value[~kept].any():
                    yield "zero state", f"{slot} of {name}"
            else:
                follows &= torch.equal(value, state[name][slot])
        if not follows:
            assert layer in masks, f"{name}, which is not masked, takes another step than the optimizer's"
            yield "plain steps", name


def miscounts(sparse: Any, sparsities: Mapping[str, float]) -> Iterator[tuple[Promise, str]]:
    """Where zeros are other than floor(sparsity * weights)."""
    found = {layer: int((~mask).sum()) for layer, mask in sparse.masks.items()}
    asked = {layer: math.floor(sparsities[layer] * mask.numel()) for layer, mask in sparse.masks.items()}
    if found != asked:
        yield "layer counts", f"{found} for {asked}"
    if sum(found.values()) != sum(asked.values()):
        yield "total count", f"{found} for {asked}"


def planned(sparse: Any) -> dict[str, float]:
    """Sparsity of each layer now, by what the method says of its first mask and of its updates."""
    method, requested = sparse.method, sparse.requested
    if sparse.updates or method.starts == "magnitude":
        step = sparse.last_update if sparse.updates else 0
        return {layer: method.sparsity_at(step, final, sparse.schedule) for layer, final in requested.items()}
    if method.starts == "dense" or sparse.awaits_first_batch:
        return dict.fromkeys(requested, 0.0)
    if method.starts == "random":
        return {layer: method.first_sparsity(final) for layer, final in requested.items()}
    return requested


def weights_held(sparse: Any) -> int:
    """Active weights, and all of the dense ones behind them."""
    dense = sum(parameter.numel() for parameter in sparse.state_dict()["dense"].values())
    return sum(sparse.nonzeros.values()) + dense


def gradient_used(sparse: Any) -> int:
    """Of the batch whose gradient is there."""
    used = sparse.gradient_nonzeros
    return sum(used.values() if used is not None else (mask.numel() for mask in sparse.masks.values()))


def state_held(sparse: Any) -> int:
    """What the method remembers, a number or a bit for each weight."""
    state, masks = sparse.state_dict()["layer_state"], sparse.masks
    return sum(v.numel() for layer in masks for v in state[layer].values() if v.shape == masks[layer].shape)


@every_setting
def test_promises_are_kept_and_exemptions_are_real(
    method: Method, network: str, optimizer: str, distribution: str, followed: Callable[..., Followed]
) -> None:
    """A method keeps every promise at every step, and breaks each that it declares not to keep.

    An option may set layers free, and may mend what the method as it is breaks.
    """
    found = followed(method, network, optimizer, distribution)
    excused = set(method.exempt)
    if method == type(method)():
        assert not method.layers_are_free or "layer counts" in excused
        assert excused <= set(found.broken), "declared in vain"
    elif method.layers_are_free:
        excused.add("layer counts")
    assert set(found.broken) <= excused, found.broken


@every_setting
def test_updates_fall_where_they_are_said_to(
    method: Method, network: str, optimizer: str, distribution: str, followed: Callable[..., Followed]
) -> None:
    """In place of a step, which takes a batch more, or after it, or never; the first mask may take a batch too."""
    found = followed(method, network, optimizer, distribution)
    sparse, extra = found.training.sparse, found.training.batches - STEPS
    in_place = sparse.updates if method.updates == "instead_of_step" else 0
    assert extra == in_place + (method.starts == "first_batch")
    assert (sparse.updates > 0) == (method.updates != "never")
    assert found.moved == (method.updates != "never" or method.starts == "first_batch")


@every_setting
def test_peak_parameters_are_what_training_holds(
    method: Method, network: str, optimizer: str, distribution: str, followed: Callable[..., Followed]
) -> None:
    """What is stated of each layer adds up to what is held, where that can be seen; it is never less.

    Layers whose first mask is a share of their own are stated to less than one for each of weights and gradients. Passes of
    a method's own are out of sight, and without a total to keep there is no exact number.
    """
    found, stated, layers = followed(method, network, optimizer, distribution), 0, 0
    for row in found.training.sparse.counts():
        if row.masked:
            zeros = math.floor(found.training.sparse.requested[row.layer] * row.weights)
            stated += method.peak_parameters(row.weights - zeros, row.weights)
            layers += 1
    assert found.held <= stated
    if type(method).probe is Method.probe and "total count" not in method.exempt:
        shares = type(method).first_sparsity is not Method.first_sparsity
        assert stated - found.held <= (2 * layers if shares else 0)


# -- what the engine says ----------------------------------------------------------------------------------------------


@every_method
@every_network
def test_counts_masks_and_sparsity_agree(method: str, network: str, start: Callable[..., Any]) -> None:
    training = start(method, network, sparsity=SPARSITY)
    for steps in (0, 7, 23, STEPS // 2):
        training.run(steps)
        masks, weights = training.sparse.masks, weights_of(training)
        rows = training.sparse.counts()
        assert set(masks) == {row.layer for row in rows if row.masked} == set(training.sparse.requested)
        for row in rows:
            active = int(masks[row.layer].sum()) if row.masked else row.weights
            assert row.shape == tuple(weights[row.layer].shape)
            assert (row.weights, row.nonzeros) == (math.prod(row.shape), active)
            assert row.sparsity == pytest.approx(1 - active / row.weights)
            assert int((weights[row.layer] != 0).sum()) <= active
        total, left = sum(row.weights for row in rows), sum(row.nonzeros for row in rows)
        assert training.sparse.sparsity == pytest.approx(1 - left / total)
        assert all(mask.dtype == torch.bool for mask in masks.values())
    sparsity, distribution = training.request
    asked = layer_sparsities(distribution, sparsity, {row.layer: row.shape for row in rows})
    assert training.sparse.requested == ({} if METHODS[method].starts == "unmasked" else asked)


@every_method
def test_a_gradient_is_used_where_it_is_said_to_be(method: str, start: Callable[..., Any]) -> None:
    """``gradient_nonzeros`` is None exactly when the dense gradient is needed; else it is what is active, or trainable."""
    training = start(method)
    selects = METHODS[method].trainable is not Method.trainable
    while training.sparse.steps < 25:
        used = training.sparse.gradient_nonzeros
        assert (used is None) == training.sparse.needs_dense_gradient
        for layer, mask in training.sparse.masks.items():
            active = int(mask.sum())
            assert used is None or used[layer] == active or (selects and active <= used[layer] <= mask.numel())
        training.batch()


# -- determinism, saving -----------------------------------------------------------------------------------------------


def assert_equal_trainings(one: Any, other: Any) -> None:
    """Weights, optimizer and everything that the engine keeps, bit for bit."""
    assert one.batches == other.batches
    assert_same(one.model.state_dict(), other.model.state_dict())
    assert_same(one.optimizer.state_dict(), other.optimizer.state_dict())
    assert_same(one.sparse.state_dict(), other.sparse.state_dict())
    assert (one.sparse.explored, one.sparse.counts()) == (other.sparse.explored, other.sparse.counts())
    assert_same(one.sparse.extra_parameters, other.sparse.extra_parameters)


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Nested mappings and lists of tensors and plain values are equal."""
    if isinstance(one, Mapping):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for index, (ours, theirs) in enumerate(zip(one, other, strict=True)):
            assert_same(ours, theirs, f"{where}.{index}")
    elif isinstance(one, Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other), where
    else:
        assert one == other, where


@every_method
@every_network
def test_the_same_seed_gives_the_same_training(method: str, network: str, start: Callable[..., Any]) -> None:
    one = start(method, network, seed=3)
    one.run(STEPS // 2)
    torch.rand(17)  # torch's global generator is none of the engine's business
    other = start(method, network, seed=3)
    other.run(STEPS // 2)
    assert_equal_trainings(one, other)


@every_method
def test_another_seed_gives_another_first_mask(method: str, start: Callable[..., Any]) -> None:
    digests = {start(method, seed=seed).sparse.digest() for seed in range(4)}
    assert len(digests) == (4 if METHODS[method].starts == "random" else 1)


@every_method
@pytest.mark.parametrize(
    ("network", "optimizer", "cut"), [("mlp", "adam", 0), ("mlp", "adam", 23), ("conv", "momentum", 23)]
)
def test_saved_in_the_middle_it_goes_on_bit_for_bit(
    method: str, network: str, optimizer: str, cut: int, start: Callable[..., Any]
) -> None:
    """Through a file, into a network, an optimizer and an engine that began otherwise."""
    original = start(method, network, optimizer, seed=3)
    for _ in range(cut):
        original.batch()
    file = io.BytesIO()
    torch.save([original.model.state_dict(), original.optimizer.state_dict(), original.sparse.state_dict()], file)
    file.seek(0)
    model, optimizer_state, engine = torch.load(file, weights_only=True)

    resumed = start(method, network, optimizer, seed=4, initial_seed=5)
    for _ in range(3):
        resumed.batch()
    resumed.model.load_state_dict(model)
    resumed.optimizer.load_state_dict(optimizer_state)
    resumed.sparse.load_state_dict(engine)
    resumed.batches = original.batches
    assert_equal_trainings(original, resumed)
    for training in (original, resumed):
        training.run(40)
    assert_equal_trainings(original, resumed)


@every_method
def test_a_saved_state_does_not_change_with_the_training(method: str, start: Callable[..., Any]) -> None:
    training = start(method)
    training.run(7)
    state = training.sparse.state_dict()
    file = io.BytesIO()
    torch.save(state, file)
    training.run(20)
    file.seek(0)
    before = torch.load(file, weights_only=True)
    assert json.dumps(state, default=Tensor.tolist) == json.dumps(before, default=Tensor.tolist)


# -- a new file --------------------------------------------------------------------------------------------------------

A_METHOD = '''
"""Drops the smallest weights, grows where the first weights of a layer are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_methods.method import Layer, Method


@dataclass(frozen=True)
class FirstCome(Method):
    """Grows at the lowest index, or at the highest."""

    name, label = "first_come", "First come"
    citation, year, family = "nobody2026first", 2026, "sparse-to-sparse"
    updates = "instead_of_step"

    last: bool = False

    def grow_score(self, layer: Layer) -> Tensor:
        index = torch.arange(layer.weight.numel(), device=layer.weight.device)
        return (index if self.last else -index).view(layer.weight.shape)
'''

RANDOM_MASKS = """
import torch
from torch import nn
from sparse_methods import sparsify
from sparse_methods.methods import METHODS, make

model = nn.Linear(20, 20, bias=False)
nn.init.ones_(model.weight)
sparse = sparsify(model, torch.optim.SGD(model.parameters(), lr=0.1), "set", 0.8, total_steps=10, seed=7)
model.weight.sum().backward()
sparse.step()
digest = sparse.digest()
"""

TRIAL = """
import json
import sparse_methods

model = nn.Linear(8, 1, bias=False)
nn.init.ones_(model.weight)
mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 0]])
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
sparse = sparsify(model, optimizer, make("first_come", {"last": True}), masks={"weight": mask}, total_steps=10,
                  drop_fraction=0.25, decay="constant")
model.weight.sum().backward()
sparse.step()
mask = sparse.masks["weight"].int().tolist()
print(json.dumps({"used": sparse_methods.__file__, "names": list(METHODS), "mask": mask, "digest": digest}))
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What another process says, of another hash seed, in which a file was dropped into a copy of the package."""
    folder = tmp_path_factory.mktemp("elsewhere")
    package = Path(sparse_methods.__file__).parent
    copied = shutil.copytree(package, folder / "sparse_methods", ignore=shutil.ignore_patterns("__pycache__"))
    (copied / "methods" / "first_come.py").write_text(A_METHOD)
    hash_seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    done = subprocess.run(
        [sys.executable, "-c", RANDOM_MASKS + TRIAL],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
        text=True,
    )
    said = json.loads(done.stdout)
    assert Path(said["used"]).is_relative_to(folder)
    return said


def test_a_file_is_all_it_takes(elsewhere: dict[str, Any]) -> None:
    """A new method is found, takes its options and trains, with no other edit.

    Of four equal weights the last goes, and of 0 1 2 6 7 the highest index grows.
    """
    assert set(elsewhere["names"]) == set(METHODS) | {"first_come"}
    assert elsewhere["mask"] == [[0, 0, 0, 1, 1, 1, 0, 1]]


def test_10_masks_and_growth_do_not_depend_on_python_s_hash(elsewhere: dict[str, Any]) -> None:
    """Decision 10: another process with another PYTHONHASHSEED draws the same masks and grows the same weights."""
    here: dict[str, Any] = {}
    exec(RANDOM_MASKS, here)
    assert elsewhere["digest"] == here["digest"]


def import_methods_from(folder: Path, **files: str) -> ModuleType:
    """The discovery of ``sparse_methods.methods`` run on a folder of its own, in this process."""
    shutil.copy(methods.__file__, folder / "__init__.py")
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    package = f"methods_of_{folder.name}"
    spec = importlib.util.spec_from_file_location(
        package, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = module
    try:
        spec.loader.exec_module(module)
    finally:
        for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
            del sys.modules[name]
    return module


def test_discovery_lists_a_folder(tmp_path: Path) -> None:
    assert list(import_methods_from(tmp_path, first_come=A_METHOD).METHODS) == ["first_come"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (A_METHOD.replace('name, label = "first_come"', 'name, label = "last_come"'), "last_come"),
        ('"""A file without a method."""\n', "none"),
        (A_METHOD + A_METHOD.replace("FirstCome", "SecondCome").replace("from __future__", "# from"), "exactly one"),
    ],
    ids=["another name", "no method", "two methods"],
)
def test_a_file_that_breaks_the_rule_is_named(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ImportError, match=rf"first_come\.py.*{reason}"):
        import_methods_from(tmp_path, first_come=text)


def test_unknown_methods_and_options_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'riggle'.*rigl"):
        methods.make("riggle")
    with pytest.raises(ValueError, match=r"'snfs'.*'speed'.*momentum"):
        methods.make("snfs", {"speed": 1})


def test_the_tutorial_s_method_does_what_it_says(one_layer: Callable[..., Any]) -> None:
    """The class in the contract's docstring, "SET with weights grown where the last gradient was largest".

    The smallest of 1 5 5 goes after the step, and index 4, without a weight yet, has the largest gradient.
    """
    _, block = contract.__doc__.split("::\n", 1)
    lines = block.splitlines()
    code = [line for line in lines if not line or line.startswith("    ")]
    namespace: dict[str, Any] = {"Method": contract.Method, "torch": torch, "nn": nn}
    exec(textwrap.dedent("\n".join(code)), namespace)
    layer = one_layer(
        [[1.0, 5.0, 5.0, 0.0, 0.0, 0.0]],
        namespace["Greedy"](),
        [[1, 1, 1, 0, 0, 0]],
        drop_fraction=0.34,
        decay="constant",
    )
    layer.step([[0.0, 0.0, 0.0, 1.0, 9.0, 2.0]])
    assert layer.mask == [[0, 1, 1, 0, 1, 0]]

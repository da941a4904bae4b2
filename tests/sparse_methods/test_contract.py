"""What every method of the folder must satisfy: one battery over METHODS, a new file included without an edit here."""

from __future__ import annotations

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
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sparse_methods
from sparse_methods import method as contract
from sparse_methods import methods
from sparse_methods.methods import METHODS

SPARSITY = 0.7
STEPS = 60

every_method = pytest.mark.parametrize("method", sorted(METHODS))
every_network = pytest.mark.parametrize("network", ["mlp", "conv"])
every_optimizer = pytest.mark.parametrize("optimizer", ["momentum", "adam"])
two_settings = pytest.mark.parametrize(("network", "optimizer"), [("mlp", "adam"), ("conv", "momentum")])


def weights_of(training: Any) -> dict[str, Tensor]:
    """Detached weights by layer name, all layers that could be masked."""
    parameters = dict(training.model.named_parameters())
    return {row.layer: parameters[f"{row.layer}.weight"].detach() for row in training.sparse.counts()}


def zeros_of(training: Any) -> dict[str, int]:
    return {name: int((~mask).sum()) for name, mask in training.sparse.masks.items()}


# -- identity ----------------------------------------------------------------------------------------------------------


def test_the_methods_of_the_paper_are_there() -> None:
    assert {"dense", "small_dense", "static", "snip", "set", "snfs", "rigl", "pruning"} <= set(METHODS)


@every_method
def test_identity(method: str) -> None:
    cls = METHODS[method]
    assert cls.name == method
    assert isinstance(cls.label, str) and cls.label.strip()
    assert isinstance(cls.citation, str) and cls.citation.strip()
    assert isinstance(cls.year, int) and 1980 <= cls.year <= 2100
    assert cls.family in ("dense", "sparse-to-sparse", "dense-to-sparse", "one-shot")
    assert cls.starts in ("random", "dense", "first_batch", "unmasked")
    assert cls.updates in ("never", "instead_of_step", "after_step")
    for words in (cls.dense_parts, cls.cannot, cls.ignores):
        assert isinstance(words, tuple) and all(isinstance(word, str) and word for word in words)
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


def test_labels_are_distinct() -> None:
    assert len({cls.label for cls in METHODS.values()}) == len(METHODS)


# -- counts ------------------------------------------------------------------------------------------------------------


@every_method
@two_settings
def test_counts_are_exact_and_zeros_are_zero_at_every_step(
    method: str, network: str, optimizer: str, start: Callable[..., Any]
) -> None:
    training = start(method, network, optimizer, sparsity=SPARSITY)
    target = {
        row.layer: math.floor(SPARSITY * math.prod(row.shape))
        for row in training.sparse.counts()
        if METHODS[method].starts != "unmasked"
    }
    history = [zeros_of(training)]
    while training.sparse.steps < STEPS:
        training.batch()
        history.append(zeros_of(training))
        weights, slots = weights_of(training), training.slots()
        for layer, mask in training.sparse.masks.items():
            assert not weights[layer][~mask].any()
            for name, value in slots[f"{layer}.weight"].items():
                assert value.shape != mask.shape or not value[~mask].any(), name
    assert history[-1] == target
    if METHODS[method].starts == "random":
        assert all(zeros == target for zeros in history)
    for earlier, later in itertools.pairwise(history):
        assert all(earlier[layer] <= later[layer] <= target[layer] for layer in target)
    assert all(torch.isfinite(weight).all() for weight in weights_of(training).values())


@every_method
@every_network
def test_counts_masks_and_sparsity_agree(method: str, network: str, start: Callable[..., Any]) -> None:
    training = start(method, network, sparsity=SPARSITY)
    for steps in (0, 7, 23, STEPS):
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
    assert all(requested == SPARSITY for requested in training.sparse.requested.values())


# -- every batch against a replay of the optimizer ---------------------------------------------------------------------


@every_method
@every_network
@every_optimizer
def test_weights_follow_the_optimizer_and_new_ones_start_from_nothing(
    method: str, network: str, optimizer: str, start: Callable[..., Any]
) -> None:
    """Each batch: nothing moved if no step was taken; if one was, it was the optimizer's, on masked gradients.

    Then what stayed active is bit-equal, what left or came is zero, and so is its part of the optimizer's state. Until
    step 22 there are five updates.
    """
    training = start(method, network, optimizer, sparsity=SPARSITY)
    moved = refused = 0
    while training.sparse.steps < 22:
        training.backward()
        replayed, replayed_optimizer = training.copy_with_gradients()
        old, steps, updates = training.sparse.masks, training.sparse.steps, training.sparse.updates
        stepped = training.sparse.step()
        new = training.sparse.masks

        if stepped:
            parameters = dict(replayed.named_parameters())
            for layer, mask in old.items():
                parameters[f"{layer}.weight"].grad *= mask
            replayed_optimizer.step()
        assert training.sparse.steps == steps + stepped
        changed = any(not old[layer].equal(new[layer]) for layer in old)
        assert not changed or training.sparse.updates > updates or METHODS[method].starts == "first_batch"
        moved += changed
        refused += not stepped

        slots = training.slots()
        expected = {name: parameter.detach() for name, parameter in replayed.named_parameters()}
        for name, parameter in training.model.named_parameters():
            layer = name.removesuffix(".weight")
            kept = old[layer] & new[layer] if layer in old else torch.ones_like(parameter, dtype=torch.bool)
            assert torch.equal(parameter.detach(), expected[name] * kept), name
            state = replayed_optimizer.state.get(dict(replayed.named_parameters())[name], {})
            assert set(slots[name]) == {slot for slot, value in state.items() if value is not None}
            for slot, value in slots[name].items():
                same_shape = value.shape == parameter.shape
                assert torch.equal(value, state[slot] * kept if same_shape else state[slot]), (name, slot)
    assert (refused > 0) == (METHODS[method].updates == "instead_of_step" or METHODS[method].starts == "first_batch")
    assert (moved > 0) == (METHODS[method].updates != "never" or METHODS[method].starts == "first_batch")


# -- determinism, saving -----------------------------------------------------------------------------------------------


def assert_equal_trainings(one: Any, other: Any) -> None:
    assert one.sparse.digest() == other.sparse.digest()
    assert (one.sparse.steps, one.sparse.updates, one.batches) == (
        other.sparse.steps,
        other.sparse.updates,
        other.batches,
    )
    for (name, value), (other_name, other_value) in zip(
        one.model.state_dict().items(), other.model.state_dict().items(), strict=True
    ):
        assert name == other_name and value.equal(other_value), name
    ours, theirs = one.slots(), other.slots()
    for name, slots in ours.items():
        assert set(slots) == set(theirs[name])
        assert all(value.equal(theirs[name][slot]) for slot, value in slots.items())


@every_method
@every_network
def test_the_same_seed_gives_the_same_training(method: str, network: str, start: Callable[..., Any]) -> None:
    one = start(method, network, seed=3)
    one.run(STEPS)
    torch.rand(17)  # torch's global generator is none of the engine's business
    other = start(method, network, seed=3)
    other.run(STEPS)
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
    assert original.sparse.counts() == resumed.sparse.counts()
    for training in (original, resumed):
        training.run(50)
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

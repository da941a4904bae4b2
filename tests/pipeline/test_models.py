"""Networks by name: their sizes, names, costs and layer rules."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline import models
from pipeline.models import LayerRule

CIFAR = (3, 32, 32)
IMAGE_MODELS = (
    "lenet300",
    "lenet5",
    "wrn22_2",
    "resnet50_cifar",
    "vgg16",
    "vgg19",
    "resnet50",
    "mobilenet_v1",
    "mobilenet_v2",
)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The kernels by the engine's layer names."""
    return {
        name.removesuffix(".weight"): parameter.detach()
        for name, parameter in model.named_parameters()
        if name.endswith(".weight") and parameter.dim() > 1
    }


def inference_flops(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Twice the multiply-adds of convolutions and linear layers for one sample, counted by torch."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, *shape))
    return counter.get_total_flops()


def test_names_can_be_built() -> None:
    assert set(models.names()) >= set(IMAGE_MODELS)
    for name in IMAGE_MODELS:
        assert models.build(name, CIFAR, 10, width=0.25)(torch.zeros(2, *CIFAR)).shape == (2, 10)


def test_lenet300_layers() -> None:
    layers = weights(models.build("lenet300", (1, 28, 28), 10))
    assert {name: tuple(weight.shape) for name, weight in layers.items()} == {
        "fc1": (300, 784),
        "fc2": (100, 300),
        "fc3": (10, 100),
    }


@pytest.mark.parametrize("shape", [(64,), (8, 8), (1, 8, 8)])
def test_lenet300_flattens_any_input(shape: tuple[int, ...]) -> None:
    assert models.build("lenet300", shape, 7)(torch.zeros(5, *shape)).shape == (5, 7)


def test_lenet300_computes_what_it_says() -> None:
    model = models.build("lenet300", (2,), 2, width=0.01)
    with torch.no_grad():
        model.fc1.weight.copy_(torch.tensor([[1.0, 2.0], [-1.0, 0.0], [0.0, 1.0]]))
        model.fc2.weight.copy_(torch.tensor([[1.0, 1.0, -1.0]]))
        model.fc3.weight.copy_(torch.tensor([[2.0], [-2.0]]))
    # (1, 3) -> relu(7, -1, 3) -> relu(7 + 0 - 3) -> (8, -8)
    assert model(torch.tensor([[1.0, 3.0]])).tolist() == [[8.0, -8.0]]


@pytest.mark.parametrize(("width", "hidden"), [(0.5, (150, 50)), (2, (600, 200)), (1e-6, (1, 1))])
def test_lenet300_width(width: float, hidden: tuple[int, int]) -> None:
    model = models.build("lenet300", (4,), 3, width=width)
    assert (model.fc1.out_features, model.fc2.out_features, model.fc3.out_features) == (*hidden, 3)


def test_wrn22_2_has_the_published_size() -> None:
    model = models.build("wrn22_2", CIFAR, 10)
    layers = weights(model)
    assert len(layers) == 23
    assert sum(weight.numel() for weight in layers.values()) == 1_076_912
    assert [name for name in layers if "shortcut" in name] == [f"group{g}.block1.shortcut" for g in (1, 2, 3)]
    assert {"conv1", "group1.block1.conv1", "group3.block3.conv2", "fc"} <= set(layers)
    assert [layers[f"group{g}.block2.conv1"].shape[0] for g in (1, 2, 3)] == [32, 64, 128]


def test_wrn22_2_has_the_published_flops() -> None:
    assert inference_flops(models.build("wrn22_2", CIFAR, 10), CIFAR) == pytest.approx(3.155e8, rel=2e-4)


def test_wrn_normalisation_is_the_authors() -> None:
    norms = [m for m in models.build("wrn22_2", CIFAR, 10).modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 19
    assert {(m.eps, m.momentum) for m in norms} == {(1e-5, 0.1)}


def test_wrn_block_is_pre_activation() -> None:
    """Against the block written out: a group's first block shortcuts its activated input, the others their raw one."""
    torch.manual_seed(0)
    model = models.build("wrn10_1", CIFAR, 10).eval()
    block = model.group2.block1
    inputs = torch.randn(2, 16, 8, 8)
    activated = torch.relu(block.norm1(inputs))
    expected = block.conv2(torch.relu(block.norm2(block.conv1(activated)))) + block.shortcut(activated)
    assert expected.shape == (2, 32, 4, 4)
    torch.testing.assert_close(block(inputs), expected)
    same = model.group1.block1
    assert same.shortcut is None
    torch.testing.assert_close(
        same(inputs), same.conv2(torch.relu(same.norm2(same.conv1(torch.relu(same.norm1(inputs)))))) + inputs
    )


def test_wrn_depth_and_width_come_from_the_name() -> None:
    model = models.build("wrn16_4", (1, 8, 8), 5)
    assert [len(group) for group in (model.group1, model.group2, model.group3)] == [2, 2, 2]
    assert model.fc.in_features == 256
    assert model(torch.zeros(3, 1, 8, 8)).shape == (3, 5)


def test_wrn_width_scales_every_channel_count() -> None:
    layers = weights(models.build("wrn22_2", CIFAR, 10, width=0.5))
    assert [layers[name].shape[0] for name in ("conv1", "group1.block1.conv1", "group3.block3.conv2", "fc")] == [
        8,
        16,
        64,
        10,
    ]


def test_wrn_dropout_is_off_by_default_and_between_the_convolutions() -> None:
    off, on = (models.build("wrn10_1", CIFAR, 10, **options) for options in ({}, {"dropout": 0.3}))
    assert {m.p for m in off.modules() if isinstance(m, nn.Dropout)} == {0.0}
    assert {m.p for m in on.modules() if isinstance(m, nn.Dropout)} == {0.3}
    on.load_state_dict(off.state_dict())
    inputs = torch.randn(4, *CIFAR)
    assert torch.equal(off.eval()(inputs), on.eval()(inputs))
    assert not torch.equal(off.train()(inputs), on.train()(inputs))


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_initial_weights_come_from_the_global_seed(name: str) -> None:
    def build(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.detach().flatten() for p in models.build(name, CIFAR, 10, width=0.25).parameters()])

    assert torch.equal(build(3), build(3))
    assert not torch.equal(build(3), build(4))


@pytest.mark.parametrize("name", ["lenet300", "lenet5", "wrn22_2"])
def test_initial_kernels_are_glorot_uniform_and_biases_zero(name: str) -> None:
    torch.manual_seed(0)
    model = models.build(name, CIFAR, 10)
    for weight in weights(model).values():
        receptive = math.prod(weight.shape[2:])
        limit = math.sqrt(6 / ((weight.shape[0] + weight.shape[1]) * receptive))
        assert 0.95 * limit < weight.abs().max() <= limit
        assert weight.std() == pytest.approx(limit / math.sqrt(3), rel=0.15)
    biases = [m.bias for m in model.modules() if isinstance(m, nn.Linear)]
    assert biases
    assert all(not bias.any() for bias in biases)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "lenet",
            {},
            r"no model 'lenet'; valid: lenet300, wrnDEPTH_WIDTH \(such as wrn22_2\), .*, or package\.module:factory",
        ),
        ("wrn22", {}, "no model 'wrn22'"),
        ("wrn22_2x", {}, "no model 'wrn22_2x'"),
        ("wrn22_0", {}, "no model 'wrn22_0'"),
        ("wrn21_2", {}, r"wrn21_2: the depth must be 6n \+ 4: 10, 16, 22"),
        ("wrn4_2", {}, "wrn4_2: the depth"),
        ("lenet300", {"depth": 3}, "model 'lenet300' does not take the option 'depth'; valid: width"),
        ("wrn22_2", {"depth": 3}, "model 'wrn22_2' does not take the option 'depth'; valid: width, dropout"),
        ("lenet300", {"width": 0}, "width is 0, it must be above 0"),
        ("wrn22_2", {"width": -1.0}, "width is -1.0"),
        ("wrn22_2", {"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_wrong_names_and_options_are_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        models.build(name, CIFAR, 10, **options)


def test_wrn_needs_images() -> None:
    with pytest.raises(ValueError, match=r"takes images \[C, H, W\], not inputs of shape \[784\]"):
        models.build("wrn22_2", (784,), 10)


@pytest.mark.parametrize("distribution", ["uniform", "erdos_renyi", "erk"])
@pytest.mark.parametrize("sparsity", [0.5, 0.99])
def test_default_layer_rules(distribution: str, sparsity: float) -> None:
    assert models.layer_rules("lenet300", "default", distribution, sparsity) == {}
    assert models.layer_rules("wrn22_2", "default", distribution, sparsity) == {"conv1": "unmasked"}


def test_the_mnist_script_has_a_layout() -> None:
    rules = models.layer_rules("lenet300", "mnist-authors", "uniform", 0.99)
    assert rules == {"fc2": pytest.approx(0.891), "fc3": "unmasked"}


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_rules_name_layers_of_the_model(name: str) -> None:
    """Of a thin network, whose layers have the names of the whole one."""
    family = next(family for family in models.FAMILIES if name in family.examples)
    layers = set(weights(models.build(name, CIFAR, 10, width=0.25)))
    assert {rule.layer for rule in (*family.layer_rules, *family.counting_rules)} <= layers


def test_an_unknown_layout_lists_the_valid_ones() -> None:
    with pytest.raises(ValueError, match="model 'lenet300' has no layout 'mnist'; valid: default, mnist-authors"):
        models.layer_rules("lenet300", "mnist", "uniform", 0.9)
    with pytest.raises(ValueError, match=r"model 'wrn22_2' has no layout 'mnist-authors'; valid: default$"):
        models.layer_rules("wrn22_2", "mnist-authors", "uniform", 0.9)
    with pytest.raises(ValueError, match="no model 'resnet'"):
        models.layer_rules("resnet", "default", "uniform", 0.9)


OWN_MODEL = """
from torch import nn
from pipeline.models import LayerRule

class Tiny(nn.Module):
    layer_rules = (
        LayerRule("stem", "unmasked", distributions=("uniform",)),
        LayerRule("stem", "unmasked", distributions=("erk",), sparsities=(0.99,)),
        LayerRule("head", 0.5, layout="gentle"),
    )

    def __init__(self, input_shape, classes, hidden=3):
        super().__init__()
        self.stem, self.head = nn.Linear(input_shape[0], hidden), nn.Linear(hidden, classes)

    def forward(self, inputs):
        return self.head(self.stem(inputs))

def open_ended(input_shape, classes, **options):
    return Tiny(input_shape, classes, **options)

def not_a_model(input_shape, classes):
    return "a network"

def no_rows(input_shape, classes):
    return Tiny(input_shape, classes)

no_rows.layer_rules = [("stem", "unmasked")]
number = 3
"""


@pytest.fixture
def own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An importable module of the user's, with models in it."""
    (tmp_path / "own_model_of_a_user.py").write_text(OWN_MODEL)
    (tmp_path / "broken_model_of_a_user.py").write_text("import a_module_that_does_not_exist\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_model_of_a_user"
    sys.modules.pop("own_model_of_a_user", None)


def test_the_users_own_model(own_model: str) -> None:
    assert models.build(f"{own_model}:Tiny", (4,), 2)(torch.zeros(1, 4)).shape == (1, 2)
    assert models.build(f"{own_model}:Tiny", (4,), 2, hidden=9).stem.out_features == 9
    assert models.build(f"{own_model}:open_ended", (4,), 2, hidden=9).stem.out_features == 9
    assert models.layer_rules(f"{own_model}:open_ended", "default", "uniform", 0.9) == {}


def test_rows_hold_for_their_distributions_and_sparsities(own_model: str) -> None:
    def rules(distribution: str, sparsity: float, layout: str = "default") -> dict[str, object]:
        return models.layer_rules(f"{own_model}:Tiny", layout, distribution, sparsity)

    assert rules("uniform", 0.5) == rules("uniform", 0.99) == {"stem": "unmasked"}
    assert rules("erk", 0.9) == {}
    assert rules("erk", 0.99) == rules("erk", 1 - 0.01) == {"stem": "unmasked"}
    assert rules("erk", 0.8, "gentle") == {"head": 0.4}


@pytest.mark.parametrize(
    ("factory", "options", "error", "message"),
    [
        ("own_model_of_a_user:Tiny", {"width": 2}, ValueError, "does not take the option 'width'; valid: hidden"),
        ("own_model_of_a_user:not_a_model", {"width": 2}, ValueError, "does not take the option 'width'; valid: none"),
        ("own_model_of_a_user:not_a_model", {}, ValueError, "returned str, it must return a torch.nn.Module"),
        ("own_model_of_a_user:no_rows", {}, ValueError, "its rows must be LayerRule"),
        ("own_model_of_a_user:Small", {}, ValueError, "has no 'Small'; its callables: .*Tiny"),
        ("own_model_of_a_user:number", {}, ValueError, "'number' is int, it must be callable"),
        ("own_model_of_a_user:", {}, ValueError, "not of the form package.module:factory"),
        ("nowhere_at_all.models:Tiny", {}, ValueError, "there is no module 'nowhere_at_all'"),
        ("broken_model_of_a_user:Tiny", {}, ModuleNotFoundError, "a_module_that_does_not_exist"),
    ],
)
def test_wrong_factories_are_named(
    own_model: str, factory: str, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        models.build(factory, (4,), 2, **options)


def test_rows_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        LayerRule("conv1", "unmasked").layer = "conv2"  # type: ignore[misc]

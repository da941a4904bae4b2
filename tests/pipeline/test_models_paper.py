"""The networks of the paper's scale: names, sizes, costs to the published digit, layer rules, and what they compute."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline import models
from pipeline.cost import NetworkCost
from pipeline.counting import trace
from pipeline.models import mobilenet_v2

MNIST, CIFAR, IMAGENET = (1, 28, 28), (3, 32, 32), (3, 224, 224)
SAMPLES = {
    "lenet5": (MNIST, 10),
    "vgg16": (CIFAR, 10),
    "vgg19": (CIFAR, 10),
    "resnet50_cifar": (CIFAR, 100),
    "resnet50": (IMAGENET, 1000),
    "mobilenet_v1": (IMAGENET, 1000),
    "mobilenet_v2": (IMAGENET, 1000),
}


def blueprint(name: str, **options: float) -> nn.Module:
    """The network without its weights, which costs milliseconds."""
    with torch.device("meta"):
        return models.build(name, *SAMPLES[name], **options)


@functools.cache
def cost(name: str, **options: float) -> NetworkCost:
    network = blueprint(name, **options).to_empty(device="cpu")
    return trace(network, SAMPLES[name][0], models.counting_rules(name))


def kernels(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of the layers that can be masked."""
    return {
        name.removesuffix(".weight"): tuple(parameter.shape)
        for name, parameter in model.named_parameters()
        if name.endswith(".weight") and parameter.dim() > 1
    }


def rules(name: str, distribution: str, sparsity: float = 0.9, layout: str = "default") -> dict[str, object]:
    return models.layer_rules(name, layout, distribution, sparsity)


# Sizes and names


@pytest.mark.parametrize(
    ("name", "parameters", "weights"),
    [
        ("lenet5", 431_080, 431_080 - 20 - 50 - 500 - 10),
        ("vgg16", 14_724_042, 14_724_042 - 2 * 4224 - 10),  # two BatchNorm values for each channel, and fc's biases
        ("vgg19", 20_035_018, 20_035_018 - 2 * 5504 - 10),
        ("resnet50", 25_557_032, 25_502_912),
        ("resnet50_cifar", 25_557_032 - 64 * 3 * (49 - 9) - 900 * 2049, 25_502_912 - 64 * 3 * (49 - 9) - 900 * 2048),
        ("mobilenet_v1", 4_231_976, 4_231_976 - 2 * 10_944 - 1000),
        ("mobilenet_v2", 3_504_872, 3_504_872 - 2 * 17_056 - 1000),
    ],
)
def test_parameters_are_the_published_number(name: str, parameters: int, weights: int) -> None:
    model = blueprint(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert sum(math.prod(shape) for shape in kernels(model).values()) == weights


def test_resnet50_has_torchvisions_names() -> None:
    names = list(blueprint("resnet50").state_dict())
    assert len(names) == 320
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    first_block = [
        *(f"layer1.0.{layer}" for n in (1, 2, 3) for layer in (f"conv{n}.weight", *(f"bn{n}.{part}" for part in norm))),
        "layer1.0.downsample.0.weight",
        *(f"layer1.0.downsample.1.{part}" for part in norm),
    ]
    assert names[:6] == ["conv1.weight", *(f"bn1.{part}" for part in norm)]
    assert names[6:30] == first_block
    assert [name for name in names if "downsample.0" in name] == [
        f"layer{n}.0.downsample.0.weight" for n in (1, 2, 3, 4)
    ]
    assert [sum(name.startswith(f"layer{n}.") for name in names) for n in (1, 2, 3, 4)] == [60, 78, 114, 60]
    assert names[-2:] == ["fc.weight", "fc.bias"]


def test_resnet50_is_version_one_and_a_half() -> None:
    model = blueprint("resnet50")
    strided = {name for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)}
    blocks = ("layer2.0", "layer3.0", "layer4.0")
    assert strided == {"conv1", *(f"{block}.{name}" for block in blocks for name in ("conv2", "downsample.0"))}


def test_resnet50_for_small_images_differs_in_its_first_layer_alone() -> None:
    small, large = kernels(blueprint("resnet50_cifar")), kernels(blueprint("resnet50"))
    assert {name for name in large if small[name] != large[name]} == {"conv1", "fc"}
    assert (small["conv1"], small["fc"]) == ((64, 3, 3, 3), (100, 2048))


def test_mobilenet_v2_has_torchvisions_names() -> None:
    model = blueprint("mobilenet_v2")
    layers = kernels(model)
    assert len(model.state_dict()) == 314
    assert len(layers) == 53
    assert list(layers)[:6] == [
        "features.0.0",
        "features.1.conv.0.0",
        "features.1.conv.1",
        "features.2.conv.0.0",
        "features.2.conv.1.0",
        "features.2.conv.2",
    ]
    assert list(layers)[-3:] == ["features.17.conv.2", "features.18.0", "classifier.1"]
    norms = [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms[:6] == [
        "features.0.1",
        "features.1.conv.0.1",
        "features.1.conv.2",
        "features.2.conv.0.1",
        "features.2.conv.1.1",
        "features.2.conv.3",
    ]
    assert layers["features.2.conv.1.0"] == (96, 1, 3, 3)
    assert layers["features.18.0"] == (1280, 320, 1, 1)


def test_mobilenet_v1_layers() -> None:
    layers = kernels(blueprint("mobilenet_v1"))
    assert list(layers)[:3] == ["conv1", "blocks.0.depthwise", "blocks.0.pointwise"]
    assert len(layers) == 1 + 2 * 13 + 1
    channels = [layers[f"blocks.{index}.pointwise"][0] for index in range(13)]
    assert channels == [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    assert layers["blocks.12.depthwise"] == (1024, 1, 3, 3)


def test_vgg_has_the_names_of_torchvisions_features() -> None:
    sixteen, nineteen = kernels(blueprint("vgg16")), kernels(blueprint("vgg19"))
    assert list(sixteen) == [
        *(f"features.{index}" for index in (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)),
        "classifier",
    ]
    assert list(nineteen) == [
        *(f"features.{index}" for index in (0, 3, 7, 10, 14, 17, 20, 23, 27, 30, 33, 36, 40, 43, 46, 49)),
        "classifier",
    ]
    assert [shape[0] for shape in nineteen.values()] == [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8 + [10]


def test_lenet5_is_caffes() -> None:
    assert kernels(blueprint("lenet5")) == {
        "conv1": (20, 1, 5, 5),
        "conv2": (50, 20, 5, 5),
        "fc1": (500, 800),
        "fc2": (10, 500),
    }


# Width


def test_resnet50_width_cuts_inner_channels_and_outputs_are_four_times_those() -> None:
    layers = kernels(blueprint("resnet50", width=0.465))
    assert layers["conv1"][0] == 29  # of 29.76
    assert layers["layer4.2.conv1"] == (238, 952, 1, 1)  # of 238.08
    assert layers["layer4.2.conv3"] == (952, 238, 1, 1)
    assert layers["layer1.0.downsample.0"] == (116, 29, 1, 1)  # 256 * 0.465 is 119.04
    assert layers["fc"] == (1000, 952)


@pytest.mark.parametrize(("width", "dense_x"), [(0.465, "0.22"), (0.34, "0.12")])
def test_resnet50_small_dense_costs(width: float, dense_x: str) -> None:
    """As many parameters as at sparsity 0.8 and 0.9; the paper prints 0.20 for the first."""
    small, full = cost("resnet50", width=width), cost("resnet50")
    assert f"{small.inference_flops('rigl') / full.inference_flops('rigl'):.2f}" == dense_x


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (0.35, [16, 8, 8, 16, 24, 32, 56, 112, 1280]),
        (0.75, [24, 16, 24, 24, 48, 72, 120, 240, 1280]),
        (1.4, [48, 24, 32, 48, 88, 136, 224, 448, 1792]),
    ],
)
def test_mobilenet_v2_width_rounds_to_multiples_of_eight(width: float, expected: list[int]) -> None:
    """Hand-computed; 11.2 would round down by more than a tenth, so 0.35 starts with 16."""
    layers = kernels(blueprint("mobilenet_v2", width=width))
    groups = [layers[f"features.{last}.conv.2"][0] for last in (3, 6, 10, 13, 16, 17)]
    assert [layers["features.0.0"][0], layers["features.1.conv.1"][0], *groups, layers["features.18.0"][0]] == expected
    assert mobilenet_v2.divisible(12, 1.0) == 16


def test_vgg_and_lenet5_widths() -> None:
    assert [shape[0] for shape in kernels(blueprint("vgg16", width=0.29)).values()][-5:] == [148, 148, 148, 148, 10]
    assert [shape[0] for shape in kernels(blueprint("lenet5", width=0.55)).values()] == [11, 28, 275, 10]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_width_of_nothing_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="width is 0, it must be above 0"):
        blueprint(name, width=0)


# Costs


@pytest.mark.parametrize("name", SAMPLES)
def test_multiply_adds_are_those_that_torch_counts(name: str) -> None:
    shape = SAMPLES[name][0]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        blueprint(name).eval()(torch.zeros(1, *shape, device="meta"))
    assert cost(name).inference_flops("macs") == counter.get_total_flops()


def test_resnet50_costs_what_was_published() -> None:
    assert cost("resnet50").inference_flops("rigl") == 8_202_340_776
    assert f"{cost('resnet50').size_bytes({}) / 1e6:.3f}" == "102.122"


def test_resnet50_for_small_images_costs_what_was_published() -> None:
    """The reproducibility report prints 2.59e9: cut, not rounded."""
    flops = cost("resnet50_cifar").inference_flops("macs")
    assert flops == 2_596_028_416
    assert math.floor(flops / 1e7) == 259


@pytest.mark.parametrize(
    ("width", "mflops", "megabytes"),
    [
        (1.0, "1141.544", "16.864"),
        (0.47, "266.539", "4.789"),
        (0.353, "154.770", "3.076"),
        (0.285, "103.825", "2.236"),
        (0.204, "56.617", "1.396"),
    ],
)
def test_mobilenet_v1_costs_what_the_authors_notebook_printed(width: float, mflops: str, megabytes: str) -> None:
    """MobileNet_Counting.ipynb; the digits hold for channels cut to a whole number, not for multiples of 8."""
    network = cost("mobilenet_v1", width=width)
    assert f"{network.inference_flops('rigl') / 1e6:.3f}" == mflops
    assert f"{network.size_bytes({}) / 1e6:.3f}" == megabytes


@pytest.mark.parametrize(("width", "multiply_adds"), [(0.35, 59), (0.5, 97), (0.75, 209), (1.0, 301), (1.4, 582)])
def test_mobilenet_v2_multiply_adds_are_the_published_millions(width: float, multiply_adds: int) -> None:
    """The table of tensorflow/models, slim/nets/mobilenet (300 there for 1.0, as in the paper)."""
    assert round(cost("mobilenet_v2", width=width).inference_flops("macs") / 2e6) == multiply_adds


def test_counting_rules_are_the_authors() -> None:
    positions = {rule.layer: rule.positions(IMAGENET) for rule in models.counting_rules("resnet50")}
    assert positions == {"conv1": 115**2}
    counted = {rule.layer: (rule.positions(IMAGENET), rule.channels) for rule in models.counting_rules("mobilenet_v1")}
    strided = {1: 57, 3: 29, 5: 15, 11: 8}
    assert counted == {
        "conv1": (113**2, None),
        **{f"blocks.{n}.depthwise": (strided[n] ** 2 if n in strided else None, 1) for n in range(13)},
    }
    assert all(models.counting_rules(name) == () for name in ("resnet50_cifar", "mobilenet_v2", "vgg16", "lenet5"))


# Layer rules


@pytest.mark.parametrize("name", ["resnet50", "resnet50_cifar"])
@pytest.mark.parametrize("distribution", ["erdos_renyi", "erk"])
def test_resnet50_keeps_conv1_dense_under_uniform_and_at_99_percent(name: str, distribution: str) -> None:
    assert rules(name, "uniform") == rules(name, "uniform", 0.99) == {"conv1": "unmasked"}
    assert rules(name, distribution, 0.8) == rules(name, distribution, 0.965) == {}
    assert rules(name, distribution, 0.99) == {"conv1": "unmasked"}


def test_resnet50_layouts() -> None:
    assert rules("resnet50", "uniform", 0.9, "all-sparse") == {"conv1": 0.9}
    assert rules("resnet50", "erk", 0.9, "all-sparse") == rules("resnet50", "erk", 0.99, "all-sparse") == {}
    for distribution in ("uniform", "erdos_renyi", "erk"):
        assert rules("resnet50", distribution, 0.9, "first-dense") == {"conv1": "unmasked"}


@pytest.mark.parametrize("distribution", ["uniform", "erdos_renyi", "erk"])
def test_mobilenets_keep_the_first_layer_and_depthwise_layers_dense(distribution: str) -> None:
    depthwise = [f"blocks.{index}.depthwise" for index in range(13)]
    assert rules("mobilenet_v1", distribution) == dict.fromkeys(["conv1", *depthwise], "unmasked")
    inverted = [name for name, shape in kernels(blueprint("mobilenet_v2")).items() if shape[1:] == (1, 3, 3)]
    assert len(inverted) == 17
    assert rules("mobilenet_v2", distribution) == dict.fromkeys(["features.0.0", *inverted], "unmasked")


def test_mobilenet_v1_layouts() -> None:
    depthwise = dict.fromkeys((f"blocks.{index}.depthwise" for index in range(13)), "unmasked")
    assert rules("mobilenet_v1", "uniform", 0.9, "conv1-in-pool") == {**depthwise, "conv1": "unmasked"}
    assert rules("mobilenet_v1", "erk", 0.9, "conv1-in-pool") == depthwise
    assert rules("mobilenet_v1", "erk", 0.9, "depthwise-sparse") == {"conv1": "unmasked"}


def test_vgg_keeps_the_first_layer_dense_under_uniform_and_lenet5_none() -> None:
    assert rules("vgg16", "uniform") == rules("vgg19", "uniform") == {"features.0": "unmasked"}
    assert rules("vgg16", "erk") == rules("vgg16", "erdos_renyi") == {}
    assert all(rules("lenet5", distribution) == {} for distribution in ("uniform", "erdos_renyi", "erk"))


# What they compute


@pytest.mark.parametrize("name", SAMPLES)
def test_a_tiny_batch_gives_every_parameter_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    model = models.build(name, CIFAR, 5, width=0.25)
    logits = model(torch.randn(2, *CIFAR))
    assert logits.shape == (2, 5)
    nn.functional.cross_entropy(logits, torch.tensor([1, 4])).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())


def awaken(block: nn.Module) -> nn.Module:
    """Give the normalisations of a block values that matter, and set it to eval mode."""
    for norm in (module for module in block.modules() if isinstance(module, nn.BatchNorm2d)):
        for value in (norm.weight.data, norm.running_var):
            value.uniform_(0.5, 1.5)
        for value in (norm.bias.data, norm.running_mean):
            value.normal_()
    return block.eval()


def test_a_bottleneck_computes_what_it_says() -> None:
    torch.manual_seed(0)
    model = models.build("resnet50_cifar", CIFAR, 10, width=0.125)
    first, second = awaken(model.layer2[0]), awaken(model.layer2[1])
    inputs = torch.randn(2, 32, 8, 8)

    def branch(block: nn.Module, features: Tensor) -> Tensor:
        hidden = torch.relu(block.bn1(block.conv1(features)))
        hidden = torch.relu(block.bn2(block.conv2(hidden)))
        return block.bn3(block.conv3(hidden))

    middle = torch.relu(branch(first, inputs) + first.downsample[1](first.downsample[0](inputs)))
    assert middle.shape == (2, 64, 4, 4)
    torch.testing.assert_close(first(inputs), middle)
    assert second.downsample is None
    torch.testing.assert_close(second(middle), torch.relu(branch(second, middle) + middle))


def test_a_fresh_bottleneck_passes_its_input_on() -> None:
    """The last scale of each starts at 0."""
    model = models.build("resnet50_cifar", CIFAR, 10, width=0.125).eval()
    inputs = torch.rand(1, 64, 4, 4)
    assert torch.equal(model.layer2[1](inputs), inputs)


def test_resnet50_shrinks_images_by_four_before_its_groups_and_the_small_one_not_at_all() -> None:
    sides = {}
    for name in ("resnet50", "resnet50_cifar"):
        model = models.build(name, (3, 64, 64), 10, width=0.1).eval()
        for layer in (model.layer1, model.layer4):
            layer.register_forward_hook(lambda _, __, out, name=name: sides.setdefault(name, []).append(out.shape[-1]))
        model(torch.zeros(1, 3, 64, 64))
    assert sides == {"resnet50": [16, 2], "resnet50_cifar": [64, 8]}


def test_an_inverted_residual_adds_its_input_where_the_shape_allows() -> None:
    torch.manual_seed(0)
    model = awaken(models.build("mobilenet_v2", CIFAR, 10, width=0.25))
    widening, same = model.features[2], model.features[3]
    inputs = torch.randn(2, 8, 8, 8)
    expand, depthwise, project, norm = widening.conv
    expected = norm(project(depthwise(expand(inputs))))
    assert expected.shape == (2, 8, 4, 4)
    torch.testing.assert_close(widening(inputs), expected)
    torch.testing.assert_close(same(inputs), same.conv(inputs) + inputs)
    assert [block.adds_input for block in blueprint("mobilenet_v2").features[1:-1]].count(True) == 10
    assert expand(100 * inputs).max() == 6


def test_a_separable_block_computes_what_it_says() -> None:
    torch.manual_seed(0)
    block = awaken(models.build("mobilenet_v1", CIFAR, 10, width=0.25).blocks[1])
    inputs = torch.randn(2, 16, 8, 8)
    hidden = torch.relu(block.norm1(block.depthwise(inputs)))
    expected = torch.relu(block.norm2(block.pointwise(hidden)))
    assert expected.shape == (2, 32, 4, 4)
    torch.testing.assert_close(block(inputs), expected)


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v1", "mobilenet_v2", "vgg16"])
def test_initial_weights_are_truncated_normal_by_fan_in(name: str) -> None:
    torch.manual_seed(0)
    model = models.build(name, CIFAR, 10, width=0.5)
    scale = 2 if name == "vgg16" else 1
    for layer in (module for module in model.modules() if isinstance(module, nn.Conv2d)):
        outputs, inputs, *receptive = layer.weight.shape
        deviation = math.sqrt(scale / (inputs * math.prod(receptive)))
        bound = 2 * deviation / 0.87962566
        if layer.groups > 1:
            bound = math.sqrt(6 / ((outputs + 1) * math.prod(receptive)))
            deviation = bound / math.sqrt(3)
        weight = layer.weight.detach()
        assert weight.abs().max() <= bound * (1 + 1e-6)
        assert weight.std() == pytest.approx(deviation, rel=0.12)
    classifier = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    deviation = 0.01 if name == "resnet50" else math.sqrt(scale / classifier.in_features)
    assert classifier.weight.detach().std() == pytest.approx(deviation, rel=0.05)
    assert not classifier.bias.any()


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v1", "mobilenet_v2", "vgg16"])
def test_normalisation_is_the_authors(name: str) -> None:
    norms = [module for module in blueprint(name).modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-5, 0.1)}


def test_mobilenet_v2_drops_before_its_classifier_when_asked() -> None:
    assert blueprint("mobilenet_v2").classifier[0].p == 0.0
    assert blueprint("mobilenet_v2", dropout=0.2).classifier[0].p == 0.2
    with pytest.raises(ValueError, match=r"dropout is 1\.0"):
        blueprint("mobilenet_v2", dropout=1.0)


@pytest.mark.parametrize("name", SAMPLES)
def test_they_need_images(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} takes images \[C, H, W\], not inputs of shape \[784\]"):
        models.build(name, (784,), 10)


@pytest.mark.parametrize("name", ["vgg16", "lenet5"])
def test_images_that_pooling_would_consume_are_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} takes images of at least 16 x 16 pixels, not 8 x 20"):
        models.build(name, (1, 8, 20), 10)
    assert models.build(name, (1, 16, 16), 10, width=0.1)(torch.zeros(2, 1, 16, 16)).shape == (2, 10)


def test_studies_use_them_on_their_data_sets() -> None:
    assert {name: models.usual_dataset(name) for name in SAMPLES} == {
        "lenet5": "mnist",
        "vgg16": "cifar10",
        "vgg19": "cifar10",
        "resnet50_cifar": "cifar10",
        "resnet50": "imagenet",
        "mobilenet_v1": "imagenet",
        "mobilenet_v2": "imagenet",
    }

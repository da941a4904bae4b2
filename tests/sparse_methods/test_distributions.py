"""How a sparsity is shared: by hand on small layers, and on published networks against published numbers.

Hand values follow the definition: with ones = N - floor(S N) and zeros = floor(S N) per layer, eps = (ones of free
layers - zeros of forced-dense ones) / (sum of raw N over free layers), and a layer's sparsity is 1 - eps raw.
"""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_methods.distributions import layer_sparsities

Shapes = dict[str, tuple[int, ...]]


def test_uniform_gives_every_layer_the_global_sparsity() -> None:
    assert layer_sparsities("uniform", 0.9, {"a": (3, 4), "b": (5, 6, 3, 3)}) == {"a": 0.9, "b": 0.9}


def test_erk_by_hand() -> None:
    """raw 20/100 and 25/100, 20 ones each: eps = 40 / (20 + 25) = 8/9."""
    found = layer_sparsities("erk", 0.8, {"a": (10, 10), "b": (20, 5)})
    assert found == pytest.approx({"a": 1 - 8 / 45, "b": 1 - 2 / 9})


def test_erk_counts_ones_after_flooring_the_zeros() -> None:
    """S N = 3.5 and 10.5: zeros 3 and 10, so ones 4 and 11 (not 3.5 and 10.5). raw N = 8 and 10: eps = 15/18."""
    found = layer_sparsities("erk", 0.5, {"a": (1, 7), "b": (3, 7)})
    assert found == pytest.approx({"a": 1 - 15 / 18 * 8 / 7, "b": 1 - 15 / 18 * 10 / 21})


def test_er_takes_channels_only_and_erk_kernels_too() -> None:
    """Shapes (8, 4, 3, 3) and (10, 16), S = 0.75: ones 72 and 40.

    ERK: raw 18/288 and 26/160, raw N = 18 and 26, eps = 112/44.
    ER: raw 12/32 and 26/160, raw N = 108 and 26, eps = 112/134.
    """
    shapes = {"conv": (8, 4, 3, 3), "fc": (10, 16)}
    erk, er = 112 / 44, 112 / 134
    assert layer_sparsities("erk", 0.75, shapes) == pytest.approx(
        {"conv": 1 - erk * 18 / 288, "fc": 1 - erk * 26 / 160}
    )
    assert layer_sparsities("erdos_renyi", 0.75, shapes) == pytest.approx(
        {"conv": 1 - er * 12 / 32, "fc": 1 - er * 26 / 160}
    )


def test_er_and_erk_agree_without_kernels() -> None:
    shapes = {"a": (30, 20), "b": (20, 40), "c": (10, 30)}
    assert layer_sparsities("erk", 0.8, shapes) == pytest.approx(layer_sparsities("erdos_renyi", 0.8, shapes))


def test_layers_that_would_exceed_one_become_dense_ties_together() -> None:
    """Two 2x2 layers (raw 1) and a 10x20 (raw 0.15), S = 0.5: eps = 104/38 > 1, both small ones become dense and their
    two zeros each are charged to the large one: eps = (100 - 4)/30 = 3.2, its sparsity 1 - 0.48."""
    found = layer_sparsities("erk", 0.5, {"small": (2, 2), "large": (10, 20), "twin": (2, 2)})
    assert found == {"small": 0.0, "large": pytest.approx(0.52), "twin": 0.0}


def test_a_layer_that_only_the_second_solution_forces_dense() -> None:
    """Layers 1x1 (raw 2), 4x4 (raw 1/2), 20x20 (raw 1/10), S = 0.5: zeros 0, 8, 200; ones 1, 8, 200.

    eps is 209/(2+8+40) = 4.18, times 2 > 1; then 208/48 = 4.333, times 1/2 > 1; then (200-8)/40 = 4.8, which leaves
    0.48 of the large layer: 192 + 16 + 1 = 209 weights in all, as asked.
    """
    found = layer_sparsities("erk", 0.5, {"tiny": (1, 1), "middle": (4, 4), "large": (20, 20)})
    assert found == {"tiny": 0.0, "middle": 0.0, "large": pytest.approx(0.52)}


def test_fixed_layers_are_outside_both_sums_and_not_compensated() -> None:
    """What a and b get is what they get alone, whatever else there is."""
    shapes = {"stem": (64, 3, 7, 7), "a": (10, 10), "own": (50, 60), "b": (20, 5)}
    found = layer_sparsities("erk", 0.8, shapes, {"stem": "unmasked", "own": 0.3})
    assert found == {"stem": None, "a": pytest.approx(1 - 8 / 45), "own": 0.3, "b": pytest.approx(1 - 2 / 9)}
    assert list(found) == list(shapes)


def test_an_explicit_zero_is_not_unmasked() -> None:
    assert layer_sparsities("uniform", 0.5, {"a": (2, 2), "b": (2, 2)}, {"a": 0.0}) == {"a": 0.0, "b": 0.5}


def test_nothing_to_remove_leaves_everything_dense() -> None:
    found = layer_sparsities("erk", 0.0, {"a": (10, 10), "b": (20, 5), "c": (3, 4, 3, 3)})
    assert found == pytest.approx({"a": 0.0, "b": 0.0, "c": 0.0}, abs=1e-12)


def test_unknown_distribution_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'normal'.*uniform.*erdos_renyi.*erk"):
        layer_sparsities("normal", 0.5, {"a": (2, 2)})


def test_unknown_layer_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'conv9'.*conv1.*fc"):
        layer_sparsities("erk", 0.5, {"conv1": (2, 2, 3, 3), "fc": (2, 2)}, {"conv9": "unmasked"})


@pytest.mark.parametrize("distribution", ["uniform", "erdos_renyi", "erk"])
@pytest.mark.parametrize("rule", ["unmasked", 0.5])
def test_an_empty_pool_is_an_error_that_lists_the_layers(distribution: str, rule: float) -> None:
    with pytest.raises(ValueError, match=r"conv1.*fc"):
        layer_sparsities(distribution, 0.5, {"conv1": (2, 2, 3, 3), "fc": (2, 2)}, {"conv1": rule, "fc": rule})


def test_a_model_without_layers_is_an_error() -> None:
    with pytest.raises(ValueError, match="none"):
        layer_sparsities("uniform", 0.5, {})


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, float("nan")])
def test_sparsity_out_of_range(sparsity: float) -> None:
    with pytest.raises(ValueError, match="sparsity"):
        layer_sparsities("uniform", sparsity, {"a": (2, 2)})


@pytest.mark.parametrize("rule", [-0.1, 1.0, "dense", None])
def test_rule_out_of_range_names_the_layer(rule: object) -> None:
    with pytest.raises(ValueError, match=r"'a'.*unmasked"):
        layer_sparsities("uniform", 0.5, {"a": (2, 2), "b": (2, 2)}, {"a": rule})


# -- published networks ------------------------------------------------------------------------------------------------


def plain_erk(sparsity: float, shapes: Shapes) -> dict[str, Fraction]:
    """ERK in exact arithmetic; only floor(S N) is float64, as specified."""
    dense: set[str] = set()
    while True:
        numerator, denominator = 0, Fraction(0)
        raw = {}
        for name, shape in shapes.items():
            weights = math.prod(shape)
            zeros = math.floor(sparsity * weights)
            if name in dense:
                numerator -= zeros
                continue
            raw[name] = Fraction(sum(shape), weights)
            numerator += weights - zeros
            denominator += raw[name] * weights
        if not raw:
            return dict.fromkeys(shapes, Fraction(0))
        eps = numerator / denominator
        largest = max(raw.values())
        if eps * largest <= 1:
            return {name: Fraction(0) if name in dense else 1 - eps * raw[name] for name in shapes}
        dense |= {name for name in raw if raw[name] == largest}


Network = dict[str, tuple[tuple[int, ...], int]]
"""By layer: weight shape, and the side of its (square) output."""


def resnet50() -> Network:
    """Version 1.5: the stride sits on the 3x3."""
    layers: Network = {"conv1": ((64, 3, 7, 7), 112)}
    channels, side = 64, 56
    for stage, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(blocks):
            out = side // 2 if block == 0 and stage > 0 else side
            prefix = f"layer{stage + 1}.{block}"
            layers[f"{prefix}.conv1"] = ((width, channels, 1, 1), side)
            layers[f"{prefix}.conv2"] = ((width, width, 3, 3), out)
            layers[f"{prefix}.conv3"] = ((4 * width, width, 1, 1), out)
            if block == 0:
                layers[f"{prefix}.shortcut"] = ((4 * width, channels, 1, 1), out)
            channels, side = 4 * width, out
    layers["fc"] = ((1000, 2048), 1)
    return layers


def wrn22_2() -> Network:
    layers: Network = {"conv1": ((16, 3, 3, 3), 32)}
    channels = 16
    for group, (width, side) in enumerate([(32, 32), (64, 16), (128, 8)]):
        for block in range(3):
            prefix = f"group{group}.{block}"
            layers[f"{prefix}.conv1"] = ((width, channels, 3, 3), side)
            layers[f"{prefix}.conv2"] = ((width, width, 3, 3), side)
            if block == 0:
                layers[f"{prefix}.shortcut"] = ((width, channels, 1, 1), side)
            channels = width
    layers["fc"] = ((10, 128), 1)
    return layers


def nonzeros(network: Network, sparsities: dict[str, float | None]) -> dict[str, int]:
    weights = {name: math.prod(shape) for name, (shape, _) in network.items()}
    return {name: n - math.floor((sparsities[name] or 0.0) * n) for name, n in weights.items()}


def inference_flops(network: Network, sparsities: dict[str, float | None], per_output: int = 1) -> float:
    """2 MACs (1-s), and ``per_output`` operations per output element, of every conv and linear layer.

    The authors count 1; 0 is plain multiply-adds.
    """
    return sum(
        (2 * math.prod(shape) * (1 - (sparsities[name] or 0.0)) + per_output * shape[0]) * side**2
        for name, (shape, side) in network.items()
    )


def inference_flops_multiple(network: Network, sparsities: dict[str, float | None], per_output: int = 1) -> float:
    return inference_flops(network, sparsities, per_output) / inference_flops(
        network, dict.fromkeys(network), per_output
    )


def size_mb(network: Network, sparsities: dict[str, float | None]) -> float:
    """32 bits per nonzero, one bit per weight of each sparse layer, 32 bits per output channel."""
    bits = 32 * sum(nonzeros(network, sparsities).values()) + 32 * sum(shape[0] for shape, _ in network.values())
    bits += sum(math.prod(shape) for name, (shape, _) in network.items() if sparsities[name])
    return bits / 8e6


def shapes_of(network: Network) -> Shapes:
    return {name: shape for name, (shape, _) in network.items()}


@pytest.mark.parametrize("network", [resnet50(), wrn22_2()], ids=["resnet50", "wrn22_2"])
@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.9, 0.95, 0.965, 0.98, 0.99])
def test_erk_of_published_networks_equals_exact_arithmetic(network: Network, sparsity: float) -> None:
    shapes = shapes_of(network)
    expected = plain_erk(sparsity, shapes)
    found = layer_sparsities("erk", sparsity, shapes)
    assert found == pytest.approx({name: float(value) for name, value in expected.items()}, abs=1e-12)
    assert {name for name, value in found.items() if value == 0} == {name for name in shapes if expected[name] == 0}
    budget = (1 - sparsity) * sum(math.prod(shape) for shape in shapes.values())
    assert abs(sum(nonzeros(network, found).values()) - budget) <= 2 * len(shapes)
    pool_ones = sum(math.prod(shape) - math.floor(sparsity * math.prod(shape)) for shape in shapes.values())
    assert 0 <= sum(nonzeros(network, found).values()) - pool_ones <= len(shapes)


def test_weights_of_the_published_networks() -> None:
    """25,502,912 and 1,076,912 in 54 and 23 tensors; 102.122 MB dense."""
    assert sum(math.prod(shape) for shape in shapes_of(resnet50()).values()) == 25_502_912
    assert sum(math.prod(shape) for shape in shapes_of(wrn22_2()).values()) == 1_076_912
    assert (len(resnet50()), len(wrn22_2())) == (54, 23)
    assert size_mb(resnet50(), dict.fromkeys(resnet50())) == pytest.approx(102.122, abs=5e-4)


@pytest.mark.parametrize(
    ("sparsity", "distribution", "rules", "flops", "megabytes"),
    [
        (0.8, "uniform", {"conv1": "unmasked"}, 0.224, 23.729),
        (0.8, "erk", {}, 0.415, 23.684),
        (0.9, "uniform", {"conv1": "unmasked"}, 0.127, 13.532),
        (0.9, "uniform", {}, 0.101, 13.499),
        (0.9, "erk", {}, 0.243, 13.499),
        (0.95, "uniform", {"conv1": "unmasked"}, 0.079, 8.433),
        (0.95, "erk", {}, 0.123, 8.399),
        (0.965, "uniform", {"conv1": "unmasked"}, 0.064, 6.904),
        (0.965, "erk", {}, 0.086, 6.869),
        (0.965, "erk", {"conv1": "unmasked"}, 0.111, 6.904),
        (0.99, "erk", {"conv1": "unmasked"}, 0.053, 4.354),
    ],
)
def test_resnet50_flops_and_size(
    sparsity: float, distribution: str, rules: dict[str, str], flops: float, megabytes: float
) -> None:
    """Published record, section 5: to the printed digits."""
    network = resnet50()
    found = layer_sparsities(distribution, sparsity, shapes_of(network), rules)
    assert size_mb(network, found) == pytest.approx(megabytes, abs=5.1e-4)
    assert inference_flops_multiple(network, found) == pytest.approx(flops, abs=5.1e-4)


@pytest.mark.parametrize(
    ("sparsity", "authors", "multiply_adds"),
    [
        (0.8, 0.4153, 0.4138),
        (0.9, 0.2431, 0.2418),
        (0.95, 0.1230, 0.1217),
        (0.965, 0.0865, 0.0852),
        (0.99, 0.0548, 0.0520),
    ],
)
def test_resnet50_erk_by_two_countings(sparsity: float, authors: float, multiply_adds: float) -> None:
    """Published record, section 4, item 10: the authors charge the first conv at 115 x 115."""
    network = resnet50()
    found = layer_sparsities("erk", sparsity, shapes_of(network), {"conv1": "unmasked"} if sparsity == 0.99 else {})
    assert inference_flops_multiple(network, found, per_output=0) == pytest.approx(multiply_adds, abs=5.1e-5)
    charged = network | {"conv1": (network["conv1"][0], 115)}
    assert inference_flops(charged, dict.fromkeys(network)) == 8_202_340_776
    assert inference_flops_multiple(charged, found) == pytest.approx(authors, abs=5.1e-5)


@pytest.mark.parametrize(
    ("sparsity", "erk", "uniform"),
    [(0.5, 0.729, 0.502), (0.8, 0.353, 0.203), (0.9, 0.175, 0.104), (0.95, 0.089, 0.054)],
)
def test_wrn22_2_flops(sparsity: float, erk: float, uniform: float) -> None:
    """Published record, section 5: ERK with the first conv in the pool, uniform without."""
    network = wrn22_2()
    for distribution, rules, published in (("erk", {}, erk), ("uniform", {"conv1": "unmasked"}, uniform)):
        found = layer_sparsities(distribution, sparsity, shapes_of(network), rules)
        assert inference_flops_multiple(network, found) == pytest.approx(published, abs=5.1e-4)


def test_wrn22_2_erk_with_and_without_the_first_conv_in_the_pool() -> None:
    """MLRC's 0.17x: 0.1747 with the first conv inside the pool, 0.1753 without."""
    network = wrn22_2()
    for rules, flops in (({}, 0.1747), ({"conv1": "unmasked"}, 0.1753)):
        found = layer_sparsities("erk", 0.9, shapes_of(network), rules)
        assert inference_flops_multiple(network, found) == pytest.approx(flops, abs=5.1e-5)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(1, 30), st.integers(1, 30)),
            st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.integers(1, 5)),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([0.1, 0.29, 0.5, 0.8, 0.9, 0.95]),
)
def test_erk_equals_exact_arithmetic_and_meets_its_budget(shapes: list[tuple[int, ...]], sparsity: float) -> None:
    named = {f"layer{index}": shape for index, shape in enumerate(shapes)}
    found = layer_sparsities("erk", sparsity, named)
    exact = plain_erk(sparsity, named)
    assert found == pytest.approx({name: float(value) for name, value in exact.items()}, abs=1e-9)
    assert all(0 <= value < 1 for value in found.values())
    ones = sum(math.prod(shape) - math.floor(sparsity * math.prod(shape)) for shape in shapes)
    assert sum((1 - found[name]) * math.prod(shape) for name, shape in named.items()) == pytest.approx(ones)

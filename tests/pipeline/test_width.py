"""Widths that meet a target, against counts by hand and against networks that are really built."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import models
from pipeline.counting import trace
from pipeline.plan import Spec, equal_flops_multiplier, resolve
from pipeline.run import LearningRate, Protocol, Run, Topology
from pipeline.width import UNITS, at_width, solutions, solve
from sparse_methods.widths import widest

MNIST, CIFAR = (1, 28, 28), (3, 32, 32)
PROTOCOL = Protocol(32_000, 128, LearningRate(0.1), topology=Topology(end=25_000))
LENET = Run("lenet300", "mnist", "rigl", PROTOCOL, sparsity=0.9)
WRN = Run("wrn22_2", "cifar10", "rigl", PROTOCOL, sparsity=0.9, distribution="erk")


@pytest.fixture(scope="module")
def wrn() -> Spec:
    return resolve(WRN, CIFAR, 10)


# -- the search -----------------------------------------------------------------------------------------------------------


@given(slope=st.floats(1, 1e6), limit=st.floats(1, 1e7))
def test_the_widest_meets_its_limit_and_a_hair_more_does_not(slope: float, limit: float) -> None:
    def measure(width: float) -> float:
        return slope * width

    if limit / slope >= 64 or limit / slope <= 1e-4:
        return
    width = widest(measure, limit, "units")
    assert measure(width) <= limit < measure(width + 2e-4)


def test_a_limit_below_the_narrowest_network_is_an_error_that_says_what_it_has() -> None:
    with pytest.raises(ValueError, match="no width gives at most 4 bytes: the narrowest network has 5"):
        widest(lambda width: 5 + math.floor(100 * width), 4, "bytes")


def test_a_limit_beyond_any_width_is_an_error_that_says_what_is_reached() -> None:
    with pytest.raises(ValueError, match="no width up to 64 reaches 100 FLOPs: there it is 7"):
        widest(lambda width: 7, 100, "FLOPs")


# -- measures -------------------------------------------------------------------------------------------------------------


def test_measures_of_a_wider_lenet_by_hand() -> None:
    spec = resolve(LENET, MNIST, 10)
    # Half as wide: 150 and 50 units, 90 % of every matrix zero.
    weights = [784 * 150, 150 * 50, 50 * 10]
    active = [size - math.floor(0.9 * size) for size in weights]
    assert at_width(spec, 0.5, True) == {
        "parameters": sum(active) + 210,
        "macs": 2 * sum(active),
        "rigl": 2 * sum(active) + 210,
        "size_bytes": (32 * sum(active) + sum(weights) + 32 * 210) // 8,
    }
    assert at_width(spec, 0.5, False)["macs"] == 2 * sum(weights)


@pytest.mark.parametrize("width", [0.5, 1.0, 1.7])
def test_measures_are_those_of_the_network_built_at_that_width(wrn: Spec, width: float) -> None:
    wider = resolve(replace(WRN, model_options={"width": width}), CIFAR, 10)
    nonzeros = {row.layer: row.nonzeros for row in wider.layers()}
    assert at_width(wrn, width, True) == {
        "parameters": wider.parameters,
        "macs": wider.network.inference_flops("macs", nonzeros),
        "rigl": wider.network.inference_flops("rigl", nonzeros),
        "size_bytes": wider.size_bytes(),
    }
    dense = models.build("wrn22_2", CIFAR, 10, width=width)
    assert at_width(wrn, width, False)["parameters"] == sum(p.numel() for p in dense.parameters())
    assert at_width(wrn, width, False)["rigl"] == trace(dense, CIFAR).inference_flops("rigl")


def test_solutions_meet_their_targets_and_the_next_channel_does_not(wrn: Spec) -> None:
    found = solutions(wrn)
    assert [(s.measure, s.sparse) for s in found] == [
        (measure, sparse) for measure in UNITS for sparse in (False, True)
    ]
    for solution in found:
        assert solution.target == at_width(wrn, 1.0, not solution.sparse)[solution.measure]
        assert solution.reached == at_width(wrn, solution.width, solution.sparse)[solution.measure] <= solution.target
        assert at_width(wrn, solution.width + 3e-4, solution.sparse)[solution.measure] > solution.target
        assert solution.width == round(solution.width, 4)
        assert (solution.width > 1) == solution.sparse


def test_a_target_that_no_width_reaches_has_a_reason(wrn: Spec) -> None:
    unreached = solve(wrn, "size_bytes", 10, sparse=False)
    assert (unreached.width, unreached.reached) == (None, None)
    assert unreached.reason.startswith("no width gives at most 10 bytes: the narrowest network has ")
    with pytest.raises(ValueError, match="unknown measure 'bytes'; there are parameters, macs, rigl, size_bytes"):
        solve(wrn, "bytes", 10, sparse=False)


# -- the multiplier of equal FLOPs ----------------------------------------------------------------------------------------


def equal_flops(method: str, **fields: object) -> float:
    return equal_flops_multiplier(replace(LENET, method=method, **fields), MNIST, 10)


def test_multipliers_of_equal_flops_by_hand() -> None:
    dense, sparse = 532_400 + 410, 53_240 + 410
    assert equal_flops("dense", sparsity=0.0) == 1.0
    assert equal_flops("static") == round(dense / sparse, 3)
    assert equal_flops("snfs") == round(3 * dense / (2 * sparse + dense), 3)
    assert equal_flops("rigl") == round(101 * 3 * dense / (302 * sparse + dense), 3)


def test_a_pruning_run_of_equal_flops_costs_what_the_dense_run_costs() -> None:
    multiplier = equal_flops("pruning")
    spec = resolve(replace(LENET, method="pruning", multiplier=multiplier), MNIST, 10)
    assert spec.costs()["rigl"]["train_x"] == pytest.approx(1, abs=5e-4)


def test_a_cost_that_is_known_only_afterwards_has_no_multiplier() -> None:
    with pytest.raises(ValueError, match="the cost of 'dsr' is known only when it has run; give a number"):
        equal_flops("dsr", distribution="erk")

"""Specifications: what resolving a run finds, and that a plan read back is the plan."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline import models
from pipeline.plan import Spec, read_plan, resolve, write_plan
from pipeline.run import LearningRate, Optimizer, Protocol, Run, StartFrom, Topology
from sparse_methods.sparsifier import sparsify

DIGITS, CIFAR = (1, 8, 8), (3, 32, 32)
PROTOCOL = Protocol(300, 32, LearningRate(0.1, "step", milestones=(100, 200)), topology=Topology(50, 20, 200))
RIGL = Run("lenet300", "digits", "rigl", PROTOCOL, sparsity=0.9, distribution="erk")


def test_counts_are_those_of_the_engine() -> None:
    for method in ("rigl", "static", "snfs", "snip", "pruning"):
        for distribution in ("uniform", "erk", "erdos_renyi"):
            spec = resolve(replace(RIGL, method=method, distribution=distribution), DIGITS, 10)
            model = spec.build()
            optimizer = torch.optim.SGD(model.parameters(), 0.1)
            masked = sparsify(model, optimizer, "static", 0.9, distribution, total_steps=10, layers=spec.rules)
            assert [(row.layer, row.nonzeros, row.masked) for row in spec.layers()] == [
                (row.layer, row.nonzeros, row.masked) for row in masked.counts()
            ]
            assert spec.requested() == masked.requested


def test_layers_by_hand() -> None:
    rows = resolve(replace(RIGL, distribution="uniform", sparsity=0.95), DIGITS, 10).layers()
    assert [(row.layer, row.shape, row.weights, row.nonzeros, row.masked) for row in rows] == [
        ("fc1", (300, 64), 19_200, 19_200 - 18_240, True),
        ("fc2", (100, 300), 30_000, 30_000 - 28_500, True),
        ("fc3", (10, 100), 1_000, 1_000 - 950, True),
    ]
    assert [row.sparsity for row in rows] == [0.95, 0.95, 0.95]


def test_parameters_are_the_sparse_networks_biases_included() -> None:
    spec = resolve(replace(RIGL, distribution="uniform"), DIGITS, 10)
    assert spec.parameters == (1_920 + 3_000 + 100) + (300 + 100 + 10)


def test_a_runs_own_layers_go_over_the_models_rules() -> None:
    run = Run("wrn22_2", "cifar10", "rigl", PROTOCOL, sparsity=0.9, layers={"conv1": 0.5, "fc": "unmasked"})
    spec = resolve(run, CIFAR, 10)
    assert spec.rules == {"conv1": 0.5, "fc": "unmasked"}
    rows = {row.layer: row for row in spec.layers()}
    assert rows["conv1"].nonzeros == 432 - 216
    assert (rows["fc"].masked, rows["fc"].nonzeros) == (False, 1280)
    assert resolve(replace(run, layers={}), CIFAR, 10).rules == {"conv1": "unmasked"}


def test_a_layout_changes_the_rules() -> None:
    spec = resolve(replace(RIGL, layout="mnist-authors", distribution="uniform"), DIGITS, 10)
    assert spec.rules["fc3"] == "unmasked"
    rows = {row.layer: row for row in spec.layers()}
    assert rows["fc1"].nonzeros == 19_200 - 17_280
    assert rows["fc2"].nonzeros == 30_000 - math.floor(0.9 * 0.9 * 30_000)
    assert rows["fc3"].nonzeros == 1_000


def test_a_dense_run_masks_nothing() -> None:
    spec = resolve(Run("wrn22_2", "cifar10", "dense", PROTOCOL), CIFAR, 10)
    assert spec.requested() == {}
    assert {(row.masked, row.sparsity) for row in spec.layers()} == {(False, 0.0)}
    assert spec.network.inference_flops("macs") == spec.dense_inference_flops["macs"]


def test_the_schedule_is_scaled() -> None:
    schedule = resolve(replace(RIGL, multiplier=5.0), DIGITS, 10).schedule()
    assert (schedule.total_steps, schedule.begin, schedule.end) == (1500, 100, 1000)
    assert (schedule.update_every, schedule.drop_fraction, schedule.decay) == (50, 0.3, "cosine")


@pytest.mark.parametrize(("end", "expected"), [("never", "never"), (None, 225)])
def test_an_end_that_is_no_step(end: Any, expected: Any) -> None:
    run = replace(RIGL, protocol=replace(PROTOCOL, topology=Topology(50, 20, end)))
    assert resolve(run, DIGITS, 10).schedule().end == expected


def test_a_small_dense_network_is_the_widest_that_fits() -> None:
    spec = resolve(replace(RIGL, method="small_dense", distribution="uniform"), DIGITS, 10)
    assert spec.skip is None

    def parameters(model: nn.Module) -> int:
        return sum(parameter.numel() for parameter in model.parameters())

    built = parameters(spec.build())
    assert built <= spec.parameters
    widths = [layer.shape[0] for layer in spec.network.layers]
    # Both hidden layers follow one multiplier, so the next wider network has a unit more in the first at least.
    first, second = widths[0] + 1, widths[1]
    assert 64 * first + first * second + 10 * second + first + second + 10 > spec.parameters


def test_a_network_that_cannot_be_narrow_enough_is_skipped_with_the_reason() -> None:
    # The narrowest LeNet has one unit in each hidden layer: 64 + 1, 1 + 1, and 1000 + 1000 for the outputs.
    spec = resolve(replace(RIGL, method="small_dense", sparsity=0.9999, distribution="uniform"), DIGITS, 1000)
    assert spec.parameters < 64 + 1 + 1 + 1 + 1000 + 1000
    assert spec.skip == f"no width gives at most {spec.parameters} parameters: the narrowest network has 2067"


def test_a_network_without_a_width_is_skipped_with_the_reason() -> None:
    spec = resolve(replace(RIGL, model=f"{__name__}:fixed_size", method="small_dense"), DIGITS, 10)
    assert spec.skip == f"model '{__name__}:fixed_size' does not take the option 'width'; valid: none"
    assert spec.network.inference_flops("macs") == spec.dense_inference_flops["macs"]


def fixed_size(input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """A user's model without a width."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), 7), nn.Linear(7, classes))


def never_called(input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """A user's model with a layer that its forward leaves out."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), classes))
    model[1].spare = nn.Linear(3, 3)
    return model


def test_a_users_model_is_resolved() -> None:
    rows = resolve(replace(RIGL, model=f"{__name__}:fixed_size"), DIGITS, 10).layers()
    assert [(row.layer, row.shape) for row in rows] == [("1", (7, 64)), ("2", (10, 7))]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": {"fc9": 0.5}}, "unknown layer 'fc9'; there are fc1, fc2, fc3"),
        (
            {"layers": {"fc1": "unmasked", "fc2": "unmasked", "fc3": "unmasked"}},
            "no layer is left for the erk distribution: every one of fc1, fc2, fc3 has a rule",
        ),
        (
            {"model_options": {"depth": 3}},
            "model 'lenet300' does not take the option 'depth'; valid: width, hidden, pixels",
        ),
        ({"layout": "mine"}, "model 'lenet300' has no layout 'mine'; valid: default, mnist-authors"),
    ],
)
def test_what_cannot_be_resolved_names_the_run(changes: dict[str, Any], message: str) -> None:
    run = replace(RIGL, **changes)
    with pytest.raises(ValueError) as caught:
        resolve(run, DIGITS, 10)
    assert str(caught.value) == f"{run.path}: {message}"


def test_a_layer_of_unknown_cost_is_named() -> None:
    with pytest.raises(ValueError, match=r"the cost of layer '1\.spare' .* is not known"):
        resolve(replace(RIGL, model=f"{__name__}:never_called"), DIGITS, 10)


def test_resolving_draws_no_seed_of_the_training() -> None:
    spec = resolve(RIGL, DIGITS, 10)
    torch.manual_seed(3)
    one = spec.build()
    torch.manual_seed(3)
    other = models.build("lenet300", DIGITS, 10)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("method", ["pruning", "rigl"])
def test_a_schedule_that_the_method_cannot_follow_is_said_before_training(method: str) -> None:
    run = replace(RIGL, method=method, protocol=replace(PROTOCOL, topology=Topology(begin=5, end=5)))
    with pytest.raises(ValueError, match=r"begin < end, both are 5") as caught:
        resolve(run, DIGITS, 10)
    assert str(caught.value).startswith(run.path)
    constant = replace(
        run, method="rigl", protocol=replace(PROTOCOL, topology=Topology(begin=5, end=5, decay="constant"))
    )
    assert resolve(constant, DIGITS, 10).skip is None


# -- plans ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jobs() -> dict[str, list[Spec]]:
    protocol = replace(
        PROTOCOL, optimizer=Optimizer("adam"), topology=Topology(end="never"), clip_norm=1.0, augmentation="crop-flip"
    )
    child = replace(
        RIGL, layers={"fc1": 0.5, "fc2": "unmasked"}, start_from=StartFrom(replace(RIGL, method="static"), "mask")
    )
    runs = {
        "rigl": [RIGL, child],
        "other": [
            Run("wrn22_2", "cifar10", "small_dense", protocol, sparsity=0.9, multiplier=0.5, seed=3),
            replace(RIGL, model=f"{__name__}:fixed_size", method="small_dense"),
        ],
        "none": [],
    }
    return {
        name: [resolve(run, CIFAR if run.dataset == "cifar10" else DIGITS, 10) for run in some]
        for name, some in runs.items()
    }


def test_a_plan_read_back_is_the_plan(tmp_path: Path, jobs: dict[str, list[Spec]]) -> None:
    path = tmp_path / "plans" / "study.json"
    write_plan(path, jobs)
    again = read_plan(path)
    assert again == jobs
    for name, specs in jobs.items():
        for spec, read in zip(specs, again[name], strict=True):
            assert read.run.path == spec.run.path
            assert read.costs() == spec.costs()
            assert read.layers() == spec.layers()
            assert read.schedule() == spec.schedule()
    assert [file.name for file in path.parent.iterdir()] == ["study.json"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"job": 3}', '{"job": [{}]}', '{"job": [{"network": {"layers": []}, "run": {}}]}'],
)
def test_a_plan_that_is_none_names_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(ValueError) as caught:
        read_plan(path)
    assert str(caught.value).startswith(f"{path} is not a readable plan (")
    assert str(caught.value).endswith("; delete it and run again")


def test_a_plan_that_is_missing_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"{tmp_path / 'plan.json'} is not a readable plan"):
        read_plan(tmp_path / "plan.json")


def test_a_plan_with_an_unknown_field_is_refused(tmp_path: Path, jobs: dict[str, list[Spec]]) -> None:
    path = tmp_path / "plan.json"
    write_plan(path, jobs)
    plan = json.loads(path.read_text())
    plan["rigl"][0]["run"]["newer"] = 1
    path.write_text(json.dumps(plan))
    with pytest.raises(ValueError, match="newer"):
        read_plan(path)

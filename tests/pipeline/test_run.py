"""The identity of a run: pinned names, digests that stay, round trips, and errors that name the field."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.run import (
    FieldError,
    LearningRate,
    Optimizer,
    Protocol,
    Run,
    StartFrom,
    Topology,
    non_defaults,
    run_from_dict,
)

REPOSITORY = Path(__file__).resolve().parents[2]
PROTOCOL = Protocol(
    steps=3000,
    batch_size=64,
    learning_rate=LearningRate(0.05, "step", milestones=(1500, 2250), factor=0.2),
    optimizer=Optimizer(nesterov=True, weight_decay=1e-4),
    topology=Topology(end=2250),
)
DENSE = Run("lenet300", "digits", "dense", PROTOCOL)
RIGL = replace(DENSE, method="rigl", sparsity=0.9, distribution="erk", seed=2)

# A name that changes here orphans every record that was ever made under it: change it only together with the
# comparability version, and say so in the changelog.
PINNED = {
    "dense": (DENSE, "digits-lenet300/dense/s0/seed0-4a2c4a2b"),
    "erk": (RIGL, "digits-lenet300/rigl-erk/s90/seed2-a4a3293a"),
    "method options": (
        replace(DENSE, method="snip", sparsity=0.965, method_options={"ranking": "global"}),
        "digits-lenet300/snip/s96.5/seed0-3611a841",
    ),
    "multiplier": (
        replace(RIGL, distribution="uniform", multiplier=0.2),
        "digits-lenet300/rigl/s90-x0.2/seed2-9b10184f",
    ),
    "start from": (
        replace(RIGL, start_from=StartFrom(replace(RIGL, method="static"), "mask")),
        "digits-lenet300/rigl-erk/s90/seed2-b0574b1f",
    ),
    "dotted model": (
        replace(DENSE, model="my_package.networks:tiny net", model_options={"width": 2}),
        "digits-my_package.networks.tiny.net/dense/s0/seed0-fd4f206d",
    ),
    "everything": (
        Run(
            "wrn22_2",
            "cifar10",
            "set",
            Protocol(
                10,
                2,
                LearningRate(0.1, "cosine", warmup_steps=3),
                Optimizer("adam", beta1=0.8, beta2=0.99),
                Topology(50, 1, "never", 0.1, "inverse_power:3"),
                "crop-flip",
                0.1,
                10.0,
                5,
                True,
            ),
            sparsity=0.5,
            distribution="erdos_renyi",
            layout="default",
            multiplier=5.0,
            seed=11,
            layers={"conv1": "unmasked", "fc": 0.25},
        ),
        "cifar10-wrn22_2/set-erdos_renyi/s50-x5/seed11-efb688f4",
    ),
}


@pytest.mark.parametrize("name", PINNED)
def test_names_are_pinned(name: str) -> None:
    run, path = PINNED[name]
    assert run.path == path


def test_the_digest_is_sha256_of_the_json_that_is_not_default() -> None:
    text = (
        '{"dataset": "digits", "method": "dense", "model": "lenet300", "protocol": {"batch_size": 64, '
        '"learning_rate": {"decay": "step", "factor": 0.2, "milestones": [1500, 2250], "peak": 0.05}, '
        '"optimizer": {"nesterov": true, "weight_decay": 0.0001}, "steps": 3000, "topology": {"end": 2250}}}'
    )
    assert hashlib.sha256(text.encode()).hexdigest()[:8] == DENSE.digest == "4a2c4a2b"


def test_defaults_are_left_out() -> None:
    assert non_defaults(RIGL) == {
        "model": "lenet300",
        "dataset": "digits",
        "method": "rigl",
        "sparsity": 0.9,
        "distribution": "erk",
        "seed": 2,
        "protocol": {
            "steps": 3000,
            "batch_size": 64,
            "learning_rate": {"peak": 0.05, "decay": "step", "milestones": [1500, 2250], "factor": 0.2},
            "optimizer": {"nesterov": True, "weight_decay": 1e-4},
            "topology": {"end": 2250},
        },
    }


def test_a_field_added_with_a_default_changes_no_digest() -> None:
    newer_protocol = dataclasses.make_dataclass(
        "Protocol", [("mixed_precision", bool, False)], bases=(Protocol,), frozen=True, kw_only=True
    )
    newer_run = dataclasses.make_dataclass(
        "Run",
        [("pruned_by", str | None, None), ("tags", list[str], dataclasses.field(default_factory=list))],
        bases=(Run,),
        frozen=True,
        kw_only=True,
    )

    def newer(run: Run, **changes: Any) -> Run:
        fields = {f.name: getattr(run, f.name) for f in dataclasses.fields(run)}
        protocol = {f.name: getattr(run.protocol, f.name) for f in dataclasses.fields(run.protocol)}
        return newer_run(**{**fields, "protocol": newer_protocol(**protocol), **changes})

    for run, path in PINNED.values():
        assert newer(run).path == path
    assert newer(RIGL, pruned_by="someone").digest != RIGL.digest


def test_old_records_are_read_with_the_defaults_of_new_fields() -> None:
    minimal = json.loads(json.dumps(non_defaults(PINNED["everything"][0])))
    assert run_from_dict(minimal) == PINNED["everything"][0]
    with_parent = json.loads(json.dumps(non_defaults(PINNED["start from"][0])))
    assert run_from_dict(with_parent) == PINNED["start from"][0]


def test_names_do_not_depend_on_the_process() -> None:
    code = """
import json, sys
from pipeline.run import run_from_dict
print(json.dumps([run_from_dict(run).path for run in json.load(sys.stdin)]))
"""
    runs = json.dumps([asdict(run) for run, _ in PINNED.values()])
    for hash_seed in ("1", "12345"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=runs,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout) == [path for _, path in PINNED.values()]


def test_runs_are_read_without_third_party_packages() -> None:
    code = "import sys, pipeline.run, pipeline.seeds, pipeline.record; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "pydantic", "yaml", "fvcore"} & set(done.stdout.split())


def test_order_of_options_does_not_matter() -> None:
    ways = [replace(RIGL, layers=dict(pairs)) for pairs in ([("a", 0.5), ("b", 0.1)], [("b", 0.1), ("a", 0.5)])]
    assert ways[0].digest == ways[1].digest


@pytest.mark.parametrize("name", PINNED)
def test_round_trip_through_json(name: str) -> None:
    run = PINNED[name][0]
    again = run_from_dict(json.loads(json.dumps(asdict(run))))
    assert again == run
    assert again.path == run.path


def test_round_trip_keeps_grandparents() -> None:
    grandchild = replace(
        RIGL, start_from=StartFrom(replace(RIGL, method="static", start_from=StartFrom(DENSE, "weights")), "both")
    )
    again = run_from_dict(json.loads(json.dumps(asdict(grandchild))))
    assert again == grandchild
    assert again.start_from.run.start_from == StartFrom(DENSE, "weights")


def test_unknown_keys_are_refused_when_read() -> None:
    for change in (
        lambda data: data | {"modle": 1},
        lambda data: data | {"protocol": data["protocol"] | {"step": 1}},
        lambda data: data | {"protocol": data["protocol"] | {"topology": {"every": 1}}},
    ):
        with pytest.raises(TypeError, match=r"modle|step|every"):
            run_from_dict(change(asdict(RIGL)))


def test_unknown_keys_beside_a_parent_are_refused_when_read() -> None:
    child = asdict(PINNED["start from"][0])
    child["start_from"]["tke"] = "mask"
    with pytest.raises(TypeError, match="tke"):
        run_from_dict(child)


# -- cells and seeds ------------------------------------------------------------------------------------------------------


def test_a_cell_is_its_runs_over_seeds() -> None:
    assert len({RIGL.at_seed(seed).cell_digest for seed in range(4)}) == 1
    assert len({RIGL.at_seed(seed).digest for seed in range(4)}) == 4
    assert RIGL.cell_digest == RIGL.at_seed(0).digest


@pytest.mark.parametrize(
    "change",
    [
        {"model": "lenet5"},
        {"dataset": "mnist"},
        {"method": "set"},
        {"sparsity": 0.8},
        {"distribution": "uniform"},
        {"layout": "mnist-authors"},
        {"multiplier": 5.0},
        {"model_options": {"width": 2}},
        {"method_options": {"a": 1}},
        {"layers": {"fc1": 0.5}},
        {"start_from": StartFrom(DENSE)},
        {"protocol": replace(PROTOCOL, steps=3001)},
        {"protocol": replace(PROTOCOL, topology=Topology(end="never"))},
        {"protocol": replace(PROTOCOL, deterministic=True)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_other_field_makes_another_cell(change: dict[str, Any]) -> None:
    assert replace(RIGL, **change).cell_digest != RIGL.cell_digest


def test_a_parent_of_the_same_repetition_follows_the_seed() -> None:
    child = replace(RIGL, start_from=StartFrom(replace(RIGL, method="static")))
    moved = child.at_seed(7)
    assert (moved.seed, moved.start_from.run.seed) == (7, 7)
    assert moved.at_seed(2) == child
    assert moved.cell_digest == child.cell_digest


def test_grandparents_follow_the_seed_too() -> None:
    parent = replace(RIGL, method="static", start_from=StartFrom(replace(DENSE, seed=2)))
    moved = replace(RIGL, start_from=StartFrom(parent)).at_seed(5)
    assert moved.start_from.run.start_from.run.seed == 5


def test_a_parent_of_a_fixed_repetition_stays() -> None:
    child = replace(RIGL, start_from=StartFrom(replace(DENSE, seed=0)))
    assert child.at_seed(7).start_from.run.seed == 0


def test_anchors_scale_with_the_multiplier() -> None:
    assert replace(RIGL, multiplier=5.0).steps == 15000
    assert replace(RIGL, multiplier=0.2).scaled(2250) == 450
    assert replace(RIGL, multiplier=0.2).scaled(7) == 1


# -- ranges ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(RIGL, sparsity=1.0), "sparsity is 1.0, it must be within [0, 1)"),
        (lambda: replace(RIGL, sparsity=-0.1), "sparsity is -0.1, it must be within [0, 1)"),
        (lambda: replace(RIGL, sparsity=float("nan")), "sparsity is nan, it must be within [0, 1)"),
        (lambda: replace(RIGL, multiplier=0), "multiplier is 0.0, it must be above 0"),
        (lambda: replace(RIGL, seed=-1), "seed is -1, it must be at least 0"),
        (lambda: replace(PROTOCOL, steps=0), "steps is 0, it must be at least 1"),
        (lambda: replace(PROTOCOL, batch_size=0), "batch_size is 0, it must be at least 1"),
        (lambda: replace(PROTOCOL, label_smoothing=1.0), "label_smoothing is 1.0, it must be within [0, 1)"),
        (lambda: replace(PROTOCOL, clip_norm=0.0), "clip_norm is 0.0, it must be above 0"),
        (lambda: replace(PROTOCOL, evaluations=0), "evaluations is 0, it must be at least 1"),
        (lambda: Topology(update_every=0), "update_every is 0, it must be at least 1"),
        (lambda: Topology(begin=-1), "begin is -1, it must be at least 0"),
        (lambda: Topology(drop_fraction=1.5), "drop_fraction is 1.5, it must be within [0, 1]"),
        (lambda: Topology(begin=5, end=4), "end is 4, it must be at least begin (5)"),
        (lambda: LearningRate(0.0), "peak is 0.0, it must be above 0"),
        (lambda: LearningRate(0.1, warmup_steps=-1), "warmup_steps is -1, it must be at least 0"),
        (lambda: LearningRate(0.1, factor=0.0), "factor is 0.0, it must be within (0, 1]"),
        (
            lambda: LearningRate(0.1, "step", milestones=(5, 5)),
            "milestones is (5, 5), it must be an increasing list of steps",
        ),
        (
            lambda: LearningRate(0.1, "step"),
            "milestones is (), it must be given when, and only when, decay is `step`",
        ),
        (
            lambda: LearningRate(0.1, "cosine", milestones=(5,)),
            "milestones is (5,), it must be given when, and only when, decay is `step`",
        ),
        (lambda: Optimizer(momentum=1.0), "momentum is 1.0, it must be within [0, 1)"),
        (lambda: Optimizer(beta1=1.0), "beta1 is 1.0, it must be within [0, 1)"),
        (lambda: Optimizer(beta2=-0.5), "beta2 is -0.5, it must be within [0, 1)"),
        (lambda: Optimizer(weight_decay=-1.0), "weight_decay is -1.0, it must be at least 0"),
    ],
    ids=lambda value: value.partition(",")[0] if isinstance(value, str) else "",
)
def test_a_value_out_of_range_names_its_field(make: Any, message: str) -> None:
    with pytest.raises(FieldError) as caught:
        make()
    assert str(caught.value).startswith(message)
    assert caught.value.field == message.split()[0]


@pytest.mark.parametrize("field", ["peak", "multiplier", "clip_norm", "weight_decay"])
def test_infinity_is_out_of_range(field: str) -> None:
    make = {
        "peak": lambda value: LearningRate(value),
        "multiplier": lambda value: replace(RIGL, multiplier=value),
        "clip_norm": lambda value: replace(PROTOCOL, clip_norm=value),
        "weight_decay": lambda value: Optimizer(weight_decay=value),
    }[field]
    with pytest.raises(FieldError, match=f"{field} is inf"):
        make(float("inf"))


@pytest.mark.parametrize("decay", ["cosin", "inverse_power", "inverse_power:x", "linear"])
def test_an_unknown_decay_of_the_drop_fraction_names_the_choices(decay: str) -> None:
    with pytest.raises(FieldError, match=r"decay is .*cosine, constant.*inverse_power:K"):
        Topology(decay=decay)


def test_a_run_has_at_least_one_step() -> None:
    with pytest.raises(FieldError, match="multiplier"):
        replace(RIGL, multiplier=1e-4)


# -- equal runs, equal digests --------------------------------------------------------------------------------------------

SPARSITIES = st.sampled_from([0.0, 0.5, 0.9, 0.95])
PROTOCOLS = st.builds(
    Protocol,
    steps=st.sampled_from([10, 11]),
    batch_size=st.sampled_from([1, 2]),
    learning_rate=st.builds(
        LearningRate,
        peak=st.sampled_from([0.1, 1.0]),
        decay=st.sampled_from(["constant", "cosine"]),
        warmup_steps=st.integers(0, 1),
    ),
    optimizer=st.builds(Optimizer, name=st.sampled_from(["sgd", "adam"]), nesterov=st.booleans()),
    topology=st.builds(
        Topology, end=st.sampled_from([None, "never", 3]), decay=st.sampled_from(["cosine", "constant"])
    ),
    clip_norm=st.sampled_from([None, 1.0]),
)
LONE_RUNS = st.builds(
    Run,
    model=st.sampled_from(["lenet300", "wrn22_2"]),
    dataset=st.sampled_from(["digits", "mnist"]),
    method=st.sampled_from(["dense", "rigl"]),
    protocol=PROTOCOLS,
    sparsity=SPARSITIES,
    distribution=st.sampled_from(["uniform", "erk"]),
    multiplier=st.sampled_from([0.2, 1.0, 5.0]),
    seed=st.integers(0, 1),
    method_options=st.dictionaries(st.sampled_from("ab"), st.sampled_from([0.5, "x", None]), max_size=2),
    layers=st.dictionaries(st.sampled_from("ab"), st.sampled_from([0.5, "unmasked"]), max_size=2),
)
RUNS = st.builds(
    replace,
    LONE_RUNS,
    start_from=st.none() | st.builds(StartFrom, run=LONE_RUNS, take=st.sampled_from(["weights", "mask", "both"])),
)


@given(RUNS, RUNS)
def test_equal_runs_have_equal_digests_and_others_do_not(one: Run, other: Run) -> None:
    assert (one == other) == (one.digest == other.digest)


@given(RUNS, st.data())
def test_one_change_is_another_digest(run: Run, data: st.DataObject) -> None:
    other = data.draw(RUNS)
    name = data.draw(st.sampled_from([f.name for f in dataclasses.fields(Run)]))
    changed = replace(run, **{name: getattr(other, name)})
    assert (changed.digest == run.digest) == (getattr(run, name) == getattr(other, name))


@given(RUNS)
def test_round_trips_keep_the_path(run: Run) -> None:
    again = run_from_dict(json.loads(json.dumps(asdict(run))))
    assert again == run
    assert again.path == run.path
    assert run_from_dict(json.loads(json.dumps(non_defaults(run)))) == run


@pytest.mark.parametrize(
    "changes",
    [
        ({"multiplier": 5}, {"multiplier": 5.0}),
        ({"layers": {"fc1": 0}}, {"layers": {"fc1": 0.0}}),
        ({"model_options": {"width": 1}}, {"model_options": {"width": 1.0}}),
        ({"protocol": Protocol(10, 5, LearningRate(1))}, {"protocol": Protocol(10, 5, LearningRate(1.0))}),
    ],
    ids=["multiplier", "layers", "model_options", "peak"],
)
def test_a_whole_number_is_the_same_as_its_float(changes: tuple[dict[str, Any], dict[str, Any]]) -> None:
    one, other = (replace(RIGL, **change) for change in changes)
    assert one == other
    assert one.digest == other.digest

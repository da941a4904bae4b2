"""Studies: what quick is, how files merge, how runs become jobs, and that every defect is named with its place."""

from __future__ import annotations

import itertools
import textwrap
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan import resolve
from pipeline.run import LearningRate, Optimizer, Protocol, Run, StartFrom, Topology
from pipeline.study import STUDIES, Study, load_study, parse_run, study_names
from pipeline.yaml_source import StudyError
from sparse_methods import methods

BASE = """\
base:
  dataset: digits
  model: lenet300
  protocol:
    steps: 10
    batch_size: 4
    learning_rate: {peak: 0.1}
"""
PROTOCOL = Protocol(10, 4, LearningRate(0.1))
METHODS = ", ".join(sorted(methods.METHODS))
RUN_KEYS = (
    "model, dataset, method, protocol, sparsity, distribution, layout, multiplier, seed, model_options, method_options, "
    "layers, start_from, snapshots"
)


class Desk:
    """A folder for study files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, text: str, name: str = "mine", base: str = BASE) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(base + textwrap.dedent(text))
        return path

    def load(self, text: str, base: str = BASE) -> Study:
        return load_study(self.write(text, base=base))

    def error(self, text: str, base: str = BASE) -> str:
        """The message, with the file's path written as FILE."""
        path = self.write(text, base=base)
        with pytest.raises(StudyError) as caught:
            load_study(path)
        return str(caught.value).replace(str(path), "FILE")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# -- the quick study ------------------------------------------------------------------------------------------------------

SPARSITIES = (0.8, 0.9, 0.95, 0.98)


@pytest.fixture(scope="module")
def quick() -> Study:
    return load_study("quick")


def test_quick_is_eight_methods_at_four_sparsities_over_three_seeds(quick: Study) -> None:
    shared = ("pruning", "rigl", "set", "small_dense", "snfs", "snip", "static")
    expected = {
        (method, distribution, sparsity, seed)
        for method, sparsity, seed in itertools.product(shared, SPARSITIES, range(3))
        for distribution in (("uniform", "erk") if method in ("rigl", "static") else ("uniform",))
    } | {("dense", "uniform", 0.0, seed) for seed in range(3)}
    first = [run for run in quick.runs if run.start_from is None]
    asked = Counter((run.method, run.distribution, run.sparsity, run.seed) for run in first)
    assert set(asked) == expected
    assert set(asked.values()) == {1}
    assert len(first) == 9 * 4 * 3 + 3 == 111


def test_quick_goes_on_from_its_static_solutions_at_95_percent(quick: Study) -> None:
    on = [run for run in quick.runs if run.start_from]
    moved = [(run.method, run.protocol.topology.end, run.seed) for run in on]
    ends = {"static": [None], "set": [2250], "rigl": [2250, 0]}
    assert sorted(moved, key=repr) == sorted(
        ((method, end, seed) for method in ends for end in ends[method] for seed in range(3)), key=repr
    )
    for run in on:
        parent = run.start_from.run
        assert (run.sparsity, run.distribution, run.start_from.take) == (0.95, "uniform", "both")
        assert (parent.method, parent.sparsity, parent.seed) == ("static", 0.95, run.seed)
    assert len(quick.landscape_jobs()) == 9


def test_quick_trains_every_run_by_one_protocol(quick: Study) -> None:
    expected = Protocol(
        steps=3000,
        batch_size=64,
        learning_rate=LearningRate(0.05, "step", milestones=(1500, 2250), factor=0.2),
        optimizer=Optimizer("sgd", 0.9, nesterov=True, weight_decay=1e-4),
        evaluations=10,
    )
    for run in (run for run in quick.runs if run.start_from is None):
        moving = {"pruning": Topology(begin=300, end=2000)} | dict.fromkeys(("set", "snfs", "rigl"), Topology(end=2250))
        topology = moving.get(run.method, Topology())
        assert run.protocol == replace(expected, topology=topology)
        assert (run.model, run.dataset, run.multiplier, run.start_from) == ("lenet300", "digits", 1.0, None)
    assert quick.datasets == ("digits",)


def test_quick_runs_have_different_names(quick: Study) -> None:
    assert len({run.path for run in quick.runs}) == len(quick.runs)
    assert {run.cell for run in quick.runs if run.method == "dense"} == {"digits-lenet300/dense/s0"}


@pytest.mark.parametrize("name", study_names())
def test_studies_of_the_suite_load(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    assert study.title != name
    assert sum(len(job.runs) for job in study.jobs()) == len(study.runs) > 0
    assert load_study(STUDIES / f"{name}.yaml") == study


# -- grids ----------------------------------------------------------------------------------------------------------------


def test_a_row_is_the_product_of_its_lists(desk: Desk) -> None:
    study = desk.load(
        """
        grid:
          - method: [set, rigl]
            sparsity: [0.8, 0.9]
            protocol.topology.update_every: [5, 7]
        """
    )
    found = {(run.method, run.sparsity, run.protocol.topology.update_every) for run in study.runs}
    assert found == set(itertools.product(("set", "rigl"), (0.8, 0.9), (5, 7)))
    assert len(study.runs) == 8


def test_nested_and_dotted_keys_are_the_same(desk: Desk) -> None:
    nested = desk.load("grid: [{method: set, sparsity: 0.9, protocol: {topology: {begin: 2}, steps: 20}}]").runs
    dotted = desk.load("grid: [{method: set, sparsity: 0.9, protocol.topology.begin: 2, protocol.steps: 20}]").runs
    assert nested == dotted
    assert nested[0].protocol == Protocol(20, 4, LearningRate(0.1), topology=Topology(begin=2))


def test_a_row_keeps_what_the_base_says_beside_its_own_keys(desk: Desk) -> None:
    base = BASE + "    topology: {update_every: 3, begin: 1}\n"
    (run,) = desk.load("grid: [{method: set, sparsity: 0.5, protocol: {topology: {begin: 4}}}]", base).runs
    assert run.protocol.topology == Topology(update_every=3, begin=4)


def test_a_list_as_a_value_is_a_list_in_a_list(desk: Desk) -> None:
    (run,) = desk.load("grid: [{method: dense, protocol.learning_rate: {decay: step, milestones: [[5, 8]]}}]").runs
    assert run.protocol.learning_rate.milestones == (5, 8)


def test_seeds_are_counted_from_zero_and_default_to_one(desk: Desk) -> None:
    assert [run.seed for run in desk.load("grid: [{method: dense}]\nseeds: 3").runs] == [0, 1, 2]
    assert [run.seed for run in desk.load("grid: [{method: dense}]").runs] == [0]


@pytest.mark.parametrize(("start", "parents"), [("", [0, 1, 2]), (", seed: 0", [0]), (", seed: 5", [5])])
def test_a_seed_that_is_spelled_out_stays(desk: Desk, start: str, parents: list[int]) -> None:
    row = f"{{method: rigl, sparsity: 0.5, start_from: {{method: dense, sparsity: 0.0, take: weights{start}}}}}"
    runs = desk.load(f"grid: [{row}]\nseeds: 3").runs
    assert [run.seed for run in runs if run.method == "rigl"] == [0, 1, 2]
    assert [run.seed for run in runs if run.method == "dense"] == parents
    own = desk.load("grid: [{method: dense, seed: [4, 6]}]\nseeds: 3").runs
    assert [run.seed for run in own] == [4, 6]


def test_equal_runs_of_two_rows_are_one(desk: Desk) -> None:
    study = desk.load("grid: [{method: set, sparsity: [0.5, 0.9]}, {method: [set, rigl], sparsity: 0.9}]")
    assert [(run.method, run.sparsity) for run in study.runs] == [("set", 0.5), ("set", 0.9), ("rigl", 0.9)]


def test_what_a_method_gives_no_meaning_to_is_reset(desk: Desk) -> None:
    study = desk.load("grid: [{method: dense, sparsity: [0.8, 0.9], distribution: [uniform, erk]}]")
    assert study.runs == (Run("lenet300", "digits", "dense", PROTOCOL),)


def test_stating_an_options_default_makes_no_other_run(desk: Desk) -> None:
    plain, stated, whole = desk.load("grid: [{method: snfs, sparsity: 0.9}]").runs + tuple(
        desk.load(f"grid: [{{method: snfs, sparsity: 0.9, method_options: {{momentum: {value}}}}}]").runs[0]
        for value in (0.9, 0)
    )
    assert plain == stated
    assert whole.method_options == {"momentum": 0.0}
    assert isinstance(whole.method_options["momentum"], float)


def test_every_method_option_of_a_grid_is_expanded(desk: Desk) -> None:
    study = desk.load("grid: [{method: snfs, sparsity: 0.9, method_options.momentum: [0.5, 0.99]}]")
    assert [run.method_options for run in study.runs] == [{"momentum": 0.5}, {"momentum": 0.99}]


def test_layers_are_fixed_by_hand(desk: Desk) -> None:
    (run,) = desk.load("grid: [{method: rigl, sparsity: 0.9, layers: {fc1: 0.5, fc3: unmasked}}]").runs
    assert run.layers == {"fc1": 0.5, "fc3": "unmasked"}


@pytest.mark.parametrize(
    "row", ["layers: {group1.block1.conv1: 0.5}", "layers.group1.block1.conv1: 0.5"], ids=["nested", "dotted"]
)
def test_layers_with_dots_in_their_names_are_fixed_by_hand(desk: Desk, row: str) -> None:
    (run,) = desk.load(f"grid: [{{model: wrn22_2, method: rigl, sparsity: 0.9, {row}}}]").runs
    assert run.layers == {"group1.block1.conv1": 0.5}


def test_numbers_of_yaml_become_the_fields_types(desk: Desk) -> None:
    row = "method: rigl, sparsity: 9e-1, multiplier: 5, protocol: {learning_rate: {peak: 1}}"
    (run,) = desk.load(f"grid: [{{{row}}}]").runs
    assert (run.sparsity, run.multiplier, run.protocol.learning_rate.peak) == (0.9, 5.0, 1.0)
    assert isinstance(run.multiplier, float)
    assert isinstance(run.protocol.learning_rate.peak, float)


@given(
    st.lists(st.sampled_from(["set", "rigl", "static", "snip"]), min_size=1, max_size=4, unique=True),
    st.lists(st.sampled_from(SPARSITIES), min_size=1, max_size=4, unique=True),
    st.integers(1, 3),
    st.integers(1, 9),
)
def test_jobs_partition_the_runs(methods: list[str], sparsities: list[float], seeds: int, runs_per_job: int) -> None:
    path = STUDIES / "imagined.yaml"
    rows = [(m, s, seed) for m in methods for s in sparsities for seed in range(seeds)]
    runs = tuple(Run("lenet300", "digits", m, PROTOCOL, sparsity=s, seed=seed) for m, s, seed in rows)
    jobs = Study(path.stem, "", "", runs, runs_per_job).jobs()
    assert sorted(run.path for job in jobs for run in job.runs) == sorted(run.path for run in runs)
    assert len({job.name for job in jobs}) == len(jobs)
    for job in jobs:
        assert 1 <= len(job.runs) <= runs_per_job
        assert len({run.method for run in job.runs}) == 1
        assert job.name.startswith(job.runs[0].method)
    # No job is smaller than it must be: only the last of a method is not full.
    assert sum(len(job.runs) < runs_per_job for job in jobs) <= len(methods)


# -- extends, add, only ---------------------------------------------------------------------------------------------------


@pytest.fixture
def parent(desk: Desk) -> Path:
    return desk.write(
        """
        title: The parent
        description: As it was.
        grid:
          - method: [set, rigl]
            sparsity: [0.8, 0.9]
        seeds: 2
        runs_per_job: 5
        """,
        "parent",
    )


def test_extending_merges_the_base_key_by_key(desk: Desk, parent: Path) -> None:
    study = desk.load(
        "extends: parent.yaml\nbase: {protocol: {steps: 20, learning_rate: {decay: cosine}}, multiplier: 5}", base=""
    )
    assert (study.title, study.description, study.runs_per_job) == ("The parent", "As it was.", 5)
    assert len(study.runs) == 8
    for run in study.runs:
        assert run.protocol == Protocol(20, 4, LearningRate(0.1, "cosine"))
        assert run.multiplier == 5.0


def test_a_grid_replaces_the_parents_and_add_appends(desk: Desk, parent: Path) -> None:
    replaced = desk.load("extends: parent.yaml\ngrid: [{method: dense}]\nseeds: 1", base="")
    assert [run.method for run in replaced.runs] == ["dense"]
    appended = desk.load("extends: parent.yaml\nadd: [{method: dense}]\nseeds: 1", base="")
    assert [run.method for run in appended.runs] == ["set", "set", "rigl", "rigl", "dense"]
    nothing = desk.load("extends: parent.yaml\ngrid: []\nadd: [{method: dense}]\nseeds: 1", base="")
    assert [run.method for run in nothing.runs] == ["dense"]


def test_only_keeps_the_runs_with_these_values(desk: Desk, parent: Path) -> None:
    kept = desk.load("extends: parent.yaml\nonly: {sparsity: [0.9], seed: [1]}", base="")
    assert [(run.method, run.sparsity, run.seed) for run in kept.runs] == [("set", 0.9, 1), ("rigl", 0.9, 1)]


def test_studies_extend_each_other_over_three_files(desk: Desk, parent: Path) -> None:
    desk.write("extends: parent.yaml\nonly: {method: [rigl]}\nadd: [{method: static, sparsity: 0.9}]", "middle", "")
    study = desk.load("extends: middle.yaml\ntitle: Mine\nonly: {sparsity: [0.9]}\nseeds: 1", base="")
    assert study.title == "Mine"
    assert [(run.method, run.sparsity) for run in study.runs] == [("rigl", 0.9)]


def test_a_study_of_the_suite_is_extended_by_name(desk: Desk) -> None:
    study = desk.load("extends: quick\nonly: {method: [static], sparsity: [0.9]}\nseeds: 1", base="")
    assert [run.cell for run in study.runs] == ["digits-lenet300/static/s90", "digits-lenet300/static-erk/s90"]
    assert {run.path for run in study.runs} <= {run.path for run in load_study("quick").runs}


def test_a_parent_is_looked_up_beside_the_file(desk: Desk, parent: Path) -> None:
    (desk.folder / "inner").mkdir()
    child = desk.folder / "inner" / "child.yaml"
    child.write_text("extends: ../parent.yaml\nseeds: 1\n")
    assert len(load_study(child).runs) == 4
    assert load_study(child).name == "child"


# -- start_from -----------------------------------------------------------------------------------------------------------


def test_a_parent_is_the_run_with_what_start_from_changes(desk: Desk) -> None:
    child = desk.load(
        "grid: [{method: rigl, sparsity: 0.9, distribution: erk, start_from: {method: static, take: mask}}]\nseeds: 2"
    )
    static = Run("lenet300", "digits", "static", PROTOCOL, sparsity=0.9, distribution="erk")
    rigl = Run(
        "lenet300",
        "digits",
        "rigl",
        PROTOCOL,
        sparsity=0.9,
        distribution="erk",
        start_from=StartFrom(static, "mask"),
    )
    assert child.runs == (static, rigl, static.at_seed(1), rigl.at_seed(1))


def test_what_the_parents_method_ignores_is_reset_in_the_parent(desk: Desk) -> None:
    parent, child = desk.load("grid: [{method: rigl, sparsity: 0.9, start_from: {method: dense, take: weights}}]").runs
    assert parent == Run("lenet300", "digits", "dense", PROTOCOL)
    assert child.start_from == StartFrom(parent, "weights")


def test_parents_are_trained_once_and_in_an_earlier_job(desk: Desk) -> None:
    study = desk.load(
        """
        grid:
          - method: [rigl, set]
            sparsity: [0.8, 0.9]
            start_from: {method: dense, take: weights}
          - method: dense
        seeds: 2
        runs_per_job: 100
        """
    )
    assert len(study.runs) == 2 + 8
    jobs = study.jobs()
    assert [job.name for job in jobs] == ["dense-000", "rigl-from1-000", "set-from1-000"]
    made: set[str] = set()
    for job in jobs:
        assert {run.path for run in job.parents} <= made
        made |= {run.path for run in job.runs}
    assert jobs[0].parents == ()
    assert [run.seed for run in jobs[1].parents] == [0, 1]


def test_grandparents_come_first(desk: Desk) -> None:
    study = desk.load(
        """
        grid:
          - method: rigl
            sparsity: 0.9
            start_from:
              method: static
              take: both
              start_from: {method: dense, take: weights}
        """
    )
    assert [run.method for run in study.runs] == ["dense", "static", "rigl"]
    assert [job.name for job in study.jobs()] == ["dense-000", "static-from1-000", "rigl-from2-000"]
    assert study.runs[2].start_from.run == study.runs[1]
    assert study.runs[1].start_from == StartFrom(study.runs[0], "weights")


def test_parents_of_kept_runs_are_kept(desk: Desk) -> None:
    study = desk.load(
        "grid: [{method: [rigl, set], sparsity: 0.9, start_from: {method: dense, take: weights}}]\nonly: {method: [rigl]}"
    )
    assert [run.method for run in study.runs] == ["dense", "rigl"]


def test_a_parent_may_be_another_length_and_dotted(desk: Desk) -> None:
    parent, child = desk.load(
        "grid: [{method: rigl, sparsity: 0.9, start_from: {sparsity: 0.5, protocol.steps: 3, multiplier: 2, take: weights}}]"
    ).runs
    assert (parent.sparsity, parent.protocol.steps, parent.multiplier) == (0.5, 3, 2.0)
    assert (child.sparsity, child.protocol.steps, child.multiplier) == (0.9, 10, 1.0)


def test_one_row_does_not_change_what_another_takes(desk: Desk) -> None:
    base = BASE + "  start_from: {method: static}\n"
    study = desk.load(
        "grid: [{method: rigl, sparsity: 0.9, start_from.take: mask}, {method: set, sparsity: 0.9}]", base
    )
    assert {run.method: run.start_from.take for run in study.runs if run.start_from} == {"rigl": "mask", "set": "both"}


def test_a_parent_given_whole_is_checked_too(desk: Desk) -> None:
    whole = (
        "{run: {model: lenet300, dataset: digits, method: nope, "
        "protocol: {steps: 10, batch_size: 4, learning_rate: {peak: 0.1}}}}"
    )
    message = desk.error(f"grid: [{{method: rigl, sparsity: 0.9, start_from: {whole}}}]")
    assert f"unknown method 'nope'; there are {METHODS}" in message


EQUAL_FLOPS = """\
base:
  dataset: digits
  model: lenet300
  sparsity: 0.9
  protocol: {steps: 1000, batch_size: 8, learning_rate: {peak: 0.1}}
grid:
  - {method: [dense, static, rigl], multiplier: [1, equal-flops]}
"""


def test_a_multiplier_of_equal_flops_is_solved_for(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_text(EQUAL_FLOPS)
    # LeNet-300-100 on 64 inputs: 50,200 weights, of which 5,020 are left, and 410 outputs.
    dense, sparse = 2 * 50_200 + 410, 2 * 5_020 + 410
    assert {(run.method, run.multiplier) for run in load_study(path).runs} == {
        ("dense", 1.0),
        ("static", 1.0),
        ("static", round(dense / sparse, 3)),
        ("rigl", 1.0),
        ("rigl", round(303 * dense / (302 * sparse + dense), 3)),
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("[dense, static, rigl]", "dsr, distribution: erk"), "the cost of 'dsr' is known only when it has run"),
        (
            ("digits", "a.b:c"),
            "the shape of 'a.b:c', and so the cost, is known only once it is prepared; give a number",
        ),
        (("equal-flops]", "equal]"), "is 'equal', it must be a number above 0, or equal-flops"),
    ],
    ids=["no closed form", "unknown shape", "mistyped"],
)
def test_a_multiplier_that_cannot_be_solved_for_is_an_error_at_its_line(
    tmp_path: Path, change: tuple[str, str], reason: str
) -> None:
    path = tmp_path / "long.yaml"
    path.write_text(EQUAL_FLOPS.replace(*change))
    with pytest.raises(StudyError) as caught:
        load_study(path)
    assert str(caught.value).startswith(f"{path}:7: multiplier: ")
    assert reason in str(caught.value)


# -- defects: file:line, the key, the valid choices ------------------------------------------------------------------------

# BASE has seven lines, a test's own text starts on line 8.
EXACT = {
    "method": (
        "grid: [{method: rigll}]",
        f"FILE:8: method: unknown method 'rigll'; there are {METHODS}",
    ),
    "model": (
        "grid:\n- method: rigl\n  model: lenet301",
        "FILE:10: model: there is no model 'lenet301'; valid: lenet300, wrnDEPTH_WIDTH (such as wrn22_2), "
        "lenet5, resnet50_cifar, vgg16, vgg19, resnet50, mobilenet_v1, mobilenet_v2, convnet, charlm_gru, "
        "or package.module:factory",
    ),
    "data set": (
        "grid:\n- method: rigl\n  dataset: dgits",
        "FILE:10: dataset: unknown data set 'dgits'; there are digits, mnist, cifar10, cifar10-jpeg, "
        "wikitext103, wikitext-mini, imagenet, imagenet-sample, or package.module:factory",
    ),
    "distribution": (
        "grid:\n- method: rigl\n  distribution: er",
        "FILE:10: distribution: is 'er'; input should be 'uniform', 'erdos_renyi' or 'erk'",
    ),
    "key of the file": (
        "grid: []\nseed: 3",
        "FILE:9: seed: unknown key; there are extends, title, description, base, grid, add, only, seeds, runs_per_job, "
        "landscape",
    ),
    "key of a run": (
        "grid:\n- method: rigl\n  sparsitty: 0.9",
        f"FILE:10: sparsitty: unknown key; there are {RUN_KEYS}",
    ),
    "extended study": (
        "grid: [{method: rigl}]\nextends: none",
        "FILE: extends: unknown study 'none'; there are "
        + ", ".join(study_names())
        + ", or give the path of a .yaml file",
    ),
    "dotted key": (
        "grid:\n- method: rigl\n  protocol.topology.updat_every: 3",
        "FILE:10: protocol.topology.updat_every: unknown key; there are update_every, begin, end, drop_fraction, decay",
    ),
    "sparsity": (
        "grid:\n- method: rigl\n  sparsity: 1.5",
        "FILE:10: sparsity: is 1.5, it must be within [0, 1)",
    ),
    "sparsity among others": (
        "grid:\n- method: rigl\n  sparsity: [0.5, -1]",
        "FILE:10: sparsity: is -1.0, it must be within [0, 1)",
    ),
    "nested range": (
        "grid:\n- method: rigl\n  protocol:\n    topology:\n      drop_fraction: 2",
        "FILE:12: protocol.topology.drop_fraction: is 2.0, it must be within [0, 1]",
    ),
    "range of two": (
        "grid:\n- method: rigl\n  protocol.topology.begin: 5\n  protocol.topology.end: 4",
        "FILE:11: protocol.topology.end: is 4, it must be at least begin (5)",
    ),
    "type": (
        "grid:\n- method: rigl\n  sparsity: high",
        "FILE:10: sparsity: is 'high'; input should be a valid number, unable to parse string as a number",
    ),
    "type of a count": (
        "seeds: many",
        "FILE:8: seeds: Input should be a valid integer, unable to parse string as an integer",
    ),
    "seeds": ("seeds: 0", "FILE:8: seeds: Input should be greater than or equal to 1"),
    "method option's value": (
        "grid:\n- method: snip\n  method_options:\n    ranking: gloabl",
        "FILE:11: method_options.ranking: is 'gloabl'; input should be 'layer' or 'global'",
    ),
    "take": (
        "grid:\n- method: rigl\n  start_from: {method: dense, take: maks}",
        "FILE:10: start_from.take: is 'maks'; input should be 'weights', 'mask', 'both' or 'architecture'",
    ),
    "key of only": (
        "grid: [{method: rigl}]\nonly: {metod: [rigl]}",
        "FILE:9: only: unknown field 'metod'; there are " + ", ".join(sorted(RUN_KEYS.split(", "))),
    ),
    "duplicate key": (
        "grid:\n- method: rigl\n  sparsity: 0.9\n  sparsity: 0.8",
        "FILE:11: sparsity: given twice, first on line 10",
    ),
    "broken YAML": ("grid: [method: rigl", "FILE:8: not valid YAML: expected ',' or ']', but got '<stream end>'"),
    "nothing asked for": ("grid: []", "FILE: asks for no run: `grid` is empty, or `only` keeps nothing"),
    "value and mapping": (
        "grid: [{method: rigl, protocol.topology: 3, protocol.topology.end: 4}]",
        "protocol.topology.end: 'topology' is given both as a value and as a mapping",
    ),
}


@pytest.mark.parametrize("defect", EXACT)
def test_a_defect_is_one_line_with_its_place_and_the_choices(desk: Desk, defect: str) -> None:
    text, message = EXACT[defect]
    assert desk.error(text) == message


def test_a_missing_protocol_and_a_misspelt_one_are_both_said(desk: Desk) -> None:
    message = desk.error(
        "base:\n  model: lenet300\n  dataset: digits\n  protcol: {steps: 1}\ngrid: [{method: dense}]", ""
    )
    missing, unknown = sorted(message.splitlines())
    assert missing == "FILE:2: protocol: is missing"
    assert unknown == f"FILE:4: protcol: unknown key; there are {RUN_KEYS}"


def test_a_missing_step_count_is_placed_in_the_protocol(desk: Desk) -> None:
    message = desk.error("grid: [{method: dense}]", BASE.replace("    steps: 10\n", ""))
    assert message == "FILE:5: protocol.steps: is missing"


def test_a_method_option_that_does_not_exist_names_its_key_and_place(desk: Desk) -> None:
    message = desk.error("grid:\n- method: snip\n  sparsity: 0.9\n  method_options:\n    rankin: global")
    assert message == "FILE:12: method_options.rankin: method 'snip' has no option 'rankin'; it has ranking"


def test_a_method_option_of_the_wrong_type_is_a_defect_of_the_study(desk: Desk) -> None:
    message = desk.error("grid:\n- method: snfs\n  sparsity: 0.9\n  method_options:\n    momentum: much")
    assert message.startswith("FILE:12: method_options.momentum: is 'much'; input should be a valid number")


def test_a_method_option_out_of_range_says_the_range(desk: Desk) -> None:
    message = desk.error("grid:\n- method: snfs\n  method_options:\n    momentum: 2")
    assert message.startswith("FILE:")
    assert "momentum of snfs is 2" in message
    assert "it must be within [0, 1)" in message


def test_a_layout_that_does_not_exist_is_placed_at_its_key(desk: Desk) -> None:
    message = desk.error("grid:\n- method: rigl\n  sparsity: 0.9\n  layout: foo")
    assert message == "FILE:11: layout: model 'lenet300' has no layout 'foo'; valid: default, mnist-authors"


def test_a_decay_that_does_not_exist_is_a_defect_of_the_study(desk: Desk) -> None:
    message = desk.error("grid:\n- method: rigl\n  sparsity: 0.9\n  protocol.topology.decay: cosin")
    assert message.startswith("FILE:11: protocol.topology.decay: is 'cosin', it must be")
    assert "inverse_power:K" in message


@pytest.mark.parametrize(
    ("override", "key"), [("methd: dense", "methd"), ("sparsity: 3", "sparsity"), ("method: nope", "method")]
)
def test_a_defect_of_a_parent_is_placed_at_start_from(desk: Desk, override: str, key: str) -> None:
    message = desk.error(f"grid:\n- method: rigl\n  sparsity: 0.9\n  start_from: {{{override}}}")
    assert message.startswith((f"FILE:11: start_from.{key}: ", f"FILE:11: {key}: "))


def test_a_value_of_only_that_no_run_has_is_a_defect(desk: Desk) -> None:
    message = desk.error("grid: [{method: [rigl, set], sparsity: 0.9}]\nonly: {method: [rigl, sett]}")
    assert message.startswith("FILE:9: only")
    assert "'sett'" in message


def test_an_empty_list_in_a_row_is_a_defect(desk: Desk) -> None:
    message = desk.error("grid:\n- method: set\n  sparsity: 0.9\n- method: rigl\n  sparsity: []")
    assert message.startswith("FILE:12: sparsity: ")


def test_a_value_that_json_cannot_hold_is_a_defect_of_the_study(desk: Desk) -> None:
    message = desk.error("grid:\n- method: rigl\n  model_options: {since: 2024-01-01}")
    assert message.startswith("FILE:10: model_options.since: ")


def test_a_list_as_a_key_is_a_defect_of_the_study(desk: Desk) -> None:
    assert desk.error("grid: [{[a, b]: rigl}]").startswith("FILE:8: ")


def test_several_defects_are_one_line_each(desk: Desk) -> None:
    message = desk.error("grid:\n- method: rigl\n  distribution: er\n  multiplier: long")
    assert [line.split(" is ")[0] for line in message.splitlines()] == [
        "FILE:10: distribution:",
        "FILE:11: multiplier:",
    ]


def test_a_defect_of_the_extended_file_names_that_file(desk: Desk) -> None:
    parent = desk.write("grid: [{method: rigl, sparsity: 2}]", "parent")
    child = desk.write("extends: parent.yaml", "child", "")
    with pytest.raises(StudyError) as caught:
        load_study(child)
    assert str(caught.value) == f"{parent}:8: sparsity: is 2.0, it must be within [0, 1)"


def test_an_unknown_study_lists_the_known_ones() -> None:
    with pytest.raises(StudyError) as caught:
        load_study("quik")
    known = ", ".join(study_names())
    assert str(caught.value) == f"unknown study 'quik'; there are {known}, or give the path of a .yaml file"


def test_files_that_extend_each_other_are_a_defect(desk: Desk) -> None:
    one, other = desk.write("extends: two.yaml", "one", ""), desk.write("extends: one.yaml", "two", "")
    with pytest.raises(StudyError) as caught:
        load_study(one)
    assert str(caught.value) == f"{one}: extends itself: {one} -> {other} -> {one}"


def test_a_file_that_extends_itself_by_another_path_is_a_defect(desk: Desk) -> None:
    folder = desk.folder / "here"
    folder.mkdir()
    (folder / "one.yaml").write_text("extends: ../here/one.yaml\n")
    with pytest.raises(StudyError, match="extends itself"):
        load_study(folder / "one.yaml")


@pytest.mark.parametrize(("text", "kind"), [("[1, 2]", "list"), ("", "NoneType"), ("just text", "str")])
def test_a_study_is_a_mapping(desk: Desk, text: str, kind: str) -> None:
    assert desk.error(text, "") == f"FILE:1: a study is a mapping of keys, this is {kind}"


def test_a_file_that_is_not_text_is_a_defect(desk: Desk) -> None:
    path = desk.folder / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyError, match=f"{path}: cannot be read"):
        load_study(path)


def test_a_yaml_tag_runs_no_code(desk: Desk) -> None:
    assert desk.error("title: !!python/object/apply:os.getcwd []").startswith(
        "FILE:8: not valid YAML: could not determine"
    )


# -- layers are known once the network is built -----------------------------------------------------------------------------


def test_an_unknown_layer_is_named_with_the_layers_that_there_are(desk: Desk) -> None:
    (run,) = desk.load("grid: [{method: rigl, sparsity: 0.9, layers: {fc4: unmasked}}]").runs
    with pytest.raises(ValueError) as caught:
        resolve(run, (1, 8, 8), 10)
    assert str(caught.value) == f"{run.path}: unknown layer 'fc4'; there are fc1, fc2, fc3"


def test_a_layers_sparsity_out_of_range_is_named(desk: Desk) -> None:
    (run,) = desk.load("grid: [{method: rigl, sparsity: 0.9, layers: {fc1: 1.5}}]").runs
    with pytest.raises(
        ValueError, match=r"layer 'fc1': rule is 1.5, it must be 'unmasked' or a sparsity within \[0, 1\)"
    ):
        resolve(run, (1, 8, 8), 10)


def test_an_unknown_model_option_is_named_with_the_options_that_there_are(desk: Desk) -> None:
    (run,) = desk.load("grid: [{method: rigl, sparsity: 0.9, model_options: {wdth: 2}}]").runs
    with pytest.raises(ValueError, match="model 'lenet300' does not take the option 'wdth'; valid: width"):
        resolve(run, (1, 8, 8), 10)


# -- runs outside of studies ------------------------------------------------------------------------------------------------


def test_a_run_is_parsed_as_a_studys() -> None:
    fields = {
        "model": "lenet300",
        "dataset": "digits",
        "method": "dense",
        "sparsity": 0.9,
        "protocol": {"steps": 10, "batch_size": 4, "learning_rate": {"peak": 0.1}},
    }
    assert parse_run(fields) == Run("lenet300", "digits", "dense", PROTOCOL)
    with pytest.raises(StudyError) as caught:
        parse_run({**fields, "method": "rigl", "sparsity": 1})
    assert str(caught.value) == "sparsity: is 1.0, it must be within [0, 1)"


def test_a_mask_that_is_taken_must_be_what_the_run_is_named_for(desk: Desk) -> None:
    row = "{method: rigl, sparsity: 0.98, start_from: {method: static, sparsity: 0.9, take: TAKE}}"
    for take in ("mask", "both"):
        message = desk.error(f"grid: [{row.replace('TAKE', take)}]")
        assert "takes the mask of a run with sparsity 0.9, this one has 0.98: make them equal" in message
    assert len(desk.load(f"grid: [{row.replace('TAKE', 'weights')}]").runs) == 2


def test_a_ticket_may_come_from_a_run_of_another_sparsity(desk: Desk) -> None:
    """Its mask is found in the parent's weights, not taken over."""
    dense, ticket = desk.load(
        "grid: [{method: ticket, sparsity: 0.9, start_from: {method: dense, sparsity: 0.0, take: mask}}]"
    ).runs
    assert (dense.method, ticket.sparsity, ticket.start_from) == ("dense", 0.9, StartFrom(dense, "mask"))


def test_rewinding_asks_the_parent_to_keep_that_step(desk: Desk) -> None:
    parent, child = desk.load(
        "grid: [{method: static, sparsity: 0.9, start_from: {method: rigl, take: both, rewind: 4}}]"
    ).runs
    assert parent.snapshots == (4,)
    assert child.snapshots == ()
    assert child.start_from == StartFrom(parent, "both", 4)


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        ("{method: rigl, take: mask, rewind: 4}", "must be absent unless weights are taken"),
        ("{method: rigl, take: both, rewind: 11}", "steps from 1 to the protocol's 10"),
        ("{method: rigl, take: both, rewind: 0}", "steps from 1 to the protocol's 10"),
    ],
)
def test_rewinding_to_what_is_not_there_is_refused(start: str, reason: str, desk: Desk) -> None:
    assert reason in desk.error(f"grid: [{{method: static, sparsity: 0.9, start_from: {start}}}]")


def test_two_rewinds_share_their_parent(desk: Desk) -> None:
    runs = desk.load(
        "grid: [{method: dense}, {method: ticket, sparsity: 0.9, "
        "start_from: [{method: dense, sparsity: 0.0, take: both, rewind: 4}, "
        "{method: dense, sparsity: 0.0, take: both, rewind: 7}]}]"
    ).runs
    assert [(run.method, run.snapshots) for run in runs] == [("dense", (4, 7)), ("ticket", ()), ("ticket", ())]


def test_cadence_is_no_part_of_a_run_that_moves_at_every_step(desk: Desk) -> None:
    study = desk.load("grid: [{method: [dnw, deepr], sparsity: 0.9, protocol.topology.update_every: [50, 200]}]")
    assert [run.method for run in study.runs] == ["dnw", "deepr"]


def test_an_architecture_may_be_taken_from_a_run_of_another_sparsity(desk: Desk) -> None:
    parent, child = desk.load(
        "grid: [{method: rigl, sparsity: 0.9, start_from: {sparsity: 0.98, take: architecture}}]"
    ).runs
    assert (parent.sparsity, child.sparsity) == (0.98, 0.9)
    assert child.finds_its_network and not parent.finds_its_network


def test_cadence_is_no_part_of_a_run_whose_topology_never_moves(desk: Desk) -> None:
    """Else a sweep of the interval would train static once for each value, and pair RigL with neither."""
    study = desk.load(
        "grid: [{method: [dense, static, snip, rigl], sparsity: 0.9, protocol.topology.update_every: [50, 200]}]"
    )
    assert [run.method for run in study.runs] == ["dense", "static", "snip", "rigl", "rigl"]

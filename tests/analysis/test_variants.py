"""Names of cells that method, distribution and sparsity do not tell apart."""

from __future__ import annotations

import dataclasses
import itertools
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from analysis.variants import variants
from pipeline.run import LearningRate, Protocol, Run, StartFrom, Topology

STARTS = list(
    itertools.product(
        [0.8, 0.9], ["dense", "rigl"], [0.0, 0.8, 0.9], [1.0, 5.0], [50, 100], ["weights", "mask", "both"]
    )
)
"""Sparsity of a run; method, sparsity and length of its parent; update interval of both; what is taken."""


def test_runs_that_differ_on_axes_only_need_no_more_words(factory: SimpleNamespace) -> None:
    runs = [factory.run("rigl", 0.8, 0), factory.run("rigl", 0.9, 1, multiplier=5.0), factory.run("set", 0.8, 0)]
    assert variants(runs) == ["", "", ""]


def test_what_differs_among_kin_is_told(factory: SimpleNamespace) -> None:
    plain = factory.run()
    slow = dataclasses.replace(plain, protocol=dataclasses.replace(plain.protocol, topology=Topology(update_every=500)))
    assert variants([plain, slow, factory.run("set")]) == ["update_every=100", "update_every=500", ""]


def test_options_and_starts_are_always_told(factory: SimpleNamespace) -> None:
    local = factory.run("snip", method_options={"scope": "global"})
    ticket = factory.run("static", start_from=StartFrom(factory.run("pruning"), "mask"))
    assert variants([local]) == ["scope=global"]
    assert variants([ticket]) == ["mask of pruning"]


def test_a_start_is_one_line_over_sparsities(factory: SimpleNamespace) -> None:
    """Each from a parent of its own sparsity, or each from the one dense network."""
    for parent in (lambda sparsity: factory.run("pruning", sparsity), lambda sparsity: factory.run("dense", 0.0)):
        runs = [factory.run("ticket", s, start_from=StartFrom(parent(s), "mask")) for s in (0.9, 0.98)]
        assert len(set(variants(runs))) == 1


def test_starts_that_differ_are_told_apart(factory: SimpleNamespace) -> None:
    origin = factory.run("rigl", snapshots=(100, 200))
    mask, both = StartFrom(origin, "mask"), StartFrom(origin, "both")
    late, later = StartFrom(origin, "both", rewind=100), StartFrom(origin, "both", rewind=200)
    runs = [factory.run("static", start_from=start) for start in (mask, both, late, later)]
    assert variants(runs) == [
        "mask of rigl",
        "weights and mask of rigl",
        "weights and mask of rigl after step 100",
        "weights and mask of rigl after step 200",
    ]


def test_parents_of_one_method_are_told_apart(factory: SimpleNamespace) -> None:
    parents = [factory.run("pruning", multiplier=multiplier) for multiplier in (1.0, 5.0)]
    runs = [factory.run("static", seed=seed, start_from=StartFrom(parent.at_seed(seed), "mask"))
            for parent in parents for seed in (0, 1)]  # fmt: skip
    assert variants(runs) == ["mask of pruning, its multiplier=own"] * 2 + ["mask of pruning, its multiplier=5.0"] * 2


@given(st.lists(st.sampled_from(STARTS), min_size=1, max_size=6))
def test_two_experiments_never_share_a_name(starts: list[tuple]) -> None:
    """Runs that panels, rows and columns do not tell apart are told apart by what they start from."""
    runs = []
    for own_sparsity, method, sparsity, multiplier, interval, take in starts:
        protocol = Protocol(100, 10, LearningRate(0.1), topology=Topology(update_every=interval))
        shared = {"model": "lenet300", "dataset": "mnist", "protocol": protocol}
        parent = Run(**shared, method=method, sparsity=sparsity, multiplier=multiplier)
        runs.append(Run(**shared, method="static", sparsity=own_sparsity, start_from=StartFrom(parent, take)))
    named = {(run.sparsity, variant): run for run, variant in zip(runs, variants(runs), strict=True)}
    assert len(named) == len(set(map(repr, runs)))


def test_a_value_that_kin_lack_is_told(factory: SimpleNamespace) -> None:
    narrow = factory.run(model_options={"width": 0.5})
    assert variants([narrow, factory.run()]) == ["width=0.5", ""]

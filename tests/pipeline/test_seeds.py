"""Seeds by purpose: what each may depend on, and that they are the same everywhere."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.run import LearningRate, Protocol, Run
from pipeline.seeds import derive_seed, seeds_of

RUN = Run("lenet300", "digits", "rigl", Protocol(10, 5, LearningRate(0.1)), sparsity=0.9, distribution="erk")


def test_a_seed_is_the_digest_of_its_parts() -> None:
    # sha256 of ["lenet300","digits",0,"weights"], first eight bytes, shifted right by one; by sha256sum.
    assert derive_seed("lenet300", "digits", 0, "weights") == 0x5ECC4D03BAC5E45B


@given(st.lists(st.one_of(st.integers(), st.text(), st.floats(allow_nan=False))))
def test_seeds_are_63_bits(parts: list[object]) -> None:
    assert 0 <= derive_seed(*parts) < 2**63


def test_parts_do_not_run_together() -> None:
    assert (
        len({derive_seed("ab", "c"), derive_seed("a", "bc"), derive_seed("abc"), derive_seed("1"), derive_seed(1)}) == 5
    )


def test_purposes_have_different_seeds() -> None:
    assert len(set(astuple(seeds_of(RUN)))) == 5


@pytest.mark.parametrize("change", [{"method": "set"}, {"multiplier": 5.0}, {"method_options": {"a": 1}}])
def test_methods_of_a_cell_share_every_seed(change: dict[str, object]) -> None:
    assert seeds_of(replace(RUN, **change)) == seeds_of(RUN)


@pytest.mark.parametrize("change", [{"sparsity": 0.8}, {"distribution": "uniform"}])
def test_sparsity_and_distribution_change_the_topology_only(change: dict[str, object]) -> None:
    changed, seeds = seeds_of(replace(RUN, **change)), seeds_of(RUN)
    assert changed.topology != seeds.topology
    assert replace(changed, topology=seeds.topology) == seeds


@pytest.mark.parametrize("change", [{"model": "wrn22_2"}, {"dataset": "mnist"}, {"seed": 1}])
def test_model_data_set_and_repetition_change_every_seed(change: dict[str, object]) -> None:
    assert not set(astuple(seeds_of(replace(RUN, **change)))) & set(astuple(seeds_of(RUN)))


def test_equal_sparsities_are_equal_seeds() -> None:
    assert seeds_of(replace(RUN, sparsity=0)) == seeds_of(replace(RUN, sparsity=0.0))

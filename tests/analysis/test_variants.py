"""Names of cells that method, distribution and sparsity do not tell apart."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

from analysis.variants import variants
from pipeline.run import StartFrom, Topology


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
    assert variants([ticket]) == ["start_from=mask of mnist-lenet300/pruning/s90"]


def test_a_value_that_kin_lack_is_told(factory: SimpleNamespace) -> None:
    narrow = factory.run(model_options={"width": 0.5})
    assert variants([narrow, factory.run()]) == ["width=0.5", ""]

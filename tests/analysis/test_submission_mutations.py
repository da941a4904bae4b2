"""A thousand records, each a valid one with one thing changed: refused by name, or accepted and harmless; never a crash."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from analysis.records import Loaded, tidy
from analysis.submissions import card as cards
from analysis.submissions import checker
from analysis.submissions.defects import at
from analysis.submissions.due import foreign_method
from pipeline.provenance import source_digest
from pipeline.run import run_from_dict
from sparse_methods.methods import METHODS
from tests.submissions import hostile

NOW = datetime(2030, 1, 1, tzinfo=UTC)
REFERENCE = Path("results/reference/quick/records.jsonl")
CARD = cards.Card.model_validate(hostile.card())
FOREIGN = foreign_method(CARD)
METHODS_OF_THE_CARD = METHODS | {CARD.method: type(FOREIGN)}


def _of_the_suite() -> dict[str, Any]:
    """A RigL record of the quick study, as if this version's code had made it."""
    lines = REFERENCE.read_text(encoding="utf-8").splitlines()
    record = next(r for r in map(json.loads, lines) if r["config"]["method"] == "rigl" and r["sparsity"] > 0.85)
    record["provenance"]["source_digest"] = source_digest(run_from_dict(record["config"]))
    return record


BASES = {"foreign": hostile.records()[0], "suite": _of_the_suite()}
MEASURED = {
    *("result.test_correct", "result.test_loss_nats", "result.train_loss_nats", "explored"),
    *("timing.train_seconds", "timing.evaluation_seconds", "timing.checkpoint_seconds", "timing.peak_memory_bytes"),
    *("timing.resumes", "timing.finished", "provenance.device", "provenance.hardware", "provenance.commit"),
    *("provenance.numerics", "provenance.versions", "config.snapshots"),
}
"""What no configuration gives: a change within the bounds of what can be is believed."""
BOUNDED = {
    "foreign": {
        *("flops.macs.train_flops_total", "flops.rigl.train_flops_total", "flops.macs.train_x", "flops.rigl.train_x"),
        *("peak_parameter_bytes", "provenance.source_digest", "work.topology_updates", "work.dense_gradient_batches"),
    },
    "suite": set(),
}
"""What the code of a method alone gives."""
OPTIONAL = {"file_bytes", "peak_parameter_bytes", "explored"}
"""Null in records from before they were stated, and then shown as missing."""


def paths(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Of every value inside ``value``."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (*path, key)
            yield from paths(value[key], (*path, key))


PATHS = {name: list(paths(base)) for name, base in BASES.items()}
NUMBERS = st.one_of(
    st.integers(-(10**400), 10**400),
    st.integers(-3, 3),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([10**30, 2**63, 2**53 + 1, 1e308, 5e-324, -0.0]),
)
WORDS = ("", "done", "rigl", "os:system")
TEXTS = st.one_of(st.sampled_from([*hostile.SHOWN, *hostile.REFUSED.values(), *WORDS]), st.text(max_size=8))
WRONG_SHAPES = st.sampled_from([[], {}, [[]], [1, 2], {"a": {"b": [None]}}, [[[[]]]], True, False, None])


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, tuple, Any]:
    """Which record, where in it, and what stands there then; DELETED and DOUBLED are done to the place itself."""
    base = draw(st.sampled_from(sorted(BASES)))
    path = draw(st.sampled_from(PATHS[base]))
    old = _at(BASES[base], path)
    near = (
        [old + 1, old - 1, -old, old * 2, old * 1.001, str(old)] if type(old) in (int, float) else [[old], {"x": old}]
    )
    value = draw(st.one_of(NUMBERS, TEXTS, WRONG_SHAPES, st.sampled_from(near), st.sampled_from([DELETED, DOUBLED])))
    return base, path, value


DELETED, DOUBLED = "<deleted>", "<doubled>"


def mutated(record: dict[str, Any], path: tuple, value: Any) -> dict[str, Any]:
    """A copy of ``record`` that differs in one place."""
    changed = copy.deepcopy(record)
    holder = _at(changed, path[:-1])
    if value == DELETED:
        del holder[path[-1]]
    elif value == DOUBLED and isinstance(holder, list):
        holder.insert(path[-1], holder[path[-1]])
    else:
        holder[path[-1]] = value
    return changed


def _at(value: Any, path: tuple) -> Any:
    for key in path:
        value = value[key]
    return value


@settings(max_examples=1000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(mutations())
@example(("suite", ("flops", "rigl", "train_flops_total"), BASES["suite"]["flops"]["rigl"]["train_flops_total"] + 1))
@example(("suite", ("layers", 0, "nonzeros"), BASES["suite"]["layers"][0]["nonzeros"] - 1))
@example(("foreign", ("file_bytes",), BASES["foreign"]["file_bytes"] + 8))
@example(("foreign", ("config", "multiplier"), 1e308))
@example(("foreign", ("work", "dense_gradient_batches"), 9))
@example(("foreign", ("config", "model"), "os:system"))
def test_a_changed_record_is_refused_by_name_or_harmless(mutation: tuple[str, tuple, Any]) -> None:
    base, path, value = mutation
    changed = mutated(BASES[base], path, value)
    found, flaws = checker.record_flaws(json.dumps(changed), CARD, FOREIGN, NOW)
    field = ".".join(str(key) for key in path)
    if found is None:
        told = [str(defect) for defect in at("records.jsonl", 1, flaws)]
        assert told
        assert all(text.isprintable() and text.isascii() and text.startswith("records.jsonl:1: ") for text in told)
        assert any(_names(text, path) for text in told), (field, told)
        return
    assert believed(base, path, value), f"{field} of {value!r} was accepted"
    row = tidy([Loaded("records.jsonl:1", *found)], METHODS_OF_THE_CARD).iloc[0]
    assert row["run"] == BASES[base]["run"]
    assert not any(_is_hidden(text) for text in row if isinstance(text, str))


def believed(base: str, path: tuple, value: Any) -> bool:
    """Whether a record so changed may pass: it says the same, or the change is one that nothing contradicts."""
    old = _at(BASES[base], path)
    field = ".".join(str(key) for key in path)
    free = any(field == known or field.startswith(f"{known}.") for known in MEASURED | BOUNDED[base])
    if free or (field in OPTIONAL and value in (None, DELETED)):
        return True
    if (
        value == DELETED
    ):  # a field of a run, or of a record, that stands at its default means the same when it is absent
        return path[0] == "config" or (old is None and field in ("result.bits_per_character", *OPTIONAL))
    if isinstance(value, bool) or isinstance(old, bool) or not isinstance(value, int | float):
        return type(value) is type(old) and value == old
    return isinstance(old, int | float) and math.isclose(value, old, rel_tol=1e-9)


def _names(text: str, path: tuple) -> bool:
    """Whether a defect speaks of the field that was changed, of what follows from it, or of why it cannot be read."""
    place = text.removeprefix("records.jsonl:1: ")
    unreadable = ("is nested", "holds NaN", "holds Infinity", "holds -Infinity", "holds the number")
    decides_others = {"config": "", "status": "", "layers": "sparsity: ", "work": "flops."}
    follows = (decides_others[path[0]],) if path[0] in decides_others else ()
    return place.startswith((path[0], *unreadable, *follows))


def _is_hidden(text: str) -> bool:
    return any(character in text for character in "\x00\x1b\u202e\u2066\u200b\ufeff\u2028")


PIECES = (*'{}[]",:\\ \n\t0123456789eE+-.aNu\x00\u202e', "NaN", "null", '"run"', "1e999")
TOKENS = st.lists(st.sampled_from(PIECES), max_size=60)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.one_of(TOKENS.map("".join), st.text(max_size=60)))
@example("[" * 100_000)
@example('{"a":' * 100_000)
@example('"' + '\\"' * 100_000)
@example('{"schema_version":1,"schema_version":1}')
@example("9" * 100_000)
@example('"\\ud800"')
@example("\ufeff{}")
def test_any_line_is_refused_without_a_crash(text: str) -> None:
    found, flaws = checker.record_flaws(text, CARD, FOREIGN, NOW)
    assert found is None
    assert flaws
    assert all(str(defect).isprintable() for defect in at("records.jsonl", 1, flaws))


@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(sorted(hostile.card())),
    st.one_of(TEXTS, NUMBERS, WRONG_SHAPES, st.text(alphabet='@{}\\,="abc# \n', max_size=40)),
)
@example("bibtex", "@a{b, title={" * 300)
@example("bibtex", "@string{x = y} @comment{@a{b,}}")
@example("bibtex", "@article{a, month = nov, title = undefined, author={x}, year=1}")
def test_a_changed_card_is_refused_by_line_or_read(tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(yaml.safe_dump(hostile.card() | {key: value}), encoding="utf-8")
    read, defects = cards.read(path, path.read_text(encoding="utf-8"))
    assert read is not None or defects
    assert all(str(defect).isprintable() and str(defect).isascii() for defect in defects)
    if not defects:
        assert getattr(read, key) == value or isinstance(value, dict)


def test_the_records_that_are_changed_are_valid_themselves() -> None:
    for base in BASES.values():
        assert checker.record_flaws(json.dumps(base), CARD, FOREIGN, NOW)[1] == []


HELD = [
    path
    for path in PATHS["suite"]
    if type(_at(BASES["suite"], path)) in (int, float) and not ".".join(map(str, path)).startswith(tuple(MEASURED))
]


@pytest.mark.parametrize("path", HELD, ids=lambda path: ".".join(map(str, path)))
def test_every_number_that_follows_from_the_configuration_is_held(path: tuple) -> None:
    """One more, or a millionth more, at every number of a suite's record that was not measured: refused."""
    old = _at(BASES["suite"], path)
    more = old + 1 if isinstance(old, int) else (old * 1.000001 or 1e-6)
    found, flaws = checker.record_flaws(json.dumps(mutated(BASES["suite"], path, more)), CARD, FOREIGN, NOW)
    assert found is None
    assert any(_names(str(defect), path) for defect in at("records.jsonl", 1, flaws))

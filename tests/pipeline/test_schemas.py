"""The exported JSON schemas: up to date, valid, and of one mind with the code about what a study and a record are."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from jsonschema import Draft202012Validator, ValidationError

from pipeline import outcome, schema_export
from pipeline.plan import Spec, resolve
from pipeline.record import LayerCount, Ledger, Record, Result, Timing, Work
from pipeline.run import LearningRate, Protocol, Run, StartFrom, non_defaults
from pipeline.schema_export import FOLDER, as_text, schemas
from pipeline.study import STUDIES, load_study
from pipeline.yaml_source import StudyError

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = ("study.schema.json", "record.schema.json")


def test_the_committed_files_are_current() -> None:
    assert tuple(schemas()) == NAMES
    for name, schema in schemas().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == as_text(schema), "run `make schemas` and commit the files"
    assert sorted(path.name for path in FOLDER.glob("*.json")) == sorted(NAMES)


def test_exporting_writes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_export, "FOLDER", tmp_path / "schemas")
    schema_export.main()
    assert {path.name: json.loads(path.read_text()) for path in (tmp_path / "schemas").iterdir()} == schemas()


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_schemas(name: str) -> None:
    schema = schemas()[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def references(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*map(references, part.values()))
    return set().union(*map(references, part)) if isinstance(part, list) else set()


@pytest.mark.parametrize("name", NAMES)
def test_every_definition_is_used_and_every_reference_is_defined(name: str) -> None:
    schema = schemas()[name]
    assert references(schema) == {f"#/$defs/{definition}" for definition in schema["$defs"]}


# -- studies --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study() -> Draft202012Validator:
    return Draft202012Validator(schemas()["study.schema.json"])


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_studies_of_the_suite_are_valid(study: Draft202012Validator, path: Path) -> None:
    study.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


BASE = {
    "dataset": "digits",
    "model": "lenet300",
    "protocol": {"steps": 10, "batch_size": 4, "learning_rate": {"peak": 0.1}},
}
ROW = {"method": "rigl", "sparsity": 0.9}

VALID = {
    "lists": {"base": BASE, "grid": [{"method": ["set", "rigl"], "sparsity": [0.8, 0.9]}]},
    "dotted": {"base": BASE, "grid": [ROW | {"protocol.topology.end": "never", "protocol.steps": [5, 6]}]},
    "dotted base": {"base": BASE | {"protocol.topology.end": 7}, "grid": [ROW]},
    "nested row": {"base": BASE, "grid": [ROW | {"protocol": {"topology": {"begin": [1, 2]}}}]},
    "options": {"base": BASE, "grid": [{"method": "snfs", "sparsity": 0.9, "method_options.momentum": [0.5, 0.9]}]},
    "layers": {"base": BASE | {"layers": {"fc1": 0.5, "fc3": "unmasked"}}, "grid": [ROW]},
    "parent": {"base": BASE | {"start_from": {"method": "dense", "take": "weights"}}, "grid": [ROW]},
    "parent of a row": {"base": BASE, "grid": [ROW | {"start_from": {"protocol.steps": 3, "take": "mask"}}]},
    "dotted parent": {"base": BASE | {"start_from": {"method": "static"}}, "grid": [ROW | {"start_from.take": "mask"}]},
    "grandparent": {
        "base": BASE | {"start_from": {"method": "static", "start_from": {"method": "dense", "take": "weights"}}},
        "grid": [ROW],
    },
    "counts": {"base": BASE, "grid": [ROW], "seeds": 3, "runs_per_job": 2, "title": "A", "description": "B"},
    "extends": {"extends": "quick", "only": {"method": ["rigl"], "sparsity": [0.9]}, "add": [ROW]},
}

TYPOS = {
    "key": {"base": BASE, "grid": [ROW], "seed": 3},
    "field": {"base": BASE | {"sparsitty": 0.9}, "grid": [ROW]},
    "field of a protocol": {"base": BASE | {"protocol": BASE["protocol"] | {"step": 3}}, "grid": [ROW]},
    "field of a rate": {"base": BASE | {"protocol": {"learning_rate": {"peek": 3}}}, "grid": [ROW]},
    "choice": {"base": BASE | {"distribution": "er"}, "grid": [ROW]},
    "type": {"base": BASE | {"multiplier": "long"}, "grid": [ROW]},
    "rule of a layer": {"base": BASE | {"layers": {"fc1": "dense"}}, "grid": [ROW]},
    "field of a row": {"base": BASE, "grid": [{"methd": "rigl"}]},
    "dotted field": {"base": BASE, "grid": [ROW | {"protocol.topology.updat_every": 3}]},
    "dotted field of the base": {"base": BASE | {"protocol.stps": 3}, "grid": [ROW]},
    "half a dotted field": {"base": BASE, "grid": [ROW | {"protocol.": 3}]},
    "dotted field below a value": {"base": BASE, "grid": [ROW | {"sparsity.fc1": 3}]},
    "added row": {"base": BASE, "grid": [], "add": [{"methd": "rigl"}]},
    "take": {"base": BASE | {"start_from": {"method": "dense", "take": "maks"}}, "grid": [ROW]},
    "field of a parent": {"base": BASE | {"start_from": {"methd": "dense"}}, "grid": [ROW]},
    "dotted parent": {"base": BASE, "grid": [ROW | {"start_from.tke": "mask"}]},
    "only": {"base": BASE, "grid": [ROW], "only": {"metod": ["rigl"]}},
    "only without a list": {"base": BASE, "grid": [ROW], "only": {"method": "rigl"}},
    "seeds": {"base": BASE, "grid": [ROW], "seeds": 0},
    "rows": {"base": BASE, "grid": ROW},
}


@pytest.mark.parametrize("name", VALID)
def test_what_the_code_takes_the_schema_takes(study: Draft202012Validator, name: str, tmp_path: Path) -> None:
    study.validate(VALID[name])
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(VALID[name], sort_keys=False))
    assert load_study(tmp_path / "mine.yaml").runs


@pytest.mark.parametrize("name", TYPOS)
def test_what_the_code_refuses_the_schema_refuses(study: Draft202012Validator, name: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        study.validate(TYPOS[name])
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(TYPOS[name], sort_keys=False))
    with pytest.raises(StudyError):
        load_study(tmp_path / "mine.yaml")


def test_no_field_of_a_run_is_required_in_a_base(study: Draft202012Validator) -> None:
    study.validate({"base": {}})
    study.validate({"base": {"protocol": {"optimizer": {}, "learning_rate": {}, "topology": {}}, "start_from": {}}})


def test_every_field_of_a_run_may_stand_in_a_row(study: Draft202012Validator) -> None:
    run = Run("lenet300", "digits", "rigl", Protocol(10, 4, LearningRate(0.1)))

    def paths(value: dict[str, Any], prefix: str = "") -> list[str]:
        found = []
        for key, inner in value.items():
            found.append(prefix + key)
            found += paths(inner, f"{prefix}{key}.") if isinstance(inner, dict) else []
        return found

    keys = paths(asdict(run))
    assert "protocol.learning_rate.milestones" in keys
    study.validate({"grid": [dict.fromkeys(keys)]})
    assert all(key.count(".") == 0 or study.is_valid({"base": {key: 1}}) for key in keys)


# -- records --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def record_schema() -> Draft202012Validator:
    return Draft202012Validator(schemas()["record.schema.json"])


@pytest.fixture(scope="module")
def record() -> Record:
    run = Run("lenet300", "digits", "rigl", Protocol(10, 4, LearningRate(0.1)), sparsity=0.9)
    child = replace(run, start_from=StartFrom(replace(run, method="static"), "mask"), layers={"fc1": "unmasked"})
    spec = resolve(child, (1, 8, 8), 10)
    ledger = Ledger(1000, 100, 0.1, None, 12_000, 120_000)
    return replace(
        outcome.not_trained(spec, "done", torch.device("cpu")),
        sparsity=0.9,
        layers=(LayerCount("fc1", (300, 64), 19_200, 1_920, 0.9, 0.9, True),),
        flops={"macs": ledger, "rigl": replace(ledger, train_x=0.1)},
        size_bytes=9_000,
        result=Result(400, 450, 0.5, 0.4),
        work=Work(10, 1, 1, 11, 44),
        timing=Timing(1.5, 0.5, 0.0, 2**30, 0, "2026-01-01T00:00:00+00:00"),
    )


def as_json(record: Record) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(record)))


def test_a_whole_record_is_valid(record_schema: Draft202012Validator, record: Record) -> None:
    record_schema.validate(as_json(record))


@pytest.mark.parametrize(
    "status", ["skipped: no width gives at most 3 parameters", "failed: KeyError: 'a'", "diverged"]
)
def test_a_record_without_a_result_is_valid(record_schema: Draft202012Validator, status: str) -> None:
    spec: Spec = resolve(Run("lenet300", "digits", "dense", Protocol(10, 4, LearningRate(0.1))), (1, 8, 8), 10)
    record_schema.validate(as_json(outcome.not_trained(spec, status, torch.device("cpu"))))


def test_an_older_configuration_is_valid(record_schema: Draft202012Validator, record: Record) -> None:
    run = Run("lenet300", "digits", "rigl", Protocol(10, 4, LearningRate(0.1)), sparsity=0.9)
    record_schema.validate(as_json(record) | {"config": json.loads(json.dumps(non_defaults(run)))})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data | {"status": "finished"},
        lambda data: data | {"status": "failed"},
        lambda data: data | {"extra": 1},
        lambda data: data | {"result": data["result"] | {"best_accuracy": 1.0}},
        lambda data: data | {"config": {"model": "lenet300"}},
        lambda data: data | {"config": data["config"] | {"distribution": "er"}},
        lambda data: data | {"flops": {"macs": {}}},
        lambda data: data | {"size_bytes": "9 kB"},
        lambda data: data | {"layers": [{"layer": "fc1"}]},
        lambda data: {key: value for key, value in data.items() if key != "comparability_version"},
        lambda data: {key: value for key, value in data.items() if key != "provenance"},
    ],
    ids=[
        "unknown status",
        "no reason",
        "unknown key",
        "unknown key of a result",
        "half a configuration",
        "unknown distribution",
        "empty ledger",
        "type",
        "half a layer",
        "no comparability version",
        "no provenance",
    ],
)
def test_a_record_that_is_none_is_refused(
    record_schema: Draft202012Validator, record: Record, spoil: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    data = as_json(record)
    assert record_schema.is_valid(data)
    assert not record_schema.is_valid(spoil(data))


def test_every_committed_record_is_valid(record_schema: Draft202012Validator) -> None:
    for path in (REPOSITORY / "results" / "reference").glob("*/records.jsonl"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            errors = [error.message for error in record_schema.iter_errors(json.loads(line))]
            assert not errors, f"{path}:{number}: {errors}"

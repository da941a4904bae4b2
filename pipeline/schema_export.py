"""JSON schemas of studies and records, for editors and for readers of records: ``python -m pipeline.schema_export``.

Made from the classes that the suite itself checks with, so that they cannot drift; a test compares the committed files.
A schema knows keys, types and names that never change. Ranges, and the names of models, data sets and methods, which
grow by dropping in a file, are checked when a study is loaded.
"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from pipeline.record import Record
from pipeline.run import Run, StartFrom
from pipeline.study import EQUAL_FLOPS, StudyFile

FOLDER = Path(__file__).parent / "schemas"
STATUS = r"^(done|diverged|(skipped|failed): .+)$"
Schema = dict[str, Any]


def schemas() -> dict[str, Schema]:
    """The schemas by file name."""
    return {"study.schema.json": study_schema(), "record.schema.json": record_schema()}


def study_schema() -> Schema:
    """Of a study's YAML file: every field of a run is optional in ``base``, rows take dotted paths and lists of values."""
    schema = {"$schema": GenerateJsonSchema.schema_dialect, **StudyFile.model_json_schema()}
    definitions = {name: _all_optional(part) for name, part in TypeAdapter(Run).json_schema()["$defs"].items()}
    multiplier = definitions["Run"]["properties"]["multiplier"]
    definitions["Run"]["properties"]["multiplier"] = {
        **{key: multiplier[key] for key in multiplier if key != "type"},
        "anyOf": [{"type": multiplier["type"]}, {"const": EQUAL_FLOPS}],
    }
    start = definitions.pop("StartFrom")
    definitions["Run"]["properties"]["start_from"]["anyOf"][0] = {"$ref": "#/$defs/Parent"}
    # A parent is this run with some fields changed, or another run given whole.
    definitions["Parent"] = {
        **definitions["Run"],
        "description": "Fields in which the run to begin from differs from this one, and what is taken from it.",
        "properties": {**definitions["Run"]["properties"], **start["properties"]},
        "title": "Parent",
    }
    row = {"type": "object", "patternProperties": {_keys(dotted=False): {}}, "additionalProperties": False}
    properties = schema["properties"]
    properties["base"] |= {**definitions["Run"], "patternProperties": {_keys(dotted=True): {}}} | {
        key: properties["base"][key] for key in ("description", "title")
    }
    properties["grid"]["anyOf"][0]["items"] = properties["add"]["items"] = {"$ref": "#/$defs/Row"}
    properties["only"]["propertyNames"] = {"enum": [field.name for field in dataclasses.fields(Run)]}
    return {**schema, "$defs": {**schema["$defs"], **definitions, "Row": row}}


def record_schema() -> Schema:
    """Of a run's record.json; of a configuration only the fields without a default are required, as in older records."""
    parts, shared = TypeAdapter.json_schemas(
        [("run", "validation", TypeAdapter(Run)), ("record", "validation", TypeAdapter(Record))]
    )
    definitions = shared["$defs"]
    record = definitions.pop("Record", None) or parts["record", "validation"]
    properties = record["properties"]
    properties["config"] = {"$ref": "#/$defs/Run", "description": properties["config"]["description"]}
    properties["status"]["pattern"] = STATUS
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **record,
        # Fields that older records lack have the default None.
        "required": [field.name for field in dataclasses.fields(Record) if field.default is not None],
        "$defs": definitions,
    }


def main() -> None:
    """Write the schemas beside this module."""
    FOLDER.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        (FOLDER / name).write_text(as_text(schema), encoding="utf-8")


def as_text(schema: Schema) -> str:
    """A schema as it is committed."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _all_optional(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "required"}


def _keys(dotted: bool) -> str:
    """A regular expression of the keys that a row may have; with ``dotted``, of those with a dot only."""
    every = _paths(Run, "")
    plain = [path for path in every if not dotted or "." in path]
    of_parent = [*every, *(field.name for field in dataclasses.fields(StartFrom))]
    return rf"^({'|'.join(plain)}|(start_from\.)+({'|'.join(of_parent)}))$"


def _paths(cls: type, prefix: str) -> list[str]:
    """Expressions of every key of a dataclass, nested ones by their dotted path; ``start_from`` is not descended into."""
    paths = []
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        path, kind = f"{prefix}{re.escape(field.name)}", hints[field.name]
        paths.append(path)
        if dataclasses.is_dataclass(kind):
            paths += _paths(kind, rf"{path}\.")
        elif getattr(kind, "__origin__", None) is dict:
            paths.append(rf"{path}\..+")
    return paths


if __name__ == "__main__":
    main()

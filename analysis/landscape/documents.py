"""The documents that measurements of a landscape leave: read from folders, checked, and collected into one file to commit.

A document is what ``python -m analysis.landscape`` writes for one job. A folder of results holds one to a file; a committed
landscape.jsonl holds one to a line. No torch here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis import text
from analysis.errors import AnalysisError

SCHEMA_VERSION = 1
"""Of what is written; raised when keys change their meaning."""
COLLECTED = "landscape.jsonl"
KINDS = ("curves", "escape", "maps", "curvature", "overlap")
TAKES = "--measured takes results/landscape/measured/STUDY, or results/reference/STUDY/landscape.jsonl"
KEYS = {"schema_version", "job", "kind", "cell", "settings", "found"}


@dataclass(frozen=True)
class Document:
    """What one job measured."""

    source: str
    content: Mapping[str, Any]

    @property
    def job(self) -> str:
        """Its name."""
        return self.content["job"]

    @property
    def kind(self) -> str:
        """One of KINDS."""
        return self.content["kind"]

    @property
    def settings(self) -> Mapping[str, Any]:
        """How much was measured (``pipeline.landscape.Landscape``)."""
        return self.content["settings"]

    @property
    def found(self) -> list[Mapping[str, Any]]:
        """The measurements, one for each group of runs."""
        return self.content["found"]

    @property
    def cell(self) -> dict[str, Any]:
        """What its runs have in common: model, dataset, distribution, sparsity, multiplier, and as ``cell`` all in words."""
        values = dict(self.content["cell"])
        options = ", ".join(f"{key}={value}" for key, value in sorted(values.pop("model_options").items()))
        values["model"] += f" ({options})" if options else ""
        setting = text.setting(values["model"], values["dataset"], "default", values["multiplier"])
        words = f"{setting}, {text.distribution(values['distribution'])}, {text.sparsity(values['sparsity'])}"
        return {"cell": words} | values


def method_of(run: str) -> str:
    """The method of a run, from its path (``pipeline.run.Run.cell``)."""
    return run.split("/")[1].split("-")[0]


def read(sources: Iterable[Path]) -> list[Document]:
    """The documents of folders and .jsonl files: by cell, then kind, then in the study's order of pairs.

    Of a folder every .json counts, and its landscape.jsonl. Raises AnalysisError for a source that is neither, for what is no
    document of this version, and for a job that is found twice.
    """
    found: dict[str, Document] = {}
    for source in sources:
        for where, content in _texts(Path(source)):
            document = _parse(where, content)
            if document.job in found:
                twice = f"{found[document.job].source} and {where}"
                raise AnalysisError(f"{document.job} was measured twice: {twice}\nkeep one of them")
            found[document.job] = document
    return sorted(found.values(), key=_place)


def collect(sources: Iterable[Path], destination: Path) -> int:
    """Write the documents of ``sources`` to ``destination``, a landscape.jsonl to commit. Returns their number.

    One compact JSON object a line. Raises AnalysisError as ``read`` does, and when there are none.
    """
    documents = read(sources)
    if not documents:
        raise AnalysisError("there are no measurements to collect\nmeasure the landscape of a study first")
    lines = [json.dumps(one.content, separators=(",", ":"), allow_nan=False) + "\n" for one in documents]
    destination.parent.mkdir(parents=True, exist_ok=True)
    destination.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def _texts(source: Path) -> Iterator[tuple[str, str]]:
    if source.is_dir():
        for file in sorted(source.glob("*.json")):
            yield str(file), file.read_text(encoding="utf-8")
        if (source / COLLECTED).is_file():
            yield from _texts(source / COLLECTED)
    elif source.suffix == ".jsonl" and source.is_file():
        for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), start=1):
            yield f"{source}, line {number}", line
    else:
        raise AnalysisError(f"{source} is neither a folder of measurements nor a .jsonl of them\n{TAKES}")


def _parse(source: str, content: str) -> Document:
    try:
        found = json.loads(content)
    except json.JSONDecodeError as error:
        raise AnalysisError(f"{source} is not JSON: {error}\nmeasure it again") from error
    if not isinstance(found, dict) or not found.keys() >= KEYS or found["kind"] not in KINDS or not found["found"]:
        raise AnalysisError(f"{source} is no measurement of a landscape\none has {', '.join(sorted(KEYS))}")
    if found["schema_version"] != SCHEMA_VERSION:
        version = found["schema_version"]
        raise AnalysisError(f"{source} has schema version {version!r}, this is {SCHEMA_VERSION}\nmeasure it again")
    return Document(source, found)


def _place(document: Document) -> tuple:
    methods = [method_of(run) for run in document.found[0]["runs"]]
    pairs = document.settings["pairs"]
    rank = pairs.index(methods) if methods in pairs else len(pairs)
    cell = tuple(value for name, value in document.cell.items() if name != "cell")
    return cell, KINDS.index(document.kind), rank, document.job

"""Everything that is wrong with a submission, in the order of its files and lines, and what is left where nothing is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from analysis.errors import AnalysisError
from analysis.records import Loaded
from analysis.submissions import card as cards
from analysis.submissions import folder as folders
from analysis.submissions import measured, recomputed
from analysis.submissions.card import Card
from analysis.submissions.defects import Defect, Flaw, at, quoted
from analysis.submissions.due import configuration_flaws, due, foreign_method
from analysis.submissions.strict import NotStrictError, parse, text_flaws
from pipeline.record import COMPARABILITY_VERSION, SCHEMA_VERSION, Record
from pipeline.run import Run
from sparse_methods.method import Method

MOST_RECORDS = 20_000
RECORD, RUN = TypeAdapter(Record), TypeAdapter(Run)


@dataclass(frozen=True)
class Submission:
    """A submission without defects."""

    name: str
    card: Card
    loaded: tuple[Loaded, ...]
    """Its records, in the file's order."""
    notes: tuple[str, ...]
    """What is no defect and must be seen: seeds that are missing, records of an older comparability version."""


def check(folder: Path, now: datetime | None = None) -> tuple[Submission | None, list[Defect]]:
    """The submission in ``folder``, or None and every defect that it has. ``now`` is the present, by default the clock's.

    Raises OSError where the disk does.
    """
    folder, now = Path(folder), now or datetime.now(UTC)
    outside = list(folders.defects(folder))
    if outside:
        return None, outside
    try:
        texts = {name: folders.text_of(folder / name) for name in folders.REQUIRED}
    except AnalysisError as error:
        return None, [Defect(str(folder), None, "", str(error))]
    card, defects = cards.read(folder / folders.CARD, texts[folders.CARD])
    file = str(folder / folders.RECORDS)
    loaded, more = _records(file, texts[folders.RECORDS], card, now)
    defects += more
    if defects:
        return None, defects
    return Submission(folder.absolute().name, card, tuple(loaded), tuple(_notes(loaded))), []


def record_flaws(text: str, card: Card, foreign: Method, now: datetime) -> tuple[tuple[Record, Run] | None, list[Flaw]]:
    """The record in a line of records.jsonl and its run; or None and everything that is wrong with it."""
    record, run, flaws = _read(text)
    if flaws:
        return None, flaws
    flaws = list(configuration_flaws(run, card))
    if not flaws:
        flaws = [*_record_flaws(record, run, card, foreign, now)]
    return (None, flaws) if flaws else ((record, run), [])


def _records(file: str, text: str, card: Card | None, now: datetime) -> tuple[list[Loaded], list[Defect]]:
    lines = text.removesuffix("\n").split("\n")
    if not text.strip():
        return [], [Defect(file, None, "", "is empty; one record a line was due")]
    if len(lines) > MOST_RECORDS:
        return [], [Defect(file, None, "", f"has {len(lines)} lines, at most {MOST_RECORDS} records are read")]
    loaded, defects = [], []
    foreign = card and foreign_method(card)
    for number, line in enumerate(lines, start=1):
        if card is None:  # what is wrong with a record beside its card can be told all the same
            *_, flaws = _read(line)
            found = None
        else:
            found, flaws = record_flaws(line, card, foreign, now)
        defects += at(file, number, flaws)
        if found:
            loaded.append(Loaded(f"{file}:{number}", *found))
    if card is not None:
        defects += [Defect(file, int(item.source.rpartition(":")[2]), *flaw) for item, flaw in _together(loaded)]
        if not defects and all(item.run.method != card.method for item in loaded):
            told = f"has no record of {card.method}, which the card is of"
            defects.append(Defect(file, None, "", told))
    return loaded, sorted(defects, key=lambda defect: defect.line or 0)


def _read(text: str) -> tuple[Record | None, Run | None, list[Flaw]]:
    """Record and run by the schema alone."""
    try:
        content = parse(text)
    except NotStrictError as error:
        return None, None, [("", str(error))]
    if not isinstance(content, dict):
        return None, None, [("", f"is a {type(content).__name__}, a record is an object")]
    versions = list(_version_flaws(content))
    if versions:
        return None, None, versions
    flaws = list(text_flaws(content))
    if flaws:
        return None, None, flaws
    try:
        record = RECORD.validate_json(text, strict=True)
    except ValidationError as error:
        return None, None, list(_schema_flaws(error))
    try:
        run = RUN.validate_json(json.dumps(record.config), strict=True)
    except ValidationError as error:
        return None, None, list(_schema_flaws(error, "config"))
    return record, run, []


def _version_flaws(content: dict[str, Any]) -> Iterator[Flaw]:
    """By name, before anything else is asked of the record."""
    schema, comparability = content.get("schema_version"), content.get("comparability_version")
    if type(schema) is not int or schema != SCHEMA_VERSION:
        yield "schema_version", f"is {quoted(schema)}, this suite reads {SCHEMA_VERSION}"
    if type(comparability) is not int or not 1 <= comparability <= COMPARABILITY_VERSION:
        known = f"this suite's is {COMPARABILITY_VERSION}, an older one is shown apart"
        yield "comparability_version", f"is {quoted(comparability)}, {known}"


def _schema_flaws(error: ValidationError, prefix: str = "") -> Iterator[Flaw]:
    for found in error.errors(include_url=False):
        field = ".".join(map(str, ([prefix] if prefix else []) + list(found["loc"])))
        message = found["msg"].removeprefix("Value error, ")
        cause = found.get("ctx", {}).get("error")
        if isinstance(cause, ValueError) or found["type"] in (
            "missing",
            "missing_argument",
            "unexpected_keyword_argument",
        ):
            yield field, message
        else:
            yield field, f"is {quoted(found['input'])}; {message[0].lower()}{message[1:]}"


def _record_flaws(record: Record, run: Run, card: Card, foreign: Method, now: datetime) -> Iterator[Flaw]:
    if record.run != run.path:
        yield "run", f"is {quoted(record.run)}, the configuration is that of {run.path}"
    flaws = list(measured.status_flaws(record))
    yield from flaws
    if record.result is not None:
        yield from measured.result_flaws(record.result, run, card)
    if record.timing is not None:
        yield from measured.timing_flaws(record.timing, now)
    yield from measured.provenance_flaws(record.provenance, run, card, trained=record.timing is not None)
    if flaws or not record.layers:
        return
    try:
        yield from list(recomputed.flaws(record, due(run, record, card, foreign), card))
    except ValueError as error:
        yield "config", f"cannot be recomputed: {error}"


def _together(loaded: Sequence[Loaded]) -> Iterator[tuple[Loaded, Flaw]]:
    """What is wrong with records that are right each for itself."""
    first_of: dict[str, Loaded] = {}
    code: dict[str, Loaded] = {}
    data: dict[str, Loaded] = {}
    for item in loaded:
        provenance = item.record.provenance
        earlier = first_of.setdefault(item.run.path, item)
        if earlier is not item:
            yield item, ("run", f"is that of {_line(earlier)} too: one record a run")
        earlier = code.setdefault(item.run.cell_digest, item)
        if earlier.record.provenance.source_digest != provenance.source_digest:
            told = (
                f"is {provenance.source_digest}, that of {_line(earlier)} is {earlier.record.provenance.source_digest}"
            )
            yield item, ("provenance.source_digest", f"{told}: seeds of one cell are of one code")
        if provenance.data_digest is not None:
            earlier = data.setdefault(item.run.dataset, item)
            if earlier.record.provenance.data_digest != provenance.data_digest:
                told = f"is not that of {_line(earlier)}: records of one data set are of one content"
                yield item, ("provenance.data_digest", told)


def _line(item: Loaded) -> str:
    return f"line {item.source.rpartition(':')[2]}"


def _notes(loaded: Sequence[Loaded]) -> Iterator[str]:
    by_cell = sorted(loaded, key=lambda item: (item.run.cell, item.run.cell_digest, item.run.seed))
    for _, group in groupby(by_cell, key=lambda item: item.run.cell_digest):
        runs = [item.run for item in group]
        seeds = [run.seed for run in runs]
        missing = [str(seed) for seed in range(min(max(seeds), MOST_RECORDS)) if seed not in set(seeds)]
        if missing:
            listed = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            yield f"{runs[0].cell} has {len(runs)} seeds; {listed} is missing and n is smaller"
    older = sum(item.record.comparability_version < COMPARABILITY_VERSION for item in loaded)
    if older:
        yield f"{older} records are of an older comparability version and shown apart"

"""What a record says was measured, and where: nothing of it can be recomputed, but not everything can be true."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from analysis.records import STATUSES
from analysis.submissions.card import Card
from analysis.submissions.defects import Flaw, quoted
from analysis.submissions.strict import begins_formula
from pipeline.cost import CONVENTIONS
from pipeline.data.published import PUBLISHED, Published, PublishedText
from pipeline.provenance import source_digest
from pipeline.record import Provenance, Record, Result, Timing
from pipeline.run import Run
from sparse_methods.methods import METHODS

TEST_SAMPLES = {"digits": 449} | {
    name: published.rows[1] for name, published in PUBLISHED.items() if isinstance(published, Published)
}
"""What accuracy is measured on, where the data set says it."""
TEXTS = {name for name, published in PUBLISHED.items() if isinstance(published, PublishedText)}
DATA_DIGESTS = {
    "digits": "ac0ca5fafdd99602760fa8414304bfe9125d9ab6fcc0a79b65c4bc84c7b5b94a",
    "mnist": "b2fd61be6865ae5676d5bcf057fc34e0a3fab068f551bca7b829d95c29ad13ee",
}
"""Of data sets whose pixels do not depend on who decodes them."""
ROUNDING = 1e-5
"""Relative, of sums in float32."""
CLOCKS = timedelta(hours=1)
"""By which two machines' clocks may differ."""
VERSIONS = ("python", "torch", "rigl-bench")
TRAINED = ("sparsity", "size_bytes", "work", "timing")
"""Fields of every run that was trained, to its end or not, and of no other."""


def status_flaws(record: Record) -> Iterator[Flaw]:
    """Whether the status is one, and the record has what runs of this status have."""
    kind, _, reason = record.status.partition(": ")
    if kind not in STATUSES or bool(reason.strip()) != (kind in ("skipped", "failed")):
        yield "status", f"is {quoted(record.status)}, it must be done, diverged, skipped: REASON or failed: REASON"
        return
    if begins_formula(reason):
        yield "status", f"has the reason {quoted(reason)}: a spreadsheet takes that for a formula"
    trained = kind in ("done", "diverged")
    for field in TRAINED:
        if (getattr(record, field) is not None) != trained:
            yield (
                field,
                f"is {'missing' if trained else 'there'}, the status is {kind}: it belongs to runs that were trained",
            )
    if (record.result is not None) != (kind == "done"):
        yield (
            "result",
            f"is {'there' if record.result else 'missing'}, the status is {kind}: done, and only done, has a result",
        )
    if bool(record.layers) != trained:
        yield "layers", f"are {len(record.layers)}, the status is {kind}"
    if sorted(record.flops) != (sorted(CONVENTIONS) if trained else []):
        due = " and ".join(CONVENTIONS) if trained else "none"
        yield "flops", f"has the ledgers {quoted(sorted(record.flops))}, due are {due}"


def result_flaws(result: Result, run: Run, card: Card) -> Iterator[Flaw]:
    """Counts against the data set's, and losses against the counts.

    A wrong prediction has another class at least as probable as the true one, so its loss is at least log 2; a right one has
    none more probable, so its loss is at most log C.
    """
    declared = card.datasets.get(run.dataset)
    total = declared.test_samples if declared else TEST_SAMPLES.get(run.dataset)
    if result.test_total < 1 or result.test_total >= 2**63:
        yield "result.test_total", f"is {result.test_total}, it must be at least 1"
        return
    if total is not None and result.test_total != total:
        yield "result.test_total", f"is {result.test_total}, {run.dataset} is tested on {total}"
    if not 0 <= result.test_correct <= result.test_total:
        yield "result.test_correct", f"is {result.test_correct}, it must be from 0 to test_total, {result.test_total}"
        return
    classes = card.sample(run.dataset)[1]
    wrong = result.test_total - result.test_correct
    least = wrong / result.test_total * math.log(2)
    if result.test_loss_nats < least * (1 - ROUNDING):
        told = f"{wrong} wrong predictions of {result.test_total} give at least {least:.6g}"
        yield "result.test_loss_nats", f"is {result.test_loss_nats}, {told}"
    if not wrong and result.test_loss_nats > math.log(classes) * (1 + ROUNDING):
        yield "result.test_loss_nats", f"is {result.test_loss_nats}, all predictions right give at most log {classes}"
    least = _least_training_loss(run.protocol.label_smoothing, classes)
    if result.train_loss_nats < least * (1 - ROUNDING):
        yield "result.train_loss_nats", f"is {result.train_loss_nats}, it must be at least {least:.6g}"
    bits = result.test_loss_nats / math.log(2) if run.dataset in TEXTS else None
    if run.dataset not in card.datasets and (result.bits_per_character is None) != (bits is None):
        kind = "a text" if bits is not None else "no text"
        yield "result.bits_per_character", f"is {quoted(result.bits_per_character)}, {run.dataset} is {kind}"
    elif result.bits_per_character is not None and not math.isclose(
        result.bits_per_character, result.test_loss_nats / math.log(2), rel_tol=ROUNDING
    ):
        due = result.test_loss_nats / math.log(2)
        yield "result.bits_per_character", f"is {result.bits_per_character}, the test loss is {due:.6g} bits"


def _least_training_loss(smoothing: float, classes: int) -> float:
    """The entropy of smoothed labels."""
    other = smoothing / classes
    if not other or classes < 2:
        return 0.0
    true = 1 - smoothing + other
    return -(true * math.log(true) + (classes - 1) * other * math.log(other))


def timing_flaws(timing: Timing, now: datetime) -> Iterator[Flaw]:
    """Seconds, memory and the date."""
    if timing.train_seconds <= 0:
        yield "timing.train_seconds", f"is {timing.train_seconds}, training takes more than 0"
    for field in ("evaluation_seconds", "checkpoint_seconds", "resumes"):
        if getattr(timing, field) < 0:
            yield f"timing.{field}", f"is {getattr(timing, field)}, it must be at least 0"
    if timing.peak_memory_bytes is not None and not 0 < timing.peak_memory_bytes < 2**63:
        yield (
            "timing.peak_memory_bytes",
            f"is {timing.peak_memory_bytes}, it must be above 0, or null where it was not measured",
        )
    try:
        finished = datetime.fromisoformat(timing.finished)
    except ValueError:
        yield (
            "timing.finished",
            f"is {quoted(timing.finished)}, it must be a date and time as 2026-01-31T12:00:00+00:00",
        )
        return
    if finished.utcoffset() != timedelta(0):
        yield "timing.finished", f"is {quoted(timing.finished)}, it must be UTC: +00:00"
    elif finished > now + CLOCKS:
        yield "timing.finished", f"is {timing.finished}, which is in the future"


def provenance_flaws(provenance: Provenance, run: Run, card: Card, trained: bool) -> Iterator[Flaw]:
    """Device, versions, and digests of code and data."""
    for field, pattern, words in (
        ("device", r"[a-z]{1,20}", "a kind of device, such as cpu or cuda"),
        ("hardware", r".+", "the name of the processor or GPU"),
        ("numerics", r".+", 'as "float32, bit-reproducible"'),
        ("source_digest", r"[0-9a-f]{12}", "12 hex digits"),
        (
            "commit",
            r"[0-9a-f]{7,40}(-dirty)?",
            "a commit of the suite in hex, with -dirty where the tree differed; or null",
        ),
        ("data_digest", r"[0-9a-f]{64}", "64 hex digits"),
    ):
        value = getattr(provenance, field)
        optional = field == "commit" or (field == "data_digest" and not trained)
        if not (value is None and optional) and not re.fullmatch(pattern, value or ""):
            yield f"provenance.{field}", f"is {quoted(value)}, it must be {words}"
    missing = [name for name in VERSIONS if not provenance.versions.get(name, "").strip()]
    if missing:
        yield "provenance.versions", f"has no {', '.join(missing)}; it must have {', '.join(VERSIONS)}"
    known = DATA_DIGESTS.get(run.dataset)
    if trained and known is not None and provenance.data_digest != known:
        yield "provenance.data_digest", f"is {quoted(provenance.data_digest)}, {run.dataset} has {known}"
    yield from _code_flaws(provenance, run, card)


def _code_flaws(provenance: Provenance, run: Run, card: Card) -> Iterator[Flaw]:
    """A method of the suite is its code, or the card says what it is."""
    if run.method not in METHODS or run.method in card.different_code or _starts_from_foreign(run):
        return
    ours = source_digest(run)
    if provenance.source_digest != ours:
        told = f"is {quoted(provenance.source_digest)}, this version's {run.method} has {ours}"
        yield (
            "provenance.source_digest",
            f"{told}; say under different_code of the card what differs, or name the method anew",
        )


def _starts_from_foreign(run: Run) -> bool:
    start = run.start_from
    return start is not None and (start.run.method not in METHODS or _starts_from_foreign(start.run))

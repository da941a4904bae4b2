"""Layers, costs and work of a record, held against what its configuration makes due."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from analysis.submissions.card import Card
from analysis.submissions.defects import Flaw, quoted
from analysis.submissions.due import Due
from pipeline.cost import CONVENTIONS, cadence
from pipeline.record import LayerCount, Ledger, Record, Work
from sparse_methods.method import Method
from sparse_methods.topology import zero_count

TOLERANCE = 1e-9
"""Of a quotient, relative; sums of whole numbers are compared exactly."""
FIRST_MASK_BATCHES = 1000
"""Dense batches that a foreign method's choice of its first mask may cost: SynFlow's hundred rounds are some hundred."""


def flaws(record: Record, due: Due, card: Card) -> Iterator[Flaw]:
    """Of a record of a run that was trained, to its end or until it diverged."""
    wrong = [*layer_flaws(record, due)]
    yield from wrong
    if not wrong:  # what follows from counts that are wrong is wrong too, and says nothing new
        yield from size_flaws(record, due)
        for convention in CONVENTIONS:
            yield from ledger_flaws(record.flops[convention], convention, record, due, card)
    yield from work_flaws(record.work, due, record.status == "done")


def layer_flaws(record: Record, due: Due) -> Iterator[Flaw]:
    """Names, shapes, counts and sparsities of layers."""
    network = {layer.layer: layer for layer in due.spec.network.layers}
    names = [layer.layer for layer in record.layers]
    if names != list(network):
        yield "layers", f"are {quoted(names)}, the configuration's network has {quoted(list(network))}"
        return
    for index, layer in enumerate(record.layers):
        yield from (
            (f"layers.{index}.{field}", problem) for field, problem in _count_flaws(layer, network[layer.layer].shape)
        )
    weights = sum(layer.weights for layer in record.layers)
    if weights > 0:
        yield from _expect(
            "sparsity",
            record.sparsity,
            1 - sum(layer.nonzeros for layer in record.layers) / weights,
            "the counts of its layers",
        )
    yield from _request_flaws(record, due)


def _count_flaws(layer: LayerCount, shape: tuple[int, ...]) -> Iterator[Flaw]:
    if layer.shape != shape:
        yield "shape", f"is {quoted(layer.shape)}, the configuration's network has {quoted(shape)}"
    if layer.weights != math.prod(shape):
        yield "weights", f"is {layer.weights}, shape {list(shape)} has {math.prod(shape)}"
    elif not 0 <= layer.nonzeros <= layer.weights:
        yield "nonzeros", f"is {layer.nonzeros}, it must be from 0 to the layer's {layer.weights} weights"
    else:
        yield from _expect("sparsity", layer.sparsity, 1 - layer.nonzeros / layer.weights, "its counts")
    if not layer.masked and layer.nonzeros != layer.weights:
        yield (
            "masked",
            f"is false, but {layer.nonzeros} of {layer.weights} weights are there; a layer without a mask has all",
        )


def _request_flaws(record: Record, due: Due) -> Iterator[Flaw]:
    """What layers were asked for, and whether they hold it as the method promises."""
    method = due.spec.method()
    asked = {layer.layer: layer.requested_sparsity if layer.masked else None for layer in record.layers}
    known = due.spec.requested() if due.knows_layers and not due.takes_masks else None
    for index, layer in enumerate(record.layers):
        if known is not None and layer.masked != (layer.layer in known):
            yield (
                f"layers.{index}.masked",
                f"is {quoted(layer.masked)}, the configuration says {quoted(layer.layer in known)}",
            )
        elif known is not None or not layer.masked:
            wanted = (known or {}).get(layer.layer, 0.0)
            yield from _expect(
                f"layers.{index}.requested_sparsity", layer.requested_sparsity, wanted, "the configuration"
            )
        elif not 0 <= layer.requested_sparsity <= 1:
            yield f"layers.{index}.requested_sparsity", f"is {layer.requested_sparsity}, it must be within [0, 1]"
    if record.status != "done":  # stopped on the way to what it was asked for
        return
    promised = {name: _weights_left(record.layers[index], asked[name]) for index, name in enumerate(asked)}
    total, due_total = sum(layer.nonzeros for layer in record.layers), sum(promised.values())
    if not _is_free(method, "layer counts"):
        for index, layer in enumerate(record.layers):
            if layer.nonzeros != promised[layer.layer]:
                of = f"{layer.requested_sparsity} of {layer.weights} weights"
                yield f"layers.{index}.nonzeros", f"is {layer.nonzeros}, sparsity {of} leaves {promised[layer.layer]}"
    elif not _is_free(method, "total count") and total != due_total:
        yield "layers", f"hold {total} weights together, what they were asked for leaves {due_total}"


def _weights_left(layer: LayerCount, asked: float | None) -> int:
    return layer.weights - zero_count(asked or 0.0, layer.weights)


def _is_free(method: Method, promise: str) -> bool:
    """Whether the method says that it does not keep ``promise``."""
    return promise in method.exempt or (promise == "layer counts" and method.layers_are_free)


def size_flaws(record: Record, due: Due) -> Iterator[Flaw]:
    """Bytes that follow from counts."""
    active = _nonzeros(record)
    yield from _expect("size_bytes", record.size_bytes, due.spec.network.size_bytes(active), "the counts of its layers")
    file_bytes = due.file_bytes(active)
    held = 4 * sum(layer.nonzeros for layer in record.layers)
    if record.file_bytes is not None and file_bytes is not None:
        yield from _expect("file_bytes", record.file_bytes, file_bytes, "`rigl-bench export` of such a network")
    elif record.file_bytes is not None and record.file_bytes < held:
        yield "file_bytes", f"is {record.file_bytes}, its non-zero weights alone take {held}"
    if record.peak_parameter_bytes is not None:
        if due.knows_method and due.knows_layers and not due.takes_masks:
            yield from _expect(
                "peak_parameter_bytes", record.peak_parameter_bytes, due.spec.peak_parameter_bytes(), "the method"
            )
        elif not held <= record.peak_parameter_bytes < 2**63:
            yield "peak_parameter_bytes", f"is {record.peak_parameter_bytes}, its non-zero weights alone take {held}"
    masked = [layer for layer in record.layers if layer.masked]
    if record.explored is not None and masked:
        least = sum(layer.nonzeros for layer in masked) / sum(layer.weights for layer in masked)
        if not least <= record.explored <= 1:
            yield "explored", f"is {record.explored}, it must be from {least:.6g}, what is active at the end, to 1"
    elif record.explored is not None:
        yield "explored", f"is {quoted(record.explored)}, no layer is masked"


def ledger_flaws(ledger: Ledger, convention: str, record: Record, due: Due, card: Card) -> Iterator[Flaw]:
    """FLOPs under one convention."""
    run, network, dense = due.run, due.spec.network, due.spec.dense_inference_flops[convention]
    inference = network.inference_flops(convention, _nonzeros(record))
    exact = {
        "dense_inference_flops": (ledger.dense_inference_flops, dense),
        "inference_flops": (ledger.inference_flops, inference),
        "inference_x": (ledger.inference_x, inference / dense),
        "dense_train_flops": (ledger.dense_train_flops, 3 * dense * run.protocol.batch_size * run.protocol.steps),
    }
    for field, (stated, wanted) in exact.items():
        yield from _expect(f"flops.{convention}.{field}", stated, wanted, "configuration and counts")
    yield from _total_flaws(ledger, convention, record, due, card)
    yield from _train_x_flaws(ledger, convention, record, due, card)


def _total_flaws(ledger: Ledger, convention: str, record: Record, due: Due, card: Card) -> Iterator[Flaw]:
    """Training FLOPs of what the run did: exact where they follow from the configuration, else within what they can be."""
    field, stated, run = f"flops.{convention}.train_flops_total", ledger.train_flops_total, due.run
    wanted = _total(convention, record, due) if due.knows_method and record.status == "done" else None
    if wanted is not None:
        yield from _expect(field, stated, wanted, "the method and the run's batches")
        return
    sparse, dense = _forward_bounds(convention, record, due, card)
    work, size = record.work, run.protocol.batch_size
    first = FIRST_MASK_BATCHES * size if due.spec.method().starts == "first_batch" else 0
    least = 3 * sparse * work.samples + (dense - sparse) * size * work.dense_gradient_batches
    most = 3 * dense * (work.samples + first)
    if not least <= stated <= most:
        batches = f"{work.samples} samples, with dense gradients in {work.dense_gradient_batches} batches,"
        yield field, f"is {stated}, {batches} cost {least} to {most}"


def _train_x_flaws(ledger: Ledger, convention: str, record: Record, due: Due, card: Card) -> Iterator[Flaw]:
    """The closed form, which a method need not have."""
    field, stated, multiplier = f"flops.{convention}.train_x", ledger.train_x, due.run.multiplier
    if due.knows_method:
        closed = due.cost(convention, _requested(record)).train_x()
        yield from _expect(field, stated, None if closed is None else closed * multiplier, "the method's closed form")
    elif stated is not None:
        compared = due.spec.dense_inference_flops[convention]
        least, most = (multiplier * flops / compared for flops in _forward_bounds(convention, record, due, card))
        if not least * (1 - TOLERANCE) <= stated <= most * (1 + TOLERANCE):
            yield (
                field,
                f"is {stated}, a training of {multiplier:g}x costs {least:.6g} to {most:.6g} times the dense one",
            )


def _total(convention: str, record: Record, due: Due) -> int | None:
    """Training FLOPs of a finished run of a suite's method; None where they depend on what was trained."""
    method, run, network = due.spec.method(), due.run, due.spec.network
    size = run.protocol.batch_size
    first = method.first_mask_flops(network.inference_flops(convention), size) if method.starts == "first_batch" else 0
    batches = _batches(due)
    if method.updates == "never":
        return first + 3 * network.inference_flops(convention, _nonzeros(record)) * batches * size
    depends = _is_free(method, "layer counts") or type(method).trainable is not Method.trainable
    if depends or due.takes_masks:
        return None
    return first + size * round(due.cost(convention, _requested(record)).replayed() * batches)


def _forward_bounds(convention: str, record: Record, due: Due, card: Card) -> tuple[int, int]:
    """The least and the most FLOPs that a forward pass of one sample can have cost while the run trained."""
    active = _nonzeros(record)
    if (card.cheaper and not due.knows_method) or (due.knows_method and _is_free(due.spec.method(), "layer counts")):
        active = dict.fromkeys(active, 0)
    network = due.spec.network
    return network.inference_flops(convention, active), network.inference_flops(convention)


def work_flaws(work: Work, due: Due, done: bool) -> Iterator[Flaw]:
    """Steps, updates and batches."""
    run, method = due.run, due.spec.method()
    if done and due.knows_method:
        stretches = cadence(method, due.spec.schedule())
        wanted = {
            "gradient_steps": run.steps,
            "topology_updates": len(stretches) - 1,
            "dense_gradient_batches": sum(dense for _, _, dense in stretches),
            "batches": _batches(due) + (method.starts == "first_batch"),
        }
        for field, value in wanted.items():
            yield from _expect(f"work.{field}", getattr(work, field), value, "the run's cadence")
    else:
        most_steps = run.steps
        limits = {
            "gradient_steps": (most_steps if done else 0, most_steps),
            "topology_updates": (0, most_steps + 1),
            "batches": (work.gradient_steps, work.gradient_steps + work.topology_updates + 1),
            "dense_gradient_batches": (0, work.batches),
        }
        for field, (least, most) in limits.items():
            if not least <= getattr(work, field) <= most:
                yield f"work.{field}", f"is {getattr(work, field)}, it must be from {least} to {most}"
    yield from _expect(
        "work.samples", work.samples, work.batches * run.protocol.batch_size, "batches of the protocol's size"
    )


def _batches(due: Due) -> int:
    """Of a finished run, the one that chose the first mask not counted."""
    return sum(batches for _, batches, _ in cadence(due.spec.method(), due.spec.schedule()))


def _nonzeros(record: Record) -> dict[str, int]:
    return {layer.layer: layer.nonzeros for layer in record.layers if layer.masked}


def _requested(record: Record) -> dict[str, float]:
    return {layer.layer: layer.requested_sparsity for layer in record.layers if layer.masked}


def _expect(field: str, stated: Any, wanted: Any, source: str) -> Iterator[Flaw]:
    """Whole numbers are equal; others are within rounding."""
    exact = isinstance(stated, int) and isinstance(wanted, int)
    nothing = stated is None or wanted is None
    if stated != wanted and (
        exact or nothing or not math.isclose(stated, wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    ):
        yield field, f"is {quoted(stated)}, by {source} it is {quoted(wanted)}"

"""What tells two cells apart when method, distribution, sparsity and length do not.

Lines and rows are named by method and distribution. Where a study also varies something else (an option, an update
interval), the name must say so, or two different experiments would share one line.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from pipeline.run import Run, Topology

AXES = {"model", "dataset", "method", "distribution", "layout", "sparsity", "multiplier", "seed"}
"""Fields that panels, rows and columns show already."""
TAKEN = {"both": "weights and mask"}

NO_IDENTITY = {field.name for field in fields(Run) if field.metadata.get("identity") is False}
"""Fields that do not make another run of it."""


def variants(runs: Sequence[Run]) -> list[str]:
    """One text per run, mostly empty: its method options, its start, and the other fields that differ among its kin.

    Kin are the runs of the same model, data set, layout, method and distribution; for what is told of the run that one
    starts from, those of them that take the same from the same method. A value that all kin without a start share is
    the usual one and is not told.
    """
    kin = [(run.model, run.dataset, run.layout, run.method, run.distribution) for run in runs]
    starts = [start_of(run) for run in runs]
    own = _told([_own_fields(run) for run in runs], kin, [not start for start in starts])
    parents = _told([_parents_fields(run) for run in runs], list(zip(kin, starts, strict=True)), [False] * len(runs))
    return [", ".join(part for part in parts if part) for parts in zip(own, starts, parents, strict=True)]


def _told(fields: Sequence[Mapping[str, Any]], kin: Sequence[Hashable], plain: Sequence[bool]) -> list[str]:
    """Of each run the ``fields`` that differ among those of equal ``kin``, but for a value that all of its ``plain`` kin have,
    and method options in any case."""
    values: dict[tuple[Hashable, str], set[str]] = {}
    usual: dict[tuple[Hashable, str], list[str]] = {}
    sizes, plain_kin = Counter(kin), Counter(itertools.compress(kin, plain))
    holders: Counter[tuple[Hashable, str]] = Counter()
    for key, its, counts in zip(kin, fields, plain, strict=True):
        for name, value in its.items():
            values.setdefault((key, name), set()).add(repr(value))
            holders[key, name] += 1
            if counts:
                usual.setdefault((key, name), []).append(repr(value))
    texts = []
    for key, its in zip(kin, fields, strict=True):
        differing = {
            name
            for name, value in its.items()
            if (len(values[key, name]) > 1 or holders[key, name] < sizes[key])
            and usual.get((key, name)) != [repr(value)] * plain_kin[key]
        }
        told = sorted(name for name in its if name in differing or name.startswith("method_options."))
        texts.append(", ".join(f"{_short(name)}={its[name]}" for name in told))
    return texts


def start_of(run: Run) -> str:
    """ "mask of pruning", "weights and mask of dense after step 200"; empty for a run that starts from none."""
    start = run.start_from
    if start is None:
        return ""
    after = "" if start.rewind is None else f" after step {start.rewind}"
    return f"{TAKEN.get(start.take, start.take)} of {start.run.method}{after}"


def _own_fields(run: Run) -> dict[str, Any]:
    """Every field outside the axes, nested ones by their dotted path."""
    return _flat(
        {name: value for name, value in asdict(run).items() if name not in AXES | NO_IDENTITY | {"start_from"}}
    )


def _parents_fields(run: Run) -> dict[str, Any]:
    """Every field of the run that this one starts from, "own" where it has this run's value; its method is told anyway."""
    if run.start_from is None:
        return {}
    child = run.at_seed(0)
    parent, own = _flat(_with_digest_of_start(child.start_from.run)), _flat(_with_digest_of_start(child))
    if child.start_from.run.protocol.topology == Topology():  # as it stands in a run whose topology never moves
        parent = {name: value for name, value in parent.items() if not name.startswith("protocol.topology.")}
    return {
        f"its {name}": "own" if name in own and own[name] == value else value
        for name, value in parent.items()
        if name not in NO_IDENTITY | {"method"}
    }


def _with_digest_of_start(run: Run) -> dict[str, Any]:
    start = run.start_from
    return asdict(run) | {"start_from": start and f"{start.take} of {start.run.digest}, {start.rewind}"}


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        inner = isinstance(value, Mapping)
        flat.update(_flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value})
    return flat


def _short(name: str) -> str:
    for part in ("protocol.", "topology.", "method_options.", "model_options."):
        name = name.replace(part, "", 1)
    return name

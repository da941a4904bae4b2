"""What tells two cells apart when method, distribution, sparsity and length do not.

Lines and rows are named by method and distribution. Where a study also varies something else (an option, an update
interval), the name must say so, or two different experiments would share one line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.run import Run

AXES = {"model", "dataset", "method", "distribution", "layout", "sparsity", "multiplier", "seed"}
"""Fields that panels, rows and columns show already."""


def variants(runs: Sequence[Run]) -> list[str]:
    """One text per run, mostly empty: its method options, its start, and the other fields that differ among its kin.

    Kin are the runs of the same model, data set, layout, method and distribution.
    """
    fields = [_fields(run) for run in runs]
    kin: dict[tuple[str, ...], list[int]] = {}
    for index, run in enumerate(runs):
        kin.setdefault((run.model, run.dataset, run.layout, run.method, run.distribution), []).append(index)
    texts = [""] * len(runs)
    for members in kin.values():
        names = sorted({name for index in members for name in fields[index]})
        told = [name for name in names if _always_told(name) or len({repr(fields[i].get(name)) for i in members}) > 1]
        for index in members:
            texts[index] = ", ".join(_told(name, fields[index][name]) for name in told if name in fields[index])
    return texts


def _fields(run: Run) -> dict[str, Any]:
    """Every field outside the axes, nested ones by their dotted path."""
    fields = _flat({name: value for name, value in asdict(run).items() if name not in AXES | {"start_from"}})
    if run.start_from is not None:
        fields["start_from"] = f"{run.start_from.take} of {run.start_from.run.cell}"
    return fields


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        inner = isinstance(value, Mapping)
        flat.update(_flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value})
    return flat


def _always_told(name: str) -> bool:
    return name == "start_from" or name.startswith("method_options.")


def _told(name: str, value: Any) -> str:
    short = name.removeprefix("protocol.").removeprefix("topology.")
    short = short.removeprefix("method_options.").removeprefix("model_options.")
    return f"{short}={value}"

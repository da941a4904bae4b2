"""What a run takes from the finished run that it starts from: weights, masks, or the architecture that was found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pipeline import models
from pipeline.record import MASKS, RECORD, WEIGHTS, snapshot_name
from pipeline.run import Run
from sparse_methods.methods import METHODS

Tensors = dict[str, Tensor]


class OriginError(Exception):
    """The run to start from is not trained yet, or its files cannot be read; the user can put that right."""


class OriginFailedError(ValueError):
    """The run to start from has nothing to offer: it failed, diverged or was skipped, or has no masks."""


@dataclass(frozen=True)
class Origin:
    """Tensors to begin with; None: not taken."""

    weights: Tensors | None = None
    """State dict of the whole network."""
    masks: Tensors | None = None
    final: Tensors | None = None
    """State dict that the run ended with, for methods that find their mask in it."""


def origin_of(run: Run, runs: Path) -> Origin:
    """What ``run`` takes, from the folder ``runs`` of finished runs. Raises OriginError, OriginFailedError."""
    start = run.start_from
    if start is None or start.take == "architecture":
        return Origin()
    weights = masks = final = None
    if start.take in ("weights", "both"):
        name = WEIGHTS if start.rewind is None else snapshot_name(start.run.scaled(start.rewind))
        weights = _tensors(run, runs, name)
    if start.take in ("mask", "both") and METHODS[run.method].starts == "origin":
        final = _tensors(run, runs, WEIGHTS)
    elif start.take in ("mask", "both"):
        masks = _tensors(run, runs, MASKS)
        if not masks:
            raise OriginFailedError(f"{_both(run)} and takes its mask, but it has none")
    return Origin(weights, masks, final)


def found_architecture(run: Run, runs: Path) -> dict[str, Any]:
    """Options of ``run``'s model without what is dead in the masks of the run that it starts from; empty where it takes no
    architecture. Raises OriginError, OriginFailedError."""
    start = run.start_from
    if start is None or start.take != "architecture":
        return {}
    if start.run.finds_its_network or "pixels" in start.run.model_options:
        raise OriginFailedError(
            f"{_both(run)}, whose own network sees some inputs only: take that of one that sees all"
        )
    masks = {name: mask.bool() for name, mask in _tensors(run, runs, MASKS).items()}
    record = json.loads((runs / start.run.path / RECORD).read_text())
    shapes = {layer["layer"]: tuple(layer["shape"]) for layer in record["layers"]}
    try:
        return models.found_architecture(run.model, shapes, masks)
    except ValueError as error:
        raise OriginFailedError(f"{_both(run)}: {error}") from error


def _tensors(run: Run, runs: Path, name: str) -> Tensors:
    folder = runs / run.start_from.run.path
    if not (folder / RECORD).exists():
        raise OriginError(f"{_both(run)}, which is not trained yet: run it first")
    status = json.loads((folder / RECORD).read_text())["status"]
    if status != "done":
        raise OriginFailedError(f"{_both(run)}, which is {status}")
    try:
        return load_file(folder / name)
    except (FileNotFoundError, SafetensorError) as error:
        raise OriginError(
            f"{_both(run)}, whose files cannot be read ({error}): delete {folder} and run it again"
        ) from error


def _both(run: Run) -> str:
    return f"{run.path} starts from {run.start_from.run.path}"

"""What every method costs at the paper's scale, from nothing but the code: the numbers behind the cost table and figures.

Costs are those of ``pipeline.plan`` before anything is trained. What is known only after a run, such as the layers' counts
where weights move between layers, is left empty, with the method's own reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pandas as pd
from torch import nn

from analysis.errors import AnalysisError
from analysis.records import DISTRIBUTIONS, place
from pipeline import models
from pipeline.cost import CONVENTIONS, NetworkCost
from pipeline.data import sources
from pipeline.export import file_size
from pipeline.plan import Spec, equal_flops_multiplier, resolve
from pipeline.study import parse_run
from sparse_methods.method import Method
from sparse_methods.methods import METHODS

MODEL = "resnet50"
SPARSITIES = (0.8, 0.9, 0.95, 0.965, 0.99)
"""Those of the paper's ResNet-50: Figure 2, Table 4, and 99 % of the authors' README."""
PROTOCOL = {
    "steps": 32_000,
    "batch_size": 4_096,
    "learning_rate": {"peak": 1.6},
    "topology": {"update_every": 100, "end": 25_000},
}
"""ResNet-50 on ImageNet, RigL's sections 4 and 4.1."""
TOPOLOGIES = {"pruning": {"begin": 10_000, "end": 25_000, "update_every": 1_000}}
"""Methods whose cadence is another: p_start, p_end and p_freq of the authors' notebook on ResNet-50's FLOPs."""
COLUMNS = {
    "model": "str",
    "method": "str",
    "label": "str",
    "family": "str",
    "distribution": "str",  # empty where the method gives it no meaning
    "sparsity": "float64",  # as asked for; empty where it has no meaning
    "skipped": "str",  # why the run cannot be done
    "unknown": "str",  # why costs are empty that only a run can tell
    "inexact": "str",  # why layers will hold other numbers of weights than those that are counted
    **{f"{convention}_inference_flops": "Int64" for convention in CONVENTIONS},  # of one sample
    **{f"{convention}_{cost}_x": "float64" for convention in CONVENTIONS for cost in ("inference", "train")},
    "equal_flops_multiplier": "float64",  # training length at which training costs what the dense network's does, rigl
    "size_bytes": "Int64",  # by the authors' rule
    "file_bytes": "Int64",  # of the network as `rigl-bench export` writes it
}


def frame(
    model: str = MODEL, sparsities: Sequence[float] = SPARSITIES, names: Sequence[str] = tuple(METHODS)
) -> pd.DataFrame:
    """COLUMNS of the methods ``names`` at every distribution and sparsity, one row a run: the dense one is asked for once.

    Raises AnalysisError for a model that is not the suite's.
    """
    methods = sorted((METHODS[name] for name in names), key=_place)
    rows: dict[str, dict[str, Any]] = {}
    outlines: dict[NetworkCost, nn.Module] = {}
    for distribution in DISTRIBUTIONS:
        for sparsity in sparsities:
            for method in methods:
                spec = specification(model, method.name, distribution, sparsity)
                if spec.run.path not in rows:
                    rows[spec.run.path] = _row(spec, outlines)
    texts = {name: "" for name, kind in COLUMNS.items() if kind == "str"}
    return pd.DataFrame([texts | row for row in rows.values()], columns=list(COLUMNS)).astype(COLUMNS)


def specification(model: str, method: str, distribution: str, sparsity: float) -> Spec:
    """The run of PROTOCOL on the data set that ``model`` is meant for. Raises AnalysisError for a model without one."""
    dataset = models.usual_dataset(model)
    sample = sources.known_shape(dataset) if dataset else None
    if sample is None:
        raise AnalysisError(f"what {model!r} takes is not known; there are {', '.join(models.names())}")
    cell = {"model": model, "method": method, "distribution": distribution, "sparsity": sparsity}
    topology = TOPOLOGIES.get(method, PROTOCOL["topology"])
    # A data set that nothing reads yet has a known shape and is no choice of a study's, so it is put in afterwards.
    run = parse_run({**cell, "dataset": "digits", "protocol": {**PROTOCOL, "topology": topology}})
    return resolve(dataclasses.replace(run, dataset=dataset), *sample)


def _place(method: type[Method]) -> tuple:
    return place(method.name, method.family, method.year, method.label)


def _row(spec: Spec, outlines: dict[NetworkCost, nn.Module]) -> dict[str, Any]:
    """``outlines`` are kept from row to row: most rows are of one network."""
    run, method = spec.run, spec.method()
    row = {
        "model": run.model,
        "method": method.name,
        "label": method.label,
        "family": method.family,
        "distribution": "" if "distribution" in method.ignores else run.distribution,
        "sparsity": None if "sparsity" in method.ignores else run.sparsity,
        "skipped": spec.skip or "",
        "unknown": "" if spec.skip else _unknown(method),
    }
    if row["skipped"] or row["unknown"]:
        return row
    row["inexact"] = method.exempt.get("layer counts", "")
    for convention, cost in spec.costs().items():
        row |= {f"{convention}_{name}": cost[name] for name in ("inference_flops", "inference_x", "train_x")}
    if row["rigl_train_x"] is None:
        row["unknown"] = "no closed form of what training costs"
    else:
        row["equal_flops_multiplier"] = equal_flops_multiplier(run, spec.input_shape, spec.classes)
    if spec.network not in outlines:
        outlines[spec.network] = spec.outline()
    nonzeros = {layer.layer: layer.nonzeros for layer in spec.layers() if layer.masked}
    file = file_size(spec, outlines[spec.network], nonzeros)
    return row | {"size_bytes": spec.size_bytes(), "file_bytes": file.file_bytes}


def _unknown(method: Method) -> str:
    """Why nothing is known before a run, as the method says it: its sparsity is an outcome, or that of its layers."""
    if "sparsity" in method.ignores and method.starts != "unmasked":
        return method.exempt.get("total count", "its sparsity is an outcome")
    return method.exempt.get("layer counts", "its layers share one total") if method.layers_are_free else ""

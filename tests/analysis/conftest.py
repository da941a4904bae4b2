"""Synthetic records, made of the suite's own dataclasses, and synthetic measurements of landscapes.

They are handed out as fixtures, never imported: several test folders have a ``conftest.py``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict
from math import isnan
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from analysis import stats
from analysis.landscape import barriers
from analysis.records import load
from pipeline.record import LayerCount, Ledger, Provenance, Record, Result, Timing, Work, write_json
from pipeline.run import LearningRate, Protocol, Run


@dataclasses.dataclass(frozen=True)
class Card:
    """What analysis reads of a method."""

    name: str
    label: str
    family: str
    year: int
    citation: str
    dense_parts: tuple[str, ...] = ()
    starts: str = "random"
    ignores: tuple[str, ...] = ()
    exempt: Mapping[str, str] = dataclasses.field(default_factory=dict)


EVERYTHING = ("sparsity", "distribution", "layout")
METHODS = {
    card.name: card
    for card in (
        Card("dense", "Dense", "dense", 2020, "evci2020rigl", ("everything",), "unmasked", EVERYTHING),
        Card("small_dense", "Small-Dense", "dense", 2020, "evci2020rigl", ("all, in a narrower network",), "unmasked"),
        Card("static", "Static", "sparse-to-sparse", 2020, "evci2020rigl"),
        Card("snip", "SNIP", "one-shot", 2019, "lee2019snip", ("gradient, once",)),
        Card("set", "SET", "sparse-to-sparse", 2018, "mocanu2018set"),
        Card("snfs", "SNFS", "sparse-to-sparse", 2019, "dettmers2019snfs", ("gradient, at every step",)),
        Card("rigl", "RigL", "sparse-to-sparse", 2020, "evci2020rigl", ("gradient, at topology updates",)),
        Card("pruning", "Pruning", "dense-to-sparse", 2018, "zhu2018prune", ("weights, until pruned",)),
        Card("ticket", "Lottery ticket", "dense-to-sparse", 2019, "frankle2019lth", (), "origin"),
        Card(
            "str",
            "STR",
            "dense-to-sparse",
            2020,
            "kusupati2020str",
            ("weights",),
            ignores=("sparsity", "distribution"),
            exempt={"layer counts": "sparsity is an outcome", "total count": "sparsity is an outcome"},
        ),
        Card(
            "grasp",
            "GraSP",
            "one-shot",
            2020,
            "wang2020grasp",
            ignores=("distribution",),
            exempt={"layer counts": "layers are ranked together"},
        ),
        Card(
            "srigl",
            "SRigL",
            "sparse-to-sparse",
            2024,
            "lasby2024srigl",
            exempt={"layer counts": "fan-ins are whole", "total count": "fan-ins are whole"},
        ),
    )
}
PROTOCOL = Protocol(steps=1000, batch_size=100, learning_rate=LearningRate(peak=0.1))
TRAIN_X = {"rigl": 1.05, "snfs": 1.0, "pruning": 1.6}
DENSE_FLOPS = 532_000
WEIGHTS = 266_200


def make_run(method: str = "rigl", sparsity: float = 0.9, seed: int = 0, **fields: Any) -> Run:
    """A run of lenet300 on mnist."""
    return Run(**{"model": "lenet300", "dataset": "mnist", "protocol": PROTOCOL} | fields
               | {"method": method, "sparsity": sparsity, "seed": seed})  # fmt: skip


def make_record(
    run: Run, correct: int = 9700, status: str = "done", reached: float | None = None, **fields: Any
) -> Record:
    """A consistent record of ``run``, at the sparsity ``reached`` if not at its own; ``fields`` replace its own."""
    achieved = run.sparsity if reached is None else reached
    left = 1 - achieved
    train_x = round(left * TRAIN_X.get(run.method, 1.0) * run.multiplier, 6)
    dense_train = 3 * DENSE_FLOPS * run.protocol.steps * run.protocol.batch_size
    inference = round(DENSE_FLOPS * left)
    ledger = Ledger(DENSE_FLOPS, inference, inference / DENSE_FLOPS, train_x, round(train_x * dense_train), dense_train)
    built = not status.startswith("skipped")
    nonzeros = round(WEIGHTS * left)
    record = Record(
        run=run.path,
        status=status,
        config=asdict(run),
        sparsity=achieved if built else None,
        layers=(LayerCount("fc1", (300, 784), WEIGHTS, nonzeros, achieved, run.sparsity, run.sparsity > 0),),
        flops={"macs": ledger, "rigl": ledger} if built else {},
        size_bytes=4 * nonzeros + WEIGHTS // 8 if built else None,
        result=Result(correct, 10_000, 0.1, 0.05) if status == "done" else None,
        work=Work(run.steps, 0, 0, run.steps, 100 * run.steps) if built else None,
        timing=Timing(12.5, 1.0, 0.5, 300_000_000, 0, f"2026-01-0{1 + run.seed}T10:00:00Z") if built else None,
        provenance=Provenance(
            "cpu", "two cores of a test", {"torch": "2"}, "0123abc", f"digest-{run.method}", "float32"
        ),
    )
    return dataclasses.replace(record, **fields)


def keep(folder: Path, *records: Record) -> Path:
    """Write each record where the workflow would; returns ``folder``."""
    for record in records:
        write_json(folder / record.run / "record.json", asdict(record))
    return folder


@pytest.fixture(scope="session")
def factory() -> SimpleNamespace:
    """run, record and keep (see above), and the methods that they are of."""
    return SimpleNamespace(run=make_run, record=make_record, keep=keep, methods=METHODS)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder of 27 runs: three seeds of dense, static and RigL (also ERK) at two sparsities, and SNIP, which fails.

    In per cent, by seed: dense 98.00 98.01 98.02; static 96.0 96.1 96.2; RigL 97.0 97.2 97.4; RigL with ERK 97.5 three
    times; SNIP 95, then diverged, then skipped. At .9 each but dense has one less.
    """
    records = [make_record(make_run("dense", 0.0, seed), 9800 + seed) for seed in range(3)]
    for sparsity, less in ((0.8, 0), (0.9, 100)):
        for seed in range(3):
            records += [
                make_record(make_run("static", sparsity, seed), 9600 + 10 * seed - less),
                make_record(make_run("rigl", sparsity, seed), 9700 + 20 * seed - less),
                make_record(make_run("rigl", sparsity, seed, distribution="erk"), 9750 - less),
            ]
        records += [
            make_record(make_run("snip", sparsity, 0), 9500 - less),
            make_record(make_run("snip", sparsity, 1), status="diverged"),
            make_record(make_run("snip", sparsity, 2), status="skipped: an empty layer"),
        ]
    return keep(tmp_path / "runs", *records)


@pytest.fixture
def frame(study: Path) -> pd.DataFrame:
    """The tidy table of ``study``."""
    return load([study], METHODS).current


@pytest.fixture
def cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells of ``study``."""
    return stats.cells(frame)


# -- measurements of a landscape ------------------------------------------------------------------------------------------


def document(kind: str, *found: Mapping[str, Any], job: str = "", **cell: Any) -> dict[str, Any]:
    """What one job leaves, of lenet300 on mnist at 95 % unless ``cell`` says otherwise."""
    base = {"model": "lenet300", "dataset": "mnist", "distribution": "uniform", "sparsity": 0.95, "multiplier": 1.0}
    settings = {"pairs": [["static", "pruning"], ["static", "rigl"]], "points": 5, "samples": 2000, "map_points": 3}
    return {
        "schema_version": 1,
        "job": job or f"{kind}-{len(found)}-{sorted(cell.items())}",
        "kind": kind,
        "cell": base | {"model_options": {}} | cell,
        "settings": settings | {"curvature_samples": 250, "trace_vectors": 10},
        "found": list(found),
        "seconds": 12.0,
        "device": "cpu",
        "hardware": "two cores of a test",
    }


def group(*runs: tuple[str, int], **measured: Any) -> dict[str, Any]:
    """One group of runs, given by method and seed, and what was measured of it."""
    paths = [f"mnist-lenet300/{method}/s95/seed{seed}-0123abcd" for method, seed in runs]
    return {"runs": paths, "seeds": [seed for _, seed in runs]} | measured


def curve(name: str, space: str, losses: list, diverged_at: int | None = None, steps: int = 500) -> dict[str, Any]:
    """Losses at even places from t = 0 to 1, the same on both sets; "NaN" for what is not a number."""
    t = [k / (len(losses) - 1) for k in range(len(losses))]
    profile = {"t": t, "train_error": [0.1] * len(t), "test_error": [0.2] * len(t)}
    found = asdict(barriers.barrier(t, [float(loss) for loss in losses]))
    found["place"] = "NaN" if isnan(found["place"]) else found["place"]
    fitted = {"steps": steps, "batch_size": 64, "learning_rate": 0.1, "diverged_at": diverged_at}
    measured = {
        "profile": profile | {"train_loss": losses, "test_loss": losses},
        "barrier": {"train": found, "test": found},
    }
    return {"curve": name, "space": space, "fit": None if space == "line" else fitted} | measured


def escape(method: str, seed: int, before: float, after: float, correct: int = 95, moves_once: bool = False) -> dict:
    """A run that went on from a static one: training losses at both ends, and of a hundred samples those it gets right."""
    ends = ((before, 90), (after, correct))
    results = [{"train_loss_nats": loss, "test_correct": right, "test_total": 100} for loss, right in ends]
    steps = {"step": [50, 100], "test_loss": [0.3, 0.3], "test_accuracy": [0.9, 0.9]}
    measured = {"parent": "static", "method": method, "moves_once": moves_once, "results": results, "distance": 7.0}
    measured["traces"] = [steps | {"train_loss": losses} for losses in ([1.0, before], [before, after])]
    overlap = {"jaccard": 0.5, "chance": 0.1, "weights": 100, "first": 10, "second": 10, "both": 6}
    return group(("static", seed), (method, seed), **measured, distances={}, overlap=overlap)


def maps(seed: int = 0) -> dict[str, Any]:
    """A plane through three solutions with two paths, and the maps around them; one loss is not a number."""
    methods = ["static", "rigl", "pruning"]
    losses = [[0.1, 1.0, 0.1], [1.0, "NaN", 1.0], [0.2, 9.0, 1.0]]
    grid = {"xs": [0.0, 1.0, 2.0], "ys": [0.0, 1.0, 2.0], "train_loss": losses}
    places = [{"x": float(x), "y": float(y), "residual": 0.0} for x, y in ((0, 0), (2, 0), (0, 2))]
    paths = {"static": [{"x": 1.0, "y": 1.0, "residual": 3.25}], "rigl": [{"x": 1.5, "y": 0.5, "residual": 2.0}]}
    found = {"places": places, "paths": paths, "plane": grid, "around": dict.fromkeys(methods, grid)}
    return group(*((method, seed) for method in methods), methods=methods, **found)


def curvature(method: str, seed: int, largest: float = 4.0) -> dict[str, Any]:
    """The Hessian at a solution, and what steps gain: the second is too long."""
    ends = {"largest": [largest, 2.0], "smallest": [-0.5]}
    descent = {"gradient_norm": 0.2, "lengths": [0.01, 0.1], "decreases": [0.002, -0.5]}
    trace = {"mean": 30.0, "standard_error": 3.0, "n": 10}
    return group(
        (method, seed),
        method=method,
        eigenvalues={"active": ends, "all": ends, "inactive": ends},
        trace={"active": trace, "all": trace},
        descent={"active": descent, "all": descent},
        inactive_gradient_share=0.9,
        inactive_gradient_share_at={"10": 0.3, "50": 0.6},
    )


def overlaps(method: str, seeds: int = 3, pixels: list | None = None) -> dict[str, Any]:
    """Masks of one method: two layers, kept at steps 50 and 100."""
    one = {"weights": 100, "first": 10, "second": 10, "both": 2, "jaccard": 0.2, "chance": 0.1}
    pairs = [[first, second] for first in range(seeds) for second in range(first + 1, seeds)]
    kept = {"steps": [50, 100], "churn": [0.25], "overlap_with_end": [0.5, 1.0], "explored": [0.1, 0.15]}
    return group(
        *((method, seed) for seed in range(seeds)),
        method=method,
        between_seeds=[{"seeds": pair, "all": one, "layers": {"fc1": one, "fc2": one}} for pair in pairs],
        over_time=[{"seed": seed, "explored_in_all": 0.4} | kept for seed in range(seeds)],
        input_degrees=pixels,
    )


def write_documents(folder: Path, *documents: Mapping[str, Any]) -> Path:
    """One file each, as the workflow has them; returns ``folder``."""
    for one in documents:
        write_json(folder / f"{one['job']}.json", one)
    return folder


@pytest.fixture(scope="session")
def landscapes() -> SimpleNamespace:
    """Makers of documents (see above), and the methods that they are of."""
    makers = {"document": document, "group": group, "curve": curve, "escape": escape, "maps": maps}
    makers |= {"curvature": curvature, "overlaps": overlaps, "write": write_documents}
    return SimpleNamespace(**makers, methods=METHODS)


@pytest.fixture
def landscape(tmp_path: Path) -> Path:
    """A folder with one document of each kind, three seeds: static 0.4 and pruning 0.2 at the ends of every curve.

    The line is 1.0, 1.1 and 1.2 above the straight line between them, the quadratic 0.3 in the sparse space and, in the dense
    one, falls all the way.
    """
    ways = [
        group(
            ("static", seed),
            ("pruning", seed),
            curves=[
                curve("linear", "line", [0.4, 0.35, 1.3 + seed / 10, 0.25, 0.2]),
                curve("quadratic", "union", [0.4, 0.35, 0.6, 0.25, 0.2]),
                curve("quadratic", "dense", [0.4, 0.3, 0.28, 0.24, 0.2]),
            ],
        )
        for seed in range(3)
    ]
    goes_on = [escape("static", seed, 0.4, 0.39 + seed / 1000) for seed in range(3)]
    goes_on += [escape("rigl", seed, 0.4, 0.1 + seed / 100, 96 + seed) for seed in range(3)]
    goes_on += [escape("rigl", seed, 0.4, 0.2, moves_once=True) for seed in range(3)]
    seen = [curvature(method, seed, 4.0 + seed) for method in ("rigl", "static") for seed in range(3)]
    masks = [overlaps("rigl", pixels=[[1, 2], [3, 4]]), overlaps("static", pixels=[[0, 0], [0, 9]])]
    kinds = {"curves": ways, "escape": goes_on, "maps": [maps()], "curvature": seen, "overlap": masks}
    return write_documents(tmp_path / "measured", *(document(kind, *found) for kind, found in kinds.items()))

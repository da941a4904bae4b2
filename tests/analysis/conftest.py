"""Synthetic records, made of the suite's own dataclasses.

They are handed out as fixtures, never imported: several test folders have a ``conftest.py``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from analysis import stats
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

"""Small real runs on digits, in a results folder of the test's own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline import train
from pipeline.data import sources
from pipeline.data.tensors import load
from pipeline.origin import origin_of
from pipeline.plan import Spec, resolve
from pipeline.study import parse_run
from pipeline.worker import Bench, run_all
from sparse_methods.methods import METHODS

PROTOCOL = {
    "steps": 40,
    "batch_size": 16,
    "learning_rate": {"peak": 0.05, "decay": "step", "milestones": [20], "factor": 0.5},
    "optimizer": {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    "topology": {"update_every": 5, "end": 30},
    "evaluations": 4,
}


@pytest.fixture(scope="session")
def digits_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sources.prepare("digits", tmp_path_factory.mktemp("digits"))


@pytest.fixture
def make_bench(tmp_path: Path, digits_cache: Path) -> Callable[..., Bench]:
    """A bench with its own results folder, in which digits are ready."""

    def make(name: str = "results", **options: Any) -> Bench:
        cache = tmp_path / name / "cache"
        cache.mkdir(parents=True)
        (cache / digits_cache.name).symlink_to(digits_cache)
        return Bench(tmp_path / name, torch.device("cpu"), **options)

    return make


@pytest.fixture
def make_spec() -> Callable[..., Spec]:
    """A run on digits: method, sparsity and any other field; dotted protocol keys replace single values."""

    def make(
        method: str = "rigl", sparsity: float = 0.9, protocol: dict[str, Any] | None = None, **fields: Any
    ) -> Spec:
        merged = {**PROTOCOL, **(protocol or {})}
        run = {"model": "lenet300", "dataset": "digits", "method": method, "sparsity": sparsity, "protocol": merged}
        return resolve(parse_run({**run, **fields}), (1, 8, 8), 10)

    return make


@pytest.fixture
def spec_of(make_spec: Callable[..., Spec]) -> Callable[..., Spec]:
    """A run of any method at what it can do: 0.9 uniform, else 0.9 erk, else 0.5 uniform; one that refuses all fails the test.

    A method that starts from a finished run gets a dense one.
    """

    def find(method: str, distribution: str = "uniform") -> Spec:
        start = {"start_from": {"method": "dense", "take": "mask"}} if METHODS[method].starts == "origin" else {}
        refusals = []
        for sparsity, shared in dict.fromkeys([(0.9, distribution), (0.9, "erk"), (0.5, "uniform")]):
            spec = make_spec(method, sparsity, distribution=shared, **start)
            if spec.skip is None:
                return spec
            refusals.append(spec.skip)
        return pytest.fail("; ".join(dict.fromkeys(refusals)))

    return find


@pytest.fixture
def with_parents() -> Callable[[Spec], list[Spec]]:
    """A run after those that it starts from."""

    def lineage(spec: Spec) -> list[Spec]:
        start = spec.run.start_from
        return [*(lineage(resolve(start.run, spec.input_shape, spec.classes)) if start else []), spec]

    return lineage


@pytest.fixture
def prepared(
    make_bench: Callable[..., Bench], with_parents: Callable[[Spec], list[Spec]], digits_cache: Path
) -> Callable[[Spec], train.Training]:
    """The training of a run, ready for its first batch; what it starts from is trained before."""

    numbers = itertools.count()

    def prepare(spec: Spec) -> train.Training:
        bench = make_bench(f"before-{next(numbers)}")
        assert run_all(with_parents(spec)[:-1], bench) == 0
        return train.prepare(spec, load(digits_cache), origin_of(spec.run, bench.results / "runs"))

    return prepare

"""Small real runs on digits, in a results folder of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.data import sources
from pipeline.plan import Spec, resolve
from pipeline.study import parse_run
from pipeline.worker import Bench

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

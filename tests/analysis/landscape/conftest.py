"""Networks whose loss is known in closed form, and small real runs on digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from analysis.landscape.network import Loss, Network
from pipeline.data import sources
from pipeline.data.tensors import DataSet
from pipeline.data.tensors import load as load_data
from pipeline.plan import Spec, resolve
from pipeline.study import parse_run
from pipeline.worker import Bench, run_all

PROTOCOL = {
    "steps": 120,
    "batch_size": 32,
    "learning_rate": {"peak": 0.1},
    "topology": {"update_every": 20, "end": 80},
    "evaluations": 2,
}


class Quadratic(nn.Module):
    """Two logits whose cross-entropy with label 0 is 0.5 (x - c)' A (x - c) + 0.5, whatever the sample; x is the parameter."""

    def __init__(self, matrix: Tensor, centre: Tensor) -> None:
        super().__init__()
        self.x, self.matrix, self.centre = nn.Parameter(torch.zeros_like(centre)), matrix, centre

    def forward(self, inputs: Tensor) -> Tensor:
        away = self.x - self.centre
        loss = 0.5 * away @ self.matrix @ away + 0.5
        second = loss + torch.log(-torch.expm1(-loss))
        return torch.stack([torch.zeros_like(second), second]).expand(len(inputs), 2)


@pytest.fixture(scope="session")
def blank() -> DataSet:
    """Eight samples that a Quadratic does not look at."""
    inputs, labels = torch.zeros(8, 1, 1, 1, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64)
    return DataSet("blank", 2, inputs, labels, inputs, labels, "divide:255")


@pytest.fixture
def quadratic(blank: DataSet) -> Callable[[Tensor, Tensor], Loss]:
    """The loss 0.5 (x - c)' A (x - c) + 0.5 of a matrix A [n, n] and a centre c [n]."""
    return lambda matrix, centre: Loss(Network(Quadratic(matrix, centre)), blank, batch=3)


@pytest.fixture(scope="session")
def digits_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sources.prepare("digits", tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def digits(digits_cache: Path) -> DataSet:
    return load_data(digits_cache)


@pytest.fixture
def make_spec() -> Callable[..., Spec]:
    """A run on digits: method, sparsity and any other field; protocol keys replace single values."""

    def make(
        method: str = "static", sparsity: float = 0.8, protocol: dict[str, Any] | None = None, **fields: Any
    ) -> Spec:
        run = {"model": "lenet300", "dataset": "digits", "method": method, "sparsity": sparsity}
        merged = {**PROTOCOL, **(protocol or {})}
        return resolve(parse_run({**run, "protocol": merged, **fields}), (1, 8, 8), 10)

    return make


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory, digits_cache: Path) -> Bench:
    """A results folder in which digits are ready; runs that several tests ask for are trained once."""
    results = tmp_path_factory.mktemp("results")
    (results / "cache").mkdir()
    (results / "cache" / digits_cache.name).symlink_to(digits_cache)
    return Bench(results, torch.device("cpu"))


@pytest.fixture
def trained(bench: Bench) -> Callable[[Spec], tuple[Path, Spec]]:
    """The folder of a run that is trained, and its specification."""

    def train(spec: Spec) -> tuple[Path, Spec]:
        assert run_all([spec], bench) == 0
        return bench.folder(spec.run), spec

    return train


@pytest.fixture
def copied(trained: Callable[[Spec], tuple[Path, Spec]], tmp_path: Path) -> Callable[[Spec], tuple[Path, Spec]]:
    """As ``trained``, in a folder that the test may damage."""

    def copy(spec: Spec) -> tuple[Path, Spec]:
        folder = tmp_path / spec.run.digest
        folder.mkdir()
        for file in trained(spec)[0].iterdir():
            if file.is_file():
                (folder / file.name).write_bytes(file.read_bytes())
        return folder, spec

    return copy

"""Small golden trajectories: results of an unchanged configuration must not change unless the comparability version does.

After a change that is meant to change results: raise ``pipeline.record.COMPARABILITY_VERSION`` and write the new digests with
``python -m tests.pipeline.test_golden``.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import train
from pipeline.data import sources
from pipeline.data.tensors import DataSet, load
from pipeline.origin import Origin
from pipeline.plan import Spec, resolve
from pipeline.record import COMPARABILITY_VERSION
from pipeline.study import parse_run
from sparse_methods.execution.serving import refusal
from sparse_methods.methods import METHODS, make

GOLDEN = Path(__file__).parent / "golden.json"
REQUESTS = ((0.9, "erk"), (0.5, "uniform"))
PROTOCOL = {
    "steps": 30,
    "batch_size": 32,
    "learning_rate": {"peak": 0.05, "decay": "step", "milestones": [15], "factor": 0.2, "warmup_steps": 3},
    "optimizer": {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    "topology": {"update_every": 5, "end": 22},
    "label_smoothing": 0.1,
    "clip_norm": 5.0,
}


def spec_of(method: str, dataset: DataSet, execution: str = "masked") -> Spec:
    """The first request that the method can do; one that starts from a finished run gets a dense one."""
    protocol = PROTOCOL | {"execution": execution}
    run = {"model": "lenet300", "dataset": "digits", "method": method, "protocol": protocol}
    if METHODS[method].starts == "origin":
        run["start_from"] = {"method": "dense", "take": "mask"}
    for sparsity, distribution in REQUESTS:
        asked = parse_run({**run, "sparsity": sparsity, "distribution": distribution})
        spec = resolve(asked, dataset.input_shape, dataset.classes)
        if spec.skip is None:
            return spec
    raise ValueError(f"{method} refuses every request: {spec.skip}")


def trained(spec: Spec, dataset: DataSet) -> train.Training:
    """In float64, to the last step, after the run that it starts from."""
    start, origin = spec.run.start_from, None
    if start is not None:
        parent = trained(resolve(start.run, dataset.input_shape, dataset.classes), dataset)
        origin = Origin(final=parent.model.state_dict())
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        training = train.prepare(spec, dataset, origin)
    finally:
        torch.set_default_dtype(before)
    training.model.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
    while training.sparse.steps < spec.run.steps:
        train.take_batch(training)
    return training


def trajectory_digest(method: str, dataset: DataSet, execution: str = "masked") -> str:
    """Of masks, weights and cost after 30 steps in float64, rounded to 6 decimals so that it holds on any processor."""
    training = trained(spec_of(method, dataset, execution), dataset)
    assert training.sparse.execution == execution
    digest = hashlib.sha256(training.sparse.digest().encode())
    for weight in training.sparse.dense_state().values():
        # Adding zero turns -0.0, which rounding makes of tiny negatives, into 0.0.
        digest.update((np.round(weight.numpy(), 6) + 0.0).tobytes())
    digest.update(json.dumps(training.ledger.state_dict(), sort_keys=True).encode())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_trajectory_is_unchanged(method: str, digits_cache: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert golden["comparability_version"] == COMPARABILITY_VERSION, "write the golden trajectories of this version"
    assert method in golden["trajectories"], f"{method} is new: write its golden trajectory"
    found = trajectory_digest(method, load(digits_cache))
    assert found == golden["trajectories"][method], (
        f"{method} trains to another result: if that is meant, raise COMPARABILITY_VERSION and rewrite {GOLDEN.name}"
    )


@pytest.mark.parametrize("method", [name for name in sorted(METHODS) if refusal(make(name)) is None])
def test_the_sparse_execution_follows_the_same_trajectory(method: str, digits_cache: Path) -> None:
    pytest.importorskip("numba", reason="the sparse execution needs numba, an optional extra")
    golden = json.loads(GOLDEN.read_text())["trajectories"]
    assert trajectory_digest(method, load(digits_cache), "sparse") == golden[method]


def main() -> None:
    """Write the digests of the present code."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = load(sources.prepare("digits", Path(folder)))
    digests = {method: trajectory_digest(method, dataset) for method in sorted(METHODS)}
    content = {"comparability_version": COMPARABILITY_VERSION, "trajectories": digests}
    GOLDEN.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

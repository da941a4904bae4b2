"""What ``test_ranks.py`` has torchrun start: trains specifications on every rank and writes what rank 0 saw of all of them.

Each line of the plan is ``{"spec": ..., "dataset": cache file, "batches": n, "name": ...}``; each gets one JSON file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import distributed

from pipeline import train
from pipeline.data import tensors
from pipeline.plan import read_plan
from pipeline.ranks import Ranks, together
from sparse_methods import MasksDisagreeError


def trajectory(training: train.Training, batches: int) -> tuple[list[float], list[str]]:
    """The global loss of each batch, and the digest of the masks after each."""
    losses, digests, before = [], [], 0.0
    for _ in range(batches):
        before = float(training.loss_sum)
        train.take_batch(training)
        losses.append(float(training.ranks.mean(training.loss_sum - before)))
        digests.append(training.sparse.digest())
    return losses, digests


def observed(training: train.Training, batches: int) -> dict:
    losses, digests = trajectory(training, batches)
    train.add_point(training)
    statistics = {name: b.double().flatten().tolist() for name, b in training.model.named_buffers()}
    everyone = [None] * training.ranks.count
    if training.ranks.count > 1:
        distributed.all_gather_object(everyone, digests)
    return {
        "losses": losses,
        "digests": [digests] if training.ranks.count == 1 else everyone,
        "statistics": statistics,
        "point": training.curve[-1],
        "state": None if training.passes.whole_state() is None else training.passes.whole_state().flatten().tolist(),
    }


def disagreement(training: train.Training) -> str:
    """What is said when the last rank's masks are changed behind the others' backs."""
    state = training.sparse.state_dict()
    if training.ranks.index == training.ranks.count - 1:
        state["masks"] = {name: ~mask for name, mask in state["masks"].items()}
    try:
        training.sparse.load_state_dict(state)
    except MasksDisagreeError as error:
        return str(error)
    return "no disagreement was noticed"


def main(plan: Path, folder: Path, ranks: Ranks) -> None:
    datasets = json.loads((folder / "datasets.json").read_text())
    for name, (spec,) in read_plan(plan).items():
        dataset = tensors.load(Path(datasets[spec.run.dataset]))
        batches = spec.run.steps
        seen = observed(train.prepare(spec, dataset, ranks=ranks), batches)
        if name == "rigl":
            seen["disagreement"] = disagreement(train.prepare(spec, dataset, ranks=ranks))
        if ranks.is_first:
            (folder / f"{name}-{ranks.count}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    torch.set_num_threads(1)
    with together(torch.device("cpu")) as joined:
        main(Path(sys.argv[1]), Path(sys.argv[2]), joined)

"""What torchrun starts for ``test_ranks.py``: how long two ranks take to agree on their masks, next to how long they train."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import torch

from pipeline import train
from pipeline.data.tensors import DataSet
from pipeline.plan import resolve
from pipeline.ranks import together
from pipeline.study import parse_run

UPDATE_EVERY = 100
SHAPE, CLASSES, SAMPLES = (1, 28, 28), 10, 10_000
RUN = {
    "model": "lenet300",
    "dataset": "mnist",
    "method": "rigl",
    "sparsity": 0.9,
    "protocol": {
        "steps": 100_000,
        "batch_size": 100,
        "learning_rate": {"peak": 0.01},
        "optimizer": {"momentum": 0.9},
        "topology": {"update_every": UPDATE_EVERY},
    },
}


def seconds(action: Callable[[], object], times: int) -> float:
    """Of one of ``times`` calls."""
    started = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - started) / times


def made_up() -> DataSet:
    """Of MNIST's shape."""
    inputs, labels = torch.randint(0, 256, (SAMPLES, *SHAPE), dtype=torch.uint8), torch.randint(0, CLASSES, (SAMPLES,))
    return DataSet("mnist", CLASSES, inputs, labels, inputs[:100], labels[:100], "divide:255")


def main() -> None:
    """Print what agreeing after every update adds to the time of training."""
    torch.set_num_threads(1)
    with together(torch.device("cpu")) as ranks:
        training = train.prepare(resolve(parse_run(RUN), SHAPE, CLASSES), made_up(), ranks=ranks)
        seconds(lambda: train.take_batch(training), UPDATE_EVERY + 1)
        # An update falls into each hundred steps, and its agreement with it.
        training_seconds = seconds(lambda: train.take_batch(training), 4 * (UPDATE_EVERY + 1))
        agreeing = seconds(training.sparse.agree, 50)
        if ranks.is_first:
            print(json.dumps(agreeing / ((UPDATE_EVERY + 1) * training_seconds - agreeing)))


if __name__ == "__main__":
    main()

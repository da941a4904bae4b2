"""Every image network trains: RigL on images of its kind's smallest usual size, end to end, its ledger counted again."""

from __future__ import annotations

import pytest
import torch

from pipeline import models, passes, train
from pipeline.cost import CONVENTIONS
from pipeline.data.tensors import DataSet
from pipeline.plan import resolve
from pipeline.study import parse_run

SIDE = {"lenet5": 28, "lenet300": 28}
PROTOCOL = {
    "steps": 8,
    "batch_size": 8,
    "learning_rate": {"peak": 0.02},
    "topology": {"update_every": 3, "end": 6},
    "evaluations": 2,
}
IMAGE_MODELS = [name for name in models.names() if name != "charlm_gru"]


def images(side: int) -> DataSet:
    """Eight images of four classes, so that every batch is the whole set."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, 256, (8, 1 if side == 28 else 3, side, side), dtype=torch.uint8, generator=generator)
    labels = torch.arange(8) % 4
    return DataSet("images", 4, inputs, labels, inputs, labels, "divide:255")


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_a_network_trains_and_its_ledger_is_the_sum_over_its_batches(name: str) -> None:
    dataset = images(SIDE.get(name, 32))
    options = {} if name == "resnet50" else {"width": 0.25}
    fields = {"model": name, "dataset": "digits", "method": "rigl", "sparsity": 0.5, "distribution": "erk"}
    run = parse_run({**fields, "model_options": options, "protocol": PROTOCOL})
    spec = resolve(run, dataset.input_shape, dataset.classes)
    training = train.prepare(spec, dataset)
    before = {layer: mask.clone() for layer, mask in training.sparse.masks.items()}
    losses, expected = [], dict.fromkeys(CONVENTIONS, 0)
    while training.sparse.steps < run.steps:
        active = {row.layer: row.nonzeros for row in training.sparse.counts()}
        seen = float(training.loss_sum)
        stepped = train.take_batch(training)
        losses.append(float(training.loss_sum) - seen)
        for convention in CONVENTIONS:
            sparse = spec.network.inference_flops(convention, active)
            gradient = sparse if stepped else spec.network.inference_flops(convention)
            expected[convention] += 8 * (2 * sparse + gradient)
    assert training.ledger.total_flops == expected
    assert min(losses[1:]) < losses[0]  # rounding decides the last one: it grows a thousandfold a step in MobileNet
    assert {row.layer: row.nonzeros for row in training.sparse.counts()} == {
        row.layer: row.nonzeros for row in spec.layers()
    }
    assert any(not torch.equal(before[layer], mask) for layer, mask in training.sparse.masks.items())
    correct, total, _ = passes.evaluate(training.model, dataset)[:3]
    assert 0 <= correct <= total == 8

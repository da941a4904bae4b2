"""Solutions are read as runs left them or refused by name; losses are those of the records, and of plain torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from analysis.errors import AnalysisError
from analysis.landscape.network import Loss, Network, load, load_together, snapshot_masks, snapshots, subset
from pipeline.data.tensors import DataSet, TextSet
from pipeline.plan import Spec
from pipeline.record import MASKS, RECORD, WEIGHTS, snapshot_name

Folders = Callable[[Spec], tuple[Path, Spec]]
MakeSpec = Callable[..., Spec]
WITH_NORMS = {"model": "wrn10_1", "protocol": {"steps": 12}, "model_options": {"width": 0.5}}


def normed() -> nn.Module:
    """A linear layer, BatchNorm and another linear layer, in float64."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 10)).double()


# -- what runs left -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields", [{}, {"method": "dense", "sparsity": 0.0}, WITH_NORMS], ids=["lenet", "dense", "wrn"]
)
def test_an_end_point_has_the_loss_and_the_error_of_its_record(
    fields: dict, make_spec: MakeSpec, trained: Folders, digits: DataSet
) -> None:
    spec = make_spec(**fields)
    solution = load(*trained(spec))
    network = Network(spec.build())
    quality = Loss(network, digits).at(network.point(solution.parameters), solution.buffers)
    recorded = solution.record["result"]
    assert quality.test_loss == pytest.approx(recorded["test_loss_nats"], abs=1e-5)
    assert round(quality.test_error * recorded["test_total"]) == recorded["test_total"] - recorded["test_correct"]


def test_in_float64_the_loss_is_the_same(make_spec: MakeSpec, trained: Folders, digits: DataSet) -> None:
    spec = make_spec(**WITH_NORMS)
    solution = load(*trained(spec))
    single, double = Network(spec.build()), Network(spec.build().double())
    found = [Loss(n, digits).at(n.point(solution.parameters), solution.buffers) for n in (single, double)]
    assert found[0].train_loss == pytest.approx(found[1].train_loss, abs=1e-6)
    assert double.vector.dtype == torch.float64


def test_every_parameter_has_a_mask_and_only_masked_weights_have_zeros(make_spec: MakeSpec, trained: Folders) -> None:
    spec = make_spec(**WITH_NORMS)
    solution = load(*trained(spec))
    network = Network(spec.build())
    assert list(solution.active) == list(solution.parameters) == list(network.parameters)
    assert set(solution.masks) == {n.removesuffix(".weight") for n, mask in solution.active.items() if not mask.all()}
    assert "conv1" not in solution.masks  # left out by the model's layer rules
    mask = network.mask(solution.active)
    assert mask.dtype == torch.bool
    assert not network.point(solution.parameters)[~mask].any()
    assert int((~mask).sum()) == sum(layer["weights"] - layer["nonzeros"] for layer in solution.record["layers"])


def test_snapshots_are_the_weights_of_the_steps_that_were_kept(make_spec: MakeSpec, trained: Folders) -> None:
    folder, spec = trained(make_spec("rigl", snapshots=(60, 30)))
    found = snapshots(folder, spec)
    assert list(found) == [30, 60]
    for step, parameters in found.items():
        stored, masks = load_file(folder / snapshot_name(step)), snapshot_masks(folder, spec)[step]
        assert list(parameters) == [f"fc{layer}.{kind}" for layer in (1, 2, 3) for kind in ("weight", "bias")]
        assert all(torch.equal(parameters[name], stored[name]) for name in stored)
        assert list(masks) == ["fc1", "fc2", "fc3"]
        assert not any(parameters[f"{layer}.weight"][~mask].any() for layer, mask in masks.items())


def lose_the_record(folder: Path) -> None:
    (folder / RECORD).unlink()


def corrupt_the_record(folder: Path) -> None:
    (folder / RECORD).write_text("{")


def lose_the_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def truncate_the_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1])


def rename_a_weight(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    save_file({name.replace("fc2.w", "fc9.w"): tensor for name, tensor in weights.items()}, folder / WEIGHTS)


def widen_a_weight(folder: Path) -> None:
    save_file({**load_file(folder / WEIGHTS), "fc3.bias": torch.zeros(11)}, folder / WEIGHTS)


def mask_a_layer_that_is_not_there(folder: Path) -> None:
    save_file({**load_file(folder / MASKS), "fc9": torch.ones(2, 2)}, folder / MASKS)


def diverge(folder: Path) -> None:
    record = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps({**record, "status": "diverged", "result": None}))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lose_the_record, "has no record in .*: No such file or directory; train it first"),
        (corrupt_the_record, "record.json is corrupt"),
        (lose_the_weights, "weights.safetensors of .* cannot be read"),
        (truncate_the_weights, "weights.safetensors of .* cannot be read"),
        (rename_a_weight, r"fc2.weight is absent there and of shape \[100, 300\] in its network; so are 1 more"),
        (widen_a_weight, r"fc3.bias is of shape \[11\] there and of shape \[10\] in its network$"),
        (mask_a_layer_that_is_not_there, r"fc9 is of shape \[2, 2\] there and absent in its network$"),
        (diverge, "is diverged: it left no solution"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_end_point_is_refused_by_the_names_of_both(
    damage: Callable[[Path], None], told: str, make_spec: MakeSpec, trained: Folders, copied: Folders
) -> None:
    whole, broken = trained(make_spec("pruning")), copied(make_spec())
    damage(broken[0])
    with pytest.raises(AnalysisError, match=told) as caught:
        load_together([whole, broken])
    named = f"{whole[1].run.path} and {broken[1].run.path} cannot be compared: "
    assert str(caught.value).startswith(named)


def test_another_run_in_the_folder_is_refused(make_spec: MakeSpec, trained: Folders) -> None:
    folder, spec = trained(make_spec())
    other = make_spec("pruning")
    with pytest.raises(AnalysisError, match=f"{folder} holds {spec.run.path}, not {other.run.path}"):
        load(folder, other)


def test_end_points_of_different_models_are_refused(make_spec: MakeSpec, trained: Folders) -> None:
    runs = [trained(make_spec()), trained(make_spec(**WITH_NORMS))]
    with pytest.raises(AnalysisError, match=r"has model 'lenet300', .* has 'wrn10_1'"):
        load_together(runs)


def test_end_points_of_different_sizes_are_refused(make_spec: MakeSpec, trained: Folders) -> None:
    runs = [trained(make_spec()), trained(make_spec("small_dense"))]
    with pytest.raises(
        AnalysisError, match=r"fc1.weight is \(300, 64\) in .* and \(\d+, 64\) in digits-lenet300/small"
    ):
        load_together(runs)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"config": {"dataset": "mnist"}}, "has dataset 'digits', .* has 'mnist'"),
        ({"provenance": {"data_digest": "0" * 64}}, "saw another version of digits than"),
    ],
    ids=["another data set", "another version of it"],
)
def test_end_points_of_different_data_are_refused(
    change: dict, told: str, make_spec: MakeSpec, trained: Folders, copied: Folders
) -> None:
    whole, other = trained(make_spec()), copied(make_spec("pruning"))
    record = json.loads((other[0] / RECORD).read_text())
    changed = {**record, **{part: {**record[part], **fields} for part, fields in change.items()}}
    (other[0] / RECORD).write_text(json.dumps(changed))
    with pytest.raises(AnalysisError, match=told) as caught:
        load_together([whole, other])
    assert whole[1].run.path in str(caught.value)
    assert other[1].run.path in str(caught.value)


def test_solutions_of_one_model_come_in_the_order_asked_for(make_spec: MakeSpec, trained: Folders) -> None:
    specs = [make_spec(method) for method in ("rigl", "static", "pruning")]
    found = load_together([trained(spec) for spec in specs])
    assert [solution.run for solution in found] == [spec.run.path for spec in specs]


# -- the network at any point ---------------------------------------------------------------------------------------------


def test_a_network_computes_with_the_point_that_it_was_put_at(digits: DataSet) -> None:
    module, other = normed(), normed()
    network = Network(module)
    torch.manual_seed(1)
    point = torch.randn_like(network.vector)
    network.put(point)
    named = network.named(point)
    other.load_state_dict({**other.state_dict(), **named})
    inputs = digits.prepare(digits.test_inputs[:5]).double()
    assert torch.equal(module(inputs), other.eval()(inputs))
    assert torch.equal(network.point(named), point)
    assert list(named) == ["1.weight", "1.bias", "2.weight", "2.bias", "4.weight", "4.bias"]


def test_a_parameter_that_is_missing_is_an_error_that_names_it() -> None:
    network = Network(normed())
    named = network.named(network.vector)
    del named["2.bias"]
    with pytest.raises(KeyError, match=r"2\.bias"):
        network.point(named)


# -- the loss there -------------------------------------------------------------------------------------------------------


def test_the_training_loss_is_plain_torch_s_and_does_not_depend_on_the_batch(digits: DataSet) -> None:
    module = normed()
    network = Network(module)
    point, stored = network.vector.clone(), {n: b.clone() for n, b in module.named_buffers()}
    logits = module(digits.prepare(digits.train_inputs).double())
    expected = functional.cross_entropy(logits, digits.train_labels).item()
    wrong = int((logits.argmax(1) != digits.train_labels).sum())
    for batch in (1, 100, 10_000):
        quality = Loss(network, digits, batch).at(point, stored)
        assert quality.train_loss == pytest.approx(expected, abs=1e-12)
        assert quality.train_error == wrong / len(digits.train_labels)
        assert Loss(network, digits, batch).train(point, stored) == quality.train_loss


def test_statistics_estimated_at_a_point_are_those_of_the_training_set_there(digits: DataSet) -> None:
    """Batches of equal size: the mean of their means is the mean; of their variances, the expected one of a batch."""
    module = normed()
    network = Network(module)
    torch.manual_seed(1)
    point = torch.randn_like(network.vector)
    count = 1200
    Loss(network, digits, batch=300, statistics=count).at(point)
    with torch.no_grad():
        features = module[1](digits.prepare(digits.train_inputs[:count]).double().flatten(1)).view(4, 300, 6)
    assert torch.allclose(module[2].running_mean, features.mean((0, 1)), atol=1e-12)
    assert torch.allclose(module[2].running_var, features.var(1).mean(0), atol=1e-12)


def test_a_loss_does_not_depend_on_what_was_measured_before(digits: DataSet) -> None:
    network = Network(normed())
    loss, point = Loss(network, digits), network.vector.clone()
    stored = {name: buffer.clone() for name, buffer in network.module.named_buffers()}
    first = [loss.at(point), loss.at(point, stored)]
    loss.at(3 * point)
    loss.at(point * math.nan)
    assert [loss.at(point), loss.at(point, stored)] == first
    assert first[0] != first[1]


def test_a_loss_that_is_not_finite_is_a_value(digits: DataSet) -> None:
    network = Network(normed().float())
    quality = Loss(network, digits).at(network.vector * math.nan)
    assert math.isnan(quality.train_loss)
    assert math.isnan(quality.test_loss)


def test_the_gradient_is_that_of_plain_torch(digits: DataSet) -> None:
    module, other = normed(), normed().eval()
    network = Network(module)
    stored = dict(other.named_buffers())
    functional.cross_entropy(other(digits.prepare(digits.train_inputs).double()), digits.train_labels).backward()
    expected = torch.cat([parameter.grad.flatten() for parameter in other.parameters()])
    loss = Loss(network, digits, batch=500)
    for _ in range(2):
        assert torch.allclose(loss.gradient(network.vector.clone(), stored), expected, atol=1e-12)


def rows(dataset: DataSet, split: str) -> list[tuple[bytes, int]]:
    inputs, labels = getattr(dataset, f"{split}_inputs"), getattr(dataset, f"{split}_labels")
    return [(image.numpy().tobytes(), int(label)) for image, label in zip(inputs, labels, strict=True)]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_subset_is_a_random_part_of_both_sets_without_repetition(split: str, digits: DataSet) -> None:
    chosen = rows(subset(digits, 200, seed=1), split)
    assert len(chosen) == len(set(chosen)) == 200
    assert set(chosen) <= set(rows(digits, split))
    assert chosen == rows(subset(digits, 200, seed=1), split)
    assert chosen != rows(subset(digits, 200, seed=2), split)
    assert sorted(rows(subset(digits, 10_000), split)) == sorted(rows(digits, split))


def test_a_subset_of_nothing_is_refused(digits: DataSet) -> None:
    with pytest.raises(ValueError, match="samples is 0, it must be at least 1"):
        subset(digits, 0)


def test_texts_are_refused() -> None:
    text = torch.zeros(9, dtype=torch.uint8)
    with pytest.raises(ValueError, match="'verses' is not a set of images"):
        Loss(Network(normed()), TextSet("verses", text, text))

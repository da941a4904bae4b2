"""What a run takes from the run that it starts from: weights of a step, masks, a ticket, an architecture."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pipeline import train
from pipeline.data.tensors import load
from pipeline.models.compact import live_units
from pipeline.origin import OriginError, OriginFailedError, found_architecture, origin_of
from pipeline.plan import Spec, resolve
from pipeline.record import MASKS, RECORD, WEIGHTS, snapshot_name
from pipeline.run import Run
from pipeline.worker import CHECKPOINTS, USER_ERROR, Bench, run_all
from sparse_methods import topology

MakeBench, MakeSpec = Callable[..., Bench], Callable[..., Spec]
LAYERS = ("fc1", "fc2", "fc3")


def prepared(spec: Spec, bench: Bench) -> train.Training:
    return train.prepare(spec, load(bench.cache(spec.run)), origin_of(spec.run, bench.results / "runs"))


def files_of(spec: Spec, bench: Bench, name: str) -> dict[str, torch.Tensor]:
    return load_file(bench.folder(spec.run) / name)


@pytest.mark.parametrize("take", ["weights", "mask", "both"])
def test_a_run_starts_from_what_it_takes(take: str, make_bench: MakeBench, make_spec: MakeSpec) -> None:
    bench, parent = make_bench(), make_spec("rigl", 0.98)
    child = make_spec("static", 0.98, start_from={"take": take, "method": "rigl"})
    assert child.run.start_from is not None
    assert child.run.start_from.run == parent.run
    assert run_all([parent], bench) == 0
    training, fresh = prepared(child, bench), prepared(make_spec("static", 0.98), bench)
    masks, weights = files_of(parent, bench, MASKS), files_of(parent, bench, WEIGHTS)
    untouched = train.prepare(make_spec("dense"), load(bench.cache(parent.run))).model.state_dict()
    for name, mask in training.sparse.masks.items():
        assert torch.equal(mask, fresh.sparse.masks[name] if take == "weights" else masks[name].bool())
        source = untouched if take == "mask" else weights
        assert torch.equal(training.model.state_dict()[f"{name}.weight"], source[f"{name}.weight"] * mask)


def test_a_rewound_run_starts_from_the_weights_of_that_step(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    """The parent trained to step 13 alone, by hand, has the weights that its snapshot kept; its end has others."""
    bench = make_bench()
    child = make_spec("static", start_from={"method": "rigl", "take": "both", "rewind": 13})
    parent = make_spec("rigl", snapshots=(13,))
    assert child.run.start_from.run == parent.run
    assert run_all([parent], bench) == 0
    by_hand = prepared(make_spec("rigl"), bench)
    while by_hand.sparse.steps < 13:
        train.take_batch(by_hand)
    kept = files_of(parent, bench, snapshot_name(13))
    for name, value in by_hand.model.state_dict().items():
        assert torch.equal(kept[name], value)
    training, masks = prepared(child, bench), files_of(parent, bench, MASKS)
    for name in LAYERS:
        assert torch.equal(training.model.state_dict()[f"{name}.weight"], kept[f"{name}.weight"] * masks[name])
        assert torch.equal(training.model.state_dict()[f"{name}.bias"], kept[f"{name}.bias"])


def test_rewinding_scales_with_the_multiplier(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    bench, parent = make_bench(), make_spec("static", multiplier=0.5, snapshots=(20,))
    assert run_all([parent], bench) == 0
    assert (bench.folder(parent.run) / snapshot_name(10)).exists()


@pytest.mark.parametrize("parent_method", ["dense", "pruning"])
def test_a_ticket_keeps_the_largest_final_weights_and_rewinds_to_the_first(
    parent_method: str, make_bench: MakeBench, make_spec: MakeSpec
) -> None:
    bench = make_bench()
    parent_sparsity = 0.0 if parent_method == "dense" else 0.9
    start = {"method": parent_method, "sparsity": parent_sparsity, "take": "mask"}
    child = make_spec("ticket", 0.9, start_from=start)
    parent = make_spec(parent_method, parent_sparsity)
    assert child.run.start_from.run == parent.run
    assert run_all([parent, child], bench) == 0
    training, final = prepared(child, bench), files_of(parent, bench, WEIGHTS)
    initial = train.prepare(make_spec("dense"), load(bench.cache(parent.run))).model.state_dict()
    for name, mask in training.sparse.masks.items():
        weight = final[f"{name}.weight"].abs()
        keep = weight.numel() - topology.zero_count(0.9, weight.numel())
        assert weight[mask].min() >= weight[~mask].max()
        assert int(mask.sum()) == keep
        assert torch.equal(training.model.state_dict()[f"{name}.weight"], initial[f"{name}.weight"] * mask)
        if parent_method == "pruning":
            assert torch.equal(mask, files_of(parent, bench, MASKS)[name].bool())


def test_a_parent_without_masks_cannot_give_any(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    bench, parent = make_bench(), make_spec("small_dense", 0.9)
    child = make_spec("static", 0.9, start_from={"method": "small_dense", "take": "mask"})
    assert run_all([parent], bench) == 0
    with pytest.raises(OriginFailedError, match="takes its mask, but it has none"):
        origin_of(child.run, bench.results / "runs")


def test_a_parent_that_is_not_trained_yet_is_named(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    bench = make_bench()
    for take in ("weights", "mask", "architecture"):
        child = make_spec("rigl", start_from={"method": "static", "take": take}).run
        with pytest.raises(OriginError, match=r"rigl/s90/.* starts from .*static/s90/.*, which is not trained yet"):
            found_architecture(child, bench.results / "runs") if take == "architecture" else origin_of(
                child, bench.results / "runs"
            )


# -- architectures ---------------------------------------------------------------------------------------------------------


def masks(*rows: list[list[int]]) -> list[torch.Tensor]:
    return [torch.tensor(row, dtype=torch.bool) for row in rows]


def test_dead_inputs_and_units_by_hand() -> None:
    """Input 1 leads nowhere; unit 1 of the first layer has an input and no output; unit 2 has an output and no input; so unit
    1 of the second layer, fed by unit 2 alone, dies too, and input 3, which led to unit 1 only."""
    first = [[1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    second = [[1, 0, 0], [0, 0, 1]]
    last = [[1, 1]]
    assert live_units(masks(first, second, last)) == [[0, 2], [0], [0]]


def test_a_dense_chain_is_all_alive_and_a_cut_one_is_refused() -> None:
    assert live_units(masks([[1, 1]] * 3, [[1, 1, 1]] * 2)) == [[0, 1], [0, 1, 2]]
    with pytest.raises(ValueError, match="no path of active weights"):
        live_units(masks([[1, 1], [0, 0]], [[0, 1]]))


def test_a_run_trains_a_fresh_network_of_the_found_sizes(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    bench, parent = make_bench(), make_spec("rigl", 0.98)
    child = make_spec("rigl", 0.9, start_from={"sparsity": 0.98, "take": "architecture"}).run
    assert child.start_from.run == parent.run
    assert run_all([parent], bench) == 0
    spec = resolve(child, (1, 8, 8), 10, found_architecture(child, bench.results / "runs"))
    found = files_of(parent, bench, MASKS)
    pixels, first, second = live_units([found[name].bool() for name in LAYERS])
    assert spec.found == {"hidden": [len(first), len(second)], "pixels": pixels, "width": 1.0}
    assert len(first) < 300
    shapes = {layer.layer: layer.shape for layer in spec.network.layers}
    assert shapes == {"fc1": (len(first), len(pixels)), "fc2": (len(second), len(first)), "fc3": (10, len(second))}
    assert spec.dense_inference_flops == parent.dense_inference_flops
    assert run_all([make_spec("rigl", 0.9, start_from={"sparsity": 0.98, "take": "architecture"})], bench) == 0
    record = json.loads((bench.folder(child) / RECORD).read_text())
    assert record["status"] == "done"
    assert {layer["layer"]: tuple(layer["shape"]) for layer in record["layers"]} == shapes
    assert record["flops"]["macs"]["inference_flops"] == 2 * sum(layer["nonzeros"] for layer in record["layers"])


def test_the_found_network_sees_the_live_pixels_only(make_spec: MakeSpec) -> None:
    from pipeline import models

    model = models.build("lenet300", (1, 2, 2), 3, hidden=[5, 4], pixels=[1, 3])
    inputs = torch.rand(6, 1, 2, 2)
    changed = inputs.clone()
    changed.view(6, 4)[:, [0, 2]] = 7.0
    assert torch.equal(model(inputs), model(changed))
    with pytest.raises(ValueError, match="pixels must be indices below 4"):
        models.build("lenet300", (1, 2, 2), 3, pixels=[4])
    with pytest.raises(ValueError, match=r"hidden is \[5\]"):
        models.build("lenet300", (1, 2, 2), 3, hidden=[5])
    with pytest.raises(ValueError, match="no architecture can be taken from a 'wrn22_2'; it can from lenet300"):
        models.found_architecture("wrn22_2", {}, {})


def test_a_child_of_a_failed_search_fails_naming_both(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    protocol: dict[str, Any] = {"learning_rate": {"peak": 1e18}}
    bench, parent = make_bench(), make_spec("rigl", 0.98, protocol=protocol)
    child = make_spec("rigl", 0.9, protocol=protocol, start_from={"sparsity": 0.98, "take": "architecture"})
    assert run_all([parent, child], bench) == 0
    status = json.loads((bench.folder(child.run) / RECORD).read_text())["status"]
    assert status == (f"failed: OriginFailedError: {child.run.path} starts from {parent.run.path}, which is diverged")


def test_a_child_whose_parent_is_missing_does_not_keep_others_from_training(
    make_bench: MakeBench, make_spec: MakeSpec
) -> None:
    bench, other = make_bench(), make_spec("static")
    child = make_spec("rigl", 0.9, start_from={"sparsity": 0.98, "take": "architecture"})
    assert run_all([child, other], bench) == USER_ERROR
    assert not (bench.folder(child.run) / RECORD).exists()
    assert (bench.folder(other.run) / RECORD).exists()


def test_an_architecture_is_not_taken_from_a_network_that_was_found(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    """Its pixels would be numbered among those that it sees."""
    bench = make_bench()
    start = {"sparsity": 0.95, "take": "architecture", "start_from": {"sparsity": 0.98, "take": "architecture"}}
    child = make_spec("rigl", 0.9, start_from=start).run
    with pytest.raises(OriginFailedError, match="sees some inputs only"):
        found_architecture(child, bench.results / "runs")


def test_snapshots_are_no_part_of_a_run_s_identity(make_bench: MakeBench, make_spec: MakeSpec) -> None:
    """Asked for later, they are made by training the run again: its kept record does not stand for them."""
    bench, plain, asked = make_bench(), make_spec("static"), make_spec("static", snapshots=(5,))
    assert plain.run.path == asked.run.path
    assert run_all([plain], bench) == 0
    (bench.folder(plain.run) / RECORD).unlink()
    assert run_all([asked], bench) == 0
    assert (bench.folder(plain.run) / snapshot_name(5)).exists()


def test_a_checkpoint_is_not_gone_on_from_when_other_steps_are_to_be_kept(
    make_bench: MakeBench, make_spec: MakeSpec
) -> None:
    """Begun without snapshots and stopped at step 20 of 40: gone on from there, step 5 would be lost."""
    bench, plain, asked = make_bench(checkpoint_seconds=0.0), make_spec("static"), make_spec("static", snapshots=(5,))

    def stop(run: Run, step: int, steps: int) -> None:
        if step == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all([plain], bench, stop)
    assert list((bench.folder(plain.run) / CHECKPOINTS).glob("[0-9]*"))
    assert run_all([asked], bench) == 0
    assert (bench.folder(plain.run) / snapshot_name(5)).exists()

"""A network and its file: identical outputs, bytes counted by hand, sizes known beforehand, errors that name the file."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn

from pipeline import cli, export, models, sparse_file
from pipeline.cost import NetworkCost
from pipeline.data import sources
from pipeline.export import ExportError, load, state_dict
from pipeline.plan import Spec, resolve
from pipeline.record import MASKS, RECORD, WEIGHTS
from pipeline.run import LearningRate, Protocol, Run
from pipeline.worker import Bench, run_all
from sparse_methods import sparsify
from sparse_methods.network import maskable_weights

MakeBench = Callable[..., Bench]
MakeSpec = Callable[..., Spec]
SMALLEST = 32
"""Pixels or characters on a side that every model takes."""


def untrained(model: str, sparsity: float, input_shape: tuple[int, ...], classes: int, **options: Any) -> Spec:
    """A specification without costs, which no file depends on."""
    run = Run(model, "digits", "static", Protocol(1, 1, LearningRate(0.1)), sparsity, model_options=options)
    return Spec(run, None, input_shape, classes, {}, 0, NetworkCost(()), {})


def left_by(network: nn.Module, masks: dict[str, Tensor], folder: Path, run: Run) -> Path:
    """A run's folder as training leaves it."""
    folder.mkdir(exist_ok=True)
    (folder / RECORD).write_text(json.dumps({"status": "done", "config": asdict(run)}))
    save_file({name: tensor.clone() for name, tensor in network.state_dict().items()}, folder / WEIGHTS)
    save_file(masks, folder / MASKS)
    return folder


def trained(bench: Bench, *specs: Spec) -> Path:
    """The folder of the last of ``specs``, once all are trained."""
    assert run_all(specs, bench) == 0
    return bench.folder(specs[-1].run)


def size_of(path: Path) -> int:
    return path.stat().st_size


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[Spec, Path]:
    """LeNet with hidden sizes 20 and 10 on 16 inputs, half of it active, as a finished run's folder."""
    spec = untrained("lenet300", 0.5, (1, 4, 4), 3, hidden=[20, 10])
    network = spec.build()
    sparse = sparsify(network, torch.optim.SGD(network.parameters()), "static", 0.5, total_steps=1)
    return spec, left_by(network, sparse.masks, tmp_path / "run", spec.run)


@pytest.fixture
def file(tiny: tuple[Spec, Path], tmp_path: Path) -> Path:
    spec, folder = tiny
    export.export(folder, spec, tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


# -- every model -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparsity", [0.8, 0.95])
@pytest.mark.parametrize("model", models.names())
def test_every_model_round_trips(model: str, sparsity: float, tmp_path: Path) -> None:
    """Masks drawn by the engine, statistics moved by a batch; outputs in eval mode, masks and bytes are the same."""
    known = sources.known_shape(models.usual_dataset(model) or "")
    assert known is not None
    shape, classes = tuple(min(side, SMALLEST) for side in known[0]), min(known[1], 10)
    spec = untrained(model, sparsity, shape, classes, width=0.25)
    network = spec.build()
    sparse = sparsify(
        network,
        torch.optim.SGD(network.parameters()),
        "static",
        sparsity,
        "erk",
        total_steps=1,
        layers=models.layer_rules(model, "default", "erk", sparsity),
    )
    takes_indices = getattr(network, "input_dtype", torch.float32) == torch.long
    inputs = torch.randint(classes, (2, *shape)) if takes_indices else torch.randn(2, *shape)
    network(inputs)
    folder = left_by(network, sparse.masks, tmp_path / "run", spec.run)
    path = tmp_path / "file.safetensors"
    size = export.export(folder, spec, path)
    assert size.file_bytes == size_of(path)
    with torch.no_grad():
        assert torch.equal(load(path)(inputs), network.eval()(inputs))
    _, masks = state_dict(path)
    assert masks.keys() == sparse.masks.keys()
    assert all(torch.equal(masks[layer], mask) for layer, mask in sparse.masks.items())
    assert {layer.layer: layer.nonzeros for layer in size.layers} == {
        row.layer: row.nonzeros for row in sparse.counts()
    }


# -- bytes by hand ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "nonzeros", "form"),
    [
        (800, 800, "dense"),
        (800, 799, "mask"),
        (800, 96, "mask"),  # 100 bytes of bits; 4 rows and 96 places are as many
        (800, 95, "indices"),
        (800, 0, "indices"),
        (8, 0, "mask"),  # one byte either way
        (9, 0, "indices"),  # two bytes of bits, one row
        (1_000_000, 121_077, "indices"),  # 125,000 bytes of bits; 3,922 rows, the last of 145
        (1_000_000, 121_078, "mask"),
    ],
)
def test_the_form_is_the_smaller_one(weights: int, nonzeros: int, form: str) -> None:
    assert sparse_file.form_of(weights, nonzeros) == form


def written(folder: Path, state: dict[str, Tensor], masks: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the library finds in a file of the format."""
    (folder / "by-hand.safetensors").write_bytes(sparse_file.content(state, masks, {}))
    return load_file(folder / "by-hand.safetensors")


def mask_of(weights: int, *active: int) -> Tensor:
    mask = torch.zeros(weights, dtype=torch.bool)
    mask[list(active)] = True
    return mask


def test_a_bit_mask_has_its_first_weight_in_the_lowest_bit(tmp_path: Path) -> None:
    mask = mask_of(10, 0, 3, 8, 9).reshape(2, 5)
    found = written(tmp_path, {"w": torch.arange(10.0).reshape(2, 5), "b": torch.ones(2)}, {"w": mask})
    assert found.keys() == {"w.values", "w.mask", "b"}
    assert found["w.values"].tolist() == [0, 3, 8, 9]
    assert found["w.mask"].tolist() == [0b1001, 0b11]
    assert found["w.mask"].dtype == torch.uint8


def test_indices_are_counts_of_rows_of_255_then_places(tmp_path: Path) -> None:
    """600 weights are rows of 255, 255 and 90; 599 = 2 * 255 + 89."""
    mask = mask_of(600, 0, 254, 255, 599).reshape(20, 30)
    found = written(tmp_path, {"w": torch.arange(600.0).reshape(20, 30)}, {"w": mask})
    assert found.keys() == {"w.values", "w.indices"}
    assert found["w.values"].tolist() == [0, 254, 255, 599]
    assert found["w.indices"].tolist() == [2, 1, 1, 0, 254, 0, 89]


def test_a_full_row_and_an_empty_layer_are_counted_too(tmp_path: Path) -> None:
    """A row's 255 active weights are as many as a byte can tell; 3,000 weights are 12 rows."""
    mask = mask_of(3000, *range(255, 510))
    state = {"w": torch.randn(3000), "none": torch.zeros(3000)}
    stored = written(tmp_path, state, {"w": mask, "none": mask_of(3000)})
    assert stored["w.indices"].tolist() == [0, 255, *[0] * 10, *range(255)]
    assert stored["none.indices"].tolist() == [0] * 12
    assert stored["none.values"].shape == (0,)
    found, masks = sparse_file.expanded(stored, {"w": (3000,), "none": (3000,)})
    assert torch.equal(masks["w"], mask)
    assert not masks["none"].any()
    assert torch.equal(found["w"], state["w"] * mask)


def test_bytes_of_a_tiny_network_by_hand(tiny: tuple[Spec, Path], file: Path) -> None:
    """16 x 20, 20 x 10 and 10 x 3 weights, half of each active, bits for 320, 200 and 30 weights; 33 biases."""
    spec, folder = tiny
    size = export.export(folder, spec, file)
    assert [(layer.layer, layer.nonzeros, layer.form) for layer in size.layers] == [
        ("fc1", 160, "mask"),
        ("fc2", 100, "mask"),
        ("fc3", 15, "mask"),
    ]
    assert [layer.bytes for layer in size.layers] == [4 * 160 + 40, 4 * 100 + 25, 4 * 15 + 4]
    assert size.other_bytes == 4 * 33
    assert size.header_bytes == 8 + int.from_bytes(file.read_bytes()[:8], "little")
    assert size.file_bytes == size_of(file) == size.header_bytes + 680 + 425 + 64 + 132


def test_the_library_writes_as_many_bytes(file: Path) -> None:
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    assert len(save(load_file(file), metadata)) == size_of(file)


def test_numbers_lie_at_multiples_of_their_size(tmp_path: Path) -> None:
    """Bytes among them, as buffers of other types are, do not shift the wider ones."""
    state = {
        "bits": torch.tensor([True, False, True]),
        "w": torch.randn(3),
        "count": torch.tensor(7),
        "half": torch.randn(3).half(),
    }
    content = sparse_file.content(state, {}, {})
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    del header["__metadata__"]
    assert start % 8 == 0
    assert list(header) == ["count", "w", "half", "bits"]
    assert [entry["data_offsets"] for entry in header.values()] == [[0, 8], [8, 20], [20, 26], [26, 29]]
    (tmp_path / "file").write_bytes(content)
    assert all(torch.equal(tensor, state[name]) for name, tensor in load_file(tmp_path / "file").items())


def test_the_same_network_gives_the_same_bytes(tiny: tuple[Spec, Path], file: Path, tmp_path: Path) -> None:
    spec, folder = tiny
    before = file.read_bytes()
    export.export(folder, spec, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == before


# -- what is active --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparsity", [0.5, 0.95])
def test_an_active_weight_of_zero_stays_active(sparsity: float, tmp_path: Path) -> None:
    spec = untrained("lenet300", sparsity, (1, 8, 8), 10)
    network = spec.build()
    masks = sparsify(network, torch.optim.SGD(network.parameters()), "static", sparsity, total_steps=1).masks
    with torch.no_grad():
        for weight in maskable_weights(network).values():
            weight.zero_()
    path = tmp_path / "file.safetensors"
    size = export.export(left_by(network, masks, tmp_path / "run", spec.run), spec, path)
    state, found = state_dict(path)
    assert all(torch.equal(found[layer], mask) for layer, mask in masks.items())
    assert [layer.nonzeros for layer in size.layers] == [int(mask.sum()) for mask in masks.values()]
    assert not any(state[f"{layer}.weight"].any() for layer in masks)


def test_unmasked_layers_are_dense_and_full_masks_are_kept(tmp_path: Path) -> None:
    """fc1 is masked with nothing inactive, as a layer that ERK leaves dense; fc2 is sparse; fc3 is not masked at all."""
    spec = untrained("lenet300", 0.5, (1, 4, 4), 3, hidden=[20, 10])
    network = spec.build()
    masks = {"fc1": torch.ones(20, 16, dtype=torch.bool), "fc2": torch.rand(10, 20) < 0.5}
    with torch.no_grad():
        network.fc2.weight.mul_(masks["fc2"])
    path = tmp_path / "file.safetensors"
    size = export.export(left_by(network, masks, tmp_path / "run", spec.run), spec, path)
    assert [layer.form for layer in size.layers] == ["dense", "mask", "dense"]
    assert size.layers[0].bytes == 4 * 320
    assert {"fc1.weight", "fc2.weight.mask", "fc3.weight"} <= load_file(path).keys()
    _, found = state_dict(path)
    assert found.keys() == {"fc1", "fc2"}
    assert found["fc1"].all()
    assert found["fc1"].shape == (20, 16)


def test_state_and_masks_fit_a_network_and_an_engine_of_your_own(file: Path) -> None:
    mine = models.build("lenet300", (1, 4, 4), 3, hidden=[20, 10])
    state, masks = state_dict(file)
    mine.load_state_dict(state)
    sparse = sparsify(mine, torch.optim.SGD(mine.parameters()), "static", masks=masks, total_steps=1)
    assert sparse.sparsity == pytest.approx(0.5)
    inputs = torch.randn(5, 1, 4, 4)
    assert torch.equal(mine.eval()(inputs), load(file)(inputs))
    assert not load(file).training


# -- trained runs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["dense", "static", "rigl", "snip", "dnw", "topkast", "str", "acdc", "nm"])
def test_a_trained_run_round_trips_and_its_record_says_the_bytes(
    method: str, make_bench: MakeBench, spec_of: Callable[..., Spec], tmp_path: Path
) -> None:
    """Methods that train all weights behind a mask left what the network computes with; STR's thresholds are not in it."""
    spec, bench = spec_of(method), make_bench()
    folder, path = trained(bench, spec), tmp_path / "file.safetensors"
    assert export.finished_run(folder) == spec.run
    export.export(folder, spec, path)
    weights, masks = load_file(folder / WEIGHTS), load_file(folder / MASKS)
    record = json.loads((folder / RECORD).read_text())
    assert record["file_bytes"] == size_of(path)
    network = spec.build()
    network.load_state_dict(weights)
    inputs = torch.randn(7, *spec.input_shape)
    assert torch.equal(load(path)(inputs), network.eval()(inputs))
    state, found = state_dict(path)
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[name], weight) for name, weight in weights.items())
    assert found.keys() == masks.keys()
    assert all(torch.equal(found[layer], mask) for layer, mask in masks.items())


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "rigl", "distribution": "erk"},
        {"method": "rigl", "layout": "mnist-authors"},
        {"method": "pruning", "sparsity": 0.3},
        {"method": "small_dense"},
        {"method": "rigl", "model": "wrn10_1", "sparsity": 0.95, "protocol": {"steps": 2, "evaluations": 1}},
    ],
    ids=lambda fields: "-".join(map(str, fields.values())),
)
def test_bytes_are_known_before_training(
    fields: dict[str, Any], make_bench: MakeBench, make_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = make_spec(**fields)
    predicted = export.file_bytes(spec)
    folder, path = trained(make_bench(), spec), tmp_path / "file.safetensors"
    export.export(folder, spec, path)
    assert predicted == size_of(path) == json.loads((folder / RECORD).read_text())["file_bytes"]


def test_a_small_dense_network_is_built_at_its_width(
    make_bench: MakeBench, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """The width that was solved for is in the file: with ``width`` of the model's own, it is a share of that."""
    spec = make_spec("small_dense", 0.9, model_options={"width": 0.5})
    path = tmp_path / "file.safetensors"
    export.export(trained(make_bench(), spec), spec, path)
    architecture = export.architecture_of(spec)
    assert 0 < architecture.options["width"] < 0.5
    shapes = {layer: tuple(weight.shape) for layer, weight in maskable_weights(load(path)).items()}
    assert shapes == {layer.layer: layer.shape for layer in spec.network.layers}


def test_a_network_that_was_found_sees_the_same_pixels(
    make_bench: MakeBench, make_spec: MakeSpec, tmp_path: Path
) -> None:
    from pipeline.origin import found_architecture

    bench, parent = make_bench(), make_spec("rigl", 0.98)
    child = make_spec("rigl", 0.9, start_from={"sparsity": 0.98, "take": "architecture"})
    folder, path = trained(bench, parent, child), tmp_path / "file.safetensors"
    found = found_architecture(child.run, bench.results / "runs")
    spec = resolve(child.run, (1, 8, 8), 10, found)
    export.export(folder, spec, path)
    assert size_of(path) == json.loads((folder / RECORD).read_text())["file_bytes"]
    assert load(path).pixels.tolist() == found["pixels"]


# -- runs that cannot be exported ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["diverged", "skipped: an empty layer", "failed: RuntimeError: lost"])
def test_a_run_that_is_not_done_is_refused_with_its_status(tiny: tuple[Spec, Path], status: str) -> None:
    _, folder = tiny
    record = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps({**record, "status": status}))
    with pytest.raises(ExportError, match=f"run has no network to export: its run is {status}"):
        export.finished_run(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"status": "done"}', '{"status": "done", "config": {}}'])
def test_a_corrupt_record_is_named(tiny: tuple[Spec, Path], text: str) -> None:
    _, folder = tiny
    (folder / RECORD).write_text(text)
    with pytest.raises(ExportError, match=re.escape(f"{folder / RECORD} is corrupt")):
        export.finished_run(folder)


def test_a_folder_without_a_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nowhere is not the folder of a finished run"):
        export.finished_run(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [WEIGHTS, MASKS])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_files_of_a_run_that_cannot_be_read_are_named(tiny: tuple[Spec, Path], name: str, damage: str) -> None:
    spec, folder = tiny
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    if damage == "truncated":
        (folder / name).write_bytes(content[:-1])
    with pytest.raises(ExportError, match=re.escape(f"{folder / name} cannot be read")):
        export.export(folder, spec, folder / "out.safetensors")
    assert not (folder / "out.safetensors").exists()


def test_files_that_are_not_of_the_runs_network_are_refused(tiny: tuple[Spec, Path]) -> None:
    spec, folder = tiny
    masks = load_file(folder / MASKS)
    out = folder / "out.safetensors"
    other = replace(spec, run=replace(spec.run, model_options={"hidden": [21, 10]}))
    with pytest.raises(ExportError, match=r"does not hold the network of its run .*size mismatch for fc1.weight"):
        export.export(folder, other, out)
    save_file({**masks, "fc4": masks["fc1"].clone()}, folder / MASKS)
    with pytest.raises(ExportError, match=r"does not hold the network of its run \(there is no 'fc4'\)"):
        export.export(folder, spec, out)
    save_file({**masks, "fc1": ~masks["fc1"]}, folder / MASKS)
    with pytest.raises(ExportError, match="an inactive weight is not 0"):
        export.export(folder, spec, out)
    assert not out.exists()


def test_success_is_told_only_of_a_file_that_reads_back(
    tiny: tuple[Spec, Path], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole file of another network in its place: nothing is wrong with it but its numbers."""
    spec, folder = tiny
    weights = load_file(folder / WEIGHTS)
    other = file.read_bytes()
    save_file({**weights, "fc2.bias": weights["fc2.bias"] + 1}, folder / WEIGHTS)
    monkeypatch.setattr(export, "write_bytes", lambda path, content: path.write_bytes(other))
    with pytest.raises(ExportError, match=r"tiny\.safetensors does not read back as it was written: fc2\.bias$"):
        export.export(folder, spec, file)


def test_a_file_of_another_kind_is_not_replaced(tiny: tuple[Spec, Path], file: Path) -> None:
    spec, folder = tiny
    for other in (folder / WEIGHTS, folder / RECORD, folder):
        with pytest.raises(ExportError, match=re.escape(f"{other} exists and was not written by")):
            export.export(folder, spec, other)
    export.export(folder, spec, file)


# -- files that cannot be loaded -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [load, state_dict])
def test_a_missing_a_short_and_a_foreign_file_are_named(
    read: Callable[[Path], Any], file: Path, tiny: tuple[Spec, Path], tmp_path: Path
) -> None:
    whole = file.read_bytes()
    with pytest.raises(ExportError, match=r"nothing\.safetensors cannot be read: No such file"):
        read(tmp_path / "nothing.safetensors")
    for length in (0, 7, 100, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(ExportError, match=r"tiny\.safetensors is truncated, or no safetensors file"):
            read(file)
    file.write_text("some text, which is no safetensors file")
    with pytest.raises(ExportError, match=r"tiny\.safetensors is truncated, or no safetensors file"):
        read(file)
    with pytest.raises(ExportError, match=r"weights\.safetensors was not written by `rigl-bench export`"):
        read(tiny[1] / WEIGHTS)


def test_one_wrong_bit_anywhere_is_found(file: Path) -> None:
    whole = file.read_bytes()
    name, numbers = whole.index(b"lenet300"), 8 + int.from_bytes(whole[:8], "little")
    for position in (name, numbers, numbers + 1000, len(whole) - 1):
        broken = bytearray(whole)
        broken[position] ^= 1
        file.write_bytes(broken)
        with pytest.raises(ExportError, match=r"tiny\.safetensors is damaged"):
            load(file)


def remade(file: Path, **changes: str) -> None:
    """The same tensors under other metadata, with a digest that is right."""
    metadata, stored = sparse_file.read(file)
    kept = {key: value for key, value in metadata.items() if key not in (sparse_file.FORMAT, sparse_file.DIGEST)}
    file.write_bytes(sparse_file.content(stored, {}, kept | changes))


def test_another_version_of_the_format_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_file, "VERSION", "2")
    with pytest.raises(ExportError, match="has version 1 of the format, this suite reads 2"):
        load(file)


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ({"fc1": {"weight": "fc1.weight", "shape": [20, 17]}}, "fc1.weight has 160 values, but 40 bytes"),
        ({"fc1": {"weight": "fc1.weight", "shape": [40, 10**12]}}, "fc1.weight has 160 values, but 40 bytes"),
        ({"fc9": {"weight": "fc9.weight", "shape": [20, 16]}}, "there is no 'fc9.weight.values'"),
        ({"fc1": 3}, ""),
        ([], ""),
    ],
)
def test_a_file_that_contradicts_itself_is_named(file: Path, layers: Any, reason: str) -> None:
    remade(file, layers=json.dumps(layers))
    with pytest.raises(ExportError, match=rf"tiny\.safetensors contradicts itself: .*{reason}"):
        state_dict(file)


def test_places_and_values_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="w has 3 values for 2 places"):
        sparse_file.expanded({"w.values": torch.ones(3), "w.mask": torch.tensor([3], dtype=torch.uint8)}, {"w": (8,)})
    indices = torch.tensor([1, 1, 0, 5, 6, 7], dtype=torch.uint8)  # two in three rows, and three places
    with pytest.raises(ValueError, match="rows of 2 indices hold 3"):
        sparse_file.expanded({"w.values": torch.ones(3), "w.indices": indices}, {"w": (600,)})
    twice = torch.tensor([2, 0, 0, 5, 5], dtype=torch.uint8)
    with pytest.raises(ValueError, match="w has 2 values for 1 places"):
        sparse_file.expanded({"w.values": torch.ones(2), "w.indices": twice}, {"w": (600,)})


def test_a_file_does_not_say_which_code_runs(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of the user's own is filled where it is given, and its module never imported for the file's sake."""
    (tmp_path / "harmful_module.py").write_text("raise SystemExit('ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    architecture = {"model": "harmful_module:build", "options": {}, "input_shape": [1, 4, 4], "classes": 3}
    remade(file, architecture=json.dumps(architecture))
    with pytest.raises(
        ExportError, match=r"tiny\.safetensors: .*harmful_module:build is a model of your own: build it"
    ):
        load(file)
    assert "harmful_module" not in sys.modules
    mine = models.build("lenet300", (1, 4, 4), 3, hidden=[20, 10])
    assert load(file, mine) is mine
    assert torch.equal(mine.fc2.weight, state_dict(file)[0]["fc2.weight"])


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ({"model": "lenet301", "options": {}, "input_shape": [4], "classes": 3}, "there is no model 'lenet301'"),
        ({"model": "lenet300", "options": {"depth": 3}, "input_shape": [4], "classes": 3}, "option 'depth'"),
        ({"model": "lenet300"}, "missing"),
    ],
)
def test_a_network_that_cannot_be_built_is_told(file: Path, architecture: dict[str, Any], reason: str) -> None:
    remade(file, architecture=json.dumps(architecture))
    with pytest.raises(ExportError, match=rf"tiny\.safetensors: its network cannot be built: .*{reason}"):
        load(file)


def test_a_network_that_the_file_does_not_fit_is_told(file: Path) -> None:
    with pytest.raises(ExportError, match=r"tiny\.safetensors does not fit this Linear: .*Missing key.*weight"):
        load(file, nn.Linear(3, 3))


# -- the command -----------------------------------------------------------------------------------------------------------

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """``rigl-bench export`` as the console script calls it: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rigl-bench", "export", *map(str, arguments)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        code: object = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        return int(code or 0), *capsys.readouterr()

    return call


def test_the_command_writes_a_file_and_says_what_it_holds(
    ask: Ask, make_bench: MakeBench, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """At 90 % of 64 x 300, 300 x 100 and 100 x 10: 76, 118 and 4 rows of 255, a byte and a float32 an active weight."""
    spec, bench, path = make_spec("rigl", 0.9), make_bench(), tmp_path / "new" / "file.safetensors"
    folder = trained(bench, spec)
    code, shown, errors = ask(spec.run.path, "--out", path, "--results", bench.results, "--json")
    assert (code, errors) == (0, "")
    told = json.loads(shown)
    assert list(told) == ["file", "layers", "other_bytes", "header_bytes", "file_bytes", "size_bytes"]
    assert told["layers"][1] == {
        "layer": "fc2",
        "shape": [100, 300],
        "nonzeros": 3000,
        "form": "indices",
        "bytes": 5 * 3000 + 118,
    }
    assert [layer["bytes"] for layer in told["layers"]] == [5 * 1920 + 76, 5 * 3000 + 118, 5 * 100 + 4]
    assert told["other_bytes"] == 4 * 410
    assert told["file_bytes"] == size_of(path)
    assert told["size_bytes"] == json.loads((folder / RECORD).read_text())["size_bytes"]
    assert told["size_bytes"] == math.ceil((32 * 5020 + 50_200 + 32 * 410) / 8)
    code, shown, errors = ask(folder, "--out", path)
    assert (code, errors) == (0, "")
    for text in ("fc2", "100 x 300", "3,000", "values, indices", "15,118", f"{told['file_bytes']:,}", "27,995"):
        assert text in shown


def test_the_command_finds_the_architecture_that_a_run_took(
    ask: Ask, make_bench: MakeBench, make_spec: MakeSpec, tmp_path: Path
) -> None:
    bench, path = make_bench(), tmp_path / "file.safetensors"
    child = make_spec("rigl", 0.9, start_from={"sparsity": 0.98, "take": "architecture"})
    trained(bench, make_spec("rigl", 0.98), child)
    code, _, errors = ask(child.run.path, "--out", path, "--results", bench.results)
    assert (code, errors) == (0, "")
    assert load(path).fc1.in_features < 64


def test_the_command_refuses_in_a_line(ask: Ask, make_bench: MakeBench, make_spec: MakeSpec, tmp_path: Path) -> None:
    bench = make_bench()
    diverging = make_spec("rigl", protocol={"learning_rate": {"peak": 1e18}})
    folder = trained(bench, diverging)
    for run, reason in ((folder, "its run is diverged"), ("no/such/run", "is not the folder of a finished run")):
        code, shown, errors = ask(run, "--out", tmp_path / "file", "--results", bench.results)
        assert (code, shown, len(errors.splitlines())) == (2, "", 1)
        assert reason in errors
        assert str(run) in errors
    assert not (tmp_path / "file").exists()

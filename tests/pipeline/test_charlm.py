"""The character language model: what it computes, how its state goes from batch to batch, and how it is judged."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from pipeline import models, outcome, passes, train, worker
from pipeline.data import sources, tensors
from pipeline.data.batches import EVALUATION_STREAMS
from pipeline.data.tensors import TextSet
from pipeline.models.charlm import CharLM
from pipeline.plan import Spec, resolve
from pipeline.record import RECORD
from pipeline.run import run_from_dict
from pipeline.study import load_study, parse_run
from pipeline.worker import Bench, run_all
from sparse_methods.methods import METHODS

NARROW = 1 / 16
"""Width at which the embedding is 8, the state 32 and the readouts 16 and 8."""
PROTOCOL = {
    "steps": 30,
    "batch_size": 4,
    "sequence_length": 32,
    "learning_rate": {"peak": 5e-3},
    "optimizer": {"name": "adam", "weight_decay": 5e-4},
    "topology": {"update_every": 5, "end": "never", "drop_fraction": 0.1},
    "clip_norm": 10.0,
    "evaluations": 3,
}
STANDING_STILL = {"learning_rate": {"peak": 1e-30}}
"""A learning rate below the resolution of every weight."""


def text_of(characters: int, judged: int = 100, seed: int = 0) -> TextSet:
    """Random letters."""
    generator = torch.Generator().manual_seed(seed)
    train_text, test_text = (
        torch.randint(97, 123, (n,), generator=generator, dtype=torch.uint8) for n in (characters, judged)
    )
    return TextSet("wikitext-mini", train_text, test_text)


def spec_of(method: str = "rigl", protocol: dict[str, Any] | None = None, **fields: Any) -> Spec:
    run = parse_run(
        {
            "model": "charlm_gru",
            "dataset": "wikitext-mini",
            "method": method,
            "sparsity": 0.0 if method == "dense" else 0.75,
            "model_options": {"width": NARROW},
            "protocol": {**PROTOCOL, **(protocol or {})},
            **fields,
        }
    )
    return resolve(run, run.sample_shape((512,)), 256)


def narrow(seed: int = 0) -> CharLM:
    torch.manual_seed(seed)
    return CharLM(input_shape=(32,), classes=256, width=NARROW)


def loss_of(training: train.Training) -> float:
    """Training loss of the next batch, which is taken."""
    before = float(training.loss_sum)
    train.take_batch(training)
    return float(training.loss_sum) - before


# -- the network ----------------------------------------------------------------------------------------------------------


def test_it_has_the_papers_sizes() -> None:
    spec = resolve(load_study("charlm").runs[0], (512,), 256)
    assert {layer.layer: layer.shape for layer in spec.network.layers} == {
        "embedding": (256, 128),
        "gru.weight_ih_l0": (3 * 512, 128),
        "gru.weight_hh_l0": (3 * 512, 512),
        "readout1": (256, 512),
        "readout2": (128, 256),
    }
    biases = 256 + 2 * 3 * 512 + 256 + 128
    assert spec.parameters == 128 * (256 + 1536) + 512 * (1536 + 256) + 256 * 128 + biases


def test_it_computes_what_it_says() -> None:
    """Against the GRU's equations, a character at a time (gates in the order reset, update, new)."""
    model, tokens = narrow(), torch.randint(0, 256, (3, 7), generator=torch.Generator().manual_seed(1))
    w = {name: parameter.detach() for name, parameter in model.named_parameters()}
    hidden, expected = torch.zeros(3, 32), []
    for character in tokens.T:
        seen = w["embedding.weight"][character] @ w["gru.weight_ih_l0"].T + w["gru.bias_ih_l0"]
        kept = hidden @ w["gru.weight_hh_l0"].T + w["gru.bias_hh_l0"]
        (r, z, n), (u, v, m) = seen.chunk(3, dim=1), kept.chunk(3, dim=1)
        reset, update = torch.sigmoid(r + u), torch.sigmoid(z + v)
        hidden = (1 - update) * torch.tanh(n + reset * m) + update * hidden
        readout = torch.relu(hidden @ w["readout1.weight"].T + w["readout1.bias"])
        readout = readout @ w["readout2.weight"].T + w["readout2.bias"]
        expected.append(readout @ w["embedding.weight"].T + w["embedding.bias"])
    torch.testing.assert_close(model(tokens), torch.stack(expected, dim=1))


def test_the_embedding_is_one_parameter_and_learns_from_both_ends() -> None:
    model = narrow()
    assert [name for name in model.state_dict() if "embedding" in name] == ["embedding.weight", "embedding.bias"]
    logits = model(torch.tensor([[65, 66]]))
    logits[0, 1, 67].backward()
    touched = model.embedding.weight.grad.any(dim=1).nonzero().flatten().tolist()
    assert touched == [65, 66, 67]


def test_reading_on_is_reading_in_one_go() -> None:
    model, tokens = narrow(), text_of(60).train_text.view(2, 30).long()
    first, state = model.continued(tokens[:, :13], None)
    second, end = model.continued(tokens[:, 13:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), model(tokens))
    torch.testing.assert_close(end, model.continued(tokens, None)[1])
    assert state.shape == (1, 2, 32)
    assert not state.requires_grad


def test_width_scales_embedding_state_and_readouts() -> None:
    sizes = {name: tuple(p.shape) for name, p in narrow().named_parameters() if p.ndim == 2}
    assert list(sizes.values()) == [(256, 8), (96, 8), (96, 32), (16, 32), (8, 16)]


def test_what_it_cannot_read_is_named() -> None:
    with pytest.raises(ValueError, match=r"charlm_gru reads text \[characters\], not inputs of shape \[3, 32, 32\]"):
        models.build("charlm_gru", (3, 32, 32), 10)
    with pytest.raises(ValueError, match="width is 0, it must be above 0"):
        models.build("charlm_gru", (32,), 256, width=0)


# -- its specification ----------------------------------------------------------------------------------------------------


def test_the_shape_of_its_data_is_known_beforehand() -> None:
    assert sources.known_shape("wikitext103") == sources.known_shape("wikitext-mini") == ((512,), 256)


@pytest.mark.parametrize("length", [1, 32, 512])
def test_every_weight_is_used_once_a_character(length: int) -> None:
    spec = spec_of("dense", {"sequence_length": length})
    weights = 256 * 8 + 96 * 8 + 96 * 32 + 16 * 32 + 8 * 16
    assert spec.network.inference_flops("macs") == 2 * length * weights
    assert {layer.positions for layer in spec.network.layers} == {length}


def test_the_embedding_is_dense_and_the_rest_has_exact_counts() -> None:
    """Three quarters of 1536 x 128, 1536 x 512, 256 x 512 and 128 x 256, each."""
    rows = resolve(next(run for run in load_study("charlm").runs if run.method == "rigl"), (512,), 256).layers()
    assert [(row.layer, row.masked, row.nonzeros) for row in rows] == [
        ("embedding", False, 32_768),
        ("gru.weight_ih_l0", True, 49_152),
        ("gru.weight_hh_l0", True, 196_608),
        ("readout1", True, 32_768),
        ("readout2", True, 8_192),
    ]


def test_a_small_dense_one_has_as_many_parameters_as_the_sparse_one() -> None:
    spec = spec_of("small_dense", model_options={})
    parameters = sum(parameter.numel() for parameter in spec.build().parameters())
    assert 0.99 * spec.parameters < parameters <= spec.parameters


def test_the_sequence_length_is_part_of_what_a_run_is() -> None:
    short, usual = spec_of().run, spec_of(protocol={"sequence_length": 512}).run
    assert short.digest != usual.digest
    assert run_from_dict(asdict(short)) == short
    assert (short.sample_shape((512,)), short.sample_shape((3, 8, 8))) == ((32,), (3, 8, 8))


def test_costs_of_another_sequence_length_are_refused() -> None:
    spec = resolve(spec_of().run, (512,), 256)
    with pytest.raises(ValueError, match=r"'wikitext-mini' have shape \[32\]; the run was resolved for \[512\]"):
        train.prepare(spec, text_of(1000))


# -- batches and the state between them -----------------------------------------------------------------------------------


def test_two_batches_are_one_reading_of_both() -> None:
    """Weights that stand still: both losses are those of one forward pass over 64 characters of each stream."""
    training = train.prepare(spec_of("dense", STANDING_STILL), text_of(1000))
    joined = [torch.cat(parts, dim=1) for parts in zip(training.batches[0], training.batches[1], strict=True)]
    losses = [loss_of(training), loss_of(training)]
    with torch.no_grad():
        logits, state = training.model.continued(joined[0], None)
        alone = training.model(training.batches[1][0])
    expected = functional.cross_entropy(logits.transpose(1, 2), joined[1], reduction="none").mean(dim=0)
    assert losses == pytest.approx([float(expected[:32].mean()), float(expected[32:].mean())], rel=1e-5)
    torch.testing.assert_close(training.passes.state, state)
    from_zero = functional.cross_entropy(alone.flatten(0, 1), joined[1][:, 32:].flatten())
    assert losses[1] != pytest.approx(float(from_zero), rel=1e-5)


def test_the_state_begins_anew_with_the_text() -> None:
    """300 characters are 2 batches of 4 x 32: the third batch is the first again, read from zero again."""
    training = train.prepare(spec_of("dense", STANDING_STILL), text_of(300))
    losses = [loss_of(training) for _ in range(4)]
    assert losses[2] == losses[0]
    assert losses[3] == losses[1]


def test_the_state_goes_on_over_a_topology_update() -> None:
    """RigL's first batch changes topology in place of a step; the next one still reads on from where it ended."""
    training = train.prepare(spec_of("rigl"), text_of(1000))
    assert train.take_batch(training) is False
    state = training.passes.state
    assert state.any()
    inputs, labels = training.batches[1]
    with torch.no_grad():
        logits, _ = training.model.continued(inputs, state)
    expected = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    assert loss_of(training) == pytest.approx(float(expected), rel=1e-6)


def test_gradients_are_clipped_together() -> None:
    """What the step leaves of them has the norm that was asked for, over active weights and biases of all layers."""

    def gradients(clip_norm: float | None) -> torch.Tensor:
        training = train.prepare(spec_of("static", {"clip_norm": clip_norm}), text_of(1000))
        train.take_batch(training)
        assert not training.model.gru.weight_hh_l0.grad[~training.sparse.masks["gru.weight_hh_l0"]].any()
        return torch.cat([parameter.grad.flatten() for parameter in training.model.parameters()])

    free, clipped = gradients(None), gradients(1e-3)
    assert free.norm() > 1e-2
    torch.testing.assert_close(clipped, free * 1e-3 / free.norm())


# -- how it is judged -----------------------------------------------------------------------------------------------------


def test_judging_by_hand() -> None:
    """Each of the 32 streams read in one go from zero; 20,000 characters are two segments of each."""
    dataset, model = text_of(200, judged=20_000), narrow()
    length = math.ceil(19_999 / EVALUATION_STREAMS)
    correct, loss = 0, 0.0
    for start in range(0, 19_999, length):
        stream = dataset.test_text[start : start + length + 1].long()
        logits = model(stream[None, :-1])[0].detach()
        correct += int((logits.argmax(1) == stream[1:]).sum())
        loss += float(functional.cross_entropy(logits, stream[1:], reduction="sum"))
    found = passes.evaluate(model, dataset)
    assert found[1] == 19_999
    assert abs(found[0] - correct) <= 1  # two logits may be within rounding of each other
    assert found[2] == pytest.approx(loss / 19_999, rel=1e-6)
    assert model.training


def test_to_know_nothing_is_eight_bits() -> None:
    training = train.prepare(spec_of("dense", STANDING_STILL), text_of(1000))
    for parameter in training.model.parameters():
        torch.nn.init.zeros_(parameter)
    train.take_batch(training)
    train.add_point(training)
    assert training.result.bits_per_character == pytest.approx(8, rel=1e-6)
    assert training.result.test_loss_nats == pytest.approx(8 * math.log(2), rel=1e-6)


# -- from data to record --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def excerpt(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> TextSet:
    """The beginning of wikitext-mini: twelve batches a pass."""
    whole = tensors.load(sources.prepare("wikitext-mini", tmp_path_factory.mktemp("wikitext"), data_root))
    return replace(whole, train_text=whole.train_text[: 4 * 32 * 12 + 50], test_text=whole.test_text[:2000])


@pytest.fixture
def bench_of(tmp_path: Path, excerpt: TextSet) -> Callable[..., Bench]:
    """A bench with its own results folder, in which the excerpt is ready."""

    def make(name: str = "results", **options: Any) -> Bench:
        tensors.save(excerpt, sources.cache_path("wikitext-mini", tmp_path / name / "cache"))
        return Bench(tmp_path / name, torch.device("cpu"), **options)

    return make


def record_of(bench: Bench, spec: Spec) -> dict[str, Any]:
    return json.loads((bench.folder(spec.run) / RECORD).read_text())


def test_rigl_learns_english(bench_of: Callable[..., Bench], excerpt: TextSet) -> None:
    """30 steps and 6 updates (before steps 0, 5, ..., 25): fewer bits at every point, and exact counts at the end."""
    bench, spec = bench_of(), spec_of("rigl")
    assert run_all([spec], bench) == 0
    folder, record = bench.folder(spec.run), record_of(bench, spec)
    assert record["status"] == "done"
    result = record["result"]
    curve = pq.read_table(folder / outcome.CURVE).to_pydict()
    assert 8 * math.log(2) > curve["test_loss"][0] > curve["test_loss"][1] > curve["test_loss"][2]
    assert curve["test_loss"][2] == result["test_loss_nats"]
    assert result["bits_per_character"] == result["test_loss_nats"] / math.log(2) < 6
    assert result["test_total"] == len(excerpt.test_text) - 1
    assert record["provenance"]["data_digest"] == excerpt.content_digest()
    work = record["work"]
    assert (work["gradient_steps"], work["topology_updates"], work["samples"]) == (30, 6, 36 * 4)
    assert curve["epoch"][-1] == 36 / 12
    masks, weights = (load_file(folder / name) for name in (outcome.MASKS, outcome.WEIGHTS))
    active = {"gru.weight_ih_l0": 192, "gru.weight_hh_l0": 768, "readout1": 128, "readout2": 32}
    assert {name: int(mask.sum()) for name, mask in masks.items()} == active
    assert not weights["gru.weight_hh_l0"][~masks["gru.weight_hh_l0"]].any()
    assert {layer["layer"]: layer["nonzeros"] for layer in record["layers"]} == {"embedding": 2048, **active}


def test_a_job_of_the_study_trains_it_at_any_length(bench_of: Callable[..., Bench], tmp_path: Path) -> None:
    """The study's own protocol on narrow networks and short sequences: costs are those of 16 characters."""
    bench, study = bench_of(), tmp_path / "short.yaml"
    study.write_text(
        "extends: charlm\nseeds: 1\nonly: {method: [rigl]}\n"
        f"base: {{model_options: {{width: {NARROW}}}, multiplier: 0.00002, protocol.sequence_length: 16}}\n"
    )
    arguments = ["--study", str(study), "--job", "rigl-000", "--results", str(bench.results), "--device", "cpu"]
    assert worker.main(arguments) == 0
    (run,) = load_study(study).runs
    record = json.loads((bench.folder(run) / RECORD).read_text())
    assert (record["status"], record["work"]["batches"]) == ("done", 5)  # 4 steps and an update
    weights = 256 * 8 + 96 * 8 + 96 * 32 + 16 * 32 + 8 * 16
    assert record["flops"]["macs"]["dense_inference_flops"] == 2 * 16 * weights


@pytest.mark.parametrize("method", ["rigl", "snfs"])
def test_interrupted_and_resumed_equals_unbroken_bit_for_bit(
    method: str, bench_of: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle of the text, at its end, and after an update: the state is in the checkpoint."""
    spec, unbroken, broken = spec_of(method), bench_of("unbroken"), bench_of("broken", checkpoint_seconds=0.0)
    assert run_all([spec], unbroken) == 0
    take_batch = train.take_batch
    for last in (7, 12, 13, 25):

        def stop(training: train.Training, last: int = last) -> bool:
            if training.ledger.batches == last:
                raise KeyboardInterrupt
            return take_batch(training)

        with monkeypatch.context() as patch:
            patch.setattr(train, "take_batch", stop)
            with pytest.raises(KeyboardInterrupt):
                run_all([spec], broken)
    assert run_all([spec], broken) == 0
    ours, theirs = (record_of(bench, spec) for bench in (broken, unbroken))
    assert ours.pop("timing")["resumes"] == 4
    assert theirs.pop("timing")["resumes"] == 0
    assert ours == theirs
    ours, theirs = (bench.folder(spec.run) for bench in (broken, unbroken))
    assert pq.read_table(ours / outcome.CURVE).equals(pq.read_table(theirs / outcome.CURVE))
    for name in (outcome.WEIGHTS, outcome.MASKS):
        a, b = load_file(ours / name), load_file(theirs / name)
        assert all(torch.equal(a[key], b[key]) for key in a | b)


@pytest.mark.parametrize("method", ["dense", "static", "set", "pruning", "snip", "grasp"])
def test_other_methods_learn_it_too(method: str, bench_of: Callable[..., Bench]) -> None:
    topology = {**PROTOCOL["topology"], "end": 20 if method == "pruning" else "never"}
    bench, spec = bench_of(), spec_of(method, {"topology": topology})
    assert run_all([spec], bench) == 0
    record = record_of(bench, spec)
    assert record["result"]["bits_per_character"] < 6
    counts = {layer["layer"]: layer["nonzeros"] for layer in record["layers"]}
    if "layer counts" not in METHODS[method].exempt:
        assert counts == {row.layer: row.nonzeros for row in spec.layers()}


def test_synflow_has_no_ones_to_feed_it(bench_of: Callable[..., Bench]) -> None:
    bench, spec = bench_of(), spec_of("synflow")
    assert run_all([spec], bench) == 0
    assert record_of(bench, spec)["status"].startswith("skipped: synflow feeds an input of ones")

"""The studies of ImageNet and WikiText-103: the paper's protocols by its own numbers, and small editions that run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pipeline.data import sources
from pipeline.data.published import PUBLISHED
from pipeline.plan import resolve
from pipeline.run import Run
from pipeline.study import load_study
from pipeline.worker import Bench, run_all

STUDIES = Path(__file__).resolve().parents[1] / "studies"
IMAGES = 1_281_167


def rows_of(study: str, model: str) -> set[tuple[str, str, float, float]]:
    """Method, distribution, sparsity and multiplier of every cell of a model at width 1."""
    runs = [run for run in load_study(study).runs if run.model == model and not run.model_options]
    return {(run.method, run.distribution, run.sparsity, run.multiplier) for run in runs}


@pytest.mark.parametrize(
    ("study", "warmup", "drops"), [("imagenet-resnet50", 5, (30, 70, 90)), ("imagenet-mobilenet", 8, (40, 75, 95))]
)
def test_the_learning_rate_of_imagenet_is_the_papers(study: str, warmup: int, drops: tuple[int, ...]) -> None:
    """Sections 4.1 and 4.1.2, and the script's schedule: 1.6 at batch 4096 is 0.1 for each 256 images."""
    for run in load_study(study).runs:
        protocol, rate = run.protocol, run.protocol.learning_rate
        assert (protocol.steps, protocol.batch_size, protocol.label_smoothing) == (32_000, 4096, 0.1)
        epoch = IMAGES / protocol.batch_size
        assert rate.warmup_steps == round(warmup * epoch)
        assert rate.milestones == tuple(round(drop * epoch) for drop in drops)
        assert (rate.peak, rate.factor, rate.decay) == (1.6, 0.1, "step")
        assert rate.peak == pytest.approx(0.1 * protocol.batch_size / 256)
        assert (protocol.optimizer.momentum, protocol.optimizer.nesterov, protocol.optimizer.weight_decay) == (
            0.9,
            True,
            1e-4,
        )
        assert (protocol.augmentation, protocol.precision) == ("resized-crop-flip", "float32")


def test_updates_of_imagenet_are_the_papers() -> None:
    (topology,) = {run.protocol.topology for run in load_study("imagenet-resnet50").runs if run.method == "rigl"}
    assert (topology.update_every, topology.begin, topology.end) == (100, 0, 25_000)
    assert (topology.drop_fraction, topology.decay) == (0.3, "cosine")


def test_the_main_table_is_whole() -> None:
    """Figure 2 left and Table 4."""
    rows, sparsities = rows_of("imagenet-resnet50", "resnet50"), (0.8, 0.9, 0.95, 0.965)
    expected = {("dense", "uniform", 0.0, 1.0)}
    expected |= {(method, "uniform", s, 1.0) for method in ("static", "snip", "set") for s in sparsities}
    expected |= {
        ("rigl", shared, s, length) for shared in ("uniform", "erk") for s in sparsities for length in (1.0, 5.0)
    }
    expected |= {(method, "erk", s, 1.0) for method in ("static", "snfs") for s in sparsities}
    expected |= {("pruning", "uniform", s, length) for s in sparsities for length in (1.0, 1.5)}
    assert expected <= rows
    # A small dense network has no distribution; methods that move weights between layers start from ERK's.
    small = {(s, length) for method, _, s, length in rows if method == "small_dense"}
    assert small == {(s, length) for s in sparsities for length in (1.0, 5.0)}
    assert {method for method, *_ in rows - expected} == {"small_dense", "dsr", "snfs_redistributed", "dnw"}


def test_mobilenet_is_figure_3() -> None:
    runs = load_study("imagenet-mobilenet").runs
    wide = {(run.method, run.distribution, run.sparsity) for run in runs if run.model_options == {"width": 1.98}}
    assert wide == {("rigl", "uniform", 0.75), ("rigl", "erk", 0.75)}
    assert {run.multiplier for run in runs if run.method != "dense"} == {5.0}
    rows = rows_of("imagenet-mobilenet", "mobilenet_v1")
    sparsities = {0.75, 0.85, 0.9, 0.95}
    assert {s for method, shared, s, _ in rows if (method, shared) == ("rigl", "erk")} == sparsities


def test_costs_of_imagenet_are_counted_on_what_networks_are_given() -> None:
    for name in ("imagenet", "imagenet-sample"):
        assert sources.known_shape(name) == ((3, 224, 224), 1000) == (PUBLISHED[name].shape, PUBLISHED[name].classes)
    assert PUBLISHED["imagenet"].rows == (IMAGES, 50_000)


def test_wikitext103_is_the_papers() -> None:
    for run in load_study("wikitext103").runs:
        protocol = run.protocol
        assert (run.dataset, run.model, run.multiplier, protocol.steps) == ("wikitext103", "charlm_gru", 1.0, 200_000)
        assert (protocol.batch_size, protocol.sequence_length, protocol.clip_norm) == (32, 512, 10.0)
        assert (protocol.optimizer.name, protocol.learning_rate.peak, protocol.optimizer.weight_decay) == (
            "adam",
            7e-4,
            5e-4,
        )
        assert run.sparsity == (0.0 if run.method == "dense" else 0.75)


def trained(runs: tuple[Run, ...], results: Path, data_root: Path) -> list[dict]:
    """The records of these runs, trained in this process."""
    for name in {run.dataset for run in runs}:
        sources.prepare(name, results / "cache", data_root)
    known = [(run, *sources.known_shape(run.dataset)) for run in runs]
    specs = [resolve(run, run.sample_shape(shape), classes) for run, shape, classes in known]
    assert run_all(specs, Bench(results, torch.device("cpu"))) == 0
    return [json.loads((results / "runs" / run.path / "record.json").read_text()) for run in runs]


def test_a_small_edition_of_wikitext103_runs(data_root: Path, tmp_path: Path) -> None:
    runs = load_study(STUDIES / "wikitext103.yaml").runs
    assert {run.protocol.optimizer for run in runs} == {
        run.protocol.optimizer for run in load_study("wikitext103").runs
    }
    for record in trained(runs, tmp_path, data_root):
        assert record["status"] == "done"
        assert 4 < record["result"]["bits_per_character"] < 9


@pytest.mark.parametrize("name", ["imagenet-resnet50", "imagenet-mobilenet"])
def test_a_small_edition_of_imagenet_runs(data_root: Path, tmp_path: Path, name: str) -> None:
    runs = load_study(STUDIES / f"{name}.yaml").runs
    assert {run.model for run in runs} == {run.model for run in load_study(name).runs}
    assert {run.protocol.augmentation for run in runs} == {"resized-crop-flip"}
    for record in trained(runs, tmp_path, data_root):
        assert (record["status"], record["result"]["test_total"]) == ("done", 100)
        assert record["result"]["test_loss_nats"] < 20

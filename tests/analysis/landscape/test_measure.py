"""One small study measured from its weights to the documents that figures read, and what the command refuses."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from analysis.errors import AnalysisError
from analysis.landscape import documents, results
from analysis.landscape.__main__ import finite, main
from analysis.landscape.measure import Bench, measure
from pipeline.data.tensors import DataSet
from pipeline.landscape import LandscapeJob
from pipeline.plan import resolve
from pipeline.record import WEIGHTS
from pipeline.study import Study, load_study
from pipeline.worker import Bench as Trainer
from pipeline.worker import run_all
from sparse_methods.methods import METHODS

STUDY = """
extends: quick
title: A landscape in small
base:
  protocol.steps: 120
  protocol.learning_rate.milestones: [80, 100]
  protocol.topology.update_every: 20
  protocol.topology.end: 80
  protocol.evaluations: 2
  sparsity: 0.8
grid:
  - {method: static, snapshots: [[20, 60]]}
  - {method: rigl, snapshots: [[20, 60]]}
  - {method: pruning, snapshots: [[20, 60]], protocol.topology.begin: 20}
  - {method: [static, rigl], start_from: {method: static, take: both}}
add: []
seeds: 2
landscape:
  sparsity: [0.8]
  pairs: [[static, pruning], [rigl, rigl]]
  points: 41
  degrees: [2]
  spaces: [union, dense]
  curve_steps: 4
  longer_steps: [8]
  samples: 100
  map_points: 5
  curvature_methods: [rigl]
  curvature_samples: 40
  trace_vectors: 2
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "small-landscape.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def study(file: Path) -> Study:
    return load_study(str(file))


@pytest.fixture(scope="module")
def trained_results(study: Study, tmp_path_factory: pytest.TempPathFactory, digits_cache: Path) -> Path:
    """A results folder with every run of the study."""
    results = tmp_path_factory.mktemp("measured")
    (results / "cache").mkdir()
    (results / "cache" / digits_cache.name).symlink_to(digits_cache)
    specs = [resolve(run, (1, 8, 8), 10) for run in study.runs]
    assert run_all(specs, Trainer(results, torch.device("cpu"))) == 0
    return results


@pytest.fixture(scope="module")
def bench(study: Study, trained_results: Path, digits: DataSet) -> Bench:
    return Bench(trained_results / "runs", digits, study.landscape)


def job(study: Study, kind: str, name: str = "") -> LandscapeJob:
    return next(job for job in study.landscape_jobs() if job.kind == kind and name in job.name)


def test_every_curve_of_the_first_pair_is_trained_with_each_budget(study: Study, bench: Bench) -> None:
    found = measure("curves", job(study, "curves", "static-pruning").groups[0], bench)
    ways = [(one["curve"], one["space"], (one["fit"] or {"steps": 0})["steps"]) for one in found["curves"]]
    trained = [("quadratic", space, steps) for steps in (4, 8) for space in ("union", "dense")]
    assert ways == [("linear", "line", 0), *trained]
    assert found["end_test_losses"] == pytest.approx(found["recorded_test_losses"], abs=1e-5)
    line, first = (one["profile"] for one in found["curves"][:2])
    assert (line["t"][0], line["t"][-1]) == (pytest.approx(-0.2), pytest.approx(1.2))
    assert len(first["t"]) == 41
    inside = [loss for t, loss in zip(line["t"], line["train_loss"], strict=True) if t in (0, 1)]
    assert inside == [first["train_loss"][0], first["train_loss"][-1]]  # all curves have the same ends


def test_other_pairs_have_the_common_budget_and_successive_seeds(study: Study, bench: Bench) -> None:
    own = job(study, "curves", "rigl-rigl")
    assert [[run.seed for run in group] for group in own.groups] == [[0, 1]]
    found = measure("curves", own.groups[0], bench)
    assert {one["fit"]["steps"] for one in found["curves"] if one["fit"]} == {4}


def test_a_plane_goes_through_its_solutions(study: Study, bench: Bench) -> None:
    found = measure("maps", job(study, "maps").groups[0], bench)
    assert found["methods"] == ["static", "rigl", "pruning"]
    assert [len(path) for path in found["paths"].values()] == [2, 2, 2]
    assert all(abs(place["residual"]) < 1e-4 for place in found["places"])
    assert found["around"].keys() == set(found["methods"])
    assert torch.tensor(found["plane"]["train_loss"]).shape == (5, 5)


def test_curvature_is_of_every_space_and_the_inactive_share_of_every_snapshot(study: Study, bench: Bench) -> None:
    found = measure("curvature", job(study, "curvature").groups[0], bench)
    weights = found["weights"]
    assert weights["active"] + weights["inactive"] == weights["all"]
    assert found["eigenvalues"]["all"]["largest"][0] >= found["eigenvalues"]["active"]["largest"][0] * (1 - 1e-4)
    assert found["eigenvalues"]["all"]["smallest"][0] <= found["eigenvalues"]["active"]["smallest"][0] + 1e-4
    assert found["inactive_gradient_share_at"].keys() == {"20", "60"}
    assert 0 < found["inactive_gradient_share"] < 1


def test_a_static_topology_stays_and_rigl_s_moves(study: Study, bench: Bench) -> None:
    by_method = {
        found["method"]: found for found in (measure("overlap", g, bench) for g in job(study, "overlap").groups)
    }
    static, rigl = (by_method[method]["over_time"][0] for method in ("static", "rigl"))
    assert static["churn"] == [0, 0]
    assert static["overlap_with_end"] == [1, 1, 1]
    assert rigl["steps"] == [20, 60, 120]
    assert rigl["churn"][0] > 0
    assert rigl["explored"][-1] > rigl["explored"][0]
    assert rigl["explored"][-1] <= rigl["explored_in_all"]
    pixels = torch.tensor(by_method["rigl"]["input_degrees"])
    assert pixels.shape == (8, 8)
    assert int(pixels.sum()) == 300 * 64 - math.floor(0.8 * 300 * 64)


def test_going_on_starts_from_the_parent(study: Study, bench: Bench) -> None:
    groups = job(study, "escape").groups
    found = {one["method"]: one for one in (measure("escape", group, bench) for group in groups if group[1].seed == 0)}
    assert {one["parent"] for one in found.values()} == {"static"}
    assert found["static"]["overlap"]["jaccard"] == 1
    assert found["rigl"]["overlap"]["jaccard"] < 1
    assert found["rigl"]["distance"] > 0
    assert found["static"]["results"][0] == found["rigl"]["results"][0]


def test_the_command_leaves_documents_that_figures_read(
    study: Study, file: Path, trained_results: Path, tmp_path: Path
) -> None:
    own = job(study, "escape")
    written = tmp_path / "escape.json"
    arguments = ["--study", str(file), "--job", own.name, "--results", str(trained_results), "--out", str(written)]
    assert main([*arguments, "--device", "cpu"]) == 0
    (document,) = documents.read([tmp_path])
    assert (document.job, document.kind, len(document.found)) == (own.name, "escape", 4)
    measured = results.load([tmp_path], METHODS)
    assert sorted(measured.escapes["seed"]) == [0, 0, 1, 1]


def test_a_measurement_that_there_is_not_is_refused_with_those_there_are(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["--study", str(file), "--job", "tides", "--out", str(tmp_path / "x.json")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: unknown measurement 'tides'; small-landscape has curves-static-pruning-")
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize("damage", ["missing", "not a number"])
def test_an_end_point_that_cannot_be_used_is_refused_by_the_names_of_both(
    damage: str, study: Study, bench: Bench, tmp_path: Path
) -> None:
    group = job(study, "curves", "static-pruning").groups[0]
    for run in group:
        shutil.copytree(bench.runs / run.path, tmp_path / run.path)
    broken = tmp_path / group[1].path
    if damage == "missing":
        (broken / WEIGHTS).unlink()
    else:
        record = json.loads((broken / "record.json").read_text(encoding="utf-8")) | {
            "status": "diverged",
            "result": None,
        }
        (broken / "record.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(AnalysisError) as refused:
        measure("curves", group, Bench(tmp_path, bench.dataset, study.landscape))
    assert group[0].path in str(refused.value)
    assert group[1].path in str(refused.value)


def test_numbers_that_json_has_no_word_for_are_text_that_float_reads() -> None:
    values = {"a": [math.nan, math.inf, -math.inf, 1.5], 2: (None, "x")}
    written = finite(values)
    assert written == {"a": ["NaN", "Infinity", "-Infinity", 1.5], "2": [None, "x"]}
    assert [str(float(text)) for text in written["a"][:3]] == ["nan", "inf", "-inf"]
    json.dumps(written, allow_nan=False)

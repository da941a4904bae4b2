"""What a study will cost, held against what runs then cost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline import checkpoint, cli, train
from pipeline.dry_run import Usage
from pipeline.forecast import Device, Forecast, RunForecast, forecast, hours, total_disk
from pipeline.plan import Spec
from pipeline.provenance import hardware_of
from pipeline.run import Run
from pipeline.study import Study
from pipeline.worker import Bench, UserError, run_all

NOWHERE = Device("cpu", "a machine that nobody has", 1)


@pytest.fixture
def here() -> Device:
    return Device("cpu", hardware_of(torch.device("cpu")), 1)


def study_of(*runs: Run, runs_per_job: int = 1) -> Study:
    return Study("mine", "Mine", "", runs, runs_per_job)


def planned(run: Run, results: Path, device: Device = NOWHERE, **options: Any) -> RunForecast:
    return forecast(study_of(run), results, device, **options).runs[0]


def record_of(bench: Bench, run: Run) -> dict[str, Any]:
    return json.loads((bench.folder(run) / "record.json").read_text())


@pytest.mark.parametrize("method", ["dense", "static", "set", "rigl", "snip", "pruning", "small_dense"])
def test_flops_and_samples_are_those_that_the_run_has(
    method: str, make_spec: Callable[..., Spec], make_bench: Callable[..., Bench]
) -> None:
    bench = make_bench()
    spec = make_spec(method, 0.0 if method == "dense" else 0.9)
    assert run_all([spec], bench) == 0
    record, cost = record_of(bench, spec.run), planned(spec.run, bench.results)
    assert cost.upper_bound is None
    # A closed form takes updates to go on to the end, a run of 40 steps has the last of them at 30.
    assert cost.train_flops == pytest.approx(record["flops"]["rigl"]["train_flops_total"], rel=0.15)
    dense = spec.network.inference_flops("macs")
    assert cost.executed_flops == 3 * dense * record["work"]["samples"]


def test_a_method_without_a_closed_form_costs_at_most_what_a_dense_one_does(
    make_spec: Callable[..., Spec], make_bench: Callable[..., Bench]
) -> None:
    bench, spec = make_bench(), make_spec("dsr", 0.9, distribution="erk")
    assert run_all([spec], bench) == 0
    found = forecast(study_of(spec.run), bench.results, NOWHERE)
    assert found.bounded == {"dsr": "it has no closed form"}
    assert found.runs[0].train_flops >= record_of(bench, spec.run)["flops"]["rigl"]["train_flops_total"]
    assert found.rows()[0].upper_bound == "it has no closed form"


def test_hours_follow_the_throughput_of_records_on_the_same_hardware(
    make_spec: Callable[..., Spec], make_bench: Callable[..., Bench], here: Device
) -> None:
    bench = make_bench()
    done = make_spec("rigl").run
    assert run_all([make_spec("rigl")], bench) == 0
    timing = record_of(bench, done)["timing"]
    took = sum(timing[f"{part}_seconds"] for part in ("train", "evaluation", "checkpoint"))
    again, longer, other = replace(done, seed=1), replace(done, seed=1, multiplier=5.0), replace(done, method="set")
    found = forecast(study_of(done, again, longer, other), bench.results, here)
    assert found.counts == {"done": 1, "left": 3}
    assert [run.seconds for run in found.runs[:2]] == [pytest.approx(took)] * 2
    assert found.runs[2].seconds == pytest.approx(5 * took, rel=0.1)
    # No record of SET: another method's pace on this network is the best there is.
    assert found.runs[3].seconds == pytest.approx(took, rel=0.2)
    assert hours(found.left, here) == pytest.approx(sum(run.seconds for run in found.runs[1:]) / 3600)
    four_cores = replace(here, cores=4)
    assert hours(found.left, four_cores) == pytest.approx(4 * hours(found.left, here))


def test_no_throughput_means_no_hours(
    make_spec: Callable[..., Spec], make_bench: Callable[..., Bench], here: Device
) -> None:
    bench, run = make_bench(), make_spec("rigl").run
    nothing_done = forecast(study_of(run), bench.results, here)
    assert (nothing_done.unknown, nothing_done.throughputs.seen) == (("digits-lenet300",), ())
    assert hours(nothing_done.runs, here) is None
    assert nothing_done.rows()[0].hours is None
    assert run_all([make_spec("rigl")], bench) == 0
    elsewhere = forecast(study_of(replace(run, seed=1)), bench.results, NOWHERE)
    assert elsewhere.throughputs.seen == (here.hardware,)
    assert hours(elsewhere.runs, NOWHERE) is None
    # Another network, batch or precision is no measure, and neither is a sparse run of another sparsity.
    for changed in ({"batch_size": 32}, {"precision": "bf16"}, {"execution": "sparse"}):
        wanted = replace(run, protocol=replace(run.protocol, **changed))
        assert planned(wanted, bench.results, here).seconds is None, changed


def test_a_given_throughput_takes_the_place_of_a_measured_one(
    make_spec: Callable[..., Spec], make_bench: Callable[..., Bench], here: Device
) -> None:
    bench, run = make_bench(), make_spec("rigl").run
    assert run_all([make_spec("rigl")], bench) == 0
    cost = planned(replace(run, seed=1), bench.results, here, flops_per_second=1e6)
    assert cost.seconds == pytest.approx(cost.executed_flops / 1e6)


def test_seeds_of_a_cell_cost_the_same_and_jobs_count_what_is_left(
    make_spec: Callable[..., Spec], make_bench: Callable[..., Bench]
) -> None:
    bench, run = make_bench(), make_spec("rigl").run
    assert run_all([make_spec("rigl")], bench) == 0
    found = forecast(study_of(*(run.at_seed(seed) for seed in range(4)), runs_per_job=2), bench.results, NOWHERE)
    assert (found.jobs, found.jobs_left) == (2, 2)
    assert len({(row.train_flops, row.disk) for row in found.runs}) == 1
    assert [row.run.seed for row in found.runs] == [0, 1, 2, 3]
    assert [row.is_left for row in found.runs] == [False, True, True, True]
    alone = forecast(study_of(run), bench.results, NOWHERE)
    assert (alone.jobs, alone.jobs_left, alone.left) == (1, 0, ())


def test_a_run_that_will_be_skipped_costs_its_record_alone(
    make_spec: Callable[..., Spec], make_bench: Callable[..., Bench], here: Device
) -> None:
    spec = make_spec("nm", 0.7)
    assert spec.skip is not None
    found = forecast(study_of(spec.run), make_bench().results, here)
    assert found.counts == {"skipped": 1}
    (cost,) = found.runs
    assert (cost.train_flops, cost.executed_flops, cost.seconds, cost.disk.weights) == (0, 0, 0, 0)
    assert found.left == ()


def test_disk_is_what_the_run_leaves(make_spec: Callable[..., Spec], make_bench: Callable[..., Bench]) -> None:
    bench, spec = make_bench(), make_spec("rigl", snapshots=[10, 20])
    assert run_all([spec], bench) == 0
    folder, disk = bench.folder(spec.run), planned(spec.run, bench.results).disk
    sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    headers = 2000
    final = sizes["weights.safetensors"] + sizes["masks.safetensors"]
    assert 0 <= final - disk.weights < headers
    kept = sum(size for name, size in sizes.items() if "-step" in name)
    assert 0 <= kept - disk.snapshots < 2 * headers
    small = sizes["record.json"] + sizes[".record.json"] + sizes["curve.parquet"]
    assert disk.records == pytest.approx(small, rel=0.25)
    assert disk.total == disk.records + disk.weights + disk.snapshots


@pytest.mark.parametrize("method", ["dense", "rigl", "snfs", "deepr", "topkast", "dnw", "acdc", "str"])
def test_a_checkpoint_is_no_larger_than_foretold(
    method: str, spec_of: Callable[..., Spec], prepared: Callable[[Spec], train.Training], tmp_path: Path
) -> None:
    spec = spec_of(method)
    training = prepared(spec)
    for _ in range(3):
        train.take_batch(training)
    checkpoint.save(tmp_path / "one", 3, training.state_dict(), "digest")
    size = sum(path.stat().st_size for path in (tmp_path / "one").rglob("*") if path.is_file())
    foretold = planned(spec.run, tmp_path).checkpoint_bytes
    assert size <= foretold / 2 <= 2.5 * size


def test_a_corrupt_record_is_named(
    make_spec: Callable[..., Spec], make_bench: Callable[..., Bench], here: Device
) -> None:
    bench, run = make_bench(), make_spec("rigl").run
    other = replace(run, seed=7)
    bench.folder(other).mkdir(parents=True)
    for text in ("{", '{"status": "done"}'):
        (bench.folder(other) / "record.json").write_text(text)
        with pytest.raises(UserError, match=r"record.json is corrupt \(.*\); delete it and run again"):
            forecast(study_of(run), bench.results, here)


def test_hardware_of_two_names_is_asked_about(make_spec: Callable[..., Spec], make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    assert run_all([make_spec("rigl"), make_spec("rigl", seed=1)], bench) == 0
    path = bench.folder(make_spec("rigl", seed=1).run) / "record.json"
    record = json.loads(path.read_text())
    record["provenance"]["hardware"] = "Wonder 9000, 1 thread(s) of 2"
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"'thread' names several: say one of .*Wonder 9000"):
        forecast(study_of(make_spec("rigl", seed=2).run), bench.results, Device("cpu", "thread", 1))
    found = forecast(study_of(make_spec("rigl", seed=2).run), bench.results, Device("cpu", "Wonder", 1))
    assert found.unknown == ()


def test_hours_of_several_devices_are_theirs_together(
    make_spec: Callable[..., Spec], make_bench: Callable[..., Bench], here: Device
) -> None:
    """A record of two devices is one of this device's throughput, and no other hardware."""
    bench, done, left = make_bench(), make_spec("rigl").run, make_spec("rigl", seed=1).run
    assert run_all([make_spec("rigl")], bench) == 0
    path = bench.folder(done) / "record.json"
    record = json.loads(path.read_text())
    record["provenance"]["hardware"] = f"2 x {here.hardware}"
    path.write_text(json.dumps(record))
    took = sum(record["timing"][f"{part}_seconds"] for part in ("train", "evaluation", "checkpoint"))
    found = forecast(study_of(done, left), bench.results, here)
    assert [run.seconds for run in found.runs] == [pytest.approx(2 * took)] * 2
    assert found.throughputs.seen == (here.hardware,)


def test_a_whole_name_is_that_hardware_and_no_longer_one(
    make_spec: Callable[..., Spec], make_bench: Callable[..., Bench]
) -> None:
    bench = make_bench()
    specs = {seed: make_spec("rigl", seed=seed) for seed in range(3)}
    assert run_all([specs[0], specs[1]], bench) == 0
    for seed, name, seconds in ((0, "Wonder", 10.0), (1, "Wonder 9000", 1.0)):
        path = bench.folder(specs[seed].run) / "record.json"
        record = json.loads(path.read_text())
        record["provenance"]["hardware"] = name
        record["timing"] |= {"train_seconds": seconds, "evaluation_seconds": 0.0, "checkpoint_seconds": 0.0}
        path.write_text(json.dumps(record))
    found = forecast(study_of(specs[2].run), bench.results, Device("cpu", "Wonder", 1))
    assert found.runs[0].seconds == pytest.approx(10.0)


def test_a_command_is_charged_with_its_own_memory_alone() -> None:
    """This process holds torch, some 200 MB; what it starts begins with that, but for the small process in between."""
    command = [sys.executable, "-m", "pipeline.dry_run", sys.executable, "-S", "-c", "raise SystemExit(3)"]
    done = subprocess.run(command, capture_output=True, text=True)
    usage = Usage(**json.loads(done.stdout))
    assert done.returncode == 3
    assert 0 < usage.peak_bytes < 60e6
    assert usage.cpu_seconds > 0


# -- the command ----------------------------------------------------------------------------------------------------------

STUDY = """\
title: Mine
base:
  dataset: digits
  model: lenet300
  protocol: {steps: 40, batch_size: 16, learning_rate: {peak: 0.1}, evaluations: 2}
grid:
  - method: [static, rigl]
    sparsity: 0.9
seeds: 2
"""


@pytest.fixture
def ask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("mine", "other"):
        (tmp_path / f"{name}.yaml").write_text(STUDY)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rigl-bench", "plan", *map(str, arguments)])
        code: object = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return int(code or 0), said.out, said.err

    return call


def test_the_command_says_what_it_does_not_know(ask: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = ask("mine.yaml")
    assert code == 0
    assert "mine: 4 runs in 4 jobs: 4 left; 4 jobs left" in out
    assert "no throughput is known for digits-lenet300 (there is no record of them): FLOPs only" in out
    code, out, _ = ask("mine.yaml", "--json")
    (found,) = json.loads(out)
    assert (found["hours"], found["hours_left"], found["unknown"]) == (None, None, ["digits-lenet300"])
    assert found["train_flops"] == sum(row["train_flops"] for row in found["methods"]) > 0


def test_gpu_hours_of_a_machine_that_is_not_here(ask: Callable[..., tuple[int, str, str]]) -> None:
    _, out, _ = ask("mine.yaml", "--device", "cuda", "--flops-per-second", "1e9", "--json")
    (found,) = json.loads(out)
    assert found["unit"] == "GPU-hours"
    assert found["hours"] == pytest.approx(found["executed_flops"] / 1e9 / 3600)


def test_a_run_of_two_studies_is_counted_once(ask: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = ask("mine.yaml", "other.yaml")
    assert code == 0
    assert "together: 4 runs, 4 left" in out


def test_growth_leaves_the_study_as_it_is(
    ask: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that lies beside the Snakefile, whose folder is what the dry run links to."""
    suite = Path.cwd()
    (suite / "Snakefile").touch()
    (suite / "results").mkdir(exist_ok=True)
    before = (suite / "mine.yaml").read_text()
    monkeypatch.setattr("pipeline.dry_run.SUITE", suite)
    monkeypatch.setattr("pipeline.forecast_command.dry_run", lambda file, folder: Usage(1.0, 1.0, 1))
    code, out, err = ask("mine.yaml", "--scale", "seeds=1,3", "--json")
    assert code == 0, err
    assert [row["runs"] for row in json.loads(out)] == [2, 6]
    assert (suite / "mine.yaml").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mine.yaml", "--flops-per-second", "0"], "--flops-per-second is 0.0, it must be above 0"),
        (["mine.yaml", "--scale", "runs=many"], "--scale is 'runs=many', it must be runs=N,N or seeds=N,N"),
        (["mine.yaml", "--scale", "steps=3"], "--scale is 'steps=3', it must be runs=N,N or seeds=N,N"),
        (["mine.yaml", "other.yaml", "--scale", "seeds=3"], "--scale takes one study, these are mine.yaml, other.yaml"),
        (["nobody"], "unknown study 'nobody'; there are"),
    ],
)
def test_what_cannot_be_planned_is_said(
    ask: Callable[..., tuple[int, str, str]], arguments: list[str], said: str
) -> None:
    code, _, err = ask(*arguments)
    assert code == 2
    assert said in err


def test_totals_are_sums(make_spec: Callable[..., Spec], make_bench: Callable[..., Bench]) -> None:
    runs = [make_spec(method).run for method in ("static", "rigl")]
    found: Forecast = forecast(study_of(*runs), make_bench().results, NOWHERE)
    assert total_disk(found.runs).total == sum(row.disk_bytes for row in found.rows())
    assert [row.method for row in found.rows()] == ["static", "rigl"]

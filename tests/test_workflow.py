"""The workflow as a user meets it: in a fresh copy of the repository, through Snakemake, killed and started again."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
SMALL = "tests/studies/small.yaml"
TRAINING_ONLY = ("--omit-from", "audit", "costs", "paper_of", "claims_of")
"""These depend on all code, so that every change here would spend a minute on them."""
METHOD = '''"""Swap: drop the smallest weights, grow where the weight's own gradient is smallest. Made up for a test."""

from torch import Tensor

from sparse_methods.method import Layer, TrainingCost
from sparse_methods.methods.set import SET


class Swap(SET):
    """A method that nobody should use."""

    name, label = "swap", "Swap"
    citation, year, family = "evci2020rigl", 2020, "sparse-to-sparse"
    dense_parts = ("gradient, at topology updates",)
    cannot = ("anything useful",)

    def needs_dense_gradient(self, step: int, update_due: bool) -> bool:
        return update_due

    def grow_score(self, layer: Layer) -> Tensor:
        return -layer.gradient.abs()

    def train_flops(self, cost: TrainingCost) -> float:
        interval = cost.schedule.update_every
        return (3 * cost.sparse * (interval - 1) + 2 * cost.sparse + cost.dense) / interval

    def peak_parameters(self, sparse: int, dense: int) -> int:
        return sparse + dense
'''
STUDY = f"""
extends: {SMALL.removeprefix("tests/studies/")}
grid:
  - method: [swap, static]
    sparsity: 0.9
"""
DEADLY = METHOD.replace("return -layer.gradient.abs()", "os.kill(os.getpid(), signal.SIGKILL)").replace(
    "swap", "deadly"
)
"""Its first topology update is the end of the process, as where memory runs out."""
DEADLY = f"import os\nimport signal\n{DEADLY}"
LARGE = ("imagenet-resnet50", "imagenet-mobilenet", "wikitext103")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone of the working tree would hold: files that git tracks or would track, and nothing that was built."""
    target = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def environment(checkout: Path) -> dict[str, str]:
    """The copy's own packages go before the installed ones."""
    return {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}


def python(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=checkout, env=environment(checkout), capture_output=True, text=True
    )


def reproduce(checkout: Path, study: str = SMALL) -> str:
    done = python(checkout, "pipeline.reproduce", "--configfile", study, "--cores", "2", *TRAINING_ONLY)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def records(checkout: Path) -> dict[str, int]:
    """Records by path, with their time of writing."""
    return {str(path): path.stat().st_mtime_ns for path in (checkout / "results/runs").rglob("record.json")}


def test_committed_records_rebuild_without_training(checkout: Path) -> None:
    planned = python(checkout, "snakemake", "figures", "tables", "leaderboard", "claims", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    rules = set(re.findall(r"^(\S+) +\d+$", planned.stdout, flags=re.MULTILINE))
    assert {"studies_of_reference", "paper_of", "claims_of", "leaderboard_of"} <= rules
    assert not {rule for rule in rules if rule.startswith(("train_", "data_"))}


def test_costs_and_the_audit_need_no_records(checkout: Path) -> None:
    planned = python(checkout, "snakemake", "flops", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert set(re.findall(r"^(\S+) +\d+$", planned.stdout, flags=re.MULTILINE)) == {"audit", "costs", "flops", "total"}
    everything = python(checkout, "snakemake", "--configfile", SMALL, "--dry-run")
    assert {"audit", "costs"} <= set(re.findall(r"^(\S+) +\d+$", everything.stdout, flags=re.MULTILINE))


def test_an_unknown_study_is_named(checkout: Path) -> None:
    (checkout / "broken.yaml").write_text("extends: quick\nbase:\n  protocol.stepz: 3\n")
    done = python(checkout, "snakemake", "--configfile", "broken.yaml", "--dry-run")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "broken.yaml:3: protocol.stepz: unknown key; there are steps, batch_size" in done.stderr
    (checkout / "broken.yaml").unlink()


def test_jobs_of_one_run_are_one_rule(checkout: Path) -> None:
    (checkout / "alone.yaml").write_text(f"extends: {SMALL}\nruns_per_job: 1\n")
    planned = python(checkout, "snakemake", "train", "--configfile", "alone.yaml", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "train_run 14" in re.sub(" +", " ", planned.stdout)
    target = "results/runs/digits-lenet300/nobody/s90/seed0-00000000/record.json"
    unknown = python(checkout, "snakemake", target, "--configfile", "alone.yaml", "--dry-run")
    assert "alone has no run 'digits-lenet300/nobody/s90/seed0-00000000'" in unknown.stdout + unknown.stderr
    (checkout / "alone.yaml").unlink()


def test_a_plan_measures_dry_runs(checkout: Path) -> None:
    done = python(checkout, "pipeline.cli", "plan", SMALL, "--scale", "seeds=1,3", "--json")
    assert done.returncode == 0, done.stderr
    one, three = json.loads(done.stdout)
    assert three["runs"] == 3 * one["runs"]
    assert three["train_flops"] == 3 * one["train_flops"]
    assert min(one["wall_seconds"], one["cpu_seconds"], one["peak_bytes"]) > 0


def test_a_run_that_is_killed_in_every_attempt_is_a_record_in_the_end(checkout: Path) -> None:
    """Each attempt is a call of the job; one call more records what none of them could, and trains what stands behind it."""
    method, study = checkout / "sparse_methods/methods/deadly.py", checkout / "tests/studies/deadly.yaml"
    method.write_text(DEADLY)
    study.write_text(STUDY.replace("swap", "deadly") + "seeds: 1\nruns_per_job: 2\n")
    done = python(checkout, "snakemake", "train", "--configfile", str(study), "--cores", "2", "--config", "attempts=2")
    method.unlink(), study.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("Trying to restart job") == 2
    status = {Path(path).parts[-4]: json.loads(Path(path).read_text())["status"] for path in records(checkout)}
    assert status["static"] == "done"
    assert status["deadly"].startswith("failed: ")
    assert "killed" in status["deadly"]
    shutil.rmtree(checkout / "results/runs")


def test_processes_that_share_a_run(checkout: Path) -> None:
    study = checkout / "tests/studies/shared.yaml"
    study.write_text(f"extends: {Path(SMALL).name}\ngrid: [{{method: rigl, sparsity: 0.9}}]\nadd: []\nseeds: 1\n")
    settings = ("--config", "processes=2", "device=cpu")
    done = python(checkout, "snakemake", "train", "--configfile", str(study), "--cores", "2", *settings)
    study.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = (json.loads((checkout / path).read_text()) for path in records(checkout))
    assert record["status"] == "done"
    assert record["provenance"]["hardware"].startswith("2 x ")
    shutil.rmtree(checkout / "results/runs")


@pytest.mark.parametrize("name", LARGE)
def test_studies_of_clusters_are_planned(checkout: Path, name: str) -> None:
    """Without their data: a plan of Snakemake, and what it costs."""
    planned = python(checkout, "snakemake", "--configfile", f"pipeline/studies/{name}.yaml", "--dry-run")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    jobs = dict(re.findall(r"^(\S+) +(\d+)$", planned.stdout, flags=re.MULTILINE))
    (costs,) = json.loads(python(checkout, "pipeline.cli", "plan", name, "--json").stdout)
    assert int(jobs["train_run"]) == costs["runs"] > 0
    assert costs["train_flops"] > 1e17


def test_kill_resume_and_reruns(checkout: Path) -> None:
    """Killed in mid-run, `make reproduce` goes on by itself; done, it does nothing; a record that was cleared is asked for
    anew, and changed code retrains its own runs."""
    command = [sys.executable, "-m", "pipeline.reproduce", "--configfile", SMALL, "--cores", "2", *TRAINING_ONLY]
    workflow = subprocess.Popen(
        command, cwd=checkout, env=environment(checkout), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not records(checkout):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = records(checkout)
    os.kill(workflow.pid, signal.SIGKILL)
    workflow.wait()
    said = reproduce(checkout)
    assert "releasing the lock of a workflow that was killed" in said
    after = records(checkout)
    assert len(after) == 14
    assert all((checkout / path).exists() for path in before)
    assert {json.loads(Path(path).read_text())["status"] for path in after} == {"done"}
    report = (checkout / "results/report.html").read_text()
    assert "Leaderboard" in report

    rigl = checkout / "sparse_methods/methods/rigl.py"
    rigl.write_text(rigl.read_text() + "\n# A comment changes no result.\n")
    assert "Nothing to be done" in reproduce(checkout)
    assert records(checkout) == after

    first, another = sorted((path for path in after if "/rigl/" in path), key=lambda path: path.split("/seed")[-1])[:2]
    for path in (first, another):
        cleared = checkout / path
        aside = cleared.rename(checkout / "aside.json")
        for target in ([], ["train"]):
            planned = python(checkout, "snakemake", *target, "--configfile", SMALL, "--dry-run", *TRAINING_ONLY)
            assert "train_rigl" in planned.stdout, planned.stdout + planned.stderr
        aside.rename(cleared)

    rigl.write_text(rigl.read_text().replace("return growth.SCORES", "return 2 * growth.SCORES"))
    reproduce(checkout)
    changed = {path for path, moment in records(checkout).items() if after[path] != moment}
    assert changed == {path for path in after if "/rigl/" in path}


def test_a_method_is_one_file(checkout: Path) -> None:
    """A file dropped in and a study that names it: in the list, the runs, the figures' data and the leaderboard."""
    (checkout / "sparse_methods/methods/swap.py").write_text(METHOD)
    (checkout / "tests/studies/swap.yaml").write_text(STUDY)
    listed = python(checkout, "pipeline.cli", "methods", "--json")
    assert "swap" in [row["name"] for row in json.loads(listed.stdout)]
    reproduce(checkout, "tests/studies/swap.yaml")
    for data in (
        "figures/runs/swap/accuracy.csv",
        "figures/runs/swap/cost.csv",
        "leaderboard/runs/leaderboard.csv",
    ):
        table = pd.read_csv(checkout / "results" / data)
        assert "Swap" in table.to_csv(), data
    assert "Swap" in (checkout / "results/leaderboard/runs/index.html").read_text()
    battery = python(
        checkout,
        "pytest",
        "-q",
        "-n",
        "0",
        "-k",
        "swap",
        "tests/sparse_methods/test_contract.py",
        "tests/pipeline/test_battery.py",
    )
    assert battery.returncode == 0, battery.stdout
    assert " passed" in battery.stdout

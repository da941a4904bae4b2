"""A study on a Slurm cluster of one node and two GPUs: jobs cancelled, the coordinator killed, and the same tables as at home.

Needs a cluster of its own, which `.ci/slurm` brings up. Its GPUs are device files that compute nothing: what is tested is who
gets which; training itself runs on the CPU.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from pipeline.run import Run
from pipeline.study import Study, load_study
from pipeline.worker import CHECKPOINTS, RECORD

ROOT = Path(__file__).parents[2]
STUDY = "tests/studies/slurm.yaml"
WANTED = ["study_of_runs", "--configfile", STUDY, "--config", "checkpoint_seconds=0.3"]
# The profile as it is, but for what would be too much for a small machine, or too slow for a test.
PROFILE = ["--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "6"]
PROFILE += ["--default-resources", "gpu=1", "mem_mb=1000 * min(attempt, 2)", "runtime=5"]
PATIENCE_SECONDS = 900

pytestmark = pytest.mark.skipif("RIGL_BENCH_SLURM" not in os.environ, reason="no cluster: .ci/slurm brings one up")


@dataclass
class Sighting:
    """A training process: the job of the study and of Slurm that it belongs to, its GPU, when it began and was last seen."""

    name: str
    slurm_job: str
    devices: str
    began: float
    seen: float


class Watch(threading.Thread):
    """Looks at the training processes of a folder, several times a second."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.sightings: dict[int, Sighting] = {}
        self.now: list[Sighting] = []
        self._folder, self._stopped = str(folder), threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(0.2):
            self.now = [found for process in psutil.process_iter() if (found := self._look(process))]

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def _look(self, process: psutil.Process) -> Sighting | None:
        try:
            command = process.cmdline()
            if "pipeline.worker" not in command or process.cwd() != self._folder:
                return None
            seen = self.sightings.get(process.pid)
            if seen is None:
                of, name = process.environ(), command[command.index("--job") + 1]
                seen = Sighting(name, of["SLURM_JOB_ID"], of["CUDA_VISIBLE_DEVICES"], process.create_time(), 0)
                self.sightings[process.pid] = seen
            seen.seen = time.time()
            return seen
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            return None


@dataclass
class Story:
    """What was done to a workflow, and what came of it."""

    study: Study
    cluster: Path
    home: Path
    sightings: list[Sighting]
    cancelled: tuple[Sighting, Run]
    """The process that was cancelled, and the run in whose middle it was."""
    at_the_kill: dict[str, Any]
    """The records that there were when the coordinator was killed."""
    slurm_jobs: dict[str, tuple[str, str]]
    """State and rule of every job that Slurm was given."""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    cluster, home = tmp_path_factory.mktemp("cluster").resolve(), tmp_path_factory.mktemp("home").resolve()
    for folder in (cluster, home):
        copy_working_tree(folder)
    study = load_study(ROOT / STUDY)
    watch = Watch(cluster)
    watch.start()
    begun = []

    def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
        begun.append(snakemake(folder, *WANTED, *arguments))
        return begun[-1]

    try:
        first = start(cluster, *PROFILE)
        cancelled = wait_for(lambda: in_mid_run(watch, study, cluster), first, cluster)
        subprocess.run(["scancel", cancelled[0].slurm_job], check=True)
        wait_for(lambda: "Trying to restart job" in said(cluster), first, cluster)
        wait_for(lambda: records(cluster) and watch.now, first, cluster)
        first.kill()
        first.wait()
        at_the_kill = records(cluster)
        for arguments in ([*PROFILE, "--unlock"], PROFILE):
            assert start(cluster, *arguments).wait(PATIENCE_SECONDS) == 0, said(cluster)
        slurm_jobs = known_to_slurm()
        assert start(home, "--cores", "2").wait(PATIENCE_SECONDS) == 0, said(home)
        yield Story(study, cluster, home, list(watch.sightings.values()), cancelled, at_the_kill, slurm_jobs)
    finally:
        watch.stop()
        for workflow in begun:
            workflow.kill()
        subprocess.run(["scancel", "--user", "root"], check=True)
        for folder in (cluster, home):
            shutil.rmtree(folder, ignore_errors=True)


def copy_working_tree(target: Path) -> None:
    """What a clone would hold: files that git tracks or would track, and nothing that was built."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def snakemake(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    with open(folder / "said.txt", "a") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )


def said(folder: Path) -> str:
    return (folder / "said.txt").read_text()


def wait_for(found: Callable[[], Any], workflow: subprocess.Popen[bytes], folder: Path) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (result := found()):
        assert workflow.poll() is None, f"the workflow ended before what was waited for:\n{said(folder)}"
        assert time.monotonic() < deadline, f"waited too long:\n{said(folder)}"
        time.sleep(0.05)
    return result


def in_mid_run(watch: Watch, study: Study, folder: Path) -> tuple[Sighting, Run] | None:
    """A process, and the run of its that has left a checkpoint and no record."""
    runs = {job.name: job.runs for job in study.jobs()}
    for sighting in watch.now:
        for run in runs[sighting.name]:
            left = folder / "results/runs" / run.path
            if list((left / CHECKPOINTS).glob("[0-9]*")) and not (left / RECORD).exists():
                return sighting, run
    return None


def records(folder: Path) -> dict[str, Any]:
    """Records by the path of their run."""
    root = folder / "results/runs"
    return {str(path.parent.relative_to(root)): json.loads(path.read_text()) for path in root.rglob(RECORD)}


def known_to_slurm() -> dict[str, tuple[str, str]]:
    """State and comment, in which the executor writes the rule, of each job, also of those that have ended."""
    command = ["squeue", "--noheader", "--states", "all", "--format", "%i %T %k"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {number: (state, rule) for number, state, rule in (line.split(maxsplit=2) for line in listed.splitlines())}


def test_training_alone_went_to_the_cluster_and_each_job_had_one_gpu(story: Story) -> None:
    assert {sighting.name for sighting in story.sightings} == {job.name for job in story.study.jobs()}
    assert {sighting.devices for sighting in story.sightings} == {"0", "1"}
    assert all(rule.startswith("rule_train_") for _, rule in story.slurm_jobs.values()), story.slurm_jobs


def test_two_jobs_never_share_a_gpu(story: Story) -> None:
    overlapping = [
        (one, other)
        for one, other in combinations(story.sightings, 2)
        if one.began < other.seen and other.began < one.seen
    ]
    assert overlapping, "nothing ran side by side"
    assert all(one.devices != other.devices for one, other in overlapping), overlapping


def test_a_cancelled_job_is_tried_again_and_goes_on_from_its_checkpoint(story: Story) -> None:
    process, run = story.cancelled
    assert story.slurm_jobs[process.slurm_job][0] == "CANCELLED"
    record = records(story.cluster)[run.path]
    assert record["status"] == "done"
    assert record["timing"]["resumes"] == 1
    assert len({sighting.slurm_job for sighting in story.sightings if sighting.name == process.name}) > 1


def test_a_killed_coordinator_loses_no_record_and_repeats_none(story: Story) -> None:
    """Its jobs went on without it; the next one's wait for them at the runs' locks, and find their records."""
    assert {state for state, _ in story.slurm_jobs.values()} <= {"COMPLETED", "COMPLETING", "CANCELLED"}, (
        "jobs are left"
    )
    left = records(story.cluster)
    assert left.keys() == {run.path for run in story.study.runs}
    assert story.at_the_kill
    for run, record in story.at_the_kill.items():
        assert left[run] == record, f"{run} was trained again"
    assert [run for run, record in left.items() if record["timing"]["resumes"]] == [story.cancelled[1].path]


def test_records_and_tables_are_those_of_a_local_run(story: Story) -> None:
    here, there = records(story.home), records(story.cluster)
    assert here.keys() == there.keys()
    for run in here:
        for record in (here[run], there[run]):
            del record["timing"]
        assert here[run] == there[run]
    made = sorted(path.relative_to(story.home) for path in (story.home / "results").glob("*/runs/slurm/*.csv"))
    assert {path.name for path in made} == {"main.csv", "claims.csv", "accuracy.csv", "cost.csv"}
    for name in made:
        tables = [pd.read_csv(folder / name) for folder in (story.home, story.cluster)]
        one, other = (table.drop(columns=[c for c in table if c.endswith("_seconds")]) for table in tables)
        pd.testing.assert_frame_equal(one, other, check_exact=True)

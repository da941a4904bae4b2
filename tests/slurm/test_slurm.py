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
from collections.abc import Callable, Iterator, Mapping, Sequence
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
PROFILE = ["--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "2"]
PROFILE += ["--default-resources", "gpu=1", "mem_mb=1000 * min(attempt, 2)", "runtime=5"]
# A study of one run; of --default-resources the last counts.
SINGLE = ["train", "--configfile", "single.yaml", "--config", "attempts=1", *PROFILE]
SINGLE_STUDY = "extends: tests/studies/small.yaml\ngrid: [{method: rigl, sparsity: 0.9}]\nadd: []\nseeds: 1\n"
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
class SlurmJob:
    """What Slurm says of a job: state, memory that it was given, and comment, where the executor writes the rule."""

    state: str
    memory: str
    rule: str


@dataclass
class Story:
    """What was done to a workflow, and what came of it."""

    study: Study
    cluster: Path
    home: Path
    single: Path
    """Where SINGLE was refused the three GPUs that it asked for, with this exit code and these records."""
    refused: int
    of_the_refused: dict[str, Any]
    with_parts: list[Sighting]
    """Processes of the same study that asked for parts of a GPU, and what came of them."""
    of_parts: dict[str, Any]
    sightings: list[Sighting]
    cancelled: tuple[Sighting, Run]
    """The process that was cancelled, and the run in whose middle it was."""
    at_the_kill: dict[str, Any]
    """The records that there were when the coordinator was killed."""
    slurm_jobs: dict[str, SlurmJob]
    """Every job that Slurm was given from ``cluster``, by number."""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folders = cluster, home, single = [
        tmp_path_factory.mktemp(name).resolve() for name in ("cluster", "home", "single")
    ]
    for folder in folders:
        copy_working_tree(folder)
    (single / "single.yaml").write_text(SINGLE_STUDY)
    study = load_study(ROOT / STUDY)
    watch, watch_single = Watch(cluster), Watch(single)
    watch.start(), watch_single.start()
    begun = []

    def start(folder: Path, *arguments: str, wanted: Sequence[str] = WANTED) -> subprocess.Popen[bytes]:
        begun.append(snakemake(folder, *wanted, *arguments))
        return begun[-1]

    try:
        # What needs nothing of the cluster's GPUs goes on meanwhile.
        first = start(cluster, *PROFILE)
        refused = start(single, "--default-resources", "gpu=3", "mem_mb=1000", "runtime=5", wanted=SINGLE)
        local = start(home, "--cores", "1")
        cancelled = wait_for(lambda: in_mid_run(watch, study, cluster), first, cluster)
        subprocess.run(["scancel", cancelled[0].slurm_job], check=True)
        wait_for(lambda: len(tries(cancelled[0].slurm_job, known_to_slurm(cluster))) > 1, first, cluster)
        wait_for(lambda: records(cluster) and watch.now, first, cluster)
        first.kill()
        first.wait()
        at_the_kill = records(cluster)
        refusal, of_the_refused = refused.wait(PATIENCE_SECONDS), records(single)
        parts = start(single, "--default-resources", "gres=shard:2", "mem_mb=1000", "runtime=5", wanted=SINGLE)
        for arguments in ([*PROFILE, "--unlock"], PROFILE):
            assert start(cluster, *arguments).wait(PATIENCE_SECONDS) == 0, said(cluster)
        slurm_jobs = known_to_slurm(cluster)
        assert parts.wait(PATIENCE_SECONDS) == 0, said(single)
        assert local.wait(PATIENCE_SECONDS) == 0, said(home)
        sightings, with_parts = ([*one.sightings.values()] for one in (watch, watch_single))
        yield Story(
            study,
            cluster,
            home,
            single,
            refusal,
            of_the_refused,
            with_parts,
            records(single),
            sightings,
            cancelled,
            at_the_kill,
            slurm_jobs,
        )
    finally:
        watch.stop(), watch_single.stop()
        for workflow in begun:
            workflow.kill()
        subprocess.run(["scancel", "--user", "root"], check=True)
        for folder in folders:
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


def known_to_slurm(folder: Path) -> dict[str, SlurmJob]:
    """The jobs that were submitted in ``folder`` by number, also those that have ended."""
    command = ["squeue", "--noheader", "--states", "all", "--format", "%Z %i %T %m %k"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = (line.split(maxsplit=4) for line in listed.splitlines())
    return {number: SlurmJob(*about) for place, number, *about in lines if place == str(folder)}


def said_by(number: str, folder: Path) -> str:
    """What a job of Slurm printed."""
    return "\n".join(path.read_text() for path in (folder / ".snakemake/slurm_logs").rglob(f"{number}.log"))


def tries(number: str, jobs: Mapping[str, SlurmJob]) -> list[SlurmJob]:
    """The jobs of the same rule."""
    return [job for job in jobs.values() if job.rule == jobs[number].rule]


def test_training_alone_went_to_the_cluster_and_each_job_had_one_gpu(story: Story) -> None:
    assert {sighting.name for sighting in story.sightings} == {job.name for job in story.study.jobs()}
    assert {sighting.devices for sighting in story.sightings} == {"0", "1"}
    assert all(job.rule.startswith("rule_train_") for job in story.slurm_jobs.values()), story.slurm_jobs


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
    assert story.slurm_jobs[process.slurm_job].state == "CANCELLED"
    record = records(story.cluster)[run.path]
    assert record["status"] == "done"
    assert record["timing"]["resumes"] == 1
    given = {job.memory for job in tries(process.slurm_job, story.slurm_jobs)}
    assert given == {"1000M", "2000M"}, "an attempt after a kill is given more"


def test_a_killed_coordinator_loses_no_record_and_repeats_none(story: Story) -> None:
    """Its jobs went on without it; the next one's wait for them at the runs' locks, and find their records."""
    ended = {
        number for number, job in story.slurm_jobs.items() if job.state in ("COMPLETED", "COMPLETING", "CANCELLED")
    }
    left = story.slurm_jobs.keys() - ended
    assert not left, [(story.slurm_jobs[number], said_by(number, story.cluster)) for number in left]
    found = records(story.cluster)
    assert found.keys() == {run.path for run in story.study.runs}
    assert story.at_the_kill
    for run, record in story.at_the_kill.items():
        assert found[run] == record, f"{run} was trained again"
    assert [run for run, record in found.items() if record["timing"]["resumes"]] == [story.cancelled[1].path]


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


def test_a_resource_that_the_cluster_lacks_is_named(story: Story) -> None:
    """By sbatch, in what Snakemake prints; nothing ran, so there is no record."""
    assert story.refused != 0
    assert "Requested node configuration is not available" in said(story.single)
    assert not story.of_the_refused


def test_parts_of_a_gpu(story: Story) -> None:
    assert [record["status"] for record in story.of_parts.values()] == ["done"]
    (seen,) = story.with_parts
    assert seen.devices in ("0", "1")

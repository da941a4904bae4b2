"""Executes the runs of one job in this process: locks, attempts, checkpoints, records.

Started by the workflow as ``python -m pipeline.worker``; ``rigl-bench run`` uses the same functions. What a run leaves
below its folder besides ``record.json`` is not declared to the workflow and so survives a failed job: a checkpoint, and
``.record.json``, from which a finished run's record is put back in milliseconds.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import torch

from pipeline import attempts, memory, outcome, train
from pipeline.checkpoint import CheckpointError
from pipeline.data.sources import cache_path
from pipeline.data.tensors import AnySet, DataError, digest_of
from pipeline.data.tensors import load as load_data
from pipeline.lease import leased_gpu, locked
from pipeline.origin import OriginError, found_architecture, origin_of
from pipeline.plan import Spec, read_plan, resolve
from pipeline.provenance import source_digest
from pipeline.ranks import ALONE, Ranks, RanksError, asked_for, together
from pipeline.record import (
    COMPARABILITY_VERSION,
    MASKS,
    RECORD,
    SCHEMA_VERSION,
    WEIGHTS,
    Record,
    snapshot_name,
    write_bytes,
    write_json,
)
from pipeline.run import Run
from sparse_methods import CannotError

KEPT, CHECKPOINTS, ATTEMPTS, SOURCE = ".record.json", "checkpoints", "attempts", ".source"
Report = Callable[[Run, int, int], None]
USER_ERROR, RETRY = 2, 1
STARTED_VARIABLE = "RIGL_BENCH_STARTED"
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


class UserError(Exception):
    """Something that the user can put right; the message of a line or two says how."""


USER_ERRORS = (UserError, OriginError, CheckpointError, DataError, RanksError)


@dataclass(frozen=True)
class Bench:
    """Where and how this process trains."""

    results: Path
    """Holds runs/ and cache/."""
    device: torch.device
    attempt: int = 1
    attempts: int = 1
    """A failure is tried again while attempt < attempts; the last attempt records it. One that was killed cannot do that: what
    was, in that last attempt, is recorded by a call with attempt = attempts + 1."""
    checkpoint_seconds: float = 30.0
    ranks: Ranks = ALONE
    """The processes that share each run."""
    cuda_graph: bool = False
    """Replay ordinary steps as one CUDA graph."""

    def folder(self, run: Run) -> Path:
        """Where the run's record and files are."""
        return self.results / "runs" / run.path

    def cache(self, run: Run) -> Path:
        """The tensors of the run's data set."""
        return cache_path(run.dataset, self.results / "cache")


def choose_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one; ``cuda`` is this process's own of the visible ones, where ``torchrun`` started
    several. Raises UserError for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and asked_for() and torch.cuda.device_count() > 1:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device {name!r} cannot be used: {str(error).splitlines()[0]}; use auto, cpu or cuda"
        ) from error
    return device


def run_all(specs: Iterable[Spec], bench: Bench, report: Report = lambda run, step, steps: None) -> int:
    """Run every specification; one that fails does not keep the others from finishing. Returns the exit code."""
    data: dict[str, AnySet] = {}
    worst = 0
    specs = list(specs)
    if bench.attempt == 1 and bench.ranks.is_first:
        for spec in specs:
            attempts.forget(bench.folder(spec.run) / ATTEMPTS)
    for spec in specs:
        try:
            with locked(bench.folder(spec.run) / ".lock", bench.ranks.from_first):
                code = run_one(spec, bench, data, report)
        except USER_ERRORS as error:
            print(f"{spec.run.path}: {error}", file=sys.stderr)
            code = USER_ERROR
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise
            print(
                f"{error.filename or bench.folder(spec.run)}: {error.strerror}; put that right and run again",
                file=sys.stderr,
            )
            code = USER_ERROR
        worst = max(worst, code)
        if code and bench.ranks.count > 1:
            break  # The other ranks may be in the midst of a run; this one's end is how torchrun ends them.
    return worst


def run_one(spec: Spec, bench: Bench, data: dict[str, AnySet], report: Report) -> int:
    """Bring one run to its record, whatever is there already. The caller holds the run's lock."""
    folder, ranks = bench.folder(spec.run), bench.ranks
    kept = ranks.from_first(lambda: kept_record(spec.run, bench))
    if kept is not None:
        if ranks.is_first:
            write_json(folder / RECORD, kept)
        return 0
    code, marks = 0, folder / ATTEMPTS
    lost = ranks.from_first(lambda: attempts.killed(marks, bench.attempts) if bench.attempt > bench.attempts else None)
    try:
        if ranks.is_first:
            attempts.begin(marks, bench.attempt)
        record = _given_up(spec, bench, lost) if lost else _attempt(spec, bench, data, report)
    except USER_ERRORS:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        summary = _noted(error, spec, bench)
        if bench.attempt < bench.attempts or not ranks.is_first:
            return RETRY
        record = outcome.not_trained(spec, f"failed: {summary}", bench.device)
        code = RETRY if ranks.count > 1 else 0  # the other ranks may be elsewhere: this job ends, the next goes on
    finally:
        if ranks.is_first:
            attempts.end(marks, bench.attempt)
    if not ranks.is_first:
        return code
    for name in (KEPT, RECORD):
        write_json(folder / name, asdict(record))
    if record.result is not None:  # after a failure the checkpoint is what `rigl-bench retry` goes on from
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return code


def _noted(error: Exception, spec: Spec, bench: Bench) -> str:
    """Keep the trace of the exception that is being handled in the attempt's log, and say in a line what happened."""
    rank = "" if bench.ranks.is_first else f"-rank{bench.ranks.index}"
    log = bench.folder(spec.run) / ATTEMPTS / f"attempt-{bench.attempt}{rank}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(traceback.format_exc())
    summary = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
    if isinstance(error, torch.OutOfMemoryError):  # whose first line has the sizes
        summary += " A smaller protocol.microbatch needs less."
    print(
        f"{spec.run.path}: attempt {bench.attempt} of {bench.attempts} failed: {summary} (see {log})", file=sys.stderr
    )
    return summary


def kept_record(run: Run, bench: Bench) -> dict[str, Any] | None:
    """The record that this run left, if the same code, data and comparability version made it."""
    folder = bench.folder(run)
    try:
        record = json.loads((folder / KEPT).read_text())
        current = (
            record["run"] == run.path
            and record["schema_version"] == SCHEMA_VERSION
            and record["comparability_version"] == COMPARABILITY_VERSION
            and record["provenance"]["source_digest"] == source_digest(run)
            and record["provenance"]["data_digest"] in (None, digest_of(bench.cache(run)))
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / KEPT} is corrupt ({error}); delete it and run again") from error
    kept = [snapshot_name(run.scaled(step), name) for step in run.snapshots for name in (WEIGHTS, MASKS)]
    whole = all((folder / name).exists() for name in kept)
    return record if current and (whole or record["status"] != "done") else None


def _given_up(spec: Spec, bench: Bench, lost: str) -> Record:
    reason = attempts.error_of(bench.folder(spec.run) / ATTEMPTS, bench.attempts) or (
        f"killed in attempt {bench.attempts} of {bench.attempts}, {lost}: out of memory, out of time, or cancelled"
    )
    print(f"{spec.run.path}: {reason}", file=sys.stderr)
    return outcome.not_trained(spec, f"failed: {reason}", bench.device)


def _attempt(spec: Spec, bench: Bench, data: dict[str, AnySet], report: Report) -> Record:
    if spec.skip is not None:
        return outcome.not_trained(spec, f"skipped: {spec.skip}", bench.device)
    run, folder, runs = spec.run, bench.folder(spec.run), bench.results / "runs"
    if run.finds_its_network:
        spec = resolve(run, spec.input_shape, spec.classes, found_architecture(run, runs))
    if run.dataset not in data:
        data.clear()
        data[run.dataset] = load_data(bench.cache(run)).to(bench.device)
    first = bench.ranks.is_first
    data_digest = digest_of(bench.cache(run))
    _configure(bench.device, run.protocol.deterministic)
    # A checkpoint beyond a step that is to be kept cannot give its weights any more.
    stamp = [source_digest(run), data_digest, COMPARABILITY_VERSION, *run.snapshots]
    if first:
        _discard_other_source(folder, run, " ".join(map(str, stamp)))
    memory.reset_peak(bench.device)
    try:
        training = train.prepare(spec, data[run.dataset], origin_of(run, runs), bench.ranks, bench.cuda_graph)
        train.train(
            training,
            folder / CHECKPOINTS,
            bench.checkpoint_seconds,
            report=lambda step, steps: report(run, step, steps) if first else None,
            snapshot=lambda: outcome.write_snapshot(training, folder) if first else None,
        )
    except CannotError as error:
        return outcome.not_trained(spec, f"skipped: {error}", bench.device)
    record = outcome.trained(training, bench.device, data_digest)
    if first:
        outcome.write_files(training, folder)
    return record


def _discard_other_source(folder: Path, run: Run, source: str) -> None:
    """A checkpoint that other code, or other data, led to is worth nothing: start again, and say so."""
    stamp = folder / SOURCE
    if stamp.exists() and stamp.read_text() == source:
        return
    # Without a stamp the checkpoint is nobody's: its configuration digest decides, when it is loaded.
    if stamp.exists() and (folder / CHECKPOINTS).exists():
        print(f"{run.path}: its checkpoint comes from other code or data and is discarded", file=sys.stderr)
        shutil.rmtree(folder / CHECKPOINTS)
    write_bytes(stamp, source.encode())


def _configure(device: torch.device, deterministic: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.use_deterministic_algorithms(deterministic and device.type == "cuda")
    torch.backends.cudnn.benchmark = not deterministic


class Progress:
    """A line now and then: this run's step, the whole study's share, and the time that is left.

    ``started`` is when the workflow began, in seconds since the epoch; what was done before does not count for the pace.
    """

    def __init__(
        self, runs: Sequence[Run], bench: Bench, stream: TextIO, started: float, every_seconds: float = 10.0
    ) -> None:
        self._records = [bench.folder(run) / RECORD for run in runs]
        self._stream, self._started, self._every, self._last = stream, started, every_seconds, time.time()

    def __call__(self, run: Run, step: int, steps: int) -> None:
        """Hear of a point of a run's curve; print a line if the last one is old enough."""
        now = time.time()
        if now - self._last < self._every:
            return
        self._last = now
        made = [path.stat().st_mtime for path in self._records if path.exists()]
        share = f"{len(made)} of {len(self._records)} runs done ({len(made) / len(self._records):.0%})"
        recent = sum(moment >= self._started for moment in made)
        if recent:
            seconds = (now - self._started) / recent * (len(self._records) - len(made))
            share += f", about {seconds / 60:.1f} minutes left"
        print(f"{run.path}: step {step} of {steps}; {share}", file=self._stream, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of a job; prints to the log that the workflow redirects. Exit code 2 is for the user to put right."""
    parser = argparse.ArgumentParser(description="Train the runs of one job of a study.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--study", help="a study's name, or the path of a .yaml file")
    source.add_argument("--plan", type=Path, help="what `rigl-bench resolve` wrote, for a machine that has torch alone")
    parser.add_argument("--job", required=True, help="a job of the study")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--attempt", type=int, default=1)
    parser.add_argument("--attempts", type=int, default=1)
    parser.add_argument("--checkpoint-seconds", type=float, default=30.0)
    parser.add_argument("--cuda-graph", action="store_true", help="replay ordinary steps as one CUDA graph")
    parser.add_argument("--gpu-slots", type=int, default=1, help="runs that may share a GPU")
    parser.add_argument("--progress-fd", type=int, default=1, help="file descriptor for progress lines")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        with leased_gpu(options.device, options.results / "leases", options.gpu_slots):
            return _run_job(options)
    except (*USER_ERRORS, ValueError) as error:
        print(error, file=sys.stderr)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        print(f"{error.filename}: {error.strerror}; put that right and run again", file=sys.stderr)
    return USER_ERROR


def _run_job(options: argparse.Namespace) -> int:
    specs, runs = _planned(options) if options.plan else _resolved(options)
    device = choose_device(options.device)
    started = float(os.environ.get(STARTED_VARIABLE, time.time()))
    with together(device) as ranks, open(options.progress_fd, "w", closefd=False) as stream:
        if options.cuda_graph and (device.type != "cuda" or ranks.count > 1):
            raise UserError(f"--cuda-graph is for one process on a CUDA device, not for {ranks.count} on {device}")
        seconds, graph = options.checkpoint_seconds, options.cuda_graph
        bench = Bench(options.results, device, options.attempt, options.attempts, seconds, ranks, graph)
        return run_all(specs, bench, Progress(runs, bench, stream, started))


def _planned(options: argparse.Namespace) -> tuple[list[Spec], list[Run]]:
    """The job's specifications from a plan, and the runs of the whole study."""
    jobs = read_plan(options.plan)
    if options.job not in jobs:
        raise UserError(f"unknown job {options.job!r}; {options.plan} has {', '.join(jobs)}")
    return jobs[options.job], [spec.run for specs in jobs.values() for spec in specs]


def _resolved(options: argparse.Namespace) -> tuple[list[Spec], list[Run]]:
    """The job's specifications from the study itself, and the runs of the whole study."""
    # Imported here: a machine that trains from a plan has no pydantic and no fvcore.
    from pipeline.study import load_study

    study = load_study(options.study)
    jobs = {job.name: job.runs for job in study.jobs()}
    if options.job not in jobs:
        raise UserError(f"unknown job {options.job!r}; {study.name} has {', '.join(jobs)}")
    shapes = {}
    for name in {run.dataset for run in jobs[options.job]}:
        dataset = load_data(cache_path(name, options.results / "cache"))
        shapes[name] = (dataset.input_shape, dataset.classes)
    specs = []
    for run in jobs[options.job]:
        shape, classes = shapes[run.dataset]
        specs.append(resolve(run, run.sample_shape(shape), classes))
    return specs, list(study.runs)


if __name__ == "__main__":
    sys.exit(main())

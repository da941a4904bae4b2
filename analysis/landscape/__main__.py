"""Measures one job of a study's landscape and writes it as JSON.

    python -m analysis.landscape --study quick --job NAME --out NAME.json

It ends with code 2 and one or two lines on stderr when the inputs are wrong.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from analysis.errors import AnalysisError
from analysis.landscape.documents import SCHEMA_VERSION
from analysis.landscape.measure import Bench, measure
from pipeline.data.sources import cache_path
from pipeline.data.tensors import DataError
from pipeline.data.tensors import load as load_data
from pipeline.landscape import LandscapeJob
from pipeline.lease import leased_gpu
from pipeline.provenance import hardware_of
from pipeline.record import write_json
from pipeline.study import Study, load_study
from pipeline.worker import UserError, choose_device
from pipeline.yaml_source import StudyError


def run(study: Study, job: LandscapeJob, results: Path, device: torch.device) -> dict[str, Any]:
    """Everything that the job measures, as it is written."""
    dataset = load_data(cache_path(job.runs[0].dataset, results / "cache")).to(device)
    bench = Bench(results / "runs", dataset, study.landscape)
    started = time.perf_counter()
    found = [measure(job.kind, group, bench) for group in job.groups]
    first = job.runs[0]
    cell = {key: getattr(first, key) for key in ("model", "dataset", "distribution", "sparsity", "multiplier")}
    return {
        "schema_version": SCHEMA_VERSION,
        "job": job.name,
        "kind": job.kind,
        "cell": cell | {"model_options": first.model_options},
        "settings": study.landscape.model_dump(),
        "found": found,
        "seconds": time.perf_counter() - started,
        "device": str(device),
        "hardware": hardware_of(device),
    }


def finite(value: Any) -> Any:
    """``value`` with numbers that JSON has no word for as text: "NaN", "Infinity", "-Infinity"; ``float`` reads them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and measure; returns the exit code."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        study = load_study(options.study)
        jobs = {job.name: job for job in study.landscape_jobs()}
        if options.job not in jobs:
            known = ", ".join(jobs) or "none: it has no key `landscape`"
            raise UserError(f"unknown measurement {options.job!r}; {study.name} has {known}")
        with leased_gpu(options.device, options.results / "leases"):
            found = run(study, jobs[options.job], options.results, choose_device(options.device))
        write_json(options.out, finite(found))
    except (AnalysisError, StudyError, UserError, DataError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m analysis.landscape", description="Measure one job of a landscape.")
    parser.add_argument("--study", required=True, help="a study's name, or the path of a .yaml file")
    parser.add_argument("--job", required=True, help="name of the measurement")
    parser.add_argument("--out", required=True, type=Path, help="the .json to write")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of runs and caches")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    return parser


if __name__ == "__main__":
    sys.exit(main())

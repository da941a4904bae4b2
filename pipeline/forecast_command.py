"""``rigl-bench plan``: what studies cost before anything runs, and how they grow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
import yaml

from pipeline import present
from pipeline.cost_commands import AsJson
from pipeline.dry_run import clean_folder, dry_run
from pipeline.forecast import Device, Forecast, Growth, forecast, hours, total_disk
from pipeline.present import out, print_json
from pipeline.provenance import hardware_of
from pipeline.study import load_study, study_path
from pipeline.worker import UserError, choose_device

Kind = StrEnum("Kind", {name: name for name in ("auto", "cpu", "cuda")})
SCALES = ("runs", "seeds")
Studies = Annotated[list[str], typer.Argument(metavar="STUDY...", help="Studies by name, or the paths of .yaml files.")]


def plan(
    studies: Studies,
    results: Annotated[Path, typer.Option(help="Folder of runs, caches and everything made from them.")] = Path(
        "results"
    ),
    flops_per_second: Annotated[
        float | None,
        typer.Option(
            help="FLOPs that the device sustains in training, two a multiply-add of dense tensors; without it, what records "
            "of the same networks on the same hardware tell."
        ),
    ] = None,
    hardware: Annotated[
        str | None, typer.Option(help="A part of the name that records have for it; without it, this machine's.")
    ] = None,
    device: Annotated[Kind, typer.Option(help="What hours are counted of.")] = Kind.auto,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of a process.")] = 1,
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="runs=N,...|seeds=N,...",
            help="Plan the study with as many runs, or seeds, and measure Snakemake's dry run of each.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What studies cost before anything runs: jobs, training FLOPs, hours, disk; and what is done and left."""
    if flops_per_second is not None and not 0 < flops_per_second < float("inf"):
        raise UserError(f"--flops-per-second is {flops_per_second!r}, it must be above 0 and finite")
    if scale is not None and len(studies) > 1:
        raise UserError(f"--scale takes one study, these are {', '.join(studies)}")
    asked = _device(device, hardware, threads)
    if scale is not None:
        growth = _growth(studies[0], scale, results, asked, flops_per_second)
        if as_json:
            print_json([dataclasses.asdict(row) for row in growth])
        else:
            out.print(present.growth_table(studies[0], growth, asked.unit))
        return
    found = [forecast(load_study(name), results, asked, flops_per_second) for name in studies]
    if as_json:
        print_json([forecast_as_json(one) for one in found])
        return
    for one in found:
        out.print(present.forecast_table(one))
        for line in present.forecast_lines(one):
            out.print(line, highlight=False, soft_wrap=True, markup=False)
    if len(found) > 1:
        out.print(present.shared_line(found), highlight=False, soft_wrap=True)


def forecast_as_json(found: Forecast) -> dict[str, Any]:
    """What ``plan --json`` gives of one study; hours are null where no throughput is known."""
    return {
        "study": found.study.name,
        "jobs": found.jobs,
        "jobs_left": found.jobs_left,
        "runs": len(found.runs),
        "counts": found.counts,
        "train_flops": sum(run.train_flops for run in found.runs),
        "train_flops_left": sum(run.train_flops for run in found.left),
        "upper_bounds": found.bounded,
        "executed_flops": sum(run.executed_flops for run in found.runs),
        "executed_flops_left": sum(run.executed_flops for run in found.left),
        "unit": found.device.unit,
        "hours": hours(found.runs, found.device),
        "hours_left": hours(found.left, found.device),
        "hardware": found.device.hardware,
        "flops_per_second": found.throughputs.given,
        "unknown": list(found.unknown),
        "disk": dataclasses.asdict(total_disk(found.runs))
        | {"data_bytes": found.data_bytes, "checkpoint_bytes": max(run.checkpoint_bytes for run in found.runs)},
        "methods": [dataclasses.asdict(row) for row in found.rows()],
    }


def _device(kind: Kind, hardware: str | None, threads: int) -> Device:
    """What hours are of. A GPU that is not here has no name, and no record, unless it is given one."""
    torch.set_num_threads(threads)
    if kind is Kind.cuda and not torch.cuda.is_available():
        return Device("cuda", hardware, 1)
    chosen = choose_device(kind)
    return Device(chosen.type, hardware or hardware_of(chosen), threads if chosen.type == "cpu" else 1)


def _growth(study: str, scale: str, results: Path, device: Device, flops_per_second: float | None) -> list[Growth]:
    """The study at every size that is asked for, its dry run measured."""
    unit, sizes = _sizes(scale)
    path = study_path(study).resolve()
    rows = []
    with clean_folder() as folder:
        file = folder / "results" / f"{path.stem}.yaml"  # all else there are links to the suite's own

        def with_seeds(seeds: int) -> None:
            file.write_text(yaml.safe_dump({"extends": str(path), "seeds": seeds}), encoding="utf-8")

        with_seeds(1)
        runs_a_seed = len(load_study(file).runs)
        for size in sizes:
            with_seeds(size if unit == "seeds" else max(1, round(size / runs_a_seed)))
            found = forecast(load_study(file), results, device, flops_per_second)
            rows.append(
                Growth(
                    runs=len(found.runs),
                    jobs=found.jobs,
                    train_flops=sum(run.train_flops for run in found.runs),
                    hours=hours(found.runs, device),
                    disk_bytes=total_disk(found.runs).total,
                    **dataclasses.asdict(dry_run(file, folder)),
                )
            )
    return rows


def _sizes(scale: str) -> tuple[str, Sequence[int]]:
    unit, _, numbers = scale.partition("=")
    words = numbers.split(",")
    if unit not in SCALES or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise UserError(f"--scale is {scale!r}, it must be {' or '.join(f'{name}=N,N' for name in SCALES)}, N from 1")
    return unit, [int(word) for word in words]

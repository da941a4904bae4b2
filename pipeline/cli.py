"""``rigl-bench``: run studies, see what they would do, and ask what a method or a sparsity costs.

Tables are for people, ``--json`` is for programs. Errors are a line or two on stderr with exit code 2.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline import models, present
from pipeline.checkpoint import CheckpointError
from pipeline.data import sources
from pipeline.data.tensors import DataError
from pipeline.data.tensors import load as load_data
from pipeline.lease import leased_gpu
from pipeline.origin import OriginError
from pipeline.plan import Spec, resolve, write_plan
from pipeline.run import Run
from pipeline.status import clear_failed, study_status
from pipeline.study import load_study, parse_run
from pipeline.worker import Bench, UserError, choose_device, run_all
from pipeline.yaml_source import StudyError
from sparse_methods.distributions import DISTRIBUTIONS
from sparse_methods.methods import METHODS

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
# Piped output is not cut to the 80 columns that a terminal would have by default.
out = Console(width=None if sys.stdout.isatty() else 200)

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A study's name, or the path of a .yaml file.")]
Results = Annotated[Path, typer.Option(help="Folder of runs, caches and everything made from them.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(envvar=sources.DATA_ROOT_VARIABLE, help="Folder of local mirrors; without it, the Hugging Face hub."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A model, or package.module:factory.")]
Distribution = StrEnum("Distribution", {name: name for name in DISTRIBUTIONS})
Sparsity = Annotated[float, typer.Option(help="Share of weights that are zero.")]
DistributionName = Annotated[Distribution, typer.Option(help="How the sparsity is shared among layers.")]
Layout = Annotated[str, typer.Option(help="The model's table of layer rules.")]
InputShape = Annotated[str | None, typer.Option(help="Shape of one sample, such as 3,224,224.")]
Classes = Annotated[int | None, typer.Option(min=1, help="Outputs of the model.")]


@app.command()
def run(
    study: StudyName,
    only: Annotated[list[str] | None, typer.Option(help="Only runs whose path contains this text; repeatable.")] = None,
    results: Results = Path("results"),
    data_root: DataRoot = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of this process.")] = 1,
) -> None:
    """Train what is left of a study, in this process, one run after another."""
    import torch

    torch.set_num_threads(threads)
    chosen = load_study(study)
    asked = {r.path for r in chosen.runs if not only or any(text in r.path for text in only)}
    for r in reversed(chosen.runs):  # parents come before their children
        if r.start_from and r.path in asked:
            asked.add(r.start_from.run.path)
    wanted = [r for r in chosen.runs if r.path in asked]
    if not wanted:
        raise UserError(f"no run of {chosen.name} matches {', '.join(only or [])}; see `rigl-bench runs {study}`")
    shapes = _shapes(wanted, results, data_root)
    specs = [resolve(r, *shapes[r.dataset]) for r in wanted]
    with leased_gpu(device, results / "leases"), present.progress(wanted, out) as report:
        code = run_all(specs, Bench(results, choose_device(device)), report)
    out.print(present.status_line(study_status(chosen, results)))
    raise typer.Exit(code)


@app.command()
def runs(study: StudyName, results: Results = Path("results"), as_json: AsJson = False) -> None:
    """What a study would do, what is done, what is left and how long that takes."""
    chosen = load_study(study)
    status = study_status(chosen, results)
    if as_json:
        _print_json(dataclasses.asdict(status))
    else:
        from analysis.variants import variants

        out.print(present.runs_table(chosen, status, variants(chosen.runs)))
        out.print(present.status_line(status))


@app.command()
def layers(
    model: ModelName,
    sparsity: Sparsity = 0.0,
    distribution: DistributionName = Distribution.uniform,
    layout: Layout = "default",
    input: InputShape = None,
    classes: Classes = None,
    method: Annotated[str, typer.Option(help="The method that is asked for the sparsity.")] = "rigl",
    as_json: AsJson = False,
) -> None:
    """How a sparsity is shared among a model's layers, by exact counts."""
    spec = _spec_of(model, input, classes, sparsity=sparsity, distribution=distribution, layout=layout, method=method)
    rows = spec.layers()
    if as_json:
        _print_json([dataclasses.asdict(row) for row in rows])
    else:
        out.print(present.layers_table(spec, rows))


@app.command()
def flops(
    model: ModelName,
    sparsity: Sparsity = 0.0,
    distribution: DistributionName = Distribution.uniform,
    layout: Layout = "default",
    input: InputShape = None,
    classes: Classes = None,
    method: Annotated[str, typer.Option(help="The method that is trained.")] = "rigl",
    multiplier: Annotated[float, typer.Option(help="Training length over the baseline's.")] = 1.0,
    steps: Annotated[
        int, typer.Option(min=1, help="Steps at multiplier 1; only pruning's cost depends on it.")
    ] = 32000,
    begin: Annotated[int, typer.Option(min=0, help="First step of topology updates.")] = 0,
    end: Annotated[int | None, typer.Option(help="Last step of topology updates; default 3/4 of the steps.")] = None,
    update_every: Annotated[int, typer.Option(min=1, help="Steps between topology updates.")] = 100,
    as_json: AsJson = False,
) -> None:
    """What inference and training cost, in both counting conventions, and the size."""
    protocol = {"steps": steps, "topology": {"begin": begin, "end": end, "update_every": update_every}}
    asked = {"sparsity": sparsity, "distribution": distribution, "layout": layout, "method": method}
    spec = _spec_of(model, input, classes, multiplier=multiplier, protocol=protocol, **asked)
    size_bytes = spec.network.size_bytes({row.layer: row.nonzeros for row in spec.layers()})
    if as_json:
        _print_json({**spec.costs(), "size_bytes": size_bytes})
    else:
        out.print(present.flops_table(spec))
        out.print(present.costs_table(spec.costs(), size_bytes))


@app.command(name="methods")
def list_methods(as_json: AsJson = False) -> None:
    """The methods, what is dense while they train, and what they cannot do."""
    cards = present.method_cards(METHODS)
    if as_json:
        _print_json([card.as_json() for card in cards])
    else:
        out.print(present.methods_table(cards))


@app.command()
def validate(study: StudyName) -> None:
    """Check a study: its keys, names and values, and that every run's network and layers exist."""
    chosen = load_study(study)
    shapes = {name: sources.known_shape(name) for name in chosen.datasets}
    found = sum(r.finds_its_network for r in chosen.runs)
    specs = [resolve(r, *shapes[r.dataset]) for r in chosen.runs if shapes[r.dataset]]
    skips = Counter(f"{spec.run.cell}: {spec.skip}" for spec in specs if spec.skip is not None)
    unknown = len(chosen.runs) - len(specs)
    notes = [f"{skips.total()} to be skipped"] * bool(skips)
    notes += [f"{found} whose network another run finds first"] * bool(found)
    notes += [f"{unknown} on a data set of your own, whose shape is known once it is prepared"] * bool(unknown)
    out.print(
        f"{chosen.name} is valid: {len(chosen.runs)} runs in {len(chosen.jobs())} jobs"
        + "".join(f", {n}" for n in notes)
    )
    for reason, count in skips.items():
        out.print(f"skipped ({count}) {reason}", highlight=False, soft_wrap=True)


@app.command()
def retry(
    study: StudyName,
    failed: Annotated[bool, typer.Option("--failed", help="Clear the records of failed runs.")] = False,
    diverged: Annotated[bool, typer.Option("--diverged", help="Clear the records of diverged runs too.")] = False,
    results: Results = Path("results"),
) -> None:
    """Clear records, so that the next run of the study trains those runs again."""
    if not (failed or diverged):
        raise UserError("say what to clear: --failed, --diverged or both")
    kinds = ["failed"] * failed + ["diverged"] * diverged
    cleared = clear_failed(load_study(study), results, kinds)
    for path in cleared:
        out.print(f"cleared {path}", highlight=False)
    out.print(f"{len(cleared)} runs cleared; run the study again to train them")


@app.command()
def data(
    names: Annotated[list[str], typer.Argument(metavar="DATASET...", help="Data sets, or package.module:factory.")],
    results: Results = Path("results"),
    data_root: DataRoot = None,
) -> None:
    """Make the tensor cache of data sets, from a local mirror or the hub."""
    for name in names:
        out.print(str(sources.prepare(name, results / "cache", data_root)), highlight=False)


@app.command(name="resolve")
def write_specifications(
    study: StudyName,
    output: Annotated[Path, typer.Option(help="The plan to write: every run of every job, as JSON.")],
    results: Results = Path("results"),
    data_root: DataRoot = None,
) -> None:
    """Write all that a training process needs to know; `python -m pipeline.worker --plan ... --job ...` trains from it."""
    chosen = load_study(study)
    shapes = _shapes(chosen.runs, results, data_root)
    specs = {r.path: resolve(r, *shapes[r.dataset]) for r in chosen.runs}
    output.parent.mkdir(parents=True, exist_ok=True)
    write_plan(output, {job.name: [specs[r.path] for r in job.runs] for job in chosen.jobs()})
    out.print(f"{len(specs)} runs in {len(chosen.jobs())} jobs: {output}", highlight=False)


def main() -> None:
    """Entry point; user errors become a line or two and exit code 2."""
    # A user's own package.module:factory is looked up from where the command is given.
    sys.path.insert(0, str(Path.cwd()))
    try:
        app()
    except (StudyError, UserError, OriginError, DataError, CheckpointError, ValueError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"{error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)


def _shapes(chosen: Sequence[Run], results: Path, data_root: Path | None) -> dict[str, tuple[tuple[int, ...], int]]:
    """Shape of a sample and number of classes of every data set that the runs need; prepares them."""
    shapes: dict[str, tuple[tuple[int, ...], int]] = {}
    for name in dict.fromkeys(run.dataset for run in chosen):
        dataset = load_data(sources.prepare(name, results / "cache", data_root))
        shapes[name] = (dataset.input_shape, dataset.classes)
    return shapes


def _spec_of(
    model: str, input: str | None, classes: int | None, protocol: dict[str, Any] | None = None, **fields: Any
) -> Spec:
    """The specification of a run that is asked about, not trained."""
    shape, known_classes = _input_shape(model, input)
    rest = {"batch_size": 1, "learning_rate": {"peak": 0.1}}
    asked = parse_run(
        {"model": model, "dataset": "digits", "protocol": {"steps": 32_000, **rest, **(protocol or {})}, **fields}
    )
    spec = resolve(asked, shape, classes or known_classes)
    if spec.skip is not None:
        raise UserError(spec.skip)
    return spec


def _input_shape(model: str, input: str | None) -> tuple[tuple[int, ...], int]:
    """Shape of one sample and number of classes: as given, else those of the data set that the model is meant for."""
    # A name that does not exist is told before its input is asked for.
    models.layer_rules(model, "default", "uniform", 0.0)
    usual = models.usual_dataset(model)
    known = sources.known_shape(usual) if usual else None
    if input is None:
        if known is None:
            raise UserError(f"say the shape of one sample that {model!r} takes, such as --input 3,224,224")
        return known
    try:
        shape = tuple(int(size) for size in input.split(","))
        if min(shape) < 1:
            raise ValueError
    except ValueError as error:
        raise UserError(f"--input is {input!r}, it must be sizes of at least 1, such as 3,224,224") from error
    return shape, known[1] if known else 10


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1))


if __name__ == "__main__":
    main()

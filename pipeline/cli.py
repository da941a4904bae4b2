"""``rigl-bench``: run studies, see what they would do, and ask what a method or a sparsity costs.

Tables are for people, ``--json`` is for programs. Errors are a line or two on stderr with exit code 2.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import cost_commands, export, forecast_command, present, validate_command
from pipeline.checkpoint import CheckpointError
from pipeline.cost_commands import AsJson
from pipeline.data import sources
from pipeline.data.tensors import DataError
from pipeline.data.tensors import load as load_data
from pipeline.lease import leased_gpu
from pipeline.origin import OriginError, found_architecture
from pipeline.plan import Spec, resolve, write_plan
from pipeline.present import out, print_json
from pipeline.ranks import together
from pipeline.run import Run
from pipeline.status import clear_failed, study_status
from pipeline.study import load_study
from pipeline.worker import Bench, UserError, choose_device, run_all
from pipeline.yaml_source import StudyError
from sparse_methods.methods import METHODS

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
for command in (
    cost_commands.layers,
    cost_commands.flops,
    cost_commands.width,
    validate_command.validate,
    forecast_command.plan,
):
    app.command()(command)

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A study's name, or the path of a .yaml file.")]
Results = Annotated[Path, typer.Option(help="Folder of runs, caches and everything made from them.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(envvar=sources.DATA_ROOT_VARIABLE, help="Folder of local mirrors; without it, the Hugging Face hub."),
]


@app.command()
def run(
    study: StudyName,
    only: Annotated[list[str] | None, typer.Option(help="Only runs whose path contains this text; repeatable.")] = None,
    results: Results = Path("results"),
    data_root: DataRoot = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of this process.")] = 1,
) -> None:
    """Train what is left of a study, in this process, one run after another.

    Started by ``torchrun --standalone --nproc-per-node N -m pipeline.cli run STUDY``, N processes share each run.
    """
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
    specs = [_resolved(r, shapes[r.dataset]) for r in wanted]
    with leased_gpu(device, results / "leases"), present.progress(wanted, out) as report:
        chosen_device = choose_device(device)
        with together(chosen_device) as ranks:
            code = run_all(specs, Bench(results, chosen_device, ranks=ranks), report)
    if ranks.is_first:
        out.print(present.status_line(study_status(chosen, results)))
    raise typer.Exit(code)


@app.command()
def runs(study: StudyName, results: Results = Path("results"), as_json: AsJson = False) -> None:
    """What a study would do, what is done, what is left and how long that takes."""
    chosen = load_study(study)
    status = study_status(chosen, results)
    if as_json:
        print_json(dataclasses.asdict(status))
    else:
        from analysis.variants import variants

        out.print(present.runs_table(chosen, status, variants(chosen.runs)))
        out.print(present.status_line(status))


@app.command(name="methods")
def list_methods(as_json: AsJson = False) -> None:
    """The methods, what is dense while they train, and what they cannot do."""
    cards = present.method_cards(METHODS)
    if as_json:
        print_json([card.as_json() for card in cards])
    else:
        out.print(present.methods_table(cards))


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


@app.command(name="export")
def export_network(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's folder, or its path below the runs of the results.")
    ],
    file: Annotated[Path, typer.Option("--out", help="The safetensors file to write.")],
    results: Results = Path("results"),
    data_root: DataRoot = None,
    as_json: AsJson = False,
) -> None:
    """Write the network that a run left as one compact file, check it, and say its size beside that by the authors' rule."""
    folder = Path(run) if Path(run).is_dir() else results / "runs" / run
    finished = export.finished_run(folder)
    sample = sources.known_shape(finished.dataset) or _shapes([finished], results, data_root)[finished.dataset]
    spec = _resolved(finished, sample, found_architecture(finished, results / "runs"))
    size = export.export(folder, spec, file)
    size_bytes = spec.network.size_bytes({layer.layer: layer.nonzeros for layer in size.layers})
    if as_json:
        totals = {"file_bytes": size.file_bytes, "size_bytes": size_bytes}
        print_json({"file": str(file), **dataclasses.asdict(size), **totals})
    else:
        out.print(present.file_table(file, size, size_bytes))


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
    specs = {r.path: _resolved(r, shapes[r.dataset]) for r in chosen.runs}
    output.parent.mkdir(parents=True, exist_ok=True)
    write_plan(output, {job.name: [specs[r.path] for r in job.runs] for job in chosen.jobs()})
    out.print(f"{len(specs)} runs in {len(chosen.jobs())} jobs: {output}", highlight=False)


def main() -> None:
    """Entry point; user errors become a line or two and exit code 2."""
    from analysis.errors import AnalysisError

    # A user's own package.module:factory is looked up from where the command is given.
    sys.path.insert(0, str(Path.cwd()))
    try:
        app()
    except (AnalysisError, StudyError, UserError, OriginError, DataError, CheckpointError, ValueError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"{error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)


def _resolved(run: Run, sample: tuple[tuple[int, ...], int], found: Mapping[str, Any] | None = None) -> Spec:
    """The run on a data set of such samples and classes."""
    shape, classes = sample
    return resolve(run, run.sample_shape(shape), classes, found)


def _shapes(chosen: Sequence[Run], results: Path, data_root: Path | None) -> dict[str, tuple[tuple[int, ...], int]]:
    """Shape of a sample and number of classes of every data set that the runs need; prepares them."""
    shapes: dict[str, tuple[tuple[int, ...], int]] = {}
    for name in dict.fromkeys(run.dataset for run in chosen):
        dataset = load_data(sources.prepare(name, results / "cache", data_root))
        shapes[name] = (dataset.input_shape, dataset.classes)
    return shapes


if __name__ == "__main__":
    main()

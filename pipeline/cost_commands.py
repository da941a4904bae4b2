"""``rigl-bench layers``, ``flops`` and ``width``: what a sparsity does to a network, before anything is trained."""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml

from pipeline import models, present
from pipeline.cost import CONVENTIONS
from pipeline.data import sources
from pipeline.export import file_bytes
from pipeline.plan import Spec, equal_flops_multiplier, resolve
from pipeline.present import out, print_json
from pipeline.study import EQUAL_FLOPS, parse_run
from pipeline.width import UNITS, solutions, solve
from pipeline.worker import UserError
from sparse_methods.distributions import DISTRIBUTIONS

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A model, or package.module:factory.")]
Distribution = StrEnum("Distribution", {name: name for name in DISTRIBUTIONS})
Measure = StrEnum("Measure", {name: name for name in UNITS})
Reference = StrEnum("Reference", {"published": "published"})
Sparsity = Annotated[float, typer.Option(help="Share of weights that are zero.")]
DistributionName = Annotated[Distribution, typer.Option(help="How the sparsity is shared among layers.")]
Layout = Annotated[str, typer.Option(help="The model's table of layer rules.")]
InputShape = Annotated[str | None, typer.Option(help="Shape of one sample, such as 3,224,224.")]
Classes = Annotated[int | None, typer.Option(min=1, help="Outputs of the model; 10 for one of your own.")]
ModelOptions = Annotated[
    list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="Of the model, such as width=0.5; repeatable.")
]
MethodName = Annotated[str, typer.Option(help="The method that is trained.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def layers(
    model: ModelName,
    sparsity: Sparsity = 0.0,
    distribution: DistributionName = Distribution.uniform,
    layout: Layout = "default",
    input: InputShape = None,
    classes: Classes = None,
    option: ModelOptions = None,
    method: MethodName = "rigl",
    as_json: AsJson = False,
) -> None:
    """How a sparsity is shared among a model's layers, by exact counts."""
    asked = {"sparsity": sparsity, "distribution": distribution, "layout": layout, "method": method}
    spec = _spec_of(model, input, classes, option, **asked)
    rows = spec.layers()
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
    else:
        out.print(present.layers_table(spec, rows))


def flops(
    model: ModelName,
    sparsity: Sparsity = 0.0,
    distribution: DistributionName = Distribution.uniform,
    layout: Layout = "default",
    input: InputShape = None,
    classes: Classes = None,
    option: ModelOptions = None,
    method: MethodName = "rigl",
    multiplier: Annotated[str, typer.Option(help=f"Training length over the baseline's, or {EQUAL_FLOPS}.")] = "1",
    steps: Annotated[
        int,
        typer.Option(min=1, help="Steps at multiplier 1; a cost depends on them where sparsity changes along the run."),
    ] = 32000,
    begin: Annotated[int, typer.Option(min=0, help="First step of topology updates.")] = 0,
    end: Annotated[int | None, typer.Option(help="Last step of topology updates; default 3/4 of the steps.")] = None,
    update_every: Annotated[int, typer.Option(min=1, help="Steps between topology updates.")] = 100,
    compare: Annotated[
        Reference | None,
        typer.Option(
            help="Set what was published of the model, at this sparsity and distribution, beside what is computed."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What inference and training cost, layer by layer and in all, in both counting conventions, and the size."""
    protocol = {"steps": steps, "topology": {"begin": begin, "end": end, "update_every": update_every}}
    asked = {"sparsity": sparsity, "distribution": distribution, "layout": layout, "method": method}
    spec = _spec_of(model, input, classes, option, multiplier=multiplier, protocol=protocol, **asked)
    published = _published(spec) if compare else None
    if as_json:
        print_json(spec_as_json(spec) | ({} if published is None else {"published": published}))
    else:
        out.print(present.flops_table(spec))
        out.print(present.costs_table(spec))
        if published is not None:
            out.print(present.published_table(spec, published))


def width(
    model: ModelName,
    sparsity: Sparsity,
    distribution: DistributionName = Distribution.uniform,
    layout: Layout = "default",
    input: InputShape = None,
    classes: Classes = None,
    option: ModelOptions = None,
    measure: Annotated[
        Measure | None,
        typer.Option(help="What must meet the target: parameters, FLOPs (macs: two a multiply-add; rigl) or bytes."),
    ] = None,
    target: Annotated[float | None, typer.Option(help="A target of your own, in the measure's unit.")] = None,
    as_json: AsJson = False,
) -> None:
    """The widths at which a dense network has what the sparse one has (small-dense), and the reverse (big-sparse)."""
    spec = _spec_of(
        model, input, classes, option, sparsity=sparsity, distribution=distribution, layout=layout, method="static"
    )
    if (measure is None) != (target is None):
        raise UserError(f"--measure and --target go together; measures are {', '.join(UNITS)}")
    found = solutions(spec) if target is None else [solve(spec, measure, target, sparse) for sparse in (False, True)]
    if all(solution.width is None for solution in found):
        raise UserError("; ".join(dict.fromkeys(solution.reason for solution in found)))
    if as_json:
        print_json([dataclasses.asdict(solution) for solution in found])
    else:
        out.print(present.widths_table(spec, found))


def _published(spec: Spec) -> list[dict[str, Any]]:
    """Cells of the published record about the model; of a sparse one, those at its sparsity and distribution."""
    # Imported here: only this command looks at what was published.
    from analysis.audit import page, verdicts

    run = spec.run
    asked = {"sparsity": run.sparsity, "distribution": run.distribution} if run.sparsity > 0 else {}
    cells = page.frame(verdicts.compare(run.model, **asked))
    if cells.empty:
        raise UserError(
            f"nothing was published of {run.model} at sparsity {run.sparsity:g}, {run.distribution}; "
            "leave out --sparsity to see all that was"
        )
    return json.loads(cells.to_json(orient="records"))


def spec_as_json(spec: Spec) -> dict[str, Any]:
    """What ``flops --json`` prints."""
    layers = [
        {**dataclasses.asdict(row), "multiply_adds": layer.macs}
        | {f"{convention}_flops": layer.flops(row.nonzeros, convention) for convention in CONVENTIONS}
        for layer, row in zip(spec.network.layers, spec.layers(), strict=True)
    ]
    asked = {key: getattr(spec.run, key) for key in ("model", "method", "sparsity", "distribution", "multiplier")}
    return {
        **spec.costs(),
        "size_bytes": spec.size_bytes(),
        "file_bytes": file_bytes(spec),
        "asked": asked,
        "layers": layers,
    }


def _spec_of(
    model: str,
    input: str | None,
    classes: int | None,
    options: list[str] | None,
    protocol: dict[str, Any] | None = None,
    multiplier: str = "1",
    **fields: Any,
) -> Spec:
    """The specification of a run that is asked about, not trained."""
    shape, known_classes = _input_shape(model, input)
    rest = {"batch_size": 1, "learning_rate": {"peak": 0.1}}
    fields |= {"model": model, "dataset": "digits", "protocol": {"steps": 32_000, **rest, **(protocol or {})}}
    solved = multiplier == EQUAL_FLOPS
    asked = parse_run({**fields, "model_options": _options(options or []), "multiplier": 1 if solved else multiplier})
    try:
        if solved:
            asked = dataclasses.replace(
                asked, multiplier=equal_flops_multiplier(asked, shape, classes or known_classes)
            )
        spec = resolve(asked, shape, classes or known_classes)
    except ValueError as error:  # of a run that nobody named
        raise UserError(str(error).removeprefix(f"{asked.path}: ")) from error
    if spec.skip is not None:
        raise UserError(spec.skip)
    return spec


def _options(pairs: list[str]) -> dict[str, Any]:
    """``KEY=VALUE`` as a mapping; values are read as YAML, as a study's are."""
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UserError(f"--option is {pair!r}, it must be KEY=VALUE, such as width=0.5")
        options[key] = yaml.safe_load(value)
    return options


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

"""What a study measures of the loss surface: the key ``landscape`` of its file, and which runs each measurement needs.

Nothing is measured here (``analysis.landscape``); a workflow must know its jobs and their inputs before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.run import Run
from sparse_methods.methods import METHODS

Kind = Literal["curves", "maps", "curvature", "overlap", "escape"]
Pair = tuple[str, str]


class Landscape(BaseModel):
    """Measurements on the final weights of a study's runs, cell by cell."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    sparsity: list[float] | None = None
    """Sparsities of the runs that are compared; null: every one of the study."""
    distribution: list[Literal["uniform", "erdos_renyi", "erk"]] | None = None
    """Distributions of the runs that are compared; null: every one of the study."""
    pairs: list[Pair] = [
        ("static", "pruning"),
        ("static", "rigl"),
        ("rigl", "rigl"),
        ("static", "static"),
        ("rigl", "pruning"),
    ]
    """Methods at the two ends of each curve; the first is RigL's Figure 6. Two of one method are of successive seeds."""
    points: Annotated[int, Field(ge=41)] = 61
    """Points along a curve; for the line, from t = -0.2 to 1.2."""
    degrees: list[Literal[2, 3]] = [2, 3]
    """Bezier curves: 2 quadratic, 3 cubic."""
    spaces: list[Literal["union", "dense", "intersection"]] = ["union", "dense", "intersection"]
    """Weights that control points may move: those active at either end (the sparse space), all, or those active at both."""
    samples: Annotated[int, Field(ge=1)] = 10_000
    """Samples of the training set, and of the test set, that losses along curves and over maps are measured on, at most."""
    curve_steps: Annotated[int, Field(ge=1)] = 2000
    """Gradient steps that train the control points of a Bezier curve."""
    longer_steps: list[Annotated[int, Field(ge=1)]] = []
    """Further budgets, for the first pair alone: how much of a barrier a curve leaves depends on how long it was trained."""
    map_methods: list[str] = ["static", "rigl", "pruning"]
    """Methods whose solutions of seed 0 span the plane of a map: exactly three."""
    map_points: Annotated[int, Field(ge=5)] = 25
    """Points of a map along each axis."""
    curvature_methods: list[str] = ["static", "rigl", "pruning"]
    """Methods whose Hessian is looked at."""
    curvature_samples: Annotated[int, Field(ge=1)] = 2000
    """Training samples that the Hessian is of."""
    trace_vectors: Annotated[int, Field(ge=2)] = 30
    """Random vectors of Hutchinson's estimate of the trace."""

    def budgets(self, pair: Pair) -> list[int]:
        """Steps that curves between the methods of ``pair`` are trained for, one fit each, the shortest first."""
        further = self.longer_steps if self.pairs and pair == self.pairs[0] else []
        return sorted({self.curve_steps, *further})


@dataclass(frozen=True)
class LandscapeJob:
    """Measurements of one kind on one cell: a file of its own, and a process of its own."""

    name: str
    kind: Kind
    groups: tuple[tuple[Run, ...], ...]
    """The runs that are measured together, in the order that the kind gives meaning to, and the groups one after another."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run that it needs, each once."""
        return tuple({run.path: run for group in self.groups for run in group}.values())


def jobs(landscape: Landscape, runs: Sequence[Run]) -> list[LandscapeJob]:
    """Every measurement on ``runs``. Raises ValueError that names the method a measurement needs and the study lacks."""
    found = []
    for cell, members in _cells(landscape, runs).items():
        found += _jobs_of(landscape, cell, members)
    if not found:
        asked = ", ".join(f"{sparsity:g}" for sparsity in landscape.sparsity or [])
        raise ValueError(f"landscape: no run of the study has a mask{f' at sparsity {asked}' if asked else ''}")
    return found


def _cells(landscape: Landscape, runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs that may be compared with each other, by a readable name: of one model, data set, sparsity and distribution."""
    cells: dict[str, list[Run]] = {}
    for run in runs:
        wanted = landscape.sparsity is None or run.sparsity in landscape.sparsity
        shared = landscape.distribution is None or run.distribution in landscape.distribution
        if run.sparsity > 0 and wanted and shared:
            cells.setdefault(_name(run), []).append(run)
    return cells


def _name(run: Run) -> str:
    sparsity = f"s{100 * run.sparsity:g}"
    options = [f"{key}{value}" for key, value in sorted(run.model_options.items())]
    return "-".join([run.dataset, run.model, *options, run.distribution, sparsity, f"x{run.multiplier:g}"])


def _jobs_of(landscape: Landscape, cell: str, runs: Sequence[Run]) -> Iterator[LandscapeJob]:
    trained: dict[tuple[str, int], Run] = {}
    for run in runs:
        if run.start_from is None and not run.method_options:
            trained.setdefault((run.method, run.seed), run)
    seeds = sorted({seed for _, seed in trained})
    by_method = {
        method: [trained[method, seed] for seed in seeds if (method, seed) in trained] for method, _ in trained
    }

    def of(method: str) -> list[Run]:
        if method not in by_method:
            raise ValueError(f"landscape: {cell} has no run of {method!r}; there are {', '.join(sorted(by_method))}")
        return by_method[method]

    for one, other in landscape.pairs:
        yield LandscapeJob(f"curves-{one}-{other}-{cell}", "curves", _ends(of(one), of(other), one == other))
    yield LandscapeJob(f"maps-{cell}", "maps", (tuple(of(method)[0] for method in landscape.map_methods),))
    looked_at = tuple((run,) for method in landscape.curvature_methods for run in of(method))
    yield LandscapeJob(f"curvature-{cell}", "curvature", looked_at)
    masked = tuple(tuple(group) for method, group in by_method.items() if METHODS[method].starts != "unmasked")
    yield LandscapeJob(f"overlap-{cell}", "overlap", masked)
    escapes = tuple((run.start_from.run, run) for run in runs if run.start_from and run.start_from.take == "both")
    if escapes:
        yield LandscapeJob(f"escape-{cell}", "escape", escapes)


def _ends(first: Sequence[Run], second: Sequence[Run], of_one_method: bool) -> tuple[tuple[Run, Run], ...]:
    """Pairs of one seed, or of a seed and the next where both are of one method; a pair of seeds is taken once."""
    if not of_one_method:
        return tuple(zip(first, second, strict=False))
    following = tuple(zip(first, [*first[1:], first[0]], strict=True))
    return following if len(first) > 2 else following[:-1]

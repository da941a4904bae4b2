"""One measurement of a study's loss landscape, from the files of finished runs to plain values for JSON.

Every function takes the runs of one group of a job (``pipeline.landscape``) and returns what figures and claims are made of.
Losses are mean cross-entropies in nats without label smoothing, errors and shares fractions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from analysis.landscape import curvature, overlap, paths, planes
from analysis.landscape.barriers import barrier
from analysis.landscape.network import (
    Loss,
    Network,
    Solution,
    activity,
    load,
    load_together,
    snapshot_masks,
    snapshots,
    subset,
)
from pipeline.data.tensors import DataSet
from pipeline.landscape import Landscape
from pipeline.plan import Spec, resolve
from pipeline.record import CURVE
from pipeline.run import Run

Values = dict[str, Any]
DEGREES = {2: "quadratic", 3: "cubic"}
DESCENT_LENGTHS = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
EIGENVALUES = {"largest": 3, "smallest": 1}
"""How many of each end. The small ones crowd around 0, so that a second one costs many times the first."""
RADIUS = 1.0
"""Of a map along random directions, in multiples of the filters' own norms."""


@dataclass(frozen=True)
class Bench:
    """What measurements share: the runs' folder, their data set on the device, and how much is measured."""

    runs: Path
    dataset: DataSet
    settings: Landscape

    def spec(self, run: Run) -> Spec:
        """The run, resolved."""
        return resolve(run, self.dataset.input_shape, self.dataset.classes)

    def solution(self, run: Run) -> Solution:
        """What the run left. Raises AnalysisError that names it."""
        return load(self.runs / run.path, self.spec(run))

    def solutions(self, group: Sequence[Run]) -> tuple[Solution, ...]:
        """Those of a group, which must belong together. Raises AnalysisError that names them."""
        return load_together([(self.runs / run.path, self.spec(run)) for run in group])

    def loss(self, run: Run, samples: int) -> Loss:
        """The loss of the run's network on at most ``samples`` samples of each set."""
        network = Network(self.spec(run).outline().to(self.dataset.device))
        return Loss(network, subset(self.dataset, samples))


def measure(kind: str, group: Sequence[Run], bench: Bench) -> Values:
    """What a job of that kind measures on one group of runs."""
    return {"runs": [run.path for run in group], "seeds": [run.seed for run in group]} | KINDS[kind](group, bench)


# -- curves ---------------------------------------------------------------------------------------------------------------


def curves(group: Sequence[Run], bench: Bench) -> Values:
    """The line and the Bezier curves between two solutions, with their losses and barriers (RigL, Figure 6 left)."""
    first, second = bench.solutions(group)
    settings, loss = bench.settings, bench.loss(group[0], bench.settings.samples)
    network = loss.network
    ends = tuple(network.point(solution.parameters) for solution in (first, second))
    masks = tuple(network.mask(solution.active) for solution in (first, second))
    buffers = (first.buffers, second.buffers)
    line = paths.along(paths.straight(*ends), loss, paths.places(settings.points - 1, 0.2), buffers)
    found = [{"curve": "linear", "space": "line", "fit": None} | _with_barriers(line)]
    protocol, seed = group[0].protocol, group[0].seed
    whole = Loss(network, bench.dataset)
    budgets = settings.budgets((group[0].method, group[1].method))
    for steps, degree, space in itertools.product(budgets, settings.degrees, settings.spaces):
        movable = paths.space(space, *masks)
        fitting = paths.Fitting(steps, protocol.batch_size, protocol.learning_rate.peak)
        fitted = paths.fit(whole, paths.straight(*ends, degree=degree), movable, fitting, seed)
        profile = paths.along(fitted.path, loss, paths.places(settings.points - 1), buffers)
        fit = asdict(fitting) | {"diverged_at": fitted.diverged_at, "movable": int(movable.sum())}
        found.append({"curve": DEGREES[degree], "space": space, "fit": fit} | _with_barriers(profile))
    tested = [whole.at(point, stored).test_loss for point, stored in zip(ends, buffers, strict=True)]
    recorded = [solution.record["result"]["test_loss_nats"] for solution in (first, second)]
    return {"curves": found, "end_test_losses": tested, "recorded_test_losses": recorded}


def _with_barriers(profile: paths.Profile) -> Values:
    barriers = {split: asdict(barrier(profile.t, getattr(profile, f"{split}_loss"))) for split in ("train", "test")}
    return {"profile": asdict(profile), "barrier": barriers}


# -- maps -----------------------------------------------------------------------------------------------------------------


def maps(group: Sequence[Run], bench: Bench) -> Values:
    """The plane through three solutions, with the paths of their training; and random directions around each of them."""
    solutions = bench.solutions(group)
    settings, loss = bench.settings, bench.loss(group[0], bench.settings.samples)
    network = loss.network
    points = [network.point(solution.parameters) for solution in solutions]
    plane = planes.through(*points)
    trained = {
        run.method: [network.point(state) for state in snapshots(bench.runs / run.path, bench.spec(run)).values()]
        for run in group
    }
    places = plane.project(points)
    surface = planes.surface(plane, loss, *planes.window(places, settings.map_points))
    around = {}
    for run, solution, point in zip(group, solutions, points, strict=True):
        random = planes.around(point, network, run.seed, network.mask(solution.active))
        steps = torch.linspace(-RADIUS, RADIUS, settings.map_points).tolist()
        around[run.method] = _surface(planes.surface(random, loss, steps, steps))
    return {
        "methods": [run.method for run in group],
        "places": [place._asdict() for place in places],
        "paths": {name: [place._asdict() for place in plane.project(path)] for name, path in trained.items()},
        "plane": _surface(surface),
        "around": around,
    }


def _surface(surface: planes.Surface) -> Values:
    return {name: value if isinstance(value, list) else value.tolist() for name, value in vars(surface).items()}


# -- curvature ------------------------------------------------------------------------------------------------------------


def curvatures(group: Sequence[Run], bench: Bench) -> Values:
    """The Hessian at a solution, over the active weights and over all, and what opening inactive weights reveals."""
    (run,) = group
    solution, settings = bench.solution(run), bench.settings
    loss = bench.loss(run, settings.curvature_samples)
    network = loss.network
    point, active = network.point(solution.parameters), network.mask(solution.active)
    spaces = {"active": active, "all": torch.ones_like(active), "inactive": ~active}
    hessians = {name: curvature.Hessian(loss, point, solution.buffers, mask) for name, mask in spaces.items()}
    spec, folder = bench.spec(run), bench.runs / run.path
    opened = {step: network.mask(activity(spec, masks)) for step, masks in snapshot_masks(folder, spec).items()}
    return {
        "method": run.method,
        "weights": {name: int(mask.sum()) for name, mask in spaces.items()},
        "eigenvalues": {
            name: {end: curvature.eigenvalues(hessian, count, end, run.seed) for end, count in EIGENVALUES.items()}
            for name, hessian in hessians.items()
        },
        "trace": {
            name: asdict(curvature.trace(hessians[name], settings.trace_vectors, run.seed))
            for name in ("active", "all")
        },
        "descent": {
            name: asdict(curvature.descend(loss, point, solution.buffers, spaces[name], DESCENT_LENGTHS))
            for name in ("active", "all")
        },
        "inactive_gradient_share": curvature.inactive_share(loss.gradient(point, solution.buffers), active),
        "inactive_gradient_share_at": {
            str(step): curvature.inactive_share(loss.gradient(network.point(state)), opened[step])
            for step, state in snapshots(folder, spec).items()
        },
    }


# -- topology -------------------------------------------------------------------------------------------------------------


def overlaps(group: Sequence[Run], bench: Bench) -> Values:
    """Masks of one method between seeds and over time, and which inputs the first layer reads."""
    solutions = [bench.solution(run) for run in group]
    between = []
    for (one, first), (other, second) in itertools.combinations(zip(group, solutions, strict=True), 2):
        layers, whole = overlap.overlap(first.masks, second.masks)
        between.append({"seeds": [one.seed, other.seed], "all": asdict(whole), "layers": _as_values(layers)})
    return {
        "method": group[0].method,
        "between_seeds": between,
        "over_time": [_over_time(run, solution, bench) for run, solution in zip(group, solutions, strict=True)],
        "input_degrees": _input_degrees(solutions[0], bench.dataset.input_shape),
    }


def _over_time(run: Run, solution: Solution, bench: Bench) -> Values:
    """Churn from one kept step to the next, the end included, overlap of each with the end, and what was explored by then."""
    kept = snapshot_masks(bench.runs / run.path, bench.spec(run))
    steps, masks = [*kept, run.steps], [*kept.values(), solution.masks]
    return {
        "seed": run.seed,
        "steps": steps,
        "churn": [overlap.churn(before, after)[1] for before, after in itertools.pairwise(masks)],
        "overlap_with_end": [overlap.overlap(mask, solution.masks)[1].jaccard for mask in masks],
        "explored": [overlap.explored(masks[: count + 1])[1] for count in range(len(masks))],
        "explored_in_all": solution.record.get("explored"),
    }


def _input_degrees(solution: Solution, input_shape: tuple[int, ...]) -> list | None:
    """Active weights of each pixel, [H][W], where the first layer is fully connected to a sample of one channel."""
    first = next(iter(solution.masks.values()))
    if first.ndim != 2 or first.shape[1] != math.prod(input_shape) or input_shape[0] != 1:
        return None
    return overlap.input_degrees(first, input_shape)[0].tolist()


def _as_values(layers: Mapping[str, Any]) -> Values:
    return {name: asdict(layer) for name, layer in layers.items()}


# -- escape ---------------------------------------------------------------------------------------------------------------


def escapes(group: Sequence[Run], bench: Bench) -> Values:
    """A run that went on from another's solution: how its training loss fell, where it ended, how far off (Figure 6 right)."""
    parent, child = group
    before, after = bench.solutions(group)
    parts, whole = overlap.distance(before.parameters, after.parameters)
    _, alike = overlap.overlap(before.masks, after.masks)
    quality = [{key: s.record["result"][key] for key in s.record["result"]} for s in (before, after)]
    return {
        "parent": parent.method,
        "method": child.method,
        "moves_once": child.protocol.topology.end == child.protocol.topology.begin,
        "results": quality,
        "traces": [_trace(bench.runs / run.path) for run in (parent, child)],
        "distance": whole,
        "distances": parts,
        "overlap": asdict(alike),
    }


def _trace(folder: Path) -> Values:
    table = pq.read_table(folder / CURVE, columns=["step", "train_loss", "test_loss", "test_accuracy"])
    return table.to_pydict()


KINDS: dict[str, Callable[[Sequence[Run], Bench], Values]] = {
    "curves": curves,
    "maps": maps,
    "curvature": curvatures,
    "overlap": overlaps,
    "escape": escapes,
}

"""What was measured of landscapes: as tidy tables, in which a number that is not finite stays so, and as means over seeds.

No torch here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import stats
from analysis.errors import AnalysisError
from analysis.landscape.documents import Document, method_of, read
from analysis.records import place

Row = dict[str, Any]
INTERVAL = ["mean", "n", "low", "high"]
"""Columns of statistics (``over_seeds``)."""
WHOLE = "all"
"""In place of a layer's name: the network."""
SPACES = {"line": "", "intersection": ", intersection", "union": ", sparse space", "dense": ", dense space"}
"""What curves live in, from small to large, in words. The sparse space is the union of both masks."""
WAYS = (("linear", "line"), *((curve, space) for space in list(SPACES)[1:] for curve in ("quadratic", "cubic")))
"""Curves and spaces, in the order in which they are listed."""
QUANTITIES = ("train_loss", "train_error", "test_loss", "test_error")

CELL = {"cell": "str", "model": "str", "dataset": "str", "distribution": "str"}
CELL |= {"sparsity": "float64", "multiplier": "float64"}
PLACE = ["model", "dataset", "distribution", "sparsity", "multiplier"]
"""Columns in whose order cells come."""
PAIR = {"pair": "str", "first": "str", "second": "str", "seed_first": "int64", "seed_second": "int64"}
"""``pair`` in words; ``first`` is the method at t = 0."""
CURVE = {"curve": "str", "space": "str", "steps": "int64", "learning_rate": "float64", "diverged": "bool"}
"""linear, quadratic or cubic; line, union, dense or intersection; steps that its control points were trained for, 0 for the
line, and at what peak rate; whether its fit diverged, so that it means nothing."""
WAY = ["cell", "first", "second", "curve", "space"]
"""Columns of which each combination is trained with one budget of steps, or with several."""
RUN = {"method": "str", "label": "str", "seed": "int64"}
CONTINUED = {"parent": "str", "moves_once": "bool"} | RUN


def _numbers(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "float64")


PROFILES = CELL | PAIR | CURVE | _numbers("t", *QUANTITIES)
BARRIERS = CELL | PAIR | CURVE | {"split": "str", "points": "int64", "gaps": "int64"}
BARRIERS |= _numbers("height", "place", "area", "signed_area", "climb", "descent")
TRACES = CELL | CONTINUED | {"step": "int64"} | _numbers("train_loss", "test_loss", "test_accuracy")
"""``step`` counts from the solution that was gone on from, which is the row of step 0."""
ESCAPES = CELL | CONTINUED | _numbers("train_loss_before", "train_loss_after", "accuracy_before", "accuracy_after")
ESCAPES |= _numbers("distance", "jaccard", "chance")
EIGENVALUES = CELL | RUN | {"space": "str", "end": "str", "rank": "int64", "value": "float64"}
"""``end`` is largest or smallest; ``rank`` 0 is the extreme one."""
HESSIAN_TRACES = CELL | RUN | {"space": "str", "value": "float64", "standard_error": "float64", "vectors": "int64"}
DESCENTS = CELL | RUN | {"space": "str"} | _numbers("gradient_norm", "length", "decrease")
SHARES = CELL | RUN | {"step": "Int64", "share": "float64"}
"""Of the gradient's norm on inactive weights; no step: at the end."""
OVERLAPS = CELL | {"method": "str", "label": "str", "seed_first": "int64", "seed_second": "int64", "layer": "str"}
OVERLAPS |= dict.fromkeys(("weights", "first", "second", "both"), "int64") | _numbers("jaccard", "chance")
MOVES = CELL | RUN | {"step": "int64"} | _numbers("churn", "overlap_with_end", "explored")
"""``churn`` since the kept step before; ``explored`` by the kept steps up to this one."""
EXPLORED = CELL | RUN | {"explored": "float64"}
"""By every topology update, as the run counted."""


@dataclass(frozen=True, eq=False)
class Map:
    """The training loss over the grid of a plane, and what lies in it."""

    cell: str
    around: str
    """Label of the method whose solution random directions surround; empty for a plane through three solutions."""
    seed: int
    xs: np.ndarray
    ys: np.ndarray
    train_loss: np.ndarray
    """[len(ys), len(xs)], nats."""
    places: pd.DataFrame
    """method, label, at (solution, or path: what training left on its way, in order), x, y, residual."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """How many active weights of the first layer read each pixel."""

    cell: str
    method: str
    label: str
    seed: int
    degrees: np.ndarray
    """int [H, W]."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Documents, and as tables what is in them: columns by the constants above, methods in the house order."""

    documents: Sequence[Document]
    profiles: pd.DataFrame
    barriers: pd.DataFrame
    traces: pd.DataFrame
    escapes: pd.DataFrame
    eigenvalues: pd.DataFrame
    hessian_traces: pd.DataFrame
    descents: pd.DataFrame
    shares: pd.DataFrame
    overlaps: pd.DataFrame
    moves: pd.DataFrame
    explored: pd.DataFrame
    planes: Sequence[Map]
    surroundings: Sequence[Map]
    inputs: Sequence[Inputs]

    @property
    def cells(self) -> list[str]:
        """Every cell of which something was measured, in words."""
        return list(dict.fromkeys(document.cell["cell"] for document in self.documents))


def load(sources: Iterable[Path], methods: Mapping[str, Any]) -> Measured:
    """What the documents of ``sources`` say; ``methods`` is ``sparse_methods.methods.METHODS``, read for labels and order.

    Raises AnalysisError as ``documents.read`` does, for a document whose parts are missing, and for two runs that went on from
    one solution in a way that documents do not tell apart.
    """
    documents = read(sources)
    labels = _labels(methods)
    tables = {name: _table(documents, labels, *how) for name, how in TABLES.items()}
    _require_distinct(tables["escapes"])
    maps = _each(documents, "maps", partial(_maps, labels))
    inputs = _each(documents, "overlap", partial(_inputs, labels), labels)
    drawn = [Map(document.cell["cell"], **fields) for document, fields in maps]
    return Measured(
        documents,
        **tables,
        planes=[one for one in drawn if not one.around],
        surroundings=[one for one in drawn if one.around],
        inputs=[Inputs(document.cell["cell"], **fields) for document, fields in inputs],
    )


def over_seeds(frame: pd.DataFrame, by: Sequence[str], value: str) -> pd.DataFrame:
    """Mean, n, low and high of ``value`` within the groups of equal ``by``, in their order: the 95 % t interval of ``stats``.

    Where a value is not finite there is no mean, since one of the others alone would flatter; n counts the finite ones.
    """
    rows = []
    for key, group in frame.groupby(list(by), sort=False, dropna=False):
        rows.append(dict(zip(by, key, strict=True)) | asdict(_interval(group[value].to_numpy())))
    kinds = {name: frame[name].dtype for name in by} | dict.fromkeys(INTERVAL, "float64") | {"n": "int64"}
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def curve_name(curve: str, space: str) -> str:
    """ "quadratic, sparse space": a curve as people call it."""
    return f"{curve}{SPACES[space]}"


def longest(ways: pd.DataFrame) -> pd.DataFrame:
    """Of profiles or barriers the rows of each way's largest budget."""
    return ways[ways["steps"] == ways.groupby(WAY)["steps"].transform("max")]


def shortest(ways: pd.DataFrame) -> pd.DataFrame:
    """Of profiles or barriers the rows of each way's smallest budget, which all pairs of a cell have in common."""
    return ways[ways["steps"] == ways.groupby(WAY)["steps"].transform("min")]


def whole(barriers: pd.DataFrame) -> pd.DataFrame:
    """The barriers that say how high a way is: no gap in it, and its fit converged."""
    return barriers[(barriers["gaps"] == 0) & ~barriers["diverged"]]


def _interval(values: np.ndarray) -> stats.Interval:
    finite = values[np.isfinite(values)]
    found = stats.interval(finite)
    return found if len(finite) == len(values) else stats.Interval(np.nan, found.n, np.nan, np.nan)


# -- rows, of one group of runs -------------------------------------------------------------------------------------------


def _profiles(group: Row) -> Iterator[Row]:
    for curve in group["curves"]:
        for point in _unzipped(curve["profile"]):
            yield _of_curve(group, curve) | point


def _barriers(group: Row) -> Iterator[Row]:
    for curve in group["curves"]:
        for split, barrier in curve["barrier"].items():
            yield _of_curve(group, curve) | {"split": split} | barrier


def _of_curve(group: Row, curve: Row) -> Row:
    first, second = map(method_of, group["runs"])
    seeds = dict(zip(("seed_first", "seed_second"), group["seeds"], strict=True))
    fit = curve["fit"] or {"steps": 0, "learning_rate": None, "diverged_at": None}
    trained = {"steps": fit["steps"], "learning_rate": fit["learning_rate"], "diverged": fit["diverged_at"] is not None}
    names = {"first": first, "second": second, "curve": curve["curve"], "space": curve["space"]}
    return names | seeds | trained


def _traces(group: Row) -> Iterator[Row]:
    before, after = (list(_unzipped(trace)) for trace in group["traces"])
    for point in (before[-1] | {"step": 0}, *after):
        yield _continued(group) | point


def _escapes(group: Row) -> Iterator[Row]:
    row = _continued(group) | {"distance": group["distance"]}
    for when, result in zip(("before", "after"), group["results"], strict=True):
        row[f"train_loss_{when}"] = result["train_loss_nats"]
        row[f"accuracy_{when}"] = result["test_correct"] / result["test_total"]
    yield row | {name: group["overlap"][name] for name in ("jaccard", "chance")}


def _continued(group: Row) -> Row:
    return _run(group) | {"parent": group["parent"], "moves_once": group["moves_once"]}


def _run(group: Row) -> Row:
    return {"method": group["method"], "seed": group["seeds"][-1]}


def _eigenvalues(group: Row) -> Iterator[Row]:
    for space, ends in group["eigenvalues"].items():
        for end, values in ends.items():
            for rank, value in enumerate(values):
                yield _run(group) | {"space": space, "end": end, "rank": rank, "value": value}


def _hessian_traces(group: Row) -> Iterator[Row]:
    for space, found in group["trace"].items():
        estimate = {"value": found["mean"], "standard_error": found["standard_error"], "vectors": found["n"]}
        yield _run(group) | {"space": space} | estimate


def _descents(group: Row) -> Iterator[Row]:
    for space, found in group["descent"].items():
        for length, decrease in zip(found["lengths"], found["decreases"], strict=True):
            step = {"gradient_norm": found["gradient_norm"], "length": length, "decrease": decrease}
            yield _run(group) | {"space": space} | step


def _shares(group: Row) -> Iterator[Row]:
    for step, share in group["inactive_gradient_share_at"].items():
        yield _run(group) | {"step": int(step), "share": share}
    yield _run(group) | {"step": None, "share": group["inactive_gradient_share"]}


def _overlaps(group: Row) -> Iterator[Row]:
    for pair in group["between_seeds"]:
        seeds = dict(zip(("seed_first", "seed_second"), pair["seeds"], strict=True))
        for layer, found in {WHOLE: pair["all"], **pair["layers"]}.items():
            yield {"method": group["method"], "layer": layer} | seeds | found


def _moves(group: Row) -> Iterator[Row]:
    for one in group["over_time"]:
        columns = {name: one[name] for name in ("overlap_with_end", "explored")}
        churn = [None, *one["churn"]]
        for point in _unzipped({"step": one["steps"], "churn": churn, **columns}):
            yield {"method": group["method"], "seed": one["seed"]} | point


def _explored(group: Row) -> Iterator[Row]:
    for one in group["over_time"]:
        yield {"method": group["method"], "seed": one["seed"], "explored": one["explored_in_all"]}


def _unzipped(columns: Mapping[str, Sequence]) -> Iterator[Row]:
    """One row for each place of equally long columns."""
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


TABLES: dict[str, tuple[str, Callable[[Row], Iterator[Row]], dict[str, str]]] = {
    "profiles": ("curves", _profiles, PROFILES),
    "barriers": ("curves", _barriers, BARRIERS),
    "traces": ("escape", _traces, TRACES),
    "escapes": ("escape", _escapes, ESCAPES),
    "eigenvalues": ("curvature", _eigenvalues, EIGENVALUES),
    "hessian_traces": ("curvature", _hessian_traces, HESSIAN_TRACES),
    "descents": ("curvature", _descents, DESCENTS),
    "shares": ("curvature", _shares, SHARES),
    "overlaps": ("overlap", _overlaps, OVERLAPS),
    "moves": ("overlap", _moves, MOVES),
    "explored": ("overlap", _explored, EXPLORED),
}
"""Field of ``Measured``: kind of document, rows of a group, columns."""


# -- tables ---------------------------------------------------------------------------------------------------------------


def _labels(methods: Mapping[str, Any]) -> dict[str, str]:
    ordered = sorted(methods.values(), key=lambda method: place(method.name, method.family, method.year, method.label))
    return {method.name: method.label for method in ordered}


def _each(
    documents: Sequence[Document], kind: str, read_group: Callable[[Row], Iterator[Row]], order: Iterable[str] = ()
) -> Iterator[tuple[Document, Row]]:
    """What is in the groups of one kind of document; those of a document by method in ``order``, others as they come."""
    rank = {name: index for index, name in enumerate(order)}
    for document in documents:
        if document.kind != kind:
            continue
        for group in sorted(document.found, key=lambda group: rank.get(method_of(group["runs"][-1]), len(rank))):
            try:
                yield from ((document, found) for found in read_group(group))
            except (KeyError, TypeError, ValueError) as error:
                runs = ", ".join(group["runs"])
                problem = f"{document.source}: {error!r} in what was measured of {runs}"
                raise AnalysisError(f"{problem}\nmeasure it again") from error


def _table(
    documents: Sequence[Document],
    labels: Mapping[str, str],
    kind: str,
    rows: Callable[[Row], Iterator[Row]],
    columns: Mapping[str, str],
) -> pd.DataFrame:
    # Curves keep the study's order of pairs.
    each = _each(documents, kind, rows, () if kind == "curves" else labels)
    found = [document.cell | row | _words(row, labels) for document, row in each]
    return pd.DataFrame(found, columns=list(columns)).astype(columns)


def _words(row: Row, labels: Mapping[str, str]) -> Row:
    """Names for people: of a pair of methods, or of a method, and how it goes on."""
    if "method" not in row:
        return {"pair": " – ".join(labels.get(row[end], row[end]) for end in ("first", "second"))}
    label = labels.get(row["method"], row["method"])
    return {"label": f"{label}, moved once" if row.get("moves_once") else label}


def _require_distinct(escapes: pd.DataFrame) -> None:
    again = escapes[escapes.duplicated(["cell", *CONTINUED])]
    if len(again):
        row = again.iloc[0]
        raise AnalysisError(
            f"{row['cell']}: two runs of {row['label']} go on from {row['parent']} of seed {row['seed']}\n"
            "what tells them apart is not in documents; measure them in two studies"
        )


def _maps(labels: Mapping[str, str], group: Row) -> Iterator[Row]:
    """Fields of a Map: of the plane through the solutions, then of the maps around each."""
    places = [
        {"method": method, "at": "solution"} | found
        for method, found in zip(group["methods"], group["places"], strict=True)
    ]
    for method, path in group["paths"].items():
        places += [{"method": method, "at": "path"} | found for found in path]
    yield _map(labels, "", group["seeds"][0], group["plane"], places)
    for method, seed in zip(group["methods"], group["seeds"], strict=True):
        centre = {"method": method, "at": "solution", "x": 0, "y": 0, "residual": 0}
        yield _map(labels, labels.get(method, method), seed, group["around"][method], [centre])


def _map(labels: Mapping[str, str], around: str, seed: int, surface: Row, places: Sequence[Row]) -> Row:
    grid = {name: np.array(surface[name], dtype=np.float64) for name in ("xs", "ys", "train_loss")}
    within = pd.DataFrame(places).astype(_numbers("x", "y", "residual"))
    within.insert(1, "label", [labels.get(method, method) for method in within["method"]])
    return {"around": around, "seed": seed, "places": within} | grid


def _inputs(labels: Mapping[str, str], group: Row) -> Iterator[Row]:
    """Fields of Inputs; none where the first layer does not see pixels."""
    if group["input_degrees"] is not None:
        method, degrees = group["method"], np.array(group["input_degrees"])
        yield {"method": method, "label": labels.get(method, method), "seed": group["seeds"][0], "degrees": degrees}

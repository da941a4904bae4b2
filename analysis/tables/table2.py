"""Table 2, Appendix B: RigL as a compressor of LeNet-300-100 on MNIST, against methods that remove whole units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan

import pandas as pd

from analysis import stats, text
from analysis.audit import settings
from analysis.records import Loaded
from analysis.reported import Architecture
from analysis.stats import Interval
from analysis.tables.comparison import NOT_HERE, Cell, Column, Comparison, Kind, Number
from analysis.tables.printed import PAPER, Line, Paper, setting

NAME, TITLE = "table2", "Table 2: compression on MNIST (Appendix B)"
LEAD = (
    "What is left of LeNet-300-100 on MNIST: inputs and hidden units, without those that no weight leads to or from. RigL "
    "finds an architecture, RigL+ trains a fresh network of it. The paper prints the best error of training and, of RigL, "
    "that at its end; ours are those at the end."
)
PLACE, TEXT = "Appendix B Table 2", "Appendix B text: initial sparsity of layer 1"
MODEL, DATASET, LAYOUT, METHOD = "lenet300", "mnist", "mnist-authors", "rigl"
"""The suite's words for what the paper trained."""
PLUS = "RigL+"
"""The row whose networks start from the architecture that another run found."""
CONVENTION = "macs"
"""Two FLOPs a multiply-add, as the printed costs of this table have it."""
GIGA, KILO, PER_CENT = 1e9, 1e3, 0.01
AS_TRAINED = "what is left costs less: a record does not tell which weights go with the units that are removed"
AT_MOST = "every trained weight counted, in a network of the architecture found"
UNKNOWN = "a run's own architecture is known where another run starts from it"
MEANS = "means over seeds, rounded"
PRINTED = (
    ("Sparsity", "sparsity", "sparsity"),
    ("Training, GFLOPs", "train_cost_GFLOPs", "train_flops"),
    ("Training of what is left, GFLOPs", "train_cost_GFLOPs_scratch_final_arch", "train_flops_of_what_is_left"),
    ("Inference, KFLOPs", "inference_KFLOPs", "inference_flops"),
    ("Size, bytes", "size_bytes", "size_bytes"),
)
"""Columns of the paper: heading, metric of the record, and quantity."""
BEST, END = "test_error_best", "test_error_final"


@dataclass(frozen=True)
class Own:
    """Our runs of one row at one training length, over seeds."""

    runs: tuple[Loaded, ...]
    source: str
    """The studies that they are of."""
    left: tuple[tuple[int, ...], ...] = ()
    """Architectures that they found, of those from which another run started; in the order of ``found_by``."""
    found_by: tuple[Loaded, ...] = ()

    @property
    def done(self) -> list[Loaded]:
        """Those with a result."""
        return [item for item in self.runs if item.record.result is not None]


def build(paper: Paper, points: pd.DataFrame, loaded: Sequence[Loaded]) -> Comparison:
    """The table, with what the records ``loaded`` have of it; ``points`` are theirs, and say which studies they are of."""
    lines = paper.lines(PLACE)
    initial = {line.row.label: sparsity for line in paper.lines(TEXT) for sparsity in line.sparsities()}
    ours = [item for item in loaded if _is_ours(item)]
    lengths = sorted({item.run.multiplier for item in ours})
    sources = dict(zip(points["cell"], points["source"], strict=True))
    by_length = {
        length: [_own(ours, sources, line.row.label, initial.get(line.row.label), length) for line in lines]
        for length in lengths
    }
    columns = [*_printed(paper, lines), *_errors(paper, lines, by_length.get(1.0, [None] * len(lines)))]
    columns += [column for length, own in by_length.items() if any(own) for column in _reproduced(own, length)]
    return Comparison(
        NAME, TITLE, LEAD, tuple(line.row for line in lines), tuple(columns), links=paper.links(lines)[:1]
    )


# -- reported -------------------------------------------------------------------------------------------------------------


def _printed(paper: Paper, lines: Sequence[Line]) -> list[Column]:
    left = [_architecture("reported", [_sizes(line.network)], PAPER) for line in lines]
    columns = [_column(setting(lines[0]), "Left of it", left)]
    for title, metric, quantity in PRINTED:
        columns.append(_column(setting(lines[0]), title, [_cost(paper, line, metric, quantity) for line in lines]))
    return columns


def _cost(paper: Paper, line: Line, metric: str, quantity: str) -> Cell:
    (sparsity,) = line.sparsities()
    row = line.of(sparsity, BEST if metric == "sparsity" else metric)
    if row is None or (metric == "sparsity" and not sparsity):
        return Cell(text.NONE)
    return paper.cost(row, metric, quantity)


def _errors(paper: Paper, lines: Sequence[Line], own: Sequence[Own | None]) -> list[Column]:
    """Errors as printed, and of runs of the paper's length."""
    ends = [_printed_error(paper, line, END) for line in lines]
    run = [_error(one) if one else Cell(NOT_HERE) for one in own]
    titled = {
        "Best error, %, reported": [_printed_error(paper, line, BEST) for line in lines],
        "Error at the end, %, reported": ends,
        "Error at the end, %, reproduced": run,
    }
    if any(own):
        titled["Difference at the end, points"] = [_difference(*both) for both in zip(run, ends, strict=True)]
    return [_column(setting(lines[0]), title, cells) for title, cells in titled.items()]


def _printed_error(paper: Paper, line: Line, metric: str) -> Cell:
    (sparsity,) = line.sparsities()
    accuracy = paper.accuracy(line.of(sparsity, metric))
    return Cell(accuracy.text, tuple(_as_error(number, metric) for number in accuracy.numbers), accuracy.notes)


def _as_error(number: Number, metric: str) -> Number:
    best = "_best" if metric == BEST else ""
    return Number(**{**vars(number), "quantity": f"error{best}", "value": 1 - number.value})


# -- reproduced -----------------------------------------------------------------------------------------------------------


def _is_ours(item: Loaded) -> bool:
    run = item.run
    known = (run.model, run.dataset, run.layout, run.method) == (MODEL, DATASET, LAYOUT, METHOD)
    return known and not run.method_options and not run.model_options


def _own(
    ours: Sequence[Loaded], sources: Mapping[str, str], label: str, initial: float | None, length: float
) -> Own | None:
    """The runs of the row ``label``, whose ``initial`` sparsity the paper states."""
    alike = [item for item in ours if item.run.sparsity == initial and item.run.multiplier == length]
    runs = [item for item in alike if _takes(item) == ("architecture" if label == PLUS else "")]
    if not runs:
        return None
    built = [item for item in ours if _takes(item) == "architecture" and item.record.layers]
    left = {item.run.start_from.run.path: _trained(item) for item in built}
    found_by = [item for item in runs if item.run.path in left]
    source = sources[runs[0].run.cell_digest]
    return Own(tuple(runs), source, tuple(left[item.run.path] for item in found_by), tuple(found_by))


def _takes(item: Loaded) -> str:
    """What the run takes from the one that it starts from; empty where it starts from none."""
    return "" if item.run.start_from is None else item.run.start_from.take


def _trained(item: Loaded) -> tuple[int, ...]:
    """Inputs and hidden units of the network that was trained."""
    shapes = [layer.shape for layer in item.record.layers]
    return (shapes[0][1], *(shape[0] for shape in shapes[:-1]))


def _reproduced(own: Sequence[Own | None], length: float) -> list[Column]:
    makers: dict[str, Callable[[Own], Cell]] = {
        "Trained as": lambda one: _architecture("reproduced", [_trained(item) for item in one.runs], one.source, MEANS),
        "Left of it": _left,
        "Training, GFLOPs": lambda one: _ledger(one, "train_flops", "train_flops_total", GIGA),
        "Inference, KFLOPs, as trained": lambda one: _ledger(
            one, "inference_flops", "inference_flops", KILO, AS_TRAINED
        ),
        "Size, bytes, as trained": _size_as_trained,
        "Size, bytes, of what is left": _size_left,
        "Error at the end, %, reproduced": _error,
    }
    title = text.setting(MODEL, DATASET, LAYOUT, length)
    return [
        _column(title, name, [Cell(text.NONE) if one is None else make(one) for one in own])
        for name, make in makers.items()
    ]


def _ledger(own: Own, quantity: str, entry: str, unit: float, *notes: str) -> Cell:
    values = [getattr(item.record.flops[CONVENTION], entry) for item in own.done]
    return _cell(own, quantity, values, unit, 1, *notes)


def _left(own: Own) -> Cell:
    return _architecture("reproduced", own.left, own.source, MEANS) if own.left else Cell(text.NONE, notes=(UNKNOWN,))


def _size_as_trained(own: Own) -> Cell:
    return _cell(own, "size_bytes", [item.record.size_bytes for item in own.done], 1, 0, AS_TRAINED)


def _size_left(own: Own) -> Cell:
    if not own.left:
        return Cell(text.NONE, notes=(UNKNOWN,))
    sizes = [_size(sizes, item) for sizes, item in zip(own.left, own.found_by, strict=True) if item in own.done]
    found = _cell(own, "size_bytes_of_what_is_left", sizes, 1, 0, AT_MOST)
    return Cell(f"≤ {found.text}", found.numbers, found.notes)


def _size(sizes: tuple[int, ...], item: Loaded) -> int:
    """Bytes of a network of the ``sizes`` that still holds every weight of the run's sparse layers."""
    inputs, *hidden = sizes
    outputs = item.record.layers[-1].shape[0]
    network = settings.network(settings.Setting(MODEL, (inputs,), outputs, options={"hidden": hidden}))
    return network.size_bytes({layer.layer: layer.nonzeros for layer in item.record.layers if layer.masked})


def _error(own: Own) -> Cell:
    errors = [1 - item.record.result.test_correct / item.record.result.test_total for item in own.done]
    return _cell(own, "error", errors, PER_CENT, 2)


def _difference(ours: Cell, printed: Cell) -> Cell:
    if not ours.numbers or not printed.numbers:
        return Cell(text.NONE)
    (one,), (other,) = ours.numbers, printed.numbers
    bounds = [value - other.value for value in (one.value, one.low, one.high)]
    shown = f"{_interval(Interval(bounds[0], int(one.n), *bounds[1:]), PER_CENT, 2, '+')} (n={one.n:.0f})"
    return Cell(shown, (Number("error", "difference", bounds[0], shown, low=bounds[1], high=bounds[2], n=one.n),))


# -- cells ----------------------------------------------------------------------------------------------------------------


def _cell(own: Own, quantity: str, values: Sequence[float], unit: float, decimals: int, *notes: str) -> Cell:
    """ "2.20 ± 0.11 (n=5)": the mean of ``values`` in ``unit``, and the runs that have none."""
    counts = Counter(item.record.status.partition(":")[0] for item in own.runs)
    problems = {name: counts[name] for name in text.PROBLEMS}
    found = stats.interval(values)
    told = ", ".join(filter(None, (f"n={found.n}" if found.n else "", text.problems(problems))))
    shown = f"{_interval(found, unit, decimals)} ({told})"
    bounds = {"low": found.low, "high": found.high, "n": found.n}
    number = Number(quantity, "reproduced", found.mean, shown, **bounds, **problems, source=own.source)
    return Cell(shown, (number,), notes)


def _interval(found: Interval, unit: float, decimals: int, sign: str = "") -> str:
    if isnan(found.mean):
        return text.NONE
    mean = f"{found.mean / unit:{sign},.{decimals}f}".replace("-", "−")
    alike = isnan(found.half) or found.half <= text.ROUNDING * abs(found.mean)
    return mean if alike else f"{mean} ± {found.half / unit:,.{decimals}f}"


def _sizes(network: Architecture) -> tuple[int, ...]:
    return (*network.input, *network.options["hidden"])


def _architecture(kind: Kind, sizes: Sequence[tuple[int, ...]], source: str, *notes: str) -> Cell:
    """ "408-100-69": inputs and hidden units, the mean of each."""
    means = [stats.interval(own).mean for own in zip(*sizes, strict=True)]
    names = ("inputs", *(f"units_{number}" for number in range(1, len(means))))
    shown = [f"{mean:.0f}" for mean in means]
    numbers = tuple(
        Number(name, kind, mean, own, n=len(sizes) if kind == "reproduced" else nan, source=source)
        for name, mean, own in zip(names, means, shown, strict=True)
    )
    return Cell("-".join(shown), numbers, notes if len(set(sizes)) > 1 else ())


def _column(where: str, title: str, cells: Sequence[Cell]) -> Column:
    return Column((where,), title, tuple(cells), MODEL, DATASET)

"""The reproduced side of the paper's tables: which of our cells stands in which of their rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isclose, isnan
from typing import Any

import pandas as pd

from analysis import points as record
from analysis import text
from analysis.figures.chosen import PLACE, UPDATES, commonest
from analysis.reported import Architecture
from analysis.tables.comparison import Cell, Number
from analysis.tables.printed import Line

STARTS = {"": "", "Random": "", "Lottery": "mask of rigl"}
"""What a row's networks start from: Appendix E's lottery tickets are the masks that RigL ended with, and initial weights."""
KIN = [*PLACE, "layout", "method", "start", "distribution", "multiplier"]
"""What cells share that differ in sparsity, or in what the paper's tables do not vary."""
PLAIN = "uniform"
Found = Mapping[str, Any]
"""A cell of ours, in the columns of ``analysis.points``."""


@dataclass(frozen=True)
class Setting:
    """A network, a data set, and the training length that is called one there."""

    model: str
    dataset: str
    layout: str = "default"
    length: float = 1.0

    @property
    def title(self) -> str:
        """ "lenet300 on mnist, 0.2× training"."""
        return text.setting(self.model, self.dataset, self.layout, self.length)


class Rerun:
    """Our cells, of each method those in which nothing is varied: its default options, its usual protocol and updates."""

    def __init__(self, points: pd.DataFrame) -> None:
        own = points[
            (points["kind"] == record.REPRODUCED) & (points["metric"] == record.ACCURACY) & (points["options"] == "")
        ]
        own = commonest(own, KIN, ["protocol"])
        own = commonest(own, [*PLACE, "layout", "method"], UPDATES)
        own = commonest(own, KIN, ["variant"]).drop_duplicates([*KIN, "sparsity"])
        self._cells: list[Found] = own.to_dict("records")

    def find(self, line: Line, setting: Setting, sparsity: float) -> Found | None:
        """The cell of ``line`` in ``setting``; None where it was not run.

        A row that states no distribution, or one that the suite has no word for, takes the uniform one, else any.
        """
        found = [cell for cell in self._cells if _is_of(cell, line, setting) and isclose(cell["sparsity"], sparsity)]
        return min(
            found, key=lambda cell: (cell["distribution"] not in ("", PLAIN), cell["distribution"]), default=None
        )

    def settings(self, lines: Sequence[Line], sparsities: Iterable[float] | None) -> dict[Setting, list[float]]:
        """The settings in which rows of a table were run, and at which of ``sparsities`` (None: any).

        The length that is called one is that at which most of the rows were run, of equally many the nearest to the
        protocol's. A sparsity counts where more than one row is there, and networks of each of the table's inits.
        """
        places = dict.fromkeys((cell["model_words"], cell["dataset"], cell["layout"]) for cell in self._cells)
        asked = None if sparsities is None else list(sparsities)
        found = dict(self._best(place, lines, asked) for place in sorted(places))
        return {setting: own for setting, own in found.items() if own}

    def _best(
        self, place: tuple[str, str, str], lines: Sequence[Line], asked: Sequence[float] | None
    ) -> tuple[Setting, list[float]]:
        inside = [cell for cell in self._cells if (cell["model_words"], cell["dataset"], cell["layout"]) == place]
        there = sorted({cell["sparsity"] for cell in inside if cell["sparsity"] > 0}) if asked is None else asked
        lengths = sorted({cell["multiplier"] for cell in inside})
        counted = {
            setting: self._run(lines, setting, there) for setting in (Setting(*place, length) for length in lengths)
        }
        best = max(counted, key=lambda setting: (counted[setting].total(), -abs(setting.length - 1)))
        return best, [sparsity for sparsity in there if counted[best][sparsity]]

    def _run(self, lines: Sequence[Line], setting: Setting, sparsities: Iterable[float]) -> Counter[float]:
        """Rows that were run in ``setting``, by sparsity; none where they compare nothing."""
        inits = {line.row.init for line in lines}
        counts: Counter[float] = Counter()
        for sparsity in sparsities:
            run = [line for line in lines if self.find(line, setting, sparsity)]
            if len(run) > 1 and {line.row.init for line in run} == inits:
                counts[sparsity] = len(run)
        return counts


def _is_of(cell: Found, line: Line, setting: Setting) -> bool:
    row = line.row
    place = (cell["model_words"], cell["dataset"], cell["layout"])
    length = setting.length * (1.0 if isnan(row.multiplier) else row.multiplier)
    return (
        row.method == cell["method"] != ""
        and place == (words(line.network, setting.model), setting.dataset, setting.layout)
        and cell["start"] == STARTS[row.init]
        and (not row.distribution or cell["distribution"] in ("", row.distribution))
        and isclose(cell["multiplier"], length)
    )


def words(network: Architecture, model: str) -> str:
    """``model`` as ``analysis.points`` names it where it differs from the usual one as ``network`` does."""
    return ", ".join([model, *(f"{name} {value}" for name, value in network.options.items())])


def accuracy(cell: Found | None, line: Line, absent: str = text.NONE) -> Cell:
    """ "97.3 ± 0.4 (n=3)", in per cent; ``absent`` where there is no cell."""
    if cell is None:
        return Cell(absent)
    assumed = cell["distribution"] if not line.row.distribution and cell["distribution"] != PLAIN else ""
    note = (
        f"started from {text.distribution(assumed)}: the paper's row names no distribution to start from"
        if assumed
        else ""
    )
    return Cell(text.accuracy(counted(cell)), (_number(cell, "accuracy", note),), (note,) if note else ())


def counted(cell: Found) -> dict[str, Any]:
    """``cell`` with whole numbers of runs, which a frame with empty places holds as floats."""
    return {**cell, "n": int(cell["n"])}


def costs(cell: Found | None, setting: Setting, before: float = 0.0) -> Cell:
    """ "0.200 / 0.210": inference and training over the dense network's, trained for one length of ``setting``.

    ``before`` is what training the run whose mask it starts from had cost.
    """
    if cell is None:
        return Cell(text.NONE)
    values = {"inference_x": cell["inference_x"], "train_x": (cell["train_x"] + before) / setting.length}
    shown = {quantity: text.times(value).removesuffix("×") for quantity, value in values.items()}
    numbers = (
        Number(quantity, "reproduced", value, shown[quantity], n=cell["n"], source=cell["source"])
        for quantity, value in values.items()
    )
    return Cell(" / ".join(shown.values()), tuple(numbers))


def difference(cell: Found | None, reported: float, doubted: bool) -> Cell:
    """ "+0.4 ± 0.3 (n=3)", reproduced less reported, in percentage points; a dash where one is not there or is doubted."""
    if cell is None or isnan(reported) or doubted or not cell["n"]:
        return Cell(text.NONE)
    shifted = {name: cell[name] - reported for name in ("mean", "low", "high")}
    shown = text.difference({f"difference_{name}": value for name, value in {**shifted, "n": int(cell["n"])}.items()})
    bounds = {name: shifted[name] for name in ("low", "high")}
    return Cell(shown, (Number("accuracy", "difference", shifted["mean"], shown, **bounds, n=cell["n"]),))


def _number(cell: Found, quantity: str, note: str) -> Number:
    counts = {name: int(cell[name]) for name in ("diverged", "failed", "skipped")}
    spread = {name: cell[name] for name in ("low", "high", "n")}
    shown = text.accuracy(counted(cell))
    return Number(quantity, "reproduced", cell["mean"], shown, **spread, **counts, source=cell["source"], note=note)

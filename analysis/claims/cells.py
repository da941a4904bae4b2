"""Runs as cells over seeds, and which cells of several sides were trained alike: in one setting."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any

import pandas as pd

from analysis import text
from analysis.claims.metrics import Metric
from analysis.claims.vocabulary import CADENCE, Side, Where
from analysis.records import DISTRIBUTIONS, Loaded
from pipeline.record import LayerCount
from pipeline.run import Run, Topology

OWN = ("layout", "distribution", "sparsity", "precision")
"""What settings have, but for those of a side that has its own."""
AXES = (*OWN, "multiplier")
"""Of a setting, what a side may leave open."""
PAPER = Topology()
"""The paper's cadence (sections 4, 4.1): an update every 100 steps that drops 0.3 of the active weights, cosine decay."""


@dataclass(frozen=True)
class Cell:
    """The runs that differ in nothing but the seed."""

    run: Run
    """One of them."""
    done: tuple[Loaded, ...]
    lost: tuple[tuple[str, int], ...] = ()
    """Numbers of the others, by status."""

    @cached_property
    def protocol(self) -> str:
        """Digest of what settings or sides have not of their own."""
        return _alike(self.run).digest

    @cached_property
    def protocol_of_any_network(self) -> str:
        """The same without the options of the model."""
        return replace(_alike(self.run), model_options={}).digest


@dataclass(frozen=True)
class Setting:
    """What sides have in common. None: they have it not, or each has its own."""

    model: str
    dataset: str
    layout: str | None = None
    distribution: str | None = None
    sparsity: float | None = None
    multiplier: float | None = None
    precision: str | None = None
    detail: str = ""
    """What else tells two settings apart, in words."""
    protocol: str = ""
    """Digest of all else that must be equal."""

    @property
    def words(self) -> str:
        """ "lenet300 on mnist, 0.2× training, uniform, 90 %"; the precision where it is not float32."""
        first = text.setting(self.model, self.dataset, self.layout or "default", self.multiplier or 1.0)
        shared = "" if self.distribution is None else DISTRIBUTIONS[self.distribution]
        sparsity = "" if self.sparsity is None else text.sparsity(self.sparsity)
        precision = "" if self.precision == "float32" else self.precision
        return ", ".join(part for part in (first, shared, sparsity, precision, self.detail) if part)

    def within(self, where: Where) -> bool:
        """Whether a test that is restricted to ``where`` is asked here; of what sides have not in common nothing is asked."""
        return (
            (not where.model or self.model in where.model)
            and (not where.dataset or self.dataset in where.dataset)
            and (where.distribution in (None, self.distribution) or self.distribution is None)
            and _between(self.sparsity, where.sparsity)
            and _between(self.multiplier, where.multiplier)
        )

    @property
    def order(self) -> tuple:
        """By which settings are listed."""
        axes = (self.layout or "", self.multiplier or 0.0, self.distribution or "", self.sparsity or 0.0)
        return (self.model, self.dataset, *axes, self.precision == "bf16", self.detail)

    def joined(self, other: Setting) -> Setting | None:
        """Both in one; None where they differ."""
        if (self.model, self.dataset, self.protocol) != (other.model, other.dataset, other.protocol):
            return None
        axes = {}
        for name in AXES:
            values = {value for value in (getattr(self, name), getattr(other, name)) if value is not None}
            if len(values) > 1:
                return None
            axes[name] = next(iter(values), None)
        return replace(self, **axes, detail=", ".join(filter(None, dict.fromkeys((self.detail, other.detail)))))


@dataclass(frozen=True)
class Match:
    """One cell for each side of a test, trained alike."""

    setting: Setting
    cells: tuple[Cell, ...]

    @property
    def lost(self) -> str:
        """ "2 diverged, 1 failed" of all cells; empty when all runs are done."""
        counts = Counter(dict(self.cells[0].lost))
        for cell in self.cells[1:]:
            counts.update(dict(cell.lost))
        return ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))


@dataclass(frozen=True)
class Pool:
    """All records that claims are held against; ``methods`` is ``sparse_methods.methods.METHODS``."""

    loaded: Sequence[Loaded]
    methods: Mapping[str, Any] = field(repr=False)

    @cached_property
    def cells(self) -> list[Cell]:
        """Every cell, in the order of its first run."""
        groups: dict[str, list[Loaded]] = {}
        for item in self.loaded:
            groups.setdefault(item.run.cell_digest, []).append(item)
        return [_cell(runs) for runs in groups.values()]

    @cached_property
    def architectures(self) -> Mapping[str, tuple[LayerCount, ...]]:
        """By run, the layers of the network that another run took from it."""
        taken = (item for item in self.loaded if item.run.finds_its_network and item.record.layers)
        return {item.run.start_from.run.path: item.record.layers for item in taken}

    def of(self, side: Side) -> dict[Setting, list[Cell]]:
        """The side's cells by setting: those of the paper's cadence where there are others too, each executed in the way that
        has the most seeds."""
        found: dict[Setting, list[Cell]] = {}
        for cell in self.cells:
            if is_on(cell.run, side):
                found.setdefault(self.setting(cell, side), []).append(cell)
        return {setting: _usual(_once_each(cells)) for setting, cells in found.items()}

    def setting(self, cell: Cell, side: Side) -> Setting:
        """Where ``cell`` was trained, without what is the side's own."""
        run = cell.run
        own = {name for name in OWN if getattr(side, name) is not None}
        own |= set(getattr(self.methods.get(run.method), "ignores", ()))
        return Setting(
            model=_network(run, side),
            dataset=run.dataset,
            **{name: value for name, value in _trained_at(run).items() if name not in own},
            multiplier=round(run.multiplier / side.length, 9),
            protocol=cell.protocol if side.network is None else cell.protocol_of_any_network,
        )

    def values(self, cell: Cell, metric: Metric) -> pd.Series:
        """The metric by seed, of the runs that are done and have it; logarithms where its unit is a ratio."""
        found = {item.run.seed: metric.difference_of(item, self) for item in cell.done}
        return pd.Series({seed: value for seed, value in found.items() if value is not None}, dtype="float64")

    def matches(self, sides: Sequence[Side], where: Where) -> list[Match]:
        """Every setting in which each of ``sides`` has a cell. Several cells of one side are several settings, whose words say
        in what they differ."""
        alike: list[tuple[Setting, list[list[Cell]]]] = [
            (setting, [cells]) for setting, cells in self.of(sides[0]).items()
        ]
        for side in sides[1:]:
            more = self.of(side).items()
            pairs = ((one.joined(other), [*held, cells]) for one, held in alike for other, cells in more)
            alike = [(setting, held) for setting, held in pairs if setting is not None]
        found = (match for setting, held in alike if setting.within(where) for match in _told_apart(setting, held))
        return sorted(found, key=lambda match: match.setting.order)


def _cell(runs: Sequence[Loaded]) -> Cell:
    done = tuple(item for item in runs if item.record.status == "done")
    lost = Counter(item.record.status.partition(": ")[0] for item in runs if item.record.status != "done")
    return Cell(runs[0].run, done, tuple(sorted(lost.items())))


def is_on(run: Run, side: Side) -> bool:
    """Whether ``run`` is one of the side's; its length is for the setting to tell."""
    asked = {name: getattr(side, name) for name in OWN}
    has = _trained_at(run)
    topology = run.protocol.topology
    return (
        run.method == side.method
        and dict(run.method_options) == side.options
        and all(has[name] == value for name, value in asked.items() if value is not None)
        and all(getattr(topology, name) == value for name, value in side.cadence.items())
        and (side.network is None or dict(run.model_options) == side.network)
        and _starts_as(run, side)
    )


def _starts_as(run: Run, side: Side) -> bool:
    start, asked = run.start_from, side.start
    if start is None or asked is None:
        return start is None and asked is None
    parent = start.run
    plain = parent.method == asked.of and parent.start_from is None and not parent.method_options
    alike = _alike(parent) == _alike(run) and parent.protocol.precision == run.protocol.precision
    if asked.take == "mask":
        alike = alike and _trained_at(parent) == _trained_at(run) and parent.multiplier == run.multiplier
    return start.take == asked.take and plain and alike


def _trained_at(run: Run) -> dict[str, Any]:
    """What OWN names."""
    return {
        "layout": run.layout,
        "distribution": run.distribution,
        "sparsity": run.sparsity,
        "precision": run.protocol.precision,
    }


def _alike(run: Run) -> Run:
    """``run`` without what settings or sides have of their own, and without how its sparsity was computed with."""
    return replace(
        run,
        method="",
        method_options={},
        distribution="uniform",
        sparsity=0.0,
        layout="default",
        multiplier=1.0,
        start_from=None,
        snapshots=(),
        protocol=replace(run.protocol, topology=Topology(), execution="masked", precision="float32"),
        seed=0,
    )


def _network(run: Run, side: Side) -> str:
    options = run.model_options if side.network is None else {}
    return " ".join([run.model, *(f"{name}={value}" for name, value in options.items())])


def _once_each(cells: Sequence[Cell]) -> list[Cell]:
    """Of cells that differ only in how sparsity was computed with, the one of most seeds, of equals the one behind masks."""
    ranked = sorted(cells, key=lambda cell: (-len(cell.done), cell.run.protocol.execution != "masked"))
    best: dict[str, Cell] = {}
    for cell in ranked:
        behind_masks = replace(cell.run, protocol=replace(cell.run.protocol, execution="masked"))
        best.setdefault(behind_masks.cell_digest, cell)
    kept = {id(cell) for cell in best.values()}
    return [cell for cell in cells if id(cell) in kept]


def _usual(cells: Sequence[Cell]) -> list[Cell]:
    """Of cells that differ in cadence, those with the paper's, field by field, as far as there are any."""
    for name in CADENCE:
        usual = getattr(PAPER, name)
        cells = [cell for cell in cells if getattr(cell.run.protocol.topology, name) == usual] or list(cells)
    return list(cells)


def _told_apart(setting: Setting, sides: Sequence[Sequence[Cell]]) -> Iterator[Match]:
    for cells in product(*sides):
        details = [_difference(cell, among) for cell, among in zip(cells, sides, strict=True)]
        detail = ", ".join(filter(None, dict.fromkeys((setting.detail, *details))))
        yield Match(replace(setting, detail=detail), cells)


def _difference(cell: Cell, among: Iterable[Cell]) -> str:
    """What of its topology updates tells ``cell`` from the others, in words; empty where it is alone."""
    one = dataclasses.asdict(cell.run.protocol.topology)
    others = [dataclasses.asdict(other.run.protocol.topology) for other in among]
    differing = [f"{name} {value}" for name, value in one.items() if any(other[name] != value for other in others)]
    return f"{cell.run.method} with {', '.join(differing)}" if differing else ""


def _between(value: float | None, bounds: tuple[float, float]) -> bool:
    return value is None or bounds[0] <= value <= bounds[1]

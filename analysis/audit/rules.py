"""The rulebook: ``rules.yaml`` read and checked. What a cell's source states, and what it may have done instead."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from analysis.audit.cells import Cell, Printed, Selection, Where
from analysis.audit.settings import Setting
from analysis.errors import AnalysisError

RULES = Path(__file__).parent / "rules.yaml"
OVERRIDES = {*(field.name for field in fields(Setting)), "quantity", "given"}


@dataclass(frozen=True)
class Measure:
    """What a metric is: a quantity of ``settings``, and the unit that it is printed in."""

    quantity: str
    unit: float = 1.0


@dataclass(frozen=True)
class Hypothesis:
    """Something else that a source may have done: fields of the setting, and what it says where the number comes out."""

    name: str
    reason: str
    setting: Mapping[str, Any]
    source: str = ""
    """Where its authors are seen to do so; without one it is inferred, because numbers come out with it."""

    @property
    def words(self) -> str:
        """The reason, and what it rests on."""
        return f"{self.reason} ({self.source or 'inferred'})"


@dataclass(frozen=True)
class Rule:
    """What holds for the cells that it fits."""

    where: Where
    setting: Mapping[str, Any] = field(default_factory=dict)
    hypotheses: tuple[str, ...] = ()
    why: str | None = None
    """Where the setting comes from, where the record's own words do not say it."""
    unknown: str | None = None
    """Why the cells cannot be recomputed; empty: they can, whatever an earlier rule says."""


@dataclass(frozen=True)
class Erratum:
    """One thing that is wrong in the record, or cannot be checked; the numbers are those of its cells."""

    name: str
    title: str
    words: str
    where: tuple[Where, ...]
    verdicts: tuple[str, ...]
    """Kinds of verdicts that its cells have."""
    hypotheses: tuple[str, ...] = ()
    """Hypotheses by which they are explained; none: any, or none."""
    otherwise: Mapping[str, Any] | None = None
    """Its cells agree, and would not under a setting with these fields."""


@dataclass(frozen=True)
class Stated:
    """What is known of a cell before anything is computed."""

    measure: Measure
    setting: Mapping[str, Any]
    """Overrides of what the row itself says."""
    hypotheses: tuple[Hypothesis, ...]
    why: str
    unknown: str
    """Why it cannot be recomputed; empty: it can."""


@dataclass(frozen=True)
class Rulebook:
    """All of ``rules.yaml``."""

    measures: Mapping[str, Measure]
    selection: Selection
    hypotheses: Mapping[str, Hypothesis]
    rules: Sequence[Rule]
    errata: Sequence[Erratum]

    def stated(self, cell: Cell) -> Stated:
        """Every rule that fits ``cell``, a later one over an earlier one."""
        setting: dict[str, Any] = {}
        names: list[str] = []
        reasons: list[str] = []
        unknown = ""
        for rule in self.rules:
            if rule.where.fits(cell.row, cell.metric):
                setting |= rule.setting
                names += [name for name in rule.hypotheses if name not in names]
                reasons += [rule.why] if rule.why else []
                unknown = unknown if rule.unknown is None else rule.unknown
        hypotheses = tuple(self.hypotheses[name] for name in names)
        return Stated(self.measures[cell.metric], setting, hypotheses, "; ".join(reasons), unknown)


@functools.cache
def load(path: Path = RULES) -> Rulebook:
    """The rules of ``path``. Raises AnalysisError for an unknown key, field or hypothesis."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    hypotheses = {name: Hypothesis(name, **given) for name, given in data["hypotheses"].items()}
    measures = {metric: Measure(**given) for metric, given in data["quantities"].items()}
    rules = [_rule(given, hypotheses) for given in data["rules"]]
    for owner in (*hypotheses.values(), *rules):
        for name in owner.setting:
            if name not in OVERRIDES:
                raise AnalysisError(
                    f"{path.name}: a setting has no field {name!r}; it has {', '.join(sorted(OVERRIDES))}"
                )
    selection = Selection(
        metrics=frozenset(measures),
        left_out=frozenset(metric for metrics in data["left_out"].values() for metric in metrics),
        sparsity=[Where.of(keys) for keys in data["sparsity_cells"]],
        printed=[Printed(**{**given, "where": Where.of(given["where"])}) for given in data["printed"]],
    )
    errata = [_erratum(name, given, hypotheses) for name, given in data["errata"].items()]
    return Rulebook(measures, selection, hypotheses, rules, errata)


def _rule(given: Mapping[str, Any], hypotheses: Mapping[str, Hypothesis]) -> Rule:
    names = tuple(given.get("try", ()))
    _check_names(names, hypotheses)
    return Rule(
        where=Where.of(given["where"]),
        setting=given.get("setting", {}),
        hypotheses=names,
        why=given.get("why"),
        unknown=given.get("unknown"),
    )


def _erratum(name: str, given: Mapping[str, Any], hypotheses: Mapping[str, Hypothesis]) -> Erratum:
    names = tuple(given.get("hypotheses", ()))
    _check_names(names, hypotheses)
    return Erratum(
        name=name,
        title=given["title"],
        words=given["words"],
        where=tuple(Where.of(keys) for keys in given.get("where", [{}])),
        verdicts=tuple(given["verdicts"]),
        hypotheses=names,
        otherwise=given.get("otherwise"),
    )


def _check_names(names: Sequence[str], hypotheses: Mapping[str, Hypothesis]) -> None:
    for name in names:
        if name not in hypotheses:
            raise AnalysisError(f"there is no hypothesis {name!r}; there are {', '.join(hypotheses)}")

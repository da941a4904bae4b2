"""Sides and tests in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis import text
from analysis.claims.metrics import METRICS, Metric
from analysis.claims.vocabulary import Side
from analysis.records import DISTRIBUTIONS

CADENCE = {"update_every": "every {:,} steps", "drop_fraction": "drop fraction {:g}", "decay": "{} decay"}
TAKEN = {"mask": "from {}'s final mask", "architecture": "in the network that {} found"}


def side(one: Side, methods: Mapping[str, Any]) -> str:
    """ "RigL (ERK, 5× as long, every 1,000 steps)"."""
    parts = [f"{name}={value}" for name, value in {**one.options, **(one.network or {})}.items()]
    parts += [DISTRIBUTIONS[one.distribution]] if one.distribution else []
    parts += [text.sparsity(one.sparsity)] if one.sparsity is not None else []
    parts += [one.precision] if one.precision else []
    parts += [f"{one.length:g}× as long"] if one.length != 1 else []
    parts += [CADENCE[name].format(value) for name, value in one.cadence.items()]
    parts += [TAKEN[one.start.take].format(methods[one.start.of].label)] if one.start else []
    label = methods[one.method].label
    return f"{label} ({', '.join(parts)})" if parts else label


def test(first: str, relation: str, second: str, metric: str, margin: str = "") -> str:
    """ "RigL beats SET in training loss by 5 %"."""
    inside = "" if metric == "accuracy" else f" in {METRICS[metric].words}"
    return f"{first} {relation} {second}{inside}{margin}"


def margin(word: str, amount: float, metric: Metric) -> str:
    """ " within 0.2 points"; empty for none."""
    if not amount:
        return ""
    return f" {word} {100 * amount:g} %" if metric.unit.is_ratio else f" {word} {amount:g} {metric.unit.name}"


def value(fields: Mapping[str, Any]) -> str:
    """ "every 100 steps, drop fraction 0.3", "momentum 0.99"."""
    return ", ".join(
        CADENCE[name].format(one) if name in CADENCE else f"{name.rpartition('.')[2]} {one:g}"
        for name, one in fields.items()
    )


def either(values: Sequence[Mapping[str, Any]]) -> str:
    """The values of a sweep."""
    return " or ".join(map(value, values))

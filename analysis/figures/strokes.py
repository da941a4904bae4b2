"""How the lines of the paper's figures look: one colour a method, paler and dashed where a method has several lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from matplotlib.colors import to_hex, to_rgb

from analysis import style
from analysis.records import DISTRIBUTIONS

PRINTED = r"\*|\s*\(.*\)"
"""What publications add to the name of a method."""
PLAIN = ("", "uniform")
"""Distributions that a line's name does not say."""
PALE = 0.45
"""Share of white in the colour of a method's second line; with three lines the third has twice that."""
TINTED = 0.6
"""Share of white in the lightest tint of a method."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass(frozen=True)
class Line:
    """How a line is drawn: its look, and the dashes of what was run."""

    look: style.Look
    dashes: tuple[float, ...] = ()

    @property
    def style(self) -> str | tuple:
        """As matplotlib takes it."""
        return (0, self.dashes) if self.dashes else "-"


Lines = Mapping[str, Line]
"""By name, in the order of the legend."""


def by_method(points: pd.DataFrame, methods: Sequence[str]) -> tuple[dict[str, Line], pd.DataFrame]:
    """One line for each of ``methods`` and distribution in ``points``, in this order, and the points with their ``line``."""
    names = plain_label(points) + points["distribution"].map(
        lambda name: "" if name in PLAIN else f", {DISTRIBUTIONS[name]}"
    )
    named, found = points.assign(line=names), {}
    for method in methods:
        own = named[named["method"] == method].sort_values("distribution", ascending=False)
        distributions = own.drop_duplicates("line")[["line", "distribution"]].itertuples(index=False)
        for rank, (name, distribution) in enumerate(distributions):
            found[name] = Line(style.look(method, rank * PALE), tuple(style.DASHES[distribution] or ()))
    return found, named


def plain_label(points: pd.DataFrame) -> pd.Series:
    """One name for each point's method: that of our runs where there are any, else the printed one without additions."""
    names = points.sort_values("kind", kind="stable")["label"].str.replace(PRINTED, "", regex=True)
    return names.groupby(points["method"]).transform("last").reindex(points.index)


def paler(line: Line) -> Line:
    """``line`` with its colour turned half to white."""
    tinted = (channel + (1 - channel) * PALE for channel in to_rgb(line.look.color))
    return replace(line, look=style.Look(to_hex(tuple(tinted)), line.look.marker))


def tints(method: str, names: Sequence[str]) -> dict[str, Line]:
    """Lines of one method that differ in something else: its colour, lighter and lighter, each with a marker of its own."""
    shades = [TINTED * rank / max(len(names) - 1, 1) for rank in range(len(names))]
    looks = (style.look(method, shade).color for shade in shades)
    return {name: Line(style.Look(color, marker)) for name, color, marker in zip(names, looks, MARKERS, strict=False)}

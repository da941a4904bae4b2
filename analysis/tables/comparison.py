"""A table of the paper, reported beside reproduced: numbers with where they are from, and the four forms they are written in.

What has a number in it is a cell, of one text and the numbers behind it. The page, Markdown and LaTeX show the texts, with
marks for what is to be said of them; the CSV has every number, with its source.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, groupby
from math import nan
from pathlib import Path
from typing import Literal

import pandas as pd

from analysis import text
from analysis.tables import latex, page
from analysis.tables.page import Block, Group, Link, Panel

Kind = Literal["reported", "recomputed", "reproduced", "difference"]
NOT_HERE = "not run here"
SIDE_BY_SIDE = "Reported and reproduced"
CAPTION = (
    "Reported: as printed, mean ± standard deviation; in brackets, recomputed: the cost that this suite's code gives for the "
    "same setting (the audit has every such cell). Reproduced: from records, the mean over n seeds; "
    f"{text.INTERVAL_NOTE}; runs that diverged, failed or were skipped are counted and in no mean. A difference is reproduced "
    "less reported, with the interval of the reproduced mean alone. Other networks and data sets than the paper's stand in "
    "columns of their own: they show what becomes of the order of methods, not of the paper's numbers. Their costs are over "
    "those of their own dense network, trained for the length that is called one."
)


@dataclass(frozen=True)
class Number:
    """One number, in the units of its quantity's name; accuracies, errors and sparsities are fractions."""

    quantity: str
    kind: Kind
    value: float
    shown: str
    std: float = nan
    """As it was printed."""
    low: float = nan
    """Bounds of the 95 % t interval over seeds."""
    high: float = nan
    n: float = nan
    diverged: int = 0
    failed: int = 0
    skipped: int = 0
    source: str = ""
    """Key of the bibliography, or the studies that the records are of."""
    place: str = ""
    url: str = ""
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """What stands in one place of the table."""

    text: str
    numbers: tuple[Number, ...] = ()
    notes: tuple[str, ...] = ()
    """What is to be said of it, below the table."""


@dataclass(frozen=True)
class Column:
    """Cells of one quantity."""

    groups: tuple[str, ...]
    """Headings above its own, the widest first: the setting, then the sparsity or the quantity."""
    title: str
    cells: tuple[Cell, ...]
    """One a row."""
    model: str = ""
    dataset: str = ""
    sparsity: float = nan


@dataclass(frozen=True)
class Row:
    """What a row is of."""

    label: str
    method: str = ""
    distribution: str = ""
    multiplier: float = nan
    init: str = ""


@dataclass(frozen=True)
class Line:
    """What belongs in no column of its setting."""

    row: Row
    setting: str
    cell: Cell
    model: str
    dataset: str


@dataclass(frozen=True)
class Comparison:
    """One table."""

    name: str
    """Of its files."""
    title: str
    lead: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    lines: tuple[Line, ...] = ()
    links: tuple[Link, ...] = ()
    """Where reported numbers are printed."""
    caption: str = CAPTION

    def panel(self) -> Panel:
        """The table without the formatting of any language; marks stand behind the texts that notes are about."""
        marks = _marks(self._cells())
        texts = [[_marked(column.cells[place], marks) for column in self.columns] for place in range(len(self.rows))]
        return Panel(
            self.title,
            [(f"{line.row.label}, {line.setting}", _marked(line.cell, marks)) for line in self.lines],
            [column.title for column in self.columns],
            [Block("", [(row.label, own) for row, own in zip(self.rows, texts, strict=True)])],
            [f"[{mark}] {note}." for note, mark in marks.items()],
            links=self.links,
            groups=_groups([column.groups for column in self.columns]),
        )

    def frame(self) -> pd.DataFrame:
        """One row a number, with the columns COLUMNS."""
        found = [
            _about(self.name, line.row, line.setting, line.model, line.dataset, 0.0) | vars(number)
            for line in self.lines
            for number in line.cell.numbers
        ]
        for place, row in enumerate(self.rows):
            for column in self.columns:
                about = _about(self.name, row, column.groups[0], column.model, column.dataset, column.sparsity)
                found += [about | vars(number) for number in column.cells[place].numbers]
        return pd.DataFrame(found, columns=COLUMNS)

    def parts(self) -> list[Comparison]:
        """One table a setting, for languages in which all of them side by side are too wide, without rows that it has not."""
        settings = dict.fromkeys(column.groups[0] for column in self.columns)
        return [self._part(setting, () if place else self.links) for place, setting in enumerate(settings)]

    def html(self) -> str:
        """A page that needs nothing else; everything is escaped."""
        return page.html(self.title, [replace(self.panel(), title=SIDE_BY_SIDE)], self.caption, lead=self.lead)

    def markdown(self) -> str:
        """A table a setting."""
        panels = page.markdown([part.panel() for part in self.parts()], self.caption)
        return f"# {text.markdown(self.title)}\n\n{text.markdown(self.lead)}\n\n{panels}"

    def latex(self) -> str:
        """A table a setting, labelled tab:NAME-1, -2, ..."""
        titled = [replace(part.panel(), title=f"{self.title}. {part.title}") for part in self.parts()]
        return "\n".join(
            latex.table(panel, self.caption, f"{self.name}-{number}") for number, panel in enumerate(titled, start=1)
        )

    def write(self, folder: Path) -> list[Path]:
        """Write the table as NAME.html, .md, .csv and .tex into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        contents = {
            "html": self.html(),
            "md": self.markdown(),
            "csv": self.frame().to_csv(index=False, lineterminator="\n"),
            "tex": self.latex(),
        }
        written = [folder / f"{self.name}.{ending}" for ending in contents]
        for path, content in zip(written, contents.values(), strict=True):
            path.write_text(content, encoding="utf-8")
        return written

    def _part(self, setting: str, links: tuple[Link, ...]) -> Comparison:
        columns = [column for column in self.columns if column.groups[0] == setting]
        held = [place for place in range(len(self.rows)) if any(column.cells[place].numbers for column in columns)]
        return replace(
            self,
            title=setting,
            rows=tuple(self.rows[place] for place in held),
            columns=tuple(
                replace(column, groups=column.groups[1:], cells=tuple(column.cells[place] for place in held))
                for column in columns
            ),
            lines=tuple(line for line in self.lines if line.setting == setting),
            links=links,
        )

    def _cells(self) -> Iterator[Cell]:
        by_row = (column.cells[place] for place in range(len(self.rows)) for column in self.columns)
        return chain((line.cell for line in self.lines), by_row)


IDENTITY = ("table", "row", "method", "distribution", "multiplier", "init", "setting", "model", "dataset", "sparsity")
COLUMNS = [*IDENTITY, *(field.name for field in fields(Number))]


def _about(table: str, row: Row, setting: str, model: str, dataset: str, sparsity: float) -> dict:
    values = (
        table,
        row.label,
        row.method,
        row.distribution,
        row.multiplier,
        row.init,
        setting,
        model,
        dataset,
        sparsity,
    )
    return dict(zip(IDENTITY, values, strict=True))


def _groups(keys: Sequence[tuple[str, ...]]) -> list[list[Group]]:
    """Headings of each level; of a deeper level, equal ones under one heading are one."""
    levels = range(len(keys[0])) if keys else ()
    return [
        [Group(key[-1], len(list(own))) for key, own in groupby(keys, key=lambda key, level=level: key[: level + 1])]
        for level in levels
    ]


def _marks(cells: Iterator[Cell]) -> dict[str, str]:
    """A letter a note, in the order in which they come."""
    notes = dict.fromkeys(note for cell in cells for note in cell.notes)
    return {note: _letters(place) for place, note in enumerate(notes)}


def _letters(place: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    more, last = divmod(place, len(string.ascii_lowercase))
    return (_letters(more - 1) if more else "") + string.ascii_lowercase[last]


def _marked(cell: Cell, marks: dict[str, str]) -> str:
    if not cell.notes:
        return cell.text
    return f"{cell.text} [{', '.join(marks[note] for note in dict.fromkeys(cell.notes))}]"

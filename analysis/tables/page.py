"""Tables and figures for people, whatever is in them: a page, or Markdown. The same style for all."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from analysis import claims, text


@dataclass(frozen=True)
class Block:
    """Rows of one quantity: a name and a text per column."""

    title: str
    rows: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class Picture:
    """A figure that lies beside the page."""

    title: str
    caption: str
    png: Path

    @property
    def source(self) -> str:
        """The picture itself, so that a page needs nothing else.

        As WebP without loss, less than half of the PNG: a report holds the page in an address, which Chromium takes up to
        2 MB.
        """
        packed = io.BytesIO()
        with Image.open(self.png) as picture:
            picture.save(packed, "WEBP", lossless=True)
        return f"data:image/webp;base64,{base64.b64encode(packed.getvalue()).decode()}"


@dataclass(frozen=True)
class Group:
    """A heading over ``span`` columns."""

    title: str
    span: int


@dataclass(frozen=True)
class Link:
    """Words that lead to an address."""

    words: str
    address: str


@dataclass(frozen=True)
class Panel:
    """A table of its own: title, lines of what has no column, column headings, blocks of rows, notes; before it, pictures."""

    title: str
    lines: list[tuple[str, str]]
    columns: list[str]
    blocks: list[Block]
    notes: list[str]
    rows: str = "Method"
    """What a row is."""
    pictures: Sequence[Picture] = ()
    sentences: Sequence[str] = ()
    """Of what stands below, said first."""
    links: Sequence[Link] = ()
    """Where its numbers are from."""
    groups: Sequence[Sequence[Group]] = ()
    """Levels of headings over ``columns``, the widest first; each level spans them all."""
    worded: frozenset[int] = frozenset()
    """Columns of words, by their place in ``columns``: they read from the left and wrap, the others are numbers."""

    @property
    def levels(self) -> list[list[tuple[Group, str]]]:
        """The groups of each level, each with the class of its first column's left edge."""
        return [[(group, self._edge(start)) for group, start in _starts(level)] for level in self.groups]

    @property
    def looks(self) -> list[str]:
        """The classes of each column."""
        kinds = ["words" if column in self.worded else "" for column in range(len(self.columns))]
        return [" ".join(filter(None, (kind, self._edge(column)))) for column, kind in enumerate(kinds)]

    def _edge(self, column: int) -> str:
        """Of a column with which one of the widest groups begins."""
        return "begins" if self.groups and column in (start for _, start in _starts(self.groups[0])) else ""


def _starts(level: Sequence[Group]) -> Iterator[tuple[Group, int]]:
    """Each group with its first column."""
    return zip(level, accumulate((group.span for group in level[:-1]), initial=0), strict=True)


def html(
    title: str,
    panels: Sequence[Panel],
    caption: str = "",
    findings: Sequence[claims.Judged] = (),
    measured: str = claims.MEASURED,
    template: str = "page.html.j2",
    lead: str = "",
) -> str:
    """The panels, and what they say of claims, as a page that needs nothing else; everything is escaped.

    ``lead`` stands before the panels, ``caption`` after them; ``measured`` is the heading of what is said of claims,
    ``template`` one of this folder.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        title=title, panels=panels, findings=findings, caption=caption, measured=measured, lead=lead
    )


def markdown(panels: Sequence[Panel], caption: str = "", level: int = 2) -> str:
    """The panels as Markdown, under headings of ``level``, the caption last."""
    parts = [_panel(panel, level) for panel in panels] or ["No data: no records were found."]
    return "\n\n".join([*parts, *([caption] if caption else [])]) + "\n"


def _panel(panel: Panel, level: int) -> str:
    parts = [f"{'#' * level} {text.markdown(panel.title)}", *map(text.markdown, panel.sentences)]
    parts += [f"{text.markdown(name)}: {text.markdown(value)}." for name, value in panel.lines]
    parts += ["\n".join(f"- [{text.markdown(link.words)}](<{link.address}>)" for link in panel.links)] * bool(
        panel.links
    )
    for one in panel.pictures:
        parts += [f"![{text.markdown(one.title)}]({one.png.name})", text.markdown(one.caption)]
    parts += [_block(panel, block) for block in panel.blocks]
    parts += ["\n".join(f"- {text.markdown(note)}" for note in panel.notes)] if panel.notes else []
    return "\n\n".join(parts)


def _block(panel: Panel, block: Block) -> str:
    alignment = ["---" if place in panel.worded else "---:" for place in range(len(panel.columns))]
    lines = [[block.title or panel.rows, *_whole_headings(panel)], ["---", *alignment]]
    lines += [[name, *texts] for name, texts in block.rows]
    return "\n".join(f"| {' | '.join(map(text.markdown, line))} |" for line in lines)


def _whole_headings(panel: Panel) -> list[str]:
    """Every column under all of its headings: Markdown's tables have one line of them."""
    levels = [[group.title for group in level for _ in range(group.span)] for level in panel.groups]
    return [", ".join(filter(None, parts)) for parts in zip(*levels, panel.columns, strict=True)]

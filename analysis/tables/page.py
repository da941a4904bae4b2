"""Tables and figures for people, whatever is in them: a page, or Markdown. The same style for all."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

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
        """The picture itself, so that a page needs nothing else."""
        return f"data:image/png;base64,{base64.b64encode(self.png.read_bytes()).decode()}"


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


def html(
    title: str,
    panels: Sequence[Panel],
    caption: str,
    findings: Sequence[claims.Judged] = (),
    measured: str = claims.MEASURED,
    template: str = "page.html.j2",
) -> str:
    """The panels, and what they say of claims, as a page that needs nothing else; everything is escaped.

    ``measured`` is the heading of what is said of claims; ``template`` one of this folder.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        title=title, panels=panels, findings=findings, caption=caption, measured=measured
    )


def markdown(panels: Sequence[Panel], caption: str, level: int = 2) -> str:
    """The panels as Markdown, under headings of ``level``, the caption last."""
    parts = [_panel(panel, level) for panel in panels]
    return "\n\n".join([*(parts or ["No data: no records were found."]), caption]) + "\n"


def _panel(panel: Panel, level: int) -> str:
    parts = [f"{'#' * level} {text.markdown(panel.title)}"]
    parts += [f"{text.markdown(name)}: {text.markdown(value)}." for name, value in panel.lines]
    for one in panel.pictures:
        parts += [f"![{text.markdown(one.title)}]({one.png.name})", text.markdown(one.caption)]
    for block in panel.blocks:
        lines = [[block.title, *panel.columns], ["---", *["---:"] * len(panel.columns)]]
        lines += [[name, *texts] for name, texts in block.rows]
        parts.append("\n".join(f"| {' | '.join(map(text.markdown, line))} |" for line in lines))
    parts += ["\n".join(f"- {text.markdown(note)}" for note in panel.notes)] if panel.notes else []
    return "\n\n".join(parts)

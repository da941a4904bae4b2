"""Tables for people, whatever is in them: a page, or Markdown. The same style for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analysis import text
from analysis.claims import Finding


@dataclass(frozen=True)
class Block:
    """Rows of one quantity: a name and a text per column."""

    title: str
    rows: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class Panel:
    """A table of its own: title, lines of what has no column, column headings, blocks of rows, notes."""

    title: str
    lines: list[tuple[str, str]]
    columns: list[str]
    blocks: list[Block]
    notes: list[str]


def html(title: str, panels: Sequence[Panel], caption: str, findings: Sequence[Finding] = ()) -> str:
    """The panels, and what they say of claims, as a page that needs nothing else; everything is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        title=title, panels=panels, findings=findings, caption=caption
    )


def markdown(panels: Sequence[Panel], caption: str, level: int = 2) -> str:
    """The panels as Markdown, under headings of ``level``, the caption last."""
    parts = [_panel(panel, level) for panel in panels]
    return "\n\n".join([*(parts or ["No data: no records were found."]), caption]) + "\n"


def _panel(panel: Panel, level: int) -> str:
    parts = [f"{'#' * level} {text.markdown(panel.title)}"]
    parts += [f"{text.markdown(name)}: {text.markdown(value)}." for name, value in panel.lines]
    for block in panel.blocks:
        lines = [[block.title, *panel.columns], ["---", *["---:"] * len(panel.columns)]]
        lines += [[name, *texts] for name, texts in block.rows]
        parts.append("\n".join(f"| {' | '.join(map(text.markdown, line))} |" for line in lines))
    parts += ["\n".join(f"- {text.markdown(note)}" for note in panel.notes)] if panel.notes else []
    return "\n\n".join(parts)

"""Panels as LaTeX, with the rules of booktabs; everything is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from analysis.tables.page import Block, Group, Panel

WIDEST = 8
"""Columns beyond which a table is made smaller to fit its line, by graphicx."""
ESCAPED = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # behind the end of a row it would open an option
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "≤": r"$\leq$",
    "Σ": r"$\Sigma$",
    "–": "--",
}


def escape(value: str) -> str:
    """``value`` with everything replaced that LaTeX would read as more than text."""
    return value.translate(str.maketrans(ESCAPED))


def table(panel: Panel, caption: str, label: str) -> str:
    """The panel as a floating table, labelled tab:``label``, its title before ``caption``."""
    width = len(panel.columns)
    body = [r"\toprule", *_headings(panel), *_lines(panel, width)]
    for block in panel.blocks:
        body += [r"\midrule", *_block(block, width)]
    tabular = [rf"\begin{{tabular}}{{{_alignment(panel)}}}", *body, r"\bottomrule", r"\end{tabular}"]
    tabular = [r"\resizebox{\linewidth}{!}{%", *tabular, "}"] if width > WIDEST else tabular
    head = [r"\begin{table}", r"\centering", rf"\caption{{{escape(f'{panel.title}. {caption}')}}}"]
    notes = [rf"\par\footnotesize {escape(note)}" for note in (*(link.words for link in panel.links), *panel.notes)]
    return "\n".join([*head, rf"\label{{tab:{escape(label)}}}", *tabular, *notes, r"\end{table}", ""])


def _alignment(panel: Panel) -> str:
    return "l" + "".join("l" if place in panel.worded else "r" for place in range(max(len(panel.columns), 1)))


def _headings(panel: Panel) -> list[str]:
    """Each level of groups with rules below them, then the columns."""
    lines = []
    for level in panel.groups:
        titles = [rf"\multicolumn{{{group.span}}}{{c}}{{{escape(group.title)}}}" for group in level]
        lines += [f" & {' & '.join(titles)} \\\\", " ".join(_rules(level))]
    return [*lines, _row(["", *panel.columns])]


def _rules(level: Sequence[Group]) -> list[str]:
    ends = accumulate((group.span for group in level), initial=1)
    return [rf"\cmidrule(lr){{{end + 1}-{end + group.span}}}" for group, end in zip(level, ends, strict=False)]


def _lines(panel: Panel, width: int) -> list[str]:
    lines = []
    for name, value in panel.lines:
        lines += [r"\midrule", rf"{escape(name)} & \multicolumn{{{max(width, 1)}}}{{c}}{{{escape(value)}}} \\"]
    return lines


def _block(block: Block, width: int) -> list[str]:
    title = [rf"\multicolumn{{{width + 1}}}{{l}}{{\emph{{{escape(block.title)}}}}} \\"] if block.title else []
    return [*title, *(_row([name, *texts]) for name, texts in block.rows)]


def _row(texts: Sequence[str]) -> str:
    return " & ".join(map(escape, texts)) + r" \\"

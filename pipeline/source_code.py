"""Digests of source code that change when what it does may have changed, and not with its comments and layout.

Standard library only: the workflow takes them of whole trees while it is read.
"""

from __future__ import annotations

import functools
import hashlib
import io
import tokenize
from collections.abc import Container, Iterator
from pathlib import Path

SOURCE_SUFFIXES = (".py", ".j2", ".css", ".js", ".csv", ".bib")
STRUCTURE = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
IGNORED_TOKENS = (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER)
# Since Python 3.12 an f-string is many tokens; names that 3.11 does not have.
FSTRING_START, FSTRING_END = getattr(tokenize, "FSTRING_START", None), getattr(tokenize, "FSTRING_END", None)


def tree_digest(folder: Path, without: Container[str] = ()) -> str:
    """Twelve hex digits over the source files below a folder: Python's tokens, of all others the text.

    ``without`` holds names of files that do not count.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in SOURCE_SUFFIXES):
        if not path.name.startswith(".") and path.name not in without:
            digest.update(path.relative_to(folder).as_posix().encode())
            text = path.read_text(encoding="utf-8")
            try:
                digest.update((tokens_digest(text) if path.suffix == ".py" else text).encode())
            except (tokenize.TokenError, SyntaxError):  # no Python yet, which importing it says better than this could
                digest.update(text.encode())
    return digest.hexdigest()[:12]


@functools.cache
def tokens_digest(source: str) -> str:
    """SHA-256 of Python source without its comments, docstrings and layout."""
    digest = hashlib.sha256()
    at_statement_start = True
    for kind, text in _tokens(source):
        if kind in IGNORED_TOKENS or (at_statement_start and kind in (tokenize.STRING, tokenize.NEWLINE)):
            continue
        # Blocks and the ends of statements matter where layout does not: `a` and `(b)` below it are not `a(b)`.
        at_statement_start = kind in STRUCTURE
        digest.update(f"{tokenize.tok_name[kind] if kind in STRUCTURE else text}\0".encode())
    return digest.hexdigest()


def _tokens(source: str) -> Iterator[tuple[int, str]]:
    """Kinds and texts of tokens, every f-string a single one, so that all versions of Python agree."""
    lines = source.splitlines(keepends=True)
    depth, start = 0, (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == FSTRING_START:
            start = start if depth else token.start
            depth += 1
        elif token.type == FSTRING_END:
            depth -= 1
            if depth == 0:
                (first, left), (last, right) = start, token.end
                inside = lines[first - 1 : last]
                inside[-1] = inside[-1][:right]
                inside[0] = inside[0][left:]
                yield tokenize.NAME, "".join(inside)
        elif depth == 0:
            yield token.type, token.string

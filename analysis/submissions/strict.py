"""JSON and text of strangers, read strictly.

JSON as RFC 8259 has it, and of what that leaves open only what has one meaning: no NaN, no infinity, no name given twice, no
number beyond any quantity, no nesting beyond any record, no character that shows as another text than it is.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from analysis.submissions.defects import Flaw, quoted

DEEPEST = 24
"""Brackets within brackets: a record has 5, and 2 more for every run that its run starts from."""
LARGEST = 1e30
"""Of a number: 100 times ImageNet's longest training has some 10^20 FLOPs."""
LONGEST_TEXT = 500
UNSEEN = {
    "Cc": "a control character",
    "Cf": "an invisible formatting character",
    "Cs": "half of a surrogate pair",
    "Co": "a private-use character",
    "Cn": "a code point that is no character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}
"""Unicode categories that no name or sentence needs and that hide, reorder or break what is shown."""
STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]+|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
"""A string without its end goes to the end of the text, so that nothing is looked at twice."""
FORMULA = "=+-@"
"""What a spreadsheet takes for the start of a formula."""


class NotStrictError(ValueError):
    """Text that is not the JSON that is read here; the message says why."""


def parse(text: str) -> Any:
    """The value that ``text`` is. Raises NotStrictError."""
    _refuse_depth(text)
    try:
        return json.loads(
            text, parse_constant=_constant, parse_float=_float, parse_int=_int, object_pairs_hook=_distinct
        )
    except NotStrictError:
        raise
    except ValueError as error:
        raise NotStrictError(f"is not JSON: {error}") from error


def text_flaws(value: Any, field: str = "", longest: int = LONGEST_TEXT) -> Iterator[Flaw]:
    """Of every text in a value of JSON, names included."""
    if isinstance(value, str):
        yield from ((field, problem) for problem in problems_of_text(value, longest))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from text_flaws(item, f"{field}.{index}", longest)
    elif isinstance(value, dict):
        for name, item in value.items():
            inner = f"{field}.{name}" if field else name
            yield from ((field, f"has a name that {problem}") for problem in problems_of_text(name, longest))
            yield from text_flaws(item, inner, longest)


def problems_of_text(text: str, longest: int = LONGEST_TEXT, lines: bool = False) -> Iterator[str]:
    """What keeps ``text`` from being shown to people and put into a table; ``lines`` allows line breaks."""
    yield from problems_of_characters(text, longest, lines)
    if begins_formula(text):
        yield f"is {quoted(text)}: a spreadsheet takes what begins with one of {' '.join(FORMULA)} for a formula"


def problems_of_characters(text: str, longest: int = LONGEST_TEXT, lines: bool = False) -> Iterator[str]:
    """Too many of them, or some that hide, reorder or break what is shown; ``lines`` allows line breaks."""
    if len(text) > longest:
        yield f"has {len(text)} characters, at most {longest} are shown"
    for character in dict.fromkeys(text):
        kind = UNSEEN.get(unicodedata.category(character))
        if kind and not (lines and character == "\n"):
            yield f"holds U+{ord(character):04X}, {kind}: leave it out"


def begins_formula(text: str) -> bool:
    """Whether a spreadsheet would take ``text`` for a formula."""
    return text.lstrip().startswith(tuple(FORMULA))


def _refuse_depth(text: str) -> None:
    """By counting brackets outside of strings: a parser that recurses must not be given the text first."""
    depth = 0
    for token in STRING_OR_BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > DEEPEST:
            raise NotStrictError(f"is nested deeper than {DEEPEST} levels")


def _constant(name: str) -> float:
    raise NotStrictError(f"holds {name}, which is no number of JSON")


def _float(digits: str) -> float:
    return _limited(float(digits), digits)


def _int(digits: str) -> int:
    # Asked of the digits first: Python refuses to make an integer of thousands of them.
    return _limited(int(digits), digits) if len(digits) <= 40 else _limited(float("inf"), digits)


def _limited(number: Any, digits: str) -> Any:
    if abs(number) > LARGEST:
        raise NotStrictError(f"holds the number {digits[:40]}, beyond any quantity of a record ({LARGEST:g})")
    return number


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise NotStrictError(f"gives the name {quoted(name)} twice in one object")
        found[name] = value
    return found

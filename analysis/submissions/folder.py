"""The folder of a submission: its name, the files that it may hold, and their bytes, read only when they are few enough."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from analysis.errors import AnalysisError
from analysis.submissions.defects import Defect, printable, quoted

CARD, RECORDS, README = "card.yaml", "records.jsonl", "README.md"
LIMITS = {CARD: 64 * 1024, RECORDS: 32 * 1024 * 1024, README: 64 * 1024}
"""Bytes of each file that a submission may hold."""
REQUIRED = (CARD, RECORDS)
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_NAME = 60


def found(path: Path) -> list[Path]:
    """The submissions at ``path``: itself, or, where it holds neither a card nor records, every folder in it, by name.

    Raises AnalysisError when ``path`` is no folder.
    """
    if not path.is_dir():
        raise AnalysisError(f"{path} is not a folder\na submission is a folder with {' and '.join(REQUIRED)}")
    if any(os.path.lexists(path / name) for name in REQUIRED):
        return [path]
    inside = [entry for entry in sorted(path.iterdir()) if entry.name != README]
    return inside or ([] if (path / README).is_file() else [path])


def defects(folder: Path) -> Iterator[Defect]:
    """What is wrong with the folder and with its files, before any of them is opened."""
    name = folder.absolute().name
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        words = f"small letters, digits and single hyphens, at most {LONGEST_NAME}"
        yield Defect(str(folder), None, "", f"the folder's name is {quoted(name)}, it must be {words}")
    kind = _kind(folder)
    if kind != "folder":
        yield Defect(str(folder), None, "", f"is a {kind}, a submission is a folder")
        return
    for entry in sorted(path.name for path in folder.iterdir()):
        if entry not in LIMITS:
            valid = ", ".join(LIMITS)
            yield Defect(str(folder), None, "", f"holds {quoted(entry)}, a submission holds only {valid}")
    for required in REQUIRED:
        if not os.path.lexists(folder / required):
            yield Defect(str(folder), None, "", f"has no {required}; it must hold {' and '.join(REQUIRED)}")
    for file, limit in LIMITS.items():
        path = folder / file
        if not os.path.lexists(path):
            continue
        kind, size = _kind(path), os.lstat(path).st_size
        if kind != "file":
            yield Defect(str(path), None, "", f"is a {kind}, it must be a file of its own")
        elif size > limit:
            yield Defect(str(path), None, "", f"has {size} bytes, at most {limit} are read")


def text_of(path: Path) -> str:
    """The text of a file that ``defects`` finds nothing wrong with. Raises AnalysisError where it is not UTF-8."""
    limit = LIMITS[path.name]
    # What a link points to, and what is put in a file's place meanwhile, is none of the submission's.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise AnalysisError(f"{printable(str(path))} has more than {limit} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AnalysisError(
            f"{printable(str(path))} is not UTF-8: byte {error.start} is {content[error.start]:#04x}"
        ) from error


def _kind(path: Path) -> str:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return "name without anything behind it"
    if stat.S_ISLNK(mode):
        return "link"
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "device, pipe or socket"

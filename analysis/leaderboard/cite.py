"""What to cite: the suite, from CITATION.cff, and the entries of the bibliography that rows rest on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from bibtexparser.bibdatabase import BibDatabase
from bibtexparser.bwriter import BibTexWriter

from analysis.errors import AnalysisError
from analysis.references import References

CITATION = Path(__file__).parents[2] / "CITATION.cff"
SUITE = "rigl_bench"
"""BibTeX key of the suite."""


@dataclass(frozen=True)
class Suite:
    """How the suite asks to be cited."""

    title: str
    version: str
    released: str
    bibtex: str


def suite(path: Path = CITATION) -> Suite:
    """What ``path``, a CITATION.cff, says. Raises AnalysisError when it lacks what a citation needs."""
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        released = str(said["date-released"])
        entry = {
            "ENTRYTYPE": "software",
            "ID": SUITE,
            "author": " and ".join(map(_author, said["authors"])),
            "title": f"{{{said['title']}}}",
            "year": str(date.fromisoformat(released).year),
            "version": str(said["version"]),
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise AnalysisError(
            f"{path.name} cannot be cited from: {error!r}\nit must have title, version, date-released and authors"
        ) from error
    database = BibDatabase()
    database.entries = [entry]
    return Suite(said["title"], entry["version"], released, BibTexWriter().write(database).strip())


def entries(keys: Iterable[str], references: References) -> dict[str, str]:
    """BibTeX by key, of the ``keys`` that the bibliography has; a method's entry can wait, its rows cannot."""
    return {key: references.bibtex(key) for key in sorted(set(keys)) if key in references.entries}


def _author(one: Mapping[str, Any]) -> str:
    """A person as family and given names; a body in braces, so that BibTeX does not take its name apart."""
    return f"{{{one['name']}}}" if "name" in one else f"{one['family-names']}, {one['given-names']}"

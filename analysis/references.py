"""The bibliography: BibTeX entries of ``analysis/published/references.bib`` by key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bibtexparser
from bibtexparser.bibdatabase import BibDatabase
from bibtexparser.bparser import BibTexParser
from bibtexparser.bwriter import BibTexWriter

from analysis.errors import AnalysisError

BIBLIOGRAPHY = Path(__file__).parent / "published" / "references.bib"


@dataclass(frozen=True)
class References:
    """Entries by key, in the file's order."""

    source: str
    entries: dict[str, dict[str, str]]

    def entry(self, key: str) -> dict[str, str]:
        """Fields of the entry ``key``. Raises AnalysisError, with the valid keys, when there is none."""
        if key not in self.entries:
            raise AnalysisError(f"{key!r} is no key of {self.source}\nits keys are {', '.join(sorted(self.entries))}")
        return self.entries[key]

    def bibtex(self, key: str) -> str:
        """The entry ``key`` as BibTeX, ready to paste."""
        database = BibDatabase()
        database.entries = [self.entry(key)]
        return BibTexWriter().write(database).strip()

    def link(self, key: str) -> str:
        """Address of the paper: its arXiv page, else its DOI, else its url; empty where the entry has none."""
        entry = self.entry(key)
        if "eprint" in entry:
            return f"https://arxiv.org/abs/{entry['eprint']}"
        return f"https://doi.org/{entry['doi']}" if "doi" in entry else entry.get("url", "")


def load(path: Path = BIBLIOGRAPHY) -> References:
    """The entries of ``path``. Raises AnalysisError when a part of it is not BibTeX or a key is there twice."""
    text = path.read_text(encoding="utf-8")
    database = bibtexparser.loads(text, BibTexParser(common_strings=True, ignore_nonstandard_types=False))
    # The parser files what it cannot read under comments instead of refusing it; a true comment has no @.
    for broken in (comment for comment in database.comments if "@" in comment):
        raise AnalysisError(f"{path} has an entry that is not BibTeX: {broken[:80]!r}")
    keys = [entry["ID"] for entry in database.entries]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise AnalysisError(f"{path} has two entries named {', '.join(twice)}")
    return References(str(path), dict(zip(keys, database.entries, strict=True)))

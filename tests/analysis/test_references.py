"""The bibliography: whole, and strict about keys and syntax."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analysis import references
from analysis.errors import AnalysisError
from sparse_methods.methods import METHODS

ROOT = Path(__file__).parents[2]
FOUND = references.load()
VENUE = {"article": "journal", "inproceedings": "booktitle", "misc": "howpublished"}
ADDRESS = r"https://(arxiv\.org/abs/\d{4}\.\d{4,5}|(doi\.org|github\.com|papers\.neurips\.cc)/\S+)"


def lacking(entry: dict[str, str]) -> set[str]:
    """What every reader needs of an entry and this one does not have, or has only in part."""
    needed = ("author", "title", "year", VENUE[entry["ENTRYTYPE"]])
    lacks = {field for field in needed if not entry.get(field, "").strip()}
    lacks |= {"author"} if "others" in entry.get("author", "").split() else set()
    lacks |= {"year"} if not re.fullmatch(r"(19|20)\d\d", entry.get("year", "")) else set()
    lacks |= {"archiveprefix"} if "eprint" in entry and entry.get("archiveprefix") != "arXiv" else set()
    return lacks


@pytest.mark.parametrize("name", METHODS)
def test_the_paper_of_every_method_is_there(name: str) -> None:
    method = METHODS[name]
    assert lacking(FOUND.entry(method.citation)) == set()
    assert FOUND.entry(method.citation)["year"] == str(method.year)
    assert FOUND.link(method.citation)


@pytest.mark.parametrize("key", FOUND.entries)
def test_no_entry_lacks_a_field(key: str) -> None:
    assert lacking(FOUND.entry(key)) == set()
    assert FOUND.entry(key)["year"] in key
    assert re.fullmatch(ADDRESS, FOUND.link(key))


@pytest.mark.parametrize("field", ["author", "title", "year", "booktitle", "archiveprefix"])
def test_a_missing_field_is_seen(field: str) -> None:
    entry = dict(FOUND.entry("evci2020rigl"))
    del entry[field]
    assert lacking(entry) == {field}


def test_authors_cut_short_are_seen() -> None:
    assert lacking(FOUND.entry("evci2020rigl") | {"author": "Evci, Utku and others"}) == {"author"}


def test_no_paper_is_there_twice() -> None:
    entries = FOUND.entries.values()
    for field in ("title", "eprint"):
        values = [entry[field].lower() for entry in entries if field in entry]
        assert sorted(set(values)) == sorted(values)


def test_every_paper_that_the_code_names_is_there() -> None:
    """By its arXiv number, which headers and descriptions give."""
    known = {entry.get("eprint") for entry in FOUND.entries.values()}
    named = {}
    for file in [
        *ROOT.glob("sparse_methods/**/*.py"),
        *ROOT.glob("pipeline/**/*.py"),
        *ROOT.glob("pipeline/**/*.yaml"),
    ]:
        for number in re.findall(r"arXiv:(\d{4}\.\d{4,5})", file.read_text(encoding="utf-8")):
            named.setdefault(number, file.name)
    assert "1911.11134" in named
    assert {number: file for number, file in named.items() if number not in known} == {}


def test_bibtex_can_be_read_again(tmp_path: Path) -> None:
    copy = tmp_path / "copy.bib"
    copy.write_text("\n\n".join(FOUND.bibtex(key) for key in FOUND.entries))
    assert references.load(copy).entries == FOUND.entries
    assert "1911.11134" in FOUND.bibtex("evci2020rigl")


def test_an_unknown_key_lists_the_keys() -> None:
    with pytest.raises(
        AnalysisError, match=r"'evci2020' is no key(.|\n)*evci2020issue8, evci2020rigl, evci2022gradientflow"
    ):
        FOUND.entry("evci2020")


@pytest.mark.parametrize(
    "text",
    ["@article{a, title={x}", "@article{a title={x}}\n@misc{b, title={x}}", '@misc{c, title="x" year=2000}'],
    ids=["not closed", "no comma", "no comma between fields"],
)
def test_what_is_not_bibtex_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.bib"
    file.write_text(text)
    with pytest.raises(AnalysisError, match=r"broken\.bib has an entry that is not BibTeX"):
        references.load(file)


def test_a_key_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "twice.bib"
    file.write_text("@misc{a, title={x}}\n@misc{a, title={y}}")
    with pytest.raises(AnalysisError, match="two entries named a"):
        references.load(file)


def test_links_without_arxiv(tmp_path: Path) -> None:
    file = tmp_path / "links.bib"
    file.write_text("@misc{a, doi={10.1/x}}\n@misc{b, url={https://example.org}}\n@misc{c, title={x}}\n")
    found = references.load(file)
    assert [found.link(key) for key in "abc"] == ["https://doi.org/10.1/x", "https://example.org", ""]

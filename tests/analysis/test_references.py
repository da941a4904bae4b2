"""The bibliography: whole, and strict about keys and syntax."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import references
from analysis.errors import AnalysisError
from sparse_methods.methods import METHODS


@pytest.mark.parametrize("name", METHODS)
def test_the_paper_of_every_method_is_there(name: str) -> None:
    found, key = references.load(), METHODS[name].citation
    assert {"author", "title", "year"} <= found.entry(key).keys()
    assert found.link(key)


def test_bibtex_can_be_read_again(tmp_path: Path) -> None:
    found = references.load()
    copy = tmp_path / "copy.bib"
    copy.write_text("\n\n".join(found.bibtex(key) for key in found.entries))
    assert references.load(copy).entries == found.entries
    assert "1911.11134" in found.bibtex("evci2020rigl")


def test_an_unknown_key_lists_the_keys() -> None:
    with pytest.raises(AnalysisError, match=r"'evci2020' is no key(.|\n)*dettmers2019snfs, evci2020rigl, lee2019snip"):
        references.load().entry("evci2020")


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

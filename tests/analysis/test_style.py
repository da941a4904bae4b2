"""One look per method, and files that are the same each time."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import style


def test_known_methods_differ_in_colour_and_in_marker() -> None:
    assert len({look.color for look in style.KNOWN.values()}) == len(style.KNOWN)
    assert len({look.marker for look in style.KNOWN.values()}) == len(style.KNOWN)
    assert not {look.color for look in style.KNOWN.values()} & set(style.COLORS)
    assert not {look.marker for look in style.KNOWN.values()} & set(style.MARKERS)


@given(st.text(min_size=1))
def test_any_name_has_a_look_that_depends_on_nothing_else(name: str) -> None:
    found = style.look(name)
    assert found == style.look(name)
    assert is_color_like(found.color)
    assert found.marker in Line2D.markers


def test_a_new_method_looks_the_same_for_ever() -> None:
    assert style.look("granet") == style.Look("#AA4499", "H")


def test_variants_are_tints_of_the_method() -> None:
    assert style.look("rigl", 0.5) == style.Look("#EAAE80", "o")


def test_the_theme_ends_with_its_block() -> None:
    before = mpl.rcParams["pdf.fonttype"], mpl.rcParams["font.size"], mpl.rcParams["grid.color"]
    with style.theme():
        assert mpl.rcParams["pdf.fonttype"] == 42
    assert (mpl.rcParams["pdf.fonttype"], mpl.rcParams["font.size"], mpl.rcParams["grid.color"]) == before


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    data = pd.DataFrame({"x": [0.1, 0.2], "y": [1, 2]})
    for name in ("a", "b"):
        figure = Figure()
        figure.subplots().plot(data["x"], data["y"], label="µ × ±")
        style.save(figure, tmp_path / name / "plot", data)
    for kind in ("png", "pdf", "csv"):
        assert (tmp_path / "a" / f"plot.{kind}").read_bytes() == (tmp_path / "b" / f"plot.{kind}").read_bytes()
    assert (tmp_path / "a" / "plot.csv").read_text() == "x,y\n0.1,1\n0.2,2\n"
    assert b"CreationDate" not in (tmp_path / "a" / "plot.pdf").read_bytes()

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
from sparse_methods.methods import METHODS

ALIKE = ("po8hH", "sDd", "^v<>", "PX", "*")
"""Markers that differ by a turn or by a corner or two, which five points do not show."""


def test_every_method_has_a_look_of_its_own() -> None:
    assert style.KNOWN.keys() <= METHODS.keys()
    assert len({style.look(name) for name in METHODS}) == len(METHODS)


def test_a_colour_is_shared_only_by_markers_of_clearly_different_shape() -> None:
    for color in {look.color for look in style.KNOWN.values()}:
        markers = [look.marker for look in style.KNOWN.values() if look.color == color]
        shapes = [next(group for group in ALIKE if marker in group) for marker in markers]
        assert len(set(shapes)) == len(shapes), (color, markers)


def test_known_colours_are_okabe_and_itos_and_a_grey() -> None:
    okabe_ito = {"#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}
    assert {look.color for look in style.KNOWN.values()} <= okabe_ito | {"#7F7F7F"}
    assert not okabe_ito & set(style.COLORS)  # so that no other method can look like a known one


def test_the_papers_methods_keep_the_looks_of_earlier_figures() -> None:
    assert {
        name: (style.KNOWN[name].color, style.KNOWN[name].marker) for name in ("static", "set", "rigl", "pruning")
    } == {
        "static": ("#56B4E9", "v"),
        "set": ("#009E73", "P"),
        "rigl": ("#D55E00", "o"),
        "pruning": ("#0072B2", "D"),
    }


@given(st.text(min_size=1))
def test_any_name_has_a_look_that_depends_on_nothing_else(name: str) -> None:
    found = style.look(name)
    assert found == style.look(name)
    assert is_color_like(found.color)
    assert found.marker in Line2D.markers


def test_a_new_method_looks_the_same_for_ever() -> None:
    assert style.look("mine") == style.Look("#332288", ">")


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

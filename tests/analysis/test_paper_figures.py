"""The paper's figures: published and reproduced numbers beside each other, none invented, none mixed, never a failure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import points, records, references, style
from analysis.figures import beside, chosen, fig8_right, paper, scales, strokes
from pipeline.run import Topology

PUBLISHED = points.reported(references.load())
NONE = PUBLISHED.iloc[:0]
FROM_POINTS = [name for name in paper.FIGURES if name != "fig12"]
UNPRINTED = ["fig4_left", "fig5_right", "fig8_right", "fig9", "fig10", "fig11"]
"""Figures of whose numbers the paper prints none, not even in a table."""
every = pytest.mark.parametrize("name", FROM_POINTS)


def point(method: str = "rigl", sparsity: float = 0.9, mean: float = 0.9, **fields) -> dict:
    """One reproduced accuracy of three seeds."""
    moves = {"update_every": 100.0, "drop_fraction": 0.3, "decay": "cosine"} if method in points.UPDATED else {}
    row = {
        "kind": "reproduced",
        "source": "sweeps",
        "method": method,
        "label": method.upper(),
        "sparsity": sparsity,
        "mean": mean,
    }
    row |= {
        "model": "lenet300",
        "model_words": "lenet300",
        "dataset": "digits",
        "layout": "default",
        "metric": "accuracy",
    }
    row |= {"distribution": "uniform", "multiplier": 1.0, "low": mean - 0.01, "high": mean + 0.01, "n": 3.0, **moves}
    return row | {"cell": f"{method}{sorted(fields.items())}{sparsity}", "protocol": "usual", **fields}


def frame(*rows: dict) -> pd.DataFrame:
    """Points as ``analysis.points`` gives them."""
    return points._frame(rows)


def together(*rows: dict) -> pd.DataFrame:
    """Published points and these."""
    return pd.concat([PUBLISHED, frame(*rows)], ignore_index=True)


@pytest.fixture(scope="module")
def sweep() -> pd.DataFrame:
    """Reproduced points for every figure but the language model's and the MobileNets'."""
    rows = [
        point(method, metric=metric, mean=0.1)
        for method in ("static", "rigl", "pruning")
        for metric in ("train_loss_nats",)
    ]
    for sparsity in (0.8, 0.9):
        for method in ("static", "set", "snfs", "rigl", "pruning", "small_dense"):
            rows += [point(method, sparsity, multiplier=length) for length in (1.0, 2.0)]
            rows += [
                point(method, sparsity, distribution="erk"),
                point(method, sparsity, metric="train_loss_nats", mean=0.2),
            ]
    for method in ("set", "snfs", "rigl"):
        for every, fraction in ((50.0, 0.3), (50.0, 0.1), (100.0, 0.1)):
            rows.append(point(method, update_every=every, drop_fraction=fraction))
    rows += [point("rigl", decay=decay) for decay in ("constant", "inverse_power:3")]
    rows += [point("snfs", options=f"momentum={value}") for value in (0.0, 0.99)]
    rows.append(point("dense", 0.0, 0.95, distribution=""))
    return frame(*rows)


def words(figure: Figure) -> list[str]:
    found = [text.get_text() for panel in figure.axes for text in panel.texts]
    return found + [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def curves(panel: Axes) -> Iterator[tuple[Line2D, bool]]:
    """Lines with marks, and whether they are hollow."""
    for line in panel.get_lines():
        if line.get_marker() not in ("None", None, "") and len(line.get_xdata()) and line.get_markersize() > 4:
            yield line, line.get_markerfacecolor() == "white"


def panel_of(figure: Figure, place: str) -> Axes:
    (found,) = [panel for panel in figure.axes if panel.get_title().split("\n")[0] == place]
    return found


# -- every state of the records -------------------------------------------------------------------------------------------


@every
def test_with_nothing_at_all_a_figure_says_so(name: str) -> None:
    figure, data = paper.FIGURES[name].draw(NONE)
    assert data.empty
    assert words(figure) == [beside.NOTHING]
    assert "Nothing of it was run here." in paper.caption(name, data)


@every
def test_with_published_numbers_alone_each_panel_says_that_it_is_not_reproduced(name: str) -> None:
    figure, data = paper.FIGURES[name].draw(PUBLISHED)
    assert (len(data) == 0) == (name in UNPRINTED)
    said = words(figure)
    if name in UNPRINTED:
        assert said == [beside.NOTHING]
        return
    assert said.count(beside.NOT_HERE) == data["panel"].nunique()
    assert any(word.startswith("reported: Evci") for word in said)
    assert set(data["kind"]) == {"reported"}
    assert all(hollow for panel in figure.axes for _, hollow in curves(panel))


@pytest.mark.parametrize("name", [name for name in FROM_POINTS if name not in ("fig3_left", "fig4_left")])
def test_reproduced_numbers_are_filled_and_never_on_the_axis_of_other_data(name: str, sweep: pd.DataFrame) -> None:
    figure, data = paper.FIGURES[name].draw(pd.concat([PUBLISHED, sweep], ignore_index=True))
    assert (data["kind"] == "reproduced").any()
    assert (data.groupby("panel")[["model_words", "dataset"]].nunique() == 1).all(axis=None)
    for panel in filter(Axes.get_title, figure.axes):
        kinds = set(data.loc[data["panel"] == panel.get_title(), "kind"])
        assert {hollow for _, hollow in curves(panel)} == {kind == "reported" for kind in kinds}
        assert (beside.NOT_HERE in [text.get_text() for text in panel.texts]) == (kinds == {"reported"})
    said = words(figure)
    assert "reproduced here, bars: 95 % t interval over n seeds" in said
    assert (beside.NO_NUMBERS in said) == (name in UNPRINTED)
    assert any("(n=3)" in word for word in said)


@every
def test_the_numbers_can_be_saved(name: str, sweep: pd.DataFrame, tmp_path) -> None:
    figure, data = paper.FIGURES[name].draw(sweep)
    _, _, csv = style.save(figure, tmp_path / name, data)
    assert list(pd.read_csv(csv).columns) == ["panel", "line", *points.COLUMNS]


def test_runs_without_a_result_are_counted() -> None:
    failed = {"mean": np.nan, "low": np.nan, "high": np.nan, "n": 0.0, "diverged": 2}
    rows = [point("rigl", sparsity, multiplier=length) for sparsity in (0.8, 0.9) for length in (1.0, 2.0)]
    figure, data = paper.FIGURES["fig4_right"].draw(frame(*rows, point("static", 0.8), point("static", 0.9) | failed))
    assert "×2" in words(figure)
    assert "STATIC (n=0–3, 2 diverged)" in words(figure)
    assert "without a result: 2 diverged." in paper.caption("fig4_right", data)


def test_a_collapsed_method_is_written_at_the_foot_of_the_axis() -> None:
    rows = [point("rigl", sparsity) for sparsity in (0.8, 0.9)] + [point("static", 0.8, 0.8), point("static", 0.9, 0.2)]
    figure, _ = paper.FIGURES["fig4_right"].draw(frame(*rows))
    assert {"↓20", "↓m: the mean is m %, below the axis"} <= set(words(figure))
    assert figure.axes[0].get_ylim()[0] > 50


# -- the numbers ----------------------------------------------------------------------------------------------------------


def test_marks_stand_at_the_printed_numbers() -> None:
    figure, data = paper.FIGURES["fig5_left"].draw(PUBLISHED)
    drawn = {tuple(np.round(line.get_ydata(), 6)) for line, _ in curves(figure.axes[0])}
    assert drawn == {(74.6, 72.0, 67.5, 65.0), (75.1, 73.0, 69.7, 67.2)}  # Figure 2 and Table 4, uniform and ERK
    assert set(data.loc[data["line"] == "Dense", "mean"]) == {0.768}


def test_a_printed_number_comes_before_the_one_read_off_a_picture() -> None:
    _, data = paper.FIGURES["fig2_top_right"].draw(PUBLISHED)
    rigl = data[data["line"] == "RigL"].set_index("multiplier")
    assert rigl["mean"].to_dict() == {1: 0.746, 1.5: 0.7546, 2: 0.7606, 3: 0.7651, 4: 0.7665, 5: 0.766}
    assert rigl.index[~rigl["digitised"]].tolist() == [1, 5]


def test_what_the_errata_doubt_is_left_out() -> None:
    _, data = paper.FIGURES["fig8_left"].draw(PUBLISHED)
    assert data.loc[data["line"] == "Static, ERK", "sparsity"].tolist() == [0.8, 0.9]
    assert (data.loc[data["line"] == "Static", "sparsity"]).tolist() == [0.8, 0.9, 0.95, 0.965]


def test_numbers_of_one_model_and_data_set_share_a_panel() -> None:
    here = {"model": "wrn22_2", "model_words": "wrn22_2", "dataset": "cifar10", "distribution": "erk"}
    ours = [point("rigl", sparsity, 0.93, **here) for sparsity in (0.8, 0.9)]
    figure, data = paper.FIGURES["fig4_right"].draw(together(*ours))
    panel = panel_of(figure, "wrn22_2 on cifar10")
    assert {hollow for _, hollow in curves(panel)} == {True, False}
    assert beside.NOT_HERE not in words(figure)
    text = paper.caption("fig4_right", data)
    assert "Reproduced: wrn22_2 on cifar10 (sweeps; n=3)." in text
    assert "Only reported" not in text


def test_the_bits_of_a_language_model_stand_against_its_training_flops() -> None:
    here = {
        "model": "charlm_gru",
        "model_words": "charlm_gru",
        "dataset": "wikitext-mini",
        "metric": "bits_per_character",
    }
    ours = [
        point("rigl", 0.75, 2.0 - length / 4, train_x=0.4 * length, multiplier=length, **here)
        for length in (0.5, 1.0, 2.0)
    ]
    figure, data = paper.FIGURES["fig4_left"].draw(together(*ours, point("dense", 0, 1.2, distribution="", **here)))
    (panel,) = figure.axes
    ((line, hollow),) = curves(panel)
    assert not hollow
    assert list(line.get_xdata()) == pytest.approx(np.log2([0.2, 0.4, 0.8]))
    assert list(line.get_ydata()) == [1.875, 1.75, 1.5]
    assert "charlm_gru on wikitext-mini (sweeps; n=3)" in paper.caption("fig4_left", data)


def test_losses_have_a_logarithmic_axis_of_their_own(sweep: pd.DataFrame) -> None:
    figure, data = paper.FIGURES["fig11"].draw(sweep)
    scaling = {panel.get_ylabel(): panel.get_yscale() for panel in figure.axes}
    assert scaling == {scales.LOSS.label: "log", scales.ACCURACY.label: "linear"}
    assert set(data["metric"]) == {"accuracy", "train_loss_nats"}


def test_a_line_a_decay_and_the_papers_first(sweep: pd.DataFrame) -> None:
    figure, _ = paper.FIGURES["fig10"].draw(sweep)
    assert words(figure)[:3] == ["cosine (n=3)", "constant (n=3)", "inverse power, k = 3 (n=3)"]
    assert figure.axes[0].get_title() == "lenet300 on digits\ndrop fraction 0.3, 90 %, uniform"


def test_the_momentum_is_an_option_and_the_default_without_one(sweep: pd.DataFrame) -> None:
    figure, _ = paper.FIGURES["fig8_right"].draw(sweep)
    ((line, _),) = curves(figure.axes[0])
    assert list(line.get_xdata()) == pytest.approx([0, -np.log2(0.1), -np.log2(0.01)])
    assert np.isnan(fig8_right._momentum("growth=random"))


def test_the_layers_need_no_points() -> None:
    _, data = paper.FIGURES["fig12"].draw(NONE)
    assert set(data["model"]) == {"resnet50"}
    assert paper.caption("fig12", data).endswith(paper.COMPUTED)


def test_all_are_drawn_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: dataclasses.replace(paper.FIGURES[name]) for name in ("fig9", "fig3_left")}
    monkeypatch.setattr(paper, "FIGURES", kept)
    assert list(paper.draw(PUBLISHED)) == ["fig9", "fig3_left"]


def test_records_become_a_figure(factory: SimpleNamespace, tmp_path) -> None:
    def run(method: str, seed: int, **topology):
        protocol = dataclasses.replace(factory.run().protocol, topology=Topology(**topology))
        return factory.run(method, 0.9, seed, protocol=protocol)

    made = [run("rigl", seed, update_every=every) for seed in range(2) for every in (50, 100)]
    factory.keep(tmp_path, *(factory.record(one, 9000 + 10 * one.seed) for one in made))
    figure, data = paper.FIGURES["fig5_right"].draw(points.reproduced(records.load([tmp_path], factory.methods)))
    assert data[["update_every", "n"]].to_numpy().tolist() == [[50, 2], [100, 2]]
    assert data["mean"].tolist() == pytest.approx([0.9005, 0.9005])
    assert figure.axes[0].get_title() == "lenet300 on mnist\nRigL, 90 %, uniform"


# -- which points ---------------------------------------------------------------------------------------------------------


def test_plain_runs_are_chosen() -> None:
    rows = [point("rigl", sparsity) for sparsity in (0.8, 0.9)]
    others = [
        point(start="weights of dense", mean=0.1),
        point(layout="mnist-authors", mean=0.2),
        point(protocol="short", mean=0.3),
        point(options="growth=random", mean=0.4),
        point(update_every=50.0, mean=0.5),
    ]
    found = chosen.plain(chosen.of(frame(*others, *rows), "accuracy", ["rigl"], "resnet50"))
    assert found["mean"].tolist() == [0.9, 0.9]


def test_the_papers_numbers_are_of_its_model_and_its_own() -> None:
    found = chosen.of(PUBLISHED, "accuracy", ["rigl", "pruning"], "resnet50")
    assert set(found["model_words"]) == {"resnet50"}
    assert set(found["source"]) <= set(chosen.PAPER)
    assert "RigL (no label smoothing)" not in set(found["label"])
    assert not found.duplicated(chosen.SETTING).any()


def test_the_usual_length_of_the_paper_is_one_where_it_is_there() -> None:
    longer = [point(multiplier=5.0, sparsity=sparsity, kind=points.REPORTED) for sparsity in (0.8, 0.9)]
    usual = frame(*longer, point(multiplier=1.0, kind=points.REPORTED))
    assert chosen.usual_length(usual)["multiplier"].tolist() == [1]
    others = frame(*longer, point(multiplier=2.0, kind=points.REPORTED))
    assert chosen.usual_length(others)["multiplier"].tolist() == [5, 5]


def test_our_usual_length_is_the_commonest_then_one_then_the_smallest() -> None:
    short = [point(multiplier=0.2, sparsity=sparsity) for sparsity in (0.8, 0.9)]
    assert chosen.usual_length(frame(*short, point(multiplier=1.0)))["multiplier"].tolist() == [0.2, 0.2]
    assert chosen.usual_length(frame(short[0], point(multiplier=1.0)))["multiplier"].tolist() == [1]
    assert chosen.usual_length(frame(short[0], point(multiplier=5.0)))["multiplier"].tolist() == [0.2]
    assert len(chosen.usual_length(frame(*short, point("pruning", multiplier=np.nan)))) == 3


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), min_size=1, max_size=20))
def test_the_commonest_is_that_of_a_count(rows: list[tuple[str, str]]) -> None:
    data = pd.DataFrame(rows, columns=["by", "what"])
    found = chosen.commonest(data, ["by"], ["what"])
    for name, group in data.groupby("by"):
        counts = group["what"].value_counts()
        kept = found.loc[found["by"] == name, "what"]
        assert kept.nunique() == 1
        assert len(kept) == counts.max()
        first = next(value for value in group["what"] if counts[value] == counts.max())
        assert kept.iloc[0] == first


def test_two_lengths_are_named_by_kind() -> None:
    data = frame(point(multiplier=0.2), point(multiplier=1.0, kind="reported"))
    assert chosen.panel_each(data, "multiplier")["panel"].unique().tolist() == [
        "lenet300 on digits\nreported at 1×, reproduced at 0.2×"
    ]


# -- looks ----------------------------------------------------------------------------------------------------------------


def test_a_method_has_its_colour_and_its_second_line_a_paler_one() -> None:
    lines, named = strokes.by_method(frame(point(), point(distribution="erk"), point("set")), ["set", "rigl"])
    assert list(lines) == ["SET", "RIGL", "RIGL, ERK"]
    assert named["line"].tolist() == ["RIGL", "RIGL, ERK", "SET"]
    assert lines["RIGL"].look == style.look("rigl")
    assert lines["RIGL, ERK"].look == style.look("rigl", strokes.PALE)
    assert lines["RIGL"].style == "-"
    assert lines["RIGL, ERK"].style == (0, style.DASHES["erk"])


def test_tints_differ_in_colour_and_marker() -> None:
    looks = [line.look for line in strokes.tints("rigl", ["a", "b", "c", "d"]).values()]
    assert looks[0].color == style.look("rigl").color
    assert len({look.color for look in looks}) == len({look.marker for look in looks}) == 4

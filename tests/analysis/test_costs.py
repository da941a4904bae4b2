"""The costs at paper scale: hand-computed numbers of a small network, the table and the figures made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from analysis import build, costs
from analysis.errors import AnalysisError
from analysis.figures import fig12, training_cost
from analysis.tables import costs as table
from sparse_methods.methods import METHODS

LENET_RIGL, LENET_SPARSE = 532_810, 53_650
"""LeNet-300-100: 2 * (784 * 300 + 300 * 100 + 100 * 10) + 410 outputs; at 90 %, 2 * (23,520 + 3,000 + 100) + 410."""
SOME = ("dense", "static", "set", "rigl", "snfs", "pruning", "dsr", "str", "nm", "grasp", "srigl")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return costs.frame("lenet300", (0.9, 0.99), SOME)


def row(frame: pd.DataFrame, method: str, distribution: str = "uniform", sparsity: float = 0.9) -> Mapping:
    cell = (frame["method"] == method) & (frame["distribution"] == distribution) & (frame["sparsity"] == sparsity)
    (found,) = frame[cell].to_dict("records")
    return found


def test_costs_by_hand(frame: pd.DataFrame) -> None:
    static, rigl, snfs = (row(frame, method) for method in ("static", "rigl", "snfs"))
    assert static["rigl_inference_flops"] == rigl["rigl_inference_flops"] == LENET_SPARSE
    assert static["macs_inference_flops"] == LENET_SPARSE - 410
    assert static["macs_inference_x"] == pytest.approx(0.1)
    assert static["rigl_train_x"] == pytest.approx(LENET_SPARSE / LENET_RIGL)
    of_rigl = (3 * LENET_SPARSE * 100 + 2 * LENET_SPARSE + LENET_RIGL) / 101 / (3 * LENET_RIGL)
    assert rigl["rigl_train_x"] == pytest.approx(of_rigl)
    assert rigl["equal_flops_multiplier"] == pytest.approx(1 / of_rigl, abs=5e-4)
    assert snfs["rigl_train_x"] == pytest.approx((2 * LENET_SPARSE + LENET_RIGL) / (3 * LENET_RIGL))
    assert static["size_bytes"] == (32 * 26_620 + 266_200 + 32 * 410) // 8


def test_a_file_holds_at_least_what_it_must(frame: pd.DataFrame) -> None:
    """Values and biases at four bytes; the positions in less than a bit a weight, or in one."""
    least = 4 * (26_620 + 410)
    assert least < row(frame, "static")["file_bytes"] < least + 266_200 // 8 + 4_000


def test_resnet50_costs_what_the_paper_prints() -> None:
    """Figure 2: 0.42x and 0.24x of inference, 0.42x and 0.25x of training with ERK; 0.23x with the uniform distribution."""
    found = costs.frame("resnet50", (0.8, 0.9), ("static", "rigl"))
    printed = {("erk", 0.8): ("0.42", "0.42"), ("erk", 0.9): ("0.24", "0.25"), ("uniform", 0.8): ("0.23", "0.23")}
    for (distribution, sparsity), multiples in printed.items():
        rigl = row(found, "rigl", distribution, sparsity)
        assert (f"{rigl['rigl_inference_x']:.2f}", f"{rigl['rigl_train_x']:.2f}") == multiples


def test_a_run_has_one_row_however_often_it_is_asked_for(frame: pd.DataFrame) -> None:
    counts = frame["method"].value_counts()
    assert counts["dense"] == counts["str"] == 1
    assert counts["grasp"] == 2  # gives distributions no meaning
    assert counts["rigl"] == 6
    assert not frame.duplicated(["method", "distribution", "sparsity"]).any()
    (dense,) = frame[frame["method"] == "dense"].to_dict("records")
    assert dense["rigl_inference_x"] == dense["rigl_train_x"] == dense["equal_flops_multiplier"] == 1


def test_what_is_not_known_is_empty_and_says_why(frame: pd.DataFrame) -> None:
    assert row(frame, "nm")["skipped"].startswith("2:4 is a sparsity of 0.5")
    assert row(frame, "dsr")["skipped"] == "a uniform distribution: weights move between layers"
    assert row(frame, "dsr", "erk")["unknown"] == "weights move between layers, the total stays"
    assert row(frame, "srigl")["inexact"].startswith("fan-ins are whole")
    numbers = [name for name, kind in costs.COLUMNS.items() if kind != "str" and name != "sparsity"]
    empty = (frame["skipped"] != "") | (frame["unknown"] != "")
    assert set(frame.loc[empty, "method"]) == {"nm", "dsr", "grasp", "str"}
    assert frame.loc[empty, numbers].isna().all(axis=None)
    assert frame.loc[~empty, numbers].notna().all(axis=None)


def test_every_method_has_costs_or_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "equal_flops_multiplier", lambda *asked: 1.0)  # long runs, replayed: too slow for a test
    found = costs.frame("lenet300", (0.9,))
    assert set(found["method"]) == set(METHODS)
    assert ((found["skipped"] != "") | (found["unknown"] != "") | found["rigl_train_x"].notna()).all()


def test_pruning_alone_has_the_cadence_of_the_notebook() -> None:
    pruning, rigl = (costs.specification("lenet300", name, "uniform", 0.9).schedule() for name in ("pruning", "rigl"))
    assert (pruning.begin, pruning.end, pruning.update_every) == (10_000, 25_000, 1_000)
    assert (rigl.begin, rigl.end, rigl.update_every, rigl.total_steps) == (0, 25_000, 100, 32_000)


def test_a_model_of_unknown_input_is_named() -> None:
    with pytest.raises(AnalysisError, match=r"what 'alexnet' takes is not known; there are lenet300, "):
        costs.frame("alexnet")


def test_the_table_has_one_row_a_method(frame: pd.DataFrame) -> None:
    panels = table.panels(frame)
    assert [panel.title for panel in panels] == ["lenet300, uniform", "lenet300, ER", "lenet300, ERK"]
    uniform = panels[0]
    assert [block.title for block in uniform.blocks] == ["90 %", "99 %"]
    rows = dict(uniform.blocks[0].rows)
    assert rows["Static"] == ["0.101×", "0.101×", "9.93×", "0.100×", "0.100×", "0.141 MB", rows["SET"][-1]]
    assert rows["DSR"] == ["skipped", *["–"] * 6]
    assert rows["GraSP"] == ["after a run", *["–"] * 6]
    assert "Dense" not in rows
    assert uniform.lines[0][1].startswith("532,810 FLOPs a sample forward (532,400 as macs); size ")


def test_a_reason_that_holds_at_every_sparsity_is_said_once(frame: pd.DataFrame) -> None:
    notes = table.panels(frame)[0].notes
    assert "DSR: skipped (a uniform distribution: weights move between layers)." in notes
    assert "STR: known only after a run (sparsity is an outcome)." in notes
    assert [note.partition(":")[0] for note in notes if note.startswith("N:M")] == ["N", "N"]
    assert any(note.startswith("N:M (SR-STE) at 90 %: skipped (2:4 is") for note in notes)


def test_page_and_markdown_hold_the_same_and_name_the_protocol(frame: pd.DataFrame) -> None:
    page, markdown = table.html(frame, "Costs"), table.markdown(frame, "Costs")
    protocol = "32,000 steps long, with topology updates every 100 from 0 to 25,000; of pruning every 1,000 from 10,000"
    for written in (page, markdown):
        assert protocol in written
        assert "lenet300, ERK" in written
    assert '<tr><th scope="row">Static</th><td>0.101×</td>' in page
    assert "| Static | 0.101× |" in markdown


def of_lines(costs_by_method: Mapping[str, list[float]]) -> pd.DataFrame:
    """A frame of two sparsities in one distribution."""
    rows = [
        {
            "model": "m",
            "method": name,
            "label": name.title(),
            "distribution": "erk",
            "sparsity": s,
            "rigl_train_x": cost,
        }
        for name, values in costs_by_method.items()
        for s, cost in zip((0.9, 0.99), values, strict=True)
    ]
    return pd.DataFrame(rows).assign(macs_train_x=0.1, skipped="", unknown="")


def test_methods_share_a_line_only_when_they_cost_the_same_everywhere() -> None:
    found = of_lines({"static": [0.2, 0.1], "set": [0.203, 0.1], "rigl": [0.2, 0.105], "snip": [0.2, float("nan")]})
    figure, data = training_cost.draw(found)
    lines = dict(zip(data["method"], data["line"], strict=True))
    assert lines == {
        "static": "Static, Set, Snip",
        "set": "Static, Set, Snip",
        "snip": "Static, Set, Snip",
        "rigl": "Rigl",
    }
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["dense", "Static, Set, Snip", "Rigl"]


def test_the_figure_of_training_keeps_every_methods_own_numbers(frame: pd.DataFrame) -> None:
    figure, data = training_cost.draw(frame)
    assert list(data.columns) == training_cost.COLUMNS
    assert len(data) == len(frame)
    assert set(data.loc[data["line"] == "", "method"]) == {"dense", "nm", "dsr", "grasp", "str"}
    assert [axes.get_title() for axes in figure.axes] == ["lenet300, uniform", "lenet300, ER", "lenet300, ERK"]
    static = figure.axes[0].get_lines()[1]
    assert list(static.get_xdata()) == pytest.approx([0.1, 0.01])
    assert static.get_ydata()[0] == pytest.approx(LENET_SPARSE / LENET_RIGL)


def test_layers_add_up_to_the_network(frame: pd.DataFrame) -> None:
    _, data = fig12.draw("lenet300")
    nine = data[data["sparsity"] == 0.9]
    assert list(nine["shape"]) == ["300x784", "100x300", "10x100"]
    assert nine["dense_inference_flops"].sum() == LENET_RIGL
    assert nine["uniform_inference_flops"].sum() == LENET_SPARSE
    assert nine["erk_inference_flops"].sum() == row(frame, "static", "erk")["rigl_inference_flops"]
    assert list(nine["uniform_sparsity"]) == pytest.approx([0.9, 0.9, 0.9])
    # ERK: the density of a layer is proportional to (inputs + outputs) / (inputs * outputs), capped at 1.
    densities = dict(zip(nine["layer"], 1 - nine["erk_sparsity"], strict=True))
    first, second, last = densities.values()
    assert last == 1
    assert first / second == pytest.approx((1084 / 235_200) / (400 / 30_000), rel=1e-3)


def test_the_command_writes_its_files(frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "frame", lambda model: frame)
    assert build.main(["costs", "--model", "lenet300", "--out", str(tmp_path)]) == 0
    figures = {f"{name}.{kind}" for name in ("training_cost", "layer_sparsity") for kind in ("png", "pdf", "csv")}
    assert {file.name for file in tmp_path.iterdir()} == figures | {"costs.csv", "costs.md", "costs.html"}
    assert len(pd.read_csv(tmp_path / "costs.csv")) == len(frame)


def test_the_command_names_an_unknown_model(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert build.main(["costs", "--model", "alexnet", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("error: what 'alexnet' takes is not known; there are lenet300")
    assert not (tmp_path / "out").exists()

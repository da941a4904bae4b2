"""The landscape's figures and page: what is drawn is what was measured, and every state of it can be drawn."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis import build, style
from analysis.figures import (
    appendix_a,
    barriers,
    budgets,
    curvature,
    fig6_left,
    fig6_right,
    input_pixels,
    loss_maps,
    topology,
)
from analysis.figures import landscape as landscape_figures
from analysis.landscape import claims, results
from analysis.landscape.results import Measured
from analysis.tables import landscape as page

FIGURES = (
    *("fig6_left", "barriers", "budgets", "fig6_right", "loss_plane", "loss_surface", "loss_around"),
    *("curvature", "appendix_a", "topology", "input_pixels"),
)
CELL = "lenet300 on mnist, uniform, 95 %"


@pytest.fixture
def measured(request: pytest.FixtureRequest, landscapes: SimpleNamespace) -> Measured:
    return results.load([request.getfixturevalue("landscape")], landscapes.methods)


def words(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def line_curves(landscapes: SimpleNamespace, *seeds: list) -> list[dict]:
    """One group for each seed's losses along the line from static to pruning."""
    return [
        landscapes.group(("static", seed), ("pruning", seed), curves=[landscapes.curve("linear", "line", losses)])
        for seed, losses in enumerate(seeds)
    ]


def of_budgets(landscapes: SimpleNamespace, seed: int) -> list[dict]:
    """The line, and a curve in the sparse space that the longer budget takes all of its barrier."""
    line = landscapes.curve("linear", "line", [0.4, 1.3, 0.2])
    fits = {500: [0.4, 0.8, 0.2], 4000: [0.4, 0.3, 0.2]}
    trained = [landscapes.curve("quadratic", "union", losses, steps=steps) for steps, losses in fits.items()]
    return [landscapes.group(("static", seed), ("pruning", seed), curves=[line, *trained])]


@pytest.fixture
def budgeted(tmp_path: Path, landscapes: SimpleNamespace) -> Measured:
    """Three seeds, one pair with two budgets."""
    groups = [group for seed in range(3) for group in of_budgets(landscapes, seed)]
    return results.load([landscapes.write(tmp_path, landscapes.document("curves", *groups))], landscapes.methods)


def test_each_figure_takes_the_budget_that_it_states(budgeted: Measured) -> None:
    _, ways = fig6_left.draw(budgeted.profiles)
    assert ways[(ways["curve"] == "quadratic") & (ways["t"] == 0.5)]["mean"].tolist() == [0.3]
    _, heights = barriers.draw(budgeted.barriers)
    assert set(heights[heights["curve"] == "quadratic"]["steps"]) == {500}
    assert heights[heights["curve"] == "quadratic"]["mean"].tolist() == pytest.approx([0.5, 0.5])
    assert len(heights[heights["curve"] == "linear"]) == 2  # the line has no budget, and stays


def test_budgets_stand_side_by_side(budgeted: Measured) -> None:
    figure, data = budgets.draw(budgeted.barriers)
    assert data["steps"].tolist() == [0, 500, 4000]
    assert data["mean"].tolist() == pytest.approx([1.0, 0.5, 0.0])
    assert "Static – Pruning; bars: 95 % t interval, n=3 pairs" in words(figure)


def test_one_budget_is_said_to_be_one(measured: Measured) -> None:
    figure, data = budgets.draw(measured.barriers)
    assert data.empty
    assert [text.get_text() for text in figure.axes[0].texts] == [budgets.ONE_BUDGET]


def test_claims_are_of_the_longest_budget(budgeted: Measured) -> None:
    left = next(
        found for found in claims.findings(budgeted) if found.claim.sentence == "The barrier that they meet is high"
    )
    assert left.verdict == "contradicted"
    assert [test.words for test in left.tests] == ["0, the ends differ by 0.2 (n=3)"]


def test_pruning_lies_at_0_and_static_at_1(measured: Measured) -> None:
    figure, data = fig6_left.draw(measured.profiles)
    line = data[data["curve"] == "linear"]
    assert line["t"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert line["mean"].tolist() == pytest.approx([0.2, 0.25, 1.4, 0.35, 0.4])
    (panel,) = figure.axes
    assert panel.get_title() == CELL
    drawn = panel.get_lines()[0]
    np.testing.assert_allclose(drawn.get_ydata(), line["mean"])
    assert drawn.get_color() == style.SPACES["line"]
    assert words(figure)[:4] == [
        "linear",
        "quadratic, sparse space",
        "quadratic, dense space",
        "bands: 95 % t interval, n=3 pairs",
    ]


def test_a_pair_that_a_study_turns_round_is_drawn_the_same(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    line = landscapes.curve("linear", "line", [0.2, 1.0, 0.4])
    turned = landscapes.document("curves", landscapes.group(("pruning", 0), ("static", 0), curves=[line]))
    _, data = fig6_left.draw(results.load([landscapes.write(tmp_path, turned)], landscapes.methods).profiles)
    assert data["mean"].tolist() == [0.2, 1.0, 0.4]


def test_a_loss_that_is_not_a_number_is_a_gap_in_the_plot(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    losses = ([0.4, 0.9, 0.3, 0.2], [0.4, "NaN", 0.3, 0.2])
    document = landscapes.document("curves", *line_curves(landscapes, *losses))
    figure, data = fig6_left.draw(results.load([landscapes.write(tmp_path, document)], landscapes.methods).profiles)
    drawn = figure.axes[0].get_lines()[0].get_ydata()
    assert np.isnan(drawn).tolist() == [False, False, True, False]
    assert data["n"].tolist() == [2, 2, 1, 2]
    style.save(figure, tmp_path / "figure", data)
    assert pd.read_csv(tmp_path / "figure.csv")["mean"].isna().tolist() == [False, False, True, False]


def test_ways_with_gaps_are_counted_and_have_no_part_in_a_height(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    losses = ([0.4, 0.9, 0.2], [0.4, 1.1, 0.2], [0.4, "NaN", 0.2])
    document = landscapes.document("curves", *line_curves(landscapes, *losses))
    figure, data = barriers.draw(results.load([landscapes.write(tmp_path, document)], landscapes.methods).barriers)
    assert data["mean"].tolist() == pytest.approx([0.7, 0.7])  # on the training set, and on the test set
    assert data["n"].tolist() == [2, 2]
    assert data["left_out"].tolist() == [1, 1]
    assert "ways with gaps, left out: 1" in words(figure)


def test_every_pair_has_its_heights(measured: Measured) -> None:
    figure, data = barriers.draw(measured.barriers)
    heights = data[data["split"] == "train"].set_index(["curve", "space"])["mean"]
    assert heights.tolist() == pytest.approx([1.1, 0.3, 0.0])
    (panel,) = figure.axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["Static –\nPruning"]
    assert len(panel.get_lines()) == 6  # three curves on two sets


def test_continuations_are_drawn_with_their_accuracies(measured: Measured) -> None:
    figure, data = fig6_right.draw(measured.traces, measured.escapes)
    rigl = data[data["label"] == "RigL"]
    assert rigl["step"].tolist() == [0, 50, 100]
    assert rigl["mean"].tolist() == pytest.approx([0.4, 0.4, 0.11])
    assert rigl["accuracy"].tolist() == pytest.approx([0.97] * 3)
    (panel,) = figure.axes
    assert sorted(text.get_text() for text in panel.texts) == ["95.0 ± 0.0 %", "95.0 ± 0.0 %", "97.0 ± 2.5 %"]
    assert words(figure)[:3] == ["Static (n=3)", "RigL (n=3)", "RigL, moved once (n=3)"]


def test_maps_hold_the_grid_and_what_lies_in_it(measured: Measured) -> None:
    figure, data = loss_maps.plane(measured.planes)
    assert data["at"].value_counts().to_dict() == {"grid": 9, "solution": 3, "path": 2}
    assert data["train_loss"].isna().sum() == 1 + 5  # a loss that is not a number; places have none
    assert data.loc[data["at"] == "path", "residual"].tolist() == [3.25, 2.0]
    assert words(figure) == ["Static", "RigL", "Pruning", "its training, projected"]
    _, around = loss_maps.around(measured.surroundings)
    assert around["around"].unique().tolist() == ["Static", "RigL", "Pruning"]


def test_curvature_and_what_the_mask_closes(measured: Measured) -> None:
    figure, data = curvature.draw(measured.eigenvalues, measured.hessian_traces)
    top = data[(data["quantity"] == "largest") & (data["space"] == "active")]
    assert dict(zip(top["label"], top["mean"], strict=True)) == {"Static": 5, "RigL": 5}
    assert words(figure)[:2] == ["Static (n=3)", "RigL (n=3)"]
    _, opened = appendix_a.draw(measured.shares, measured.descents)
    static = opened[(opened["label"] == "Static") & (opened["quantity"] == "share")]
    assert static["mean"].tolist() == pytest.approx([0.3, 0.6, 0.9])
    ends = appendix_a.ends(measured.shares, measured.descents)
    gains = dict(zip(ends["quantity"], ends["mean"], strict=True))
    assert gains == pytest.approx({appendix_a.LAST: 90, **dict.fromkeys(appendix_a.BEST.values(), 0.002)})


def test_a_step_that_only_loses_is_not_taken(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    run = landscapes.curvature("rigl", 0)
    run["descent"]["all"] = {"gradient_norm": 0.2, "lengths": [0.01, 0.1], "decreases": [-0.1, "NaN"]}
    one = results.load([landscapes.write(tmp_path, landscapes.document("curvature", run))], landscapes.methods)
    ends = appendix_a.ends(one.shares, one.descents).set_index("quantity")["mean"]
    assert ends[appendix_a.BEST["all"]] == 0
    assert ends[appendix_a.BEST["active"]] == 0.002


def test_topology_is_over_chance(measured: Measured) -> None:
    _, data = topology.draw(measured.overlaps, measured.moves, measured.explored)
    rigl = data[data["label"] == "RigL"]
    overlap = rigl[rigl["quantity"] == "overlap"]
    assert overlap["layer"].tolist() == [results.WHOLE, "fc1", "fc2"]
    assert overlap["mean"].tolist() == [2, 2, 2]  # 0.2 where chance gives 0.1
    explored = rigl[rigl["quantity"] == "explored"].set_index("step")["mean"]
    assert explored.tolist() == pytest.approx([0.1, 0.15, 0.4])
    assert rigl.loc[rigl["quantity"] == "churn", "step"].tolist() == [100]


def test_runs_that_kept_no_snapshots_have_no_churn(measured: Measured) -> None:
    at_the_end = measured.moves[measured.moves["churn"].isna()]
    _, data = topology.draw(measured.overlaps, at_the_end, measured.explored)
    assert "churn" not in set(data["quantity"])
    assert data["method"].notna().all()


def test_every_pixel_has_its_number(measured: Measured) -> None:
    figure, data = input_pixels.draw(measured.inputs)
    assert data.loc[data["label"] == "RigL", "weights"].tolist() == [1, 2, 3, 4]
    assert [panel.get_xlabel() for panel in figure.axes[:2]] == ["Static", "RigL"]


def test_every_figure_says_where_nothing_was_measured(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    nothing = results.load([tmp_path], landscapes.methods)
    drawn = landscape_figures.draw(nothing)
    assert tuple(drawn) == FIGURES
    for figure, data in drawn.values():
        assert [text.get_text() for panel in figure.axes for text in panel.texts] == ["no data: nothing was measured"]
        assert data.empty


def test_one_seed_of_four_cells_is_drawn_without_intervals(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    made = []
    for model in ("lenet300", "convnet"):
        for sparsity in (0.95, 0.98):
            cell = {"model": model, "sparsity": sparsity}
            kinds = {
                "curves": line_curves(landscapes, [0.4, 0.9, 0.2]),
                "escape": [landscapes.escape(method, 0, 0.4, 0.1) for method in ("static", "rigl")],
                "maps": [landscapes.maps()],
                "curvature": [landscapes.curvature("static", 0)],
                "overlap": [landscapes.overlaps("rigl", seeds=1)],
            }
            made += [landscapes.document(kind, *found, **cell) for kind, found in kinds.items()]
    measured = results.load([landscapes.write(tmp_path, *made)], landscapes.methods)
    assert [cell.rpartition(" on ")[0] for cell in measured.cells] == ["convnet", "convnet", "lenet300", "lenet300"]
    for name, (figure, data) in landscape_figures.draw(measured).items():
        assert len(figure.axes) >= 4 or name in ("input_pixels", "budgets")
        assert "low" not in data or data["low"].isna().all()


def test_the_command_writes_the_page_and_its_figures(landscape: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert build.main(["landscape", "--measured", str(landscape), "--study", "small", "--out", str(out)]) == 0
    figures = {f"{name}.{kind}" for name in FIGURES for kind in ("png", "pdf", "csv")}
    assert {file.name for file in out.iterdir()} == figures | {"claims.csv", "landscape.html", "landscape.md"}
    html, markdown = ((out / f"landscape.{kind}").read_text(encoding="utf-8") for kind in ("html", "md"))
    for written in (html, markdown):
        assert "Loss landscape of study small" in written
        assert "1.10 ± 0.25, the ends differ by 0.2 (n=3)" in written
        assert (
            f"{CELL}: seeds 0–2, 5 points from t = 0 to 1, control points trained for 500 steps of 64 samples"
            in written
        )
        assert "paths lie off the plane by up to 3.25 (Static), 2 (RigL)" in written
        assert "two cores of a test, in 60 s." in written
    assert html.index("Claims of the papers") < html.index("Curves between solutions")
    assert html.count("data:image/webp;base64,") == len(FIGURES)
    assert "![fig6 left](fig6_left.png)" in markdown
    assert "| Static – Pruning (n=3) | 1.10 ± 0.25 | 0.3 | 0 |" in markdown
    assert "| RigL (n=3) | 0.110 ± 0.025 | 97.0 ± 2.5 | 7 | 0.5 | 0.1 |" in markdown


def test_the_command_collects(landscape: Path, tmp_path: Path) -> None:
    collected = tmp_path / "reference" / "landscape.jsonl"
    assert build.main(["collect-landscape", "--measured", str(landscape), "--out", str(collected)]) == 0
    assert len(collected.read_text(encoding="utf-8").splitlines()) == 5


def test_ways_left_out_are_named_on_the_page(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    document = landscapes.document("curves", *line_curves(landscapes, [0.4, "NaN", 0.2]))
    measured = results.load([landscapes.write(tmp_path, document)], landscapes.methods)
    for figure, _ in landscape_figures.draw(measured).values():
        assert figure.axes  # a panel without a single height can be drawn
    written = page.markdown(measured, claims.findings(measured), "Page", tmp_path)
    assert f"Left out: {CELL}, Static – Pruning, seeds 0 and 0, linear: 1 of its losses are not finite." in written
    assert "| Static – Pruning (n=0) | – |" in written


def test_the_command_names_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    asked = ["landscape", "--measured", str(tmp_path / "no"), "--study", "s", "--out", str(tmp_path / "out")]
    assert build.main(asked) == 2
    assert capsys.readouterr().err.startswith(
        f"error: {tmp_path / 'no'} is neither a folder of measurements nor a .jsonl"
    )
    assert not (tmp_path / "out").exists()

"""Figures: the numbers are the cells', every state of a study can be drawn, and failures are seen."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from analysis import stats, style
from analysis.figures import accuracy, cost, panels
from analysis.records import load

both = pytest.mark.parametrize("module", [accuracy, cost], ids=["accuracy", "cost"])


def words(figure: Figure) -> list[str]:
    found = [text.get_text() for panel in figure.axes for text in panel.texts]
    return found + [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def markers(panel: Axes) -> np.ndarray:
    """Positions of the points of a panel."""
    drawn = [found for found in panel.collections if isinstance(found, PathCollection)]
    return np.concatenate([np.asarray(found.get_offsets()) for found in drawn])


@both
def test_the_numbers_are_those_of_the_cells(module: ModuleType, cells: pd.DataFrame, tmp_path: Path) -> None:
    figure, data = module.draw(cells)
    pd.testing.assert_frame_equal(data, cells[module.COLUMNS])
    _, _, csv = style.save(figure, tmp_path / "figure", data)
    saved = pd.read_csv(csv)
    assert list(saved["series"]) == list(cells["series"].astype("str"))
    np.testing.assert_array_equal(saved["mean"], cells["mean"])
    np.testing.assert_array_equal(
        saved[["n", "diverged", "skipped", "failed"]], cells[["n", "diverged", "skipped", "failed"]]
    )


@both
def test_no_data_is_said(module: ModuleType, cells: pd.DataFrame, tmp_path: Path) -> None:
    figure, data = module.draw(cells[:0])
    assert words(figure) == ["no data: no records were found"]
    assert data.empty
    style.save(figure, tmp_path / "figure", data)


@both
def test_one_seed_is_drawn_without_bars(module: ModuleType, frame: pd.DataFrame) -> None:
    figure, _ = module.draw(stats.cells(frame[frame["seed"] == 0]))
    (panel,) = figure.axes
    assert not panel.containers
    assert "RigL (n=1)" in words(figure)
    assert not [text for text in words(figure) if "interval" in text and "Dense" not in text]


@both
def test_bars_are_explained(module: ModuleType, cells: pd.DataFrame) -> None:
    assert "bars: 95 % t interval over n seeds" in words(module.draw(cells)[0])


@both
def test_failures_alone_can_be_drawn(module: ModuleType, frame: pd.DataFrame, tmp_path: Path) -> None:
    figure, data = module.draw(stats.cells(frame[frame["status"] != "done"]))
    assert "SNIP (n=0, 2 diverged, 2 skipped)" in words(figure)
    style.save(figure, tmp_path / "figure", data)


def test_every_point_is_at_its_accuracy(cells: pd.DataFrame) -> None:
    figure, _ = accuracy.draw(cells)
    sparse = cells[cells["method"] != "dense"]
    assert sorted(markers(figure.axes[0])[:, 1]) == pytest.approx(sorted(100 * sparse["mean"]))


def test_cost_is_what_the_runs_spent(cells: pd.DataFrame) -> None:
    figure, _ = cost.draw(cells)
    assert sorted(markers(figure.axes[0])[:, 0]) == pytest.approx(sorted(cells["train_total_x"]))


def test_many_series_have_more_room_as_far_as_the_next_sparsity_leaves_it(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    """80 and 90 % are one step apart: 40 series would take 40 * 0.04 = 1.6 steps, and get 0.8; two take 0.4 as ever."""
    for count, spread in ((2, 0.4), (40, 0.8)):
        runs = [factory.run(f"m{i}", sparsity) for i in range(count) for sparsity in (0.8, 0.9)]
        folder = factory.keep(tmp_path / str(count), *map(factory.record, runs))
        (panel,) = accuracy.draw(stats.cells(load([folder], factory.methods).current))[0].axes
        places = sorted(x for x, _ in markers(panel) if x < 2.82)  # -log2(1 - 0.8) = 2.32
        assert len(places) == count
        assert places[-1] - places[0] == pytest.approx(spread * (count - 1) / count)


def test_a_series_alone_at_its_sparsity_stands_at_the_tick(tmp_path: Path, factory: SimpleNamespace) -> None:
    """As N:M does at its own 50 %, however many series there are elsewhere: -log2(1 - 0.5) = 1."""
    runs = [*(factory.run(method) for method in ("static", "set", "rigl")), factory.run("nm", 0.5)]
    folder = factory.keep(tmp_path, *map(factory.record, runs))
    (panel,) = accuracy.draw(stats.cells(load([folder], factory.methods).current))[0].axes
    assert min(x for x, _ in markers(panel)) == pytest.approx(1.0)


def test_an_outcome_is_a_point_at_the_sparsity_it_reached(tmp_path: Path, factory: SimpleNamespace) -> None:
    """Ticks at 80 and 90 %, STR at -log2(1 - 0.875) = 3 between them, whatever its run says."""
    records = [factory.record(factory.run("rigl", sparsity)) for sparsity in (0.8, 0.9)]
    folder = factory.keep(tmp_path, *records, factory.record(factory.run("str", 0.0), 9123, reached=0.875))
    cells = stats.cells(load([folder], factory.methods).current)
    (panel,) = accuracy.draw(cells)[0].axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["80", "90"]
    ((x, _),) = [point for point in markers(panel) if point[1] == pytest.approx(91.23)]
    assert x == pytest.approx(3.0)
    labels = words(cost.draw(cells)[0])
    assert [label for label in labels if "sparse" in label] == ["marker size: 80 % sparse", "marker size: 90 % sparse"]


@both
@pytest.mark.parametrize("status", ["done", "diverged", "skipped: masks were given"])
def test_outcomes_alone_can_be_drawn(module: ModuleType, status: str, tmp_path: Path, factory: SimpleNamespace) -> None:
    folder = factory.keep(tmp_path, factory.record(factory.run("str", 0.0), status=status, reached=0.913))
    figure, data = module.draw(stats.cells(load([folder], factory.methods).current))
    style.save(figure, tmp_path / "figure", data)
    assert any(text.startswith("STR (n=") for text in words(figure))


def test_failures_are_counted_in_the_panel_and_in_the_legend(cells: pd.DataFrame) -> None:
    found = words(accuracy.draw(cells)[0])
    assert found.count("×2") == 2
    assert "SNIP (n=1, 2 diverged, 2 skipped)" in found
    assert "×k: k runs without a result" in found


def test_dense_is_a_line_with_a_band(cells: pd.DataFrame) -> None:
    figure, _ = accuracy.draw(cells)
    levels = [line.get_ydata()[0] for line in figure.axes[0].lines if len(set(line.get_ydata())) == 1]
    assert pytest.approx(98.01) in levels
    assert "Dense, 95 % interval shaded (n=3)" in words(figure)


@both
def test_one_panel_per_model_data_set_and_length(module: ModuleType, tmp_path: Path, factory: SimpleNamespace) -> None:
    run = factory.run
    runs = [run("dense", 0.0), run(), run(multiplier=5.0), run(dataset="cifar10", model="wrn22_2", layout="other")]
    factory.keep(tmp_path, *map(factory.record, runs))
    figure, _ = module.draw(stats.cells(load([tmp_path], factory.methods).current))
    titles = [panel.get_title() for panel in figure.axes if panel.axison]
    assert titles == ["lenet300 on mnist", "lenet300 on mnist, 5× training", "wrn22_2 on cifar10, other layout"]


def test_a_variant_has_one_tint_in_every_panel_and_in_the_legend(tmp_path: Path, factory: SimpleNamespace) -> None:
    """The second panel lacks the first variant; its line must not take the first one's tint."""
    runs = [factory.run(method_options={"k": k}, multiplier=m) for k, m in ((1, 1.0), (2, 1.0), (2, 5.0))]
    factory.keep(tmp_path, *map(factory.record, runs))
    figure, _ = accuracy.draw(stats.cells(load([tmp_path], factory.methods).current))
    handles = {handle.get_label(): handle.get_color() for handle in figure.legends[0].legend_handles}
    (second,) = [line for line in figure.axes[1].lines if len(line.get_xdata())]
    assert to_hex(second.get_color()).upper() == handles["RigL, k=2 (n=1)"] != handles["RigL, k=1 (n=1)"]


def test_a_panel_without_data_leaves_the_ticks_of_its_neighbour(tmp_path: Path, factory: SimpleNamespace) -> None:
    failed = factory.record(factory.run(multiplier=5.0), status="failed: out of memory")
    factory.keep(tmp_path, factory.record(factory.run()), failed)
    for module in (accuracy, cost):
        figure, data = module.draw(stats.cells(load([tmp_path], factory.methods).current))
        assert "no data: no run is done" in words(figure)
        style.save(figure, tmp_path / "figure", data)
        assert any(label.get_text() for label in figure.axes[0].get_yticklabels())


def test_a_dense_network_that_failed_is_seen(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.keep(tmp_path, factory.record(factory.run("dense", 0.0), status="diverged"), factory.record(factory.run()))
    figure, _ = accuracy.draw(stats.cells(load([tmp_path], factory.methods).current))
    assert "Dense (n=0, 1 diverged)" in words(figure)


@both
def test_a_collapsed_cell_is_written_and_does_not_flatten_the_others(module: ModuleType, frame: pd.DataFrame) -> None:
    there = (frame["method"] == "static") & (frame["sparsity"] == 0.9)
    collapsed = stats.cells(frame.assign(accuracy=frame["accuracy"].mask(there, 0.372)))
    figure, data = module.draw(collapsed)
    low, high = figure.axes[0].get_ylim()
    assert 90 < low < 93.9
    assert 98.01 < high <= 100
    assert any(text.startswith("↓37") for text in words(figure))
    assert "↓m: the mean is m %, below the axis" in words(figure)
    assert data["mean"].min() == pytest.approx(0.372)


@both
def test_what_most_cells_do_is_not_a_collapse(module: ModuleType, frame: pd.DataFrame) -> None:
    wide = frame.assign(accuracy=frame["accuracy"].where(frame["method"] == "dense", 0.372))
    figure, _ = module.draw(stats.cells(wide))
    low, high = figure.axes[0].get_ylim()
    assert low < 37.2 < 98 < high
    assert not [text for text in words(figure) if "↓" in text]


def test_a_method_keeps_its_colour_when_others_come(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.keep(tmp_path, *(factory.record(factory.run(method)) for method in ("rigl", "mine", "another")))
    figure, _ = accuracy.draw(stats.cells(load([tmp_path], factory.methods).current))
    handles = {handle.get_label(): handle.get_color() for handle in figure.legends[0].legend_handles}
    assert handles["RigL (n=1)"] == style.KNOWN["rigl"].color
    assert handles["mine (n=1)"] == style.look("mine").color


def test_a_sweep_shows_the_widest_series_of_each_method() -> None:
    rows = [("rigl", f"RigL, update_every={k}") for k in range(panels.MOST_SERIES)]
    rows += [("rigl", "RigL, update_every=7")] * 2 + [("set", "SET")]
    cells = pd.DataFrame(rows, columns=["method", "series"]).assign(distribution="uniform")
    kept, said = panels.legible(cells)
    assert set(kept["series"]) == {"RigL, update_every=7", "SET"}
    assert len(kept) == 4
    assert [one.get_label() for one in said] == [f"{panels.MOST_SERIES - 1} series of a sweep are in the CSV alone"]
    few = cells[cells["series"] != "SET"]
    assert panels.legible(few)[0] is few

"""Tables of what was measured: every number of a document in its place, whatever is not finite still there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.landscape import results
from analysis.landscape.results import Measured

HALF = 4.302653
"""t(.975, 2): half of the interval over three values is this times their standard deviation over sqrt(3)."""


@pytest.fixture
def measured(landscape: Path, landscapes: SimpleNamespace) -> Measured:
    return results.load([landscape], landscapes.methods)


def load(folder: Path, landscapes: SimpleNamespace, *documents: dict) -> Measured:
    return results.load([landscapes.write(folder, *documents)], landscapes.methods)


def test_every_loss_along_a_curve_has_a_row(measured: Measured) -> None:
    assert len(measured.profiles) == 3 * 3 * 5  # seeds, curves, places
    line = measured.profiles[(measured.profiles["curve"] == "linear") & (measured.profiles["seed_first"] == 2)]
    assert list(line["t"]) == [0, 0.25, 0.5, 0.75, 1]
    assert list(line["train_loss"]) == [0.4, 0.35, 1.5, 0.25, 0.2]
    assert set(line["pair"]) == {"Static – Pruning"}
    assert set(line["cell"]) == {"lenet300 on mnist, uniform, 95 %"} == set(measured.cells)


def test_barriers_by_hand(measured: Measured) -> None:
    train = measured.barriers[measured.barriers["split"] == "train"].groupby(["curve", "space"])
    heights, places, descents = (train[name].apply(list) for name in ("height", "place", "descent"))
    assert heights["linear", "line"] == pytest.approx([1.0, 1.1, 1.2])
    assert heights["quadratic", "union"] == pytest.approx([0.3, 0.3, 0.3])
    assert heights["quadratic", "dense"] == [0, 0, 0]
    assert descents["linear", "line"] == pytest.approx([0.2, 0.2, 0.2])
    assert np.isnan(places["quadratic", "dense"]).all()  # there is no barrier to have a place


def test_a_loss_that_is_not_a_number_stays_in_the_table(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    ways = [
        landscapes.group(
            ("static", seed),
            ("pruning", seed),
            curves=[landscapes.curve("linear", "line", [0.4, "NaN" if seed else 1.0, 0.2])],
        )
        for seed in range(3)
    ]
    measured = load(tmp_path, landscapes, landscapes.document("curves", *ways))
    middle = measured.profiles[measured.profiles["t"] == 0.5]
    assert middle["train_loss"].isna().tolist() == [False, True, True]
    mean = results.over_seeds(measured.profiles, ["cell", "t"], "train_loss").set_index("t")
    assert mean["n"].tolist() == [3, 1, 3]
    assert mean["mean"].isna().tolist() == [False, True, False]  # the one left alone would flatter the others
    assert results.whole(measured.barriers)["seed_first"].unique().tolist() == [0]


def test_a_curve_whose_fit_diverged_is_not_whole(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    fitted = landscapes.curve("quadratic", "union", [0.4, 0.3, 0.2], diverged_at=7)
    ways = landscapes.group(("static", 0), ("pruning", 0), curves=[fitted])
    measured = load(tmp_path, landscapes, landscapes.document("curves", ways))
    assert measured.profiles["diverged"].all()
    assert results.whole(measured.barriers).empty


def test_infinities_are_read(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    high, low = (landscapes.curvature("rigl", seed) for seed in range(2))
    high["eigenvalues"]["all"] = {"largest": ["Infinity"], "smallest": ["-Infinity"]}
    measured = load(tmp_path, landscapes, landscapes.document("curvature", high, low))
    first = measured.eigenvalues[(measured.eigenvalues["seed"] == 0) & (measured.eigenvalues["space"] == "all")]
    assert first["value"].tolist() == [np.inf, -np.inf]


def test_a_continuation_begins_where_its_parent_ended(measured: Measured) -> None:
    static = measured.traces[(measured.traces["label"] == "Static") & (measured.traces["seed"] == 1)]
    assert static["step"].tolist() == [0, 50, 100]
    assert static["train_loss"].tolist() == [0.4, 0.4, 0.391]
    assert measured.escapes["label"].unique().tolist() == ["Static", "RigL", "RigL, moved once"]
    rigl = measured.escapes[measured.escapes["label"] == "RigL"]
    assert rigl["accuracy_after"].tolist() == [0.96, 0.97, 0.98]
    assert rigl["train_loss_before"].tolist() == [0.4] * 3
    assert set(rigl["jaccard"]) == {0.5}


def test_methods_come_in_the_house_order(measured: Measured) -> None:
    assert measured.eigenvalues["label"].unique().tolist() == ["Static", "RigL"]
    assert measured.overlaps["label"].unique().tolist() == ["Static", "RigL"]
    assert [one.label for one in measured.inputs] == ["Static", "RigL"]
    assert measured.inputs[0].degrees.tolist() == [[0, 0], [0, 9]]


def test_curvature_by_hand(measured: Measured) -> None:
    top = measured.eigenvalues[(measured.eigenvalues["end"] == "largest") & (measured.eigenvalues["rank"] == 0)]
    mean = results.over_seeds(top, ["label", "space"], "value").set_index(["label", "space"]).loc[("Static", "active")]
    assert (mean["mean"], mean["n"]) == (5, 3)
    assert mean["high"] - mean["mean"] == pytest.approx(HALF / 3**0.5)
    assert measured.shares["step"].isna().sum() == 6  # at the end, of three seeds of two methods
    assert len(measured.descents) == 6 * 2 * 2


def test_topology_keeps_layers_pairs_and_steps(measured: Measured) -> None:
    rigl = measured.overlaps[measured.overlaps["method"] == "rigl"]
    assert len(rigl) == 3 * 3  # pairs of seeds; two layers and the whole
    assert rigl["layer"].unique().tolist() == [results.WHOLE, "fc1", "fc2"]
    moves = measured.moves[(measured.moves["method"] == "rigl") & (measured.moves["seed"] == 0)]
    assert moves["step"].tolist() == [50, 100]
    assert np.isnan(moves["churn"].iloc[0])
    assert moves["churn"].iloc[1] == 0.25
    assert set(measured.explored["explored"]) == {0.4}


def test_maps_keep_grids_solutions_and_paths(measured: Measured) -> None:
    (plane,) = measured.planes
    assert plane.train_loss.shape == (3, 3)
    assert np.isnan(plane.train_loss[1, 1])
    assert plane.places["at"].tolist() == ["solution"] * 3 + ["path"] * 2
    assert plane.places["label"].tolist() == ["Static", "RigL", "Pruning", "Static", "RigL"]
    assert [one.around for one in measured.surroundings] == ["Static", "RigL", "Pruning"]


def test_no_documents_give_empty_tables(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    measured = load(tmp_path, landscapes)
    assert measured.cells == []
    for name, (_, _, columns) in results.TABLES.items():
        frame: pd.DataFrame = getattr(measured, name)
        assert frame.empty
        assert list(frame.columns) == list(columns)
    assert results.over_seeds(measured.profiles, ["cell", "t"], "train_loss").empty


def test_one_seed_has_a_mean_and_no_interval(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    measured = load(tmp_path, landscapes, landscapes.document("curvature", landscapes.curvature("rigl", 0)))
    mean = results.over_seeds(measured.shares, ["cell", "step"], "share")
    assert mean["mean"].tolist() == [0.3, 0.6, 0.9]
    assert mean["n"].tolist() == [1, 1, 1]
    assert mean["low"].isna().all()


def test_runs_that_documents_do_not_tell_apart_are_refused(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    twice = [landscapes.escape("rigl", 0, 0.4, after) for after in (0.1, 0.2)]
    with pytest.raises(AnalysisError, match=r"two runs of RigL go on from static of seed 0"):
        load(tmp_path, landscapes, landscapes.document("escape", *twice))


def test_a_document_without_its_parts_is_named_with_its_runs(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    broken = landscapes.curvature("rigl", 0)
    del broken["trace"]
    with pytest.raises(AnalysisError, match=r"KeyError\('trace'\) in what was measured of mnist-lenet300/rigl"):
        load(tmp_path, landscapes, landscapes.document("curvature", broken))

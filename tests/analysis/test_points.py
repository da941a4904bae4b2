"""Points: published numbers in the suite's words, and cells of records in the same columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from analysis import points, records, references, reported
from analysis.errors import AnalysisError
from pipeline.run import Topology

REFERENCES = references.load()
PUBLISHED = points.reported(REFERENCES)
NAN = float("nan")


def one(frame: pd.DataFrame, **values) -> pd.Series:
    """The only row of these values."""
    found = frame[(frame[list(values)] == list(values.values())).all(axis=1)]
    assert len(found) == 1
    return found.iloc[0]


# -- published ------------------------------------------------------------------------------------------------------------


def test_a_published_row_in_our_words() -> None:
    row = one(
        PUBLISHED,
        source="evci2020rigl",
        label="RigL",
        sparsity=0.9,
        distribution="erk",
        multiplier=5.0,
        model="resnet50",
    )
    assert (row["method"], row["family"], row["dataset"], row["series"]) == (
        "rigl",
        "sparse-to-sparse",
        "imagenet",
        "RigL, ERK",
    )
    assert (row["mean"], row["std"], row["n"]) == (0.764, 0.0005, 3)
    assert (row["train_x"], row["inference_x"]) == (1.23, 0.24)
    assert (row["update_every"], row["drop_fraction"], row["decay"]) == (100, 0.3, "cosine")
    assert (row["place"], row["cited"]) == ("Figure 2 (left) table, sec 4.1", "Evci et al. 2020")
    assert np.isnan([row["low"], row["high"], row["size_bytes"]]).all()
    assert (row["erratum"], row["suspect"], row["digitised"]) == ("", "", False)


def test_all_quality_rows_are_there_and_nothing_else() -> None:
    names = reported.names()
    ranked = [
        row
        for row in reported.rows()
        if (names.metric(row.metric) or None) and names.metric(row.metric).metric == "accuracy"
    ]
    assert len(PUBLISHED) == len(ranked) == 456
    assert set(PUBLISHED["metric"]) == {"accuracy"}
    assert PUBLISHED["mean"].between(0, 1).all()
    assert list(PUBLISHED.columns) == list(points.COLUMNS)
    assert PUBLISHED["url"].str.fullmatch(r"https?://\S+").all()
    assert PUBLISHED["digitised"].sum() == 33


def test_errors_become_accuracies_and_the_best_epoch_is_said() -> None:
    last = one(PUBLISHED, label="RigL", model_words="lenet300, 408-100-69", variant="")
    best = one(PUBLISHED, label="RigL", model_words="lenet300, 408-100-69", variant="best epoch")
    assert (last["mean"], best["mean"]) == (0.9852, 0.9856)
    assert best["size_bytes"] == 31914
    assert (PUBLISHED.loc[PUBLISHED["label"].str.contains("SRigL w/"), "source"] == "lasby2024srigl").all()


def test_sizes_come_from_the_like_row() -> None:
    row = one(PUBLISHED, source="evci2020code", label="RigL", sparsity=0.8, distribution="erk", multiplier=5.0)
    assert row["size_bytes"] == 23_683_000


def test_networks_and_distributions_that_are_others_are_named() -> None:
    wide = PUBLISHED[PUBLISHED["model_words"] == "mobilenet_v1, width 1.98"]
    assert set(wide["model"]) == {"mobilenet_v1"}
    assert one(wide, distribution="erk")["mean"] == 0.77
    learned = PUBLISHED[PUBLISHED["method"] == "str"]
    assert set(learned["variant"]) == {"learned (STR)"}
    assert set(learned["distribution"]) == {""}
    assert set(PUBLISHED.loc[PUBLISHED["model"] == "resnet50_cifar", "dataset"]) == {
        "CIFAR-100"
    }  # which the suite has not


def test_what_is_suspect_is_said_and_left_as_printed() -> None:
    repeated = one(PUBLISHED, label="Static", distribution="erk", sparsity=0.95, model="resnet50")
    assert repeated["suspect"] == "mean train_x inference_x"
    assert repeated["erratum"].startswith("the whole row repeats")
    assert repeated["mean"] == 0.721
    other = one(PUBLISHED, label="RigL", distribution="uniform", sparsity=0.95, multiplier=1.0, source="evci2020rigl")
    assert (other["suspect"], other["train_x"]) == ("train_x", 0.23)


def test_a_standard_error_is_no_standard_deviation() -> None:
    rows = PUBLISHED[(PUBLISHED["source"] == "dettmers2019snfs") & (PUBLISHED["suspect"] == "std")]
    assert len(rows) == 29
    assert rows["std"].isna().all()
    assert rows["n"].isna().all()


def test_n_is_stated_only_where_it_is() -> None:
    assert np.isnan(one(PUBLISHED, source="evci2020issue8", label="RigL", sparsity=0.5, multiplier=1.0)["n"])
    assert np.isnan(one(PUBLISHED, label="Pruning* (Gale)", sparsity=0.8, multiplier=1.0)["n"])
    assert one(PUBLISHED, label="SRigL w/ ablation", sparsity=0.99, variant="best epoch", multiplier=1.0)["n"] == 5


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("method", "SuperRigL", "no method 'SuperRigL'\nit has"),
        ("model", "ResNet-18", "no model 'ResNet-18'\nit has"),
        ("dataset", "SVHN", "no dataset 'SVHN'\nit has"),
        ("distribution", "balanced", "no distribution 'balanced'\nit has"),
        ("metric", "top5_acc", "no metric 'top5_acc'\nit has"),
        ("source_key", "nobody2000", "no source 'nobody2000'\nit has"),
        ("train_multiplier", "up to 5", "published.csv, line 2: .*'up to 5'"),
        ("value", "n/a", "published.csv, line 2: .*'n/a'"),
    ],
)
def test_what_is_unknown_is_refused(monkeypatch: pytest.MonkeyPatch, field: str, value: str, message: str) -> None:
    rows = reported.rows()
    monkeypatch.setattr(reported, "rows", lambda: [dataclasses.replace(rows[0], **{field: value}), *rows[1:]])
    with pytest.raises(AnalysisError, match=message):
        points.reported(REFERENCES)


@pytest.mark.parametrize(
    ("table", "name", "value", "message"),
    [
        ("methods", "RigL", "rigel", "names.yaml calls 'RigL' 'rigel'\nmethods are .*rigl"),
        ("sources", "evci2020rigl", {"citation": "nobody2000"}, "'nobody2000' is no key"),
    ],
)
def test_a_name_for_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, table: str, name: str, value: str | Mapping, message: str
) -> None:
    tables = reported.names().tables
    changed = reported.Names({**tables, table: {**tables[table], name: value}})
    monkeypatch.setattr(reported, "names", lambda: changed)
    with pytest.raises(AnalysisError, match=message):
        points.reported(REFERENCES)


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        ("Evci, Utku", "Evci 2020"),
        ("Dettmers, Tim and Zettlemoyer, Luke", "Dettmers & Zettlemoyer 2020"),
        ("Ge, A. and\n  Li, B. and Wu, C.", "Ge et al. 2020"),
    ],
)
def test_short_references(author: str, expected: str) -> None:
    assert points.cited({"author": author, "year": "2020"}) == expected
    assert points.cited({"author": author, "year": "2020", "shorttitle": "code"}) == f"{expected}, code"


# -- reproduced -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ours(study: Path, factory: SimpleNamespace) -> pd.DataFrame:
    """The points of ``study``."""
    return points.reproduced(records.load([study], factory.methods))


def test_a_cell_is_a_mean_over_its_seeds(ours: pd.DataFrame) -> None:
    row = one(ours, series="RigL", sparsity=0.8, metric="accuracy")
    low, high = scipy_stats.t.interval(0.95, 2, loc=0.972, scale=scipy_stats.sem([0.97, 0.972, 0.974]))
    assert (row["n"], row["kind"], row["source"]) == (3, "reproduced", "runs")
    assert row[["mean", "low", "high", "std"]].tolist() == pytest.approx([0.972, low, high, 0.002])
    assert row["train_x"] == pytest.approx(0.21)
    assert (row["update_every"], row["drop_fraction"], row["decay"]) == (100, 0.3, "cosine")


def test_failures_are_counted_and_never_averaged(ours: pd.DataFrame) -> None:
    row = one(ours, series="SNIP", sparsity=0.9, metric="accuracy")
    assert (row["mean"], row["n"], row["diverged"], row["skipped"], row["failed"]) == (0.94, 1, 1, 1, 0)
    assert np.isnan([row["low"], row["high"], row["std"]]).all()


def test_a_topology_that_does_not_move_has_no_updates(ours: pd.DataFrame) -> None:
    still = ours[ours["method"].isin(["static", "snip", "dense"])]
    assert still[["update_every", "drop_fraction"]].isna().all(axis=None)
    assert set(still["decay"]) == {""}


def test_every_cell_has_its_quality_and_its_training_loss(ours: pd.DataFrame) -> None:
    assert ours.groupby("metric").size().to_dict() == {"accuracy": 9, "train_loss_nats": 9}
    assert ours.loc[ours["metric"] == "train_loss_nats", "mean"].tolist() == pytest.approx([0.05] * 9)


def test_a_text_is_judged_by_its_bits_even_where_no_run_is_done(factory: SimpleNamespace, tmp_path: Path) -> None:
    def run(method: str, **fields):
        return factory.run(method, 0.75, dataset="wikitext-mini", model="charlm_gru", **fields)

    done = factory.record(run("rigl"))
    done = dataclasses.replace(done, result=dataclasses.replace(done.result, bits_per_character=1.5))
    factory.keep(tmp_path, done, factory.record(run("set"), status="diverged"))
    found = points.reproduced(records.load([tmp_path], factory.methods))
    assert one(found, method="rigl", metric="bits_per_character")["mean"] == 1.5
    failed = one(found, method="set")
    assert (failed["metric"], failed["n"], failed["diverged"]) == ("bits_per_character", 0, 1)


def test_options_starts_and_outcomes_are_told(factory: SimpleNamespace, tmp_path: Path) -> None:
    factory.keep(
        tmp_path,
        factory.record(factory.run("snfs", method_options={"momentum": 0.99})),
        factory.record(factory.run("str"), reached=0.913),
        factory.record(factory.run("rigl", model="wrn22_2", model_options={"width": 4})),
    )
    found = points.reproduced(records.load([tmp_path], factory.methods))
    assert one(found, method="snfs", metric="accuracy")["options"] == "momentum=0.99"
    outcome = one(found, method="str", metric="accuracy")
    assert np.isnan(outcome["sparsity"])
    assert outcome["achieved_sparsity"] == 0.913
    assert one(found, method="rigl", metric="accuracy")["model_words"] == "wrn22_2, width 4"


def test_a_protocol_is_all_that_cells_of_a_figure_share(factory: SimpleNamespace, tmp_path: Path) -> None:
    training = factory.run().protocol
    longer = dataclasses.replace(training, steps=2000)
    often = dataclasses.replace(training, topology=Topology(update_every=10))
    runs = [
        factory.run("rigl", 0.9),
        factory.run("rigl", 0.8, distribution="erk", multiplier=2.0),
        factory.run("set", 0.9, protocol=often),
        factory.run("snfs", 0.9, method_options={"momentum": 0.5}),
        factory.run("static", 0.9, protocol=longer),
    ]
    factory.keep(tmp_path, *map(factory.record, runs))
    found = points.reproduced(records.load([tmp_path], factory.methods)).query("metric == 'accuracy'")
    assert found["protocol"].nunique() == 2
    assert found.loc[found["method"] != "static", "protocol"].nunique() == 1


def test_the_study_of_committed_records_is_named(study: Path, factory: SimpleNamespace, tmp_path: Path) -> None:
    records.collect([study], tmp_path / "reference" / "quick" / "records.jsonl")
    found = points.reproduced(records.load([tmp_path / "reference"], factory.methods))
    assert set(found["source"]) == {"quick"}


def test_no_records_are_no_points() -> None:
    nothing = pd.DataFrame(columns=list(records.COLUMNS))
    found = points.reproduced(records.Table(nothing, nothing))
    assert found.empty
    assert list(found.columns) == list(points.COLUMNS)


def test_both_kinds_stand_in_one_frame(study: Path, factory: SimpleNamespace, ours: pd.DataFrame) -> None:
    table = records.load([study], factory.methods)
    found = points.both(REFERENCES, table)
    assert len(found) == len(PUBLISHED) + len(ours)
    assert dict(found.dtypes) == dict(PUBLISHED.dtypes) == dict(ours.dtypes)

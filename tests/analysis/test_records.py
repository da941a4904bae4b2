"""Loading: what becomes a row, what is set apart, and what is refused with the file's name and a way out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.records import COLUMNS, collect, load, read
from pipeline.record import COMPARABILITY_VERSION, LayerCount, Record


def only(folder: Path) -> Path:
    (file,) = folder.rglob("record.json")
    return file


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.fixture
def single(tmp_path: Path, factory: SimpleNamespace) -> Path:
    return factory.keep(tmp_path, factory.record(factory.run("rigl", 0.9, 2), 9712))


def test_a_row_says_what_the_record_says(single: Path, factory: SimpleNamespace) -> None:
    (row,) = load([single], factory.methods).current.to_dict("records")
    run = factory.run("rigl", 0.9, 2)
    assert (row["run"], row["cell"], row["seed"]) == (run.path, run.at_seed(0).digest, 2)
    assert (row["series"], row["family"], row["citation"]) == ("RigL", "sparse-to-sparse", "evci2020rigl")
    assert row["dense_parts"] == "gradient, at topology updates"
    assert (row["accuracy"], row["test_correct"], row["test_total"]) == (0.9712, 9712, 10_000)
    assert (row["status"], row["reason"]) == ("done", "")
    assert row["rigl_inference_flops"] == 53_200
    assert row["macs_train_x"] == 0.105
    assert row["finished"] == "2026-01-03T10:00:00Z"


def test_the_columns_are_there_with_no_records(tmp_path: Path, factory: SimpleNamespace) -> None:
    table = load([tmp_path], factory.methods)
    assert list(table.current) == list(table.apart) == list(COLUMNS)
    assert table.current.empty


def test_failures_are_rows_with_a_reason(study: Path, factory: SimpleNamespace) -> None:
    frame = load([study], factory.methods).current
    failed = frame[frame["status"] != "done"]
    assert sorted(zip(failed["status"], failed["reason"], strict=True)) == [
        *[("diverged", "")] * 2,
        *[("skipped", "an empty layer")] * 2,
    ]
    assert failed["accuracy"].isna().all()


def test_series_are_baselines_first_then_by_family(frame: pd.DataFrame) -> None:
    assert list(frame["series"].cat.categories) == ["Dense", "Static", "SNIP", "RigL", "RigL, ERK"]


def test_options_are_ordered_by_their_numbers(tmp_path: Path, factory: SimpleNamespace) -> None:
    values = (0.08, 0.025, 10.0, 2.0)
    factory.keep(tmp_path, *(factory.record(factory.run(method_options={"k": value})) for value in values))
    series = load([tmp_path], factory.methods).current["series"]
    assert list(series.cat.categories) == [f"RigL, k={value}" for value in (0.025, 0.08, 2.0, 10.0)]


def test_a_method_of_no_file_keeps_its_name(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.keep(tmp_path, factory.record(factory.run("mine")))
    (row,) = load([tmp_path], factory.methods).current.to_dict("records")
    assert (row["series"], row["family"], row["citation"]) == ("mine", "unknown", "")
    assert row["dense_parts"] == "unknown"  # not "", which says that nothing is dense


def test_a_step_is_held_against_the_dense_one_of_its_hardware(tmp_path: Path, factory: SimpleNamespace) -> None:
    def timed(method: str, sparsity: float, seed: int, seconds: float, hardware: str = "a laptop", **fields: object):
        record = factory.record(factory.run(method, sparsity, seed), **fields)
        timing = dataclasses.replace(record.timing, train_seconds=seconds) if record.timing else None
        return dataclasses.replace(
            record, timing=timing, provenance=dataclasses.replace(record.provenance, hardware=hardware)
        )

    factory.keep(
        tmp_path,
        timed("dense", 0.0, 0, 10.0),
        timed("dense", 0.0, 1, 14.0),
        timed("rigl", 0.9, 0, 3.0, execution="sparse"),
        timed("rigl", 0.9, 1, 3.0, hardware="a server"),
        timed("set", 0.9, 0, 3.0, status="diverged", result=None),
    )
    frame = load([tmp_path], factory.methods).current.set_index(["method", "seed"])
    steps = factory.run("rigl", 0.9, 0).steps
    assert frame.loc[("rigl", 0), "step_seconds"] == 3.0 / steps
    assert frame.loc[("rigl", 0), "step_x"] == 0.25
    assert frame.loc[("dense", 1), "step_x"] == 14 / 12
    assert frame.loc[[("rigl", 1), ("set", 0)], "step_x"].isna().all()
    assert frame["execution"].to_dict()[("rigl", 0)] == "sparse"
    assert set(frame["execution"]) == {"masked", "sparse"}


def test_what_was_explored_and_held_is_carried(tmp_path: Path, factory: SimpleNamespace) -> None:
    """Records from before these were stated have none."""
    factory.keep(
        tmp_path,
        factory.record(factory.run("rigl", 0.9, 0), explored=0.25, peak_parameter_bytes=1_171_280, file_bytes=28_122),
        factory.record(factory.run("rigl", 0.9, 1)),
    )
    frame = load([tmp_path], factory.methods).current
    assert frame["explored"].tolist()[0] == 0.25
    assert frame["peak_parameter_bytes"].tolist()[0] == 1_171_280
    assert frame["file_bytes"].tolist()[0] == 28_122
    assert frame.loc[1, ["explored", "peak_parameter_bytes", "file_bytes"]].isna().all()


def test_a_sparsity_that_nobody_asked_for_is_an_outcome(tmp_path: Path, factory: SimpleNamespace) -> None:
    """STR's run says 0; dense says 0 too, and means it."""
    factory.keep(
        tmp_path, factory.record(factory.run("str", 0.0), reached=0.91), factory.record(factory.run("dense", 0.0))
    )
    frame = load([tmp_path], factory.methods).current.set_index("method")
    assert frame["sparsity_is_outcome"].to_dict() == {"dense": False, "str": True}
    assert pd.isna(frame.loc["str", "sparsity"])
    assert frame.loc["dense", "sparsity"] == 0
    assert frame["achieved_sparsity"].to_dict() == {"dense": 0, "str": 0.91}
    assert frame["free_layers"].tolist() == ["", ""]
    assert pd.isna(frame.loc["str", "missing_weights"])


def test_a_distribution_without_meaning_is_not_told(tmp_path: Path, factory: SimpleNamespace) -> None:
    """The study resets what a method ignores to `uniform`, which is not what its layers have."""
    factory.keep(tmp_path, *(factory.record(factory.run(method, 0.0)) for method in ("grasp", "str", "dense", "rigl")))
    frame = load([tmp_path], factory.methods).current
    found = dict(zip(frame["method"], frame["distribution"], strict=True))
    assert found == {"grasp": "", "str": "", "dense": "", "rigl": "uniform"}


def layers(*held: int) -> tuple[LayerCount, ...]:
    """Layers of 1,000 weights at 90 %, which asks for 100 each, with ``held`` non-zeros."""
    return tuple(
        LayerCount(f"fc{i}", (10, 100), 1000, nonzeros, 1 - nonzeros / 1000, 0.9, True)
        for i, nonzeros in enumerate(held)
    )


@pytest.mark.parametrize(
    ("method", "held", "missing", "free"),
    [
        ("rigl", (100, 100), 0, ""),
        ("grasp", (20, 180), 0, "layers are ranked together"),
        ("grasp", (100, 100), 0, ""),  # by chance as asked
        ("srigl", (100, 90), 0.05, "fan-ins are whole"),  # 10 of 200
        ("snip", (150, 50), 0, "layers do not keep the numbers asked for"),  # an option of a method that keeps them
        ("snip", (150, 70), -0.1, "layers do not keep the numbers asked for"),
    ],
)
def test_other_numbers_of_weights_than_asked_for_are_seen(
    tmp_path: Path, factory: SimpleNamespace, method: str, held: tuple[int, ...], missing: float, free: str
) -> None:
    factory.keep(tmp_path, factory.record(factory.run(method, 0.9), layers=layers(*held)))
    (row,) = load([tmp_path], factory.methods).current.to_dict("records")
    assert (row["missing_weights"], row["free_layers"]) == (pytest.approx(missing), free)


def test_rounding_to_whole_weights_is_not_missing_any(tmp_path: Path, factory: SimpleNamespace) -> None:
    """300 weights at 98.9 % ask for 3.3; the suite's rule, floor(0.989 * 300) = 296 zeros, gives 4."""
    layer = LayerCount("fc", (3, 100), 300, 4, 1 - 4 / 300, 0.989, True)
    factory.keep(tmp_path, factory.record(factory.run("rigl", 0.989), layers=(layer,)))
    (row,) = load([tmp_path], factory.methods).current.to_dict("records")
    assert (row["missing_weights"], row["free_layers"]) == (0, "")


@pytest.mark.parametrize("text", ["", '{"run": "a', "[1, 2", '{"sparsity": NaN}'])
def test_a_truncated_record_is_named(single: Path, text: str) -> None:
    only(single).write_text(text)
    with pytest.raises(AnalysisError, match=r"record\.json is truncated or not JSON(.|\n)*rigl-bench retry"):
        read([single])


def test_a_record_that_is_not_text_is_named(single: Path) -> None:
    only(single).write_bytes(b"\xff\xfe")
    with pytest.raises(AnalysisError, match=r"record\.json is not text"):
        read([single])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, "schema version 99, this suite reads 1"),
        ({"run": "elsewhere/seed0-00000000"}, "says it is run elsewhere"),
        ({"status": "excellent"}, "one of done, diverged, skipped, failed was due"),
        ({"status": "diverged"}, "only done, has a result"),
        ({"flops": {}}, "has the ledgers none, due are macs, rigl"),
        ({"surprise": 1}, "is not a record: surprise"),
        ({"config": {}}, "configuration of another kind"),
        ({"size_bytes": "many"}, "is not a record: size_bytes"),
    ],
)
def test_a_record_that_contradicts_itself_is_named(single: Path, changes: dict, message: str) -> None:
    edit(only(single), **changes)
    with pytest.raises(AnalysisError, match=message) as caught:
        read([single])
    assert str(only(single)) in str(caught.value)
    assert "rigl-bench retry" in str(caught.value)


def test_another_comparability_version_is_apart(study: Path, factory: SimpleNamespace) -> None:
    file = study / factory.run("rigl", 0.8, 1).path / "record.json"
    edit(file, comparability_version=COMPARABILITY_VERSION - 1)
    table = load([study], factory.methods)
    assert list(table.apart["run"]) == [factory.run("rigl", 0.8, 1).path]
    assert len(table.current) == 26
    assert set(table.current["comparability_version"]) == {COMPARABILITY_VERSION}


def test_duplicates_are_an_error_that_names_both(single: Path) -> None:
    collect([single], single / "reference" / "records.jsonl")
    with pytest.raises(AnalysisError) as caught:
        read([single])
    assert str(only(single)) in str(caught.value)
    assert f"{single / 'reference' / 'records.jsonl'}:1" in str(caught.value)


def test_collect_loses_nothing(study: Path, tmp_path: Path) -> None:
    committed = tmp_path / "reference" / "records.jsonl"
    assert collect([study], committed) == 27
    lines = committed.read_text().splitlines()
    assert lines == sorted(lines, key=lambda line: json.loads(line)["run"])
    assert json.loads(lines[0]).keys() == {field.name for field in dataclasses.fields(Record)}
    before, after = read([study]), read([committed.parent])
    assert [item.record for item in before] == [item.record for item in after]
    again = tmp_path / "again" / "records.jsonl"
    collect([committed.parent], again)
    assert again.read_bytes() == committed.read_bytes()


def test_collect_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="no records to collect"):
        collect([tmp_path], tmp_path / "records.jsonl")


def test_a_broken_line_is_named_by_its_number(study: Path, tmp_path: Path) -> None:
    committed = tmp_path / "reference" / "records.jsonl"
    collect([study], committed)
    lines = committed.read_text().splitlines()
    committed.write_text("\n".join([lines[0], lines[1][:100], *lines[2:]]))
    with pytest.raises(AnalysisError, match=r"records\.jsonl:2 is truncated"):
        read([committed.parent])


def test_only_the_runs_asked_for(study: Path, factory: SimpleNamespace, tmp_path: Path) -> None:
    wanted = [factory.run("rigl", 0.8, seed).path for seed in range(3)]
    (study / factory.run("static", 0.8, 0).path / "record.json").write_text("broken, and another study's")
    assert [item.record.run for item in read([study], wanted)] == sorted(wanted)


def test_a_run_without_a_record_is_an_error(study: Path) -> None:
    with pytest.raises(AnalysisError, match="1 of 1 runs have no record, the first of them no/such/run"):
        read([study], ["no/such/run"])


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="nowhere is not a folder"):
        read([tmp_path / "nowhere"])

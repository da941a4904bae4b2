"""Submissions: folder, card, records, what is recomputed, and what comes of them. Mutations: test_submission_mutations."""

from __future__ import annotations

import json
import math
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from analysis import points, references, submissions
from analysis.errors import AnalysisError
from analysis.leaderboard import page
from analysis.submissions import measured
from pipeline import validate_command
from pipeline.provenance import source_digest
from pipeline.run import run_from_dict
from sparse_methods.methods import METHODS
from tests.submissions import hostile
from tests.submissions.trial import about, stopped, told

ROOT = Path(__file__).parents[2]
STUDIES = ("quick", "zoo", "mnist-rigl-plus", "mnist-behaviours")


# -- what is right ---------------------------------------------------------------------------------------------------------


def test_the_example_is_valid_and_becomes_points() -> None:
    assert told(hostile.EXAMPLE) == []
    frame = submissions.load(hostile.EXAMPLE)
    assert list(frame.columns) == [*points.COLUMNS, *submissions.CARD_COLUMNS]
    accuracy = frame[(frame["metric"] == points.ACCURACY) & (frame["sparsity"] == 0.9)].iloc[0]
    mine = [r["result"] for r in hostile.records() if r["config"]["sparsity"] == 0.9]
    mean = sum(r["test_correct"] for r in mine) / sum(r["test_total"] for r in mine)
    assert accuracy["mean"] == pytest.approx(mean, rel=1e-12)
    assert (accuracy["kind"], accuracy["source"], accuracy["n"]) == ("submitted", "example", 3)
    assert (accuracy["method"], accuracy["label"], accuracy["family"]) == ("greedy", "Greedy", "sparse-to-sparse")
    assert accuracy["seeds"] == [0, 1, 2]
    assert accuracy["citation"] == "example2026greedy"
    assert accuracy["low"] < accuracy["mean"] < accuracy["high"]
    assert accuracy["dense_parts"] == "gradient at topology updates"


def test_every_method_of_the_suite_is_recomputed_to_the_last_digit() -> None:
    """The first finished record of each method and study: all its costs, counts and bytes follow from its configuration."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for study in STUDIES:
        for line in (ROOT / f"results/reference/{study}/records.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record["status"] == "done":
                found.setdefault((study, record["config"]["method"]), record)
    assert {method for _, method in found} == set(METHODS)
    for record in found.values():
        record["provenance"]["source_digest"] = source_digest(run_from_dict(record["config"]))
        record["provenance"]["data_digest"] = measured.DATA_DIGESTS[record["config"]["dataset"]]
        assert about(record) == []


def test_the_facts_of_data_sets_are_those_of_the_reference_records() -> None:
    seen: dict[str, set[tuple[str, int]]] = {}
    for file in (ROOT / "results/reference").glob("*/records.jsonl"):
        for record in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
            digest = record["provenance"].get("data_digest")
            if record["status"] == "done" and digest:
                total = record["result"]["test_total"]
                seen.setdefault(record["config"]["dataset"], set()).add((digest, total))
    assert seen == {name: {(digest, measured.TEST_SAMPLES[name])} for name, digest in measured.DATA_DIGESTS.items()}


def test_a_seed_that_is_missing_is_noted_and_shrinks_n(tmp_path: Path) -> None:
    without = [r for r in hostile.records() if (r["config"]["sparsity"], r["config"]["seed"]) != (0.9, 1)]
    submission, defects = submissions.check(hostile.write(tmp_path / "gap", lines=without))
    assert defects == []
    assert submission is not None
    assert submission.notes == ("digits-lenet300/greedy/s90 has 2 seeds; 1 is missing and n is smaller",)
    frame = submissions.load(tmp_path)
    assert frame.loc[frame["metric"] == points.ACCURACY].set_index("sparsity")["n"].to_dict() == {0.9: 2, 0.98: 3}


def test_runs_that_diverged_or_failed_are_counted_and_in_no_mean(tmp_path: Path) -> None:
    lines = hostile.records()
    assert [r["config"]["seed"] for r in lines] == [0, 1, 2, 0, 1, 2]
    lines[0] |= {"status": "diverged", "result": None}
    lines[1] = stopped(lines[1], "failed: out of memory")
    frame = submissions.load(hostile.write(tmp_path / "unlucky", lines=lines))
    first = frame[(frame["metric"] == points.ACCURACY) & (frame["sparsity"] == lines[0]["config"]["sparsity"])].iloc[0]
    assert (first["n"], first["diverged"], first["failed"], first["skipped"]) == (1, 1, 1, 0)
    assert first["mean"] == lines[2]["result"]["test_correct"] / 449
    assert math.isnan(first["low"])


def test_records_of_an_older_version_are_noted_and_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.submissions.checker.COMPARABILITY_VERSION", 2)
    monkeypatch.setattr("analysis.submissions.frame.COMPARABILITY_VERSION", 2)
    submission, _ = submissions.check(hostile.EXAMPLE)
    assert submission is not None
    assert submission.notes == ("6 records are of an older comparability version and shown apart",)
    assert submissions.load(hostile.EXAMPLE).empty


def test_the_committed_submissions_are_valid() -> None:
    for folder in submissions.found(ROOT / "results/submissions"):
        assert told(folder) == []


# -- folders ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in hostile.NAMES if "/" not in name and name != ".."])
def test_names_with_tricks_are_refused(tmp_path: Path, name: str) -> None:
    folder = hostile.write(tmp_path / name)
    [line] = map(str, submissions.check(folder)[1])
    assert "it must be small letters, digits and single hyphens" in line
    assert line.isascii()
    assert line.isprintable()


def test_a_path_out_of_the_folder_is_no_name(tmp_path: Path) -> None:
    hostile.write(tmp_path / "inner")
    assert "the folder's name is" in told(tmp_path / "inner" / "..")[0]


def test_links_strange_files_and_devices_are_refused_unopened(tmp_path: Path) -> None:
    folder = hostile.write(tmp_path / "mine")
    (folder / "evil.py").write_text("raise SystemExit", encoding="utf-8")
    (folder / "sub").mkdir()
    (folder / "card.yaml").unlink()
    (folder / "card.yaml").symlink_to("/etc/passwd")
    (folder / "records.jsonl").unlink()
    os.mkfifo(folder / "records.jsonl")  # whoever opens it waits for ever
    assert told(folder) == [
        ': holds "evil.py", a submission holds only card.yaml, records.jsonl, README.md',
        ': holds "sub", a submission holds only card.yaml, records.jsonl, README.md',
        "card.yaml: is a link, it must be a file of its own",
        "records.jsonl: is a device, pipe or socket, it must be a file of its own",
    ]
    (tmp_path / "linked").symlink_to(hostile.EXAMPLE)
    assert told(tmp_path / "linked") == [": is a link, a submission is a folder"]
    with socket.socket(socket.AF_UNIX) as bound:
        (folder / "records.jsonl").unlink()
        monkey = folder / "records.jsonl"
        bound.bind(str(monkey))
        assert told(folder)[-1] == "records.jsonl: is a device, pipe or socket, it must be a file of its own"


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hostile.write(tmp_path / "huge")
    os.truncate(folder / "records.jsonl", 10**12)
    os.truncate(folder / "card.yaml", 10**6)
    monkeypatch.setattr("analysis.submissions.folder.text_of", lambda path: pytest.fail(f"{path} was read"))
    assert told(folder) == [
        "card.yaml: has 1000000 bytes, at most 65536 are read",
        "records.jsonl: has 1000000000000 bytes, at most 33554432 are read",
    ]


def test_missing_files_other_encodings_and_too_many_lines(tmp_path: Path) -> None:
    folder = hostile.write(tmp_path / "mine")
    (folder / "card.yaml").write_bytes(b"label: \xff")
    assert "is not UTF-8: byte 7 is 0xff" in told(folder)[0]
    (folder / "card.yaml").unlink()
    assert told(folder) == [": has no card.yaml; it must hold card.yaml and records.jsonl"]
    many = hostile.write(tmp_path / "many", lines=["{}"] * 20_001)
    assert told(many) == ["records.jsonl: has 20001 lines, at most 20000 records are read"]
    assert told(hostile.write(tmp_path / "none", lines=[])) == ["records.jsonl: is empty; one record a line was due"]


def test_a_folder_of_submissions_gives_each_and_loads_refuse_by_name(tmp_path: Path) -> None:
    hostile.write(tmp_path / "one")
    hostile.write(tmp_path / "two", hostile.card(licence="mine"))
    (tmp_path / "README.md").write_text("how to", encoding="utf-8")
    assert [path.name for path in submissions.found(tmp_path)] == ["one", "two"]
    with pytest.raises(
        submissions.DefectiveError, match=r"submission two is refused: 1 defect\n.*card.yaml:\d+: licence"
    ):
        submissions.load(tmp_path)
    with pytest.raises(AnalysisError, match="is not a folder"):
        submissions.load(tmp_path / "README.md")


def test_an_empty_shelf_has_no_points(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("how to", encoding="utf-8")
    assert submissions.load(tmp_path).empty


# -- hostile texts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", hostile.SHOWN)
def test_a_name_may_look_like_a_script_and_stays_a_text(tmp_path: Path, text: str) -> None:
    assert told(hostile.submission(tmp_path / "mine", text)) == []
    frame = submissions.load(tmp_path / "mine")
    assert set(frame["label"]) == set(frame["contact"]) == set(frame["paper"]) == {text}


def test_nothing_of_a_submission_reaches_the_leaderboard_as_markup(tmp_path: Path) -> None:
    for number, text in enumerate(hostile.SHOWN):
        hostile.submission(tmp_path / "in" / f"mine-{number}", text)
    frame = submissions.load(tmp_path / "in")
    page.write(frame, references.load(), "Hostile", tmp_path / "out")
    html = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert hostile.MARK in html
    markup = [text for text in hostile.SHOWN if "<" in text]
    assert len(markup) == 5
    assert not [text for text in markup if text in html]


@pytest.mark.parametrize("text", hostile.REFUSED.values(), ids=hostile.REFUSED)
def test_texts_that_hide_or_calculate_are_refused_wherever_they_stand(tmp_path: Path, text: str) -> None:
    lines = told(hostile.submission(tmp_path / "mine", text))
    for field in ("label", "contact", "paper.title", "cheaper"):
        assert any(line.startswith("card.yaml:") and f" {field}: " in line for line in lines), field
    for field in ("provenance.hardware", "provenance.numerics", "provenance.versions.torch"):
        assert any(line.startswith("records.jsonl:1: ") and f" {field}: " in line for line in lines), field


# -- the command -----------------------------------------------------------------------------------------------------------


def test_the_command_names_every_defect_and_ends_with_2(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(validate_command.validate)
    ask = CliRunner()
    good = ask.invoke(app, [str(hostile.EXAMPLE), str(ROOT / "tests/studies/small.yaml")])
    assert (good.exit_code, good.stderr) == (0, "")
    assert good.stdout == "example is valid: 6 records for greedy\nsmall is valid: 14 runs in 5 jobs\n"
    lines = hostile.records()
    lines[3]["size_bytes"] = 1
    hostile.write(tmp_path / "one", hostile.card(licence="mine"), lines)
    hostile.write(tmp_path / "two")
    bad = ask.invoke(app, [str(tmp_path)])
    assert bad.exit_code == 2
    assert bad.stdout == "two is valid: 6 records for greedy\n"
    [licence, size, count] = bad.stderr.splitlines()
    assert licence.startswith(f"{tmp_path}/one/card.yaml:")
    assert size == f"{tmp_path}/one/records.jsonl:4: size_bytes: is 1, by the counts of its layers it is 11931"
    assert count == "2 defects"
    empty = tmp_path / "shelf"
    empty.mkdir()
    (empty / "README.md").write_text("", encoding="utf-8")
    assert ask.invoke(app, [str(empty)]).stdout.endswith("holds no submission\n")
    assert ask.invoke(app, ["nowhere/x.yaml"]).exit_code == 2

"""Claims over all settings, with what comes from the code and from landscapes; the file itself, and what is written of it."""

from __future__ import annotations

import json
from math import exp
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from analysis import claims, records, references
from analysis.claims import output
from analysis.claims.cells import Setting
from analysis.landscape import claims as of_landscape
from analysis.landscape import results
from analysis.tables import claims as page

BEATS = {"test": "beats", "sides": ["rigl", "set"]}


def test_costs_are_exact_and_need_no_records(ask: SimpleNamespace) -> None:
    """Appendix H with every layer of LeNet-300-100 sparse: (302 f_S + f_D) / 303 f_S, nearly: outputs are counted too."""
    test = {"test": "costs", "sides": ["rigl", "static"], "quantity": "training", "model": "lenet300"}
    asked = ask.claim(test | {"sparsities": [0.8, 0.98], "between": [0.95, 1.05]})
    (judgement,) = claims.judge(records.Table(pd.DataFrame(), pd.DataFrame()), claims=[asked])
    near, far = judgement.outcomes
    assert exp(near.found.mean) == pytest.approx((302 + 5) / 303, rel=1e-3)
    assert exp(far.found.mean) == pytest.approx((302 + 50) / 303, rel=1e-2)
    assert [one.verdict for one in judgement.outcomes] == ["supported", "contradicted"]
    assert near.measured == "1.013×"
    assert near.setting == "lenet300 on mnist, uniform, 80 %, from the code"
    assert judgement.short == "by the code: supported in 1 of 2 settings, contradicted in 1"


def test_a_claim_over_settings(tmp_path: Path, ask: SimpleNamespace) -> None:
    made = ask.runs({"rigl": [9700, 9701, 9702], "set": [9600] * 3})
    made += ask.runs({"rigl": [9500, 9501, 9502], "set": [9600] * 3}, sparsity=0.98)
    made += ask.runs({"rigl": [9500], "set": [9600]}, sparsity=0.8)
    table = ask.table(tmp_path, made)
    asked = ask.claim(BEATS, {"test": "beats", "sides": ["rigl", "deepr"]})
    (judgement,) = claims.judge(table, claims=[asked])
    assert judgement.short == (
        "supported in 1 of 3 settings, contradicted in 1, undecided in 1; 1 of 2 tests not run here"
    )
    assert judgement.verdict == "undecided"
    assert [one.verdict for one in judgement.evidence] == ["supported", "contradicted"]
    assert judgement.scale == "lenet300 on mnist"
    assert [row[2] for row in output.overview([judgement])] == [judgement.short]


def test_what_is_supported_in_part_only_is_undecided(tmp_path: Path, ask: SimpleNamespace) -> None:
    made = ask.runs({"rigl": [9700, 9701, 9702], "set": [9600] * 3})
    table = ask.table(tmp_path, made)
    whole, part = claims.judge(
        table, claims=[ask.claim(BEATS), ask.claim(BEATS, {"test": "beats", "sides": ["rigl", "deepr"]})]
    )
    assert (whole.verdict, part.verdict) == ("supported", "undecided")


def test_landscapes_are_part_of_it(ask: SimpleNamespace, landscape: Path, landscapes: SimpleNamespace) -> None:
    measured = results.load([landscape], landscapes.methods)
    asked = ask.claim({"test": "landscape", "statement": "line-is-high"})
    nothing = records.Table(pd.DataFrame(), pd.DataFrame())
    (judgement,) = claims.judge(nothing, measured, [asked])
    (one,) = judgement.outcomes
    assert one.found.mean == pytest.approx(0.9)
    assert one.measured == "+0.90 ± 0.25 nats to spare (n=3); 1.10 ± 0.25, the ends differ by 0.2 (n=3)"
    assert one.where == Setting("lenet300", "mnist", None, "uniform", 0.95, 1.0)
    assert judgement.verdict == "supported"
    (without,) = claims.judge(nothing, None, [asked])
    assert (without.verdict, without.short) == ("not tested here", "not tested here")


@pytest.fixture(scope="module")
def of_nothing() -> list[claims.Judgement]:
    """Every claim of claims.yaml without any record: what remains is what comes from the code."""
    return claims.judge(records.Table(pd.DataFrame(), pd.DataFrame()))


def test_the_file_holds_what_the_papers_state(of_nothing: list[claims.Judgement]) -> None:
    held = [judgement.claim for judgement in of_nothing]
    of_papers = [one for one in held if "our addition" not in one.place]
    assert len(of_papers) == 34  # 32 of sparse training, of which one speaks of two bugs, and one of precision
    sources = {"evci2020rigl", "sundar2021mlrc", "dettmers2019snfs", "lee2019snip", "kalamkar2019bfloat16"}
    assert {one.source for one in held} == sources
    known = references.load().entries
    assert all(one.source in known for one in held)
    named = {test.statement for one in held for test in one.tests if test.test == "landscape"}
    assert named == {statement.name for statement in of_landscape.STATEMENTS}


def test_without_records_only_the_code_speaks(of_nothing: list[claims.Judgement]) -> None:
    outcomes = claims.outcomes(of_nothing)
    assert all(one.is_exact for one in outcomes)
    verdicts = {judgement.claim.id: judgement.verdict for judgement in of_nothing}
    assert verdicts["order-at-80-and-90"] == "not tested here"
    assert verdicts["erk-costs-twice"] == "undecided"  # twice at 80 and 90 %, no longer at 96.5 %
    settings = {one.where.sparsity: exp(one.found.mean) for one in outcomes if one.of.id == "erk-costs-twice"}
    assert settings == pytest.approx({0.8: 1.843, 0.9: 1.892, 0.95: 1.535, 0.965: 1.319}, abs=1e-3)
    assert claims.multiplicity(of_nothing).startswith(
        "0 intervals were held against claims, 19 numbers came from the code"
    )


def test_a_test_of_two_claims_counts_once(tmp_path: Path, ask: SimpleNamespace) -> None:
    made = ask.runs({"rigl": [9700, 9701, 9702], "set": [9600] * 3})
    table = ask.table(tmp_path, made)
    twice = claims.judge(table, claims=[ask.claim(BEATS), ask.claim(BEATS, id="two")])
    assert claims.multiplicity(twice).startswith("1 intervals")


def test_files_say_the_same(tmp_path: Path, of_nothing: list[claims.Judgement]) -> None:
    page.write(of_nothing, tmp_path)
    table = pd.read_csv(tmp_path / "claims.csv")
    document = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    assert list(table.columns) == list(output.COLUMNS)
    assert len(table) == document["tests"] == sum(len(one["outcomes"]) for one in document["claims"]) == 19
    assert table["verdict"].tolist() == [row["verdict"] for one in document["claims"] for row in one["outcomes"]]
    html, markdown = ((tmp_path / f"claims.{end}").read_text(encoding="utf-8") for end in ("html", "md"))
    for judgement in of_nothing:
        assert f"## {judgement.claim.sentence}" in markdown
        assert judgement.claim.sentence.replace("'", "&#39;") in html
    assert markdown.count("not tested here: ") >= 2 and "it describes a bug" in markdown


def test_the_page_escapes(tmp_path: Path, ask: SimpleNamespace) -> None:
    hostile = ask.claim(BEATS, sentence="<script>alert(1)</script> | `x`", place="[a](http://b)")
    outcome = judged_of(ask, tmp_path, hostile)
    html, markdown = page.html([outcome]), page.markdown([outcome])
    assert "<script>alert" not in html and "&lt;script&gt;" in html
    assert "<script>alert" not in markdown.replace("\\<", "&lt;") and r"\|" in markdown and r"\[a]" in markdown


def judged_of(ask: SimpleNamespace, folder: Path, asked: Any) -> claims.Judgement:
    made = ask.runs({"rigl": [9700, 9701, 9702], "set": [9600] * 3})
    table = ask.table(folder, made)
    return claims.judge(table, claims=[asked])[0]


def test_the_table_says_so_where_nothing_is_compared() -> None:
    assert claims.markdown([]) == "No claim compares runs of this study."

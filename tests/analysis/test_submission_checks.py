"""What is wrong with a card and with a record, one thing at a time: each is named with its line and field."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis import submissions
from analysis.submissions import card as cards
from analysis.submissions import checker, strict
from analysis.submissions.due import foreign_method
from pipeline.provenance import source_digest
from pipeline.run import run_from_dict
from tests.submissions import hostile
from tests.submissions.trial import NOW, about, changed, named_anew, told

ROOT = Path(__file__).parents[2]
STUDIES = ("quick", "zoo", "mnist-rigl-plus", "mnist-behaviours")


# -- cards -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"label": None}, ":1: label: is missing"),
        ({"labels": "x"}, "labels: unknown key; there are method, label, family"),
        ({"paper": {"title": "x", "link": "https://a.b", "year": 1}}, "paper.year: unknown key; there are title, link"),
        ({"code": "javascript:alert(1)"}, 'code: is "javascript:alert(1)", it must be a plain https:// address'),
        ({"code": "https://a@evil.org/"}, "code: is"),
        ({"code": 'https://a.b/"><script>'}, "code: is"),
        ({"method": "../rigl"}, 'method: is "../rigl"; string should match pattern'),
        ({"method": "rigl"}, 'label is "Greedy", the suite\'s rigl has "RigL"; give a method of your own another name'),
        ({"label": "rigl"}, 'label "rigl" is that of the suite\'s rigl; give another'),
        ({"family": "magic"}, "family: is \"magic\"; input should be 'dense', 'sparse-to-sparse'"),
        ({"year": "2026"}, 'year: is "2026"; input should be a valid integer'),
        ({"year": True}, "year: is true"),
        ({"licence": "proprietary"}, "licence: is \"proprietary\"; input should be 'CC0-1.0'"),
        ({"exempt": {"honesty": "no"}}, "exempt.honesty"),
        ({"different_code": {"rigll": "x"}}, "different_code speaks of rigll, which the suite does not have"),
        ({"models": {"os.system": {"positions": {"a": 1}}}}, "it must be of the form package.module:factory"),
        ({"contact": " "}, "contact: is empty"),
        ({"training": "x" * 2001}, "training: has 2001 characters, at most 2000 are shown"),
        ({"bibtex": "@article{a, title={t}, author={b}}"}, "bibtex: has no year; an entry has title, author, year"),
        ({"bibtex": "@article{a, title={\\input{x}}, author={b}, year=1}"}, 'bibtex: has the command "\\\\\\\\input"'),
        ({"bibtex": "@article{a, title={t}, author={b}, year=1} @article{c, title={t}}"}, "bibtex: must be one entry"),
        (
            {"bibtex": "@article{a, title={t}}}"},
            "bibtex: must be one entry, @article{key, ...}",
        ),
        ({"bibtex": "@article{a, title={t}, author={b}, year=1} @preamble{x}"}, "bibtex: must be one entry"),
        ({"bibtex": "@article{a, title=t, author={b}, year=1}"}, "bibtex: cannot be read"),
        ({"bibtex": "none"}, "bibtex: must be one entry"),
        (
            {"bibtex": "@misc{evci2020rigl, title={Mine}, author={b}, year=1}"},
            "bibtex has the key evci2020rigl, which",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)
def test_what_is_wrong_with_a_card_is_named(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    lines = told(hostile.write(tmp_path / "mine", hostile.card(**fields)))
    assert any(message in line for line in lines), lines
    assert all(line.startswith("card.yaml:") for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
            "card.yaml:1: is not YAML: a card has no anchors, tags or directives",
        ),
        ("label: !!python/object/apply:os.system [id]\n", "card.yaml:1: is not YAML: a card has no anchors"),
        ("[" * 50_000, "card.yaml:1: is not YAML: nested deeper than 6 levels"),
        ("- a\n- b\n", "card.yaml:1: a card is a mapping of keys, this is list"),
        ("year: 2026-99-99\n", "card.yaml: is not YAML: month must be in 1..12"),
        ("label: a\nlabel: b\n", "card.yaml:2: label: given twice, first on line 1"),
        ("label: a\x00b\n", "card.yaml: is not YAML: unacceptable character"),
        ("a: b: c\n", "card.yaml:1: is not YAML: mapping values are not allowed here"),
        ("---\na: 1\n---\nb: 2\n", "card.yaml:3: not valid YAML: but found another document"),
        ("", "card.yaml:1: a card is a mapping of keys, this is NoneType"),
    ],
    ids=["aliases", "tag", "depth", "list", "date", "twice", "null", "colon", "documents", "empty"],
)
def test_yaml_that_is_none_or_more_than_a_card_is_refused(tmp_path: Path, text: str, message: str) -> None:
    folder = hostile.write(tmp_path / "mine")
    (folder / "card.yaml").write_text(text, encoding="utf-8")
    [line] = told(folder)
    assert message in line


# -- records ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON: Expecting property name"),
        ("[]", "is a list, a record is an object"),
        ('{"run": NaN}', "holds NaN, which is no number of JSON"),
        ('{"run": -Infinity}', "holds -Infinity, which is no number of JSON"),
        ('{"run": 1e999}', "holds the number 1e999, beyond any quantity of a record (1e+30)"),
        ('{"run": ' + "9" * 5000 + "}", "beyond any quantity"),
        ('{"run": 1, "run": 2}', 'gives the name "run" twice in one object'),
        ("[" * 100_000, "is nested deeper than 24 levels"),
        ('{"run": "\x01"}', "is not JSON: Invalid control character"),
        ("", "is not JSON"),
    ],
    ids=["cut", "list", "nan", "infinity", "1e999", "digits", "twice", "depth", "control", "empty"],
)
def test_json_that_is_not_strict_is_refused(text: str, message: str) -> None:
    with pytest.raises(strict.NotStrictError) if message[:9] != "is a list" else pytest.raises(AssertionError):
        assert not isinstance(strict.parse(text), list)
    card = cards.Card.model_validate(hostile.card())
    [(field, problem)] = checker.record_flaws(text, card, foreign_method(card), NOW)[1]
    assert field == ""
    assert message in problem


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema_version", 2, "schema_version: is 2, this suite reads 1"),
        ("schema_version", True, "schema_version: is true"),
        ("comparability_version", 7, "comparability_version: is 7, this suite's is 1, an older one is shown apart"),
        ("run", "other/run", 'run: is "other/run", the configuration is that of digits-lenet300/greedy/s90/seed0'),
        ("config.method", "riggl", 'config.method: is "riggl"; the card is of greedy, the suite has acdc'),
        ("config.model", "os:system", 'config.model: is "os:system", a model of somebody\'s own: declare it'),
        (
            "config.dataset",
            "os:system",
            'config.dataset: is "os:system", it must be a data set of the suite, or declared',
        ),
        ("config.model", "wrn9999_2", 'config.model: is "wrn9999_2", costs are recomputed for numbers up to 200'),
        ("config.model_options", {"hidden": [10**9, 3]}, "config.model_options: hold 1000000000"),
        ("config.model_options", {"depth": 3}, "config: cannot be recomputed: builds no lenet300: ValueError"),
        ("config.layers", {"fc9": 0.5}, "config: cannot be recomputed"),
        (
            "config.protocol.steps",
            10**9,
            "config.protocol.steps: comes to 1000000000, costs are recomputed up to 4000000",
        ),
        ("config.sparsity", 1.5, "config: sparsity is 1.5, it must be within [0, 1)"),
        ("config.depth", 3, "config.depth: Unexpected keyword argument"),
        ("layers.0.shape", [300, 65], "layers.0.shape: is [300, 65], the configuration's network has [300, 64]"),
        ("layers.0.weights", 19201, "layers.0.weights: is 19201, shape [300, 64] has 19200"),
        ("layers.0.nonzeros", 19201, "layers.0.nonzeros: is 19201, it must be from 0 to the layer's 19200 weights"),
        ("layers.0.nonzeros", 1921, "layers.0.nonzeros: is 1921, sparsity 0.9 of 19200 weights leaves 1920"),
        ("layers.1.requested_sparsity", 0.8, "layers.1.requested_sparsity: is 0.8, by the configuration it is 0.9"),
        ("layers.1.masked", False, "layers.1.masked: is false, but 3000 of 30000 weights are there"),
        ("layers", [], "layers: are 0, the status is done"),
        ("sparsity", 0.95, "sparsity: is 0.95, by the counts of its layers it is 0.9"),
        ("flops.rigl.inference_flops", 1, "flops.rigl.inference_flops: is 1, by configuration and counts it is 10450"),
        (
            "flops.macs.train_flops_total",
            1,
            "flops.macs.train_flops_total: is 1, 12800 samples, with dense gradients in 8 batches, cost",
        ),
        (
            "flops.macs.train_x",
            1.01,
            "flops.macs.train_x: is 1.01, a training of 1x costs 0.1 to 1 times the dense one",
        ),
        ("flops.other", {}, "flops.other"),
        ("size_bytes", 1, "size_bytes: is 1, by the counts of its layers it is 27995"),
        ("file_bytes", 1, "file_bytes: is 1, by `rigl-bench export` of such a network it is"),
        ("peak_parameter_bytes", 1, "peak_parameter_bytes: is 1, its non-zero weights alone take 20080"),
        ("explored", 0.05, "explored: is 0.05, it must be from 0.1, what is active at the end, to 1"),
        ("result.test_correct", 450, "result.test_correct: is 450, it must be from 0 to test_total, 449"),
        ("result.test_total", 500, "result.test_total: is 500, digits is tested on 449"),
        ("result.test_loss_nats", 0.0, "result.test_loss_nats: is 0.0,"),
        ("result.train_loss_nats", -0.1, "result.train_loss_nats: is -0.1, it must be at least 0"),
        ("result.bits_per_character", 1.0, "result.bits_per_character: is 1.0, digits is no text"),
        ("result", None, "result: is missing, the status is done"),
        ("status", "good", 'status: is "good", it must be done, diverged, skipped: REASON or failed: REASON'),
        ("status", "failed: =1+1", "a spreadsheet takes that for a formula"),
        ("work.gradient_steps", 199, "work.gradient_steps: is 199, it must be from 200 to 200"),
        ("work.batches", 500, "work.batches: is 500, it must be from 200 to"),
        ("work.samples", 1, "work.samples: is 1, by batches of the protocol's size it is 12800"),
        ("timing.train_seconds", 0.0, "timing.train_seconds: is 0.0, training takes more than 0"),
        ("timing.resumes", -1, "timing.resumes: is -1, it must be at least 0"),
        (
            "timing.finished",
            "2030-01-01T02:00:00+00:00",
            "timing.finished: is 2030-01-01T02:00:00+00:00, which",
        ),
        ("timing.finished", "yesterday", 'timing.finished: is "yesterday", it must be a date and time'),
        ("timing.finished", "2026-01-01T00:00:00", "it must be UTC"),
        ("timing", None, "timing: is missing, the status is done"),
        ("provenance.source_digest", "abc", 'provenance.source_digest: is "abc", it must be 12 hex digits'),
        ("provenance.commit", "HEAD", 'provenance.commit: is "HEAD"'),
        ("provenance.data_digest", "0" * 64, "provenance.data_digest: is"),
        ("provenance.versions", {"torch": "2"}, "provenance.versions: has no python, rigl-bench"),
        ("provenance.hardware", "", 'provenance.hardware: is "", it must be the name of the processor or GPU'),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else None,
)
def test_what_is_wrong_with_a_record_is_named(path: str, value: Any, message: str) -> None:
    flaws = about(changed(hostile.records()[0], path, value))
    assert any(flaw.startswith(message) or message in flaw for flaw in flaws), flaws


def test_no_code_of_a_submission_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "payload.py").write_text("raise SystemExit('run')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    record = changed(hostile.records()[0], "config.model", "payload:net")
    assert about(record)[0].startswith("config.model")
    positions = {"payload:net": {"positions": {"fc1": 1, "fc2": 1, "fc3": 1}}}
    assert about(named_anew(record), models=positions) == []
    assert "payload" not in sys.modules


def test_losses_are_held_against_accuracy_by_hand() -> None:
    """Ten of 449 wrong: at least 10/449 log 2. All right: at most log 10."""
    record = changed(hostile.records()[0], "result.test_correct", 439)
    least = 10 / 449 * math.log(2)
    assert about(changed(record, "result.test_loss_nats", least)) == []
    assert about(changed(record, "result.test_loss_nats", 0.99 * least))[0].startswith("result.test_loss_nats")
    record = changed(record, "result.test_correct", 449)
    assert about(changed(record, "result.test_loss_nats", math.log(10))) == []
    assert "all predictions right give at most log 10" in about(changed(record, "result.test_loss_nats", 2.31))[0]


def test_a_training_that_cost_less_than_its_network_needs_a_reason() -> None:
    """3 f_S of the final network for each of 12,800 samples, and f_D - f_S more where the dense gradient was used: 64 * 8."""
    record = hostile.records()[0]
    dense, sparse, work = 100_400, 10_040, record["work"]
    assert (work["samples"], work["dense_gradient_batches"]) == (12_800, 8)
    least = 3 * sparse * 12_800 + (dense - sparse) * 64 * 8
    assert record["flops"]["macs"]["train_flops_total"] == least
    assert about(changed(record, "flops.macs.train_flops_total", least - 1))[0].startswith(
        "flops.macs.train_flops_total"
    )
    assert about(record, cheaper="it grows from nothing") == []


def test_exempt_layers_need_a_word_of_the_card() -> None:
    """One weight moved from fc1 to fc2: each count is off, the total is kept; FLOPs and sizes stay as they are."""
    record = hostile.records()[0]
    for index, nonzeros in ((0, 1919), (1, 3001)):
        changed(record, f"layers.{index}.nonzeros", nonzeros)
        changed(record, f"layers.{index}.sparsity", 1 - nonzeros / record["layers"][index]["weights"])
    assert [flaw.split(":")[0] for flaw in about(record)] == ["layers.0.nonzeros", "layers.1.nonzeros"]
    assert about(record, exempt={"layer counts": "weights move between layers"}) == []
    changed(record, "layers.1.nonzeros", 3002)
    changed(record, "layers.1.sparsity", 1 - 3002 / 30_000)
    [flaw, *_] = about(record, exempt={"layer counts": "weights move between layers"})[1:]
    assert flaw == "layers: hold 5021 weights together, what they were asked for leaves 5020"


def test_a_methods_name_of_the_suite_is_its_code_or_says_what_else(tmp_path: Path) -> None:
    lines = (ROOT / "results/reference/quick/records.jsonl").read_text(encoding="utf-8").splitlines()
    static = next(r for r in map(json.loads, lines) if r["config"]["method"] == "static")
    static["provenance"]["source_digest"] = source_digest(run_from_dict(static["config"]))
    assert about(static) == []
    other = changed(static, "provenance.source_digest", "0123456789ab")
    assert "say under different_code of the card what differs" in about(other)[0]
    words = {"static": "masks of another generator"}
    assert about(other, different_code=words) == []
    folder = hostile.write(tmp_path / "other", hostile.card(different_code=words), [*hostile.records(), other])
    row = submissions.load(folder).query("method == 'static'").iloc[0]
    assert (row["label"], row["different_code"]) == ("Static, different code", words["static"])


def test_models_and_data_sets_of_ones_own_are_declared() -> None:
    record = changed(hostile.records()[0], "config.model", "mine.nets:three")
    record = named_anew(changed(record, "config.dataset", "mine.data:digits"))
    record["file_bytes"] = None
    data = {"link": "https://example.org", "input_shape": [1, 8, 8], "classes": 10, "test_samples": 449}
    declared = {
        "models": {"mine.nets:three": {"positions": {"fc1": 1, "fc2": 1, "fc3": 1}}},
        "datasets": {"mine.data:digits": data},
    }
    assert about(record, **declared) == []
    declared["models"]["mine.nets:three"]["positions"]["fc1"] = 2
    assert any(flaw.startswith("flops.macs.dense_inference_flops: is 100400, by configuration and counts it is 138800")
               for flaw in about(record, **declared))  # fmt: skip
    declared["models"]["mine.nets:three"]["positions"] = {"fc1": 1}
    assert "the card has positions of fc1" in about(record, **declared)[0]


def test_records_are_held_against_each_other(tmp_path: Path) -> None:
    lines = hostile.records()
    lines[1]["provenance"]["source_digest"] = "0123456789ab"
    lines.append(lines[0])
    digest = lines[0]["provenance"]["source_digest"]
    one_code = f"is 0123456789ab, that of line 1 is {digest}: seeds of one cell are of one code"
    assert told(hostile.write(tmp_path / "mine", lines=lines)) == [
        f"records.jsonl:2: provenance.source_digest: {one_code}",
        "records.jsonl:7: run: is that of line 1 too: one record a run",
    ]
    quick = (ROOT / "results/reference/quick/records.jsonl").read_text(encoding="utf-8").splitlines()[0]
    dense = json.loads(quick)
    dense["provenance"]["source_digest"] = source_digest(run_from_dict(dense["config"]))
    assert told(hostile.write(tmp_path / "dense", lines=[dense])) == [
        "records.jsonl: has no record of greedy, which the card is of"
    ]

"""The audit of the published record: no cell is left out, every verdict is computed, every known erratum comes out."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
import os
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis import build, reported
from analysis.audit import page, rules, settings, verdicts
from analysis.audit.cells import Cell, Printed, Where
from analysis.audit.settings import Setting
from analysis.audit.verdicts import Audited, Auditor
from analysis.errors import AnalysisError
from sparse_methods.distributions import DISTRIBUTIONS
from sparse_methods.methods import METHODS

SHARED = Path(__file__).resolve().parents[3] / "shared" / "paper" / "published.csv"
COSTS = {
    *("model_size_MB", "size_bytes", "real_sparsity", "inference_MFLOPs", "inference_KFLOPs", "inference_MACs"),
    *("inference_MACs_M", "inference_flops", "dense_inference_flops", "dense_train_flops", "train_flops_per_sample"),
    *("train_cost_GFLOPs", "train_cost_GFLOPs_scratch_final_arch", "init_sparsity_layer1", "init_sparsity_layer2"),
}
RESNET50 = Setting(model="resnet50", input=(3, 224, 224), classes=1000)
JUDGE = verdicts.auditor()


@pytest.fixture(scope="module")
def audited() -> list[Audited]:
    torch.set_num_threads(1)
    return verdicts.audit(JUDGE)


def only(audited: list[Audited], line: int, metric: str) -> Audited:
    """The cell of published.csv."""
    (found,) = [
        one
        for one in audited
        if (one.cell.row.file, one.cell.row.line, one.cell.metric) == ("published.csv", line, metric)
    ]
    return found


def cell_of(line: int, metric: str) -> Cell:
    """The cell of published.csv, without a verdict."""
    (row,) = [row for row in JUDGE.rows if (row.file, row.line) == ("published.csv", line)]
    return JUDGE.book.selection.cell(row, metric, getattr(row, metric))


def reprinted(one: Audited, text: str) -> Cell:
    """The same cell with another number in it."""
    return JUDGE.book.selection.cell(one.cell.row, one.cell.metric, text)


# -- the record --------------------------------------------------------------------------------------------------------


def test_the_record_is_a_copy() -> None:
    if not SHARED.is_file():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"there is no {SHARED}")
    assert reported.RECORD.read_bytes() == SHARED.read_bytes()


def test_every_published_name_has_a_meaning_and_every_meaning_a_name() -> None:
    names, rows = reported.names(), reported.rows() + reported.rows(verdicts.FURTHER)
    columns = {"methods": "method", "models": "model", "datasets": "dataset", "distributions": "distribution"}
    for table, column in columns.items():
        assert set(names.tables[table]) == {getattr(row, column) for row in rows}
    assert {names.method(row.method) for row in rows} <= {None, *METHODS}
    assert {names.distribution(row.distribution) for row in rows} <= {None, *DISTRIBUTIONS}


def test_an_unknown_name_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(AnalysisError, match=r"no dataset 'CIFAR'\nit has 'CIFAR-10', 'CIFAR-100'"):
        reported.names().dataset("CIFAR")


def test_a_record_with_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("method,value\nRigL,1\n")
    with pytest.raises(AnalysisError, match="must have source_key, source_url"):
        reported.rows(tmp_path / "other.csv")


# -- cells -------------------------------------------------------------------------------------------------------------


def test_no_cell_is_left_out(audited: list[Audited]) -> None:
    """Counted from the file, without the rules."""
    expected: Counter[tuple[int, str]] = Counter()
    with reported.RECORD.open(newline="") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            expected.update((line, column) for column in ("train_flops_x", "test_flops_x") if row[column])
            expected.update([(line, row["metric"])] if row["metric"] in COSTS else [])
            outcome = (
                row["model"].endswith(("408-100-69", "375-62-51")) and "final" in row["model"],
                row["source_key"] == "rigl_readme" and row["model"] == "MobileNet-v1" and row["sparsity"] == "0.89",
                row["method"] == "STR",
            )
            expected.update([(line, "sparsity")] if any(outcome) else [])
    own = [one for one in audited if one.cell.row.file == "published.csv"]
    assert Counter((one.cell.row.line, one.cell.metric) for one in own) == expected
    assert (len({line for line, _ in expected}), expected.total()) == (331, 500)
    assert all(one.verdict.kind in verdicts.KINDS for one in audited)


def test_every_metric_of_the_record_is_a_cost_or_left_out(audited: list[Audited]) -> None:
    row = dataclasses.replace(audited[0].cell.row, metric="energy_joule")
    with pytest.raises(AnalysisError, match=r"published.csv, line 2: the metric 'energy_joule' is unknown"):
        JUDGE.book.selection.cells([row])


@pytest.mark.parametrize(
    ("rule", "printed", "agreeing", "near", "far"),
    [
        (Printed(Where({}), decimals=2), "0.1", (0.0951, 0.1049), (0.0901, 0.1099), (0.0899, 0.1101)),
        (Printed(Where({}), decimals=3), "8.4", (8.3996, 8.4004), (8.3991, 8.4009), (8.3989, 8.4011)),
        (Printed(Where({})), "3.2e18", (3.151e18, 3.249e18), (3.101e18, 3.299e18), (3.09e18, 3.31e18)),
        (Printed(Where({})), "705", (704.6, 705.4), (704.1, 705.9), (703.9, 706.1)),
        (Printed(Where({}), tolerance=0.01), "2.0", (1.981, 2.019), (), (1.979, 2.021)),
    ],
)
def test_printed_digits_by_hand(rule: Printed, printed: str, agreeing: tuple, near: tuple, far: tuple) -> None:
    cell = Cell(reported.rows()[0], "train_flops_x", printed, rule.digits(printed))
    assert all(cell.agrees(number) for number in agreeing)
    assert all(cell.nearly(number) and not cell.agrees(number) for number in near)
    assert not any(cell.nearly(number) for number in far)


def test_a_where_fits_numbers_as_numbers_and_places_by_their_words() -> None:
    row = reported.rows()[4]  # Figure 2, static, 0.9
    assert Where.of({"place": ["Table 4", "Figure 2"], "sparsity": 0.90, "multiplier": [1, 5]}).fits(row, "value")
    assert not Where.of({"method": "RigL"}).fits(row, "value")
    with pytest.raises(AnalysisError, match="has the key 'page'; it takes source, method"):
        Where.of({"page": 3})


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_sizes_of_small_dense_networks_by_hand(audited: list[Audited]) -> None:
    """Appendix B: four bytes for every weight and every bias."""
    for line, sizes in ((85, (245, 160, 55, 10)), (90, (266, 88, 33, 10)), (95, (97, 71, 33, 10))):
        weights = sum(before * after for before, after in itertools.pairwise(sizes))
        size = only(audited, line, "size_bytes")
        assert size.stated == 4 * (weights + sum(sizes[1:])) == int(size.cell.printed)


def test_appendix_b_comes_out_within_a_fifth_of_a_per_cent_or_its_digits(audited: list[Audited]) -> None:
    own = [one for one in audited if "Appendix B" in one.cell.row.where_in_source and one.stated is not None]
    assert len(own) == 24
    for one in own:
        assert one.cell.agrees(one.stated) or one.stated == pytest.approx(one.cell.value, rel=0.002)


@pytest.mark.parametrize(
    ("line", "metric", "expected"),
    [
        (5, "train_flops_x", "0.2254"),  # uniform, as the authors' counter has it
        (25, "train_flops_x", "2.0861"),  # RigL, five lengths: (302 * .41529 + 1) / 303 * 5
        (29, "train_flops_x", "0.6102"),  # SNFS: (2 * .41529 + 1) / 3
        (31, "train_flops_x", "0.560"),  # pruning, the authors' notebook
        (156, "train_flops_x", "5.79"),  # a hundred lengths at 99 %: (302 * .05479 + 1) / 303 * 100
        (177, "inference_MFLOPs", "1141.544"),
        (186, "inference_MFLOPs", "439.152"),  # the notebook's stored outputs
        (207, "inference_MFLOPs", "422.419"),
        (228, "inference_MFLOPs", "2180.140"),  # Big-Sparse, ERK
        (231, "inference_MFLOPs", "1122.572"),  # Big-Sparse, uniform
        (512, "inference_MACs_M", "705"),  # STR, from the sparsities of its layers
    ],
)
def test_numbers_of_a_second_source(audited: list[Audited], line: int, metric: str, expected: str) -> None:
    one = only(audited, line, metric)
    assert one.verdict.kind == "agrees"
    assert f"{one.stated:.{len(expected.partition('.')[2])}f}" == expected


def test_zeros_rounded_up_are_those_of_the_authors_older_code() -> None:
    """Their ``get_sparsities_erdos_renyi`` with ceil in the place of floor, written out for this network."""
    setting = dataclasses.replace(RESNET50, distribution="erk", sparsity=0.85, pool_zeros="ceil")
    layers, dense = settings.network(setting).layers, set()
    zeros = {layer.layer: math.ceil(0.85 * layer.weights) for layer in layers}
    while True:
        free = [layer for layer in layers if layer.layer not in dense]
        ones = sum(layer.weights - zeros[layer.layer] for layer in free) - sum(zeros[name] for name in dense)
        epsilon = ones / sum(sum(layer.shape) for layer in free)
        top = max(sum(layer.shape) / layer.weights for layer in free)
        if epsilon * top <= 1:
            break
        dense |= {layer.layer for layer in free if sum(layer.shape) / layer.weights == top}
    expected = {layer.layer: 1 - epsilon * sum(layer.shape) / layer.weights for layer in free}
    assert settings.sparsities(setting) == pytest.approx(expected, rel=1e-12)


def test_a_network_of_another_width_is_that_of_the_model() -> None:
    wide = settings.network(dataclasses.replace(RESNET50, options={"width": 0.5}))
    assert {layer.layer: layer.shape for layer in wide.layers}["layer1.0.conv2"] == (32, 32, 3, 3)
    assert {layer.positions for layer in wide.layers} == {
        layer.positions for layer in settings.network(RESNET50).layers
    }


def test_small_dense_networks_of_the_reproducibility_report_by_hand() -> None:
    """models/wide_resnet.py cuts every channel count; models/resnet.py cuts all but the 64 of the first convolution."""
    for line, density in ((293, 0.1), (294, 0.2), (324, 0.2), (335, 0.1), (336, 0.2)):
        cell = cell_of(line, "test_flops_x")
        setting = settings.changed(JUDGE._of_row(cell.row), JUDGE.book.stated(cell).setting)
        shapes = {layer.layer: layer.shape for layer in settings.network(setting).layers}
        width = math.sqrt(density)
        if setting.model == "wrn22_2":
            names, usual = ("conv1", *(f"group{group}.block1.conv2" for group in (1, 2, 3))), (16, 32, 64, 128)
        else:
            names, usual = [f"layer{group}.0.conv1" for group in (1, 2, 3, 4)], (64, 128, 256, 512)
            inner = int(64 * width)
            assert shapes["conv1"] == (64, 3, 3, 3)
            assert shapes["layer1.0.conv1"] == (inner, 64, 1, 1)
            assert shapes["layer1.0.downsample.0"] == (4 * inner, 64, 1, 1)
        assert [shapes[name][0] for name in names] == [int(channels * width) for channels in usual]


def test_the_report_counts_an_operation_for_each_output_of_the_classifier_alone() -> None:
    """Its counter gives 315,460,106 for WRN-22-2."""
    wrn = Setting(model="wrn22_2", input=(3, 32, 32), classes=10, convention="macs")
    assert settings.recompute(wrn, "inference_flops") + 10 == 315_460_106


def test_the_notebook_cuts_every_dimension_of_a_small_dense_network_by_itself() -> None:
    """As the rule for Small-Dense ResNet-50 says."""
    layers, ratios = settings.network(RESNET50).layers, []
    for width in (0.465, 0.34):
        cut = {layer.layer: [*(int(size * width) for size in layer.shape[:2]), *layer.shape[2:]] for layer in layers}
        cut["conv1"][1], cut["fc"][0] = 3, 1000
        ratios.append(settings.recompute(dataclasses.replace(RESNET50, method="dense", shapes=cut), "inference_x"))
    assert ratios == pytest.approx([0.2218, 0.1209], abs=5e-5)


def test_what_cannot_be_computed_says_why() -> None:
    with pytest.raises(ValueError, match="unknown quantity 'joule'; there are inference_flops"):
        settings.recompute(RESNET50, "joule")
    with pytest.raises(ValueError, match="the suite has no method of that name"):
        settings.recompute(RESNET50, "train_x")
    with pytest.raises(ValueError, match="'str' is known only when it has run"):
        settings.recompute(dataclasses.replace(RESNET50, method="str"), "train_x")
    with pytest.raises(ValueError, match=r"has no column 'dsr_0.7'; it has dsr_0.8"):
        settings.recompute(dataclasses.replace(RESNET50, column="dsr_0.7"), "sparsity")


def test_an_audit_leaves_random_numbers_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    settings._traced.__wrapped__("lenet300", (784,), 10)
    assert torch.equal(torch.get_rng_state(), before)


# -- verdicts ----------------------------------------------------------------------------------------------------------


def test_a_verdict_is_what_its_numbers_say(audited: list[Audited]) -> None:
    for one in audited:
        stated, actual = one.stated, one.actual
        match one.verdict.kind:
            case "agrees":
                assert one.cell.agrees(stated)
                assert actual is None
            case "explained":
                assert one.cell.agrees(actual)
                assert not one.cell.agrees(stated)
                assert one.verdict.reason == JUDGE.book.hypotheses[one.verdict.hypothesis].words
            case "rounding":
                assert one.cell.nearly(stated)
                assert not one.cell.agrees(stated)
            case "unexplained":
                assert not one.cell.nearly(stated)
            case "unknown":
                assert one.verdict.reason
                assert stated is None


@given(st.data())
def test_another_number_in_a_cell_flips_its_verdict(audited: list[Audited], data: st.DataObject) -> None:
    one = data.draw(st.sampled_from([one for one in audited if one.verdict.kind == "agrees"]))
    units = data.draw(st.integers(2, 40))
    # Upwards only: a cell that holds 0 or less cannot have been printed.
    changed = Decimal(one.cell.printed) + units * Decimal(str(one.cell.digits.unit))
    after = JUDGE.audited(reprinted(one, f"{changed:e}" if "e" in one.cell.printed else f"{changed:f}"))
    assert after.stated == pytest.approx(one.stated)
    assert after.verdict.kind in ("unexplained", "explained")
    assert after.verdict.kind == "unexplained" or after.cell.agrees(after.actual)


@pytest.mark.parametrize(
    ("line", "metric", "printed"),
    [
        (6, "test_flops_x", "0.11"),  # Figure 2, the first convolution: 0.10
        (47, "train_flops_x", "0.44"),  # Table 4, the static row: 0.42
        (71, "test_flops_x", "0.96"),  # Figure 3: 0.98
        (137, "model_size_MB", "23.681"),  # the README's sizes: 23.683
        (139, "model_size_MB", "23.687"),
        (270, "train_flops_x", "1.1"),  # the README's figure: 1.004
        (314, "test_flops_x", "0.97"),  # the reproducibility report: 0.98
        (474, "train_flops_x", "0.86"),  # ITOP: 0.84
    ],
)
def test_an_erratum_with_another_number_is_unexplained(
    audited: list[Audited], line: int, metric: str, printed: str
) -> None:
    one = only(audited, line, metric)
    assert one.verdict.kind == "explained"
    assert JUDGE.audited(reprinted(one, printed)).verdict.text == "differs: unexplained"


def test_verdicts_in_words(audited: list[Audited]) -> None:
    assert only(audited, 5, "train_flops_x").verdict.text == "agrees"
    assert only(audited, 159, "train_flops_x").verdict.text == "differs by rounding"
    assert only(audited, 37, "train_flops_x").verdict.text == "differs: the value of the 80 % column (inferred)"
    assert only(audited, 50, "test_flops_x").verdict.text == (
        "differs: the first convolution is counted as dense (the authors' ResNet notebook does so at 96.5 %)"
    )
    assert all("fitted to this size (inferred)" in only(audited, line, "size_bytes").verdict.text for line in (99, 104))
    assert only(audited, 171, "test_flops_x").verdict.text == "differs: unexplained"
    assert only(audited, 82, "train_cost_GFLOPs").verdict.text.startswith("not recomputable: the number of samples")


def test_samples_of_a_training_cost_by_hand(audited: list[Audited]) -> None:
    """482.0 GFLOPs over 3 * 2 * (2352 + 3270 + 1000): the weights at 99 %, at 89.1 %, and all of the last layer."""
    assert f"{482.0e9 / (6 * 6622):,.0f} samples" in only(audited, 97, "train_cost_GFLOPs").verdict.reason


# -- rules -------------------------------------------------------------------------------------------------------------


def test_every_rule_is_about_something(audited: list[Audited]) -> None:
    for rule in JUDGE.book.rules:
        assert any(rule.where.fits(one.cell.row, one.cell.metric) for one in audited), rule.where
    assert {one.verdict.hypothesis for one in audited} - {""} == set(JUDGE.book.hypotheses)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("setting: {layout: all-sparse}", "setting: {layouts: all-sparse}", "a setting has no field 'layouts'; it has"),
        ("try: [conv1-sparse]", "try: [conv-sparse]", "there is no hypothesis 'conv-sparse'; there are conv1-sparse"),
        ("hypotheses: [conv1-sparse]", "hypotheses: [conv-sparse]", "there is no hypothesis 'conv-sparse'"),
        ("where: {place: Appendix B}", "where: {places: Appendix B}", "has the key 'places'; it takes"),
    ],
)
def test_rules_that_make_no_sense_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = rules.RULES.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "rules.yaml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(AnalysisError, match=message):
        rules.load(tmp_path / "rules.yaml")


def test_a_cell_whose_rules_make_no_sense_is_named(audited: list[Audited]) -> None:
    lonely = Auditor(rows=[], names=JUDGE.names, book=JUDGE.book)
    with pytest.raises(AnalysisError, match=r"published.csv, line 309, train_flops_x: 0 rows of length 1 are like it"):
        lonely.audited(only(audited, 309, "train_flops_x").cell)


# -- errata ------------------------------------------------------------------------------------------------------------


def test_everything_that_does_not_agree_is_on_the_page_once(audited: list[Audited]) -> None:
    named = Counter(
        id(one)
        for erratum in JUDGE.book.errata
        if erratum.otherwise is None
        for one in page.members(erratum, audited, JUDGE)
    )
    assert named == Counter(id(one) for one in audited if one.verdict.kind != "agrees")


@pytest.mark.parametrize(
    ("name", "lines", "kind", "hypotheses"),
    [
        # Table 4: the train column at 95 and 96.5 %, and the static ERK row altogether
        ("table-4", set(range(37, 58)), "explained", {"column-80", "column-90"}),
        # Figure 2, 90 % uniform: SET, SNIP, static and RigL, and pruning's inference
        ("figure-2", {6, 8, 12, 14, 18, 32, 34}, "explained", {"conv1-sparse"}),
        # MobileNet: Figure 3, the README, the notebook's Big-Sparse networks
        ("figure-3", {64, 65, 66, 68, 69, 70, 71, 72}, "explained", {"depthwise-sparse", "wide-erk"}),
        ("mobilenet-readme", set(range(171, 176)), "unexplained", {""}),
        ("big-sparse", set(range(228, 240)), "agrees", {""}),
        # ERK at 96.5 %: Table 4's inference, the README's size; and the README's 0.24x for 0.25x
        ("erk-965", {50, 52, 54, 149}, "explained", {"conv1-dense"}),
        ("readme-rounding", {159, 163}, "rounding", {""}),
        # the README's figure: pruning
        ("figure-pruning", set(range(268, 273)), "explained", {"dense-cost"}),
        # the README's sizes; the small dense network; MNIST's sizes
        ("sizes", {137, 139}, "explained", {"ceil", "erdos-renyi"}),
        ("small-dense", {9, 15, *range(258, 262)}, "unexplained", {""}),
        ("appendix-b-size", {99, 104}, "explained", {"dead-weights-1", "dead-weights-3"}),
        # the reproducibility report: two and three lengths that agree only unrounded
        ("mlrc-unrounded", {316, 331, 354, 358}, "agrees", {""}),
        # the reproducibility report's pruning, of which text and code differ
        ("mlrc-measured", {*range(309, 313), 317, 318, 330, 305, 306, *range(347, 353), 355, 356}, "unknown", {""}),
        # ITOP: the README's row of five lengths, and multiples that were rounded before
        ("itop", {473, 474, 475, 2}, "explained", {"as-rigl", "as-rigl-rounded-first", "single-length"}),
        # Appendix B: training costs of no one length
        ("appendix-b-cost", {82, 83, 87, 88, 92, 93, 97, 102}, "unknown", {""}),
    ],
)
def test_known_errata_come_out(
    audited: list[Audited], name: str, lines: set[int], kind: str, hypotheses: set[str]
) -> None:
    (erratum,) = [erratum for erratum in JUDGE.book.errata if erratum.name == name]
    cells = page.members(erratum, audited, JUDGE)
    assert {one.cell.row.line for one in cells} == lines
    assert {one.verdict.kind for one in cells} == {kind}
    assert {one.verdict.hypothesis for one in cells} == hypotheses


@pytest.mark.parametrize(("name", "printed", "stated", "otherwise"), [
    ("authors-counting", "0.23", 0.22536, 0.22309),  # 80 % uniform: 0.22 with two FLOPs a multiply-add
    ("mlrc-erk", "0.17", 0.1736, 0.17528),  # SET at 90 %, ERK: 0.18 with the first convolution dense, counted as RigL's
])  # fmt: skip
def test_agreement_that_rests_on_a_counting(
    audited: list[Audited], name: str, printed: str, stated: float, otherwise: float
) -> None:
    (erratum,) = [erratum for erratum in JUDGE.book.errata if erratum.name == name]
    cells = [one for one in page.members(erratum, audited, JUDGE) if one.cell.printed == printed]
    one = next(one for one in cells if one.cell.metric == "test_flops_x")
    assert one.stated == pytest.approx(stated, abs=1e-4)
    assert JUDGE.otherwise(one.cell, erratum.otherwise) == pytest.approx(otherwise, abs=1e-4)


def test_what_errata_say_of_other_cells(audited: list[Audited]) -> None:
    for line, metric in ((10, "train_flops_x"), (16, "train_flops_x"), (32, "train_flops_x"), (304, "train_flops_x")):
        assert only(audited, line, metric).verdict.kind == "agrees"  # small-dense, figure-2, mlrc-set
    assert {only(audited, line, "sparsity").verdict.kind for line in range(171, 176)} == {"agrees"}  # mobilenet-readme
    for line in (493, 494):  # mest: more with the first convolution dense, less with it sparse
        one = only(audited, line, "test_flops_x")
        assert JUDGE.otherwise(one.cell, {"layout": "all-sparse"}) < one.cell.value < one.stated


def test_errata_have_no_result_in_their_words() -> None:
    """Words name sparsities, sections and lengths; what was computed stands in the cells."""
    assert [
        erratum.name for erratum in JUDGE.book.errata if re.search(r"\b0\.\d|\d,\d{3}(?! steps)", erratum.words)
    ] == []


# -- comparing, and pages ----------------------------------------------------------------------------------------------


def test_a_network_is_compared_with_what_was_published_of_it() -> None:
    found = verdicts.compare("resnet50", method="rigl", distribution="erk", sparsity=0.9)
    assert {(one.cell.row.method, one.cell.row.sparsity) for one in found} == {
        ("RigL", "0.9"),
        ("RigL (no label smoothing)", "0.9"),
    }
    assert {one.cell.printed for one in found if one.cell.metric == "test_flops_x"} == {"0.24"}
    assert len(verdicts.compare("lenet300")) > len(verdicts.compare("lenet300", method="rigl")) > 0
    (block,) = page.table("ResNet-50", [], found).blocks
    assert block.rows[0][1][2:4] == ["0.25", "0.2457"]


def test_a_network_of_which_nothing_was_published_is_refused() -> None:
    with pytest.raises(ValueError, match="no cost of 'vgg16' was published; there are some of lenet300, mobilenet_v1"):
        verdicts.compare("vgg16")


def test_counts_are_of_every_cell(audited: list[Audited]) -> None:
    (block,) = page.counts(audited).blocks
    *sources, total = [[int(number) for number in numbers] for _, numbers in block.rows]
    assert [sum(column) for column in zip(*sources, strict=True)] == total
    assert total[-1] == sum(total[:-1]) == len(audited)


def test_the_command_writes_the_pages(audited: list[Audited], tmp_path: Path) -> None:
    assert build.main(["audit", "--out", str(tmp_path / "audit")]) == 0
    written = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "audit").iterdir()}
    assert set(written) == {"audit.csv", "audit.md", "audit.html", "errata.md", "errata.html"}
    assert len(list(csv.DictReader(written["audit.csv"].splitlines()))) == len(audited)
    for row in (one.cell.row for one in audited):
        assert re.search(
            rf'<th scope="row">{row.source_key}, (further.csv )?line {row.line}</th>', written["audit.html"]
        )
    for erratum in JUDGE.book.errata:
        assert f"<h2>{erratum.title}</h2>".replace("'", "&#39;") in written["errata.html"]
    for name in ("audit.html", "errata.html"):
        assert not re.search(r"<(script|link|img)|url\(", written[name])  # it needs no other file
    assert (
        "| evci2020rigl, line 37 | Static, ResNet-50, S = 0.95, uniform | train\\_flops\\_x | 0.23 | 0.0801 | 0.2254 |"
        in written["errata.md"]
    )


def test_what_a_page_shows_is_escaped(audited: list[Audited]) -> None:
    row = dataclasses.replace(audited[0].cell.row, method="<script>|")
    one = dataclasses.replace(audited[0], cell=dataclasses.replace(audited[0].cell, row=row))
    shown = page.overview([one])
    assert "<script>" not in page.html(shown)
    assert "\\<script>\\|" in page.markdown(shown)

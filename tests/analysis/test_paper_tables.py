"""The paper's tables: texts and numbers by hand, what stands beside what, and the same content in every form."""

from __future__ import annotations

import csv
import html
import io
import re
from dataclasses import replace
from math import nan
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import points, records, references, reported
from analysis.records import Table
from analysis.tables import comparison, fig2_left, fig3_right, latex, page, paper, printed, table2, table3, table4
from analysis.tables.comparison import NOT_HERE, Cell, Column, Comparison, Number, Row
from analysis.tables.page import Block, Group, Link, Panel
from analysis.tables.reproduced import Rerun
from pipeline.record import LayerCount, Ledger, Record, Result
from pipeline.run import Protocol, Run, StartFrom, Topology, run_from_dict

REFERENCES = references.load()
PAPER = printed.Paper.load(REFERENCES)
MODULES = {"fig2_left": fig2_left, "fig3_right": fig3_right, "table3": table3, "table4": table4}
IMAGENET = {"model": "resnet50", "dataset": "imagenet"}
AUTHORS = {"layout": "mnist-authors", "multiplier": 0.2}


@pytest.fixture(scope="module")
def alone() -> dict[str, Comparison]:
    """The tables with no records at all."""
    return tables(records.tidy([], {}).pipe(lambda frame: Table(frame, frame)))


def tables(table: Table) -> dict[str, Comparison]:
    return paper.compare(points.reproduced(table), table, REFERENCES)


def one(name: str, table: Table) -> Comparison:
    """The table ``name`` alone."""
    rerun = points.reproduced(table)
    if name == "table2":
        return table2.build(PAPER, rerun, table.loaded)
    return MODULES[name].build(PAPER, Rerun(rerun))


def of(name: str, folder: Path, factory: SimpleNamespace, *found: Record) -> Comparison:
    """The table ``name`` with the records ``found``."""
    return one(name, records.load([factory.keep(folder, *found)], factory.methods))


def settings(table: Comparison) -> list[str]:
    return list(dict.fromkeys(column.groups[0] for column in table.columns))


def shown(table: Comparison, row: str, setting: str, *headings: str) -> Cell:
    """The cell of ``row`` in the one column whose headings, below the setting's, begin with ``headings``."""
    (place,) = [place for place, own in enumerate(table.rows) if own.label == row]
    (column,) = [
        column
        for column in table.columns
        if column.groups[0] == setting
        and all(
            text.startswith(asked) for text, asked in zip((*column.groups[1:], column.title), headings, strict=True)
        )
    ]
    return column.cells[place]


RESNET, MOBILENET = "ResNet-50 on ImageNet-2012", "MobileNet-v1 on ImageNet-2012"

# -- reported -------------------------------------------------------------------------------------------------------------


def test_rows_and_columns_are_the_papers(alone: dict[str, Comparison]) -> None:
    labels = {name: [row.label for row in table.rows] for name, table in alone.items()}
    assert labels["fig2_left"] == [
        *(
            "Static",
            "SNIP",
            "Small-Dense",
            "SET",
            "RigL",
            "Small-Dense, 5×",
            "RigL, 5×",
            "Static, ERK",
            "DSR*",
            "RigL, ERK",
        ),
        *("RigL, ERK, 5×", "SNFS*", "SNFS, ERK", "Pruning* (Gale)", "Pruning* (Gale), 1.5×", "DNW*"),
    ]
    assert labels["table2"] == ["SBP", "L0", "VIB", "RigL", "RigL+"]
    assert labels["table3"] == [
        "Static (Lottery init)",
        "RigL (Lottery init)",
        "RigL (Random init)",
        "RigL (Random init), 2×",
    ]
    sparsities = {name: list(dict.fromkeys(column.groups[1:] for column in alone[name].columns)) for name in alone}
    assert sparsities == {
        "fig2_left": [("80 %",), ("90 %",)],
        "fig3_right": [("75 %",), ("90 %",)],
        "table2": [()],
        "table3": [("80 %",)],
        "table4": [("95 %",), ("96.5 %",)],
    }


@pytest.mark.parametrize(("name", "row", "setting", "headings", "text"), [
    ("fig2_left", "RigL, ERK, 5×", RESNET, ("80 %", "Reported"), "77.1 ± 0.06"),
    ("fig2_left", "RigL, ERK, 5×", RESNET, ("80 %", "Training"), "2.09 (2.0861)"),
    ("fig2_left", "SNFS*", RESNET, ("90 %", "Training"), "–"),  # the paper prints none
    ("fig2_left", "DNW*", RESNET, ("80 %", "Reported"), "76"),
    ("fig3_right", "Big-Sparse (RigL), ERK, 5×", MOBILENET, ("75 %", "Reported"), "77.0 ± 0.08"),
    ("fig3_right", "Big-Sparse (RigL), ERK, 5×", MOBILENET, ("90 %", "Reported"), "–"),
    ("table3", "RigL (Random init), 2×", RESNET, ("80 %", "Reported"), "76.06 ± 0.09"),
    ("table3", "RigL (Lottery init)", RESNET, ("80 %", "Training"), "0.46 (0.4558)"),
    ("table4", "Pruning* (Gale), 1.5×", RESNET, ("96.5 %", "Reported"), "69.26"),
    ("table2", "RigL+", "LeNet-300-100 MLP on MNIST", ("Left",), "375-62-51"),
    ("table2", "RigL+", "LeNet-300-100 MLP on MNIST", ("Size",), "16113 (16117.50)"),
    ("table2", "RigL+", "LeNet-300-100 MLP on MNIST", ("Best",), "1.57"),
    ("table2", "SBP", "LeNet-300-100 MLP on MNIST", ("Inference",), "97.1 (97.100)"),
])  # fmt: skip
def test_what_is_printed_is_shown_as_printed(
    alone: dict[str, Comparison], name: str, row: str, setting: str, headings: tuple[str, ...], text: str
) -> None:
    assert shown(alone[name], row, setting, *headings).text == text


def test_every_printed_number_of_a_table_is_in_it(alone: dict[str, Comparison]) -> None:
    """Counted from the file: means, and the multiples beside them."""
    places = {"fig2_left": "Figure 2 (left) table", "fig3_right": "Figure 3 (right) table"}
    places |= {"table3": "Appendix E Table 3", "table4": "Appendix L Table 4"}
    for name, place in places.items():
        rows = [row for row in reported.rows() if row.where_in_source.startswith(place)]
        accuracies = [float(row.value) / 100 for row in rows if row.metric == "top1_acc"]
        frame = alone[name].frame()
        own = frame[frame["kind"] == "reported"]
        assert sorted(own.loc[own["quantity"] == "accuracy", "value"]) == pytest.approx(sorted(accuracies))
        for column, quantity in (("train_flops_x", "train_x"), ("test_flops_x", "inference_x")):
            # Of the dense network it is the 1 that all others are multiples of.
            multiples = [float(getattr(row, column)) for row in rows if getattr(row, column) and row.method != "Dense"]
            assert sorted(own.loc[own["quantity"] == quantity, "value"]) == sorted(multiples)


def test_reported_numbers_say_where_they_stand(alone: dict[str, Comparison]) -> None:
    for table in alone.values():
        own = table.frame()
        own = own[(own["kind"] == "reported") & ~own["quantity"].isin(["inputs", "units_1", "units_2"])]
        assert len(own)
        assert set(own["source"]) == {"evci2020rigl"}
        assert all(own["place"]) and set(own["url"]) == {"https://arxiv.org/abs/1911.11134v3"}
        assert not own["place"].str.contains(r"\[|suspected").any()  # remarks are notes, not places
        assert table.links[0].words.startswith("Reported: Evci et al. 2020, ")
    (other,) = alone["fig2_left"].links[1:]
    assert other.words.startswith("DNW*: Evci et al. 2020, ") and "Kusupati" in other.words


def test_errata_are_marked_with_their_reason(alone: dict[str, Comparison]) -> None:
    repeated = shown(alone["table4"], "Static, ERK", RESNET, "95 %", "Reported")
    assert repeated.text == "72.1 ± 0.04"
    assert repeated.notes == ("the whole row repeats that of 80 and 90 % in Figure 2, accuracies included",)
    panel = alone["table4"].panel()
    (mark,) = [note[:3] for note in panel.notes if "accuracies included" in note]
    assert dict(panel.blocks[0].rows)["Static, ERK"][0] == f"72.1 ± 0.04 {mark}"
    assert shown(alone["table4"], "RigL, ERK", RESNET, "95 %", "Reported").notes == ()
    longer = shown(alone["fig2_left"], "RigL, 5×", RESNET, "90 %", "Training")
    assert longer.text == "0.52 (0.6571)"  # (302 * .12853 + 1) / 303 * 5
    assert longer.notes == ("differs: the first convolution is counted as sparse (inferred)",)
    assert [(number.kind, round(number.value, 4)) for number in longer.numbers] == [
        ("reported", 0.52),
        ("recomputed", 0.6571),
        ("recomputed", 0.5210),
    ]


def test_a_cost_of_no_known_length_is_not_recomputed(alone: dict[str, Comparison]) -> None:
    cell = shown(alone["table2"], "RigL", "LeNet-300-100 MLP on MNIST", "Training, GFLOPs")
    assert cell.text == "482.0"
    assert cell.notes == ("not recomputable: the number of samples is not printed, and no one number fits the column",)
    assert [(number.quantity, number.value) for number in cell.numbers] == [("train_flops", 482.0e9)]


# -- reproduced -----------------------------------------------------------------------------------------------------------


def test_with_nothing_run_every_table_says_so(alone: dict[str, Comparison], tmp_path: Path) -> None:
    for name, table in alone.items():
        assert len(settings(table)) == 1
        assert set(table.frame()["kind"]) == {"reported", "recomputed"}
        for column in table.columns:
            if "reproduced" in column.title.lower():
                assert {cell.text for cell in column.cells} <= {NOT_HERE, "–"}
                assert NOT_HERE in {cell.text for cell in column.cells}
        written = table.write(tmp_path / name)
        assert [path.name for path in written] == [f"{name}.{ending}" for ending in ("html", "md", "csv", "tex")]
        assert all(NOT_HERE in path.read_text(encoding="utf-8") for path in written if path.suffix != ".csv")


def test_the_same_setting_stands_side_by_side(tmp_path: Path, factory: SimpleNamespace) -> None:
    """75.0, 75.2 and 75.4: 0.6 more than the paper's 74.6; half the width is 0.2 * 4.302653 / sqrt(3) = 0.497."""
    runs = [factory.run("rigl", 0.8, seed, **IMAGENET) for seed in range(3)]
    table = of("fig2_left", tmp_path, factory, *(factory.record(run, 7500 + 20 * run.seed) for run in runs))
    assert settings(table) == [RESNET]
    assert shown(table, "RigL", RESNET, "80 %", "Reproduced").text == "75.2 ± 0.5 (n=3)"
    assert shown(table, "RigL", RESNET, "80 %", "Difference").text == "+0.6 ± 0.5 (n=3)"
    (number,) = shown(table, "RigL", RESNET, "80 %", "Difference").numbers
    assert (number.kind, number.n) == ("difference", 3)
    assert (number.value, number.low) == pytest.approx((0.006, 0.006 - 0.002 * 4.302653 / 3**0.5))
    assert shown(table, "Static", RESNET, "80 %", "Reproduced").text == NOT_HERE
    assert shown(table, "Static", RESNET, "80 %", "Difference").text == "–"
    assert not [
        column for column in table.columns if column.groups[1] == "90 %" and column.title.startswith("Difference")
    ]


def test_no_difference_from_a_doubted_number(tmp_path: Path, factory: SimpleNamespace) -> None:
    runs = [factory.run(method, 0.95, distribution="erk", **IMAGENET) for method in ("static", "rigl")]
    table = of("table4", tmp_path, factory, *(factory.record(run, 7000) for run in runs))
    assert shown(table, "Static, ERK", RESNET, "95 %", "Difference").text == "–"
    assert shown(table, "RigL, ERK", RESNET, "95 %", "Difference").text == "+0.3 (n=1)"  # 70.0 - 69.7


def test_a_wider_network_is_not_the_usual_one(tmp_path: Path, factory: SimpleNamespace) -> None:
    run = factory.run(
        "rigl", 0.75, model="mobilenet_v1", dataset="imagenet", multiplier=5.0, model_options={"width": 1.98}
    )
    table = of("fig3_right", tmp_path, factory, factory.record(run, 7600))
    assert shown(table, "Big-Sparse (RigL), 5×", MOBILENET, "75 %", "Reproduced").text == "76.0 (n=1)"
    assert shown(table, "RigL, 5×", MOBILENET, "75 %", "Reproduced").text == NOT_HERE


def test_other_settings_have_columns_of_their_own(study: Path, factory: SimpleNamespace) -> None:
    """The study of the fixtures: three seeds of lenet300 on mnist, the same at 80 and 90 %."""
    table = one("fig2_left", records.load([study], factory.methods))
    assert settings(table) == [RESNET, "lenet300 on mnist"]
    for column in table.columns:
        kinds = {number.kind for cell in column.cells for number in cell.numbers}
        place = (column.model, column.dataset)
        assert place == (("resnet50", "imagenet") if column.groups[0] == RESNET else ("lenet300", "mnist"))
        assert kinds <= ({"reported", "recomputed"} if column.groups[0] == RESNET else {"reproduced"})
    assert shown(table, "RigL", "lenet300 on mnist", "80 %", "Reproduced").text == "97.2 ± 0.5 (n=3)"
    assert shown(table, "RigL", "lenet300 on mnist", "80 %", "Inference").text == "0.200 / 0.210"
    assert shown(table, "RigL, 5×", "lenet300 on mnist", "80 %", "Reproduced").text == "–"
    assert [(line.setting, line.cell.text) for line in table.lines] == [
        (
            RESNET,
            "in %, reported 76.8 ± 0.09, not run here; training FLOPs 3.2e18 (3.225e18); inference FLOPs 8.2e9 (8.202e9)",
        ),
        ("lenet300 on mnist", "in %, reproduced 98.01 ± 0.02 (n=3)"),
    ]


def test_runs_without_a_result_are_counted(study: Path, factory: SimpleNamespace) -> None:
    table = one("fig2_left", records.load([study], factory.methods))
    cell = shown(table, "SNIP", "lenet300 on mnist", "80 %", "Reproduced")
    assert cell.text == "95.0 (n=1, 1 diverged, 1 skipped)"
    (number,) = cell.numbers
    assert (number.value, number.n, number.diverged, number.skipped, number.failed) == (0.95, 1, 1, 1, 0)


def test_one_length_is_that_of_most_rows(tmp_path: Path, factory: SimpleNamespace) -> None:
    """Static and RigL at a fifth of the protocol, RigL at the whole of it: five times as long."""
    runs = [factory.run(method, 0.8, multiplier=0.2) for method in ("static", "rigl")] + [factory.run("rigl", 0.8)]
    table = of(
        "fig2_left", tmp_path, factory, *(factory.record(run, 9700 + 100 * (run.multiplier == 1)) for run in runs)
    )
    short = "lenet300 on mnist, 0.2× training"
    assert settings(table) == [RESNET, short]
    assert shown(table, "RigL", short, "80 %", "Reproduced").text == "97.0 (n=1)"
    assert shown(table, "RigL, 5×", short, "80 %", "Reproduced").text == "98.0 (n=1)"
    assert (
        shown(table, "RigL", short, "80 %", "Inference").text == "0.200 / 0.210"
    )  # over dense training of that length
    assert shown(table, "RigL, 5×", short, "80 %", "Inference").text == "0.200 / 1.05"


def test_one_row_alone_compares_nothing(tmp_path: Path, factory: SimpleNamespace) -> None:
    table = of("fig2_left", tmp_path, factory, factory.record(factory.run("rigl", 0.8)))
    assert settings(table) == [RESNET]


def test_what_is_varied_is_not_the_papers_row(tmp_path: Path, factory: SimpleNamespace) -> None:
    """RigL with other options, from other weights, and at one sparsity with other updates as well."""
    often = Protocol(**{**vars(factory.run().protocol), "topology": Topology(update_every=7)})
    runs = [factory.run("static", 0.8), *(factory.run("rigl", sparsity) for sparsity in (0.8, 0.9))]
    varied = [
        factory.run("rigl", 0.8, method_options={"growth": "random"}),
        factory.run("rigl", 0.8, protocol=often),
        factory.run("rigl", 0.8, start_from=StartFrom(factory.run("static", 0.8), "both")),
    ]
    found = [*(factory.record(run, 9700) for run in runs), *(factory.record(run, 5000) for run in varied)]
    table = of("fig2_left", tmp_path, factory, *found)
    assert shown(table, "RigL", "lenet300 on mnist", "80 %", "Reproduced").text == "97.0 (n=1)"


def test_a_varied_run_alone_is_not_the_papers_row(tmp_path: Path, factory: SimpleNamespace) -> None:
    """Pruning with other options only, SET from other weights only, RigL's ERK with other updates than RigL has."""
    often = Protocol(**{**vars(factory.run().protocol), "topology": Topology(update_every=7)})
    usual = [factory.run(method, sparsity) for method in ("static", "rigl") for sparsity in (0.8, 0.9)]
    varied = [
        factory.run("pruning", 0.8, method_options={"ranking": "global"}),
        factory.run("set", 0.8, start_from=StartFrom(usual[0], "both")),
        factory.run("rigl", 0.8, distribution="erk", protocol=often),
    ]
    table = of("fig2_left", tmp_path, factory, *map(factory.record, [*usual, *varied]))
    place = ("lenet300 on mnist", "80 %", "Reproduced")
    assert shown(table, "RigL", *place).text == "97.0 (n=1)"
    assert [shown(table, row, *place).text for row in ("Pruning* (Gale)", "SET", "RigL, ERK")] == ["–", "–", "–"]


def test_a_start_that_the_row_does_not_print_is_told(tmp_path: Path, factory: SimpleNamespace) -> None:
    moved = replace(factory.methods["snfs"], name="dnw", label="DNW")
    runs = [factory.run("static", 0.8), factory.run("dnw", 0.8, distribution="erk")]
    folder = factory.keep(tmp_path, *map(factory.record, runs))
    table = one("fig2_left", records.load([folder], factory.methods | {"dnw": moved}))
    cell = shown(table, "DNW*", "lenet300 on mnist", "80 %", "Reproduced")
    assert cell.notes == ("started from ERK: the paper's row names no distribution to start from",)


def test_tickets_pay_for_the_run_that_found_them(tmp_path: Path, factory: SimpleNamespace) -> None:
    """At 95 % of a fifth of the protocol: 0.05 for static and 1.05 times that for RigL, whose 0.0525 both tickets add."""
    short = {"sparsity": 0.95, "multiplier": 0.2}
    parent = factory.run("rigl", **short)
    tickets = [factory.run(method, start_from=StartFrom(parent, "mask"), **short) for method in ("static", "rigl")]
    twice = factory.run("rigl", 0.95, multiplier=0.4)
    elsewhere = [factory.run("rigl", 0.8, multiplier=length) for length in (0.2, 0.4)]  # no tickets there: no columns
    table = of("table3", tmp_path, factory, *map(factory.record, [parent, *tickets, twice, *elsewhere]))
    place = ("lenet300 on mnist, 0.2× training", "95 %", "Inference")
    assert settings(table) == [RESNET, place[0]]
    assert {column.groups[1] for column in table.columns if column.groups[0] == place[0]} == {"95 %"}
    assert shown(table, "RigL (Random init)", *place).text == "0.050 / 0.052"  # 0.0525
    assert shown(table, "Static (Lottery init)", *place).text == "0.050 / 0.102"  # 0.1025
    assert shown(table, "RigL (Lottery init)", *place).text == "0.050 / 0.105"
    assert shown(table, "RigL (Random init), 2×", *place).text == "0.050 / 0.105"


# -- Table 2 --------------------------------------------------------------------------------------------------------------


def compressed(
    factory: SimpleNamespace, run: Run, sizes: tuple[int, int, int], nonzeros: tuple[int, int], **fields
) -> Record:
    """A record of a network of ``sizes`` and ten outputs, the last layer dense."""
    (inputs, first, second), (one, two) = sizes, nonzeros
    shapes = {"fc1": (first, inputs), "fc2": (second, first), "fc3": (10, second)}
    counts = {"fc1": one, "fc2": two, "fc3": 10 * second}
    layers = tuple(
        LayerCount(
            name, shape, shape[0] * shape[1], counts[name], 1 - counts[name] / (shape[0] * shape[1]), 0.9, name != "fc3"
        )
        for name, shape in shapes.items()
    )
    inference = 2 * sum(counts.values())
    ledger = Ledger(532_400, inference, inference / 532_400, 0.01, 101_000_000_000, 159_600_000_000)
    return factory.record(run, layers=layers, flops={"macs": ledger, "rigl": ledger}, size_bytes=61_278, **fields)


@pytest.fixture
def compression(tmp_path: Path, factory: SimpleNamespace) -> Comparison:
    """Two seeds of RigL, which finds 400-150-90 and 390-140-80, and of RigL+; a third of RigL diverged."""
    found = []
    for seed, sizes in enumerate([(400, 150, 90), (390, 140, 80)]):
        parent = factory.run("rigl", 0.99, seed, **AUTHORS)
        child = factory.run("rigl", 0.96, seed, start_from=StartFrom(parent, "architecture"), **AUTHORS)
        right = Result(9780 + 10 * seed, 10_000, 0.1, 0.05)
        found.append(compressed(factory, parent, (784, 300, 100), (2352, 3270), result=right))
        found.append(compressed(factory, child, sizes, (2400, 1800)))
    third = factory.run("rigl", 0.99, 2, **AUTHORS)
    found.append(compressed(factory, third, (784, 300, 100), (2352, 3270), status="diverged", result=None))
    others = [factory.run("rigl", 0.99, 3, multiplier=0.2), factory.run("static", 0.99, 4, **AUTHORS)]
    for other in (*others, factory.run("rigl", 0.96, 5, **AUTHORS)):
        found.append(compressed(factory, other, (784, 300, 100), (1, 1)))  # another layout, method or start
    return of("table2", tmp_path, factory, *found)


OURS = "lenet300 on mnist, mnist-authors layout, 0.2× training"


@pytest.mark.parametrize(("row", "heading", "text"), [
    ("RigL", "Trained as", "784-300-100"),
    ("RigL", "Left of it", "395-145-85"),
    ("RigL", "Training", "101.0 (n=2, 1 diverged)"),
    ("RigL", "Inference", "13.2 (n=2, 1 diverged)"),  # 2 * (2352 + 3270 + 1000) = 13,244
    ("RigL", "Size, bytes, as", "61,278 (n=2, 1 diverged)"),
    ("RigL", "Error", "2.15 ± 0.64 (n=2, 1 diverged)"),  # 2.20 and 2.10: 0.0707 * 12.706 / sqrt(2)
    ("RigL+", "Trained as", "395-145-85"),
    ("RigL+", "Left of it", "–"),
    ("RigL+", "Error", "3.00 (n=2)"),
    ("SBP", "Error", "–"),
])  # fmt: skip
def test_compression_by_hand(compression: Comparison, row: str, heading: str, text: str) -> None:
    assert settings(compression) == ["LeNet-300-100 MLP on MNIST", OURS]
    assert shown(compression, row, OURS, heading).text == text


def test_size_of_what_is_left_by_hand(compression: Comparison) -> None:
    """Four bytes a weight and a bias, a bit a place of the two sparse layers; the last is as wide as what is left."""
    sizes = []
    for inputs, first, second in ((400, 150, 90), (390, 140, 80)):
        weights, places = 2352 + 3270 + 10 * second, inputs * first + first * second
        sizes.append(4 * weights + places / 8 + 4 * (first + second + 10))
    (number,) = shown(compression, "RigL", OURS, "Size, bytes, of").numbers
    assert number.value == pytest.approx(sum(sizes) / 2, abs=1)
    assert (number.source, number.n) == ("runs", 2)


def test_the_papers_own_length_is_compared(tmp_path: Path, factory: SimpleNamespace) -> None:
    run = factory.run("rigl", 0.99, layout="mnist-authors")
    record = compressed(factory, run, (784, 300, 100), (2352, 3270), result=Result(9850, 10_000, 0.1, 0.05))
    table = of("table2", tmp_path, factory, record)
    place = "LeNet-300-100 MLP on MNIST"
    assert shown(table, "RigL", place, "Error at the end, %, reproduced").text == "1.50 (n=1)"
    assert shown(table, "RigL", place, "Difference").text == "+0.02 (n=1)"  # from 1.48
    assert shown(table, "RigL+", place, "Difference").text == "–"


# -- every form -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def everything(study: Path, factory: SimpleNamespace) -> dict[str, Comparison]:
    return tables(records.load([study], factory.methods))


def test_every_form_has_every_cell(everything: dict[str, Comparison], tmp_path: Path) -> None:
    for table in everything.values():
        page_of, markdown, found, tex = (path.read_text(encoding="utf-8") for path in table.write(tmp_path))
        for cell in (cell for column in table.columns for cell in column.cells if cell.numbers):
            assert html.escape(cell.text) in page_of
            assert cell.text in markdown
            assert latex.escape(cell.text) in tex
        assert len(list(csv.DictReader(io.StringIO(found)))) == len(table.frame())
        assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == len(settings(table))
        assert not re.search(r"<(script|link|img)|url\(", page_of)  # it needs no other file


def test_headings_span_their_columns(everything: dict[str, Comparison]) -> None:
    for table in everything.values():
        panel, text = table.panel(), table.html()
        for level in panel.groups:
            assert sum(group.span for group in level) == len(panel.columns)
        for head in re.findall(r"<thead>.*?</thead>", text, flags=re.DOTALL):
            spans = [
                sum(map(int, re.findall(r'colspan="(\d+)"', line))) for line in head.splitlines() if "colspan" in line
            ]
            assert spans == [len(panel.columns)] * len(panel.groups)
        for tabular in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", table.latex(), flags=re.DOTALL):
            width = len(re.search(r"\{tabular\}\{(\w+)\}", tabular)[1])
            rows = [line for line in tabular.splitlines() if line.endswith(r"\\") and r"\multicolumn" not in line]
            assert {line.count(" & ") + 1 for line in rows} == {width}


def test_reproduced_numbers_say_which_studies_they_are_of(everything: dict[str, Comparison]) -> None:
    frame = pd.concat([table.frame() for table in everything.values()])
    assert set(frame.loc[frame["kind"] == "reproduced", "source"]) == {"runs"}
    assert list(frame) == comparison.COLUMNS


def test_hostile_names_are_escaped(tmp_path: Path, factory: SimpleNamespace) -> None:
    wild = "<script>alert(1)</script>|&_%"
    found = [factory.record(factory.run(method, 0.8, dataset=wild)) for method in ("static", "rigl")]
    loaded = tuple(records.Loaded("here", record, run_from_dict(record.config)) for record in found)
    frame = records.tidy(loaded, factory.methods)
    table = one("fig2_left", Table(frame, frame[:0], loaded))
    assert settings(table) == [RESNET, f"lenet300 on {wild}"]
    assert "<script>" not in table.html()
    assert r"\<script>alert(1)\</script>\|&\_%" in table.markdown()
    assert r"\textless{}script\textgreater{}alert(1)\textless{}/script\textgreater{}|\&\_\%" in table.latex()


def test_the_entry_writes_five_tables(study: Path, factory: SimpleNamespace, tmp_path: Path) -> None:
    table = records.load([study], factory.methods)
    written = paper.write(points.reproduced(table), table, REFERENCES, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in written}
    assert {path.stem for path in written} == {"fig2_left", "fig3_right", "table2", "table3", "table4"}


# -- parts ----------------------------------------------------------------------------------------------------------------


def small(*cells: Cell, groups: tuple[str, ...] = ("a", "b")) -> Comparison:
    rows = tuple(Row(f"row {place}") for place in range(len(cells)))
    return Comparison("small", "Small", "Lead.", rows, (Column(groups, "Title", cells),))


def test_equal_notes_share_a_mark() -> None:
    number = (Number("accuracy", "reported", 0.5, "50"),)
    table = small(Cell("50", number, ("one",)), Cell("60", number, ("two", "one")), Cell("–"))
    assert [texts for _, texts in table.panel().blocks[0].rows] == [["50 [a]"], ["60 [b, a]"], ["–"]]
    assert table.panel().notes == ["[a] one.", "[b] two."]
    assert [row.label for row in table.parts()[0].rows] == ["row 0", "row 1"]  # what has no number is no row of a part


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_marks_are_distinct(one: int, other: int) -> None:
    assert (comparison._letters(one) == comparison._letters(other)) == (one == other)


def test_marks_by_hand() -> None:
    assert [comparison._letters(place) for place in (0, 25, 26, 51, 52, 701, 702)] == [
        "a",
        "z",
        "aa",
        "az",
        "ba",
        "zz",
        "aaa",
    ]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy")), min_size=1, max_size=12))
def test_groups_cover_all_columns_in_order(keys: list[tuple[str, str]]) -> None:
    for level, groups in enumerate(comparison._groups(keys)):
        assert [group.title for group in groups for _ in range(group.span)] == [key[level] for key in keys]


def test_labels_say_what_is_not_usual() -> None:
    assert printed._label("RigL", "uniform", 1.0) == printed._label("RigL", "", nan) == "RigL"
    assert printed._label("RigL", "erk", 5.0) == "RigL, ERK, 5×"


def test_an_unknown_place_has_no_rows() -> None:
    assert printed.Paper.load(REFERENCES).lines("Table 99") == []


# -- the page and LaTeX, whatever is in them ------------------------------------------------------------------------------


PANEL = Panel(
    "A & B",
    [("Dense", "98 %")],
    ["x", "y", "z"],
    [Block("", [("row", ["1", "2", "[3]"])])],
    ["a note"],
    groups=[[Group("left", 2), Group("right", 1)]],
    worded=frozenset({2}),
)


def test_a_page_with_groups_of_columns() -> None:
    text = page.html("Title", [PANEL], lead="First <b>.")
    assert "<p>First &lt;b&gt;.</p>" in text
    assert (
        '<th scope="colgroup" colspan="2" class="begins">left</th><th scope="colgroup" colspan="1" class="begins">'
        in text
    )
    assert '<td class="begins">1</td><td>2</td><td class="words begins">[3]</td>' in text
    assert '<th class="corner" scope="col" rowspan="2">Method</th>' in text


def test_whatever_is_in_a_page_is_escaped() -> None:
    wild = "<b>"
    panel = Panel(
        wild,
        [(wild, wild)],
        [wild],
        [Block(wild, [(wild, [wild])])],
        [wild],
        wild,
        sentences=[wild],
        links=[Link(wild, '"><b>')],
        groups=[[Group(wild, 1)]],
    )
    assert wild not in page.html(wild, [panel], wild, lead=wild)
    assert not re.search(r"(?<!\\)<b>", page.markdown([replace(panel, links=())]))
    assert wild not in latex.table(panel, wild, "label")


def test_markdown_names_a_column_by_all_its_headings() -> None:
    text = page.markdown([PANEL], "Caption.")
    assert "| Method | left, x | left, y | right, z |\n| --- | ---: | ---: | --- |\n" in text
    assert text.endswith("- a note\n\nCaption.\n")


def test_latex_by_hand() -> None:
    assert latex.table(PANEL, "Caption.", "one") == "\n".join([
        r"\begin{table}",
        r"\centering",
        r"\caption{A \& B. Caption.}",
        r"\label{tab:one}",
        r"\begin{tabular}{lrrl}",
        r"\toprule",
        r" & \multicolumn{2}{c}{left} & \multicolumn{1}{c}{right} \\",
        r"\cmidrule(lr){2-3} \cmidrule(lr){4-4}",
        r" & x & y & z \\",
        r"\midrule",
        r"Dense & \multicolumn{3}{c}{98 \%} \\",
        r"\midrule",
        r"row & 1 & 2 & {[}3] \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\footnotesize a note",
        r"\end{table}",
        "",
    ])  # fmt: skip

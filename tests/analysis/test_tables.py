"""The main table: hand-computed texts, and the same content in CSV, Markdown and LaTeX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from analysis import stats, text
from analysis.records import load
from analysis.tables import main
from pipeline.record import LayerCount, Ledger, Record
from pipeline.run import StartFrom

NO_DIFFERENCE = {"difference_mean": float("nan"), "difference_n": 0}


def cell(values: list[float], **counts: int) -> dict:
    found = stats.interval(values)
    mean = {"mean": found.mean, "n": found.n, "low": found.low, "high": found.high}
    return mean | {"diverged": 0, "skipped": 0, "failed": 0} | counts


@pytest.mark.parametrize(
    ("values", "counts", "expected"),
    [
        ([0.97, 0.972, 0.974], {}, "97.2 ± 0.5 (n=3)"),  # 100 * 0.002 * 4.302653 / sqrt(3) = 0.497
        ([0.97, 0.972], {"diverged": 1}, "97.1 ± 1.3 (n=2, 1 diverged)"),  # 0.141 * 12.706 / sqrt(2) = 1.271
        ([0.975], {}, "97.5 (n=1)"),
        ([0.9750, 0.9751, 0.9752], {}, "97.51 ± 0.02 (n=3)"),  # a width of 0.0 would be a lie
        ([], {"diverged": 2, "failed": 1}, "– (2 diverged, 1 failed)"),
    ],
)
def test_accuracy_by_hand(values: list[float], counts: dict, expected: str) -> None:
    assert text.accuracy(cell(values, **counts)) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.010, 0.011, 0.012], "+1.1 ± 0.2 (n=3)"),
        ([-0.010, -0.011, -0.012], "−1.1 ± 0.2 (n=3)"),
        ([0.004], "+0.4 (n=1)"),
        ([], "–"),
    ],
)
def test_difference_by_hand(values: list[float], expected: str) -> None:
    found = stats.interval(values)
    row = {f"difference_{name}": getattr(found, name) for name in ("mean", "n", "low", "high")}
    assert text.difference(row) == expected


def test_other_texts() -> None:
    assert [text.sparsity(value) for value in (0.8, 0.965, 0.99)] == ["80 %", "96.5 %", "99 %"]
    assert text.sparsity(float("nan")) == text.percent(float("nan")) == text.kilobytes(float("nan")) == "–"
    assert [text.times(value) for value in (1.234, 0.105, 0.0203, float("nan"))] == ["1.23×", "0.105×", "0.020×", "–"]
    assert text.setting("wrn22_2", "cifar10", "default", 2.0) == "wrn22_2 on cifar10, 2× training"


MARKDOWN = """\
## lenet300 on mnist

Dense: 98.01 ± 0.02 (n=3), 1.00× / 1.00×.

| Test accuracy, % | 80 % | 90 % |
| --- | ---: | ---: |
| Static | 96.1 ± 0.2 (n=3) | 95.1 ± 0.2 (n=3) |
| SNIP | 95.0 (n=1, 1 diverged, 1 skipped) | 94.0 (n=1, 1 diverged, 1 skipped) |
| RigL | 97.2 ± 0.5 (n=3) | 96.2 ± 0.5 (n=3) |
| RigL, ERK | 97.50 ± 0.00 (n=3) | 96.50 ± 0.00 (n=3) |

| Difference from Static, points | 80 % | 90 % |
| --- | ---: | ---: |
| SNIP | −1.0 (n=1) | −1.0 (n=1) |
| RigL | +1.1 ± 0.2 (n=3) | +1.1 ± 0.2 (n=3) |

| Inference / training FLOPs | 80 % | 90 % |
| --- | ---: | ---: |
| Static | 0.200× / 0.200× | 0.100× / 0.100× |
| SNIP | 0.200× / 0.200× | 0.100× / 0.100× |
| RigL | 0.200× / 0.210× | 0.100× / 0.105× |
| RigL, ERK | 0.200× / 0.210× | 0.100× / 0.105× |

- SNIP at 80 %: 1 diverged, 1 skipped (an empty layer).
- SNIP at 90 %: 1 diverged, 1 skipped (an empty layer).
"""


def test_markdown_whole(cells: pd.DataFrame) -> None:
    assert main.markdown(cells) == f"{MARKDOWN}\n{main.CAPTION}\n"


def drawn(folder: Path, factory: SimpleNamespace, *records: Record) -> pd.DataFrame:
    return stats.cells(load([factory.keep(folder, *records)], factory.methods).current)


def test_an_outcome_stands_beside_the_columns(tmp_path: Path, factory: SimpleNamespace) -> None:
    """STR's run says sparsity 0; its mean is (90 + 92.6) / 2 = 91.3 %, its FLOPs' mean 0.087."""
    records = [factory.record(factory.run("str", 0.0, seed), 9700, reached=0.90 + 0.026 * seed) for seed in range(2)]
    cells = drawn(tmp_path, factory, *records, *(factory.record(factory.run("rigl", 0.9, seed)) for seed in range(2)))
    found = main.markdown(cells)
    assert "STR: 97.00 ± 0.00 (n=2) at a sparsity of 91.3 % (an outcome), 0.087× / 0.087×." in found
    assert "| Test accuracy, % | 90 % |\n" in found
    assert "| STR" not in found
    assert r"STR & \multicolumn{1}{c}{97.00 $\pm$ 0.00 (n=2) at a sparsity of 91.3 \% (an outcome), " in main.latex(
        cells, "x"
    )
    assert "at a sparsity of 91.3 % (an outcome)" in main.html(cells, "x")


def test_outcomes_alone_make_a_table(tmp_path: Path, factory: SimpleNamespace) -> None:
    skipped = factory.record(factory.run("str", 0.0), status="skipped: masks were given")
    cells = drawn(tmp_path, factory, skipped)
    assert "STR: – (1 skipped) at a sparsity of – (an outcome), – / –." in main.markdown(cells)
    assert "STR at –: 1 skipped (masks were given)." in main.markdown(cells)
    assert main.latex(cells, "x").count(r"\begin{tabular}") == 1


def test_free_layers_are_told_once_for_all_whose_reason_it_is(tmp_path: Path, factory: SimpleNamespace) -> None:
    """Two layers of 1,000 weights, asked for 100 each; GraSP gives them 20 and 180."""
    free = tuple(LayerCount(f"fc{n}", (10, 100), 1000, n, 1 - n / 1000, 0.9, True) for n in (20, 180))
    methods = factory.methods | {"synflow": replace(factory.methods["grasp"], name="synflow", label="SynFlow")}
    records = [factory.record(factory.run(method), layers=free) for method in ("grasp", "synflow")]
    folder = factory.keep(tmp_path, *records, factory.record(factory.run("static")))
    notes = main.markdown(stats.cells(load([folder], methods).current))
    assert (
        "- GraSP; SynFlow: layers are ranked together; only the network's total is as asked for. "
        "No distribution is theirs: the difference is from Static with the uniform one.\n"
    ) in notes


def test_weights_that_are_missing_are_told(tmp_path: Path, factory: SimpleNamespace) -> None:
    """190 of 200 weights: 5 % fewer."""
    short = tuple(LayerCount(f"fc{n}", (10, 100), 1000, n, 1 - n / 1000, 0.9, True) for n in (100, 90))
    cells = drawn(tmp_path, factory, factory.record(factory.run("srigl"), layers=short, sparsity=0.905))
    assert "- SRigL at 90 %: 5 % fewer weights than asked for (fan-ins are whole).\n" in main.markdown(cells)


def test_what_costs_leave_out_is_told(tmp_path: Path, factory: SimpleNamespace) -> None:
    ledger = Ledger(532_000, 53_200, 0.1, None, 15_960_000_000, 159_600_000_000)
    found = main.markdown(
        drawn(
            tmp_path,
            factory,
            factory.record(factory.run("ticket", start_from=StartFrom(factory.run("pruning"), "mask"))),
            factory.record(factory.run("grasp"), flops={"macs": ledger, "rigl": ledger}),
        )
    )
    assert (
        "- Lottery ticket, mask of pruning: the cost of the run that they start from is in that run's row.\n" in found
    )
    assert "| GraSP | 0.100× / 0.100× Σ |\n" in found
    assert "- Σ: the sum over the batches of the runs" in found


def test_latex_has_the_same_texts(cells: pd.DataFrame) -> None:
    found = main.latex(cells, "quick")
    assert r"\label{tab:quick-1}" in found
    assert r"RigL & 97.2 $\pm$ 0.5 (n=3) & 96.2 $\pm$ 0.5 (n=3) \\" in found
    assert r"Dense & \multicolumn{2}{c}{98.01 $\pm$ 0.02 (n=3), 1.00$\times$ / 1.00$\times$} \\" in found
    assert found.count(r"\begin{tabular}") == found.count(r"\end{tabular}") == 1
    assert all(character not in found for character in "±×–−")


def test_csv_has_every_cell_with_numbers_and_texts(cells: pd.DataFrame) -> None:
    found = main.tidy(cells)
    assert len(found) == len(cells) == 9
    (rigl,) = found[(found["series"] == "RigL") & (found["sparsity"] == 0.8)].to_dict("records")
    assert (rigl["mean"], rigl["accuracy_text"]) == (pytest.approx(0.972), "97.2 ± 0.5 (n=3)")
    assert (rigl["difference_text"], rigl["cost_text"]) == ("+1.1 ± 0.2 (n=3)", "0.200× / 0.210×")


def test_no_cells_are_said(cells: pd.DataFrame) -> None:
    assert main.markdown(cells[:0]).startswith("No data")
    assert main.latex(cells[:0], "quick").startswith("% No data")
    assert "No data: no records were found." in main.html(cells[:0], "quick")
    assert list(main.tidy(cells[:0])) == main.CSV_COLUMNS


def test_mixed_versions_of_the_code_are_noted(frame: pd.DataFrame) -> None:
    mixed = frame.assign(source_digest=frame["seed"].astype("str"))
    assert "- RigL at 80 %: its runs come from 3 versions of the method's code." in main.markdown(stats.cells(mixed))


def test_names_cannot_break_a_table(frame: pd.DataFrame) -> None:
    wild = frame.assign(model="a|b_c%", layout="default")
    cells = stats.cells(wild)
    assert r"## a\|b\_c% on mnist" in main.markdown(cells)
    assert r"a|b\_c\% on mnist" in main.latex(cells, "quick")


def test_the_page_shows_every_cell_and_escapes(cells: pd.DataFrame) -> None:
    page = main.html(cells, "<script>alert(1)</script>")
    assert "<script>" not in page
    assert '<th scope="row">RigL</th><td>97.2 ± 0.5 (n=3)</td><td>96.2 ± 0.5 (n=3)</td>' in page
    for panel in main.panels(cells):
        for block in panel.blocks:
            for name, texts in block.rows:
                row = "".join(f"<td>{text}</td>" for text in texts)
                assert f'<th scope="row">{name}</th>{row}' in page

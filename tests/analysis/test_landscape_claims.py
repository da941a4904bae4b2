"""Section 4.5 as claims: which differences decide, by which interval, and what is not decided."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from analysis import claims as papers
from analysis import references
from analysis.landscape import claims, results
from analysis.landscape.claims import Finding

HALF = 4.302653 / 3**0.5
"""Half of the interval over three values of standard deviation 1."""
LINE, LEFT, HIGH, DENSE, STAYS, ESCAPES = range(6)


@pytest.fixture
def found(landscape: Path, landscapes: SimpleNamespace) -> list[Finding]:
    return claims.findings(results.load([landscape], landscapes.methods))


def of(folder: Path, landscapes: SimpleNamespace, *documents: dict) -> list[Finding]:
    return claims.findings(results.load([landscapes.write(folder, *documents)], landscapes.methods))


def ways(
    landscapes: SimpleNamespace, *curves: dict, seeds: int = 3, ends: tuple[str, str] = ("static", "pruning")
) -> dict:
    groups = [landscapes.group((ends[0], seed), (ends[1], seed), curves=list(curves)) for seed in range(seeds)]
    return landscapes.document("curves", *groups)


def test_the_line_by_hand(found: list[Finding]) -> None:
    """Heights 1.0, 1.1, 1.2 less the ends' difference of 0.2: mean 0.9, standard deviation 0.1."""
    (test,) = found[LINE].tests
    assert test.margin.mean == pytest.approx(0.9)
    assert test.margin.half == pytest.approx(0.1 * HALF, abs=1e-6)
    assert test.margin.n == 3
    assert test.words == "1.10 ± 0.25, the ends differ by 0.2 (n=3)"
    assert found[LINE].verdict == "supported"
    assert found[LINE].setting == "lenet300 on mnist, uniform, 95 %"


def test_what_is_left_in_the_sparse_space_is_compared_with_the_dense_one(found: list[Finding]) -> None:
    (test,) = found[LEFT].tests  # no cubic curves were measured
    assert test.name == "quadratic"
    assert test.margin.mean == pytest.approx(0.3)
    assert test.words == "0.3, +0.3 against the dense space (n=3), 27.3 % of the line's"
    (high,) = found[HIGH].tests
    assert high.margin.mean == pytest.approx(0.3 - 0.2)
    assert [found[LEFT].verdict, found[HIGH].verdict] == ["supported", "supported"]


def test_a_barrier_that_the_dense_space_meets_as_well_is_not_one_of_the_sparse_space(
    tmp_path: Path, landscapes: SimpleNamespace
) -> None:
    """Left undone by training: 0.05 in both, and lower in the sparse one."""
    curves = [
        landscapes.curve("quadratic", "union", [0.4, 0.35, 0.2]),
        landscapes.curve("quadratic", "dense", [0.4, 0.36, 0.2]),
    ]
    found = of(tmp_path, landscapes, ways(landscapes, *curves))
    assert found[LEFT].verdict == "contradicted"
    assert found[HIGH].verdict == "contradicted"
    assert found[LINE].verdict == "not tested here"


def test_one_contradicted_part_contradicts_the_whole(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    curves = [
        landscapes.curve("quadratic", "union", [0.4, 0.9, 0.2]),
        landscapes.curve("cubic", "union", [0.4, 0.31, 0.2]),
    ]
    found = of(tmp_path, landscapes, ways(landscapes, *curves))
    assert [test.verdict for test in found[HIGH].tests] == ["supported", "contradicted"]
    assert found[HIGH].verdict == "contradicted"


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([0.4, 0.3, 0.25, 0.22, 0.2], "supported"),  # down all the way
        ([0.4, 0.3, 0.31, 0.22, 0.2], "supported"),  # up by 0.01 on a way of 0.2
        ([0.4, 0.3, 0.35, 0.22, 0.2], "contradicted"),  # up by 0.05: a quarter
        ([0.2, 0.22, 0.35, 0.3, 0.4], "contradicted"),  # the same, walked the other way
    ],
)
def test_nearly_monotonic_is_a_tenth_of_the_descent(
    losses: list[float], verdict: str, tmp_path: Path, landscapes: SimpleNamespace
) -> None:
    found = of(tmp_path, landscapes, ways(landscapes, landscapes.curve("quadratic", "dense", losses)))
    assert found[DENSE].verdict == verdict


def test_the_order_of_the_ends_does_not_matter(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    line = landscapes.curve("linear", "line", [0.2, 1.3, 0.4])
    found = of(tmp_path, landscapes, ways(landscapes, line, ends=("pruning", "static")))
    assert found[LINE].tests[0].margin.mean == pytest.approx(0.8)


def test_other_pairs_are_not_the_papers(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    line = landscapes.curve("linear", "line", [0.2, 1.3, 0.4])
    for ends in (("static", "static"), ("static", "rigl")):
        found = of(tmp_path / "-".join(ends), landscapes, ways(landscapes, line, ends=ends))
        assert found[LINE].verdict == "not tested here"


def test_escape_by_hand(found: list[Finding]) -> None:
    """Static ends at 0.390, 0.391, 0.392; RigL at 0.10, 0.11, 0.12: the differences are 0.290, 0.281, 0.272.

    Static falls by 0.010, 0.009, 0.008, a tenth of RigL's falls is 0.030, 0.029, 0.028: 0.02 to spare in each.
    """
    (escapes,) = found[ESCAPES].tests
    assert escapes.margin.mean == pytest.approx(0.281)
    assert escapes.margin.half == pytest.approx(0.009 * HALF, abs=1e-6)
    (stays,) = found[STAYS].tests
    assert stays.margin.mean == pytest.approx(0.02)
    assert [found[STAYS].verdict, found[ESCAPES].verdict] == ["supported", "supported"]


def test_a_static_run_that_goes_on_falling_does_not_stay(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    runs = [
        landscapes.escape(method, seed, 0.4, end)
        for method, end in (("static", 0.2), ("rigl", 0.1))
        for seed in range(3)
    ]
    found = of(tmp_path, landscapes, landscapes.document("escape", *runs))
    assert found[STAYS].verdict == "contradicted"
    assert found[ESCAPES].verdict == "supported"


def test_rigl_that_moves_once_is_not_rigl(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    runs = [landscapes.escape("static", 0, 0.4, 0.3), landscapes.escape("rigl", 0, 0.4, 0.1, moves_once=True)]
    found = of(tmp_path, landscapes, landscapes.document("escape", *runs))
    assert found[ESCAPES].verdict == "not tested here"


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_pairs_of_seeds_decide_nothing(
    seeds: int, tmp_path: Path, landscapes: SimpleNamespace
) -> None:
    line = landscapes.curve("linear", "line", [0.4, 1.3, 0.2])
    found = of(tmp_path, landscapes, ways(landscapes, line, seeds=seeds))
    assert found[LINE].verdict == "undecided"
    assert found[LINE].tests[0].margin.n == seeds
    assert found[LINE].measured == f"height: 1, the ends differ by 0.2 (n={seeds})"


def test_a_line_with_a_gap_does_not_count(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    found = of(tmp_path, landscapes, ways(landscapes, landscapes.curve("linear", "line", [0.4, "NaN", 0.2])))
    assert found[LINE].verdict == "undecided"
    assert found[LINE].tests[0].margin.n == 0
    assert found[LINE].measured == "height: –, the ends differ by – (n=0)"


def test_every_cell_has_every_statement(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    line = landscapes.curve("linear", "line", [0.4, 1.3, 0.2])
    groups = [landscapes.group(("static", seed), ("pruning", seed), curves=[line]) for seed in range(2)]
    cells = [landscapes.document("curves", *groups, sparsity=sparsity) for sparsity in (0.95, 0.98)]
    found = of(tmp_path, landscapes, *cells)
    assert len(found) == 2 * len(claims.STATEMENTS)
    assert [finding.setting[-4:] for finding in found[:2]] == ["95 %", "98 %"]


def test_without_documents_nothing_is_tested(tmp_path: Path, landscapes: SimpleNamespace) -> None:
    found = of(tmp_path, landscapes)
    assert [finding.verdict for finding in found] == ["not tested here"] * len(claims.STATEMENTS)
    assert claims.table(found)["margin"].isna().all()


def test_the_table_has_one_row_a_test(found: list[Finding]) -> None:
    table = claims.table(found)
    assert table["verdict"].tolist() == ["supported"] * 6
    assert table["test"].tolist() == ["height", "quadratic", "quadratic", "climb", "static", "RigL"]
    np.testing.assert_allclose(table["margin"], [0.9, 0.3, 0.1, 0.02, 0.02, 0.281])
    written = papers.markdown(found, claims.MEASURED)
    assert "| Measured, nats of training loss | |" in written
    assert "height: 1.10 ± 0.25, the ends differ by 0.2 (n=3) | supported |" in written


def test_statements_have_names_of_their_own() -> None:
    names = [statement.name for statement in claims.STATEMENTS]
    assert len(set(names)) == len(names) == 6


def test_every_statement_names_a_reference() -> None:
    known = references.load().entries
    for statement in claims.STATEMENTS:
        assert any(key in statement.source for key in known), statement.source

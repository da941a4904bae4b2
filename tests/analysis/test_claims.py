"""Claims: which runs they compare, with which interval, and what follows from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analysis import claims, records
from analysis.claims import Claim, Side
from pipeline.run import Run, StartFrom, Topology

RIGL, SET = Side("RigL", "rigl"), Side("SET", "set")
BEATS = Claim(RIGL, SET, "somewhere")


def found(
    tmp_path: Path, factory: SimpleNamespace, correct: list[tuple[Run, int]], *asked: Claim
) -> list[claims.Finding]:
    kept = factory.keep(tmp_path, *(factory.record(run, count) for run, count in correct))
    return claims.findings(records.read([kept]), asked)


def runs(factory: SimpleNamespace, counts: dict[str, list[int]], **fields: Any) -> list[tuple[Run, int]]:
    return [
        (factory.run(method, seed=seed, **fields), count)
        for method, row in counts.items()
        for seed, count in enumerate(row)
    ]


def test_a_difference_by_hand(tmp_path: Path, factory: SimpleNamespace) -> None:
    """Points 1, 2, 3: mean 2, standard deviation 1, t(.975, 2) = 4.3027, so half is 4.3027 / sqrt(3) = 2.4841."""
    (finding,) = found(tmp_path, factory, runs(factory, {"rigl": [9700, 9800, 9900], "set": [9600, 9600, 9600]}), BEATS)
    assert 100 * finding.difference.mean == pytest.approx(2)
    assert 100 * finding.difference.half == pytest.approx(2.4841, abs=1e-4)
    assert finding.difference.n == 3
    assert finding.verdict == "undecided"
    assert claims.table([finding]).iloc[0].tolist()[:3] == [
        "RigL beats SET",
        "somewhere",
        "lenet300 on mnist, uniform, 90 %",
    ]


@pytest.mark.parametrize(
    ("counts", "no_better", "verdict"),
    [
        ([9700, 9701, 9702], False, "supported"),
        ([9700, 9701, 9702], True, "contradicted"),
        ([9500, 9501, 9502], False, "contradicted"),
        ([9500, 9501, 9502], True, "supported"),
        ([9700], False, "undecided"),
    ],
)
def test_the_verdict_is_the_interval_s(
    counts: list[int], no_better: bool, verdict: str, tmp_path: Path, factory: SimpleNamespace
) -> None:
    made = runs(factory, {"rigl": counts, "set": [9600] * len(counts)})
    (finding,) = found(tmp_path, factory, made, Claim(RIGL, SET, "somewhere", no_better))
    assert finding.verdict == verdict


def test_sides_are_told_apart_by_options_start_and_length(factory: SimpleNamespace) -> None:
    plain = factory.run("rigl")
    momentum = factory.run("rigl", method_options={"growth": "momentum"})
    ticket = factory.run("rigl", start_from=StartFrom(plain, "mask"))
    weights = factory.run("rigl", start_from=StartFrom(plain, "weights"))
    sides = [RIGL, claims.MOMENTUM, claims.RIGL_TICKET]
    matched = [[side.has(run) for side in sides] for run in (plain, momentum, ticket, weights)]
    assert matched == [[True, False, False], [False, True, False], [False, False, True], [False, False, False]]


def test_lengths_are_compared_as_the_claim_says(tmp_path: Path, factory: SimpleNamespace) -> None:
    """RigL at 0.4 against the ticket at 0.2, and not RigL at 0.2 against the ticket at 0.2."""
    made: list[tuple[Run, int]] = []
    for seed in range(2):
        made.append((factory.run("rigl", seed=seed, multiplier=0.2), 9500))
        made.append((factory.run("rigl", seed=seed, multiplier=0.4), 9700))
        start = StartFrom(factory.run("rigl", seed=seed, multiplier=0.2), "mask")
        made.append((factory.run("rigl", seed=seed, multiplier=0.2, start_from=start), 9600))
    (finding,) = found(tmp_path, factory, made, Claim(claims.LONGER, claims.RIGL_TICKET, "somewhere"))
    assert 100 * finding.difference.mean == pytest.approx(1)
    assert finding.setting == "lenet300 on mnist, 0.2× training, uniform, 90 %"


def test_other_protocols_are_other_settings_but_cadence_is_not(tmp_path: Path, factory: SimpleNamespace) -> None:

    made = runs(factory, {"rigl": [9700], "set": [9600]})
    protocol = factory.run().protocol
    slower = dataclasses.replace(protocol, batch_size=64)
    made += runs(factory, {"rigl": [9650]}, protocol=slower)
    assert len(found(tmp_path / "a", factory, made, BEATS)) == 1
    often = dataclasses.replace(protocol, topology=Topology(update_every=7))
    made = runs(factory, {"set": [9600]}) + runs(factory, {"rigl": [9700]}, protocol=often)
    assert len(found(tmp_path / "b", factory, made, BEATS)) == 1


def test_two_cells_on_one_side_are_not_compared(tmp_path: Path, factory: SimpleNamespace) -> None:

    often = dataclasses.replace(factory.run().protocol, topology=Topology(update_every=7))
    made = runs(factory, {"rigl": [9700], "set": [9600]}) + runs(factory, {"rigl": [9800]}, protocol=often)
    assert found(tmp_path, factory, made, BEATS) == []


def test_runs_that_are_not_done_are_left_out(tmp_path: Path, factory: SimpleNamespace) -> None:
    kept = factory.keep(
        tmp_path,
        *(factory.record(factory.run("rigl", seed=seed), 9700) for seed in range(2)),
        factory.record(factory.run("set", seed=0), 9600),
        factory.record(factory.run("set", seed=1), status="diverged"),
    )
    (finding,) = claims.findings(records.read([kept]), [BEATS])
    assert finding.difference.n == 1


def test_the_table_says_so_where_nothing_is_compared() -> None:
    assert claims.markdown([]) == "No claim compares runs of this study."


def test_every_claim_names_a_reference() -> None:
    from analysis import references

    known = references.load().entries
    for claim in claims.CLAIMS:
        assert any(key in claim.source for key in known), claim.source

"""Which runs stand on a side, and where sides were trained alike."""

from __future__ import annotations

import dataclasses
import json
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis import claims
from pipeline.run import StartFrom

BEATS = {"test": "beats", "sides": ["rigl", "set"]}


def test_sides_are_told_apart_by_options_start_and_length(tmp_path: Path, ask: SimpleNamespace) -> None:
    plain = ask.run("rigl")
    made = {
        9701: plain,
        9702: ask.run("rigl", method_options={"growth": "momentum"}),
        9703: ask.run("rigl", start_from=StartFrom(plain, "mask")),
        9704: ask.run("rigl", start_from=StartFrom(plain, "weights")),
        9600: ask.run("static"),
    }
    sides = ["rigl", {"method": "rigl", "options": {"growth": "momentum"}}]
    sides += [{"method": "rigl", "start": {"take": "mask", "of": "rigl"}}]
    tests = [{"test": "beats", "sides": [side, "static"]} for side in sides]
    outcomes = ask.found(tmp_path, [(run, count) for count, run in made.items()], *tests)
    assert [round(1e4 * one.found.mean) for one in outcomes] == [101, 102, 103]
    assert [one.test for one in outcomes] == [
        "RigL beats Static",
        "RigL (growth=momentum) beats Static",
        "RigL (from RigL's final mask) beats Static",
    ]


def test_a_mask_of_another_setting_is_no_ticket(tmp_path: Path, ask: SimpleNamespace) -> None:
    other = ask.run("rigl", sparsity=0.98)
    made = [(ask.run("rigl", start_from=StartFrom(other, "mask")), 9700), (ask.run("static"), 9600)]
    ticket = {"method": "rigl", "start": {"take": "mask", "of": "rigl"}}
    assert ask.found(tmp_path, made, {"test": "beats", "sides": [ticket, "static"]}) == []


def test_lengths_are_compared_as_the_claim_says(tmp_path: Path, ask: SimpleNamespace) -> None:
    """RigL at 0.4 against SET at 0.2, and not RigL at 0.2 against SET at 0.2."""
    made: list = []
    for seed in range(2):
        made.append((ask.run("rigl", seed=seed, multiplier=0.2), 9500))
        made.append((ask.run("rigl", seed=seed, multiplier=0.4), 9700))
        made.append((ask.run("set", seed=seed, multiplier=0.2), 9600))
    (one,) = ask.found(tmp_path, made, {"test": "beats", "sides": [{"method": "rigl", "length": 2}, "set"]})
    assert 100 * one.found.mean == pytest.approx(1)
    assert one.test == "RigL (2× as long) beats SET"
    assert one.setting == "lenet300 on mnist, 0.2× training, uniform, 90 %"


def test_the_dense_network_stands_beside_every_sparsity(tmp_path: Path, ask: SimpleNamespace) -> None:
    made = [(ask.run("dense", 0.0), 9800)]
    made += [
        (ask.run("rigl", sparsity, distribution=shared), 9700)
        for sparsity, shared in product((0.8, 0.9), ("uniform", "erk"))
    ]
    asked = ask.found(tmp_path, made, {"test": "beats", "sides": ["rigl", "dense"]})
    assert [one.setting for one in asked] == [
        "lenet300 on mnist, ERK, 80 %",
        "lenet300 on mnist, ERK, 90 %",
        "lenet300 on mnist, uniform, 80 %",
        "lenet300 on mnist, uniform, 90 %",
    ]


def test_a_side_of_one_distribution_leaves_it_out_of_the_setting(tmp_path: Path, ask: SimpleNamespace) -> None:
    made = [(ask.run("rigl", distribution=shared), count) for shared, count in (("erk", 9700), ("uniform", 9600))]
    sides = [{"method": "rigl", "distribution": shared} for shared in ("erk", "uniform")]
    (one,) = ask.found(tmp_path, made, {"test": "beats", "sides": sides})
    assert (one.test, one.setting) == ("RigL (ERK) beats RigL (uniform)", "lenet300 on mnist, 90 %")
    assert 100 * one.found.mean == pytest.approx(1)


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ({}, 2),
        ({"sparsity": [0.9, 1.0]}, 1),
        ({"sparsity": [0.81, 0.85]}, 0),
        ({"model": ["lenet300"]}, 2),
        ({"model": ["resnet50"]}, 0),
        ({"dataset": ["digits"]}, 0),
        ({"distribution": "uniform"}, 2),
        ({"distribution": "erk"}, 0),
        ({"multiplier": [1, 1]}, 2),
        ({"multiplier": [2, 5]}, 0),
    ],
)
def test_where_restricts(where: dict, count: int, tmp_path: Path, ask: SimpleNamespace) -> None:
    made = [made for sparsity in (0.8, 0.9) for made in ask.runs({"rigl": [9700], "set": [9600]}, sparsity=sparsity)]
    assert len(ask.found(tmp_path, made, BEATS | {"where": where})) == count


def test_other_protocols_are_other_settings_but_cadence_is_not(tmp_path: Path, ask: SimpleNamespace) -> None:
    made = ask.runs({"rigl": [9700], "set": [9600]})
    slower = dataclasses.replace(ask.run().protocol, batch_size=64)
    assert len(ask.found(tmp_path / "a", made + ask.runs({"rigl": [9650]}, protocol=slower), BEATS)) == 1
    made = ask.runs({"set": [9600]}) + ask.runs({"rigl": [9700]}, protocol=ask.moved(update_every=7))
    (one,) = ask.found(tmp_path / "b", made, BEATS)
    assert one.setting == "lenet300 on mnist, uniform, 90 %"


def test_how_sparsity_was_executed_is_no_setting(tmp_path: Path, ask: SimpleNamespace) -> None:
    """A cell that was trained in both ways counts once: as there are more seeds of it, else behind masks."""
    sparse = dataclasses.replace(ask.run().protocol, execution="auto")
    behind_masks = ask.runs({"set": [9600, 9600]})
    (one,) = ask.found(tmp_path / "a", behind_masks + ask.runs({"rigl": [9700, 9700]}, protocol=sparse), BEATS)
    assert 100 * one.found.mean == pytest.approx(1)
    both = behind_masks + ask.runs({"rigl": [9700, 9700]}, protocol=sparse)
    (one,) = ask.found(tmp_path / "b", both + ask.runs({"rigl": [9800, 9800]}), BEATS)
    assert 100 * one.found.mean == pytest.approx(2)
    more = behind_masks + ask.runs({"rigl": [9800]}) + ask.runs({"rigl": [9700, 9700]}, protocol=sparse)
    (one,) = ask.found(tmp_path / "c", more, BEATS)
    assert (one.found.n, 100 * one.found.mean) == (2, pytest.approx(1))


def test_precisions_are_settings_or_sides(tmp_path: Path, ask: SimpleNamespace) -> None:
    low = dataclasses.replace(ask.run().protocol, precision="bf16")
    made = ask.runs({"rigl": [9700], "set": [9600]}) + ask.runs({"rigl": [9690], "set": [9580]}, protocol=low)
    exact, rounded = ask.found(tmp_path / "a", made, BEATS)
    assert (exact.setting, rounded.setting) == (
        "lenet300 on mnist, uniform, 90 %",
        "lenet300 on mnist, uniform, 90 %, bf16",
    )
    assert [round(1e4 * one.found.mean) for one in (exact, rounded)] == [100, 110]
    sides = [{"method": "rigl", "precision": precision} for precision in ("bf16", "float32")]
    (one,) = ask.found(tmp_path / "b", made, {"test": "beats", "sides": sides})
    assert (one.test, one.setting) == ("RigL (bf16) beats RigL (float32)", "lenet300 on mnist, uniform, 90 %")
    assert round(1e4 * one.found.mean) == -10


def test_in_a_sweep_the_papers_cadence_counts(tmp_path: Path, ask: SimpleNamespace) -> None:
    made = ask.runs({"rigl": [9700], "set": [9600]})
    for cadence in ({"update_every": 7}, {"drop_fraction": 0.5}, {"decay": "constant"}):
        made += ask.runs({"rigl": [9999]}, protocol=ask.moved(**cadence))
    (one,) = ask.found(tmp_path, made, BEATS)
    assert 100 * one.found.mean == pytest.approx(1)


def test_two_cells_of_one_side_are_two_settings_that_say_why(tmp_path: Path, ask: SimpleNamespace) -> None:
    made = ask.runs({"set": [9600]})
    made += ask.runs({"rigl": [9700]}, protocol=ask.moved(update_every=7))
    made += ask.runs({"rigl": [9800]}, protocol=ask.moved(update_every=9))
    asked = ask.found(tmp_path, made, BEATS)
    assert {one.setting.rpartition("90 %, ")[2]: round(100 * one.found.mean) for one in asked} == {
        "rigl with update_every 7": 1,
        "rigl with update_every 9": 2,
    }


def test_a_cadence_that_a_side_names_is_the_only_one(tmp_path: Path, ask: SimpleNamespace) -> None:
    made = ask.runs({"rigl": [9700]})
    made += ask.runs({"rigl": [9650]}, protocol=ask.moved(update_every=1000))
    sides = [{"method": "rigl", "update_every": 100}, {"method": "rigl", "update_every": 1000}]
    (one,) = ask.found(tmp_path, made, {"test": "reaches", "sides": sides, "within": 0.5})
    assert one.test == "RigL (every 100 steps) reaches RigL (every 1,000 steps) within 0.5 points"
    assert 100 * one.found.mean == pytest.approx(0.5)


def test_lost_runs_are_counted_and_not_averaged(tmp_path: Path, ask: SimpleNamespace) -> None:
    lost = [ask.record(ask.run("set", seed=1), status="diverged")]
    lost += [ask.record(ask.run("rigl", seed=2), status="failed: no memory")]
    made = ask.runs({"rigl": [9700, 9700], "set": [9600]})
    (one,) = claims.findings(ask.loaded(tmp_path, made, *lost), [ask.claim(BEATS)])
    assert one.found.n == 1
    assert one.note == "left out: 1 diverged, 1 failed"
    assert one.measured.endswith("(n=1), fewer than 3 seeds; left out: 1 diverged, 1 failed")


def test_a_side_of_which_every_run_diverged_is_shown(tmp_path: Path, ask: SimpleNamespace) -> None:
    lost = [ask.record(ask.run("set", seed=seed), status="diverged") for seed in range(3)]
    (one,) = claims.findings(ask.loaded(tmp_path, ask.runs({"rigl": [9700] * 3}), *lost), [ask.claim(BEATS)])
    assert (one.found.n, one.verdict) == (0, "undecided")
    assert one.measured == "– points (n=0), fewer than 3 seeds; left out: 3 diverged"
    assert (
        json.loads(json.dumps(claims.document([judged(one)]), allow_nan=False))["claims"][0]["outcomes"][0]["low"]
        is None
    )


def judged(*outcomes: claims.Outcome) -> claims.Judgement:
    return claims.Judgement(outcomes[0].of, outcomes, 0)

"""Which measurements a study asks for, of which runs, and what it cannot ask for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.landscape import Landscape, jobs
from pipeline.run import Run
from pipeline.study import parse_run

PROTOCOL = {"steps": 10, "batch_size": 8, "learning_rate": {"peak": 0.1}}


def runs(*methods: str, seeds: int = 3, **fields: object) -> list[Run]:
    base = {"model": "lenet300", "dataset": "digits", "sparsity": 0.9, "protocol": PROTOCOL}
    return [parse_run(base | {"method": method, "seed": seed} | fields) for method in methods for seed in range(seeds)]


ALL = ("static", "rigl", "pruning")


def test_every_kind_has_a_job_of_its_own_in_every_cell() -> None:
    found = jobs(Landscape(pairs=[("static", "rigl")]), [*runs(*ALL), *runs(*ALL, sparsity=0.8)])
    names = [
        f"{kind}-digits-lenet300-uniform-s90-x1" for kind in ("curves-static-rigl", "maps", "curvature", "overlap")
    ]
    assert [job.name for job in found] == [*names, *(name.replace("s90", "s80") for name in names)]


def test_pairs_are_of_one_seed_and_of_one_method_of_successive_ones() -> None:
    found = jobs(Landscape(pairs=[("static", "rigl"), ("rigl", "rigl")]), runs(*ALL))
    across, within = ([[run.seed for run in group] for group in job.groups] for job in found[:2])
    assert across == [[0, 0], [1, 1], [2, 2]]
    assert within == [[0, 1], [1, 2], [2, 0]]
    two = jobs(Landscape(pairs=[("rigl", "rigl")]), runs(*ALL, seeds=2))
    assert [[run.seed for run in group] for group in two[0].groups] == [[0, 1]]


def test_only_the_first_pair_has_longer_budgets() -> None:
    asked = Landscape(curve_steps=500, longer_steps=[4000, 500, 2000])
    assert asked.budgets(("static", "pruning")) == [500, 2000, 4000]
    assert asked.budgets(("pruning", "static")) == asked.budgets(("rigl", "rigl")) == [500]


def test_a_sparsity_and_a_distribution_can_be_chosen() -> None:
    offered = [*runs(*ALL), *runs(*ALL, sparsity=0.8), *runs(*ALL, distribution="erk")]
    found = jobs(Landscape(sparsity=[0.9], distribution=["erk"], pairs=[]), offered)
    assert {run.distribution for job in found for run in job.runs} == {"erk"}
    assert {run.sparsity for job in found for run in job.runs} == {0.9}


def test_continuations_with_weights_and_mask_are_an_escape_and_nothing_else() -> None:
    going_on = runs("rigl", start_from={"method": "static", "take": "both"})
    ticket = runs("static", start_from={"method": "rigl", "take": "mask"})
    found = {job.kind: job for job in jobs(Landscape(pairs=[]), [*runs(*ALL), *going_on, *ticket])}
    assert [[run.method for run in group] for group in found["escape"].groups] == [["static", "rigl"]] * 3
    assert not {run.path for run in going_on + ticket} & {run.path for run in found["curvature"].runs}


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"pairs": [("static", "dsr")]}, r"landscape: digits-.* has no run of 'dsr'; there are pruning, rigl, static"),
        ({"sparsity": [0.5]}, r"landscape: no run of the study has a mask at sparsity 0.5"),
    ],
)
def test_a_measurement_of_runs_that_there_are_not_is_refused(asked: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        jobs(Landscape(**asked), runs(*ALL))


@pytest.mark.parametrize(
    "wrong",
    [
        {"points": 40},
        {"degrees": [4]},
        {"spaces": ["everything"]},
        {"curve_steps": 0},
        {"longer_steps": [0]},
        {"tides": 1},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Landscape(**wrong)

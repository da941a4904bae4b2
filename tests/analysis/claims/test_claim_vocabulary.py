"""What claims.yaml can say, and how it is told what it cannot."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from analysis.claims import vocabulary
from analysis.errors import AnalysisError
from sparse_methods.methods import METHODS

BEATS = {"test": "beats", "sides": ["rigl", "set"]}
SWEEP = {
    "test": "best_of_sweep",
    "side": {"method": "rigl", "decay": "cosine"},
    "over": ["update_every", "drop_fraction"],
    "chosen": [{"update_every": 100, "drop_fraction": 0.3}],
}
VIB = {"test": "published", "side": {"method": "rigl"}, "source": "evci2020rigl"}


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ({"test": "beats", "sides": ["rigl", "rigel"]}, "no method 'rigel'; there are .*rigl"),
        ({"test": "beats", "sides": ["rigl"]}, "at least 2 items"),
        ({"test": "wins", "sides": ["rigl", "set"]}, "'wins'.*'beats'"),
        (BEATS | {"margin": 1}, "margin\nExtra inputs are not permitted"),
        (BEATS | {"metric": "speed"}, "no metric 'speed'; there are accuracy"),
        (BEATS | {"where": {"sparsities": [0.8, 0.9]}}, "sparsities\nExtra inputs"),
        ({"test": "beats", "sides": [{"method": "rigl", "options": {"grow": 1}}, "set"]}, "no option of rigl 'grow'"),
        ({"test": "beats", "sides": [{"method": "rigl", "decay": "slow"}, "set"]}, "decay is 'slow'"),
        (
            {"test": "beats", "sides": [{"method": "rigl", "start": {"take": "mask", "of": "x"}}, "set"]},
            "no method 'x'",
        ),
        (SWEEP | {"over": ["momentum"], "chosen": [{"momentum": 1}]}, "no field to sweep 'momentum'; there are decay"),
        (SWEEP | {"chosen": [{"update_every": 100}]}, "must say update_every, drop_fraction"),
        ({"test": "landscape", "statement": "flat"}, "no statement 'flat'; there are barrier-is-left"),
        (VIB | {"relation": "beats", "row": {"method": "VIBE"}}, "no row of evci2020rigl with"),
    ],
)
def test_what_the_vocabulary_does_not_hold_is_refused_by_name(test: dict, message: str, ask: SimpleNamespace) -> None:
    with pytest.raises(AnalysisError, match=f"(?s)claims.yaml, claim one: tests.0.*{message}"):
        ask.claim(test)


def test_claims_are_refused_by_name(ask: SimpleNamespace) -> None:
    with pytest.raises(AnalysisError, match="no reference 'nobody2020'"):
        ask.claim(BEATS, source="nobody2020")
    with pytest.raises(AnalysisError, match="it has no tests: say under `untested` why"):
        ask.claim()
    with pytest.raises(AnalysisError, match="is not a list"):
        vocabulary.parse({"id": "one"}, METHODS)
    one = ask.claim(BEATS).model_dump(include={"id", "sentence", "source", "place", "scale"}) | {"untested": "too dear"}
    with pytest.raises(AnalysisError, match="two claims named one"):
        vocabulary.parse([one, one], METHODS)
    assert ask.claim(untested="too dear").untested == "too dear"

"""Tests of what methods cost at the paper's scale: from the code, exact, without any run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from math import inf, log
from typing import Any

from analysis.claims import words
from analysis.claims.cells import Setting
from analysis.claims.metrics import TIMES
from analysis.claims.outcomes import Outcome
from analysis.claims.vocabulary import Claim, Costs, Side
from analysis.stats import Interval
from analysis.verdicts import Region


def costs(claim: Claim, test: Costs, methods: Mapping[str, Any]) -> Iterator[Outcome]:
    """FLOPs of the first side over the second's, at every sparsity and distribution that is asked for."""
    # Imported here: it imports torch and fvcore, which other tests do without.
    from pipeline.models import usual_dataset

    first, second = (words.side(side, methods) for side in test.sides)
    low, high = test.between
    times = f"{low:g} to {high:g} times" if low else f"less than {high:g} times"
    asked = f"{first} costs {times} the FLOPs of {test.quantity} of {second}"
    claimed = Region(log(low) if low else -inf, log(high))
    shared = [name for name in ("distribution", "sparsity") if any(getattr(side, name) is None for side in test.sides)]
    for sparsity, distribution in product(test.sparsities, test.distributions):
        ours, theirs = (_flops(test, side, sparsity, distribution) for side in test.sides)
        value = log(ours / theirs)
        setting = Setting(
            test.model,
            usual_dataset(test.model),
            distribution=distribution if "distribution" in shared else None,
            sparsity=sparsity if "sparsity" in shared else None,
            detail="from the code",
        )
        exact = Interval(value, 0, value, value)
        yield Outcome(claim, asked, setting, exact, claimed, TIMES, least=0)


def _flops(test: Costs, side: Side, sparsity: float, distribution: str) -> float:
    """Of one sample, in the convention of the authors."""
    from analysis import costs as costs_of
    from pipeline.plan import resolve

    own = side.sparsity if side.sparsity is not None else sparsity
    spec = costs_of.specification(test.model, side.method, side.distribution or distribution, own)
    run = replace(spec.run, model_options=side.network or {}, method_options=side.options, multiplier=side.length)
    cost = resolve(run, spec.input_shape, spec.classes).costs()["rigl"]
    if test.quantity == "inference":
        return cost["inference_flops"]
    return cost["train_x"] * cost["dense_inference_flops"]

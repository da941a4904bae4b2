"""What tests of claims are made of: synthetic records, and claims with tests of one's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analysis import claims, records
from analysis.claims import vocabulary
from analysis.claims.vocabulary import Claim
from pipeline.run import Run, Topology
from sparse_methods.methods import METHODS

Counted = list[tuple[Run, int]]
"""Runs, and how many of 10,000 test samples each gets right."""


@pytest.fixture(scope="session")
def ask(factory: SimpleNamespace) -> SimpleNamespace:
    """The factory of records, and the functions below."""

    def claim(*tests: dict, **fields: Any) -> Claim:
        """A claim with these tests."""
        about = {
            "id": "one",
            "sentence": "It is so.",
            "source": "evci2020rigl",
            "place": "section 4.1",
            "scale": "ResNet-50",
        }
        return vocabulary.parse([about | {"tests": list(tests)} | fields], METHODS)[0]

    def runs(counts: dict[str, Sequence[int]], **fields: Any) -> Counted:
        """A run for each seed of each method, with its count."""
        return [
            (factory.run(method, seed=seed, **fields), count)
            for method, row in counts.items()
            for seed, count in enumerate(row)
        ]

    def kept(folder: Path, made: Counted, *further: Any) -> Path:
        return factory.keep(folder, *(factory.record(run, count) for run, count in made), *further)

    def loaded(folder: Path, made: Counted, *further: Any) -> list[records.Loaded]:
        """As records that were read."""
        return records.read([kept(folder, made, *further)])

    def table(folder: Path, made: Counted) -> records.Table:
        """As a table."""
        return records.load([kept(folder, made)], factory.methods)

    def found(folder: Path, made: Counted, *tests: dict) -> list[claims.Outcome]:
        """What they say of a claim with these tests."""
        return claims.findings(loaded(folder, made), [claim(*tests)])

    def moved(**topology: Any) -> Any:
        """The factory's protocol with another cadence."""
        return dataclasses.replace(factory.run().protocol, topology=Topology(**topology))

    return SimpleNamespace(
        **vars(factory), claim=claim, runs=runs, loaded=loaded, table=table, found=found, moved=moved
    )

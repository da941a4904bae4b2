"""Seeds by purpose: every source of randomness of a run has its own seed, derived from what it may depend on.

Methods, sparsities and distributions of a cell share initial weights, data order and augmentation, so comparisons are
paired by seed. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pipeline.run import Run


@dataclass(frozen=True)
class Seeds:
    """Seeds of one run, each in [0, 2**63)."""

    weights: int
    """Initial weights; the same for every method and sparsity."""
    order: int
    """Order of the training samples."""
    augmentation: int
    """Crops and flips."""
    noise: int
    """Whatever the model draws while training, such as dropout."""
    topology: int
    """Initial masks; a method derives the seed of its growth from it and its own name."""


def derive_seed(*parts: Any) -> int:
    """A seed in [0, 2**63) from the SHA-256 of the JSON of ``parts``; the same on every machine and in every process.

    Raises TypeError for a part that JSON cannot hold.
    """
    text = json.dumps(parts, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def seeds_of(run: Run) -> Seeds:
    """The seeds of ``run``. Only ``topology`` depends on the distribution and the sparsity; none on the method."""
    shared = (run.model, run.dataset, run.seed)
    return Seeds(
        weights=derive_seed(*shared, "weights"),
        order=derive_seed(*shared, "order"),
        augmentation=derive_seed(*shared, "augmentation"),
        noise=derive_seed(*shared, "noise"),
        topology=derive_seed(*shared, "topology", run.distribution, float(run.sparsity)),
    )

"""Points of every kind without a training: settings on a grid, numbers from a seed. For the page's tests and its benchmark."""

from __future__ import annotations

from itertools import product
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from analysis import points
from pipeline.record import COMPARABILITY_VERSION

METHODS = {
    "static": ("Static", "sparse-to-sparse", "evci2020rigl", 1.0),
    "set": ("SET", "sparse-to-sparse", "mocanu2018set", 1.0),
    "rigl": ("RigL", "sparse-to-sparse", "evci2020rigl", 1.05),
    "snfs": ("SNFS", "sparse-to-sparse", "dettmers2019snfs", 3.0),
    "snip": ("SNIP", "one-shot", "lee2019snip", 1.0),
    "pruning": ("Pruning", "dense-to-sparse", "zhu2018prune", 4.0),
}
"""Label, family, citation, and training cost over inference cost."""
NETWORKS = (("resnet50", "imagenet"), ("wrn22_2", "cifar10"), ("lenet300", "mnist"), ("lenet300", "digits"))
SPARSITIES = (0.8, 0.9, 0.95, 0.965, 0.98)
LENGTHS = (1.0, 2.0, 5.0)
LAYERS = [f"block{index}.conv" for index in range(53)]


def board(rows: int = 2000) -> pd.DataFrame:
    """``rows`` points: three in five reproduced, with layers and configuration, the others reported or submitted."""
    random = np.random.default_rng(0)
    grid = product(range(rows), NETWORKS, SPARSITIES, LENGTHS, ("uniform", "erk"), METHODS)
    made = [_point(index, setting, random) for index, setting in zip(range(rows), grid, strict=False)]
    return pd.DataFrame(made)


def _point(index: int, setting: tuple, random: np.random.Generator) -> dict[str, Any]:
    repeat, (model, dataset), sparsity, length, distribution, method = setting
    label, family, citation, cost = METHODS[method]
    kind = ("reproduced", "reproduced", "reported", "reproduced", "submitted")[index % 5]
    mean = round(0.95 - 0.4 * (sparsity - 0.75) ** 2 + 0.01 * np.log(length) + random.normal(0, 0.01), 6)
    inference = (1 - sparsity) * (2 if distribution == "erk" else 1)
    point = {
        **{name: {"str": "", "bool": False, "int64": 0}.get(kind, nan) for name, kind in points.COLUMNS.items()},
        "kind": kind,
        "method": method,
        "label": label,
        "family": family,
        "model": model,
        "dataset": dataset,
        "distribution": distribution,
        "variant": f"repeat {repeat}" if repeat else "",
        "sparsity": sparsity,
        "multiplier": length,
        "metric": "accuracy",
        "mean": mean,
        "train_x": round(min(inference * cost, 1.0) * length, 6),
        "inference_x": round(inference, 6),
    }
    if kind == "reported":
        suspect = (
            {"erratum": "the printed cost is of another sparsity", "suspect": "train_x"} if index % 45 == 2 else {}
        )
        return (
            point | {"source": "evci2020rigl", "cited": "Evci et al. 2020", "place": "Figure 2", "std": 0.001} | suspect
        )
    spread = abs(random.normal(0, 0.002))
    recorded = {
        "low": mean - spread,
        "high": mean + spread,
        "n": 3,
        "source": "synthetic",
        "cell": f"{index:08x}",
        "citation": citation,
        "achieved_sparsity": sparsity,
        "comparability_version": COMPARABILITY_VERSION,
        "commit": "0123abc",
        "finished": "2026-01-03T10:00:00Z",
        "hardware": "two cores of a test",
        "configuration": {
            "method": method,
            "model": model,
            "dataset": dataset,
            "sparsity": sparsity,
            "multiplier": length,
        },
        "layer_names": LAYERS,
        "layer_sparsities": np.clip(random.normal(sparsity, 0.02, len(LAYERS)), 0, 1).round(6).tolist(),
        "seeds": [0, 1, 2],
    }
    card = (
        {"source": "somebody", "code": "https://example.org/code", "contact": "Somebody"} if kind == "submitted" else {}
    )
    return point | recorded | card

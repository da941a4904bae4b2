"""Numbers as people read them, the same in tables, figures and the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any

from analysis.stats import STATUSES

NONE = "–"
INTERVAL_NOTE = "± is half the width of the 95 % Student t interval over n seeds; one seed has no interval"
PROBLEMS = tuple(status for status in STATUSES if status != "done")


def accuracy(cell: Mapping[str, Any]) -> str:
    """ "97.3 ± 0.4 (n=2, 1 diverged)", in per cent, of a cell of ``analysis.stats``."""
    counts = ", ".join(part for part in (f"n={cell['n']}" if cell["n"] else "", problems(cell)) if part)
    return f"{mean(cell)} ({counts})"


def mean(cell: Mapping[str, Any]) -> str:
    """ "97.3 ± 0.4", in per cent: the accuracy alone."""
    return _with_half(100 * cell["mean"], 100 * _half(cell, ""), "")


def difference(cell: Mapping[str, Any]) -> str:
    """ "+0.4 ± 0.3 (n=3)", in percentage points; a dash where nothing can be paired."""
    if not cell["difference_n"]:
        return NONE
    value = _with_half(100 * cell["difference_mean"], 100 * _half(cell, "difference_"), "+")
    return f"{value} (n={cell['difference_n']})"


def problems(cell: Mapping[str, Any]) -> str:
    """ "1 diverged, 2 skipped", empty when every run is done."""
    return ", ".join(f"{cell[status]} {status}" for status in PROBLEMS if cell[status])


def sparsity(value: float) -> str:
    """ "96.5 %"."""
    return f"{100 * value:.4g} %"


def times(value: float) -> str:
    """ "0.420×" or "1.23×": a multiple of the dense network's cost."""
    if isnan(value):
        return NONE
    return f"{value:.{2 if value >= 1 else 3}f}×"


def cost(cell: Mapping[str, Any]) -> str:
    """ "0.200× / 0.210×": FLOPs of inference and of training over the dense network's, convention rigl."""
    return f"{times(cell['inference_x'])} / {times(cell['train_x'])}"


def length(multiplier: float) -> str:
    """ "5×": training length over the protocol's."""
    return f"{multiplier:g}×"


def setting(model: str, dataset: str, layout: str, multiplier: float) -> str:
    """ "lenet300 on mnist, 5× training": the title of a panel or of a table."""
    named = "" if layout == "default" else f", {layout} layout"
    return f"{model} on {dataset}{named}" + ("" if multiplier == 1 else f", {length(multiplier)} training")


def _half(cell: Mapping[str, Any], prefix: str) -> float:
    return (cell[f"{prefix}high"] - cell[f"{prefix}low"]) / 2


def _with_half(value: float, half: float, sign: str) -> str:
    if isnan(value):
        return NONE
    digits = 2 if half < 0.095 else 1
    spread = "" if isnan(half) else f" ± {half:.{digits}f}"
    return f"{value:{sign}.{digits}f}".replace("-", "−") + spread

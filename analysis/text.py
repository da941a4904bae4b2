"""Numbers as people read them, the same in tables, figures and the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor, isnan, log10
from typing import Any

from analysis.records import DISTRIBUTIONS
from analysis.stats import STATUSES, Interval

NONE = "–"
SUM = "Σ"
SUM_NOTE = f"{SUM}: the sum over the batches of the runs, of methods that have no closed form of their training cost"
INTERVAL_NOTE = "± is half the width of the 95 % Student t interval over n seeds; one seed has no interval"
ROUNDING = 1e-9
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


def interval(found: Interval, sign: str = "") -> str:
    """ "0.78 ± 0.10", to two digits of the half width; "0.777" where it is none or rounding alone, a dash without a mean."""
    if isnan(found.mean):
        return NONE
    if isnan(found.half) or found.half <= ROUNDING * abs(found.mean):
        return f"{found.mean:{sign}.3g}".replace("-", "−")
    digits = max(0, 1 - floor(log10(found.half)))
    return f"{found.mean:{sign}.{digits}f}".replace("-", "−") + f" ± {found.half:.{digits}f}"


def problems(cell: Mapping[str, Any]) -> str:
    """ "1 diverged, 2 skipped", empty when every run is done."""
    return ", ".join(f"{cell[status]} {status}" for status in PROBLEMS if cell[status])


def sparsity(value: float) -> str:
    """ "96.5 %"; a dash where no sparsity was reached."""
    return NONE if isnan(value) else f"{100 * value:.4g} %"


def percent(value: float) -> str:
    """ "91.3 %", of a fraction."""
    return NONE if isnan(value) else f"{100 * value:.1f} %"


def reached(cell: Mapping[str, Any]) -> str:
    """ "96.9 % (96.5 % asked)", "91.3 % (an outcome)", "96.5 %": what a cell's networks hold, and what was asked for."""
    achieved = percent(cell["achieved_sparsity"])
    if cell["sparsity_is_outcome"]:
        return f"{achieved} (an outcome)"
    as_asked = abs(cell["achieved_sparsity"] - cell["sparsity"]) <= 0.0005
    return achieved if as_asked else f"{achieved} ({sparsity(cell['sparsity'])} asked)"


def distribution(value: str) -> str:
    """ "ERK"; a dash where the method gives it no meaning."""
    return DISTRIBUTIONS[value] if value else NONE


def times(value: float) -> str:
    """ "0.420×" or "1.23×": a multiple of the dense network's cost."""
    if isnan(value):
        return NONE
    return f"{value:.{2 if value >= 1 else 3}f}×"


def training(cell: Mapping[str, Any]) -> str:
    """ "0.210×": FLOPs of training by the method's closed form; "0.210× Σ": none, the sum over its runs' batches."""
    if isnan(cell["train_x"]) and not isnan(cell["train_total_x"]):
        return f"{times(cell['train_total_x'])} {SUM}"
    return times(cell["train_x"])


def cost(cell: Mapping[str, Any]) -> str:
    """ "0.200× / 0.210×": FLOPs of inference and of training over the dense network's, convention rigl."""
    return f"{times(cell['inference_x'])} / {training(cell)}"


def kilobytes(value: float) -> str:
    """ "1,065 kB"."""
    return NONE if isnan(value) else f"{value / 1000:,.0f} kB"


def megabytes(value: float) -> str:
    """ "23.684 MB", of bytes; the paper's megabyte is 1e6."""
    return NONE if isnan(value) else f"{value / 1e6:.3f} MB"


def length(multiplier: float) -> str:
    """ "5×": training length over the protocol's."""
    return f"{multiplier:g}×"


def setting(model: str, dataset: str, layout: str, multiplier: float) -> str:
    """ "lenet300 on mnist, 5× training": the title of a panel or of a table."""
    named = "" if layout == "default" else f", {layout} layout"
    return f"{model} on {dataset}{named}" + ("" if multiplier == 1 else f", {length(multiplier)} training")


def markdown(value: str) -> str:
    """``value`` with everything escaped that Markdown would read as more than text."""
    return value.translate(str.maketrans({character: f"\\{character}" for character in "\\|<*_`["}))


def _half(cell: Mapping[str, Any], prefix: str) -> float:
    return (cell[f"{prefix}high"] - cell[f"{prefix}low"]) / 2


def _with_half(value: float, half: float, sign: str) -> str:
    if isnan(value):
        return NONE
    digits = 2 if half < 0.095 else 1
    spread = "" if isnan(half) else f" ± {half:.{digits}f}"
    return f"{value:{sign}.{digits}f}".replace("-", "−") + spread

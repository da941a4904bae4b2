"""A topology update of a layer whose dense tensors never exist whole.

What drops is decided among the active weights. What grows is decided in blocks of rows: each block of the dense gradient is
formed, judged, and merged into a running selection of the best positions so far.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from sparse_methods import topology
from sparse_methods.execution import kernels
from sparse_methods.execution.linear import SparseLinear
from sparse_methods.method import Layer, Method

BLOCK_WEIGHTS = 1 << 18
"""Weights, active or not, that are looked at together."""


@dataclass
class SparseLayer:
    """One layer as the engine keeps it."""

    module: SparseLinear
    view: Layer
    """Of the active weights alone: one-dimensional, everything in it active."""
    explored: np.ndarray
    """A bit for every position, set where a weight was ever active."""
    state: dict[str, Tensor] = field(default_factory=dict)
    """What the method remembers of every position [rows, columns]."""

    @property
    def positions(self) -> Tensor:
        """Row-major indices of the active weights, ascending."""
        return torch.from_numpy(self.module.pattern.positions)

    def refresh(self) -> None:
        """Let the view follow the active weights, whose number may have changed, and note where they are."""
        self.view.mask = torch.ones(self.module.pattern.weights, dtype=torch.bool)
        kernels.mark(self.explored, self.module.pattern.positions)

    def active_view(self) -> Layer:
        """The view, with the method's state at the active weights."""
        positions = self.positions if self.state else None
        self.view.state = {name: value.flatten()[positions] for name, value in self.state.items()}
        return self.view

    def keep_state(self) -> None:
        """Write what a hook put into the view's state back to where it belongs."""
        for name, value in self.view.state.items():
            if name not in self.state:
                self.state[name] = torch.zeros(self.module.pattern.shape, dtype=value.dtype)
            self.state[name].view(-1)[self.positions] = value

    def blocks(self, dense_gradient: bool) -> Iterator[tuple[int, Layer]]:
        """Blocks of rows as a method sees a layer, each with the row-major index of its first weight."""
        pattern, (rows, columns) = self.module.pattern, self.module.pattern.shape
        values, row_of = self.module.values.detach(), pattern.row_of
        height = max(1, BLOCK_WEIGHTS // columns)
        for top in range(0, rows, height):
            bottom = min(top + height, rows)
            own = slice(pattern.starts[top], pattern.starts[bottom])
            at = (torch.from_numpy(row_of[own] - top), torch.from_numpy(pattern.columns[own].astype(np.int64)))
            weight = torch.zeros((bottom - top, columns), dtype=values.dtype)
            weight[at] = values[own]
            mask = torch.zeros(weight.shape, dtype=torch.bool)
            mask[at] = True
            if dense_gradient:
                weight.grad = self._gradient(top, bottom)
            block = replace(
                self.view, weight=weight, mask=mask, state={n: s[top:bottom] for n, s in self.state.items()}
            )
            yield top * columns, block
            for name, value in block.state.items():
                if name not in self.state:
                    self.state[name] = torch.zeros((rows, columns), dtype=value.dtype)
                self.state[name][top:bottom] = value

    def _gradient(self, top: int, bottom: int) -> Tensor:
        """Rows ``top`` to ``bottom`` of the dense gradient of the backward passes since it was cleared."""
        if not self.module.factors:
            raise RuntimeError(f"layer {self.view.name!r} has no gradient: call loss.backward() before step()")
        parts = [
            torch.from_numpy(deltas[top:bottom]) @ torch.from_numpy(inputs).t()
            for inputs, deltas in self.module.factors
        ]
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)


class Selection:
    """The ``count`` largest scores of what was offered so far; of equal ones, those that were offered first."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.positions = torch.empty(0, dtype=torch.int64)
        self.values: Tensor | None = None
        """What the chosen positions start from, where that is not zero."""
        self._scores: Tensor | None = None

    def offer(self, scores: Tensor, free: Tensor, first: int, values: Tensor | None) -> None:
        """Let the positions from ``first`` on that are ``free`` compete with those chosen so far, all of them lower."""
        if self._scores is None:
            self._scores, self.values = scores[:0], None if values is None else values[:0]
        if len(self._scores) == self.count:
            free &= scores > self._scores.min()
        if int(free.count_nonzero()) > self.count:
            # What is not among a block's own best is not among the best of all; copying only these is most of the speed.
            free = topology.largest(scores, self.count, among=free)
        candidates = free.nonzero().squeeze(1)
        self._scores = torch.cat([self._scores, scores[candidates]])
        self.positions = torch.cat([self.positions, candidates + first])
        if values is not None:
            self.values = torch.cat([self.values, values[candidates]])
        if len(self._scores) > self.count:
            best = topology.largest(self._scores, self.count, among=torch.ones_like(self._scores, dtype=torch.bool))
            self._scores, self.positions = self._scores[best], self.positions[best]
            self.values = None if self.values is None else self.values[best]


def kept_positions(method: Method, layer: SparseLayer, target: int, fraction: float) -> Tensor:
    """Positions of what stays when the layer is pruned to ``target`` weights, and drops, in one selection."""
    view, active = layer.active_view(), layer.module.pattern.weights
    score = topology.checked(method.drop_score(view), view.name)
    allowed = min(active, target)
    staying = allowed - method.drop_count(view, allowed, fraction)
    positions = layer.positions
    return positions if staying == active else positions[method.keep(view, score, staying)]


def grown(method: Method, layer: SparseLayer, kept: Tensor, count: int, dense_gradient: bool) -> Selection:
    """``count`` positions among all that are not ``kept``, by the method's score."""
    selection = Selection(count)
    if count == 0:
        return selection
    for first, block in layer.blocks(dense_gradient):
        free = torch.ones(block.weight.numel(), dtype=torch.bool)
        inside = kept[torch.searchsorted(kept, first) : torch.searchsorted(kept, first + free.numel())]
        free[inside - first] = False
        score = topology.checked(method.grow_score(block), block.name).flatten()
        values = method.grown_weight(block)
        selection.offer(score, free, first, None if values is None else values.flatten())
    if len(selection.positions) < count:
        raise ValueError(f"cannot select {count} of {len(selection.positions)} candidates")
    return selection


def move(layer: SparseLayer, kept: Tensor, selection: Selection, slots: dict[str, Tensor]) -> dict[str, Tensor]:
    """Let the layer hold what is kept and what is grown, and return ``slots`` (values per active weight) moved likewise.

    What was active before, dropped and grown again included, keeps its value; what is new starts from the selection's
    values, and its slots from zero.
    """
    before, weights = layer.positions, layer.module.values.detach()
    after, order = torch.cat([kept, selection.positions]).sort()
    place = torch.searchsorted(before, after).clamp(max=max(len(before) - 1, 0))
    stayed = before[place] == after
    fresh = torch.zeros(len(after), dtype=weights.dtype)
    if selection.values is not None:
        fresh = torch.cat([fresh[: len(kept)], selection.values])[order]
    moved = {name: torch.where(stayed, slot[place], 0) for name, slot in slots.items()}
    layer.module.replace(after.numpy(), torch.where(stayed, weights[place], fresh))
    return moved

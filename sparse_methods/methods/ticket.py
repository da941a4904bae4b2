"""Lottery ticket: the largest weights of a finished run, trained alone from the start (Frankle & Carbin, ICLR 2019).

The mask keeps, in each layer, the largest |w| that the run given by ``start_from`` ended with, at this run's sparsity; the
parent may be dense, pruned or sparse. Weights are rewound to that run's initial ones, which runs of one seed share
(``take: mask``), or to those it had at a step k (``take: both`` with ``rewind: k``, Frankle et al. 2019,
arXiv:1903.01611). One shot of pruning, where the paper repeats it. RigL's Appendix E takes RigL's own final mask: that is
``method: static`` or ``method: rigl`` with ``start_from: {method: rigl, take: mask}``.
"""

from torch import Tensor

from sparse_methods import topology
from sparse_methods.method import CannotError, Layer, Method, Request


class Ticket(Method):
    """Frozen after that. The cost of finding the ticket is its parent's, in the parent's record."""

    name, label = "ticket", "Lottery ticket"
    citation, year, family = "frankle2019lth", 2019, "dense-to-sparse"
    dense_parts = ("everything, in the run that finds the ticket",)
    cannot = ("a run without start_from: there is no ticket to take",)
    starts = "origin"

    def skip(self, request: Request) -> str | None:
        return None if request.origin_given or request.masks_given else self.cannot[0]

    def initialize(self, layer: Layer) -> Tensor:
        """Raises CannotError where the finished run has fewer weights than the ticket would keep."""
        held, kept = int(layer.origin.count_nonzero()), int(layer.mask.sum())
        wanted = kept - topology.zero_count(layer.sparsity, kept)
        if held < wanted:
            raise CannotError(f"{layer.name} of the finished run has {held} weights, the ticket would keep {wanted}")
        return layer.origin.abs()

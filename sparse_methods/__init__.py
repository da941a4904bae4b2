"""Sparse training of any torch model in any loop: two lines, see :func:`sparsify`."""

from sparse_methods.agreement import MasksDisagreeError
from sparse_methods.method import Batch, CannotError
from sparse_methods.network import LayerCount
from sparse_methods.sparsifier import Sparsifier, sparsify
from sparse_methods.topology import NonFiniteScoreError

__all__ = ["Batch", "CannotError", "LayerCount", "MasksDisagreeError", "NonFiniteScoreError", "Sparsifier", "sparsify"]

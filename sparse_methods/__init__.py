"""Sparse training of any torch model in any loop: two lines, see :func:`sparsify`."""

from sparse_methods.sparsifier import LayerCount, NonFiniteScoreError, Sparsifier, sparsify

__all__ = ["LayerCount", "NonFiniteScoreError", "Sparsifier", "sparsify"]

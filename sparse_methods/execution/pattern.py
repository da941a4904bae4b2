"""Where the active weights of a matrix are."""

from __future__ import annotations

from functools import cached_property

import numpy as np

MANY = np.iinfo(np.uint16).max


def index_type(*sizes: int) -> type[np.unsignedinteger] | type[np.signedinteger]:
    """The smallest integers that number rows and columns of matrices of these sizes."""
    return np.uint16 if max(sizes) <= MANY else np.int32


class Pattern:
    """The active positions of a matrix of ``shape`` (rows, columns), in row-major order, and what kernels read of them.

    ``positions`` are row-major indices, ascending, int64; ``index`` is the type of row and column numbers. Raises
    ValueError for positions that do not ascend or lie outside.
    """

    def __init__(self, shape: tuple[int, int], positions: np.ndarray, index: type) -> None:
        rows, columns = shape
        if positions.size and (positions[0] < 0 or positions[-1] >= rows * columns or (np.diff(positions) <= 0).any()):
            raise ValueError(f"positions must ascend within a matrix of {rows} x {columns}")
        self.shape, self.index = shape, index
        row_of = positions // columns
        self.starts = np.searchsorted(row_of, np.arange(rows + 1)).astype(np.int32)
        """First weight of each row, and the number of all [rows + 1]."""
        self.columns = (positions - row_of * columns).astype(index)
        """Column of each weight [weights]."""

    @property
    def weights(self) -> int:
        """Number of active weights."""
        return self.columns.size

    @property
    def row_of(self) -> np.ndarray:
        """Row of each weight [weights], int64."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.starts))

    @property
    def positions(self) -> np.ndarray:
        """Row-major index of each weight [weights], int64, ascending."""
        return self.row_of * self.shape[1] + self.columns

    @cached_property
    def transposed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First weight of each column [columns + 1], then by column: the row of each weight and its number among ours."""
        order = np.argsort(self.columns, kind="stable").astype(np.int32)
        starts = np.zeros(self.shape[1] + 1, np.int32)
        np.cumsum(np.bincount(self.columns, minlength=self.shape[1]), out=starts[1:])
        return starts, self.row_of[order].astype(self.index), order

    @property
    def nbytes(self) -> int:
        """Memory that the indices take now."""
        transposed = self.__dict__.get("transposed", ())
        return sum(array.nbytes for array in (self.starts, self.columns, *transposed))

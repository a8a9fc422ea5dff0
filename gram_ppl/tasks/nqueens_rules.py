"""The rules of n queens, and the exact enumeration of their solutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gram_ppl.types import TaskSpec

PAD, EMPTY, QUEEN = 0, 1, 2
OPEN = -1
"""The column of a row whose queen is not given."""


class NQueensRules:
    """Encode, check and solve n×n boards with one queen in each row, no two in a column or on a diagonal.

    Tokens: 0 pad, 1 empty (in a question: open), 2 queen (paper Section 4).

    Args:
        n: side of the board, at least 4.

    Raises:
        ValueError: when n is below 4: there is no solution for n = 2 and 3, and n = 1 leaves no choice.

    >>> rules = NQueensRules(8)
    >>> rules.count(torch.ones(64, dtype=torch.long), cap=1000)
    92
    """

    blank = EMPTY
    symbols = ("", "", "\N{BLACK CHESS QUEEN}")

    def __init__(self, n: int) -> None:
        if n < 4:
            raise ValueError(f"expected a board of side 4 or more, got n={n}: smaller ones have no or one solution")
        self.n = n
        self.spec = TaskSpec(length=n * n, input_vocab=3, output_vocab=3, grid=(n, n))

    def encode(self, columns: Tensor) -> Tensor:
        """Turn the column of the queen in each row ``(*, n)``, ``OPEN`` where not given, into tokens ``(*, n²)``."""
        return (columns[..., None] == torch.arange(self.n, device=columns.device)).flatten(-2).long() + EMPTY

    def is_valid(self, x: Tensor, y: Tensor) -> Tensor:
        """Tell which boards ``y`` ``(*, L)`` have n queens that do not attack each other and keep those of ``x``."""
        queens = y == QUEEN
        complete = (queens | (y == EMPTY)).all(-1) & (queens.sum(-1) == self.n)
        peaceful = ((self._per_line(queens) <= 1).all(-1)) & complete
        return peaceful & ((x != QUEEN) | queens).all(-1)

    def conflicts(self, x: Tensor, y: Tensor) -> Tensor:
        """Mark the cells ``(*, L)`` of queens that attack each other, and of given queens that were moved."""
        queens = y == QUEEN
        crowded = (self._per_line(queens) > 1).float() @ _lines(self.n).to(y.device).T > 0
        return (queens & crowded) | ((x == QUEEN) & ~queens)

    def _per_line(self, queens: Tensor) -> Tensor:
        """Count the queens ``(*, 6n - 2)`` on every row, column and diagonal."""
        return queens.float() @ _lines(self.n).to(queens.device)

    def solutions(self, x: Tensor, cap: int) -> Tensor:
        """List up to ``cap`` solutions ``(n_solutions, L)`` of one question ``(L,)``, in order of their columns.

        Raises:
            ValueError: for another shape, a token outside the vocabulary, or ``cap`` below 1.
        """
        found = list(islice(self._search(x, cap), cap))
        return self.encode(torch.tensor(found, dtype=torch.long, device=x.device).reshape(-1, self.n))

    def count(self, x: Tensor, cap: int) -> int:
        """Count the solutions of one question ``(L,)``, stopping at ``cap``; raises as ``solutions`` does."""
        return sum(1 for _ in islice(self._search(x, cap), cap))

    def _search(self, x: Tensor, cap: int) -> Iterator[tuple[int, ...]]:
        if cap < 1:
            raise ValueError(f"expected a cap of at least 1 solution, got {cap}")
        if x.shape != (self.spec.length,):
            raise ValueError(
                f"expected one board x of shape ({self.spec.length},), got {tuple(x.shape)}: pass a single row"
            )
        if not bool(((x >= PAD) & (x <= QUEEN)).all()):
            raise ValueError(f"expected tokens 0..2 in x (1 open, 2 queen), got {int(x.min())}..{int(x.max())}")
        given = (x == QUEEN).reshape(self.n, self.n)
        if bool((given.sum(-1) > 1).any()):
            return iter(())
        return queens([int(row.int().argmax()) if bool(row.any()) else OPEN for row in given])


def queens(given: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield every placement of n queens, as the column of each row, in increasing order.

    Args:
        given: the column of the queen in each of the n rows, ``OPEN`` where it is to be found.

    >>> list(queens([OPEN, 3, OPEN, OPEN]))
    [(1, 3, 0, 2)]
    """
    n = len(given)
    full = (1 << n) - 1
    fixed = sum(1 << column for column in given if column != OPEN)
    if fixed.bit_count() != sum(column != OPEN for column in given):
        return iter(())

    def place(row: int, columns: int, left: int, right: int, placed: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if row == n:
            yield placed
            return
        free = full & ~(columns | left | right)
        free &= ~fixed if given[row] == OPEN else 1 << given[row]
        while free:
            queen = free & -free
            free ^= queen
            chosen = (*placed, queen.bit_length() - 1)
            yield from place(row + 1, columns | queen, (left | queen) << 1, (right | queen) >> 1, chosen)

    return place(0, 0, 0, 0, ())


@lru_cache(maxsize=8)
def all_solutions(n: int) -> Tensor:
    """Return the column of the queen in each row, for every solution: ``(M, n)`` int8."""
    return torch.tensor(list(queens([OPEN] * n)), dtype=torch.int8)


def some_solutions(n: int, count: int, seed: int) -> Tensor:
    """Return ``count`` distinct solutions found by chance, ``(count, n)`` int8; not every one is equally likely.

    For boards with too many solutions to list, more than ``count``.
    """
    rng, found = np.random.default_rng(seed), set[tuple[int, ...]]()
    while len(found) < count:
        found.add(tuple(_peaceful_permutation(n, rng).tolist()))
    return torch.tensor(sorted(found), dtype=torch.int8)


def _peaceful_permutation(n: int, rng: np.random.Generator) -> np.ndarray:
    """Swap attacked queens with others until none is attacked, from new starts when it takes long.

    Source: S. Minton et al., *Minimizing conflicts*, Artificial Intelligence 58 (1992).
    """
    while True:
        columns = rng.permutation(n)
        for _ in range(20 * n):
            attacked = np.flatnonzero(_attacks(columns))
            if not len(attacked):
                return columns
            row = rng.choice(attacked)
            swapped = np.tile(columns, (8, 1))
            other = rng.integers(n, size=8)
            swapped[np.arange(8), row], swapped[np.arange(8), other] = columns[other], columns[row]
            columns = min(swapped, key=lambda board: _attacks(board).sum())


def _attacks(columns: np.ndarray) -> np.ndarray:
    """Tell which queens ``(n,)`` share a diagonal with another."""
    n, rows = len(columns), np.arange(len(columns))
    diagonals = (columns + rows, columns - rows + n)
    return np.logical_or(*(np.bincount(line, minlength=2 * n)[line] > 1 for line in diagonals))


@lru_cache(maxsize=8)
def _lines(n: int) -> Tensor:
    """Return which of the 6n - 2 rows, columns and diagonals each cell lies on: ``(n², 6n - 2)`` of 0 and 1."""
    row, column = torch.arange(n).repeat_interleave(n), torch.arange(n).repeat(n)
    sizes = ((row, n), (column, n), (row + column, 2 * n - 1), (row - column + n - 1, 2 * n - 1))
    return torch.cat([F.one_hot(line, size) for line, size in sizes], -1).float()

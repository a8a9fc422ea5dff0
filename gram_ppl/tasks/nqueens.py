"""Boards of n queens with some queens removed: several completions, all of them known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import torch
from torch import Tensor

from gram_ppl.tasks.nqueens_rules import OPEN, NQueensRules, all_solutions, some_solutions
from gram_ppl.tasks.solved import Solved
from gram_ppl.tasks.stream import HeldOut, generator, stream
from gram_ppl.types import Batch

LARGEST = 12
"""The largest n whose solutions (14,200) and questions (4 million pairs) are all listed."""

SOME = 500
"""Solutions that the questions of larger boards are made of."""

_SPLIT, _TRAIN = 1, 0


class NQueens(NQueensRules):
    """Complete a board of n queens from which k were removed (paper Section 4).

    Every solution loses k queens in every possible way; the distinct boards that remain are the questions. A question
    is drawn uniformly, then its answer uniformly among all its completions. For n = 8 and k in {5, 6, 7} there are
    5,148 questions and 8,464 pairs, for n = 10 and k in {7, 8, 9} 43,420 and 126,700.

    For n above 12 the questions come from 500 solutions found by chance, and an answer is uniform among those of them
    that complete its question; verification and counts are exact at every n.

    Args:
        n: side of the board, at least 4.
        removed: the numbers k of removed queens; ``(n - 3, n - 2, n - 1)`` by default.
        held_out: share of the distinct questions that is kept for the test (paper: 15 %), rounded up.
        validation: further questions kept out of training, for choices made during training.
        augment: give every training pair a random one of the board's eight symmetries. A question that becomes a
            held-out one is drawn again, so that none is ever trained on.
        seed: of the split and, with the loader's own, of the training stream.

    Raises:
        ValueError: for n below 4, a removal count outside 1..n-1, or a split that leaves nothing to train on.

    >>> task = NQueens(8)
    >>> len(task.train), len(task.validation.x), len(task.test.x)
    (4275, 100, 773)
    """

    def __init__(
        self,
        n: int = 8,
        *,
        removed: Sequence[int] | None = None,
        held_out: float = 0.15,
        validation: int = 100,
        augment: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(n)
        self.removed = _checked(n, (n - 3, n - 2, n - 1) if removed is None else tuple(removed))
        self.augment, self.seed = augment, seed
        solutions = all_solutions(n) if n <= LARGEST else some_solutions(n, SOME, seed)
        every = removals(solutions, self.removed)
        order = torch.randperm(len(every), generator=generator(seed, _SPLIT))
        test, held, train = _split(order, held_out, validation)
        self.test, self.validation, self.train = (
            self._answered(every, test),
            self._answered(every, held),
            every.select(train),
        )
        self._known = HeldOut(torch.cat([self.test.x, self.validation.x]))

    def __repr__(self) -> str:
        return f"NQueens(n={self.n}, removed={self.removed}, held_out={len(self.test.x)}, seed={self.seed})"

    def loader(self, batch_size: int, *, seed: int = 0, device: torch.device | str | None = None) -> Iterator[Batch]:
        """Stream training batches ``(batch_size, n²)`` without end, none with a held-out question.

        Args:
            batch_size: questions in a batch.
            seed: of this stream.
            device: where the batches are put; None is the CPU, where they are drawn.

        Raises:
            ValueError: for a ``batch_size`` below 1.
        """
        return stream(self._draw, self._known, batch_size, generator(self.seed, _TRAIN, seed), device)

    def _draw(self, count: int, generator: torch.Generator) -> Batch:
        rows = torch.randint(len(self.train), (count,), generator=generator)
        x, y = map(self.encode, self.train.draw(rows, generator))
        if not self.augment:
            return Batch(x, y)
        cells = symmetries(self.n)[torch.randint(8, (count,), generator=generator)]
        return Batch(x.gather(-1, cells), y.gather(-1, cells))

    def _answered(self, every: Solved, rows: Tensor) -> Batch:
        return Batch(*map(self.encode, every.draw(rows, generator(self.seed, _SPLIT, len(rows)))))


def removals(solutions: Tensor, removed: Sequence[int]) -> Solved:
    """Remove k queens from every solution ``(M, n)`` in every way, for each k of ``removed``.

    Returns:
        The distinct questions, ``OPEN`` where a queen was removed, each with all its completions.
    """
    n = solutions.shape[-1]
    gaps = torch.tensor([[row in gone for row in range(n)] for k in removed for gone in combinations(range(n), k)])
    x = solutions[:, None].masked_fill(gaps, OPEN)
    return Solved.from_pairs(x.flatten(0, 1), solutions[:, None].expand_as(x).flatten(0, 1))


def symmetries(n: int) -> Tensor:
    """Return the eight symmetries of the square board: ``(8, n²)``, the cell that each cell takes its token from."""
    board = torch.arange(n * n).reshape(n, n)
    turned = [torch.rot90(board, quarter) for quarter in range(4)]
    return torch.stack([*turned, *(cells.T for cells in turned)]).flatten(1)


def _checked(n: int, removed: tuple[int, ...]) -> tuple[int, ...]:
    if not removed or not all(1 <= k <= n - 1 for k in removed):
        raise ValueError(f"expected removal counts in 1..{n - 1} for n={n}, got {removed}")
    return tuple(sorted(set(removed)))


def _split(order: Tensor, held_out: float, validation: int) -> tuple[Tensor, Tensor, Tensor]:
    if not 0 <= held_out < 1 or validation < 0:
        raise ValueError(f"expected held_out in [0, 1) and validation of at least 0, got {held_out} and {validation}")
    test = -int(-held_out * len(order) // 1)
    train = len(order) - test - validation
    if train < 1:
        raise ValueError(
            f"expected questions to train on, got {len(order)} less {test} test and {validation} validation"
        )
    return order[:test], order[test : test + validation], order[test + validation :]

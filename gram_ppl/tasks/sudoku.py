"""Generated Sudoku, with several solutions per question or with one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from gram_ppl.tasks.stream import HeldOut, draw_distinct, generator, stream
from gram_ppl.tasks.sudoku_rules import BLANK, SudokuRules
from gram_ppl.tasks.sudoku_solver import solver
from gram_ppl.tasks.sudoku_symmetry import Symmetry
from gram_ppl.types import Batch

_CLUES = {2: (2, 8), 3: (24, 40)}
_COPIES = 8
_TEST, _TRAIN = 0, 1


class Sudoku(SudokuRules):
    """Generate n×n Sudoku, n = box².

    With ``unique=False`` a complete board y is drawn, then a number of clues uniform over ``clues``, then the cells
    they sit in: given the question x, y is uniform over the solutions of x. That is exact for box 2, whose 288 boards
    are equally likely. For box 3 each board comes from a solver in random order: every board can come, but not exactly
    equally often. With ``unique=True`` cells of the board are blanked while the solution stays unique, until the drawn
    number of clues is reached or no cell can go.

    Args:
        box: side of a box in cells, 2 (4×4) or 3 (9×9).
        clues: smallest and largest number of clues, both included; None is (2, 8) for box 2 and (24, 40) for box 3.
        unique: whether each question has a single solution.
        held_out: number of distinct test questions, kept out of the training stream.
        validation: number of further distinct questions kept out of it, for choices made during training.
        seed: of the test questions and, with the loader's own, of the training stream.

    Raises:
        ValueError: for an unknown ``box``, an impossible range of clues, or more ``held_out`` questions than there are.

    >>> task = Sudoku(box=2)
    >>> batch = next(task.loader(batch_size=3))
    >>> task.is_valid(batch.x, batch.y)
    tensor([True, True, True])
    """

    def __init__(
        self,
        box: int = 2,
        *,
        clues: tuple[int, int] | None = None,
        unique: bool = False,
        held_out: int = 500,
        validation: int = 100,
        seed: int = 0,
    ) -> None:
        if box not in _CLUES:
            raise ValueError(f"expected box 2 (4×4) or 3 (9×9), got {box!r}")
        super().__init__(box)
        self.clues = _checked_range(_CLUES[box] if clues is None else clues, self.spec.length)
        self.unique = unique
        self.seed = seed
        self.test, self.validation = self._held_out(held_out, validation)
        self._known = HeldOut(torch.cat([self.test.x, self.validation.x]))

    def __repr__(self) -> str:
        return (
            f"Sudoku(box={self.box}, clues={self.clues}, unique={self.unique}, "
            f"held_out={len(self.test.x)}, seed={self.seed})"
        )

    def loader(self, batch_size: int, *, seed: int = 0, device: torch.device | str | None = None) -> Iterator[Batch]:
        """Stream training batches ``(batch_size, L)`` without end, none with a test question.

        Where a solver is needed (box 3, or ``unique``), eight rows share its board under independent random symmetries.

        Args:
            batch_size: questions in a batch.
            seed: of this stream.
            device: where the batches are put; None is the CPU, where they are drawn.

        Raises:
            ValueError: for a ``batch_size`` below 1.
        """
        return stream(self._draw_shared, self._known, batch_size, generator(self.seed, _TRAIN, seed), device)

    def _held_out(self, test: int, validation: int) -> tuple[Batch, Batch]:
        if min(test, validation) < 0:
            raise ValueError(f"expected held_out and validation of at least 0 questions, got {test} and {validation}")
        x, y = draw_distinct(self._draw, test + validation, generator(self.seed, _TEST))
        return Batch(x[:test], y[:test]), Batch(x[test:], y[test:])

    def _draw_shared(self, count: int, generator: torch.Generator) -> Batch:
        solver_needed = self.unique or self.box > 2
        return self._draw(count, generator, copies=_COPIES if solver_needed else 1)

    def _draw(self, count: int, generator: torch.Generator, copies: int = 1) -> Batch:
        """Draw ``count`` questions with an answer; ``copies`` rows share a solved board, up to symmetry."""
        boards = self._boards(-(-count // copies), generator)
        puzzles = Batch(self._dug(boards, generator) if self.unique else boards, boards)
        if copies > 1:
            puzzles = _scrambled_copies(self.box, puzzles, count, generator)
        if self.unique:
            return puzzles
        return Batch(puzzles.x.where(self._clue_cells(count, generator), BLANK), puzzles.y)

    def _boards(self, count: int, generator: torch.Generator) -> Tensor:
        if self.box == 2:
            return _all_boards()[torch.randint(288, (count,), generator=generator)]
        rng = _python_rng(generator)
        return self._tokens([solver(self.box).board(rng) for _ in range(count)])

    def _dug(self, boards: Tensor, generator: torch.Generator) -> Tensor:
        """Blank cells of each board ``(B, L)`` while its solution stays unique."""
        rng = _python_rng(generator)
        amounts = self._clue_amounts(len(boards), generator).tolist()
        digits = (boards - 1).tolist()
        return self._tokens([solver(self.box).puzzle(y, k, rng) for y, k in zip(digits, amounts, strict=True)])

    def _clue_cells(self, count: int, generator: torch.Generator) -> Tensor:
        """Choose which cells ``(count, L)`` show their digit."""
        ranks = torch.rand(count, self.spec.length, generator=generator).argsort(-1)
        return ranks < self._clue_amounts(count, generator)[:, None]

    def _clue_amounts(self, count: int, generator: torch.Generator) -> Tensor:
        fewest, most = self.clues
        return torch.randint(fewest, most + 1, (count,), generator=generator)

    def _tokens(self, digits: list[list[int]]) -> Tensor:
        return torch.tensor(digits, dtype=torch.long).reshape(-1, self.spec.length) + 1


def _checked_range(clues: tuple[int, int], cells: int) -> tuple[int, int]:
    fewest, most = clues
    if not 0 <= fewest <= most <= cells:
        raise ValueError(f"expected clues=(fewest, most) with 0 <= fewest <= most <= {cells}, got {clues}")
    return fewest, most


@lru_cache(maxsize=1)
def _all_boards() -> Tensor:
    """Return the 288 complete 4×4 boards as tokens ``(288, 16)``."""
    return torch.tensor(solver(2).solutions([0] * 16, cap=288)) + 1


def _python_rng(generator: torch.Generator) -> random.Random:
    return random.Random(int(torch.randint(2**62, (), generator=generator)))


def _scrambled_copies(box: int, puzzles: Batch, count: int, generator: torch.Generator) -> Batch:
    """Repeat ``puzzles`` up to ``count`` rows and give each row its own symmetry."""
    symmetry = Symmetry.random(box, count, generator)
    rows = torch.arange(count) % max(len(puzzles.x), 1)
    return Batch(symmetry(puzzles.x[rows]), symmetry(puzzles.y[rows]))

"""Generation of complete Sudoku boards: a task without question."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gram_ppl.tasks.sudoku import Sudoku
from gram_ppl.tasks.sudoku_rules import SudokuRules
from gram_ppl.types import BLANK, Batch, TaskSpec

_BOARDS = {2: 288, 3: 6_670_903_752_021_072_936_960}
_HELD_OUT, _FIRST_TRAINING = 0, 1


class SudokuGeneration:
    """Generate complete n×n boards, n = box², from the empty question.

    Boards are those of :class:`Sudoku` without clues: uniform over all 288 for box 2; for box 3 from a solver in random
    order under random symmetries, so that every board can come, but not exactly equally often.

    All questions are the same one, so none can be held out, and a board of ``test`` may come in training too (for box 2
    all do): ``test`` and ``validation`` hold the empty question once for each of their boards. What a model has learned
    shows in its samples: the share of valid ones, how many differ, and for box 2 how near they are to uniform.

    Args:
        box: side of a box in cells, 2 (4×4) or 3 (9×9).
        test: boards of the final judgement.
        validation: boards for choices made during training.
        seed: of these boards and, with the loader's own, of the training stream.

    Attributes:
        rules: what a complete board is; reads and prints boards.
        box: side of a box in cells.
        symbols: the text of each token.

    Raises:
        ValueError: for an unknown ``box`` or fewer than 0 boards.

    Source: arXiv 2605.19376, unconditional Sudoku; the number of 9×9 boards: B. Felgenhauer and F. Jarvis, 2005.

    >>> task = SudokuGeneration(box=2)
    >>> batch = next(task.loader(batch_size=3))
    >>> batch.x.shape, task.is_valid(batch.x, batch.y)
    (torch.Size([3, 0]), tensor([True, True, True]))
    """

    def __init__(self, box: int = 2, *, test: int = 500, validation: int = 100, seed: int = 0) -> None:
        if min(test, validation) < 0:
            raise ValueError(f"expected test and validation of at least 0 boards, got {test} and {validation}")
        self._boards = Sudoku(box, clues=(0, 0), held_out=0, validation=0, seed=seed)
        self.rules: SudokuRules = self._boards
        self.box, self.symbols = box, self.rules.symbols
        board = self.rules.spec
        self.spec = TaskSpec(0, 0, board.output_vocab, grid=board.grid, output_length=board.length)
        x, y = _asked(next(self._boards.loader(max(1, test + validation), seed=_HELD_OUT)))
        self.test, self.validation = (Batch(x[rows], y[rows]) for rows in (slice(test), slice(test, test + validation)))

    def __repr__(self) -> str:
        return f"SudokuGeneration(box={self.box}, test={len(self.test.y)}, seed={self._boards.seed})"

    def loader(self, batch_size: int, *, seed: int = 0, device: torch.device | str | None = None) -> Iterator[Batch]:
        """Stream empty questions ``(batch_size, 0)`` with boards ``(batch_size, L)`` without end.

        For box 3, eight rows share a solved board under independent random symmetries.

        Args:
            batch_size: boards in a batch.
            seed: of this stream.
            device: where the batches are put; None is the CPU, where they are drawn.

        Raises:
            ValueError: for a ``batch_size`` below 1.
        """
        boards = self._boards.loader(batch_size, seed=_FIRST_TRAINING + seed, device=device)
        return (_asked(batch) for batch in boards)

    def is_valid(self, x: Tensor, y: Tensor) -> Tensor:
        """Tell which ``y`` ``(*, L)`` are complete boards; leading dimensions broadcast with those of ``x`` ``(*, 0)``.

        Raises:
            ValueError: when x has tokens, or y is not made of the tokens of a board.
        """
        return self.rules.is_valid(self._open_cells(x), y)

    def conflicts(self, x: Tensor, y: Tensor) -> Tensor:
        """Mark the cells ``(*, L)`` of ``y`` that repeat a digit of their row, column or box.

        Raises:
            ValueError: when x has tokens.
        """
        return self.rules.conflicts(self._open_cells(x), y)

    def solutions(self, x: Tensor, cap: int) -> Tensor:
        """List up to ``cap`` complete boards ``(n_boards, L)``, always the same, in increasing order of cells.

        Raises:
            ValueError: when x is not one empty question ``(0,)``, or for a ``cap`` below 1.
        """
        self._check_one(x)
        return self.rules.solutions(self._open_cells(x), cap)

    def count(self, x: Tensor, cap: int) -> int:
        """Return the number of complete boards, known exactly, or ``cap`` where that is less; raises as ``solutions``.

        >>> SudokuGeneration(box=3, test=0, validation=0).count(BLANK, cap=10**30)
        6670903752021072936960
        """
        self._check_one(x)
        if cap < 1:
            raise ValueError(f"expected a cap of at least 1 solution, got {cap}")
        return min(cap, _BOARDS[self.box])

    def _open_cells(self, x: Tensor) -> Tensor:
        """Return the boards without a clue ``(*, L)`` that the questions ``(*, 0)`` stand for."""
        if x.shape[-1:] != (0,):
            raise ValueError(f"expected questions of no tokens (*, 0), got {tuple(x.shape)}: ask gp.BLANK.expand(B, 0)")
        return x.new_full((*x.shape[:-1], self.rules.spec.length), self.rules.blank, dtype=torch.long)

    def _check_one(self, x: Tensor) -> None:
        if x.shape != (0,):
            raise ValueError(f"expected one question of no tokens (0,), got {tuple(x.shape)}: ask gp.BLANK")


def _asked(boards: Batch) -> Batch:
    """Replace the questions, boards without a clue, by empty ones."""
    return Batch(BLANK.to(boards.y.device).expand(len(boards.y), 0), boards.y)

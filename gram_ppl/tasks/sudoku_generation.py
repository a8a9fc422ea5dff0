"""Generation of complete Sudoku boards: a task without question."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gram_ppl.tasks.sudoku import Sudoku
from gram_ppl.tasks.sudoku_rules import SudokuRules
from gram_ppl.types import Batch

_BOARDS = {2: 288, 3: 6_670_903_752_021_072_936_960}
_HELD_OUT, _FIRST_TRAINING = 0, 1


class SudokuGeneration:
    """Generate complete n×n boards, n = box², from the empty question.

    Boards are those of :class:`Sudoku`: uniform over all 288 for box 2; for box 3 from a solver in random
    order under random symmetries, so that every board can come, but not exactly equally often.

    All questions are the same one, so none can be held out, and a board of ``test`` may come in training too (for box 2
    all do): ``test`` and ``validation`` hold the empty question once for each of their boards. What a model has learned
    shows in its samples: the share of valid ones, how many differ, and for box 2 how near they are to uniform.

    With ``clues`` the questions are boards, as in :class:`Sudoku`: training shows some cells, and ``test`` and
    ``validation`` show none. What is learned is p(board) all the same, and far sooner: completing boards teaches the
    rules, which the empty question alone never spells out. ``gram.given(task.test.x[0])`` is then the generator that
    is asked ``gp.BLANK``.

    Args:
        box: side of a box in cells, 2 (4×4) or 3 (9×9).
        clues: smallest and largest number of cells shown in training; None is a task without question.
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

    def __init__(
        self,
        box: int = 2,
        *,
        clues: tuple[int, int] | None = None,
        test: int = 500,
        validation: int = 100,
        seed: int = 0,
    ) -> None:
        if min(test, validation) < 0:
            raise ValueError(f"expected test and validation of at least 0 boards, got {test} and {validation}")
        self._boards = Sudoku(box, clues=(0, 0) if clues is None else clues, held_out=0, validation=0, seed=seed)
        self.rules: SudokuRules = self._boards
        self.box, self.clues, self.symbols = box, clues, self.rules.symbols
        board = self.rules.spec
        self.spec = board.without_question() if clues is None else board
        y = next(self._boards.loader(max(1, test + validation), seed=_HELD_OUT)).y
        x = torch.full((len(y), self.spec.length), self.rules.blank)
        self.test, self.validation = (Batch(x[rows], y[rows]) for rows in (slice(test), slice(test, test + validation)))

    def __repr__(self) -> str:
        clues = "" if self.clues is None else f"clues={self.clues}, "
        return f"SudokuGeneration(box={self.box}, {clues}test={len(self.test.y)}, seed={self._boards.seed})"

    def loader(self, batch_size: int, *, seed: int = 0, device: torch.device | str | None = None) -> Iterator[Batch]:
        """Stream questions ``(batch_size, L_x)``, empty ones without ``clues``, with boards ``(batch_size, L)``.

        For box 3, eight rows share a solved board under independent random symmetries.

        Args:
            batch_size: boards in a batch.
            seed: of this stream.
            device: where the batches are put; None is the CPU, where they are drawn.

        Raises:
            ValueError: for a ``batch_size`` below 1.
        """
        boards = self._boards.loader(batch_size, seed=_FIRST_TRAINING + seed, device=device)
        return (Batch(x[:, : self.spec.length], y) for x, y in boards)

    def is_valid(self, x: Tensor, y: Tensor) -> Tensor:
        """Tell which ``y`` ``(*, L)`` are complete boards that keep the cells of ``x`` ``(*, L_x)``; shapes broadcast.

        Raises:
            ValueError: when x or y is not made of the tokens of the task.
        """
        return self.rules.is_valid(self._board(x), y)

    def conflicts(self, x: Tensor, y: Tensor) -> Tensor:
        """Mark the cells ``(*, L)`` of ``y`` that repeat a digit of their row, column or box.

        Raises:
            ValueError: when x is not made of the tokens of the task.
        """
        return self.rules.conflicts(self._board(x), y)

    def solutions(self, x: Tensor, cap: int) -> Tensor:
        """List up to ``cap`` boards ``(n_boards, L)`` that answer x ``(L_x,)``, always the same, in order of cells.

        Raises:
            ValueError: when x is not one question of the task, or for a ``cap`` below 1.
        """
        return self.rules.solutions(self._board(x), cap)

    def count(self, x: Tensor, cap: int) -> int:
        """Count the boards that answer x, stopping at ``cap``; that of all boards is known. Raises as ``solutions``.

        >>> SudokuGeneration(box=3, test=0, validation=0).count(torch.empty(0), cap=10**30)
        6670903752021072936960
        """
        board = self._board(x)
        if cap >= 1 and board.ndim == 1 and bool((board == self.rules.blank).all()):
            return min(cap, _BOARDS[self.box])
        return self.rules.count(board, cap)

    def _board(self, x: Tensor) -> Tensor:
        """Return the boards ``(*, L)`` that the questions ``(*, L_x)`` stand for."""
        if x.shape[-1:] != (self.spec.length,):
            raise ValueError(
                f"expected questions of {self.spec.length} tokens (*, {self.spec.length}), got {tuple(x.shape)}: "
                "ask the questions of task.test"
            )
        return x if self.spec.length else x.new_full((*x.shape[:-1], self.rules.spec.length), self.rules.blank)

"""The rules of n×n Sudoku on tokens: reading, printing, checking and solving boards."""

from __future__ import annotations

import torch
from torch import Tensor

from gram_ppl.tasks.sudoku_solver import solver
from gram_ppl.types import TaskSpec

PAD = 0
BLANK = 1

_DIGITS = "123456789ABCDEFG"


class SudokuRules:
    """Know what a board, a clue and a solution are in the n×n game, n = box².

    Tokens, in questions and answers alike: 0 pad, 1 blank, 2..n+1 the digits 1..n. Pad carries no clue, as blank.

    Args:
        box: side of a box in cells: 2 (4×4), 3 (9×9) or 4 (16×16).

    Attributes:
        blank: the token of a cell without a clue.
        symbols: the text of each token.

    Raises:
        ValueError: for another ``box``.

    >>> rules = SudokuRules(box=2)
    >>> x = rules.encode("1234 34.. .... ....")
    >>> rules.count(x, cap=100)
    6
    >>> rules.decode(rules.solutions(x, cap=1)[0])
    '1234342121434312'
    """

    blank = BLANK

    def __init__(self, box: int) -> None:
        if box not in (2, 3, 4):
            raise ValueError(f"expected box 2 (4×4), 3 (9×9) or 4 (16×16), got {box!r}")
        self.box = box
        self.n = box * box
        vocabulary = self.n + 2
        self.spec = TaskSpec(self.n * self.n, vocabulary, vocabulary, grid=(self.n, self.n))
        self.digits = _DIGITS[: self.n]
        self.symbols = ("", ".", *self.digits)

    def encode(self, text: str) -> Tensor:
        """Read a board ``(L,)`` from its cells in reading order; ``.`` or ``0`` is blank, white space is skipped.

        Raises:
            ValueError: for a wrong number of cells or an unknown character.
        """
        cells = "".join(text.split())
        if len(cells) != self.spec.length:
            raise ValueError(f"expected {self.spec.length} cells, got {len(cells)}: write blanks as '.' or '0'")
        for position, symbol in enumerate(cells, start=1):
            if symbol not in self.digits + ".0":
                raise ValueError(f"expected one of {self.digits!r}, '.' or '0' in cell {position}, got {symbol!r}")
        return torch.tensor([self.digits.find(symbol) + 2 for symbol in cells])

    def decode(self, board: Tensor) -> str:
        """Print a board ``(L,)`` as its cells in reading order, with ``.`` for blank and pad.

        Raises:
            ValueError: for another shape or a token outside the vocabulary.
        """
        self._check_one("board", board)
        return "".join(self.symbols[max(token, BLANK)] for token in board.tolist())

    def is_valid(self, x: Tensor, y: Tensor) -> Tensor:
        """Tell which answers ``y`` ``(*, L)`` complete the board by the rules and keep every clue of ``x`` ``(*, L)``.

        Leading dimensions broadcast. Works on the device of its inputs.

        Raises:
            ValueError: for a wrong length, a dtype that is not integer, or a token outside the vocabulary.
        """
        self._check("x", x)
        self._check("y", y)
        return self.is_complete(y) & self.keeps_clues(x, y)

    def is_complete(self, y: Tensor) -> Tensor:
        """Tell which boards ``(*, L)`` hold every digit once in each row, column and box."""
        # n powers of two sum to n distinct bits only when no two are equal, so a unit is right iff its sum is.
        return (self._units(self._digit_bits(y)).sum(-1) == (1 << self.n) - 1).all(-1)

    def keeps_clues(self, x: Tensor, y: Tensor) -> Tensor:
        """Tell which boards ``y`` ``(*, L)`` agree with every clue of ``x`` ``(*, L)``."""
        return ((x <= BLANK) | (x == y)).all(-1)

    def has_conflict(self, x: Tensor) -> Tensor:
        """Tell which questions ``(*, L)`` give a digit twice in a row, column or box."""
        return (self._repeated(self._units(self._digit_bits(x))) != 0).any(-1)

    def conflicts(self, x: Tensor, y: Tensor) -> Tensor:
        """Mark the cells ``(*, L)`` of answers y that repeat a digit of their unit, or break a clue of x."""
        units = self._units(self._digit_bits(y))
        wrong = (units & self._repeated(units)[..., None]) != 0
        cells = self._units(torch.arange(self.spec.length, device=y.device)).flatten()
        counts = torch.zeros(y.shape, dtype=torch.int32, device=y.device).index_add(-1, cells, wrong.flatten(-2).int())
        return (counts > 0) | ((x > BLANK) & (x != y))

    def _repeated(self, units: Tensor) -> Tensor:
        """Return the bits ``(*, 3n)`` of the digits that come twice among the cells ``(*, 3n, n)`` of each unit."""
        seen = torch.zeros_like(units[..., 0])
        repeated = torch.zeros_like(seen)
        for cell in units.unbind(-1):
            repeated |= seen & cell
            seen |= cell
        return repeated

    def solutions(self, x: Tensor, cap: int) -> Tensor:
        """List up to ``cap`` solutions ``(n_solutions, L)`` of one question ``(L,)``, in increasing order of cells.

        Raises:
            ValueError: for another shape, a token outside the vocabulary, clues in conflict, or ``cap`` below 1.
        """
        found = solver(self.box).solutions(self._clues(x, cap), cap)
        return torch.tensor(found, dtype=torch.long, device=x.device).reshape(-1, self.spec.length) + 1

    def count(self, x: Tensor, cap: int) -> int:
        """Count the solutions of one question ``(L,)``, stopping at ``cap``; raises as ``solutions`` does."""
        return solver(self.box).count(self._clues(x, cap), cap)

    def _clues(self, x: Tensor, cap: int) -> list[int]:
        if cap < 1:
            raise ValueError(f"expected a cap of at least 1 solution, got {cap}")
        self._check_one("x", x)
        if self.has_conflict(x):
            raise ValueError(
                f"expected clues without a repeated digit, got a conflict in {self.decode(x)}: "
                "no digit may come twice in a row, column or box"
            )
        return [max(token - 1, 0) for token in x.tolist()]

    def _units(self, cells: Tensor) -> Tensor:
        """Gather the rows, columns and boxes ``(*, 3n, n)`` of ``(*, L)``."""
        lead = cells.shape[:-1]
        rows = cells.reshape(*lead, self.n, self.n)
        boxes = cells.reshape(*lead, self.box, self.box, self.box, self.box).transpose(-3, -2).reshape(rows.shape)
        return torch.cat([rows, rows.mT, boxes], dim=-2)

    def _digit_bits(self, tokens: Tensor) -> Tensor:
        """Map digit d to 2^(d-1), pad and blank to 0."""
        tokens = tokens.int()
        return torch.where(tokens > BLANK, 1 << (tokens - 2).clamp(min=0), 0)

    def _check_one(self, name: str, board: Tensor) -> None:
        if board.shape != (self.spec.length,):
            raise ValueError(
                f"expected one board {name} of shape ({self.spec.length},), got {tuple(board.shape)}: pass a single row"
            )
        self._check(name, board)

    def _check(self, name: str, tokens: Tensor) -> None:
        length, vocabulary = self.spec.length, self.spec.input_vocab
        if tokens.shape[-1:] != (length,):
            raise ValueError(
                f"expected {name} of shape (*, {length}), got {tuple(tokens.shape)}: is box={self.box} right?"
            )
        if tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
            raise ValueError(f"expected integer tokens in {name}, got {tokens.dtype}: decode logits with argmax first")
        if tokens.numel() and not bool(((tokens >= 0) & (tokens < vocabulary)).all()):
            raise ValueError(
                f"expected tokens 0..{vocabulary - 1} in {name} (0 pad, 1 blank, 2.. digits), "
                f"got {int(tokens.min())}..{int(tokens.max())}: encode digit d as d + 1"
            )

"""Exact enumeration of Sudoku solutions by bit-parallel constraint propagation."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice, product
from typing import NamedTuple


class Family(NamedTuple):
    """One kind of constraint (cell, row, column or box) over all candidates at once.

    Constraint i of the family starts at bit ``base`` i and owns that bit shifted by each of ``shifts``: exactly one of
    these candidates is true in a solution. ``spread`` times a mask of bases is the mask of all their candidates.
    """

    base: int
    shifts: tuple[int, ...]
    spread: int


class SudokuSolver:
    """Enumerate the solutions of n×n Sudoku, n = box².

    The n³ candidates (digit, row, column) are the bits of one integer, so that "which constraints have exactly one
    candidate left" is a handful of shifts for all cells, rows, columns and boxes together. Propagation places every
    such single; the search then branches on a cell with the fewest candidates, most eliminations first.

    Args:
        box: side of a box in cells, at least 1.

    Raises:
        ValueError: when ``box`` is not positive.

    >>> SudokuSolver(box=2).count([0] * 16, cap=1000)
    288
    """

    def __init__(self, box: int) -> None:
        if box < 1:
            raise ValueError(f"expected a box side of at least 1, got {box}; 3 is the 9×9 game")
        self.box = box
        self.n = box * box
        self.cells = self.n * self.n
        self.all_candidates = (1 << (self.cells * self.n)) - 1
        self._families = _families(box)
        self._rivals = tuple(self._rivals_of(bit) for bit in range(self.cells * self.n))

    def solutions(self, clues: Sequence[int], cap: int) -> list[list[int]]:
        """List up to ``cap`` solutions of ``clues``, in increasing order of their cells.

        Args:
            clues: n² digits in reading order, 0 where blank. Conflicting clues have no solution.
            cap: most solutions to look for; which ones are found does not change between runs.
        """
        return sorted(map(self.digits, islice(self.search(self.candidates(clues)), cap)))

    def count(self, clues: Sequence[int], cap: int) -> int:
        """Count the solutions of ``clues``, stopping at ``cap``."""
        return sum(1 for _ in islice(self.search(self.candidates(clues)), cap))

    def board(self, rng: random.Random) -> list[int]:
        """Draw a complete board by a search in random order: every board can come, though not equally often."""
        solved = None
        while solved is None:
            solved = next(self.search(self.candidates(self._random_diagonal(rng)), rng), None)
        return self.digits(solved)

    def puzzle(self, board: Sequence[int], clues: int, rng: random.Random) -> list[int]:
        """Blank cells of ``board`` in random order while its solution stays unique.

        Stops at ``clues`` clues, or with more when no cell can go: the question is then minimal.
        """
        question = list(board)
        for cell in rng.sample(range(self.cells), self.cells):
            if self.cells - question.count(0) <= clues:
                break
            question[cell] = 0
            others = self.candidates(question) & ~(1 << self.bit(cell, board[cell]))
            if next(self.search(others), None) is not None:
                question[cell] = board[cell]
        return question

    def candidates(self, clues: Sequence[int]) -> int:
        """Return the candidates that ``clues`` leave, as a mask."""
        mask = self.all_candidates
        for cell, digit in enumerate(clues):
            if digit:
                mask &= ~self._rivals[self.bit(cell, digit)]
        return mask

    def bit(self, cell: int, digit: int) -> int:
        """Return the position of candidate ``digit`` (1..n) of ``cell`` (0..n²-1)."""
        return (digit - 1) * self.cells + cell

    def digits(self, solved: int) -> list[int]:
        """Read the n² digits of a solved mask."""
        board = [0] * self.cells
        for bit in _bits(solved):
            board[bit % self.cells] = bit // self.cells + 1
        return board

    def search(self, candidates: int, rng: random.Random | None = None) -> Iterator[int]:
        """Yield each solution within ``candidates`` once, as a mask; branches are shuffled by ``rng`` when given."""
        stack = [(candidates, 0)]
        while stack:
            mask, placed = self._propagate(*stack.pop())
            if mask.bit_count() == self.cells:
                yield mask
            elif mask:
                branches = self._branches(mask)
                if rng is not None:
                    rng.shuffle(branches)
                stack.extend((branch, placed) for branch in branches)

    def _random_diagonal(self, rng: random.Random) -> list[int]:
        """Fill the boxes on the diagonal: no clue conflicts, but for small boxes not every filling has a solution."""
        clues = [0] * self.cells
        for corner in range(self.box):
            digits = rng.sample(range(1, self.n + 1), self.n)
            for digit, (row, column) in zip(digits, product(range(self.box), repeat=2), strict=True):
                clues[(corner * self.box + row) * self.n + corner * self.box + column] = digit
        return clues

    def _propagate(self, mask: int, placed: int) -> tuple[int, int]:
        """Place singles until none is left; return (candidates, placed), with 0 candidates on a contradiction."""
        while True:
            singles = 0
            for base, shifts, spread in self._families:
                once = twice = 0
                for shift in shifts:
                    slot = (mask >> shift) & base
                    twice |= once & slot
                    once |= slot
                if once != base:
                    return 0, placed
                singles |= mask & ((once & ~twice) * spread)
            singles &= ~placed
            if not singles:
                return mask, placed
            placed |= singles
            for bit in _bits(singles):
                mask &= ~self._rivals[bit]

    def _branches(self, mask: int) -> list[int]:
        """Split ``mask`` by the value of the cell that is best to branch on."""
        cell = min(self._open_cells(mask), key=lambda cell: self._branching_cost(mask, cell))
        return [mask & ~self._rivals[bit] for bit in _bits(cell)]

    def _open_cells(self, mask: int) -> list[int]:
        """Return the candidates of each cell that has two; without such a cell, of every undecided one."""
        base, shifts, spread = self._families[0]
        once = twice = thrice = 0
        for shift in shifts:
            slot = (mask >> shift) & base
            thrice |= twice & slot
            twice |= once & slot
            once |= slot
        return [mask & (spread << cell) for cell in _bits(twice & ~thrice or twice)]

    def _branching_cost(self, mask: int, cell: int) -> tuple[int, int]:
        eliminated = min((mask & self._rivals[bit]).bit_count() for bit in _bits(cell))
        return cell.bit_count(), -eliminated

    def _rivals_of(self, bit: int) -> int:
        """Return the candidates that share a constraint with ``bit``, without itself."""
        shared = 0
        for base, shifts, spread in self._families:
            start = next(bit - shift for shift in shifts if bit >= shift and base >> (bit - shift) & 1)
            shared |= spread << start
        return shared & ~(1 << bit)


@lru_cache(maxsize=4)
def solver(box: int) -> SudokuSolver:
    """Return the solver of this ``box``, whose tables are built once."""
    return SudokuSolver(box)


def _families(box: int) -> tuple[Family, ...]:
    n = box * box
    line, side = range(n), range(box)
    digit = [d * n * n for d in line]
    boxes = [n * box * i + box * j for i, j in product(side, side)]
    return (
        _family([n * r + c for r, c in product(line, line)], digit),
        _family([d + n * r for d, r in product(digit, line)], list(line)),
        _family([d + c for d, c in product(digit, line)], [n * r for r in line]),
        _family([d + b for d, b in product(digit, boxes)], [n * i + j for i, j in product(side, side)]),
    )


def _family(bases: Sequence[int], shifts: Sequence[int]) -> Family:
    return Family(sum(1 << base for base in bases), tuple(shifts), sum(1 << shift for shift in shifts))


def _bits(mask: int) -> Iterator[int]:
    while mask:
        bit = mask.bit_length() - 1
        mask ^= 1 << bit
        yield bit

"""A tiny real task, n × n Latin squares, whose solutions can be enumerated, and known samplers on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import permutations, product

import pytest
import torch
import xarray as xr
from torch import Tensor

from gram_ppl.diagnostics import to_datatree
from gram_ppl.types import Draws, TaskSpec


@cache
def all_squares(order: int) -> Tensor:
    """Every Latin square of this order, tokens 2.., as ``(n, order * order)``."""
    rows = list(permutations(range(2, order + 2)))
    squares = [
        s for s in product(rows, repeat=order) if all(len(set(column)) == order for column in zip(*s, strict=True))
    ]
    return torch.tensor(squares).flatten(1)


class LatinSquares:
    """Complete a partly filled Latin square: token 1 is blank, 2.. are the symbols."""

    blank = 1

    def __init__(self, order: int = 3) -> None:
        self.order = order
        self.spec = TaskSpec(order * order, order + 2, order + 2, grid=(order, order))
        self.symbols = ["", "·", *"ABCDEFG"[:order]]

    def is_valid(self, x: Tensor, y: Tensor) -> Tensor:
        return ~self.conflicts(x, y).any(-1)

    def conflicts(self, x: Tensor, y: Tensor) -> Tensor:
        square = y.unflatten(-1, (self.order, self.order))
        twice = (square[..., :, None] == square[..., None, :]).sum(-1) > 1
        twice |= ((square.mT[..., :, None] == square.mT[..., None, :]).sum(-1) > 1).mT
        return twice.flatten(-2) | ((x != self.blank) & (x != y)) | (y <= self.blank)

    def solutions(self, x: Tensor, cap: int = 1000) -> Tensor:
        squares = all_squares(self.order)
        return squares[((squares == x) | (x == self.blank)).all(-1)][:cap]

    def count(self, x: Tensor, cap: int = 1000) -> int:
        return len(self.solutions(x, cap))


def puzzles(task: LatinSquares, number: int, clues: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Questions with this many clues, and one answer to each."""
    generator = torch.Generator().manual_seed(seed)
    squares = all_squares(task.order)
    y = squares[torch.randint(len(squares), (number,), generator=generator)]
    kept = torch.rand(y.shape, generator=generator).argsort(-1) < clues
    return torch.where(kept, y, task.blank), y


def uniform_draws(task: LatinSquares, x: Tensor, width: int, wrong: float = 0.0, seed: int = 0) -> Draws:
    """Draw uniformly among the solutions; with probability ``wrong`` change one cell."""
    generator = torch.Generator().manual_seed(seed)
    solutions = [task.solutions(question) for question in x]
    y = torch.stack([s[torch.randint(len(s), (width,), generator=generator)] for s in solutions], 1)
    cell = torch.randint(y.shape[-1], y.shape[:2], generator=generator)[..., None]
    spoiled = y.scatter(-1, cell, 2 + (y.gather(-1, cell) - 1) % task.order)
    broken = torch.rand(y.shape[:2], generator=generator) < wrong
    return Draws(x=x, y=torch.where(broken[..., None], spoiled, y), supervision_steps=4)


@pytest.fixture
def task() -> LatinSquares:
    return LatinSquares(3)


@pytest.fixture
def sample() -> Callable[..., Draws]:
    return uniform_draws


@pytest.fixture
def draws(task: LatinSquares) -> Draws:
    x, _ = puzzles(task, number=6, clues=2)
    return uniform_draws(task, x, width=16, wrong=0.25)


@pytest.fixture
def tree(draws: Draws, task: LatinSquares) -> xr.DataTree:
    return to_datatree(draws, task)


@pytest.fixture
def small_task() -> LatinSquares:
    return LatinSquares(2)


@pytest.fixture
def few(small_task: LatinSquares) -> Draws:
    """Four draws of two puzzles: the first has two solutions, one of them drawn three times; the second has one."""
    good, bad, worse = [2, 3, 3, 2], [2, 2, 3, 3], [3, 3, 2, 2]
    y = torch.tensor([[good, bad], [good, good], [good, bad], [bad, worse]])
    return Draws(x=torch.tensor([[1, 1, 1, 1], [2, 1, 1, 1]]), y=y, supervision_steps=3)


@pytest.fixture
def few_tree(few: Draws, small_task: LatinSquares) -> xr.DataTree:
    return to_datatree(few, small_task)

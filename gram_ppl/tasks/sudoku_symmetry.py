"""The symmetries of Sudoku: rearrangements of cells and digits that keep the rules."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Symmetry:
    """One symmetry per row of a batch.

    These are the augmentations of Sudoku-Extreme (arXiv 2506.21734): permutations of the digits, of the bands, of the
    rows within a band, of the stacks, of the columns within a stack, and transposition.

    Args:
        cells: ``(B, L)``, the cell that each cell takes its token from.
        tokens: ``(B, V)``, the token that each token becomes; pad and blank stay.
    """

    cells: Tensor
    tokens: Tensor

    @classmethod
    def random(cls, box: int, count: int, generator: torch.Generator) -> Symmetry:
        """Draw ``count`` symmetries of the n×n game, n = box², uniformly and independently."""
        n = box * box
        rows, columns = _lines(box, count, generator), _lines(box, count, generator)
        cells = n * rows[:, :, None] + columns[:, None, :]
        transposed = torch.rand(count, 1, 1, generator=generator) < 0.5
        unchanged = torch.tensor([0, 1]).expand(count, 2)
        digits = _permutations(count, n, generator=generator) + 2
        return cls(torch.where(transposed, cells.mT, cells).flatten(1), torch.cat([unchanged, digits], dim=1))

    def __call__(self, boards: Tensor) -> Tensor:
        """Apply row b's symmetry to row b of ``boards`` ``(B, L)``, questions and answers alike."""
        return self.tokens.gather(1, boards.gather(1, self.cells))


def _lines(box: int, count: int, generator: torch.Generator) -> Tensor:
    """Draw orders ``(count, n)`` of the rows that keep each band together."""
    bands = _permutations(count, box, generator=generator)
    within = _permutations(count, box, box, generator=generator)
    return (box * bands[:, :, None] + within).flatten(1)


def _permutations(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.rand(*shape, generator=generator).argsort(-1)

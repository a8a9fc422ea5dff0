"""Distinct questions with every solution of each: the data of a task that can be enumerated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gram_ppl.types import Batch


@dataclass(frozen=True)
class Solved:
    """Questions and all their solutions, in any compact integer form.

    Args:
        x: distinct questions ``(N, L_x)``.
        y: their solutions ``(M, L_y)``, question by question.
        first: ``(N + 1,)``: the solutions of question i are ``y[first[i] : first[i + 1]]``.
    """

    x: Tensor
    y: Tensor
    first: Tensor

    @classmethod
    def from_pairs(cls, x: Tensor, y: Tensor) -> Solved:
        """Group M pairs of a question ``(M, L_x)`` and one of its solutions ``(M, L_y)`` by question.

        >>> solved = Solved.from_pairs(torch.tensor([[1], [0], [1]]), torch.tensor([[5], [6], [7]]))
        >>> solved.x.tolist(), solved.y.tolist(), solved.counts.tolist()
        ([[0], [1]], [[6], [5], [7]], [1, 2])
        """
        questions, inverse = torch.unique(x, dim=0, return_inverse=True)
        counts = torch.bincount(inverse, minlength=len(questions))
        return cls(questions, y[inverse.argsort(stable=True)], _starts(counts))

    @property
    def counts(self) -> Tensor:
        """Number of solutions of each question ``(N,)``."""
        return self.first.diff()

    def __len__(self) -> int:
        return len(self.x)

    def select(self, rows: Tensor) -> Solved:
        """Keep the questions ``rows (n,)``, in that order, with their solutions."""
        counts = self.counts[rows]
        first = _starts(counts)
        within = torch.arange(int(first[-1])) - first[:-1].repeat_interleave(counts)
        return Solved(self.x[rows], self.y[self.first[rows].repeat_interleave(counts) + within], first)

    def draw(self, rows: Tensor, generator: torch.Generator) -> Batch:
        """Draw one solution to each of the questions ``rows (n,)``, uniformly among all it has."""
        counts = self.counts[rows]
        chosen = (torch.rand(len(rows), generator=generator, dtype=torch.float64) * counts).long()
        return Batch(self.x[rows], self.y[self.first[rows] + chosen])


def _starts(counts: Tensor) -> Tensor:
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])

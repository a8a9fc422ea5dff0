"""The nouns that cross module boundaries, and the symbol table of the library.

======== ============================================================= ====================
symbol   meaning                                                       shape
======== ============================================================= ====================
x        input tokens (the question)                                   ``(*, L)`` long
y        output tokens (the answer)                                    ``(*, L)`` long
e_x      embedding of x, computed once and reused                      ``(*, L, D)``
h, l     high- and low-level latent                                    ``(*, L, D)``
u        deterministic proposal for the next h                         ``(*, L, D)``
eps      stochastic guidance: ``h = u + eps``                          ``(*, L, D)``
K        low-level refinements in one transition                       ``refinements``
T        transitions in one supervision step                           ``transitions``
N_sup    supervision steps in one rollout                              ``supervision_steps``
W        width: parallel trajectories for one input                    ``width``
======== ============================================================= ====================

Source: *Generative Recursive Reasoning*, arXiv 2605.19376, Section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


@dataclass(frozen=True)
class TaskSpec:
    """What a model must know of a task: how many tokens, of which vocabulary, on which grid.

    Args:
        length: tokens L in x and in y.
        input_vocab: number of distinct input tokens; 0 for a task without question.
        output_vocab: number of distinct output tokens.
        grid: ``(rows, columns)`` when the tokens lie on a grid, for pictures; else None.

    Raises:
        ValueError: when a size is too small or the grid does not hold ``length`` tokens.
    """

    length: int
    input_vocab: int
    output_vocab: int
    grid: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name, least in (("length", 1), ("input_vocab", 0), ("output_vocab", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"TaskSpec.{name} must be at least {least}, got {getattr(self, name)}")
        if self.grid is not None and self.grid[0] * self.grid[1] != self.length:
            raise ValueError(
                f"TaskSpec.grid {self.grid} holds {self.grid[0] * self.grid[1]} tokens, length is {self.length}"
            )


class State(NamedTuple):
    """The latent state z = (h, l) between transitions, each ``(*batch, L, D)``."""

    h: Tensor
    l: Tensor

    def detach(self) -> State:
        """Return the same values without their graph: what is carried to the next supervision step."""
        return State(self.h.detach(), self.l.detach())


class Batch(NamedTuple):
    """Questions and one answer to each, both ``(B, L)`` long tensors of tokens."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Draws:
    """Answers drawn from the prior program p(y | x), one trajectory per draw.

    Args:
        x: questions ``(B, L)``.
        y: answers ``(W, B, L)``: draw w of puzzle b is ``y[w, b]``.
        supervision_steps: supervision steps N_sup each trajectory ran.
    """

    x: Tensor
    y: Tensor
    supervision_steps: int

    @property
    def width(self) -> int:
        """Number of trajectories W per puzzle."""
        return self.y.shape[0]

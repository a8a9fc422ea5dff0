"""The nouns that cross module boundaries, and the symbol table of the library.

======== ============================================================= ====================
symbol   meaning                                                       shape
======== ============================================================= ====================
x        input tokens (the question)                                   ``(*, L_x)`` long
y        output tokens (the answer)                                    ``(*, L_y)`` long
e_x      embedding of x, computed once and reused                      ``(*, L, D)``
h, l     high- and low-level latent                                    ``(*, L, D)``
u        deterministic proposal for the next h                         ``(*, L, D)``
eps      stochastic guidance: ``h = u + eps``                          ``(*, L, D)``
K        low-level refinements in one transition                       ``refinements``
T        transitions in one supervision step                           ``transitions``
N_sup    supervision steps in one rollout                              ``supervision_steps``
W        width: parallel trajectories for one input                    ``width``
======== ============================================================= ====================

L_x = L_y = L where question and answer lie on the same tokens; else the latent holds both, L = L_x + L_y.

Source: *Generative Recursive Reasoning*, arXiv 2605.19376, Section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class TaskSpec:
    """What a model must know of a task: how many tokens, of which vocabulary, on which grid.

    Args:
        length: tokens L_x of x, and of y as well unless ``output_length`` is given.
        input_vocab: number of distinct input tokens.
        output_vocab: number of distinct output tokens.
        grid: ``(rows, columns)`` when the tokens of y lie on a grid, for pictures; else None.
        output_length: tokens L_y of y when they are not the tokens of x: the latent then holds the
            L_x tokens of the question followed by the L_y tokens of the answer.

    A task without question has ``length=0``, ``input_vocab=0`` and an ``output_length``.

    Raises:
        ValueError: when a size is too small, length and vocabulary of x disagree on whether there is a question, or
            the grid does not hold the tokens of y.

    >>> TaskSpec(length=28, input_vocab=3, output_vocab=6, output_length=8).latent_length
    36
    """

    length: int
    input_vocab: int
    output_vocab: int
    grid: tuple[int, int] | None = None
    output_length: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("length", 0), ("input_vocab", 0), ("output_vocab", 1), ("target_length", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"TaskSpec.{name} must be at least {least}, got {getattr(self, name)}")
        if (self.length == 0) != (self.input_vocab == 0):
            raise ValueError(
                f"TaskSpec of a task without question needs length=0 and input_vocab=0, got length={self.length} and "
                f"input_vocab={self.input_vocab}: give the tokens of the answer as output_length"
            )
        if self.grid is not None and self.grid[0] * self.grid[1] != self.target_length:
            raise ValueError(
                f"TaskSpec.grid {self.grid} holds {self.grid[0] * self.grid[1]} tokens, y has {self.target_length}"
            )

    @property
    def target_length(self) -> int:
        """Tokens L_y of an answer."""
        return self.length if self.output_length is None else self.output_length

    def without_question(self) -> TaskSpec:
        """Return the task of the same answers to no question."""
        return replace(self, length=0, input_vocab=0, output_length=self.target_length)

    @property
    def latent_length(self) -> int:
        """Tokens L of the latent: one for each token of the question, and of the answer where it has its own."""
        return self.length + (self.output_length or 0)


BLANK = torch.empty(0, dtype=torch.long)
"""The empty question of an unconditional model: a question of no tokens; ``BLANK.expand(64, 0)`` asks it 64 times."""


class State(NamedTuple):
    """The latent state z = (h, l) between transitions, each ``(*batch, L, D)``."""

    h: Tensor
    l: Tensor

    def detach(self) -> State:
        """Return the same values without their graph: what is carried to the next supervision step."""
        return State(self.h.detach(), self.l.detach())


class Batch(NamedTuple):
    """Questions ``(B, L_x)`` and one answer ``(B, L_y)`` to each, long tensors of tokens."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Draws:
    """Answers drawn from the prior program p(y | x), one trajectory per draw.

    Args:
        x: questions ``(B, L_x)``.
        y: answers ``(W, B, L_y)``: draw w of puzzle b is ``y[w, b]``.
        supervision_steps: supervision steps N_sup each trajectory ran.
    """

    x: Tensor
    y: Tensor
    supervision_steps: int

    @property
    def width(self) -> int:
        """Number of trajectories W per puzzle."""
        return self.y.shape[0]

"""Selection by agreement: the answer most trajectories reach."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gram_ppl.types import Draws


class Vote(NamedTuple):
    """The most frequent whole answer to each puzzle, ``y (B, L)``, and its ``share (B,)`` of the draws."""

    y: Tensor
    share: Tensor


def majority_vote(draws: Draws) -> Vote:
    """Select the whole answer most draws agree on; the earliest drawn wins a tie.

    A whole answer is compared, not one cell at a time, so the result was always drawn and is as coherent as a draw.

    Args:
        draws: answers ``y (W, B, L)``.

    Returns:
        The chosen answers ``(B, L)`` and their shares ``(B,)`` in ``(0, 1]``.

    Raises:
        ValueError: when the draws are empty or not ``(W, B, L)``.

    Source: self-consistency, arXiv 2203.11171.

    >>> y = torch.tensor([[[1, 2]], [[3, 4]], [[3, 4]]])
    >>> majority_vote(Draws(x=torch.zeros(1, 2).long(), y=y, supervision_steps=1)).y
    tensor([[3, 4]])
    """
    counts, winner = multiplicity(draws.y).max(dim=0)
    chosen = draws.y.take_along_dim(winner[None, :, None], dim=0)[0]
    return Vote(chosen, counts / draws.width)


def multiplicity(y: Tensor) -> Tensor:
    """Count how often each answer was drawn, at the first draw that gave it.

    Args:
        y: answers ``(W, B, L)``.

    Returns:
        Counts ``(W, B)``: zero where an earlier draw gave the same answer, so each column sums to W and has one
        positive entry per distinct answer.

    Raises:
        ValueError: when ``y`` is empty or not ``(W, B, L)``.
    """
    first = _first_equal_draw(y)
    return torch.zeros_like(first).scatter_add_(0, first, torch.ones_like(first))


def _first_equal_draw(y: Tensor) -> Tensor:
    """Return ``(W, B)``: the earliest draw equal to each draw of the same puzzle."""
    if y.ndim != 3 or 0 in y.shape:
        raise ValueError(
            f"expected answers (W, B, L) with at least one draw, got {tuple(y.shape)}; add the missing axis"
        )
    width, puzzles, _ = y.shape
    draw = torch.arange(width, device=y.device)[:, None].expand(width, puzzles)
    puzzle = torch.arange(puzzles, device=y.device).expand(width, puzzles)
    _, label = torch.cat([puzzle[..., None], y], -1).flatten(0, 1).unique(dim=0, return_inverse=True)
    earliest = torch.full_like(label, width).scatter_reduce_(0, label, draw.flatten(), "amin")
    return earliest[label].view(width, puzzles)

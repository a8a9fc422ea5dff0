"""What the families that a GRAM is compared with have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gram_ppl.model.gram import batch_shape, check_batches, check_question, check_tokens
from gram_ppl.types import Draws, TaskSpec

Draw = Callable[[Tensor, int], Tensor]

_ELEMENTS = 2**28


class Baseline(nn.Module, ABC):
    """A model p(y | x) with an exact likelihood; a family defines ``_log_prob``, ``_sample`` and ``footprint``.

    Args:
        spec: tokens and vocabularies of the task.
        footprint: numbers that one draw keeps in memory, which decides how many are made at once.
    """

    def __init__(self, spec: TaskSpec, footprint: int) -> None:
        super().__init__()
        self.spec, self.footprint = spec, footprint

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log p(y | x) in nats of the whole answer, ``(*batch,)``.

        Args:
            x: questions ``(*batch, L_x)``; ``gp.BLANK`` for a task without question.
            y: answers ``(*batch, L_y)``; the batch shapes broadcast.

        Raises:
            ValueError: when x or y does not fit the task.
        """
        check_question(x, self.spec)
        check_tokens("y", y, self.spec.target_length, self.spec.output_vocab)
        check_batches(x, y)
        return self._log_prob(x, y)

    def sample(self, x: Tensor, width: int, *, chunk: int | None = None) -> Tensor:
        """Draw ``width`` independent answers to each question from p(y | x).

        Args:
            x: questions ``(*batch, L_x)``; ``gp.BLANK`` for a task without question.
            width: answers W for each question.
            chunk: answers drawn at once; None chooses by size.

        Returns:
            Answers ``(W, *batch, L_y)``.

        Raises:
            ValueError: when x does not fit the task or is empty, or a count is below 1.
        """
        return self._in_chunks(self._sample, x, width, chunk)

    def draw(self, x: Tensor, width: int = 32, *, chunk: int | None = None) -> Draws:
        """Return what :meth:`sample` does as draws of one supervision step, to be judged like those of a GRAM."""
        return Draws(x=x, y=self.sample(x, width, chunk=chunk), supervision_steps=1)

    def _in_chunks(self, draw: Draw, x: Tensor, width: int, chunk: int | None) -> Tensor:
        check_question(x, self.spec)
        for name, value in (("width", width), ("chunk", chunk)):
            if value is not None and value < 1:
                raise ValueError(f"{name} should be at least 1, got {value}")
        lead = batch_shape(x)
        if not lead.numel():
            raise ValueError(f"x should hold at least one question, got batch shape {tuple(lead)}")
        limit = chunk or max(1, _ELEMENTS // self.footprint)
        rows = x.reshape(lead.numel(), x.shape[-1]).split(max(1, limit // width))
        y = torch.cat([_draw_piece(draw, piece, width, limit) for piece in rows], 1)
        return y.reshape(width, *lead, self.spec.target_length)

    @abstractmethod
    def _log_prob(self, x: Tensor, y: Tensor) -> Tensor: ...

    @abstractmethod
    def _sample(self, x: Tensor, width: int) -> Tensor:
        """Draw ``(width, B, L_y)`` for questions ``(B, L_x)``, all at once."""


def _draw_piece(draw: Draw, x: Tensor, width: int, limit: int) -> Tensor:
    sizes = [min(limit, width - start) for start in range(0, width, limit)]
    with torch.inference_mode():
        drawn = [draw(x, size) for size in sizes]
    return torch.cat(drawn)

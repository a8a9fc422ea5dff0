"""Endless training streams that never show a held-out question."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from gram_ppl.types import Batch

Draw = Callable[[int, torch.Generator], Batch]

_PATIENCE = 100


class HeldOut:
    """Recognise held-out questions by a 64-bit fingerprint.

    Two different questions share a fingerprint with probability about 2⁻⁶⁴; such a question is only skipped.

    Args:
        questions: tokens ``(N, L)``.
    """

    def __init__(self, questions: Tensor) -> None:
        generator = torch.Generator().manual_seed(0)
        limit = torch.iinfo(torch.int64).max
        self._weights = torch.randint(-limit, limit, questions.shape[-1:], generator=generator)
        self._prints = self.fingerprint(questions)

    def fingerprint(self, x: Tensor) -> Tensor:
        """Map questions ``(*, L)`` to integers ``(*,)``."""
        return (x * self._weights).sum(-1)

    def contains(self, x: Tensor) -> Tensor:
        """Tell which questions ``(B, L)`` are held out."""
        return torch.isin(self.fingerprint(x), self._prints)

    def remove_from(self, batch: Batch) -> Batch:
        """Return the rows of ``batch`` that are not held out."""
        fresh = ~self.contains(batch.x)
        return Batch(batch.x[fresh], batch.y[fresh])


def generator(*key: int) -> torch.Generator:
    """Return a generator seeded by non-negative integers; different keys give unrelated streams."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


def draw_distinct(draw: Draw, count: int, generator: torch.Generator) -> Batch:
    """Draw ``count`` rows whose questions all differ.

    Raises:
        ValueError: when 100 draws in a row bring no new question.
    """
    kept = draw(0, generator)
    idle = 0
    while len(kept.x) < count:
        size = len(kept.x)
        kept = _distinct(_joined(kept, draw(count - size, generator)))
        idle = idle + 1 if len(kept.x) == size else 0
        if idle == _PATIENCE:
            raise ValueError(
                f"expected {count} distinct held-out questions, found only {size}: hold out fewer or widen the clues"
            )
    return kept


def stream(
    draw: Draw,
    held_out: HeldOut,
    batch_size: int,
    generator: torch.Generator,
    device: torch.device | str | None = None,
) -> Iterator[Batch]:
    """Return batches of ``batch_size`` rows from ``draw`` without end, skipping held-out questions.

    Raises:
        ValueError: for a ``batch_size`` below 1, and from the stream when 100 draws in a row bring held-out questions
            only.
    """
    if batch_size < 1:
        raise ValueError(f"expected a batch size of at least 1, got {batch_size}")
    return _batches(draw, held_out, batch_size, generator, device)


def _batches(
    draw: Draw, held_out: HeldOut, batch_size: int, generator: torch.Generator, device: torch.device | str | None
) -> Iterator[Batch]:
    while True:
        batch = _fresh(draw, held_out, batch_size, generator)
        yield batch if device is None else Batch(batch.x.to(device), batch.y.to(device))


def _fresh(draw: Draw, held_out: HeldOut, count: int, generator: torch.Generator) -> Batch:
    batch = held_out.remove_from(draw(count, generator))
    idle = 0
    while len(batch.x) < count:
        size = len(batch.x)
        batch = _joined(batch, held_out.remove_from(draw(count - size, generator)))
        idle = idle + 1 if len(batch.x) == size else 0
        if idle == _PATIENCE:
            raise ValueError("expected a training question, got held-out ones only: hold out fewer questions")
    return batch


def _joined(first: Batch, second: Batch) -> Batch:
    return Batch(torch.cat([first.x, second.x]), torch.cat([first.y, second.y]))


def _distinct(batch: Batch) -> Batch:
    """Keep the first row of each question, in the order drawn."""
    _, inverse = torch.unique(batch.x, dim=0, return_inverse=True)
    order = torch.arange(len(inverse))
    first = torch.full((int(inverse.max()) + 1,), len(inverse)).scatter_reduce(0, inverse, order, "amin")
    rows = first.sort().values
    return Batch(batch.x[rows], batch.y[rows])

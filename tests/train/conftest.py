"""A task that needs coordinated noise: the answer is the question moved by one offset, 0 or 1, for all tokens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import gram_ppl as gp


class Offset:
    """Answers ``(x + offset) % 3`` with an offset in {0, 1}: two solutions to every question."""

    spec = gp.TaskSpec(length=4, input_vocab=3, output_vocab=3)

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.interrupt_after = interrupt_after
        self.test, self.validation = (self._draw(64, torch.Generator().manual_seed(seed)) for seed in (0, 1))

    def loader(self, batch_size: int, *, seed: int = 0, device: torch.device | str | None = None) -> Iterator[gp.Batch]:
        generator, number = torch.Generator().manual_seed(2 + seed), 0
        while number != self.interrupt_after:
            number += 1
            yield self._draw(batch_size, generator)
        raise KeyboardInterrupt

    def is_valid(self, x: Tensor, y: Tensor) -> Tensor:
        offset = (y - x) % 3
        return (offset == offset[..., :1]).all(-1) & (offset[..., 0] < 2)

    def solutions(self, x: Tensor, cap: int = 2) -> Tensor:
        return torch.stack([x, (x + 1) % 3])[:cap]

    def count(self, x: Tensor, cap: int = 2) -> int:
        return min(2, cap)

    def _draw(self, count: int, generator: torch.Generator) -> gp.Batch:
        x = torch.randint(3, (count, 4), generator=generator)
        return gp.Batch(x, (x + torch.randint(2, (count, 1), generator=generator)) % 3)


@pytest.fixture
def task() -> Offset:
    return Offset()


@pytest.fixture
def interrupted_task() -> type[Offset]:
    return Offset


@pytest.fixture
def short() -> dict:
    """Arguments of a fit of seconds."""
    judge = gp.Judge(puzzles=16, width=4, supervision_steps=2)
    return {"updates": 12, "batch_size": 16, "warmup": 2, "judge": judge, "judge_every": 5, "progress": False}

"""Schedules: numbers that change over the updates of a training run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Schedule = float | Callable[[int], float]


@dataclass(frozen=True)
class Linear:
    """Go from ``start`` to ``stop`` over ``updates`` updates and stay there, for example as a ``kl_weight``.

    >>> Linear(start=1.0, stop=5.0, updates=100)(50)
    3.0
    """

    start: float
    stop: float
    updates: int

    def __post_init__(self) -> None:
        if self.updates < 1 or min(self.start, self.stop) < 0:
            raise ValueError(f"Linear needs updates of at least 1 and ends of at least 0, got {self}")

    def __call__(self, update: int) -> float:
        return self.start + (self.stop - self.start) * min(1.0, update / self.updates)


def warmup_cosine(progress: float, update: int, *, warmup: int, floor: float = 0.02) -> float:
    """Return the factor on the learning rate: linear over ``warmup`` updates, then half a cosine down to ``floor``.

    Args:
        progress: share of the whole training done, in [0, 1].
        update: updates done.
        warmup: updates of linear increase.
        floor: factor at the end.
    """
    cosine = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return cosine * min(1.0, (update + 1) / max(warmup, 1))

"""Schedules of the learning rate."""

from __future__ import annotations

import math


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

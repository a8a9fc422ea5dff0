"""Accuracy against known answers, for tasks with one answer per question."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gram_ppl.diagnostics.interval import clustered_wilson, wilson
from gram_ppl.select.vote import majority_vote
from gram_ppl.types import Draws

if TYPE_CHECKING:
    import pandas as pd


def accuracy(
    draws: Draws, y: Tensor, *, by: Tensor | None = None, edges: tuple[float, ...] = (), level: float = 0.95
) -> pd.DataFrame:
    """Tabulate how often the draws, and their majority vote, equal the answer.

    ==================== ===================================================================================
    ``puzzles``          puzzles in the group
    ``exact``, ``_low``… share of draws equal to the answer in every cell, with an interval over puzzles
    ``vote``, ``_low``…  share of puzzles whose most frequent draw is the answer, with its Wilson interval
    ``cells``            share of cells that equal the answer, over all draws
    ==================== ===================================================================================

    Args:
        draws: from :func:`gram_ppl.draw`.
        y: the answers ``(B, L)``.
        by: a number per puzzle ``(B,)``, such as its rating, to group by; the last row is always ``all``.
        edges: increasing boundaries of the groups: ``(0, 10)`` makes below 0, 0 to below 10, and 10 and above.
        level: confidence level.

    Raises:
        ValueError: when y or ``by`` does not match the draws, or the edges do not increase.
    """
    import pandas as pd

    if y.shape != draws.y.shape[1:]:
        raise ValueError(
            f"expected answers of shape {tuple(draws.y.shape[1:])}, got {tuple(y.shape)}: one per puzzle drawn"
        )
    rows = {name: _row(draws, y, chosen, level) for name, chosen in _groups(y, by, edges).items() if bool(chosen.any())}
    return pd.DataFrame.from_dict(rows, orient="index").astype({"puzzles": int})


def _groups(y: Tensor, by: Tensor | None, edges: tuple[float, ...]) -> dict[str, Tensor]:
    everyone = {"all": torch.ones(len(y), dtype=torch.bool, device=y.device)}
    if by is None or not edges:
        return everyone
    if by.shape != y.shape[:1] or list(edges) != sorted(set(edges)):
        raise ValueError(
            f"expected by of shape {tuple(y.shape[:1])} and increasing edges, got {tuple(by.shape)} and {edges}"
        )
    bounds = (float("-inf"), *edges, float("inf"))
    names = [_name(low, high) for low, high in pairwise(bounds)]
    boundaries = torch.tensor(edges, dtype=torch.float64, device=y.device)
    bucket = torch.bucketize(by.to(boundaries).contiguous(), boundaries, right=True)
    return {name: bucket == i for i, name in enumerate(names)} | everyone


def _name(low: float, high: float) -> str:
    if low == float("-inf"):
        return f"below {high:g}"
    return f"{low:g} and above" if high == float("inf") else f"{low:g} to {high:g}"


def _row(draws: Draws, y: Tensor, chosen: Tensor, level: float) -> dict[str, float]:
    part = Draws(draws.x[chosen], draws.y[:, chosen], draws.supervision_steps)
    right = part.y == y[chosen]
    exact = right.all(-1).double().mean(0)
    vote = (majority_vote(part).y == y[chosen]).all(-1).double()
    exact_low, exact_high = clustered_wilson(exact, part.width, level)
    vote_low, vote_high = wilson(vote.sum(), len(vote), level)
    return {
        "puzzles": len(vote),
        "exact": float(exact.mean()),
        "exact_low": float(exact_low),
        "exact_high": float(exact_high),
        "vote": float(vote.mean()),
        "vote_low": float(vote_low),
        "vote_high": float(vote_high),
        "cells": float(right.double().mean()),
    }

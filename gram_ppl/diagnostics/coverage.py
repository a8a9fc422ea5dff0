"""How many of a puzzle's solutions the draws find, and how many an ideal sampler would."""

from __future__ import annotations

import torch
from torch import Tensor

from gram_ppl.select.vote import multiplicity


def distinct_answers(y: Tensor) -> Tensor:
    """Count the distinct answers ``(B,)`` among draws ``y (W, B, L)``."""
    return (multiplicity(y) > 0).sum(0)


def distinct_valid(y: Tensor, valid: Tensor) -> Tensor:
    """Count the distinct valid answers ``(B,)`` among draws ``y (W, B, L)`` with ``valid (W, B)``."""
    return ((multiplicity(y) > 0) & valid).sum(0)


def coverage(found: Tensor, n_solutions: Tensor) -> Tensor:
    """Divide the distinct solutions found by all there are (arXiv 2605.19376, Section 4).

    Args:
        found: distinct valid answers ``(*)``.
        n_solutions: exact number of solutions n ``(*)``; NaN where it is not known.

    Returns:
        Coverage ``(*)`` in [0, 1]; NaN where n is not known or is 0. W draws reach W / n at most.

    Raises:
        ValueError: when more is found than exists, so that ``is_valid`` and the solution count disagree.

    >>> coverage(torch.tensor([3, 4]), torch.tensor([6.0, 100.0]))
    tensor([0.5000, 0.0400], dtype=torch.float64)
    """
    if bool((found > n_solutions).any()):
        raise ValueError(f"expected at most n_solutions distinct valid answers, got {found.tolist()} of "
                         f"{n_solutions.tolist()}; check that the task's is_valid and count agree")  # fmt: skip
    return found.double() / n_solutions.double()


def ideal_coverage(n_solutions: Tensor, width: int | Tensor) -> Tensor:
    r"""Return the expected coverage of W independent uniform draws over n solutions.

    .. math:: 1 - (1 - 1/n)^W

    Args:
        n_solutions: number of solutions n ``(*)``, NaN where it is not known.
        width: draws W, a number or a tensor that broadcasts with ``n_solutions``.

    Returns:
        Expected coverage in (0, 1]; NaN where n is not known or is 0.

    >>> ideal_coverage(torch.tensor([1.0, 2.0, 92.0]), 2)
    tensor([1.0000, 0.7500, 0.0216], dtype=torch.float64)
    """
    n, width = n_solutions.double(), torch.as_tensor(width, dtype=torch.float64, device=n_solutions.device)
    return torch.where(n > 0, -torch.expm1(width * torch.log1p(-1 / n)), torch.nan)


def coverage_curve(y: Tensor, valid: Tensor, n_solutions: Tensor) -> Tensor:
    """Return the expected coverage of w of the W draws, w = 1..W, exactly averaged over all subsets of the draws.

    An answer drawn m times is missed by a random subset of size w with probability C(W - m, w) / C(W, w).

    Args:
        y: answers ``(W, B, L)``.
        valid: which of them solve their puzzle ``(W, B)``.
        n_solutions: exact number of solutions ``(B,)``, NaN where it is not known.

    Returns:
        Coverage ``(W, B)``: row w - 1 divides what w draws find by n. The last row is :func:`coverage`.

    Source: rarefaction, S. H. Hurlbert, *The nonconcept of species diversity*, Ecology 52 (1971).
    """
    width, counts = len(y), multiplicity(y)
    answers_drawn = torch.zeros(width + 1, y.shape[1], dtype=torch.float64, device=y.device)
    answers_drawn.scatter_add_(0, counts, (valid & (counts > 0)).double())
    found = _seen_probability(width, y.device) @ answers_drawn
    return found / n_solutions.double()


def cell_entropy(y: Tensor) -> Tensor:
    """Return the plug-in entropy in nats of each cell's token over the draws: ``(W, B, L)`` to ``(B, L)``."""
    counts = torch.zeros(int(y.max()) + 1, *y.shape[1:], dtype=torch.float64, device=y.device)
    counts.scatter_add_(0, y, torch.ones_like(y, dtype=torch.float64))
    return _entropy(counts / len(y))


def answer_entropy(y: Tensor) -> Tensor:
    """Return the plug-in entropy in nats of the whole answer over W draws: ``(W, B, L)`` to ``(B,)``, at most log W."""
    return _entropy(multiplicity(y).double() / len(y))


def effective_number(entropy: Tensor) -> Tensor:
    """Return how many equally likely answers have this entropy in nats: its exponential."""
    return entropy.exp()


def _entropy(probability: Tensor) -> Tensor:
    return -torch.special.xlogy(probability, probability).sum(0) + 0.0


def _seen_probability(width: int, device: torch.device) -> Tensor:
    """Return ``(W, W + 1)``: entry (w - 1, m) is the chance that w of the W draws hold one of m equal draws."""
    w = torch.arange(1, width + 1, dtype=torch.float64, device=device)[:, None]
    others = width - torch.arange(width + 1, dtype=torch.float64, device=device)
    log_missed = _log_choose(others.clamp(min=w), w) - _log_choose(torch.full_like(w, width), w)
    return torch.where(others < w, 1.0, -torch.expm1(log_missed))


def _log_choose(n: Tensor, k: Tensor) -> Tensor:
    return torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)

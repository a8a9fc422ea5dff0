"""How far the answers drawn to one question are from uniform over its solutions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Uniformity:
    """The valid draws to one question against W independent uniform draws over its n solutions.

    Args:
        counts: how often each solution was drawn ``(n,)``.
        draws: valid draws W, the sum of ``counts``.
        invalid: draws that are no solution; they enter nothing else.
        chi_square: Pearson's statistic.
        p_value: chance that uniform draws have at least this statistic, by the chi-square law of n - 1 degrees of
            freedom, which holds well for W >= 10 and W² >= 10 n (K. Koehler and K. Larntz, JASA 75 (1980)); NaN for
            a single solution.
        tv: total variation distance from uniform, ``sum |counts / W - 1 / n| / 2``.
        tv_ideal: its expectation for uniform draws: above 0, as W draws cannot spread evenly.
        tv_ideal_low: lower end of the band that holds uniform draws, simulated.
        tv_ideal_high: upper end of that band.
        missed: solutions never drawn.
        missed_ideal: their expected number for uniform draws.
    """

    counts: Tensor = field(repr=False, compare=False)
    draws: int
    invalid: int
    chi_square: float
    p_value: float
    tv: float
    tv_ideal: float
    tv_ideal_low: float
    tv_ideal_high: float
    missed: int
    missed_ideal: float


def uniformity(
    y: Tensor, solutions: Tensor, *, level: float = 0.95, simulations: int = 1000, seed: int = 0
) -> Uniformity:
    r"""Compare the answers drawn to one question with uniform draws over its solutions.

    A finite sample is never exactly uniform: the expected distance of W uniform draws is, with
    :math:`\nu = \lfloor W / n \rfloor + 1`,

    .. math:: \mathrm{E}\,\mathrm{TV} = \frac{n}{W}\, \nu\, (1 - 1/n)\, \mathrm{P}(\mathrm{Binomial}(W, 1/n) = \nu)

    Args:
        y: answers ``(W, L)`` to one question.
        solutions: all its solutions ``(n, L)``, such as ``task.solutions(x, cap)`` lists.
        level: share of uniform samples within the band of the distance.
        simulations: uniform samples behind that band.
        seed: of these samples.

    Raises:
        ValueError: when the shapes do not fit, a solution is listed twice, no draw is valid, or ``level`` or
            ``simulations`` is out of range.

    Source: mean absolute deviation of a binomial: P. Diaconis and S. Zabell, *Closed form summation for classical
    distributions: variations on a theme of De Moivre*, Statistical Science 6 (1991).

    >>> solutions = torch.eye(4).long()
    >>> even = uniformity(solutions.repeat(25, 1), solutions)
    >>> even.tv, even.p_value, round(even.tv_ideal, 3)
    (0.0, 1.0, 0.069)
    """
    from scipy.stats import chi2

    if not 0 < level < 1 or simulations < 1:
        raise ValueError(f"expected level in (0, 1) and at least 1 simulation, got {level} and {simulations}")
    counts = _counts(y, solutions)
    n, draws = len(counts), int(counts.sum())
    if draws == 0:
        raise ValueError(f"expected at least one of the {len(y)} draws among the {n} solutions, got none; draw more")
    chi_square = float((counts.double() - draws / n).square().sum() * n / draws)
    low, high = _band(draws, n, level, simulations, seed)
    return Uniformity(
        counts=counts,
        draws=draws,
        invalid=len(y) - draws,
        chi_square=chi_square,
        p_value=float(chi2.sf(chi_square, n - 1)) if n > 1 else float("nan"),
        tv=float(_distance(counts.cpu().numpy())),
        tv_ideal=_expected_distance(draws, n),
        tv_ideal_low=low,
        tv_ideal_high=high,
        missed=int((counts == 0).sum()),
        missed_ideal=n * (1 - 1 / n) ** draws,
    )


def _counts(y: Tensor, solutions: Tensor) -> Tensor:
    """Count how often each of the solutions ``(n, L)`` is among the draws ``(W, L)``."""
    if y.ndim != 2 or solutions.ndim != 2 or y.shape[1] != solutions.shape[1] or 0 in (len(y), len(solutions)):
        raise ValueError(
            f"expected answers (W, L) and solutions (n, L) of one question, got {tuple(y.shape)} and "
            f"{tuple(solutions.shape)}; take one puzzle, draws.y[:, b]"
        )
    _, label = torch.cat([solutions, y]).unique(dim=0, return_inverse=True)
    listed, drawn = label.split([len(solutions), len(y)])
    repeats = len(listed) - len(listed.unique())
    if repeats:
        raise ValueError(f"expected {len(listed)} distinct solutions, got {repeats} repeats; list each once")
    return drawn.bincount(minlength=int(label.max()) + 1)[listed]


def _distance(counts: np.ndarray) -> np.ndarray:
    """Return the total variation distance of counts ``(*, n)`` from uniform."""
    shares = counts / counts.sum(-1, keepdims=True)
    return np.abs(shares - 1 / counts.shape[-1]).sum(-1) / 2


def _expected_distance(draws: int, n: int) -> float:
    from scipy.stats import binom

    mode = draws // n + 1
    return float(n / draws * mode * (1 - 1 / n) * binom.pmf(mode, draws, 1 / n))


def _band(draws: int, n: int, level: float, simulations: int, seed: int) -> tuple[float, float]:
    """Return the central ``level`` quantiles of the distance of uniform samples."""
    rng, uniform = np.random.default_rng(seed), np.full(n, 1 / n)
    distances = [_distance(rng.multinomial(draws, uniform)) for _ in range(simulations)]
    low, high = np.quantile(distances, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

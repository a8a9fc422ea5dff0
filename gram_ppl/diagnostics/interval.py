"""Intervals for proportions and means."""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor


class Interval(NamedTuple):
    """The ends of a confidence interval, tensors of one shape."""

    low: Tensor
    high: Tensor


def wilson(successes: Tensor | float, trials: Tensor | float, level: float = 0.95) -> Interval:
    """Bound a proportion from independent trials by the score interval.

    It stays inside [0, 1], is never empty at 0 or all successes, and is [0, 1] for no trials.

    Args:
        successes: successes, any shape; need not be whole, so an effective sample size can be used.
        trials: trials, a shape that broadcasts with ``successes``.
        level: confidence level in (0, 1).

    Raises:
        ValueError: when ``successes`` is outside [0, trials] or ``level`` outside (0, 1).

    Source: E. B. Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22 (1927).

    >>> [round(float(end), 3) for end in wilson(8, 10)]
    [0.49, 0.943]
    """
    s, n = _float64(successes), _float64(trials)
    if bool(((s < 0) | (s > n)).any()):
        raise ValueError(
            f"expected 0 <= successes <= trials, got successes {successes} of {trials}; pass counts, not shares"
        )
    z = _normal_quantile(level)
    centre = (s + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * (s * (n - s) / n.clamp(min=1e-12) + z**2 / 4).sqrt()
    return Interval((centre - half).clamp(min=0), (centre + half).clamp(max=1))


def mean_interval(values: Tensor, level: float = 0.95) -> Interval:
    """Bound the mean over the last axis by Student's t; entries that are NaN do not count.

    Args:
        values: independent values ``(*, B)``, for example one per puzzle.
        level: confidence level in (0, 1).

    Returns:
        Ends ``(*)``, NaN where fewer than two values count.

    Raises:
        ValueError: when ``level`` is outside (0, 1).
    """
    values = values.double()
    counted = (~values.isnan()).sum(-1)
    mean = values.nanmean(-1)
    variance = (values - mean[..., None]).square().nansum(-1) / (counted - 1)
    half = _student_quantile(level, counted - 1) * (variance / counted).sqrt()
    return Interval(mean - half, mean + half)


def clustered_wilson(shares: Tensor, cluster_size: int, level: float = 0.95) -> Interval:
    """Bound a pooled proportion whose trials come in equal clusters, such as W draws for each puzzle.

    The spread of the shares between clusters gives the number of independent trials that would be as informative,
    between one per cluster and all of them, and that number enters the score interval. Where no spread is seen
    (all shares 0, say) nothing speaks for independence inside a cluster, so each cluster counts once.

    Args:
        shares: share of successes in each cluster ``(B,)``.
        cluster_size: trials in each cluster.
        level: confidence level in (0, 1).

    Raises:
        ValueError: when there is no cluster, a share is outside [0, 1] or ``level`` outside (0, 1).

    Source: N. Dean and M. Pagano, *Evaluating confidence interval methods for binomial proportions in clustered
    surveys*, J. Survey Statistics and Methodology 3 (2015).
    """
    if shares.ndim != 1 or not len(shares):
        raise ValueError(
            f"expected shares (B,) of at least one cluster, got shape {tuple(shares.shape)}; pass one share each"
        )
    if bool(((shares < 0) | (shares > 1)).any()):
        raise ValueError(f"expected shares in [0, 1], got {shares.tolist()}; divide the successes by cluster_size")
    trials = _effective_trials(shares.double(), cluster_size)
    return wilson(shares.double().mean() * trials, trials, level)


def _effective_trials(shares: Tensor, cluster_size: int) -> Tensor:
    clusters = len(shares)
    if bool((shares == shares[0]).all()):
        return _float64(clusters)
    mean = shares.mean()
    return (mean * (1 - mean) * clusters / shares.var()).clamp(clusters, clusters * cluster_size)


def _float64(value: Tensor | float) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


def _normal_quantile(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"expected a confidence level in (0, 1), got {level}; write 0.95 for 95 %")
    return NormalDist().inv_cdf((1 + level) / 2)


def _student_quantile(level: float, freedom: Tensor) -> Tensor:
    from scipy.special import stdtrit

    _normal_quantile(level)
    quantile = torch.as_tensor(
        stdtrit(freedom.cpu().double().clamp(min=1).numpy(), (1 + level) / 2), device=freedom.device
    )
    return torch.where(freedom > 0, quantile, torch.nan)

"""The gap between posterior and prior accuracy: is the answer passed through the noise?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from gram_ppl.diagnostics.interval import wilson


@dataclass(frozen=True)
class Gap:
    """How far the posterior, which saw the answer, is ahead of the prior, which did not.

    Args:
        prior_accuracy: share of answers right when eps is drawn from the prior.
        posterior_accuracy: share of answers right when eps is drawn from the posterior.
        gap: posterior minus prior accuracy.
        interval: confidence interval of the gap.
        kl: KL(q || p) in nats of each transition, summed over positions and dimensions.
        task_entropy: nats of choice the task itself leaves, the mean of log n_solutions; None when not known.
        warning: what is wrong and what to do; None when nothing is.
    """

    prior_accuracy: float
    posterior_accuracy: float
    gap: float
    interval: tuple[float, float]
    kl: tuple[float, ...]
    task_entropy: float | None = None
    warning: str | None = None

    @property
    def total_kl(self) -> float:
        """Nats the posterior spends over all transitions."""
        return sum(self.kl)


def prior_posterior_gap(
    prior_accuracy: float,
    posterior_accuracy: float,
    *,
    trials: int,
    posterior_trials: int | None = None,
    kl: Sequence[float] | Tensor = (),
    task_entropy: float | None = None,
    threshold: float = 0.05,
    level: float = 0.95,
) -> Gap:
    """Measure the prior/posterior gap and warn when even the low end of its interval exceeds ``threshold``.

    Args:
        prior_accuracy: accuracy of rollouts that draw eps from the prior, in [0, 1].
        posterior_accuracy: accuracy of rollouts that draw eps from the posterior, in [0, 1].
        trials: independent puzzles behind ``prior_accuracy``; several draws of one puzzle count once.
        posterior_trials: the same for ``posterior_accuracy``; default ``trials``.
        kl: KL per transition ``(T,)`` in nats, summed over positions and dimensions.
        task_entropy: nats the task needs: the mean of log n_solutions.
        threshold: gap that is still of no concern.
        level: confidence level of the interval.

    Raises:
        ValueError: when an accuracy is outside [0, 1] or there is no trial.

    Source: interval of a difference of two proportions from their score intervals, R. G. Newcombe, Statistics in
    Medicine 17 (1998), method 10.

    >>> prior_posterior_gap(0.0, 1.0, trials=200).warning is not None
    True
    """
    posterior_trials = trials if posterior_trials is None else posterior_trials
    interval = _newcombe((posterior_accuracy, posterior_trials), (prior_accuracy, trials), level)
    gap = Gap(
        prior_accuracy=float(prior_accuracy),
        posterior_accuracy=float(posterior_accuracy),
        gap=float(posterior_accuracy - prior_accuracy),
        interval=interval,
        kl=tuple(float(nats) for nats in kl),
        task_entropy=task_entropy,
    )
    return replace(gap, warning=_warning(gap, level)) if interval[0] > threshold else gap


def _newcombe(first: tuple[float, int], second: tuple[float, int], level: float) -> tuple[float, float]:
    """Return the interval of p1 - p2 from ``(share, trials)`` pairs."""
    (p1, low1, high1), (p2, low2, high2) = _score(*first, level), _score(*second, level)
    below = ((p1 - low1) ** 2 + (high2 - p2) ** 2) ** 0.5
    above = ((high1 - p1) ** 2 + (p2 - low2) ** 2) ** 0.5
    return p1 - p2 - below, p1 - p2 + above


def _score(share: float, trials: int, level: float) -> tuple[float, float, float]:
    if not 0 <= share <= 1 or trials < 1:
        raise ValueError(f"expected an accuracy in [0, 1] of at least one trial, got {share} of {trials}; pass shares")
    low, high = wilson(share * trials, trials, level)
    return share, float(low), float(high)


def _warning(gap: Gap, level: float) -> str:
    return (
        f"posterior accuracy {gap.posterior_accuracy:.3f} exceeds prior accuracy {gap.prior_accuracy:.3f} by "
        f"{gap.gap:.3f} ({100 * level:g} % interval {gap.interval[0]:.3f} to {gap.interval[1]:.3f}): the posterior "
        f"passes the answer through the noise and the prior cannot follow.{_spent(gap)} Raise kl_weight, count the KL "
        f"of every transition (kl_transitions='all'), or train longer."
    )


def _spent(gap: Gap) -> str:
    if not gap.kl:
        return ""
    needs = "" if gap.task_entropy is None else f" where the task needs {gap.task_entropy:.2f}"
    return f" The posterior spends {gap.total_kl:.2f} nats{needs}."

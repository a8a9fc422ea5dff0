"""Intervals hold the truth as often as they say."""

from __future__ import annotations

import math

import pytest
import torch

from gram_ppl.diagnostics import clustered_wilson, mean_interval, wilson


def binomial(trials: int, p: torch.Tensor) -> torch.Tensor:
    return torch.distributions.Binomial(trials, p.double()).sample()


def held(interval, truth: torch.Tensor | float) -> tuple[float, float]:
    """Return how often the interval holds the truth, and the standard error of that share."""
    inside = ((interval.low <= truth) & (truth <= interval.high)).double()
    return float(inside.mean()), 0.5 / inside.numel() ** 0.5


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [
        (8, 10, (0.4902, 0.9433)),
        (0, 10, (0.0, 0.2775)),
        (10, 10, (0.7225, 1.0)),
        (50, 100, (0.4038, 0.5962)),
        (0, 0, (0.0, 1.0)),
    ],
)
def test_wilson_gives_the_known_values(successes: int, trials: int, expected: tuple[float, float]) -> None:
    low, high = wilson(successes, trials)
    assert (float(low), float(high)) == pytest.approx(expected, abs=5e-5)


def test_wilson_is_where_the_score_test_just_rejects() -> None:
    successes, trials, z = torch.arange(1, 40).double(), 40, 1.959963984540054
    for end in wilson(successes, trials):
        score = (successes / trials - end) / (end * (1 - end) / trials).sqrt()
        torch.testing.assert_close(score.abs(), torch.full_like(score, z))


def test_wilson_is_symmetric_and_broadcasts() -> None:
    successes, trials = torch.arange(0, 6), torch.tensor([[5], [20]])
    low, high = wilson(successes, trials)
    assert low.shape == high.shape == (2, 6)
    mirrored = wilson(trials - successes, trials)
    torch.testing.assert_close(low, 1 - mirrored.high)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_wilson_is_calibrated(level: float) -> None:
    p = torch.rand(20_000).double()
    share, error = held(wilson(binomial(30, p), 30, level), p)
    assert share == pytest.approx(level, abs=4 * error + 0.01)


@pytest.mark.parametrize(("successes", "trials"), [(11, 10), (-1, 10), (1, 0)])
def test_wilson_refuses_impossible_counts(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="0 <= successes <= trials"):
        wilson(successes, trials)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_every_interval_refuses_an_impossible_level(level: float) -> None:
    for bound in (lambda: wilson(1, 2, level), lambda: mean_interval(torch.rand(3), level)):
        with pytest.raises(ValueError, match="confidence level"):
            bound()
    with pytest.raises(ValueError, match="confidence level"):
        clustered_wilson(torch.rand(3), 2, level)


@pytest.mark.parametrize("size", [2, 5, 50])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_mean_interval_is_exact_for_normal_values(size: int, level: float) -> None:
    values = 3 + 2 * torch.randn(20_000, size).double()
    share, error = held(mean_interval(values, level), 3.0)
    assert share == pytest.approx(level, abs=4 * error)


def test_the_mean_interval_gives_the_known_value() -> None:
    low, high = mean_interval(torch.tensor([1.0, 2.0, 3.0]))
    half = 4.302652729911275 / math.sqrt(3)
    assert (float(low), float(high)) == pytest.approx((2 - half, 2 + half))


def test_nan_does_not_count_in_the_mean_interval() -> None:
    values, nan = torch.rand(4, 5), torch.full((4, 2), math.nan)
    for with_nan, without in zip(mean_interval(torch.cat([values, nan], -1)), mean_interval(values), strict=True):
        torch.testing.assert_close(with_nan, without)


@pytest.mark.parametrize("values", [[], [1.0], [math.nan, 2.0], [math.nan]])
def test_fewer_than_two_values_bound_no_mean(values: list[float]) -> None:
    assert all(end.isnan() for end in mean_interval(torch.tensor(values)))


def clustered_shares(clusters: int, size: int) -> torch.Tensor:
    """Shares of clusters that differ: each has its own probability, 0.3 in the mean."""
    return binomial(size, torch.distributions.Beta(0.6, 1.4).sample((clusters,))) / size


def test_the_clustered_interval_is_calibrated_where_the_plain_one_is_not() -> None:
    shares = torch.stack([clustered_shares(60, 16) for _ in range(1000)])
    intervals = [clustered_wilson(row, 16) for row in shares]
    clustered = type(intervals[0])(*(torch.stack(ends) for ends in zip(*intervals, strict=True)))
    share, error = held(clustered, 0.3)
    assert share == pytest.approx(0.95, abs=4 * error)
    plain, _ = held(wilson(16 * shares.sum(-1), 16 * 60), 0.3)
    assert plain < 0.8


def test_independent_trials_give_nearly_the_plain_interval() -> None:
    clusters, size = 2000, 16
    shares = binomial(size, torch.full((clusters,), 0.3)) / size
    clustered, plain = clustered_wilson(shares, size), wilson(size * shares.sum(), size * clusters)
    ratio = float((clustered.high - clustered.low) / (plain.high - plain.low))
    assert 1 - 1e-9 <= ratio < 1 + 4 / (2 * clusters) ** 0.5


def test_equal_trials_inside_each_cluster_count_once() -> None:
    shares = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0] * 20)
    clustered, plain = clustered_wilson(shares, 50), wilson(100, 160)
    for one, other in zip(clustered, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-3)


def test_the_clustered_interval_widens_with_clustering() -> None:
    clusters, size = 200, 16
    independent = binomial(size, torch.full((clusters,), 0.3)) / size
    widths = [high - low for low, high in (clustered_wilson(s, size) for s in (independent, clustered_shares(200, 16)))]
    assert widths[1] > 1.5 * widths[0]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 1 / 3, 1.0])
@pytest.mark.parametrize("clusters", [1, 6, 7, 11])
def test_without_spread_each_cluster_counts_once(share: float, clusters: int) -> None:
    clustered = clustered_wilson(torch.full((clusters,), share, dtype=torch.float64), 1000)
    for one, other in zip(clustered, wilson(share * clusters, clusters), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("shares", [torch.zeros(0), torch.zeros(2, 3), torch.tensor(0.5)])
def test_clusters_of_another_shape_are_refused(shares: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="at least one cluster"):
        clustered_wilson(shares, 4)


@pytest.mark.parametrize("shares", [[1.5, 0.1, 0.6], [-0.1, 0.5], [3.0]])
def test_shares_outside_zero_and_one_are_refused(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="shares in"):
        clustered_wilson(torch.tensor(shares), 4)

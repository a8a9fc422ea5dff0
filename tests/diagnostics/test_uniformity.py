"""The distance from uniform is that of known samplers, and the ideal is the law of uniform samples."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest
from torch import Tensor

from gram_ppl.diagnostics import uniformity


def numbered(n: int) -> Tensor:
    """Return n distinct solutions of three tokens."""
    return torch.tensor([[i // 49, i // 7 % 7, i % 7] for i in range(n)])


def drawn(n: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return numbered(n)[torch.randint(n, (width,), generator=generator)]


def test_draws_are_counted_per_solution_and_others_are_set_aside() -> None:
    solutions = torch.tensor([[5, 5], [1, 2], [3, 4]])
    y = torch.tensor([[3, 4], [5, 5], [0, 0], [3, 4], [1, 1], [3, 4]])
    fit = uniformity(y, solutions)
    assert fit.counts.tolist() == [1, 0, 3]
    assert (fit.draws, fit.invalid, fit.missed) == (4, 2, 1)
    assert fit.tv == pytest.approx((1 / 12 + 1 / 3 + 5 / 12) / 2)


def test_the_statistic_and_its_chance_are_those_of_scipy() -> None:
    for seed in range(5):
        fit = uniformity(drawn(20, 150, seed), numbered(20), simulations=1)
        expected = chisquare(fit.counts.numpy())
        assert (fit.chi_square, fit.p_value) == pytest.approx(tuple(expected))


def test_uniform_draws_have_uniform_p_values() -> None:
    p_values = [uniformity(drawn(20, 400, seed), numbered(20), simulations=1).p_value for seed in range(400)]
    assert kstest(p_values, "uniform").pvalue > 0.001


def test_the_ideal_and_its_band_are_those_of_uniform_draws() -> None:
    fits = [uniformity(drawn(30, 100, seed), numbered(30), simulations=1) for seed in range(500)]
    ideal = uniformity(drawn(30, 100, 0), numbered(30), level=0.9, simulations=4000)
    for measured, expected in (("tv", ideal.tv_ideal), ("missed", ideal.missed_ideal)):
        values = np.array([getattr(fit, measured) for fit in fits], dtype=float)
        assert abs(values.mean() - expected) < 4 * values.std() / math.sqrt(len(values)), measured
    within = [ideal.tv_ideal_low <= fit.tv <= ideal.tv_ideal_high for fit in fits]
    # The distance takes values in steps of 1/300, so that the ends of the band themselves hold some percent.
    assert 0.9 - 4 * math.sqrt(0.09 / 500) < np.mean(within) < 0.96
    assert ideal.tv_ideal_low < ideal.tv_ideal < ideal.tv_ideal_high


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 4), width=st.integers(1, 5))
def test_the_ideal_is_the_mean_over_all_samples(n: int, width: int) -> None:
    solutions = numbered(n)
    fits = [uniformity(solutions[list(rows)], solutions, simulations=1) for rows in product(range(n), repeat=width)]
    assert fits[0].tv_ideal == pytest.approx(np.mean([fit.tv for fit in fits]), abs=1e-12)
    assert fits[0].missed_ideal == pytest.approx(np.mean([fit.missed for fit in fits]), abs=1e-12)


def test_a_sampler_that_misses_half_is_at_distance_one_half() -> None:
    solutions = numbered(40)
    even = uniformity(solutions[:20].repeat(50, 1), solutions)
    assert even.tv == pytest.approx(0.5)
    assert (even.missed, even.draws) == (20, 1000)
    assert even.p_value < 1e-100 and even.tv > even.tv_ideal_high
    # Every solution of the drawn half comes more often than once in forty, so only the missed half falls short.
    assert uniformity(drawn(20, 10_000, seed=0), solutions).tv == pytest.approx(0.5)


def test_a_sampler_of_one_solution_is_as_far_as_can_be() -> None:
    solutions = numbered(8)
    fit = uniformity(solutions[3:4].expand(200, 3), solutions)
    assert fit.tv == pytest.approx(7 / 8)
    assert (fit.missed, fit.counts.tolist()) == (7, [0, 0, 0, 200, 0, 0, 0, 0])


def test_the_only_solution_leaves_nothing_to_test() -> None:
    fit = uniformity(numbered(1).expand(9, 3), numbered(1))
    assert (fit.tv, fit.tv_ideal, fit.tv_ideal_high, fit.missed, fit.missed_ideal) == (0, 0, 0, 0, 0)
    assert math.isnan(fit.p_value)


def test_the_band_repeats_with_its_seed_widens_with_its_level_and_leaves_generators_alone() -> None:
    y, solutions = drawn(30, 50, seed=0), numbered(30)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    fit = uniformity(y, solutions)
    assert fit == uniformity(y, solutions)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == np.random.get_state()[1].tolist()  # noqa: NPY002
    wide, other = uniformity(y, solutions, level=0.999), uniformity(y, solutions, seed=1, simulations=7)
    assert wide.tv_ideal_low < fit.tv_ideal_low < fit.tv_ideal_high < wide.tv_ideal_high
    assert other.tv_ideal_low != fit.tv_ideal_low
    assert "counts" not in repr(fit)


@pytest.mark.parametrize(
    ("y", "solutions", "options", "message"),
    [
        ((4, 2, 3), (5, 3), {}, r"got \(4, 2, 3\) and \(5, 3\); take one puzzle"),
        ((4, 2), (5, 3), {}, r"got \(4, 2\) and \(5, 3\)"),
        ((4, 3), (0, 3), {}, r"got \(4, 3\) and \(0, 3\)"),
        ((0, 3), (5, 3), {}, r"got \(0, 3\) and \(5, 3\)"),
        ((4, 3), (5, 3), {}, "expected 5 distinct solutions, got 4 repeats"),
        ((4, 3), (1, 3), {"level": 1.0}, r"level in \(0, 1\).*got 1.0 and 1000"),
        ((4, 3), (1, 3), {"simulations": 0}, "at least 1 simulation, got 0.95 and 0"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(y: tuple, solutions: tuple, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        uniformity(torch.ones(y).long(), torch.ones(solutions).long(), **options)


def test_draws_without_a_solution_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one of the 4 draws among the 3 solutions, got none"):
        uniformity(torch.full((4, 3), 9), numbered(3))

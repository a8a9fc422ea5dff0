"""The gap warns of an answer that leaks through the noise, and of nothing else."""

from __future__ import annotations

import pytest
import torch

from gram_ppl.diagnostics import prior_posterior_gap, wilson


def test_a_leak_is_warned_of_with_its_numbers() -> None:
    gap = prior_posterior_gap(0.1, 0.9, trials=200, kl=[1.5, 2.0], task_entropy=0.69)
    assert gap.gap == pytest.approx(0.8)
    assert gap.kl == (1.5, 2.0)
    assert gap.total_kl == pytest.approx(3.5)
    for part in ("0.900", "0.100", "0.800", "95 %", "3.50 nats", "task needs 0.69", "kl_weight"):
        assert part in gap.warning


def test_the_warning_names_only_what_is_known() -> None:
    assert "nats" not in prior_posterior_gap(0.0, 1.0, trials=200).warning
    assert "task needs" not in prior_posterior_gap(0.0, 1.0, trials=200, kl=torch.ones(2)).warning


@pytest.mark.parametrize(
    ("prior", "posterior", "trials"),
    [
        (0.8, 0.8, 10_000),
        (0.9, 0.2, 10_000),
        (0.80, 0.84, 100_000),
        (0.5, 0.7, 20),
        (0.0, 1.0, 1),
    ],
    ids=["equal", "prior ahead", "small though certain", "large though uncertain", "one puzzle"],
)
def test_no_leak_is_silent(prior: float, posterior: float, trials: int) -> None:
    assert prior_posterior_gap(prior, posterior, trials=trials).warning is None


def test_the_warning_depends_on_the_low_end_and_the_threshold() -> None:
    low, _ = prior_posterior_gap(0.5, 0.7, trials=400).interval
    assert prior_posterior_gap(0.5, 0.7, trials=400, threshold=low - 1e-9).warning is not None
    assert prior_posterior_gap(0.5, 0.7, trials=400, threshold=low + 1e-9).warning is None


def test_the_interval_gives_newcombes_published_value() -> None:
    """Newcombe's example (a): 56/70 against 48/80, method 10."""
    gap = prior_posterior_gap(48 / 80, 56 / 70, trials=80, posterior_trials=70)
    assert gap.interval == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_the_interval_holds_the_true_difference_as_often_as_it_says() -> None:
    repeats, prior, posterior, trials, more = 2000, 0.6, 0.7, 60, 80
    first = torch.distributions.Binomial(trials, torch.tensor(prior)).sample((repeats,)) / trials
    second = torch.distributions.Binomial(more, torch.tensor(posterior)).sample((repeats,)) / more
    held = 0
    for p, q in zip(first.tolist(), second.tolist(), strict=True):
        low, high = prior_posterior_gap(p, q, trials=trials, posterior_trials=more).interval
        held += low <= posterior - prior <= high
    assert held / repeats == pytest.approx(0.95, abs=4 * (0.95 * 0.05 / repeats) ** 0.5)


def test_swapping_prior_and_posterior_mirrors_the_interval() -> None:
    low, high = prior_posterior_gap(0.3, 0.45, trials=50, posterior_trials=90).interval
    mirrored = prior_posterior_gap(0.45, 0.3, trials=90, posterior_trials=50).interval
    assert mirrored == pytest.approx((-high, -low))


def test_a_certain_posterior_leaves_the_uncertainty_of_the_prior() -> None:
    low, high = prior_posterior_gap(0.25, 1.0, trials=40, posterior_trials=10**9).interval
    below, above = wilson(10, 40)
    assert (low, high) == pytest.approx((1 - float(above), 1 - float(below)), abs=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        {"prior_accuracy": 80.0},
        {"posterior_accuracy": -0.1},
        {"prior_accuracy": float("nan")},
        {"trials": 0},
        {"posterior_trials": 0},
    ],
)
def test_impossible_accuracies_and_trials_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected an accuracy"):
        prior_posterior_gap(**({"prior_accuracy": 0.5, "posterior_accuracy": 0.5, "trials": 10} | arguments))

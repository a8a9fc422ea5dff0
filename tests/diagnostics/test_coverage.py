"""Coverage and entropy against enumeration, brute force and known distributions."""

from __future__ import annotations

import math
from itertools import combinations, product

import pytest
import torch
from torch import Tensor

from gram_ppl.diagnostics import (
    answer_entropy,
    cell_entropy,
    coverage,
    coverage_curve,
    distinct_answers,
    distinct_valid,
    effective_number,
    ideal_coverage,
)
from gram_ppl.types import Draws


def float64(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_ideal_coverage_equals_enumeration(n: int, width: int) -> None:
    found = [len(set(picks)) / n for picks in product(range(n), repeat=width)]
    torch.testing.assert_close(ideal_coverage(torch.tensor(float(n)), width), *float64(sum(found) / len(found)))


@pytest.mark.parametrize(("n", "width"), [(6, 20), (92, 40), (1000, 64)])
def test_ideal_coverage_is_what_a_uniform_sampler_reaches(n: int, width: int) -> None:
    picks = torch.randint(n, (4000, width)).sort(-1).values
    reached = (1 + (picks.diff() > 0).sum(-1)).double() / n
    error = reached.std() / len(reached) ** 0.5
    assert abs(reached.mean() - ideal_coverage(torch.tensor(float(n)), width)) < 4 * error


def test_ideal_coverage_is_exact_for_very_many_solutions() -> None:
    n, width = 1e12, 100
    assert float(ideal_coverage(float64(n), width)) == pytest.approx(width / n, rel=1e-9)


def test_ideal_coverage_broadcasts_widths() -> None:
    n, width = float64(1, 4, 9), torch.arange(1, 6)[:, None]
    table = ideal_coverage(n, width)
    assert table.shape == (5, 3)
    for w in range(1, 6):
        torch.testing.assert_close(table[w - 1], ideal_coverage(n, w))


def test_distinct_answers_of_hand_made_draws(few: Draws) -> None:
    valid = torch.tensor([[1, 0], [1, 1], [1, 0], [0, 0]], dtype=torch.bool)
    assert distinct_answers(few.y).tolist() == [2, 3]
    assert distinct_valid(few.y, valid).tolist() == [1, 1]
    assert distinct_valid(few.y, torch.zeros_like(valid)).tolist() == [0, 0]
    assert distinct_valid(few.y, torch.ones_like(valid)).tolist() == [2, 3]


def test_coverage_divides_by_all_solutions() -> None:
    reached = coverage(torch.tensor([0, 1, 2, 4, 3]), float64(2, 2, 2, 100, 6))
    torch.testing.assert_close(reached, float64(0, 0.5, 1, 0.04, 0.5))


@pytest.mark.parametrize("n", [math.nan, 0.0])
def test_coverage_of_an_unknown_or_zero_count_is_nan(n: float) -> None:
    assert coverage(torch.tensor([0]), float64(n)).isnan().all()
    assert ideal_coverage(float64(n), 4).isnan().all()
    curve = coverage_curve(torch.zeros(3, 1, 2).long(), torch.zeros(3, 1, dtype=torch.bool), float64(n))
    assert curve.isnan().all()


@pytest.mark.parametrize(("found", "n"), [(3, 2.0), (1, 0.0)])
def test_more_found_than_exists_is_an_error(found: int, n: float) -> None:
    with pytest.raises(ValueError, match="is_valid and count"):
        coverage(torch.tensor([1, found]), float64(2, n))


def brute_force_curve(y: Tensor, valid: Tensor, n_solutions: Tensor) -> Tensor:
    """Average the coverage of every subset of the draws."""
    width, puzzles, _ = y.shape
    curve = torch.zeros(width, puzzles, dtype=torch.float64)
    for w, b in product(range(1, width + 1), range(puzzles)):
        subsets = list(combinations(range(width), w))
        found = sum(len({tuple(y[i, b].tolist()) for i in subset if valid[i, b]}) for subset in subsets)
        curve[w - 1, b] = found / len(subsets) / float(n_solutions[b])
    return curve


@pytest.mark.parametrize("width", [1, 2, 5, 7])
@pytest.mark.parametrize("tokens", [1, 2, 3])
def test_the_coverage_curve_averages_all_subsets_of_the_draws(width: int, tokens: int) -> None:
    y = torch.randint(tokens, (width, 4, 2))
    valid = y.sum(-1) % 2 == 0
    n_solutions = float64(5, 6, 9, 40)
    expected = brute_force_curve(y, valid, n_solutions)
    torch.testing.assert_close(coverage_curve(y, valid, n_solutions), expected, rtol=1e-9, atol=1e-9)


def test_the_coverage_curve_ends_at_the_coverage_and_starts_at_one_draw() -> None:
    y = torch.randint(3, (300, 5, 2))
    valid, n_solutions = y[..., 0] != 1, torch.full((5,), 6.0)
    curve = coverage_curve(y, valid, n_solutions)
    torch.testing.assert_close(curve[-1], coverage(distinct_valid(y, valid), n_solutions))
    torch.testing.assert_close(curve[0], valid.double().mean(0) / 6)


def test_a_uniform_sampler_follows_the_ideal_curve(task, sample) -> None:
    blank = torch.full((400, 9), task.blank)
    draws = sample(task, blank, width=8)
    n_solutions = torch.full((400,), float(task.count(blank[0])))
    curve = coverage_curve(draws.y, task.is_valid(draws.x, draws.y), n_solutions)
    error = curve.std(-1) / curve.shape[1] ** 0.5
    ideal = ideal_coverage(n_solutions[0], torch.arange(1, 9))
    assert n_solutions[0] == 12
    assert ((curve.mean(-1) - ideal).abs() <= 4 * error + 1e-12).all()


def test_entropies_of_known_distributions() -> None:
    same, uniform, skew = [[1, 1]] * 4, [[0, 2], [1, 2], [2, 3], [3, 3]], [[0, 0], [0, 1], [0, 0], [0, 0]]
    y = torch.tensor([same, uniform, skew]).transpose(0, 1)
    quarter = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    torch.testing.assert_close(answer_entropy(y), float64(0, math.log(4), quarter))
    expected = [[0.0, 0.0], [math.log(4), math.log(2)], [0.0, quarter]]
    torch.testing.assert_close(cell_entropy(y), torch.tensor(expected, dtype=torch.float64))


def test_entropy_zero_has_no_sign() -> None:
    y = torch.ones(3, 1, 2).long()
    assert "-" not in str(answer_entropy(y).tolist() + cell_entropy(y).flatten().tolist())


def test_the_effective_number_of_equally_likely_answers_is_their_number() -> None:
    y = torch.arange(6).repeat(3)[:, None, None]
    torch.testing.assert_close(effective_number(answer_entropy(y)), float64(6))


def test_the_entropy_of_an_answer_lies_between_that_of_its_cells() -> None:
    y = torch.randint(3, (50, 20, 4))
    whole, cells = answer_entropy(y), cell_entropy(y)
    assert (whole >= cells.max(-1).values - 1e-12).all()
    assert (whole <= cells.sum(-1) + 1e-12).all()

"""Accuracy of hand-made draws."""

from __future__ import annotations

import pytest
import torch

from gram_ppl.diagnostics import accuracy, clustered_wilson, wilson
from gram_ppl.types import Draws

COLUMNS = ["puzzles", "exact", "exact_low", "exact_high", "vote", "vote_low", "vote_high", "cells"]
Y = torch.tensor([[1, 2], [3, 4], [5, 6]])


@pytest.fixture
def attempts() -> Draws:
    """Four draws of three puzzles: three, one and none of them right in both cells."""
    y = [[[1, 2], [3, 4], [5, 5]], [[1, 2], [3, 3], [5, 5]], [[1, 2], [3, 3], [5, 5]], [[2, 1], [4, 4], [6, 5]]]
    return Draws(x=torch.zeros(3, 2).long(), y=torch.tensor(y), supervision_steps=1)


def test_hand_made_draws_give_the_known_row(attempts: Draws) -> None:
    table = accuracy(attempts, Y)
    assert list(table.columns) == COLUMNS
    assert list(table.index) == ["all"]
    row = table.loc["all"]
    assert row["puzzles"] == 3
    assert row["exact"] == pytest.approx(4 / 12)
    assert row["vote"] == pytest.approx(1 / 3)
    assert row["cells"] == pytest.approx((6 + 5 + 3) / 24)
    expected = [*clustered_wilson(torch.tensor([0.75, 0.25, 0.0]), 4), *wilson(1, 3)]
    found = row[["exact_low", "exact_high", "vote_low", "vote_high"]]
    assert found.tolist() == pytest.approx([float(end) for end in expected])


def test_the_vote_can_be_right_more_often_than_the_draws() -> None:
    y = torch.tensor([[1, 2, 3], [1, 3, 2], [2, 1, 3], [3, 3, 3], [3, 3, 3]])[:, None]
    row = accuracy(Draws(x=torch.zeros(1, 3).long(), y=y, supervision_steps=1), torch.tensor([[3, 3, 3]])).loc["all"]
    assert (row["exact"], row["vote"]) == (0.4, 1.0)


def test_the_vote_is_over_whole_answers_and_not_cells() -> None:
    y = torch.tensor([[1, 1], [1, 2], [3, 1], [4, 4], [4, 4]])[:, None]
    assert y.mode(0).values.tolist() == [[1, 1]]
    row = accuracy(Draws(x=torch.zeros(1, 2).long(), y=y, supervision_steps=1), torch.tensor([[1, 1]])).loc["all"]
    assert (row["exact"], row["vote"]) == (0.2, 0.0)


@pytest.mark.parametrize("level", [0.5, 0.99])
def test_the_level_sets_the_intervals(attempts: Draws, level: float) -> None:
    row = accuracy(attempts, Y, level=level).loc["all"]
    assert (row["vote_low"], row["vote_high"]) == pytest.approx(tuple(map(float, wilson(1, 3, level))))


def test_groups_are_closed_below_and_open_above(attempts: Draws) -> None:
    table = accuracy(attempts, Y, by=torch.tensor([0.0, 10.0, 9.9]), edges=(0, 10))
    assert list(table.index) == ["0 to 10", "10 and above", "all"]
    assert table["puzzles"].tolist() == [2, 1, 3]
    assert table["exact"].tolist() == pytest.approx([3 / 8, 1 / 4, 1 / 3])
    below = accuracy(attempts, Y, by=torch.tensor([-1.0, 10.0, 9.9]), edges=(0, 10))
    assert list(below.index) == ["below 0", "0 to 10", "10 and above", "all"]


def test_a_group_equals_the_table_of_its_puzzles_alone(attempts: Draws) -> None:
    grouped = accuracy(attempts, Y, by=torch.tensor([1, 7, 2]), edges=(5,)).loc["below 5"]
    chosen = torch.tensor([0, 2])
    alone = accuracy(Draws(attempts.x[chosen], attempts.y[:, chosen], 1), Y[chosen]).loc["all"]
    assert grouped.tolist() == pytest.approx(alone.tolist())


def test_whole_ratings_are_split_at_broken_edges(attempts: Draws) -> None:
    table = accuracy(attempts, Y, by=torch.tensor([0, 1, 2]), edges=(0.5, 1.5))
    assert table["puzzles"].tolist() == [1, 1, 1, 3]


def test_ratings_may_be_a_column_of_a_table(attempts: Draws) -> None:
    ratings = torch.arange(6.0).view(3, 2)[:, 1]
    assert accuracy(attempts, Y, by=ratings, edges=(2,))["puzzles"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (3,), (4, 3, 2)])
def test_answers_of_another_shape_are_refused(attempts: Draws, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one per puzzle drawn"):
        accuracy(attempts, torch.zeros(shape).long())


@pytest.mark.parametrize(("by", "edges"), [(torch.zeros(2), (1,)), (torch.zeros(3), (2, 1)), (torch.zeros(3), (1, 1))])
def test_groups_that_do_not_fit_are_refused(attempts: Draws, by: torch.Tensor, edges: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="increasing edges"):
        accuracy(attempts, Y, by=by, edges=edges)

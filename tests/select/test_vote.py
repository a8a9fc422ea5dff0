"""The majority is taken over whole answers, puzzle by puzzle."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gram_ppl.select import majority_vote, multiplicity
from gram_ppl.types import Draws


def draws_of(y: Tensor) -> Draws:
    return Draws(x=torch.zeros_like(y[0]), y=y, supervision_steps=1)


@st.composite
def answers(draw: st.DrawFn) -> Tensor:
    """Answers with many repetitions, shapes up to (7, 4, 3)."""
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 4), st.integers(1, 3)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    return torch.randint(draw(st.integers(1, 3)), shape, generator=generator)


def test_the_most_frequent_whole_answer_wins_with_its_share() -> None:
    y = torch.tensor([[[1, 2], [5, 5]], [[3, 4], [5, 5]], [[3, 4], [5, 5]], [[1, 3], [5, 5]]])
    vote = majority_vote(draws_of(y))
    assert vote.y.tolist() == [[3, 4], [5, 5]]
    assert vote.share.tolist() == [0.5, 1.0]


def test_whole_answers_are_compared_and_not_cells() -> None:
    y = torch.tensor([[1, 2, 3], [1, 3, 2], [2, 1, 3], [3, 3, 3], [3, 3, 3]])[:, None]
    assert majority_vote(draws_of(y)).y.tolist() == [[3, 3, 3]]
    assert y.mode(0).values.tolist() != [[3, 3, 3]]


@pytest.mark.parametrize(
    ("order", "winner"), [([7, 4, 4, 7], 7), ([4, 7, 7, 4], 4), ([9, 4, 7, 7, 4], 4), ([3, 2, 1], 3)]
)
def test_the_earliest_drawn_wins_a_tie(order: list[int], winner: int) -> None:
    assert majority_vote(draws_of(torch.tensor(order)[:, None, None])).y.item() == winner


@settings(deadline=None, max_examples=50)
@given(answers())
def test_the_vote_equals_a_plain_count(y: Tensor) -> None:
    vote = majority_vote(draws_of(y))
    for b in range(y.shape[1]):
        (answer, times), *_ = Counter(map(tuple, y[:, b].tolist())).most_common(1)
        assert tuple(vote.y[b].tolist()) == answer
        assert float(vote.share[b]) == pytest.approx(times / len(y))


@settings(deadline=None, max_examples=50)
@given(answers())
def test_multiplicity_counts_each_answer_once_at_its_first_draw(y: Tensor) -> None:
    counts = multiplicity(y)
    for b in range(y.shape[1]):
        rows = list(map(tuple, y[:, b].tolist()))
        expected = [rows.count(row) if row not in rows[:w] else 0 for w, row in enumerate(rows)]
        assert counts[:, b].tolist() == expected


@settings(deadline=None, max_examples=25)
@given(answers())
def test_permuting_the_puzzles_permutes_the_votes(y: Tensor) -> None:
    order = torch.randperm(y.shape[1])
    vote, permuted = majority_vote(draws_of(y)), majority_vote(draws_of(y[:, order]))
    torch.testing.assert_close(permuted.y, vote.y[order])
    torch.testing.assert_close(permuted.share, vote.share[order])


@settings(deadline=None, max_examples=25)
@given(answers())
def test_renaming_the_tokens_renames_the_votes(y: Tensor) -> None:
    names = torch.tensor([8, 1, 5])
    torch.testing.assert_close(majority_vote(draws_of(names[y])).y, names[majority_vote(draws_of(y)).y])


@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 0, 3), (2, 3, 0), (2, 3), (1, 2, 3, 4)])
def test_draws_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected answers"):
        multiplicity(torch.zeros(shape, dtype=torch.long))

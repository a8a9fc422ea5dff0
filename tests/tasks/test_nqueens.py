"""Boards of n queens: their rules, their enumeration, and the split of the questions."""

from __future__ import annotations

import re
from itertools import islice, permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from gram_ppl.tasks import NQueens, NQueensRules, Task
from gram_ppl.tasks.nqueens import removals, symmetries
from gram_ppl.tasks.nqueens_rules import OPEN, all_solutions, queens, some_solutions

EIGHT = NQueens(8)
SIX = NQueens(6, validation=10)

SOLUTIONS = {4: 2, 5: 10, 6: 4, 7: 40, 8: 92, 9: 352, 10: 724}
"""Number of solutions of the n-queens problem, https://oeis.org/A000170."""


def peaceful(columns: tuple[int, ...]) -> bool:
    """Tell by the definition whether no two queens share a column or a diagonal."""
    pairs = [(a, b) for a in range(len(columns)) for b in range(a)]
    return all(columns[a] != columns[b] and abs(columns[a] - columns[b]) != a - b for a, b in pairs)


def board(text: str) -> Tensor:
    """Read ``Q`` and ``.`` into tokens."""
    return torch.tensor([2 if cell == "Q" else 1 for cell in "".join(text.split())])


@pytest.mark.parametrize(("n", "count"), SOLUTIONS.items())
def test_the_enumeration_finds_every_solution_once(n: int, count: int) -> None:
    found = all_solutions(n)
    assert len(found) == len(found.unique(dim=0)) == count
    assert NQueensRules(n).is_valid(torch.ones(n * n, dtype=torch.long), NQueensRules(n).encode(found)).all()


def test_a_search_from_given_queens_agrees_with_the_definition() -> None:
    every = [p for p in permutations(range(7)) if peaceful(p)]
    for given_queens in ([OPEN] * 7, [0, *[OPEN] * 6], [OPEN, 3, OPEN, OPEN, 2, OPEN, OPEN], [1, *[OPEN] * 5, 1]):
        kept = [p for p in every if all(g in (OPEN, c) for g, c in zip(given_queens, p, strict=True))]
        assert list(queens(given_queens)) == kept


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=5, max_size=5))
def test_a_board_is_valid_exactly_when_no_queen_is_attacked(columns: list[int]) -> None:
    rules = NQueensRules(5)
    y = rules.encode(torch.tensor(columns))
    x = torch.ones(25, dtype=torch.long)
    assert bool(rules.is_valid(x, y)) == peaceful(tuple(columns))
    assert bool(rules.conflicts(x, y).any()) == (not peaceful(tuple(columns)))


def test_a_valid_board_keeps_the_given_queens_and_has_only_queens_and_empty_cells() -> None:
    rules, y = NQueensRules(4), board(".Q.. ...Q Q... ..Q.")
    kept, moved, pad = board(".Q.. .... .... ...."), board("Q... .... .... ...."), y.clone()
    pad[0] = 0
    assert rules.is_valid(torch.stack([kept, moved, kept]), torch.stack([y, y, pad])).tolist() == [True, False, False]
    assert rules.conflicts(moved, y).nonzero().flatten().tolist() == [0]
    without = board(".Q.. ...Q Q... ....")
    assert not rules.is_valid(kept, without)


def test_conflicts_mark_the_queens_that_attack_each_other() -> None:
    rules = NQueensRules(4)
    y = board("Q..Q .... .... .Q..")
    assert rules.conflicts(torch.ones(16, dtype=torch.long), y).nonzero().flatten().tolist() == [0, 3]
    assert rules.conflicts(torch.ones(16, dtype=torch.long), board("Q... .Q.. .... ....")).sum() == 2


def test_the_papers_questions_and_pairs_are_counted() -> None:
    eight = removals(all_solutions(8), (5, 6, 7))
    assert (len(eight), len(eight.y), int(eight.counts.max())) == (5148, 8464, 18)
    ten = removals(all_solutions(10), (7, 8, 9))
    assert (len(ten), len(ten.y), int(ten.counts.max())) == (43420, 126700, 93)


@pytest.mark.parametrize("task", [EIGHT, SIX], ids=repr)
def test_the_split_is_whole_and_has_no_question_twice(task: NQueens) -> None:
    parts = [task.test.x, task.validation.x, task.encode(task.train.x)]
    every = torch.cat(parts)
    pairs = removals(all_solutions(task.n), task.removed)
    assert len(every) == len(every.unique(dim=0)) == len(pairs)
    assert len(task.test.x) == -(-15 * len(pairs) // 100)
    for x, y in (task.test, task.validation):
        assert task.is_valid(x, y).all()


@pytest.mark.parametrize("augment", [True, False])
def test_training_batches_are_valid_and_never_held_out(augment: bool) -> None:
    task = NQueens(6, validation=10, augment=augment)
    held = {tuple(row) for row in torch.cat([task.test.x, task.validation.x]).tolist()}
    seen = set()
    for x, y in islice(task.loader(64), 40):
        assert x.dtype == y.dtype == torch.long
        assert task.is_valid(x, y).all()
        seen |= {tuple(row) for row in x.tolist()}
    assert not seen & held
    assert seen == {tuple(row) for row in task.encode(task.train.x).tolist()}


def test_without_rejection_symmetries_would_leak_held_out_questions() -> None:
    held = {tuple(row) for row in SIX.test.x.tolist()}
    turned = SIX.encode(SIX.train.x)[:, symmetries(6)].flatten(0, 1)
    assert {tuple(row) for row in turned.tolist()} & held


def test_a_task_is_a_task_and_streams_repeat_with_their_seed() -> None:
    assert isinstance(EIGHT, Task)
    again = NQueens(8)
    torch.testing.assert_close(again.test, EIGHT.test)
    first, same = (list(islice(task.loader(16, seed=3), 3)) for task in (EIGHT, again))
    torch.testing.assert_close(first, same)
    assert not torch.equal(first[0].x, next(EIGHT.loader(16, seed=4)).x)
    other = NQueens(8, seed=1)
    assert not torch.equal(other.test.x, EIGHT.test.x)
    assert not torch.equal(next(other.loader(16, seed=3)).x, first[0].x)


def test_drawing_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    next(NQueens(6, validation=10).loader(8))
    torch.testing.assert_close(torch.get_rng_state(), state)


def test_answers_are_uniform_over_all_completions() -> None:
    row = int(EIGHT.train.counts.argmax())
    rows = torch.full((20_000,), row)
    drawn = EIGHT.train.draw(rows, torch.Generator().manual_seed(0)).y
    answers, counts = drawn.unique(dim=0, return_counts=True)
    assert len(answers) == EIGHT.train.counts[row]
    assert chisquare(counts.numpy()).pvalue > 1e-3


def test_solutions_and_counts_are_those_of_the_table() -> None:
    for row in range(0, len(EIGHT.train), 97):
        x = EIGHT.encode(EIGHT.train.x[row])
        listed = EIGHT.encode(EIGHT.train.y[EIGHT.train.first[row] : EIGHT.train.first[row + 1]])
        found = EIGHT.solutions(x, cap=100)
        assert EIGHT.count(x, cap=100) == len(found) == len(listed)
        assert sorted(found.tolist()) == sorted(listed.tolist())
    assert EIGHT.count(torch.ones(64, dtype=torch.long), cap=50) == 50
    assert EIGHT.count(board("QQ" + "." * 62), cap=5) == 0


def test_the_eight_symmetries_form_a_group_that_keeps_solutions_apart_from_nothing_else() -> None:
    turns = symmetries(5)
    assert len(turns.unique(dim=0)) == 8
    products = turns[:, turns].flatten(0, 1)
    assert {tuple(row) for row in products.tolist()} == {tuple(row) for row in turns.tolist()}
    y = NQueensRules(5).encode(all_solutions(5))
    assert NQueensRules(5).is_valid(torch.ones(25, dtype=torch.long), y[:, turns]).all()


def test_boards_too_large_to_list_are_made_of_solutions_found_by_chance() -> None:
    rules, found = NQueensRules(20), some_solutions(20, 30, seed=1)
    assert len(found.unique(dim=0)) == 30
    assert rules.is_valid(torch.ones(400, dtype=torch.long), rules.encode(found)).all()
    assert torch.equal(found, some_solutions(20, 30, seed=1))
    assert not torch.equal(found, some_solutions(20, 30, seed=2))


def test_a_large_board_is_a_task_like_any_other() -> None:
    task = NQueens(13, removed=(11, 12))
    assert isinstance(task, Task)
    for x, y in (task.test, next(task.loader(64))):
        assert task.is_valid(x, y).all()
    held = {tuple(row) for row in torch.cat([task.test.x, task.validation.x]).tolist()}
    assert not held & {tuple(row) for row in task.encode(task.train.x).tolist()}
    assert task.count(task.test.x[0], cap=50) == 50


BAD = {
    "expected a board of side 4 or more, got n=3": {"n": 3},
    "expected removal counts in 1..5 for n=6, got (0, 2)": {"n": 6, "removed": (0, 2)},
    "expected removal counts in 1..5 for n=6, got (6,)": {"n": 6, "removed": (6,)},
    "expected removal counts in 1..5 for n=6, got ()": {"n": 6, "removed": ()},
    "expected held_out in [0, 1)": {"n": 6, "held_out": 1.0},
    "expected questions to train on, got 164 less 25 test and 200 validation": {"n": 6, "validation": 200},
}


@pytest.mark.parametrize(("message", "arguments"), BAD.items(), ids=BAD)
def test_an_impossible_task_is_refused(message: str, arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        NQueens(**arguments)  # type: ignore[arg-type]


def test_wrong_questions_are_refused() -> None:
    rules = NQueensRules(4)
    with pytest.raises(ValueError, match=re.escape("expected one board x of shape (16,), got (2, 16)")):
        rules.count(torch.ones(2, 16, dtype=torch.long), cap=1)
    with pytest.raises(ValueError, match=re.escape("expected tokens 0..2 in x")):
        rules.solutions(torch.full((16,), 3), cap=1)
    with pytest.raises(ValueError, match="expected a cap of at least 1"):
        rules.count(torch.ones(16, dtype=torch.long), cap=0)
    with pytest.raises(ValueError, match="expected a batch size of at least 1"):
        EIGHT.loader(0)

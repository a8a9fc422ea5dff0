"""Generated puzzles, the rules they follow, and their symmetries."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from gram_ppl.tasks import Sudoku, SudokuRules, Symmetry, Task
from gram_ppl.types import Batch

SMALL, STANDARD = Sudoku(box=2), Sudoku(box=3, held_out=20)
UNIQUE = {2: Sudoku(box=2, unique=True, held_out=50), 3: Sudoku(box=3, unique=True, held_out=20)}
TASKS = [SMALL, STANDARD, UNIQUE[2], UNIQUE[3]]


def boards_as_numbers(boards: Tensor) -> Tensor:
    """Number 4×4 boards ``(*, 16)`` one to one."""
    return (boards * 6 ** torch.arange(16)).sum(-1)


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_a_task_draws_what_its_spec_says(task: Sudoku) -> None:
    assert isinstance(task, Task)
    n = task.box**2
    assert (task.spec.length, task.spec.input_vocab, task.spec.output_vocab) == (n * n, n + 2, n + 2)
    assert task.spec.grid == (n, n)
    for x, y in [task.test, *islice(task.loader(32), 3)]:
        assert x.dtype == y.dtype == torch.long
        assert x.shape == y.shape == (len(x), n * n)
        assert ((x >= 1) & (x <= n + 1) & (y >= 2) & (y <= n + 1)).all()
        assert task.is_valid(x, y).all()


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_streams_repeat_with_their_seed_and_differ_without(task: Sudoku) -> None:
    again = Sudoku(task.box, unique=task.unique, held_out=len(task.test.x))
    torch.testing.assert_close(again.test.x, task.test.x)
    first, same = (list(islice(t.loader(16, seed=5), 3)) for t in (task, again))
    for a, b in zip(first, same, strict=True):
        torch.testing.assert_close(a.x, b.x)
        torch.testing.assert_close(a.y, b.y)
    assert not torch.equal(first[0].x, first[1].x)
    assert not torch.equal(first[0].x, next(task.loader(16, seed=6)).x)
    other = Sudoku(task.box, unique=task.unique, held_out=len(task.test.x), seed=1)
    assert not torch.equal(other.test.x, task.test.x)
    assert not torch.equal(first[0].x, next(other.loader(16, seed=5)).x)


def test_drawing_leaves_the_global_generators_alone() -> None:
    state = torch.get_rng_state()
    next(Sudoku(box=3, held_out=1).loader(8))
    torch.testing.assert_close(torch.get_rng_state(), state)


def test_training_never_shows_a_test_question() -> None:
    # With two clues there are 1,696 questions, so that 256 draws meet the 500 held-out ones unless they are removed.
    task = Sudoku(box=2, clues=(2, 2))
    held_out = set(boards_as_numbers(task.test.x).tolist())
    assert len(held_out) == 500
    seen = {number for x, _ in islice(task.loader(256), 60) for number in boards_as_numbers(x).tolist()}
    assert len(seen) > 1000
    assert not seen & held_out


def test_the_number_of_clues_is_uniform_over_the_range() -> None:
    task = Sudoku(box=2, clues=(3, 6), held_out=0)
    x, _ = next(task.loader(4000))
    amounts = (x > 1).sum(-1)
    assert amounts.min() == 3 and amounts.max() == 6
    assert chisquare(amounts.bincount()[3:].numpy()).pvalue > 0.001


def test_boards_and_clue_cells_are_uniform() -> None:
    task = Sudoku(box=2, clues=(5, 5), held_out=0, seed=1)
    x, y = next(task.loader(20_000))
    _, boards = torch.unique(boards_as_numbers(y), return_counts=True)
    assert len(boards) == 288
    assert chisquare(boards.numpy()).pvalue > 0.001
    # Five clues a question are drawn without replacement, which only makes the counts of cells more even.
    assert chisquare((x > 1).sum(0).numpy()).pvalue > 0.001


def test_the_answer_is_uniform_over_the_solutions_of_its_question() -> None:
    task = Sudoku(box=2, clues=(2, 2), held_out=0)
    x, y = (torch.cat(parts) for parts in zip(*islice(task.loader(4096), 40), strict=True))
    questions, answers = boards_as_numbers(x), boards_as_numbers(y)
    values, amounts = torch.unique(questions, return_counts=True)
    for question in values[amounts.argsort(descending=True)[:5]]:
        solutions = task.solutions(x[questions == question][0], cap=288)
        drawn = answers[questions == question]
        counts = (boards_as_numbers(solutions)[:, None] == drawn).sum(1)
        assert counts.sum() == len(drawn)
        assert chisquare(counts.numpy()).pvalue > 0.001


@pytest.mark.parametrize("box", [2, 3])
def test_unique_puzzles_have_one_solution(box: int) -> None:
    task = UNIQUE[box]
    x, y = next(task.loader(24))
    for question, answer in [*zip(x, y, strict=True), *zip(*task.test, strict=True)]:
        torch.testing.assert_close(task.solutions(question, cap=2), answer[None])


def test_copies_of_a_board_are_scrambled_apart() -> None:
    x, y = next(STANDARD.loader(16))
    assert len(torch.unique(x, dim=0)) == len(torch.unique(y, dim=0)) == 16


def test_solutions_are_valid_distinct_and_as_many_as_counted() -> None:
    for x in SMALL.test.x[:50]:
        found = SMALL.solutions(x, cap=1000)
        assert found.dtype == torch.long
        assert SMALL.is_valid(x, found).all()
        assert len(torch.unique(found, dim=0)) == len(found) == SMALL.count(x, cap=1000)


def test_a_question_without_solution_gives_an_empty_tensor() -> None:
    x = SMALL.encode("123. ...4 .... ....")
    assert SMALL.solutions(x, cap=5).shape == (0, 16)
    assert SMALL.count(x, cap=5) == 0


def test_validity_is_exact_over_many_boards() -> None:
    boards = {int(number) for number in boards_as_numbers(SMALL.solutions(torch.ones(16, dtype=torch.long), cap=288))}
    generator = torch.Generator().manual_seed(0)
    y = SMALL.solutions(torch.ones(16, dtype=torch.long), cap=288).repeat(20, 1)
    swapped = torch.randint(16, (len(y), 2), generator=generator)
    y = y.scatter(1, swapped, y.gather(1, swapped.flip(1)))
    expected = torch.tensor([int(number) in boards for number in boards_as_numbers(y)])
    assert 0 < expected.sum() < len(expected)
    torch.testing.assert_close(SMALL.is_valid(torch.ones_like(y), y), expected)


def test_validity_broadcasts_over_draws() -> None:
    x, y = STANDARD.test
    draws = torch.stack([y, y.roll(1, dims=0), x])
    valid = STANDARD.is_valid(x, draws)
    assert valid.shape == (3, len(x))
    assert valid[0].all() and not valid[1:].any()
    assert STANDARD.is_valid(x[0], y[0]).shape == ()
    torch.testing.assert_close(STANDARD.is_valid(x[:, None], y), torch.eye(len(x), dtype=torch.bool))


def test_an_answer_must_keep_the_clues_and_fill_every_cell() -> None:
    x, y = SMALL.encode("12.. .... .... ...."), SMALL.encode("1234 3412 2143 4321")
    assert SMALL.is_valid(x, y)
    assert not SMALL.is_valid(SMALL.encode("13.. .... .... ...."), y)
    for token in (0, 1):
        assert not SMALL.is_valid(x, y.index_fill(0, torch.tensor([9]), token))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_stay_on_the_device_asked_for() -> None:
    x, y = next(SMALL.loader(8, device="cuda"))
    assert x.is_cuda and y.is_cuda
    assert SMALL.is_valid(x, y).is_cuda
    assert SMALL.solutions(x[0], cap=3).is_cuda


@settings(max_examples=50, deadline=None)
@given(box=st.sampled_from([2, 3]), seed=st.integers(0, 2**32))
def test_a_symmetry_keeps_boards_valid_and_clues_in_step(box: int, seed: int) -> None:
    task = {2: SMALL, 3: STANDARD}[box]
    x, y = (tokens[:8] for tokens in task.test)
    symmetry = Symmetry.random(box, len(x), torch.Generator().manual_seed(seed))
    moved = Batch(symmetry(x), symmetry(y))
    assert task.is_valid(moved.x, moved.y).all()
    torch.testing.assert_close((moved.x > 1).sum(1), (x > 1).sum(1))
    torch.testing.assert_close(symmetry.cells.sort(1).values, torch.arange(x.shape[1]).expand_as(x))
    for before, after in zip(x, moved.x, strict=True):
        assert task.count(before, cap=20) == task.count(after, cap=20)


def test_symmetries_reach_every_transform_of_a_question_equally() -> None:
    x = SMALL.encode("12.. .... .... ....").expand(60_000, 16)
    moved = Symmetry.random(2, len(x), torch.Generator().manual_seed(0))(x)
    numbers, counts = torch.unique(boards_as_numbers(moved), return_counts=True)
    # Two neighbours in one box: 8 pairs of cells beside each other and 8 above each other, times 4·3 pairs of digits.
    assert len(numbers) == 16 * 12
    assert chisquare(counts.numpy()).pvalue > 0.001


def test_text_round_trips() -> None:
    for rules in (SudokuRules(2), SudokuRules(3), SudokuRules(4)):
        text = ("." + rules.digits) * rules.n
        text = text[: rules.spec.length]
        board = rules.encode(text.replace(".", "0"))
        assert rules.decode(board) == text
        assert board.max() == rules.n + 1
    assert SMALL.decode(torch.zeros(16, dtype=torch.long)) == "." * 16


def test_bad_text_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 16 cells, got 3"):
        SMALL.encode("12.")
    with pytest.raises(ValueError, match=r"in cell 2, got '5'"):
        SMALL.encode("15" + "." * 14)
    with pytest.raises(ValueError, match=r"of shape \(16,\), got \(2, 16\)"):
        SMALL.decode(torch.ones(2, 16, dtype=torch.long))


def test_bad_tokens_are_refused() -> None:
    blank = torch.ones(16, dtype=torch.long)
    with pytest.raises(ValueError, match=r"y of shape \(\*, 16\), got \(81,\): is box=2 right"):
        SMALL.is_valid(blank, torch.ones(81, dtype=torch.long))
    with pytest.raises(ValueError, match=r"expected tokens 0\.\.5 in x .* got 1\.\.6"):
        SMALL.is_valid(blank.index_fill(0, torch.tensor([0]), 6), blank)
    with pytest.raises(ValueError, match=r"got -1\.\.1"):
        SMALL.solutions(blank.index_fill(0, torch.tensor([0]), -1), cap=1)
    with pytest.raises(ValueError, match=r"integer tokens in y, got torch.float32"):
        SMALL.is_valid(blank, blank.float())
    with pytest.raises(ValueError, match=r"x of shape \(16,\), got \(1, 16\)"):
        SMALL.solutions(blank[None], cap=1)
    with pytest.raises(ValueError, match="cap of at least 1 solution, got 0"):
        SMALL.count(blank, cap=0)


@pytest.mark.parametrize("text", ["11.. .... .... ....", "1... .... .... 1...", "1... .1.. .... ...."])
def test_conflicting_clues_are_refused(text: str) -> None:
    x = SMALL.encode(text)
    for ask in (SMALL.solutions, SMALL.count):
        with pytest.raises(ValueError, match=r"got a conflict in 1.*no digit may come twice"):
            ask(x, cap=1)


def test_impossible_constructions_are_refused() -> None:
    with pytest.raises(ValueError, match="expected box 2 .* or 3 .*, got 4"):
        Sudoku(box=4)
    with pytest.raises(ValueError, match="or 4 .*, got 1"):
        SudokuRules(1)
    for clues in ((-1, 3), (5, 4), (2, 17)):
        with pytest.raises(ValueError, match="fewest <= most <= 16"):
            Sudoku(box=2, clues=clues)
    with pytest.raises(ValueError, match="at least 0 questions, got -1"):
        Sudoku(box=2, held_out=-1)
    with pytest.raises(ValueError, match="distinct held-out questions, found only 64"):
        Sudoku(box=2, clues=(1, 1))
    with pytest.raises(ValueError, match="batch size of at least 1, got 0"):
        SMALL.loader(0)
    with pytest.raises(ValueError, match="held-out ones only"):
        next(Sudoku(box=2, clues=(0, 0), held_out=1, validation=0).loader(4))


def test_conflicts_mark_exactly_the_cells_that_break_a_rule_or_a_clue():
    rules = SudokuRules(2)
    x = rules.encode("1... .... .... ....")
    y = rules.encode("1234 3412 2143 4321")
    assert not rules.conflicts(x, y).any()
    broken = y.clone()
    broken[0] = y[1]
    expected = torch.zeros(16, dtype=torch.bool)
    wrong = rules.conflicts(x, broken)
    peers = [cell for cell in range(16) if cell and broken[cell] == broken[0] and _share_unit(0, cell)]
    expected[[0, *peers]] = True
    assert torch.equal(wrong, expected)


def _share_unit(first: int, second: int) -> bool:
    (r1, c1), (r2, c2) = divmod(first, 4), divmod(second, 4)
    return r1 == r2 or c1 == c2 or (r1 // 2, c1 // 2) == (r2 // 2, c2 // 2)


def test_validation_and_test_questions_are_distinct():
    task = Sudoku(box=2, held_out=50, validation=30)
    questions = torch.cat([task.test.x, task.validation.x])
    assert len(questions) == len(questions.unique(dim=0)) == 80

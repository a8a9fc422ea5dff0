"""Complete boards from the empty question: what is drawn, what is recognised, what is known of their number."""

from __future__ import annotations

from itertools import islice
from math import factorial

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

import gram_ppl as gp
from gram_ppl.tasks import SudokuGeneration, SudokuRules, SudokuSolver, Task

SMALL, STANDARD = SudokuGeneration(box=2), SudokuGeneration(box=3, test=20, validation=4)
both = pytest.mark.parametrize("task", [SMALL, STANDARD], ids=repr)


def boards_as_numbers(boards: Tensor) -> Tensor:
    """Number 4×4 boards ``(*, 16)`` one to one."""
    return (boards * 6 ** torch.arange(16)).sum(-1)


@both
def test_a_task_draws_complete_boards_to_empty_questions(task: SudokuGeneration) -> None:
    assert isinstance(task, Task)
    n = task.box**2
    assert task.spec == gp.TaskSpec(0, 0, n + 2, grid=(n, n), output_length=n * n)
    assert task.symbols == SudokuRules(task.box).symbols
    for x, y in [task.test, task.validation, *islice(task.loader(32), 3)]:
        assert x.dtype == y.dtype == torch.long
        assert (x.shape, y.shape) == ((len(y), 0), (len(y), n * n))
        assert task.is_valid(x, y).all()
        assert ((y >= 2) & (y <= n + 1)).all()


def test_test_and_validation_have_the_size_asked_for() -> None:
    assert (len(SMALL.test.x), len(SMALL.validation.x)) == (500, 100)
    assert (len(STANDARD.test.x), len(STANDARD.validation.x)) == (20, 4)
    none = SudokuGeneration(box=2, test=0, validation=0)
    assert none.test.y.shape == none.validation.y.shape == (0, 16)


def test_boards_are_uniform_over_all_288() -> None:
    y = torch.cat([batch.y for batch in islice(SMALL.loader(5000), 4)])
    _, amounts = torch.unique(boards_as_numbers(y), return_counts=True)
    assert len(amounts) == 288
    assert chisquare(amounts.numpy()).pvalue > 0.001


@both
def test_streams_repeat_with_their_seed_and_differ_without(task: SudokuGeneration) -> None:
    again = SudokuGeneration(task.box, test=len(task.test.y), validation=len(task.validation.y))
    torch.testing.assert_close(again.test.y, task.test.y)
    first, same = (list(islice(t.loader(24, seed=5), 2)) for t in (task, again))
    for a, b in zip(first, same, strict=True):
        torch.testing.assert_close(a.y, b.y)
    assert not torch.equal(first[0].y, first[1].y)
    assert not torch.equal(first[0].y, next(task.loader(24, seed=6)).y)
    other = SudokuGeneration(task.box, test=24, validation=0, seed=1)
    assert not torch.equal(other.test.y[:20], task.test.y[:20])
    assert not torch.equal(first[0].y, next(other.loader(24, seed=5)).y)


def test_boards_judged_and_boards_trained_on_come_from_different_streams() -> None:
    held_out = torch.cat([STANDARD.test.y, STANDARD.validation.y])
    served = torch.cat([next(STANDARD.loader(24, seed=seed)).y for seed in range(2)])
    every = torch.cat([held_out, served])
    assert len(every.unique(dim=0)) == len(every) == 72


def test_drawing_leaves_the_global_generators_alone() -> None:
    state = torch.get_rng_state()
    next(SudokuGeneration(box=3, test=1, validation=1).loader(8))
    torch.testing.assert_close(torch.get_rng_state(), state)


def test_the_number_of_boards_is_that_of_the_enumeration() -> None:
    assert SMALL.count(gp.BLANK, cap=1000) == SudokuSolver(2).count([0] * 16, cap=1000) == 288
    assert SMALL.count(gp.BLANK, cap=288) == 288
    assert SMALL.count(gp.BLANK, cap=287) == 287
    assert STANDARD.count(gp.BLANK, cap=1001) == 1001
    # Felgenhauer and Jarvis: 9! first boxes, 72² symmetric fillings, 2⁷ times a prime of remaining completions.
    assert STANDARD.count(gp.BLANK, cap=10**30) == factorial(9) * 72**2 * 2**7 * 27_704_267_971


def test_solutions_are_distinct_valid_boards() -> None:
    found = SMALL.solutions(gp.BLANK, cap=1000)
    assert found.shape == (288, 16) and found.dtype == torch.long
    assert SMALL.is_valid(gp.BLANK, found).all()
    assert len(found.unique(dim=0)) == 288
    few = STANDARD.solutions(gp.BLANK, cap=5)
    assert few.shape == (5, 81) and STANDARD.is_valid(gp.BLANK, few).all()
    torch.testing.assert_close(few, STANDARD.solutions(gp.BLANK, cap=5))


def test_validity_is_exact_and_agrees_with_the_conflicts() -> None:
    boards = SMALL.solutions(gp.BLANK, cap=288)
    y = boards.repeat(4, 1)
    swapped = torch.randint(16, (len(y), 2))
    y = y.scatter(1, swapped, y.gather(1, swapped.flip(1)))
    x = gp.BLANK.expand(len(y), 0)
    expected = torch.isin(boards_as_numbers(y), boards_as_numbers(boards))
    assert 0 < expected.sum() < len(expected)
    torch.testing.assert_close(SMALL.is_valid(x, y), expected)
    torch.testing.assert_close(~SMALL.conflicts(x, y).any(-1), expected)


def test_a_board_with_an_open_cell_is_not_valid() -> None:
    y = SMALL.rules.encode("1234 3412 2143 4321")
    assert SMALL.is_valid(gp.BLANK, y)
    for token in (0, 1):
        assert not SMALL.is_valid(gp.BLANK, y.index_fill(0, torch.tensor([9]), token))


@both
def test_verdicts_broadcast_over_draws(task: SudokuGeneration) -> None:
    x, y = (tokens[:6] for tokens in task.test)
    draws = torch.stack([y, y.roll(1, dims=-1), y.index_fill(1, torch.tensor([0, 1]), 2)])
    valid = task.is_valid(x, draws)
    assert valid.shape == (3, 6)
    assert valid[0].all() and not valid[2].any()
    conflicts = task.conflicts(x, draws)
    assert conflicts.shape == draws.shape
    assert not conflicts[0].any() and conflicts[2, :, :2].all()


def test_questions_with_tokens_are_refused() -> None:
    board = torch.ones(16, dtype=torch.long)
    for ask in (SMALL.solutions, SMALL.count):
        for judge in (SMALL.is_valid, SMALL.conflicts):
            with pytest.raises(ValueError, match=r"questions of 0 tokens \(\*, 0\), got \(16,\)"):
                judge(board, board)
        with pytest.raises(ValueError, match=r"questions of 0 tokens \(\*, 0\), got \(16,\)"):
            ask(board, cap=1)
        with pytest.raises(ValueError, match=r"expected one board x of shape \(16,\), got \(3, 16\)"):
            ask(gp.BLANK.expand(3, 0), cap=1)
        with pytest.raises(ValueError, match="cap of at least 1 solution, got 0"):
            ask(gp.BLANK, cap=0)


def test_with_clues_training_shows_cells_and_the_test_shows_none() -> None:
    task = SudokuGeneration(box=2, clues=(3, 5), test=7, validation=2)
    assert isinstance(task, Task)
    assert task.spec == SudokuRules(2).spec
    assert task.test.x.shape == (7, 16) and (torch.cat([task.test.x, task.validation.x]) == 1).all()
    x, y = next(task.loader(64))
    shown = (x != 1).sum(-1)
    assert ((shown >= 3) & (shown <= 5)).all() and len(shown.unique()) == 3
    assert task.is_valid(x, y).all() and not task.is_valid(x, y.roll(1, 0)).all()
    assert task.count(task.test.x[0], cap=1000) == 288
    assert task.count(x[0], cap=1000) == SudokuRules(2).count(x[0], cap=1000) < 288


def test_answers_that_are_no_board_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected y of shape \(\*, 16\), got \(81,\)"):
        SMALL.is_valid(gp.BLANK, torch.ones(81, dtype=torch.long))
    with pytest.raises(ValueError, match=r"expected tokens 0\.\.5 in y"):
        SMALL.is_valid(gp.BLANK, torch.full((16,), 6))


def test_impossible_constructions_are_refused() -> None:
    with pytest.raises(ValueError, match="expected box 2 .* or 3 .*, got 4"):
        SudokuGeneration(box=4)
    with pytest.raises(ValueError, match="at least 0 boards, got -1 and 3"):
        SudokuGeneration(test=-1, validation=3)
    with pytest.raises(ValueError, match="batch size of at least 1, got 0"):
        SMALL.loader(0)


def test_a_generator_is_judged_and_its_draws_are_tabulated(backbone) -> None:
    gram = gp.GRAM(SMALL.spec, dim=8, transitions=1, refinements=1, backbone=backbone)
    gap = gp.Judge(puzzles=10, width=2, supervision_steps=1)(gram, SMALL)
    assert gap.prior_accuracy == 0 and len(gap.kl) == 1
    draws = gp.draw(gram, gp.BLANK[None], width=20, supervision_steps=1)
    table = gp.summary(gp.to_datatree(draws, task=SMALL))
    assert table[["draws", "valid", "solutions", "found"]].iloc[0].tolist() == [20, 0, 288, 0]


def test_a_perfect_generator_is_found_uniform() -> None:
    y = next(SMALL.loader(2000)).y
    draws = gp.Draws(x=gp.BLANK[None], y=y[:, None], supervision_steps=1)
    row = gp.summary(gp.to_datatree(draws, task=SMALL)).iloc[0]
    assert (row["valid"], row["solutions"]) == (1, 288)
    # The number of boards missed has mean 0.27 and is close to Poisson.
    assert row["found"] >= 284
    fit = gp.uniformity(draws.y[:, 0], SMALL.solutions(gp.BLANK, cap=288))
    assert fit.p_value > 0.001 and fit.invalid == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_stay_on_the_device_asked_for() -> None:
    x, y = next(SMALL.loader(8, device="cuda"))
    assert x.is_cuda and y.is_cuda
    assert SMALL.is_valid(x, y).is_cuda
    assert SMALL.solutions(x[0], cap=3).is_cuda

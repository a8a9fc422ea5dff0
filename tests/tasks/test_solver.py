"""The solver against brute force, and against real puzzles with known answers."""

from __future__ import annotations

import csv
import gzip
import random
import time
from itertools import permutations, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram_ppl.tasks import SudokuSolver
from gram_ppl.tasks.sudoku_solver import solver

Board = list[int]


def boards_by_brute_force() -> list[Board]:
    """Every 4×4 board, from the definition."""
    rows = list(permutations(range(1, 5)))
    halves = [
        top + bottom
        for top, bottom in product(rows, rows)
        if len({*top[:2], *bottom[:2]}) == 4 and len({*top[2:], *bottom[2:]}) == 4
    ]
    boards = [list(upper + lower) for upper, lower in product(halves, halves)]
    return sorted(board for board in boards if all(len(set(board[c::4])) == 4 for c in range(4)))


BOARDS = boards_by_brute_force()
SMALL, STANDARD = SudokuSolver(2), SudokuSolver(3)


def real_rows(path: Path, count: int) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        return random.Random(0).sample(list(csv.DictReader(file)), count)


def digits(text: str) -> Board:
    return [int(cell) if cell.isdigit() else 0 for cell in text]


def test_the_empty_4x4_board_has_exactly_its_288_solutions() -> None:
    assert len(BOARDS) == 288
    assert SMALL.solutions([0] * 16, cap=1000) == BOARDS


@settings(max_examples=300, deadline=None)
@given(board=st.sampled_from(BOARDS), shown=st.lists(st.booleans(), min_size=16, max_size=16))
def test_solutions_of_a_masked_board_are_those_of_brute_force(board: Board, shown: list[bool]) -> None:
    clues = [digit if show else 0 for digit, show in zip(board, shown, strict=True)]
    expected = [b for b in BOARDS if all(c in (0, d) for c, d in zip(clues, b, strict=True))]
    assert SMALL.solutions(clues, cap=1000) == expected
    assert SMALL.count(clues, cap=1000) == len(expected)


@settings(max_examples=300, deadline=None)
@given(clues=st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4]), min_size=16, max_size=16))
def test_any_clues_even_impossible_ones_agree_with_brute_force(clues: Board) -> None:
    expected = [b for b in BOARDS if all(c in (0, d) for c, d in zip(clues, b, strict=True))]
    assert SMALL.solutions(clues, cap=1000) == expected


def test_every_clue_pair_of_the_4x4_game_agrees_with_brute_force() -> None:
    for first, second in product(range(16), range(16)):
        for a, b in product(range(1, 5), range(1, 5)):
            if first < second:
                clues = [a if i == first else b if i == second else 0 for i in range(16)]
                expected = sum(board[first] == a and board[second] == b for board in BOARDS)
                assert SMALL.count(clues, cap=1000) == expected


def test_the_cap_stops_the_search_at_the_same_solutions_each_time() -> None:
    first = SMALL.solutions([0] * 16, cap=7)
    assert len(first) == 7
    assert first == sorted(first) == SMALL.solutions([0] * 16, cap=7)
    assert SMALL.count([0] * 16, cap=7) == 7


@pytest.mark.parametrize("box", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_random_boards_follow_the_rules(box: int, seed: int) -> None:
    n = box * box
    board = solver(box).board(random.Random(seed))
    rows = [board[n * i : n * i + n] for i in range(n)]
    boxes = [
        [rows[i + r][j + c] for r in range(box) for c in range(box)] for i in range(0, n, box) for j in range(0, n, box)
    ]
    for unit in (*rows, *zip(*rows, strict=True), *boxes):
        assert sorted(unit) == list(range(1, n + 1))


def test_random_boards_vary_and_repeat_with_the_seed() -> None:
    def draw(seed: int) -> list[Board]:
        rng = random.Random(seed)
        return [STANDARD.board(rng) for _ in range(5)]

    assert draw(1) == draw(1)
    assert len({tuple(board) for board in draw(1) + draw(2)}) == 10


@pytest.mark.parametrize(("game", "clues"), [(SMALL, 0), (SMALL, 8), (STANDARD, 30)])
def test_a_puzzle_keeps_its_solution_unique(game: SudokuSolver, clues: int) -> None:
    rng = random.Random(0)
    for _ in range(10):
        board = game.board(rng)
        puzzle = game.puzzle(board, clues, rng)
        assert game.solutions(puzzle, cap=2) == [board]
        assert len(puzzle) - puzzle.count(0) >= clues


def test_a_puzzle_dug_to_the_end_is_minimal() -> None:
    rng = random.Random(0)
    puzzle = STANDARD.puzzle(STANDARD.board(rng), 0, rng)
    for cell in (cell for cell, digit in enumerate(puzzle) if digit):
        assert STANDARD.count([*puzzle[:cell], 0, *puzzle[cell + 1 :]], cap=2) == 2


def test_a_box_side_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        SudokuSolver(0)


def test_real_hard_puzzles_have_their_one_answer(data_dir: Path) -> None:
    rows = real_rows(data_dir / "sudoku" / "sudoku_extreme_test10k.csv.gz", 300)
    start = time.process_time()
    found = [STANDARD.solutions(digits(row["question"]), cap=2) for row in rows]
    assert found == [[digits(row["answer"])] for row in rows]
    # About 4 ms a puzzle; the bound only catches a broken search.
    assert (time.process_time() - start) / len(rows) < 0.05


def test_counts_of_real_puzzles_with_several_solutions_are_exact(data_dir: Path) -> None:
    for row in real_rows(data_dir / "sudoku" / "sudoku_multisol.csv.gz", 100):
        assert STANDARD.count(digits(row["question"]), cap=2000) == int(row["n_solutions"])

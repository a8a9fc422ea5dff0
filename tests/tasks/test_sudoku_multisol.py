"""Puzzles with several solutions from a file: what it states, and that enumeration agrees."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gram_ppl as gp
from gram_ppl.tasks import SudokuExtreme, SudokuRules, Task, read_sudoku_csv

RULES = SudokuRules(2)
ANSWER = "1234341221434321"
MANY = {"1234............": 12, "123434..........": 6, f"{'.' * 16}": 288, f"{ANSWER[:14]}..": 1}


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A file of questions with several solutions and no answers."""
    rows = (f"{question},{n},somewhere" for question, n in MANY.items())
    return write(tmp_path / "many.csv", "question,n_solutions,source", *rows)


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write(tmp_path / "train.csv", "question,answer", f"12..34..21..43..,{ANSWER}")


def test_a_file_without_answers_keeps_the_stated_numbers(many: Path) -> None:
    table = read_sudoku_csv(many, box=2)
    assert [RULES.decode(x) for x in table.questions] == list(MANY)
    assert table.answers is None and table.ratings is None
    assert table.n_solutions is not None and table.n_solutions.dtype == torch.float64
    assert table.n_solutions.tolist() == [RULES.count(x, cap=1000) for x in table.questions] == list(MANY.values())


def test_answers_ratings_and_numbers_may_stand_together(tmp_path: Path) -> None:
    path = write(
        tmp_path / "all.csv",
        "n_solutions,answer,question,rating",
        f"16777217,{ANSWER},{'.' * 16},2",
        f",{ANSWER},{ANSWER},",
    )
    table = read_sudoku_csv(path, box=2)
    assert table.answers is not None and RULES.decode(table.answers[0]) == ANSWER
    assert table.n_solutions is not None and table.ratings is not None
    assert table.n_solutions[0] == 16777217 and table.n_solutions[1].isnan()
    assert table.ratings[0] == 2


def test_chosen_rows_keep_what_belongs_to_them(many: Path) -> None:
    table = read_sudoku_csv(many, box=2)
    part = table.select(torch.tensor([3, 0]))
    assert [RULES.decode(x) for x in part.questions] == [f"{ANSWER[:14]}..", "1234............"]
    assert part.answers is None
    assert part.n_solutions is not None and part.n_solutions.tolist() == [1, 12]


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("question", "." * 16, r"expected columns question and answer.*missing answer"),
        ("n_solutions", "4", r"missing question"),
        ("question,n_solutions", f"{'.' * 16},many", r"line 2: expected n_solutions to be a number.*'many'"),
        ("question,n_solutions", f"11{'.' * 14},0", r"line 2: expected question to give no digit twice"),
    ],
)
def test_a_broken_file_is_refused_with_its_row(tmp_path: Path, header: str, row: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_sudoku_csv(write(tmp_path / "broken.csv", header, row), box=2)


def test_a_task_judges_by_puzzles_with_several_solutions(many: Path, train: Path) -> None:
    task = SudokuExtreme(train, many, box=2, validation_size=1)
    assert isinstance(task, Task)
    for x, y in (task.test, task.validation):
        assert task.is_valid(x, y).all()
    counts = {task.decode(x): task.count(x, cap=1000) for x in torch.cat([task.test.x, task.validation.x])}
    assert counts == MANY
    every = [task.solutions(x, cap=1000) for x in task.test.x]
    assert all(bool(task.is_valid(x, found).all()) for x, found in zip(task.test.x, every, strict=True))
    draws = gp.Draws(task.test.x, torch.stack([found[:1] for found in every], 1), supervision_steps=1)
    table = gp.summary(gp.to_datatree(draws, task=task))
    assert table["solutions"].tolist() == [MANY[task.decode(x)] for x in task.test.x]
    assert (table["valid"] == 1).all()


def test_training_needs_answers(many: Path, train: Path) -> None:
    with pytest.raises(ValueError, match=r"many\.csv: expected a column answer to train on, got none"):
        SudokuExtreme(many, train, box=2, validation_size=0)


def test_a_test_puzzle_without_solution_is_named(tmp_path: Path, train: Path) -> None:
    impossible = "123....4........"
    path = write(tmp_path / "none.csv", "question,n_solutions", f"{impossible},0")
    with pytest.raises(ValueError, match=r"none\.csv: expected a question with a solution, got 123\.\.\.\.4.*remove"):
        SudokuExtreme(train, path, box=2, validation_size=0)


def test_enumeration_agrees_with_the_stated_numbers_of_real_puzzles(data_dir: Path) -> None:
    rules, table = SudokuRules(3), read_sudoku_csv(data_dir / "sudoku" / "sudoku_multisol.csv.gz")
    assert table.n_solutions is not None and len(table.questions) == 9994
    order = torch.randperm(len(table.questions), generator=torch.Generator().manual_seed(0))
    # Two of three rows have more than 80 solutions and are counted up to there, the first ten of all to the end.
    for place, row in enumerate(order[:200].tolist()):
        cap = 10_000 if place < 10 else 80
        assert rules.count(table.questions[row], cap) == min(int(table.n_solutions[row]), cap)


def test_real_puzzles_with_several_solutions_make_a_test_set(data_dir: Path) -> None:
    folder = data_dir / "sudoku"
    train, test = folder / "sudoku_extreme_train1k.csv.gz", folder / "sudoku_multisol.csv.gz"
    task = SudokuExtreme(train, test, test_size=20, validation_size=5)
    assert len(task.test.x) == 20 and task.test_rating is None
    assert task.is_valid(task.test.x, task.test.y).all()
    assert all(task.count(x, cap=2) == 2 for x in task.test.x)

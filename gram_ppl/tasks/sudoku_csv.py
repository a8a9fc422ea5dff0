"""Reading real Sudoku puzzles from CSV files, plain or gzipped."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
from torch import Tensor

from gram_ppl.tasks.sudoku_rules import SudokuRules

_GZIP = b"\x1f\x8b"
_UNKNOWN = 255
_CHUNK = 65536
_SHOWN = 256


@dataclass(frozen=True)
class SudokuTable:
    """The puzzles of one file, about 1.3 KB a row for the 9×9 game.

    Args:
        questions: tokens ``(N, L)``, long.
        answers: tokens ``(N, L)``, long; None without the column.
        ratings: difficulties ``(N,)`` as the file states them, nan where a cell is empty; None without the column.
        n_solutions: numbers of solutions ``(N,)`` as the file states them, likewise.
    """

    questions: Tensor
    answers: Tensor | None
    ratings: Tensor | None
    n_solutions: Tensor | None = None

    def select(self, rows: Tensor) -> SudokuTable:
        """Keep the puzzles ``rows (n,)``, in that order."""
        others = (self.answers, self.ratings, self.n_solutions)
        return SudokuTable(self.questions[rows], *(None if column is None else column[rows] for column in others))


@dataclass(frozen=True)
class _Column:
    """One column of a file, with what is needed to name a faulty row."""

    path: Path
    name: str
    cells: list[str]
    lines: list[int]

    def fault(self, row: int, expected: str, fix: str) -> ValueError:
        got = _shortened(self.cells[row])
        return ValueError(f"{self.path}, line {self.lines[row]}: expected {self.name} to {expected}, got {got}; {fix}")


def read_sudoku_csv(path: str | Path, *, box: int = 3) -> SudokuTable:
    """Read and check the puzzles of a CSV file with columns ``question`` and ``answer``, and perhaps ``rating``.

    Puzzles with several solutions have a column ``n_solutions``, and then perhaps no ``answer``; the numbers are kept
    as stated, ``task.count`` enumerates. Columns are found by name and others are ignored. A board is its n² cells in
    reading order, ``.`` or ``0`` blank. Compression is told from the content.

    Args:
        path: the file.
        box: side of a box in cells.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is empty, not text, a broken gzip, lacks a column, or has a row whose question is
            malformed or in conflict, whose rating or number of solutions is no number, or whose answer is not a
            complete board that keeps the question's clues.
    """
    path = Path(path)
    rules = SudokuRules(box)
    columns = _read_columns(path)
    questions = _questions(columns["question"], rules)
    return SudokuTable(
        questions.long(),
        _answers(columns["answer"], rules, columns["question"], questions).long() if "answer" in columns else None,
        _numbers(columns["rating"], torch.float32) if "rating" in columns else None,
        _numbers(columns["n_solutions"], torch.float64) if "n_solutions" in columns else None,
    )


def _read_columns(path: Path) -> dict[str, _Column]:
    try:
        with _opened(path) as file:
            return _split(path, csv.reader(file))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: expected a whole gzip file, got a broken one ({error}); fetch it again") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text, got other bytes ({error}); is it a CSV file?") from error
    except csv.Error as error:
        raise ValueError(f"{path}: expected CSV, got something unreadable ({error}); is it a CSV file?") from error


def _opened(path: Path) -> TextIO:
    if not path.is_file():
        raise FileNotFoundError(f"expected a Sudoku CSV file at {path}, found none; check the path")
    with path.open("rb") as file:
        magic = file.read(2)
    if not magic:
        raise ValueError(f"{path}: expected a CSV file, got an empty one; fetch it again")
    if magic == _GZIP:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    if path.suffix == ".gz":
        raise ValueError(f"{path}: expected gzip content by its name, got bytes {magic!r}; rename it or fetch it again")
    return path.open(encoding="utf-8-sig", newline="")


def _split(path: Path, reader: Iterator[list[str]]) -> dict[str, _Column]:
    header = [name.strip() for name in next(reader, [])]
    needed = ("question",) if "n_solutions" in header else ("question", "answer")
    missing = [name for name in needed if name not in header]
    if missing:
        raise ValueError(
            f"{path}, line 1: expected columns question and answer, got {_shortened(','.join(header))}; "
            f"name the missing {' and '.join(missing)} in the header"
        )
    wanted = {name: header.index(name) for name in ("question", "answer", "rating", "n_solutions") if name in header}
    cells: dict[str, list[str]] = {name: [] for name in wanted}
    lines: list[int] = []
    for row in reader:
        if not row:
            continue
        lines.append(reader.line_num)  # type: ignore[attr-defined]
        if len(row) != len(header):
            raise ValueError(
                f"{path}, line {lines[-1]}: expected {len(header)} columns as in the header, got {len(row)}; "
                "complete the row or remove it"
            )
        for name, position in wanted.items():
            cells[name].append(row[position])
    if not lines:
        raise ValueError(f"{path}: expected puzzles under the header, got none; fetch the file again")
    return {name: _Column(path, name, cells[name], lines) for name in wanted}


def _boards(column: _Column, rules: SudokuRules) -> Tensor:
    """Turn a column of strings into tokens ``(N, L)``, one byte each."""
    length = rules.spec.length
    for row, cell in enumerate(column.cells):
        if len(cell) != length:
            fix = f"it has {len(cell)} characters: check the row, or box={rules.box}"
            raise column.fault(row, f"have {length} characters", fix)
    codes = np.full(256, _UNKNOWN, dtype=np.uint8)
    codes[[ord("."), ord("0")]] = 1
    codes[[ord(symbol) for symbol in rules.digits]] = np.arange(rules.n) + 2
    text = "".join(column.cells).encode("ascii", errors="replace")
    boards = codes[np.frombuffer(text, dtype=np.uint8)].reshape(-1, length)
    unknown = (boards == _UNKNOWN).any(axis=1)
    if unknown.any():
        row = int(unknown.argmax())
        symbol = column.cells[row][int((boards[row] == _UNKNOWN).argmax())]
        raise column.fault(row, f"use {rules.digits}, '.' and '0' only", f"replace {symbol!r}")
    return torch.from_numpy(boards)


def _questions(question: _Column, rules: SudokuRules) -> Tensor:
    boards = _boards(question, rules)
    for start, rows in _chunks(boards):
        conflicts = rules.has_conflict(rows)
        if conflicts.any():
            row = start + int(conflicts.int().argmax())
            fix = "correct the clues or remove the row"
            raise question.fault(row, "give no digit twice in a row, column or box", fix)
    return boards


def _answers(answer: _Column, rules: SudokuRules, question: _Column, questions: Tensor) -> Tensor:
    boards, fix = _boards(answer, rules), "correct the answer or remove the row"
    for start, rows in _chunks(boards):
        complete = rules.is_complete(rows)
        if not complete.all():
            row = start + int(complete.int().argmin())
            raise answer.fault(row, "hold each digit once in every row, column and box", fix)
        kept = rules.keeps_clues(questions[start : start + len(rows)], rows)
        if not kept.all():
            row = start + int(kept.int().argmin())
            raise answer.fault(row, f"keep the clues of its question {question.cells[row]!r}", fix)
    return boards


def _chunks(boards: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield slices of the rows with the number of their first one, so that memory stays bounded."""
    for start in range(0, len(boards), _CHUNK):
        yield start, boards[start : start + _CHUNK]


def _numbers(column: _Column, dtype: torch.dtype) -> Tensor:
    numbers = []
    for row, cell in enumerate(column.cells):
        try:
            numbers.append(float(cell or "nan"))
        except ValueError:
            fix = f"correct the {column.name} or remove the column"
            raise column.fault(row, "be a number or empty", fix) from None
    return torch.tensor(numbers, dtype=dtype)


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")

"""Sudoku-Extreme: real hard puzzles from CSV files or from the hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from gram_ppl.tasks.stream import HeldOut, generator, stream
from gram_ppl.tasks.sudoku_csv import SudokuTable, read_sudoku_csv
from gram_ppl.tasks.sudoku_rules import SudokuRules
from gram_ppl.tasks.sudoku_symmetry import Symmetry
from gram_ppl.types import Batch

_REPOSITORY = "sapientinc/sudoku-extreme"
_TEST, _TRAIN_ROWS, _TRAIN, _VALIDATION = 0, 1, 2, 3


class SudokuExtreme(SudokuRules):
    """Serve the puzzles of two CSV files, the training ones under random symmetries.

    Made for Sudoku-Extreme (1,000 training puzzles, augmented), and fit for any files with its columns. A test file
    may hold puzzles with several solutions and no answers: each puzzle kept then gets the first solution the solver
    finds (some milliseconds a row), while ``is_valid``, ``solutions`` and ``count`` know them all.

    Args:
        train: file of training puzzles.
        test: file of test puzzles; a training row that equals one of them is never served.
        box: side of a box in cells.
        augment: whether each training row gets a fresh random symmetry each time it is served.
        train_size: training puzzles to keep, chosen by ``seed``; None keeps all.
        test_size: test puzzles to keep, chosen by ``seed``; None keeps all but those for validation.
        validation_size: puzzles of the test file set aside for choices made during training.
        seed: of the choice of rows and, with the loader's own, of the training stream.

    Attributes:
        test_rating: difficulty of each test puzzle ``(N,)`` as the file states it; None without such a column.

    Raises:
        FileNotFoundError: when a file is missing.
        ValueError: when a file is malformed or has fewer rows than asked for, a training file has no answers, or a test
            puzzle without answer has no solution.
    """

    def __init__(
        self,
        train: str | Path,
        test: str | Path,
        *,
        box: int = 3,
        augment: bool = True,
        train_size: int | None = None,
        test_size: int | None = None,
        validation_size: int = 100,
        seed: int = 0,
    ) -> None:
        super().__init__(box)
        self.augment = augment
        self.seed = seed
        served = _some_rows(train, box, train_size, generator(seed, _TRAIN_ROWS))
        if served.answers is None:
            raise ValueError(f"{train}: expected a column answer to train on, got none; add one to the file")
        self._train = Batch(served.questions, served.answers)
        size = None if test_size is None else test_size + validation_size
        table = _some_rows(test, box, size, generator(seed, _TEST))
        x, ratings = table.questions, table.ratings
        y = self._solved(x, test) if table.answers is None else table.answers
        if not 0 <= validation_size < len(x):
            raise ValueError(
                f"{test}: expected 0..{len(x) - 1} of its {len(x)} rows for validation, got {validation_size}: "
                "set validation_size"
            )
        validation = torch.randperm(len(x), generator=generator(seed, _VALIDATION))[:validation_size]
        judged = torch.ones(len(x), dtype=torch.bool).index_fill(0, validation, False)
        self.test, self.validation = Batch(x[judged], y[judged]), Batch(x[validation], y[validation])
        self.test_rating = None if ratings is None else ratings[judged]
        self._known = HeldOut(x)

    @classmethod
    def from_hub(
        cls,
        *,
        augment: bool = True,
        train_size: int | None = 1000,
        test_size: int | None = None,
        seed: int = 0,
    ) -> SudokuExtreme:
        """Fetch both files of the public dataset; 1,000 training puzzles is the published protocol.

        Raises:
            ImportError: without ``huggingface_hub``.
            ConnectionError: when a file can be neither fetched nor found in the cache.
        """
        train, test = fetch_sudoku_extreme("train"), fetch_sudoku_extreme("test")
        return cls(train, test, augment=augment, train_size=train_size, test_size=test_size, seed=seed)

    def __repr__(self) -> str:
        return (
            f"SudokuExtreme(box={self.box}, train={len(self._train.x)}, test={len(self.test.x)}, "
            f"augment={self.augment}, seed={self.seed})"
        )

    def loader(self, batch_size: int, *, seed: int = 0, device: torch.device | str | None = None) -> Iterator[Batch]:
        """Stream training batches ``(batch_size, L)`` without end, rows drawn with replacement.

        Args:
            batch_size: questions in a batch.
            seed: of this stream.
            device: where the batches are put; None is the CPU, where they are drawn.

        Raises:
            ValueError: for a ``batch_size`` below 1.
        """
        return stream(self._draw, self._known, batch_size, generator(self.seed, _TRAIN, seed), device)

    def _solved(self, questions: Tensor, path: str | Path) -> Tensor:
        answers = [self.solutions(x, cap=1) for x in questions]
        for x, found in zip(questions, answers, strict=True):
            if not len(found):
                raise ValueError(f"{path}: expected a question with a solution, got {self.decode(x)}; remove its row")
        return torch.cat(answers)

    def _draw(self, count: int, generator: torch.Generator) -> Batch:
        rows = torch.randint(len(self._train.x), (count,), generator=generator)
        x, y = self._train.x[rows], self._train.y[rows]
        if not self.augment:
            return Batch(x, y)
        symmetry = Symmetry.random(self.box, count, generator)
        return Batch(symmetry(x), symmetry(y))


def fetch_sudoku_extreme(split: str) -> Path:
    """Fetch ``train.csv`` or ``test.csv`` of the public Sudoku-Extreme dataset and return where it is cached.

    Args:
        split: ``"train"`` or ``"test"``.

    Raises:
        ValueError: for another ``split``.
        ImportError: without ``huggingface_hub``.
        ConnectionError: when the file can be neither fetched nor found in the cache.
    """
    if split not in ("train", "test"):
        raise ValueError(f"expected split 'train' or 'test', got {split!r}")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise ImportError(
            'fetching Sudoku-Extreme needs huggingface_hub: pip install "gram-ppl[hub]", '
            "or pass the paths of downloaded files to SudokuExtreme(train, test)"
        ) from error
    try:
        return Path(hf_hub_download(_REPOSITORY, f"{split}.csv", repo_type="dataset"))
    except OSError as error:
        raise ConnectionError(
            f"could not fetch {split}.csv of {_REPOSITORY} ({error}); check the network, or download the file "
            f"from https://huggingface.co/datasets/{_REPOSITORY} and pass its path to SudokuExtreme(train, test)"
        ) from error


def _some_rows(path: str | Path, box: int, size: int | None, generator: torch.Generator) -> SudokuTable:
    table = read_sudoku_csv(path, box=box)
    total = len(table.questions)
    if size is None:
        return table
    if not 1 <= size <= total:
        raise ValueError(f"{path}: expected to keep 1..{total} rows, got {size}; ask for fewer")
    return table.select(torch.randperm(total, generator=generator)[:size].sort().values)

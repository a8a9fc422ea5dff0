"""Reading CSV files: what is accepted, and how each broken file is refused."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gram_ppl.tasks import SudokuExtreme, SudokuRules, Task, fetch_sudoku_extreme, read_sudoku_csv

ANSWER = "1234341221434321"
OTHER = "2143432112343412"
QUESTION = "12..34..21..43.."
RULES = SudokuRules(2)


def write(folder: Path, text: str, name: str = "puzzles.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def rows(*rows: str, header: str = "question,answer") -> str:
    return "\n".join([header, *rows]) + "\n"


GOOD = rows(f"{QUESTION},{ANSWER}", f"{'.' * 16},{OTHER}")


def test_a_plain_file_gives_tokens(tmp_path: Path) -> None:
    table = read_sudoku_csv(write(tmp_path, GOOD), box=2)
    assert table.questions.dtype == table.answers.dtype == torch.long
    assert [RULES.decode(x) for x in table.questions] == [QUESTION, "." * 16]
    assert [RULES.decode(y) for y in table.answers] == [ANSWER, OTHER]
    assert table.ratings is None


@pytest.mark.parametrize("name", ["puzzles.csv.gz", "puzzles.csv"])
def test_gzip_is_told_by_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(GOOD.encode()))
    assert len(read_sudoku_csv(path, box=2).questions) == 2


def test_columns_are_found_by_name_and_zero_is_blank(tmp_path: Path) -> None:
    row = f"somewhere,{QUESTION.replace('.', '0')},easy,{ANSWER},"
    text = rows(row, row + "2.5", header="source,question,note,answer,rating")
    table = read_sudoku_csv(write(tmp_path, "\ufeff" + text.replace("\n", "\r\n")), box=2)
    assert RULES.decode(table.questions[0]) == QUESTION
    assert table.ratings is not None
    assert table.ratings.isnan().tolist() == [True, False]
    assert table.ratings[1] == 2.5


BROKEN = {
    "empty": ("", r"puzzles.csv: expected a CSV file, got an empty one"),
    "header only": ("question,answer\n", r"expected puzzles under the header, got none"),
    "missing column": (
        rows(QUESTION, header="question"),
        r"line 1: expected columns question and answer.*missing answer",
    ),
    "other file": ("name;age\nx;3\n", r"line 1: .*got 'name;age'.*missing question and answer"),
    "short row": (rows(f"{QUESTION},{ANSWER}", QUESTION), r"line 3: expected 2 columns as in the header, got 1"),
    "wrong length": (rows(f"{QUESTION[:-1]},{ANSWER}"), r"line 2: expected question to have 16.*it has 15.*box=2"),
    "wrong answer length": (rows(f"{QUESTION},{ANSWER}1"), r"line 2: expected answer to have 16.*it has 17"),
    "unknown character": (rows(f"{QUESTION[:-1]}x,{ANSWER}"), r"line 2: expected question to use 1234.*replace 'x'"),
    "digit too large": (rows(f"5{QUESTION[1:]},{ANSWER}"), r"replace '5'"),
    "not ascii": (rows(f"{QUESTION[:-1]}é,{ANSWER}"), r"replace 'é'"),
    "row conflict": (rows(f"11{'.' * 14},{ANSWER}"), r"line 2: expected question to give no digit twice"),
    "column conflict": (rows(f"1...{'.' * 8}1...,{ANSWER}"), r"give no digit twice"),
    "box conflict": (rows(f"1....1{'.' * 10},{ANSWER}"), r"give no digit twice"),
    "incomplete answer": (rows(f"{QUESTION},{QUESTION}"), r"line 2: expected answer to hold each digit once"),
    "invalid answer": (rows(f"{'.' * 16},{'1234' * 4}"), r"expected answer to hold each digit once"),
    "answer breaks question": (rows("", f"{QUESTION},{OTHER}"), r"line 3: expected answer to keep the clues.*12\.\.34"),
    "rating": (rows(f"{QUESTION},{ANSWER},hard", header="question,answer,rating"), r"line 2: expected rating.*'hard'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_with_its_row(tmp_path: Path, case: str) -> None:
    text, message = BROKEN[case]
    with pytest.raises(ValueError, match=message) as caught:
        read_sudoku_csv(write(tmp_path, text), box=2)
    assert "puzzles.csv" in str(caught.value)


def test_the_first_bad_row_of_many_is_named(tmp_path: Path) -> None:
    many = [f"{QUESTION},{ANSWER}"] * 70_000
    many[66_000] = f"{QUESTION},{OTHER}"
    with pytest.raises(ValueError, match="line 66002: expected answer to keep"):
        read_sudoku_csv(write(tmp_path, rows(*many)), box=2)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.csv, found none"):
        read_sudoku_csv(tmp_path / "absent.csv")


def test_a_truncated_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(GOOD.encode())[:-12])
    with pytest.raises(ValueError, match=r"cut\.csv\.gz: expected a whole gzip file"):
        read_sudoku_csv(path, box=2)


def test_a_corrupted_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv.gz"
    content = bytearray(gzip.compress(GOOD.encode()))
    content[-8:-4] = b"\0\0\0\0"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="expected a whole gzip file"):
        read_sudoku_csv(path, box=2)


def test_a_gz_name_without_gzip_content_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected gzip content by its name, got bytes b'qu'"):
        read_sudoku_csv(write(tmp_path, GOOD, "plain.csv.gz"), box=2)


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(ValueError, match=r"picture\.csv: expected UTF-8 text"):
        read_sudoku_csv(path)


def test_a_field_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected CSV"):
        read_sudoku_csv(write(tmp_path, "question,answer\n" + "1" * 200_000))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    train = rows(f"{QUESTION},{ANSWER}", f"{OTHER[:8] + '.' * 8},{OTHER}")
    test = rows(
        f"{'.' * 12}{ANSWER[12:]},{ANSWER},7",
        f"{ANSWER[:4]}{'.' * 12},{ANSWER},8",
        f"{OTHER[:4]}{'.' * 12},{OTHER},9",
        header="question,answer,rating",
    )
    return write(tmp_path, train, "train.csv"), write(tmp_path, test, "test.csv")


def test_augmented_batches_are_valid_varied_and_seeded(files: tuple[Path, Path]) -> None:
    task = SudokuExtreme(*files, box=2, validation_size=0)
    assert isinstance(task, Task)
    x, y = next(task.loader(64, seed=3))
    assert task.is_valid(x, y).all()
    assert len(torch.unique(x, dim=0)) > 32
    assert ((x > 1).sum(1) == 8).all()
    torch.testing.assert_close(x, next(task.loader(64, seed=3)).x)
    assert not torch.equal(x, next(task.loader(64, seed=4)).x)


def test_without_augmentation_the_rows_are_served_as_they_are(files: tuple[Path, Path]) -> None:
    task = SudokuExtreme(*files, box=2, validation_size=0, augment=False)
    x, _ = next(task.loader(64))
    assert {task.decode(row) for row in x} == {QUESTION, OTHER[:8] + "." * 8}


def test_test_rows_keep_their_rating_when_some_are_chosen(files: tuple[Path, Path]) -> None:
    whole = SudokuExtreme(*files, box=2, validation_size=0)
    part = SudokuExtreme(*files, box=2, validation_size=0, test_size=2, train_size=1, seed=1)
    assert whole.test_rating is not None and part.test_rating is not None
    assert whole.test_rating.tolist() == [7, 8, 9]
    for x, rating in zip(part.test.x, part.test_rating, strict=True):
        torch.testing.assert_close(x, whole.test.x[int(rating) - 7])
    with pytest.raises(ValueError, match=r"test\.csv: expected to keep 1\.\.3 rows, got 4"):
        SudokuExtreme(*files, box=2, validation_size=0, test_size=4)


def test_a_training_row_that_is_a_test_question_is_never_served(files: tuple[Path, Path]) -> None:
    train, test = files
    train.write_text(train.read_text() + test.read_text().split("\n")[1].rsplit(",", 1)[0] + "\n")
    task = SudokuExtreme(train, test, box=2, validation_size=0, augment=False)
    x, _ = next(task.loader(256))
    assert len(torch.unique(x, dim=0)) == 2
    with pytest.raises(ValueError, match="held-out ones only"):
        next(SudokuExtreme(train, train, box=2, validation_size=0, augment=False).loader(4))


def test_the_hub_fetches_the_two_files_of_the_public_dataset(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(repository: str, filename: str, *, repo_type: str) -> str:
        asked.append((repository, filename, repo_type))
        return str(files[0].parent / filename)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=download))
    tables = [read_sudoku_csv(fetch_sudoku_extreme(split), box=2) for split in ("train", "test")]
    assert [len(table.questions) for table in tables] == [2, 3]
    assert asked == [("sapientinc/sudoku-extreme", f"{split}.csv", "dataset") for split in ("train", "test")]


def test_the_hub_says_what_to_do_without_its_package_or_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="'train' or 'test', got 'valid'"):
        fetch_sudoku_extreme("valid")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"gram-ppl\[hub\].*pass the paths"):
        fetch_sudoku_extreme("train")

    def offline(*args: str, **kwargs: str) -> str:
        raise OSError("no route to host")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=offline))
    with pytest.raises(ConnectionError, match=r"could not fetch test\.csv.*no route to host.*pass its path"):
        fetch_sudoku_extreme("test")


def test_real_files_load_and_serve_valid_puzzles(data_dir: Path) -> None:
    folder = data_dir / "sudoku"
    train, test = folder / "sudoku_extreme_train1k.csv.gz", folder / "sudoku_extreme_test10k.csv.gz"
    task = SudokuExtreme(train, test, test_size=500)
    assert task.is_valid(task.test.x, task.test.y).all()
    assert task.test_rating is not None and task.test_rating.shape == (500,)
    x, y = next(task.loader(256))
    assert task.is_valid(x, y).all()
    assert task.count(x[0], cap=2) == 1
    torch.testing.assert_close(task.solutions(x[0], cap=2), y[:1])

"""Questions with tokens of their own, or with none, are judged, kept and drawn as others are."""

from __future__ import annotations

from importlib import metadata
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure
from torch import Tensor

from gram_ppl.diagnostics import (
    accuracy,
    cell_entropy,
    coverage_curve,
    from_datatree,
    overall,
    plots,
    save_netcdf,
    summary,
    to_datatree,
    to_inference_data,
)
from gram_ppl.tasks import SudokuGeneration, Task
from gram_ppl.types import BLANK, Batch, Draws, TaskSpec

DRAWN = ("chain", "draw", "puzzle")
NODES = 4
EDGES = list(combinations(range(NODES), 2))


class ThreeColours:
    """Colour four nodes: a question has six tokens, 1 no edge and 2 edge; an answer four, 3 to 5 the colours."""

    spec = TaskSpec(length=6, input_vocab=3, output_vocab=6, output_length=NODES)
    symbols = ("", "", "", "R", "G", "B")
    blank = 1

    def __init__(self) -> None:
        square, path = [2, 1, 2, 2, 1, 2], [2, 1, 1, 2, 1, 2]
        x = torch.tensor([square, path, [1] * 6])
        self.test = self.validation = Batch(x, torch.stack([self.solutions(question, 1)[0] for question in x]))

    def loader(self, batch_size: int, *, seed: int = 0, device: torch.device | str | None = None):
        raise NotImplementedError

    def is_valid(self, x: Tensor, y: Tensor) -> Tensor:
        first, second = (torch.tensor(ends) for ends in zip(*EDGES, strict=True))
        return ~((x == 2) & (y[..., first] == y[..., second])).any(-1) & (y >= 3).all(-1)

    def solutions(self, x: Tensor, cap: int) -> Tensor:
        every = torch.tensor(list(product((3, 4, 5), repeat=NODES)))
        return every[self.is_valid(x, every)][:cap]

    def count(self, x: Tensor, cap: int) -> int:
        return len(self.solutions(x, cap))


def colourings() -> tuple[Task, Draws, Tensor]:
    """Three graphs and twelve draws for each, most of them valid."""
    task, generator = ThreeColours(), torch.Generator().manual_seed(0)
    drawn = [task.solutions(x, 99) for x in task.test.x]
    y = torch.stack([s[torch.randint(len(s), (12,), generator=generator)] for s in drawn], 1)
    y[:3, 0] = torch.tensor([3, 3, 4, 5])
    return task, Draws(task.test.x, y, supervision_steps=2), task.test.y


def boards() -> tuple[Task, Draws, Tensor]:
    """Twelve boards to each of three empty questions, some of them spoiled."""
    task = SudokuGeneration(box=2, test=3, validation=0)
    y = next(task.loader(36)).y.reshape(12, 3, 16)
    y[:3, 0, :4] = 2
    return task, Draws(task.test.x, y, supervision_steps=2), task.test.y


CASES = {"colourings": colourings, "boards": boards}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> tuple[Task, Draws, Tensor]:
    return request.param()


def test_the_question_lies_on_tokens_and_nothing_is_given(case: tuple[Task, Draws, Tensor]) -> None:
    task, draws, y = case
    tree = to_datatree(draws, task, y=y)
    assert isinstance(task, Task)
    assert tree["constant_data/x"].dims == ("puzzle", "token")
    np.testing.assert_array_equal(tree["constant_data/x"], draws.x)
    np.testing.assert_array_equal(tree["constant_data/token"], np.arange(draws.x.shape[1]))
    assert "given" not in tree["constant_data"]
    assert tree["posterior_predictive/y"].dims == (*DRAWN, "cell")
    assert tree["observed_data/y"].dims == ("puzzle", "cell")
    np.testing.assert_array_equal(tree["sample_stats/valid"], task.is_valid(draws.x, draws.y)[None])


def test_without_a_task_another_number_of_tokens_tells(case: tuple[Task, Draws, Tensor]) -> None:
    _, draws, _ = case
    assert to_datatree(draws)["constant_data/x"].dims == ("puzzle", "token")
    same = Draws(draws.y[0], draws.y, supervision_steps=1)
    assert to_datatree(same)["constant_data/x"].dims == ("puzzle", "cell")


class AnyColours(ThreeColours):
    """Accepts every colouring; whether questions lie on the nodes is for its spec to say."""

    def __init__(self, output_length: int | None) -> None:
        self.spec = TaskSpec(length=NODES, input_vocab=3, output_vocab=6, output_length=output_length)

    def is_valid(self, x: Tensor, y: Tensor) -> Tensor:
        return (y >= 3).all(-1) & (x >= 0).all(-1)


def test_with_a_task_its_spec_tells() -> None:
    _, draws, _ = colourings()
    square = Draws(draws.x[:, :NODES], draws.y, supervision_steps=1)
    apart, shared = (to_datatree(square, AnyColours(length), cap=None)["constant_data"] for length in (NODES, None))
    assert (apart["x"].dims, shared["x"].dims) == (("puzzle", "token"), ("puzzle", "cell"))
    assert "given" in shared and "given" not in apart
    with pytest.raises(ValueError, match=r"expected x .* sizes \(3, 4\), got \(3, 6\)"):
        to_datatree(draws, AnyColours(None), cap=None)


def test_noise_lies_on_the_tokens_of_question_and_answer() -> None:
    _, draws, _ = colourings()
    eps = {"eps_1": torch.randn(12, 3, 6 + NODES, 2)}
    tree = to_datatree(draws, ThreeColours(), prior=eps)
    assert tree["prior/eps_1"].dims == (*DRAWN, "position", "feature")
    np.testing.assert_array_equal(tree["prior/eps_1"], eps["eps_1"][None])
    with pytest.raises(ValueError, match=r"expected eps_1 .* sizes \(1, 12, 3, 10, 2\), got \(1, 12, 3, 4, 2\)"):
        to_datatree(draws, ThreeColours(), prior={"eps_1": torch.randn(12, 3, NODES, 2)})


def test_noise_without_a_question_lies_on_the_cells() -> None:
    task, draws, _ = boards()
    tree = to_datatree(draws, task, posterior={"eps_1": torch.randn(12, 3, 16, 2)})
    assert tree["posterior/eps_1"].dims == (*DRAWN, "cell", "feature")


def test_draws_come_back_from_the_tree(case: tuple[Task, Draws, Tensor]) -> None:
    task, draws, _ = case
    back = from_datatree(to_datatree(draws, task))
    assert torch.equal(back.x, draws.x) and torch.equal(back.y, draws.y)
    assert back.x.dtype == torch.long


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_a_file_gives_back_the_same_tree(case: tuple[Task, Draws, Tensor], tmp_path: Path, engine: str) -> None:
    pytest.importorskip({"netcdf4": "netCDF4"}.get(engine, engine))
    task, draws, y = case
    tree = to_datatree(draws, task, y=y)
    save_netcdf(tree, tmp_path / "draws.nc")
    loaded = xr.load_datatree(tmp_path / "draws.nc", engine=engine)
    xr.testing.assert_equal(loaded, tree)
    assert torch.equal(from_datatree(loaded).x, draws.x)
    assert summary(loaded).equals(summary(tree))
    assert plots.solutions(loaded).get_suptitle() == plots.solutions(tree).get_suptitle()


def test_arviz_gets_what_it_takes(case: tuple[Task, Draws, Tensor]) -> None:
    task, draws, _ = case
    data = to_inference_data(draws, task)
    assert torch.equal(from_datatree(data).x, draws.x)
    assert summary(data).equals(summary(to_datatree(draws, task)))
    if metadata.version("arviz").startswith("0."):
        assert plots.solutions(data).get_suptitle().startswith("Puzzle 0")


def test_the_tables_count_as_the_task_does(case: tuple[Task, Draws, Tensor]) -> None:
    task, draws, _ = case
    tree = to_datatree(draws, task)
    table, row = summary(tree), overall(tree)
    valid = task.is_valid(draws.x, draws.y)
    assert not valid[:3, 0].any() and valid[3:].all() and valid[:, 1:].all()
    assert table["valid"].tolist() == [0.75, 1, 1]
    assert table["solutions"].tolist() == [task.count(x, 1000) for x in draws.x]
    assert row["valid"] == pytest.approx(33 / 36)
    assert row["puzzles"] == row["counted"] == 3
    assert row["coverage"] == pytest.approx(table["coverage"].mean(), abs=1e-3)


def test_accuracy_is_that_of_the_answers(case: tuple[Task, Draws, Tensor]) -> None:
    _, draws, _ = case
    table = accuracy(draws, draws.y[3], by=torch.tensor([1.0, 2.0, 3.0]), edges=(1.5,))
    right = (draws.y == draws.y[3]).all(-1).double()
    assert table.loc["all", "exact"] == pytest.approx(float(right.mean()))
    assert table.loc["below 1.5", "exact"] == pytest.approx(float(right[:, 0].mean()))
    assert table["puzzles"].tolist() == [1, 2, 3]


def test_solutions_are_drawn_without_the_question(case: tuple[Task, Draws, Tensor]) -> None:
    task, draws, _ = case
    figure = plots.solutions(to_datatree(draws, task), 0, max_boards=4)
    assert isinstance(figure, Figure) and len(figure.axes) == 4
    assert not any("question" in ax.get_title() for ax in figure.axes)
    assert all(len(ax.texts) == draws.y.shape[2] + 1 for ax in figure.axes)
    text = [label.get_text() for label in figure.axes[0].texts[:-1]]
    drawn = {tuple(task.symbols[token] for token in y.tolist()) for y in draws.y[:, 0]}
    assert tuple(text) in drawn


def test_the_heat_map_has_no_clues(case: tuple[Task, Draws, Tensor]) -> None:
    task, draws, _ = case
    ax = plots.cell_entropy(to_datatree(draws, task), 1)
    (image,) = ax.images
    rows, columns = task.spec.grid or (1, NODES)
    np.testing.assert_allclose(image.get_array(), cell_entropy(draws.y)[1].reshape(rows, columns))
    assert not ax.texts


def test_the_curve_is_the_mean_coverage(case: tuple[Task, Draws, Tensor]) -> None:
    task, draws, _ = case
    tree = to_datatree(draws, task)
    n = torch.tensor(tree["constant_data/n_solutions"].values)
    expected = coverage_curve(draws.y, task.is_valid(draws.x, draws.y), n).mean(-1)
    (line,) = [line for line in plots.coverage(tree).lines if line.get_label() == "draws"]
    np.testing.assert_allclose(line.get_ydata(), expected)


def test_many_draws_of_one_empty_question_have_no_known_count_of_9x9_boards() -> None:
    task = SudokuGeneration(box=3, test=1, validation=0)
    y = next(task.loader(16)).y
    row = summary(to_datatree(Draws(BLANK[None], y[:, None], 1), task)).iloc[0]
    assert (row["draws"], row["distinct"], row["valid"]) == (16, 16, 1)
    assert np.isnan(row["coverage"])


@pytest.mark.parametrize(("x", "y"), [((0,), (5, 16)), ((2, 3, 6), (5, 2, 3, 4)), ((3, 6), (5, 4))])
def test_draws_that_are_no_batch_are_refused(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected questions \(B, L_x\) and answers \(W, B, L_y\).*draw for a batch"):
        to_datatree(Draws(torch.ones(x).long(), torch.ones(y).long(), 1))

"""Draws become a tree in ArviZ's groups and come back from it, from a file too."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from gram_ppl.diagnostics import from_datatree, save_netcdf, summary, to_datatree, to_inference_data
from gram_ppl.tasks import Sudoku
from gram_ppl.types import Draws

DRAWN = ("chain", "draw", "puzzle")


@pytest.fixture(scope="module")
def sudoku() -> Sudoku:
    return Sudoku(box=2, held_out=5, validation=1)


@pytest.fixture
def boards(sudoku: Sudoku) -> Draws:
    """Six draws for each of five puzzles: the known answer twice, random boards otherwise."""
    y = torch.randint(2, 6, (6, 5, 16))
    y[[1, 4]] = sudoku.test.y
    return Draws(x=sudoku.test.x, y=y, supervision_steps=7)


def noise_like(draws: Draws, features: int = 3) -> dict[str, torch.Tensor]:
    return {f"eps_{t}": torch.randn(*draws.y.shape, features) for t in (1, 2)}


def test_without_a_task_the_tree_holds_questions_and_answers(boards: Draws) -> None:
    tree = to_datatree(boards)
    assert set(tree.children) == {"posterior_predictive", "constant_data"}
    assert tree["posterior_predictive/y"].dims == (*DRAWN, "cell")
    assert tree["constant_data/x"].dims == ("puzzle", "cell")
    np.testing.assert_array_equal(tree["posterior_predictive/y"], boards.y[None])
    np.testing.assert_array_equal(tree["constant_data/x"], boards.x)
    assert set(tree["constant_data"].data_vars) == {"x"}


def test_with_a_task_the_tree_holds_its_verdicts(boards: Draws, sudoku: Sudoku) -> None:
    tree = to_datatree(boards, sudoku, y=sudoku.test.y)
    assert set(tree.children) == {"posterior_predictive", "constant_data", "sample_stats", "observed_data"}
    assert tree["sample_stats/valid"].dims == DRAWN
    assert tree["sample_stats/conflicts"].dims == (*DRAWN, "cell")
    assert tree["constant_data/n_solutions"].dims == ("puzzle",)
    valid = sudoku.is_valid(boards.x, boards.y)
    assert valid[[1, 4]].all()
    np.testing.assert_array_equal(tree["sample_stats/valid"], valid[None])
    np.testing.assert_array_equal(tree["sample_stats/conflicts"], sudoku.conflicts(boards.x, boards.y)[None])
    np.testing.assert_array_equal(tree["constant_data/given"], boards.x != sudoku.blank)
    np.testing.assert_array_equal(tree["constant_data/n_solutions"], [sudoku.count(x, 1000) for x in boards.x])
    np.testing.assert_array_equal(tree["observed_data/y"], sudoku.test.y)


def test_every_group_has_the_same_coordinates(boards: Draws, sudoku: Sudoku) -> None:
    tree = to_datatree(boards, sudoku, y=sudoku.test.y, prior=noise_like(boards))
    sizes = {"chain": 1, "draw": 6, "puzzle": 5, "cell": 16, "feature": 3}
    for group in tree.children.values():
        for dim, size in group.sizes.items():
            assert size == sizes[dim]
            np.testing.assert_array_equal(group[dim], np.arange(size))


def test_attributes_tell_the_run_and_the_looks_of_the_task(boards: Draws, sudoku: Sudoku) -> None:
    plain, attrs = to_datatree(boards).attrs, to_datatree(boards, sudoku).attrs
    assert plain["inference_library"] == "gram_ppl"
    assert {"inference_library_version", "created_at"} <= set(plain)
    assert (plain["width"], plain["supervision_steps"]) == (6, 7)
    assert not {"grid", "box", "symbols"} & set(plain)
    assert (attrs["grid"], attrs["box"], json.loads(attrs["symbols"])) == ([4, 4], 2, list(sudoku.symbols))


def test_a_count_above_the_cap_is_not_known_and_one_at_the_cap_is(task) -> None:
    x = torch.full((1, 9), task.blank)
    draws = Draws(x=x, y=torch.full((2, 1, 9), 2), supervision_steps=1)
    assert task.count(x[0]) == 12
    assert to_datatree(draws, task, cap=11)["constant_data/n_solutions"].isnull().all()
    assert to_datatree(draws, task, cap=12)["constant_data/n_solutions"].item() == 12
    assert "n_solutions" not in to_datatree(draws, task, cap=None)["constant_data"]


def test_noise_of_prior_and_posterior_has_groups_of_its_own(boards: Draws) -> None:
    prior, posterior = noise_like(boards), noise_like(boards)
    tree = to_datatree(boards, prior=prior, posterior=posterior)
    for group, noise in (("prior", prior), ("posterior", posterior)):
        assert set(tree[group].data_vars) == set(noise)
        for site, eps in noise.items():
            assert tree[group][site].dims == (*DRAWN, "cell", "feature")
            np.testing.assert_array_equal(tree[group][site], eps[None])


@pytest.mark.parametrize(
    "wrong",
    [
        {"y": torch.zeros(4, 16)},
        {"y": torch.zeros(5, 15)},
        {"y": torch.zeros(6, 5, 16)},
        {"prior": {"eps_1": torch.zeros(5, 5, 16, 3)}},
        {"prior": {"eps_1": torch.zeros(6, 5, 16)}},
        {"posterior": {"eps_1": torch.zeros(6, 5, 4, 3)}},
    ],
)
def test_shapes_that_do_not_fit_the_draws_are_refused(boards: Draws, wrong: dict) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        to_datatree(boards, **wrong)


def test_questions_that_do_not_fit_the_answers_are_refused(boards: Draws) -> None:
    with pytest.raises(ValueError, match=r"expected x .* sizes \(5, 16\), got \(4, 16\)"):
        to_datatree(Draws(x=boards.x[:4], y=boards.y, supervision_steps=1))


def test_draws_come_back_from_the_tree(boards: Draws, sudoku: Sudoku) -> None:
    back = from_datatree(to_datatree(boards, sudoku))
    assert torch.equal(back.x, boards.x)
    assert torch.equal(back.y, boards.y)
    assert (back.supervision_steps, back.width) == (7, 6)


def test_the_draws_do_not_share_memory_with_the_tree(boards: Draws) -> None:
    tree = to_datatree(boards)
    before = tree["posterior_predictive/y"].values.copy()
    from_datatree(tree).y.zero_()
    np.testing.assert_array_equal(tree["posterior_predictive/y"], before)


def test_several_chains_become_more_draws(boards: Draws) -> None:
    one, other = to_datatree(boards), to_datatree(Draws(boards.x, boards.y.flip(0), 7))
    answers = xr.concat([tree["posterior_predictive"].to_dataset() for tree in (one, other)], "chain")
    tree = xr.DataTree.from_dict({"posterior_predictive": answers, "constant_data": one["constant_data"].to_dataset()})
    tree.attrs.update(one.attrs)
    assert torch.equal(from_datatree(tree).y, torch.cat([boards.y, boards.y.flip(0)]))


def test_a_tree_without_answers_is_refused() -> None:
    with pytest.raises(ValueError, match="build it with to_datatree"):
        from_datatree(xr.DataTree())


def test_a_file_gives_back_the_same_tree(boards: Draws, sudoku: Sudoku, tmp_path: Path) -> None:
    tree = to_datatree(boards, sudoku, y=sudoku.test.y, prior=noise_like(boards))
    save_netcdf(tree, tmp_path / "draws.nc")
    loaded = xr.load_datatree(tmp_path / "draws.nc")
    xr.testing.assert_equal(loaded, tree)
    for name in ("sample_stats/valid", "sample_stats/conflicts", "constant_data/given"):
        assert loaded[name].dtype == bool
    assert loaded["posterior_predictive/y"].dtype == np.int64
    assert set(loaded.attrs) == set(tree.attrs)
    assert torch.equal(from_datatree(loaded).y, boards.y)
    assert summary(loaded).equals(summary(tree))
    assert [path.name for path in tmp_path.iterdir()] == ["draws.nc"]


def test_a_save_replaces_the_file_and_takes_a_string(boards: Draws, tmp_path: Path) -> None:
    path = str(tmp_path / "draws.nc")
    save_netcdf(to_datatree(boards), path)
    flipped = Draws(boards.x, boards.y.flip(0), 7)
    save_netcdf(to_datatree(flipped), path)
    assert torch.equal(from_datatree(xr.load_datatree(path)).y, flipped.y)


def test_an_interrupted_save_leaves_the_old_file(boards: Draws, tmp_path: Path) -> None:
    path, tree = tmp_path / "draws.nc", to_datatree(boards)
    save_netcdf(tree, path)
    before = path.read_bytes()
    tree["posterior_predictive"].attrs["no file can hold this"] = object()
    with pytest.raises(TypeError):
        save_netcdf(tree, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_arviz_gets_what_it_takes(boards: Draws, sudoku: Sudoku) -> None:
    tree, data = to_datatree(boards, sudoku), to_inference_data(boards, sudoku, y=sudoku.test.y)
    groups = {*tree.children, "observed_data"}
    if metadata.version("arviz").startswith("0."):
        import arviz

        assert isinstance(data, arviz.InferenceData)
        assert set(data.groups()) == groups
    else:
        assert isinstance(data, xr.DataTree)
        assert set(data.children) == groups
    assert data.attrs["supervision_steps"] == 7
    assert torch.equal(from_datatree(data).y, boards.y)
    assert summary(data).equals(summary(tree))

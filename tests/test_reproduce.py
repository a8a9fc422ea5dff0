"""Every row of a published table runs, small, and is kept whole."""

import importlib.util
import math
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

import gram_ppl as gp
from gram_ppl.configuration import config_path

PROGRAM = Path(__file__).parents[1] / "examples" / "reproduce.py"
FILES = sorted((config_path() / "experiment").glob("*.yaml"))
EXPERIMENTS = [path.stem for path in FILES]
DETERMINISTIC = ("direct8", "direct32", "looped", "hrm", "trm", "no_guidance")
QUEENS = ["+task.removed=[7]", "task.validation=2"]
GRAPHS = ["+task.train=20", "+task.test=3", "task.validation=2"]
BOARDS = ["task.test=3", "task.validation=2"]
SMALL_TASKS = {
    "nqueens8": QUEENS,
    "ablation": QUEENS,
    "nqueens10": ["+task.removed=[9]", "task.validation=2"],
    "coloring8": GRAPHS,
    "coloring10": GRAPHS,
    "sudoku": ["+task.box=2", "+task.validation_size=2"],
    "generation4": BOARDS,
    "generation9": BOARDS,
}
TINY = ["size=cpu", "limit=3", "model.dim=16", "fit.updates=3", "fit.batch_size=4", "fit.progress=false"]
TINY += ["steps.train=2", "steps.draw=2", "draw.width=2", "device=cpu", "results=results.csv"]


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("reproduce", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """Write a few small boards as the files of a Sudoku row; return its options."""
    boards, folder = gp.tasks.Sudoku(box=2, clues=(8, 12), held_out=8, validation=0), tmp_path_factory.mktemp("boards")
    lines = [f"{boards.decode(x)},{boards.decode(y)}" for x, y in zip(*boards.test, strict=True)]
    for name, rows in (("train", lines[:3]), ("test", lines[3:])):
        (folder / f"{name}.csv").write_text("\n".join(["question,answer", *rows, ""]))
    return [f"task.train={folder / 'train.csv'}", f"task.test={folder / 'test.csv'}"]


def composed(experiment, *overrides):
    with initialize_config_dir(version_base=None, config_dir=str(config_path())):
        return compose("reproduce", [f"experiment={experiment}", *overrides])


def small(experiment, boards):
    """Return the options of the smallest run of an experiment."""
    table = experiment.partition("_")[0]
    return [*TINY, *SMALL_TASKS[table], *(boards if table == "sudoku" else [])]


@cache
def built(task):
    return instantiate(OmegaConf.create(task))


def reproduced(program, config):
    return program.reproduce(config, task=built(OmegaConf.to_yaml(config.task, resolve=True)))


@pytest.mark.parametrize("path", FILES, ids=EXPERIMENTS)
def test_an_experiment_is_a_short_file_with_a_source_and_composes_at_full_size(path, program):
    lines = path.read_text().splitlines()
    assert len(lines) <= 20
    assert any(line.startswith("#") and "arXiv 2605.19376" in line for line in lines)
    config = composed(path.stem)
    OmegaConf.to_container(config, resolve=True)
    assert (config.experiment, config.size) == (path.stem, "full")
    assert set(config.published) <= set(config.metrics) <= set(program.METRICS)
    assert (config.fit.batch_size, config.fit.weight_decay) == (768, 1.0)
    assert config.model.get("dim", 512) == 512  # where none is given, the presets' own


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_size_wins_over_the_experiment_whatever_the_family(experiment):
    config = composed(experiment, "size=cpu")
    assert config.size == "cpu"
    assert (config.fit.batch_size, config.fit.ema, config.fit.max_minutes) == (config.cpu.batch_size, 0.995, 8)
    assert config.model.dim <= 64
    if "transitions" in config.model:
        assert (config.model.transitions, config.model.refinements, config.model.registers) == (3, 1, 0)
        assert config.model.mixer == config.cpu.mixer


def test_rows_at_cpu_size_have_about_equal_parameters(boards):
    sizes = {}
    for experiment in (name for name in EXPERIMENTS if name.startswith("nqueens8")):
        model = instantiate(composed(experiment, "size=cpu").model)(gp.TaskSpec(64, 3, 3))
        sizes[experiment] = sum(parameter.numel() for parameter in model.parameters())
    assert 250_000 < min(sizes.values()) and max(sizes.values()) < 330_000, sizes


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_row_is_complete_and_finite_beside_its_published_figures(experiment, program, boards):
    config = composed(experiment, *small(experiment, boards))
    result = reproduced(program, config)
    assert [row["metric"] for row in result.rows] == list(config.metrics)
    for row in result.rows:
        assert set(row) == set(program.COLUMNS)
        if row["metric"] not in ("distance", "chi_square"):  # these are of valid draws, of which there are none yet
            assert all(math.isfinite(row[name]) for name in ("ours", "low", "high"))
            assert row["low"] <= row["ours"] <= row["high"]
        assert (row["updates"], row["width"], row["questions"], row["size"]) == (3, 2, 3, "cpu")
        assert row["steps_per_question"] == 2 * row["supervision_steps"]
        assert 0 < row["parameters"] < 500_000 and row["minutes"] >= 0 and row["threads"] >= 1
    shown = program.table(result.rows)
    assert all(f"{figure:.2f}" in shown for figure in config.published.values())
    distinct = gp.overall(result.tree)["distinct"]
    if experiment.endswith(DETERMINISTIC):
        assert distinct == 1
    elif "random_z0" not in experiment:  # which samples its start alone: without training all may end alike
        assert distinct > 1


@pytest.mark.parametrize(
    "experiment", [name for name in EXPERIMENTS if name.endswith(("looped", "no_deep_supervision"))]
)
def test_a_row_without_deep_supervision_takes_one_step_at_any_size(experiment):
    for size in ("full", "cpu"):
        config = composed(experiment, f"size={size}")
        assert config.fit.supervision_steps == config.draw.supervision_steps == 1
        assert config.fit.judge.supervision_steps == 1


def test_one_seed_gives_one_row_and_leaves_the_global_generator(program, boards):
    config = composed("nqueens8_gram", *small("nqueens8_gram", boards))
    rows = []
    for _ in range(2):
        torch.rand(3)
        before = torch.get_rng_state()
        rows.append([row | {"minutes": 0} for row in reproduced(program, config).rows])
        assert torch.equal(torch.get_rng_state(), before)
    assert str(rows[0]) == str(rows[1])  # as text, since NaN is not NaN


def judged(program, task, y, asked=None):
    x, answer = (tokens[:asked] for tokens in task.test)
    draws = gp.Draws(x, y, supervision_steps=1)
    return program.Judged(task, draws, answer, gp.to_datatree(draws, task, y=answer, cap=program.CAP))


def test_coverage_is_of_all_answers(program):
    task = gp.tasks.NQueens(7, removed=[6], validation=0)
    solutions = [task.solutions(x, 100) for x in task.test.x]
    y = torch.stack([found[[0, 1, 0]] for found in solutions], 1)  # two answers in three draws
    n = torch.tensor([len(found) for found in solutions]).double()
    assert bool((n > 3).any())
    given = judged(program, task, y)
    assert program.valid(given).ours == 100
    reached = program.coverage(given)
    assert reached.ours == pytest.approx(100 * float((2 / n).mean()))
    assert reached.ideal == pytest.approx(100 * float((1 - (1 - 1 / n) ** 3).mean()))


def test_draws_to_one_question_are_compared_with_uniform_ones(program):
    task = gp.tasks.SudokuGeneration(box=2, test=2 * 288, validation=0)
    boards = task.solutions(task.test.x[0], 288)
    even = judged(program, task, torch.cat([boards, boards])[None])
    assert (program.distance(even).ours, program.chi_square(even).ours) == (0, 0)
    assert program.chi_square(even).ideal == 287
    half = judged(program, task, torch.cat([boards[:144]] * 4)[None])
    assert program.distance(half).ours == pytest.approx(50)
    wrong = judged(program, task, torch.full((1, 576, 16), 2))
    assert math.isnan(program.distance(wrong).ours)


def test_conflicts_are_summed_over_the_test_set_also_where_a_part_is_asked(program):
    task = gp.tasks.GraphColoring(4, train=10, test=8, validation=0)
    edges = (task.test.x == 2).sum(-1).double()
    one_colour = torch.full((2, 8, 4), 3)
    proper = torch.stack([task.test.y, one_colour[0]])
    assert program.conflicts(judged(program, task, one_colour)).ours == edges.sum()
    assert program.conflicts(judged(program, task, proper)).ours == edges.sum() / 2
    assert program.conflicts(judged(program, task, one_colour[:, :4], asked=4)).ours == 2 * edges[:4].sum()


def test_unique_boards_are_counted_over_all_questions(program):
    task = gp.tasks.SudokuGeneration(box=2, test=4, validation=0)
    boards = task.solutions(gp.BLANK, 2)
    y = torch.stack([boards[0], boards[1], boards[0], torch.zeros_like(boards[0])])[None]
    figure = program.unique(judged(program, task, y))
    assert figure.ours == 50
    assert figure.ideal == pytest.approx(100 * 288 * (1 - (1 - 1 / 288) ** 4) / 4)


def test_a_vote_is_exact_where_most_draws_are(program, boards):
    task = gp.tasks.Sudoku(box=2, clues=(8, 12), held_out=2, validation=0)
    y = task.test.y[None].repeat(3, 1, 1)
    y[0], y[1:, 1] = 0, 1
    given = judged(program, task, y)
    assert (program.vote(given).ours, program.exact(given).ours) == (50, pytest.approx(100 / 3))


def test_an_unknown_metric_is_refused_before_the_training(program):
    with pytest.raises(ValueError, match="expected metrics among valid, coverage, .*, got speed"):
        program.reproduce(composed("nqueens8_gram", "size=cpu", "metrics=[speed]"))


@pytest.fixture
def row(program):
    return dict.fromkeys(program.COLUMNS, 1.0) | {"experiment": "some, row", "ideal": math.nan}


def test_rows_are_added_below_those_of_before(program, row, tmp_path):
    path = tmp_path / "new" / "results.csv"
    program.add([row], path)
    program.add([row, row], path)
    lines = path.read_text().splitlines()
    assert lines[0] == ",".join(program.COLUMNS)
    assert len(lines) == 4 and len(set(lines[1:])) == 1
    assert lines[1].startswith('"some, row",1.0,1.0,1.0,1.0,,1.0')


def test_the_file_of_results_is_replaced_and_never_written_into(program, row, tmp_path):
    path = tmp_path / "results.csv"
    program.add([row], path)
    os.link(path, tmp_path / "before.csv")
    before = path.read_text()
    program.add([row], path)
    assert (tmp_path / "before.csv").read_text() == before != path.read_text()
    with pytest.raises(ValueError, match="dict contains fields not in fieldnames: 'typo'"):
        program.add([row, row | {"typo": 1}], path)
    assert len(path.read_text().splitlines()) == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["before.csv", "results.csv"]


@pytest.mark.parametrize("text", ["experiment,metric\n", "half a line", "{header}a,b,c\n", "{header}nqueens8_gram,val"])
def test_a_file_with_other_columns_is_refused_and_left_alone(program, row, tmp_path, text):
    path = tmp_path / "results.csv"
    path.write_text(text.format(header=",".join(program.COLUMNS) + "\n"))
    before = path.read_text()
    with pytest.raises(ValueError, match=r"expected lines of 18 columns, experiment,metric,.* got .* results="):
        program.add([row], path)
    assert path.read_text() == before


def run(folder, *options):
    command = [sys.executable, "-W", "error", PROGRAM, *options, "threads=1", f"hydra.run.dir={folder / 'out'}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_program_prints_the_row_and_leaves_results_draws_and_weights(program, boards, tmp_path):
    finished = run(tmp_path, "experiment=nqueens8_gram", *small("nqueens8_gram", boards))
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert "99.70" in finished.stdout and "90.30" in finished.stdout
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert lines[0] == ",".join(program.COLUMNS)
    assert [line.split(",")[:2] for line in lines[1:]] == [["nqueens8_gram", "valid"], ["nqueens8_gram", "coverage"]]
    assert {"draws.nc", "model.safetensors"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_the_program_refuses_a_foreign_file_of_results_before_it_trains(boards, tmp_path):
    (tmp_path / "results.csv").write_text("name,value\n")
    finished = run(tmp_path, "experiment=nqueens8_gram", *small("nqueens8_gram", boards))
    assert finished.returncode != 0
    assert "expected lines of 18 columns" in finished.stderr
    assert not finished.stdout

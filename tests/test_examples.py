"""Every example runs, small, as its reader would run it."""

import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

ROOT = Path(__file__).parents[1]


def run(*command, cwd):
    finished = subprocess.run(
        [sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout


def small(folder):
    return [
        "fit.updates=4",
        "fit.judge_every=2",
        "fit.judge.puzzles=4",
        "fit.progress=false",
        "draw.puzzles=6",
        "draw.width=4",
        "draw.supervision_steps=2",
        "threads=1",
        f"hydra.run.dir={folder}",
    ]


def test_sudoku_svi_leaves_weights_draws_history_and_pictures(tmp_path):
    run(ROOT / "examples/sudoku_svi.py", *small(tmp_path / "out"), cwd=tmp_path)
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"best.safetensors", "last.safetensors", "history.json", "draws.nc"} <= made
    assert {"solutions.png", "cell_entropy.png", "coverage.png", "gap.png"} <= made
    tree = xr.load_datatree(tmp_path / "out" / "draws.nc")
    assert tree["posterior_predictive"]["y"].sizes == {"chain": 1, "draw": 4, "puzzle": 6, "cell": 16}


def test_sudoku_svi_plays_the_real_game_from_files(tmp_path, data_dir):
    files = [data_dir / "sudoku" / f"sudoku_extreme_{name}.csv.gz" for name in ("train1k", "test10k")]
    options = ["task=sudoku_extreme", f"task.train={files[0]}", f"task.test={files[1]}", "model=sudoku_extreme_cpu"]
    options += ["fit=sudoku_extreme_cpu", "task.test_size=20", "model.dim=16", "fit.batch_size=4"]
    out = run(ROOT / "examples/sudoku_svi.py", *options, *small(tmp_path / "out"), cwd=tmp_path)
    assert "81 tokens" in out
    assert (tmp_path / "out" / "best.safetensors").is_file()


@pytest.mark.parametrize("option", ["fit.updates=0", "fit.typo=1", "task=chess", "objective.kl_weight=-1"])
def test_sudoku_svi_refuses_a_wrong_option(tmp_path, option):
    command = [sys.executable, ROOT / "examples/sudoku_svi.py", f"hydra.run.dir={tmp_path}", option]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode != 0
    assert not list(tmp_path.glob("*.safetensors"))


def test_compose_camera_finds_a_board(tmp_path):
    code = "import compose_camera; compose_camera.main(updates=4, particles=20)"
    out = run("-c", f"import sys; sys.path.insert(0, {str(ROOT / 'examples')!r}); {code}", cwd=tmp_path)
    assert "posterior mode" in out


def test_mini_gram_trains(tmp_path):
    code = "import mini_gram; mini_gram.main(seconds=0.5)"
    out = run("-c", f"import sys; sys.path.insert(0, {str(ROOT / 'examples')!r}); {code}", cwd=tmp_path)
    assert "nats per puzzle" in out

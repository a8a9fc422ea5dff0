"""The real 9x9 game on a CPU: half an hour of training on 1,000 puzzles, judged by rating on unseen ones.

    python benchmarks/sudoku_extreme_cpu.py TRAIN.csv.gz TEST.csv.gz --minutes 30 --threads 2

Prints exact match of single prior draws and of the majority vote, validity, and cell accuracy, whatever they are.
"""

from __future__ import annotations

import argparse
import time

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

import gram_ppl as gp
from gram_ppl.configuration import config_path


def main() -> None:
    """Train, draw, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--puzzles", type=int, default=500)
    parser.add_argument("--folder", default="runs/sudoku_extreme_cpu")
    arguments, overrides = parser.parse_known_args()
    torch.set_num_threads(arguments.threads)
    with initialize_config_dir(version_base=None, config_dir=str(config_path())):
        config = compose(
            "sudoku",
            [
                "task=sudoku_extreme",
                "model=sudoku_extreme_cpu",
                "fit=sudoku_extreme_cpu",
                f"task.train={arguments.train}",
                f"task.test={arguments.test}",
                f"fit.max_minutes={arguments.minutes}",
                *overrides,
            ],
        )
    task = instantiate(config.task)
    torch.manual_seed(config.seed)
    gram = instantiate(config.model)(task.spec)
    print(gram)
    start = time.monotonic()
    run = instantiate(config.fit)(
        gram, task, loss=instantiate(config.objective), seed=config.seed, folder=arguments.folder, progress=False
    )
    minutes = (time.monotonic() - start) / 60
    print(f"{run.history[-1]['update']} updates in {minutes:.1f} minutes, {arguments.threads} threads")
    x, y = (tokens[: arguments.puzzles] for tokens in task.test)
    torch.manual_seed(config.seed)
    draws = gp.draw(gram, x, width=config.draw.width, supervision_steps=config.draw.supervision_steps)
    valid = task.is_valid(x, draws.y).double().mean()
    rating = None if task.test_rating is None else task.test_rating[: arguments.puzzles]
    print(f"width {draws.width}, N_sup {draws.supervision_steps}, seed {config.seed}; valid draws {valid:.4f}")
    print(gp.accuracy(draws, y, by=rating, edges=(1, 10, 50, 150)).round(4).to_string())


if __name__ == "__main__":
    main()

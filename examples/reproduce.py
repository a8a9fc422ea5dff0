"""Train and judge one row of a published table, and keep it beside the published figures.

    python examples/reproduce.py experiment=nqueens8_gram size=cpu     # ten minutes of two CPU cores
    python examples/reproduce.py experiment=nqueens8_gram              # the published size: for a GPU
    python examples/reproduce.py -m 'experiment=glob(nqueens8_*)' size=cpu     # a whole table
    python examples/reproduce.py experiment=sudoku_trm task.train=train.csv.gz task.test=test.csv.gz

A row is a file in configs/experiment. Its metrics are of draws from the prior to test questions, shares in percent:

    valid       share of valid draws
    coverage    distinct valid answers / all answers of the question
    conflicts   conflicting edges in one draw to each graph of the test set (scaled up where only some are asked)
    exact       share of draws equal to the known answer
    vote        share of questions whose most frequent draw is the known answer
    unique      distinct valid answers to all questions / draws, for a task with none but the empty question
    distance    total variation distance of the valid draws to it from uniform over its answers
    chi_square  Pearson's statistic of the same; its ideal is the degrees of freedom

Intervals are of 95 % and take questions as independent. "ideal" is expected of independent uniform draws over the valid
answers. Rows are added to outputs/reproduce/results.csv (results=...); draws and weights go to a folder beside it. A
benchmark can load this file and call reproduce(config).
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import hydra
import torch
import xarray as xr
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

import gram_ppl as gp
from gram_ppl.configuration import config_path
from gram_ppl.diagnostics import ideal_coverage, mean_interval, wilson
from gram_ppl.diagnostics.uniformity import Uniformity
from gram_ppl.infer.checkpoint import write_text

CAP = 10_000  # answers counted to a question: more than a graph of ten nodes has 3-colourings
FACTS = ("size", "seed", "width", "supervision_steps", "steps_per_question", "questions", "parameters", "updates")
COLUMNS = ("experiment", "metric", "ours", "low", "high", "ideal", "published", *FACTS, "minutes", "threads", "device")

Row = dict[str, Any]


class Result(NamedTuple):
    """A row for each metric, the draws as a tree, and the trained model."""

    rows: list[Row]
    tree: xr.DataTree
    model: torch.nn.Module


class Judged(NamedTuple):
    """Draws to test questions, one answer ``(B, L)`` to each, and the tree of both."""

    task: gp.tasks.Task
    draws: gp.Draws
    y: Tensor
    tree: xr.DataTree


class Figure(NamedTuple):
    """A metric, the ends of its interval, and what an ideal sampler would reach."""

    ours: float
    low: float
    high: float
    ideal: float = math.nan


NOTHING = Figure(math.nan, math.nan, math.nan)


@hydra.main(version_base=None, config_path=str(config_path()), config_name="reproduce")
def main(config: DictConfig) -> None:
    """Run one row, print it, add it to the results, and store draws and weights."""
    folder, results = Path(hydra.core.hydra_config.HydraConfig.get().runtime.output_dir), Path(config.results)
    rows_so_far(results)  # a file that cannot take the row is refused before the training, not after
    if config.threads:
        torch.set_num_threads(config.threads)
    result = reproduce(config)
    print(table(result.rows))
    add(result.rows, results)
    gp.save_netcdf(result.tree, folder / "draws.nc")
    gp.save_checkpoint(folder / "model.safetensors", result.model, rows=result.rows)
    print(f"added to {results}; draws and weights are in {folder}")


def reproduce(config: DictConfig, *, task: gp.tasks.Task | None = None) -> Result:
    """Train the model of a row, draw from its prior and judge the draws.

    Args:
        config: as composed from ``reproduce.yaml``.
        task: the one that ``config.task`` describes, where it is built already.

    Raises:
        ValueError: for an unknown metric.
    """
    metrics = {name: chosen_metric(name) for name in config.metrics}
    task = instantiate(config.task) if task is None else task
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model, facts = trained(config, task)
        torch.manual_seed(config.seed)
        judged = judge(config, task, model)
    facts = {"size": config.size, "seed": config.seed, **depth(judged.draws), **facts}
    rows = [
        {"experiment": config.experiment, "metric": name, **metric(judged)._asdict()}
        | {"published": config.published.get(name, math.nan), **facts}
        for name, metric in metrics.items()
    ]
    return Result(rows, judged.tree, model)


def trained(config: DictConfig, task: gp.tasks.Task) -> tuple[torch.nn.Module, Row]:
    """Return the trained model and what it took."""
    device = ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
    model = instantiate(config.model)(task.spec).to(device)
    start = time.monotonic()
    fitted = instantiate(config.fit)(model, task, seed=config.seed)
    history = fitted.history if isinstance(fitted, gp.Run) else fitted
    facts = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "updates": history[-1]["update"] if history else 0,
        "minutes": round((time.monotonic() - start) / 60, 2),
        "threads": torch.get_num_threads(),
        "device": device,
    }
    return model, facts


def judge(config: DictConfig, task: gp.tasks.Task, model: torch.nn.Module) -> Judged:
    """Draw answers to the test questions that are asked."""
    device = next(model.parameters()).device
    x, y = (tokens[: config.questions] for tokens in task.test)
    drawn = instantiate(config.draw)(model, x.to(device))
    draws = gp.Draws(x, drawn.y.cpu(), drawn.supervision_steps)
    return Judged(task, draws, y, gp.to_datatree(draws, task, y=y, cap=CAP))


def depth(draws: gp.Draws) -> Row:
    steps = draws.supervision_steps
    return {
        "width": draws.width,
        "supervision_steps": steps,
        "steps_per_question": draws.width * steps,
        "questions": len(draws.x),
    }


def valid(judged: Judged) -> Figure:
    row = 100 * gp.overall(judged.tree)
    return Figure(row["valid"], row["valid_low"], row["valid_high"])


def coverage(judged: Judged) -> Figure:
    row = 100 * gp.overall(judged.tree)
    return Figure(row["coverage"], row["coverage_low"], row["coverage_high"], row["ideal"])


def conflicts(judged: Judged) -> Figure:
    edges = judged.task.conflicting_edges(judged.draws.x, judged.draws.y).double().mean(0)
    return average(len(judged.task.test.x) * edges)._replace(ideal=0.0)


def exact(judged: Judged) -> Figure:
    return accuracy(judged, "exact")


def vote(judged: Judged) -> Figure:
    return accuracy(judged, "vote")


def unique(judged: Judged) -> Figure:
    valid = torch.from_numpy(judged.tree["sample_stats"]["valid"].values[0])
    found, draws = len(set(map(tuple, judged.draws.y[valid].tolist()))), valid.numel()
    # Of draws that seldom repeat, the number of repeats is nearly Poisson, and Wilson's interval is right; it is too
    # wide where most answers were drawn often.
    low, high = (100 * float(end) for end in wilson(found, draws))
    solutions = torch.from_numpy(judged.tree["constant_data"]["n_solutions"].values[:1])
    ideal = ideal_coverage(solutions, draws) * solutions / draws
    return Figure(100 * found / draws, low, high, 100 * float(ideal))


def distance(judged: Judged) -> Figure:
    found = uniform(judged)
    return NOTHING if found is None else Figure(100 * found.tv, math.nan, math.nan, 100 * found.tv_ideal)


def chi_square(judged: Judged) -> Figure:
    found = uniform(judged)
    return NOTHING if found is None else Figure(found.chi_square, math.nan, math.nan, len(found.counts) - 1)


def uniform(judged: Judged) -> Uniformity | None:
    """Compare all draws with uniform ones over the answers to the one question asked; None without a valid draw."""
    if not judged.tree["sample_stats"]["valid"].any():
        return None
    answers = judged.task.solutions(judged.draws.x[0], CAP)
    return gp.uniformity(judged.draws.y.flatten(0, 1), answers)


METRICS: dict[str, Callable[[Judged], Figure]] = {
    metric.__name__: metric for metric in (valid, coverage, conflicts, exact, vote, unique, distance, chi_square)
}


def chosen_metric(name: str) -> Callable[[Judged], Figure]:
    if name not in METRICS:
        raise ValueError(f"expected metrics among {', '.join(METRICS)}, got {name}")
    return METRICS[name]


def accuracy(judged: Judged, name: str) -> Figure:
    row = 100 * gp.accuracy(judged.draws, judged.y).loc["all"]
    return Figure(row[name], row[f"{name}_low"], row[f"{name}_high"])


def average(values: Tensor, most: float = math.inf) -> Figure:
    """Return the mean over questions of values between 0 and ``most``; NaN does not count."""
    low, high = (float(end.clamp(0, most)) for end in mean_interval(values))
    return Figure(float(values.nanmean()), low, high)


def table(rows: list[Row]) -> str:
    """Lay the figures of one row out beside the published ones."""
    first = rows[0]
    lines = [f"{first['experiment']}, size {first['size']}, seed {first['seed']}"]
    lines += [f"  {'':12}{'ours':>8}   {'95 % interval':17}{'ideal':>8}{'published':>11}"]
    for row in rows:
        interval = f"{written(row['low'])} – {written(row['high'])}"
        ours, ideal, published = (written(row[name]) for name in ("ours", "ideal", "published"))
        lines += [f"  {row['metric']:12}{ours:>8}   {interval:17}{ideal:>8}{published:>11}"]
    return "\n".join([*lines, described(first)])


def described(row: Row) -> str:
    return (
        f"  {row['questions']:,} test questions, width {row['width']:,}, {row['supervision_steps']} supervision steps "
        f"a draw, {row['steps_per_question']:,} a question\n"
        f"  {row['parameters']:,} parameters, {row['updates']:,} updates in {row['minutes']} minutes, "
        f"{row['threads']} threads, {row['device']}"
    )


def written(number: float) -> str:
    return "–" if math.isnan(number) else f"{number:.2f}"


def add(rows: list[Row], path: Path) -> None:
    """Add rows to a CSV file, which is replaced in one rename: whatever happens, it holds whole rows."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writerows({name: "" if value != value else value for name, value in row.items()} for row in rows)
    before = rows_so_far(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, before + text.getvalue())


def rows_so_far(path: Path) -> str:
    """Return the text of a file of results, or the header of a new one.

    Raises:
        ValueError: when it has other columns or a broken line.
    """
    header = ",".join(COLUMNS) + "\n"
    text = path.read_text() if path.is_file() else ""
    lines = list(csv.reader(io.StringIO(text or header)))
    if tuple(lines[0]) != COLUMNS or any(len(line) != len(COLUMNS) for line in lines):
        raise ValueError(
            f"{path}: expected lines of {len(COLUMNS)} columns, {header.strip()}, got {','.join(lines[0])} and lines "
            f"of {sorted({len(line) for line in lines})}; move the file away, or name another one by results=..."
        )
    return text.rstrip("\n") + "\n" if text else header


if __name__ == "__main__":
    main()

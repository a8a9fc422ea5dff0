"""The multi-solution table at CPU size: every family for the same minutes, at about the same number of parameters.

    python benchmarks/paper_table.py --minutes 3 --threads 1                  # both tables
    python benchmarks/paper_table.py --tables coloring8 --rows ar gram        # a part; results are kept beside others

Each row is an experiment of configs/experiment at size=cpu, trained for the same time with one look at its end, then
asked the same test questions at width 20. Rows are added to results.csv in the folder given by --out, the figures of
each question to <experiment>.csv, and figure.png shows validity and coverage against the number of solutions of a
question, of all experiments in that folder. Run it alone: the minutes are those of a clock.
"""

from __future__ import annotations

import argparse
import importlib.machinery
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from matplotlib.figure import Figure

import gram_ppl as gp
from gram_ppl.configuration import config_path

TABLES = ("nqueens8", "coloring8")
ROWS = ("direct8", "looped", "hrm", "trm", "ar", "eq14", "gram")
NAMES = {"direct8": "direct, 8 layers", "looped": "Looped TF", "hrm": "HRM", "trm": "TRM", "ar": "autoregressive"}
NAMES |= {"eq14": "GRAM, Eq. 14", "gram": "GRAM"}
EDGES = (1, 2, 3, 5, 9, 17)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=ROWS, help="none: only draw what is there")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, for each row")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("outputs/paper_table"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    program = reproduction()
    for table in options.tables:
        run_table(program, table, options)
    print(markdown(options.out))
    drawing(options.out).savefig(options.out / "figure.png", dpi=120)


def reproduction() -> ModuleType:
    """Load examples/reproduce.py, which is a program and no package."""
    path = Path(__file__).resolve().parents[1] / "examples" / "reproduce.py"
    loader = importlib.machinery.SourceFileLoader("reproduce", str(path))
    module = ModuleType(loader.name)
    loader.exec_module(module)
    return module


def run_table(program: ModuleType, table: str, options: argparse.Namespace) -> None:
    task = None
    for row in options.rows:
        settings = [f"experiment={table}_{row}", "size=cpu", f"seed={options.seed}", f"limit={options.questions}"]
        settings += [f"fit.max_minutes={options.minutes}", "fit.updates=1000000", "look=1000000", "fit.progress=false"]
        with initialize_config_dir(str(config_path()), version_base=None):
            config = compose("reproduce", overrides=settings)
        task = instantiate(config.task) if task is None else task
        result = program.reproduce(config, task=task)
        print(program.table(result.rows), flush=True)
        program.add(result.rows, options.out / "results.csv")
        gp.summary(result.tree, round_to=4).to_csv(options.out / f"{table}_{row}.csv")


def markdown(folder: Path) -> str:
    """Lay out all results as one table; the product is what a family is ranked by."""
    kept = pd.read_csv(folder / "results.csv").drop_duplicates(["experiment", "metric"], keep="last")
    lines = ["| task | family | parameters | updates | valid % | coverage % | ideal | valid x coverage | distinct |"]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for table in TABLES:
        for row in ROWS:
            path = folder / f"{table}_{row}.csv"
            if path.exists():
                facts = kept[kept["experiment"] == f"{table}_{row}"].iloc[0]
                lines.append(line(table, row, pd.read_csv(path), facts))
    return "\n".join(lines)


def line(table: str, row: str, questions: pd.DataFrame, facts: pd.Series) -> str:
    valid, coverage, ideal = (questions[name].mean() for name in ("valid", "coverage", "ideal"))
    error = {name: 196 * questions[name].std() / len(questions) ** 0.5 for name in ("valid", "coverage")}
    return (
        f"| {table} | {NAMES[row]} | {int(facts['parameters']):,} | {int(facts['updates']):,} "
        f"| {100 * valid:.1f} ± {error['valid']:.1f} | {100 * coverage:.1f} ± {error['coverage']:.1f} "
        f"| {100 * ideal:.1f} | {valid * coverage:.3f} | {questions['distinct'].mean():.1f} |"
    )


def drawing(folder: Path) -> Figure:
    """Draw validity and coverage of every experiment in the folder against the number of solutions of a question."""
    figure = Figure(figsize=(9.5, 6), layout="constrained")
    axes = figure.subplots(2, len(TABLES), sharex=True, sharey=True, squeeze=False)
    for column, table in enumerate(TABLES):
        for row, colour in zip(ROWS, figure_colours(), strict=True):
            if (folder / f"{table}_{row}.csv").exists():
                curve = by_solutions(pd.read_csv(folder / f"{table}_{row}.csv"))
                for axis, name in zip(axes[:, column], ("valid", "coverage"), strict=True):
                    width = 2.6 if row == "gram" else 1.4
                    axis.plot(curve.index, curve[name], marker="o", ms=4, lw=width, color=colour, label=NAMES[row])
                axes[1, column].plot(curve.index, curve["ideal"], color="black", lw=1, ls=(0, (4, 2)))
        axes[0, column].set_title(table)
        axes[1, column].set(xlabel="solutions of the question", xticks=range(len(EDGES)), xticklabels=labels())
    axes[0, 0].set(ylabel="valid draws", ylim=(-0.03, 1.05))
    axes[1, 0].set_ylabel("solutions found (dashed: ideal)")
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, -1].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def by_solutions(questions: pd.DataFrame) -> pd.DataFrame:
    """Average over questions with about the same number of solutions."""
    bins = np.searchsorted(EDGES, questions["solutions"], side="right") - 1
    return questions.groupby(bins)[["valid", "coverage", "ideal"]].mean()


def labels() -> list[str]:
    ends = [*(edge - 1 for edge in EDGES[1:]), None]
    return [f"{a}+" if b is None else str(a) if a == b else f"{a}–{b}" for a, b in zip(EDGES, ends, strict=True)]


def figure_colours() -> tuple[str, ...]:
    """Return colours that colour-blind readers can tell apart (Okabe and Ito 2008)."""
    return ("#999999", "#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#0072B2")


if __name__ == "__main__":
    main()

"""Train a GRAM on Sudoku by Pyro SVI, draw many solutions of unseen puzzles, and judge them.

    python examples/sudoku_svi.py                                   # 4x4 boards with several solutions, on a CPU
    python examples/sudoku_svi.py task=sudoku_extreme task.train=train.csv.gz task.test=test.csv.gz   # the real game
    python examples/sudoku_svi.py fit.max_minutes=1 seed=3          # any setting in configs/ can be changed so

Everything made (weights, draws, pictures) goes to outputs/sudoku/<date>.
"""

from pathlib import Path

import hydra
import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

import gram_ppl as gp
from gram_ppl.configuration import config_path


@hydra.main(version_base=None, config_path=str(config_path()), config_name="sudoku")
def main(config: DictConfig) -> float:
    """Run the example and return the share of valid draws on held-out puzzles."""
    folder = Path(hydra.core.hydra_config.HydraConfig.get().runtime.output_dir)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
    if config.threads:
        torch.set_num_threads(config.threads)

    # 1. A task offers puzzles and checks answers; it knows nothing of models.
    task = instantiate(config.task)

    # 2. The generative model: gram.model is p(eps, y | x), gram.guide is q(eps | x, y), both ordinary Pyro programs.
    torch.manual_seed(config.seed)
    gram = instantiate(config.model)(task.spec).to(device)
    print(gram)

    # 3. SVI with the truncated ELBO: one update per supervision step, the latent state carried between them.
    elbo = instantiate(config.objective)
    run = instantiate(config.fit)(gram, task, loss=elbo, seed=config.seed, folder=folder)
    print(f"best prior accuracy {run.best['prior_accuracy']:.3f} at update {run.best['update']}, weights in {folder}")

    # 4. Width: many draws from the prior program for each unseen puzzle; the fast form of
    #    pyro.infer.Predictive(gram.model, num_samples=width, parallel=True)(x, supervision_steps=...).
    torch.manual_seed(config.seed)
    unseen = gp.Batch(*(tokens[: config.draw.puzzles].to(device) for tokens in task.test))
    draws = gp.draw(gram, unseen.x, width=config.draw.width, supervision_steps=config.draw.supervision_steps)

    # 5. Which solutions were found, how many are missing, how sure is the model?
    tree = gp.to_datatree(draws, task=task, y=unseen.y)
    print(gp.summary(tree).head(10).to_string())
    verdict = gp.overall(tree)
    print(verdict)
    judge = gp.Judge(puzzles=None, width=1, supervision_steps=config.draw.supervision_steps)
    posterior = judge(gram, task, unseen).posterior_accuracy  # of rollouts that saw the answer: a check, not a result
    print(f"prior accuracy {verdict['valid']:.4f}, posterior accuracy {posterior:.4f}")

    # 6. Keep the draws (NetCDF: xarray.open_datatree, or ArviZ through gp.to_inference_data) and the pictures.
    gp.save_netcdf(tree, folder / "draws.nc")
    gp.plots.solutions(tree, puzzle=0).savefig(folder / "solutions.png")
    gp.plots.cell_entropy(tree, puzzle=0).figure.savefig(folder / "cell_entropy.png")
    gp.plots.coverage(tree).figure.savefig(folder / "coverage.png")
    needed = float(np.log(tree["constant_data"]["n_solutions"]).mean())  # nats of choice the puzzles leave
    gp.plots.gap(run.history, task_entropy=needed).savefig(folder / "gap.png")
    print(f"draws and pictures are in {folder}")
    return float(verdict["valid"])


if __name__ == "__main__":
    main()

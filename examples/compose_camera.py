"""A GRAM prior inside a user's own model: read a Sudoku from a few sure clues and a blurred photograph.

The board is a latent variable whose prior is a trained GRAM given the clues; the photograph is what a reader saw of
each cell. Importance sampling, a stock Pyro algorithm, turns pixels into a posterior over whole boards.

    python examples/compose_camera.py        # two minutes on two cores
"""

from functools import partial

import pyro
import pyro.distributions as dist
from pyro.infer import Importance

import gram_ppl as gp


def camera_sudoku(clues, image, gram, reader):
    """Generate a board from the GRAM, then the pixel of each of its cells."""
    board = gram(clues, name="board", supervision_steps=8)  # p(board | clues): the trained reasoner is the prior
    with pyro.plate("cells", image.shape[0]):
        pyro.sample("pixels", reader(board.y), obs=image)
    return board.y


def blurred(y, noise=0.8):
    """What the camera makes of a digit: a Normal around it."""
    return dist.Normal(y.float(), noise)


def main(updates=1500, particles=200):
    """Train the prior, photograph a board, and infer it."""
    pyro.set_rng_seed(0)
    task = gp.tasks.Sudoku(box=2)
    backbone = partial(gp.Hierarchical, mixer=gp.nn.TokenMixer)
    gram = gp.GRAM(task.spec, dim=64, transitions=3, refinements=1, backbone=backbone)
    loss = gp.TruncatedELBO(kl_weight=gp.Linear(1.0, 6.0, max(1, updates // 2)), kl_balance=0.8)
    run = gp.fit(gram, task, updates=updates, loss=loss)
    print(f"prior accuracy {run.best['prior_accuracy']:.3f}")

    ambiguous = max(range(100), key=lambda i: task.count(task.test.x[i], 100))
    clues, truth = task.test.x[ambiguous], task.test.y[ambiguous]
    image = blurred(truth).sample()
    posterior = Importance(camera_sudoku, num_samples=particles).run(clues, image, gram, blurred)
    best = int(posterior.get_normalized_weights().argmax())
    read = posterior.exec_traces[best].nodes["board/y"]["value"]
    rounded = image.round().clamp(2, 5).long().where(clues == task.blank, clues)
    print(f"the clues           {task.decode(clues)}   {task.count(clues, 100)} solutions")
    for name, board in (("the board", truth), ("each pixel rounded", rounded), ("posterior mode", read)):
        print(f"{name:20s}{task.decode(board)}   {int((board == truth).sum())} of 16 cells right")
    print(f"effective sample size {posterior.get_ESS():.0f} of {particles}")


if __name__ == "__main__":
    main()

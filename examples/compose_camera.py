"""A GRAM prior inside a user's own model: read a Sudoku from a blurred photograph of it.

The board is a latent variable whose prior is a trained GRAM, the photograph is what a reader saw of each cell.
Importance sampling from the prior, a stock Pyro algorithm, turns pixels into a posterior over whole boards.

    python examples/compose_camera.py
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import Importance

import gram_ppl as gp


def camera_sudoku(image, gram, reader):
    """Generate a board from the GRAM, then the pixels of each of its cells."""
    board = gram(gp.BLANK, name="board", supervision_steps=4)  # p(board): the trained generator is the prior
    with pyro.plate("cells", image.shape[0]):
        pyro.sample("pixels", reader(board.y), obs=image)
    return board.y


def blurred(y, noise=0.8):
    """What the camera makes of a digit: a Normal around it."""
    return dist.Normal(y.float(), noise)


def train_generator(task, updates=600):
    """Train an unconditional GRAM on complete boards, with stock Pyro SVI."""
    spec = gp.TaskSpec(length=task.spec.length, input_vocab=0, output_vocab=task.spec.output_vocab)
    gram = gp.GRAM(spec, dim=64, transitions=2, refinements=1)
    elbo = gp.TruncatedELBO(kl_weight=1.0, kl_balance=0.8)
    svi = pyro.infer.SVI(gram.model, gram.guide, pyro.optim.ClippedAdam({"lr": 2e-3}), loss=elbo)
    question = gp.BLANK.expand(64)
    for update, batch in zip(range(updates // 2), task.loader(batch_size=64), strict=False):
        state = gram.initial_state(question)
        for _ in range(2):
            loss = svi.step(question, batch.y, state=state)
            state = elbo.state
        if update % 50 == 0:
            print(f"update {2 * update}: {loss / 64:.2f} nats per board")
    return gram


def main(updates=600, particles=2000):
    """Train the generator, photograph a board, and infer it."""
    pyro.set_rng_seed(0)
    task = gp.tasks.Sudoku(box=2)
    gram = train_generator(task, updates)
    boards = gp.draw(gram, gp.BLANK, width=1000, supervision_steps=4).y
    blank = torch.full_like(boards, task.blank)
    print(f"{task.is_valid(blank, boards).float().mean():.1%} of 1,000 boards drawn from the prior are valid")

    truth = task.test.y[0]
    image = blurred(truth).sample()
    posterior = Importance(camera_sudoku, num_samples=particles).run(image, gram, blurred)
    weights = posterior.get_normalized_weights()
    found = posterior.exec_traces[int(weights.argmax())].nodes["board/y"]["value"]
    print(
        "rounding each pixel:",
        task.decode(image.round().clamp(2, 5).long()),
        "cells right:",
        int((image.round() == truth).sum()),
    )
    print("posterior mode:     ", task.decode(found), "cells right:", int((found == truth).sum()), "of 16")
    print(f"effective sample size {posterior.get_ESS():.0f} of {particles}")


if __name__ == "__main__":
    main()

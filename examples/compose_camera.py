"""A GRAM prior inside a user's own model: read a Sudoku from a blurred photograph of it.

The board is a latent variable whose prior is a trained GRAM, the photograph is what a reader saw of each cell.
Importance sampling from the prior, a stock Pyro algorithm, turns pixels into a posterior over whole boards.

    python examples/compose_camera.py
"""

from functools import partial

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


def train_generator(task, updates):
    """Train an unconditional GRAM on complete boards: the question is empty, the answer a board."""
    spec = gp.TaskSpec(length=task.spec.length, input_vocab=0, output_vocab=task.spec.output_vocab, grid=task.spec.grid)
    backbone = partial(gp.Hierarchical, mixer=gp.nn.TokenMixer)
    gram = gp.GRAM(spec, dim=64, transitions=3, refinements=1, backbone=backbone)
    optim = torch.optim.AdamW(gram.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optim, updates)
    elbo = gp.TruncatedELBO(kl_weight=gp.Linear(0.5, 3.0, max(1, updates // 2)), kl_balance=0.8)
    per_board = pyro.poutine.scale(scale=1 / 64)
    svi = gp.SVI(per_board(gram.model), per_board(gram.guide), optim, elbo)
    question = gp.BLANK.expand(64)
    for update, batch in zip(range(0, updates, 2), task.loader(batch_size=64), strict=False):
        state = gram.initial_state(question)
        for _ in range(2):
            loss = svi.step(question, batch.y, state=state)
            state = svi.state
            schedule.step()
        if update % 200 == 0:
            print(f"update {update}: {loss:.2f} nats per board", flush=True)
    return gram


def main(updates=2400, particles=1000):
    """Train the generator, photograph a board, and infer it."""
    pyro.set_rng_seed(0)
    task = gp.tasks.Sudoku(box=2)
    gram = train_generator(task, updates)
    boards = gp.draw(gram, gp.BLANK, width=1000, supervision_steps=4).y
    blank = torch.full_like(boards, task.blank)
    print(f"{task.is_valid(blank, boards).float().mean():.1%} of 1,000 boards drawn from the prior are valid")

    truth = task.test.y[0]
    image = blurred(truth).sample()
    rounded = image.round().clamp(2, 5).long()
    posterior = Importance(camera_sudoku, num_samples=particles).run(image, gram, blurred)
    found = posterior.exec_traces[int(posterior.get_normalized_weights().argmax())].nodes["board/y"]["value"]
    for name, board in (("the board", truth), ("each pixel rounded", rounded), ("posterior mode", found)):
        print(f"{name:20s}{task.decode(board)}   {int((board == truth).sum())} of 16 cells right")
    print(f"effective sample size {posterior.get_ESS():.0f} of {particles}")


if __name__ == "__main__":
    main()

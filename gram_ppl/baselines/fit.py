"""Training of the baselines by maximum likelihood."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm.auto import tqdm

from gram_ppl.baselines.base import Baseline
from gram_ppl.tasks import Task
from gram_ppl.train.optimiser import Optimiser
from gram_ppl.train.run import Clock
from gram_ppl.types import Batch

Row = dict[str, float]


def fit(
    model: Baseline,
    task: Task,
    *,
    updates: int = 4000,
    batch_size: int = 64,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.95),
    weight_decay: float = 0.1,
    warmup: int = 100,
    clip_norm: float | None = 1.0,
    ema: float = 0.995,
    look_every: int = 500,
    max_minutes: float | None = None,
    seed: int = 0,
    progress: bool = True,
) -> list[Row]:
    """Maximise log p(y | x) over training batches and leave the model with its averaged weights.

    Optimiser, schedule, averaging and clock are those of :func:`gram_ppl.fit`, so that the same ``max_minutes`` are the
    same time; there is one update for each batch, and no choice among evaluations.

    Args:
        model: trained in place, on the device it is on.
        task: gives training batches and validation puzzles.
        updates: optimiser updates in all; the learning rate warms up and falls along half a cosine over them.
        batch_size: puzzles in a batch.
        lr: peak learning rate of one fused AdamW.
        betas: of AdamW.
        weight_decay: of AdamW.
        warmup: updates of linear warm-up.
        clip_norm: largest global gradient norm of the loss per puzzle; None leaves gradients as they are.
        ema: decay of the averaged weights.
        look_every: updates between rows of the history; one more follows the last update.
        max_minutes: end by then: the schedule is shortened to fit, and the result then depends on the machine's speed.
        seed: of training batches, and of the model where it draws at random.
        progress: show a progress bar.

    Returns:
        The history: rows of ``update, seconds``, ``loss`` (mean of -log p(y | x) since the row before) and
        ``validation_loss`` (of the averaged weights on ``task.validation``), in nats per puzzle.

    Raises:
        ValueError: when a count is below 1.
    """
    for name, value in (("updates", updates), ("batch_size", batch_size), ("look_every", look_every)):
        if value < 1:
            raise ValueError(f"fit needs {name} of at least 1, got {value}")
    device = next(model.parameters()).device
    clock = Clock(updates, max_minutes)
    optimiser = Optimiser(model, clock, lr=lr, betas=betas, weight_decay=weight_decay, warmup=warmup, ema=ema)
    history: list[Row] = []
    recent: list[Tensor] = []
    with torch.random.fork_rng(), tqdm(total=updates, disable=not progress, unit="update") as bar:
        torch.manual_seed(seed)
        for batch in task.loader(batch_size, seed=seed, device=device):
            recent.append(_update(model, batch, optimiser.optim, clip_norm))
            optimiser.advance()
            bar.update()
            done = clock.progress >= 1
            if done or clock.update % look_every == 0:
                history.append(_row(clock, recent, optimiser.averaged, task.validation))
                bar.set_postfix_str(f"loss {history[-1]['loss']:.2f} nats")
                recent.clear()
            if done:
                break
    model.load_state_dict(optimiser.averaged.state_dict())
    return history


def _update(model: Baseline, batch: Batch, optim: torch.optim.Optimizer, clip_norm: float | None) -> Tensor:
    """Take one gradient step and return the loss in nats per puzzle, without waiting for the device."""
    loss = -model.log_prob(*batch).mean()
    loss.backward()
    limit = float("inf") if clip_norm is None else clip_norm
    torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
    optim.step()
    optim.zero_grad(set_to_none=True)
    return loss.detach()


@torch.no_grad()
def _row(clock: Clock, losses: list[Tensor], averaged: Baseline, validation: Batch) -> Row:
    device = losses[0].device
    held_out = -averaged.log_prob(*(tokens.to(device) for tokens in validation)).mean()
    row: Row = {"update": clock.update, "seconds": round(clock.seconds, 1)}
    return row | {"loss": float(torch.stack(losses).mean()), "validation_loss": float(held_out)}

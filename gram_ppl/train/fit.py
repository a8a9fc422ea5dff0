"""Training by deep supervision: a thin loop around one pure step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pyro import poutine
from tqdm.auto import tqdm

from gram_ppl.infer import SVI, StepInfo, TruncatedELBO
from gram_ppl.model import GRAM
from gram_ppl.tasks import Task
from gram_ppl.train.evaluation import Judge
from gram_ppl.train.optimiser import Optimiser
from gram_ppl.train.run import Clock, Run
from gram_ppl.types import Batch, State


def fit(
    gram: GRAM,
    task: Task,
    *,
    updates: int = 4000,
    supervision_steps: int = 2,
    batch_size: int = 64,
    loss: TruncatedELBO | None = None,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.95),
    weight_decay: float = 0.1,
    warmup: int = 100,
    clip_norm: float | None = 1.0,
    ema: float = 0.995,
    judge: Judge | None = None,
    judge_every: int = 500,
    max_minutes: float | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Run:
    """Train a GRAM by deep supervision and leave it with the averaged weights of the best evaluation.

    Each batch gets ``supervision_steps`` updates, the state carried from one to the next, detached
    (paper C.1.1). "Best" is by prior accuracy. Ctrl-C ends the run early with everything stored.

    Args:
        gram: trained in place, on the device it is on.
        task: gives training batches and verifies answers.
        updates: optimiser updates in all; the learning rate warms up and falls along half a cosine over them.
        supervision_steps: N_sup, updates for each batch.
        batch_size: puzzles in a batch.
        loss: the objective; ``TruncatedELBO(kl_weight=3.0, kl_balance=0.8)`` by default. It is scaled to nats
            per puzzle.
        lr: peak learning rate of one fused AdamW.
        betas: of AdamW.
        weight_decay: of AdamW.
        warmup: updates of linear warm-up.
        clip_norm: largest global gradient norm of the loss per puzzle.
        ema: decay of the averaged weights.
        judge: how held-out puzzles are looked at; ``Judge()`` by default.
        judge_every: updates between evaluations; one more follows the last update.
        max_minutes: end by then: the schedule is shortened to fit, and the result then depends on the machine's speed.
        seed: of noise and training batches.
        folder: for checkpoints ``best`` and ``last`` and ``history.json``; None stores nothing.
        progress: show a progress bar.

    Raises:
        ValueError: when a count is below 1.
    """
    _check_counts(updates=updates, supervision_steps=supervision_steps, batch_size=batch_size, judge_every=judge_every)
    judge = judge or Judge()
    loss = loss or TruncatedELBO(kl_weight=3.0, kl_balance=0.8)
    run = Run(None if folder is None else Path(folder))
    clock = Clock(updates, max_minutes)
    optimiser = Optimiser(gram, clock, lr=lr, betas=betas, weight_decay=weight_decay, warmup=warmup, ema=ema)
    averaged = optimiser.averaged
    per_puzzle = poutine.scale(scale=1 / batch_size)
    svi = SVI(per_puzzle(gram.model), per_puzzle(gram.guide), optimiser.optim, loss, clip_norm=clip_norm)
    recent: list[StepInfo] = []
    with torch.random.fork_rng(), tqdm(total=updates, disable=not progress, unit="update") as bar:
        torch.manual_seed(seed)
        batches = task.loader(batch_size, seed=seed, device=gram.z_0.device)
        with suppress_interrupt(run):
            for info in deep_supervision(svi, gram, batches, supervision_steps):
                recent.append(info)
                optimiser.advance()
                bar.update()
                if clock.progress >= 1:
                    break
                if clock.update % judge_every == 0:
                    bar.set_postfix_str(run.record(clock, recent, judge(averaged, task), averaged))
                    recent.clear()
        if recent:
            bar.set_postfix_str(run.record(clock, recent, judge(averaged, task), averaged))
    run.finish(gram, averaged)
    return run


def deep_supervision(svi: SVI, gram: GRAM, batches: Iterator[Batch], supervision_steps: int) -> Iterator[StepInfo]:
    """Take ``supervision_steps`` updates on each batch, the detached state carried between them (paper C.1.1)."""
    for batch in batches:
        state: State | None = gram.initial_state(batch.x)
        for _ in range(supervision_steps):
            yield svi.update(batch.x, batch.y, state=state)
            state = svi.state


@contextmanager
def suppress_interrupt(run: Run) -> Iterator[None]:
    """End the block at Ctrl-C and note it in the run."""
    try:
        yield
    except KeyboardInterrupt:
        run.interrupted = True


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"fit needs {name} of at least 1, got {value}")

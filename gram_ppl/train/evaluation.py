"""Judging a model on held-out puzzles: by prior rollouts, with the posterior beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import kl_divergence

from gram_ppl.diagnostics import Gap, prior_posterior_gap
from gram_ppl.infer import draw
from gram_ppl.infer.handlers import ShareMessenger
from gram_ppl.model import GRAM
from gram_ppl.model.guidance import Guidance
from gram_ppl.tasks import Task
from gram_ppl.types import Batch


@dataclass(frozen=True)
class Judge:
    """How held-out puzzles are looked at.

    Args:
        puzzles: the first this many; None is all.
        width: prior draws for each puzzle; the posterior gets one rollout.
        supervision_steps: N_sup of every rollout.
    """

    puzzles: int | None = 100
    width: int = 8
    supervision_steps: int = 16

    def __call__(self, gram: GRAM, task: Task, batch: Batch | None = None) -> Gap:
        """Return prior accuracy (share of valid draws), posterior accuracy, and KL per transition in nats a puzzle.

        Args:
            gram: the model.
            task: verifies answers.
            batch: puzzles to look at; ``task.validation`` by default.
        """
        chosen = task.validation if batch is None else batch
        batch = Batch(*(tokens[: self.puzzles].to(gram.z_0.device) for tokens in chosen))
        drawn = draw(gram, batch.x, width=self.width, supervision_steps=self.supervision_steps)
        prior = task.is_valid(batch.x, drawn.y).float().mean()
        y, kl = posterior_rollout(gram, batch, supervision_steps=self.supervision_steps)
        posterior = task.is_valid(batch.x, y).float().mean()
        return prior_posterior_gap(float(prior), float(posterior), trials=len(batch.x), kl=kl)


@torch.no_grad()
def posterior_rollout(gram: GRAM, batch: Batch, *, supervision_steps: int) -> tuple[Tensor, Tensor]:
    """Decode one answer per puzzle from posterior noise, which has seen the answer.

    Returns:
        Answers ``(B, L)`` and the mean KL(q || p) of each transition in nats per puzzle, ``(T * N_sup,)``.
    """
    with pyro.validation_enabled(False), ShareMessenger():
        guide = poutine.trace(gram.guide).get_trace(batch.x, batch.y, supervision_steps=supervision_steps)
        replayed = poutine.replay(gram.model, trace=guide)
        model = poutine.trace(replayed).get_trace(batch.x, supervision_steps=supervision_steps)
    q: Mapping[str, Any] = guide.nodes
    p: Mapping[str, Any] = model.nodes
    transitions = [name for name, site in q.items() if isinstance(site.get("fn"), Guidance)]
    kl = [kl_divergence(q[name]["fn"], p[name]["fn"]).mean() for name in transitions]
    return p["y"]["value"], torch.stack(kl) if kl else torch.zeros(0)

"""Pyro's SVI on one torch optimiser, one supervision step at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyro
import torch
from pyro.infer.abstract_infer import TracePosterior
from pyro.infer.util import is_validation_enabled
from torch import Tensor

from gram_ppl.infer.elbo import StepInfo, TruncatedELBO
from gram_ppl.types import State


class SVI(pyro.infer.SVI):
    """Stochastic variational inference over GRAM programs, driven by one torch optimiser.

    The contract of ``pyro.infer.SVI`` holds: ``step`` and ``evaluate_loss`` take the arguments of model
    and guide and return the loss in nats. Beyond it, the gradient is clipped by its global norm and
    ``state`` holds where the last step arrived, detached, ready to be passed on (None when the model
    returns no rollout)::

        state = gram.initial_state(x)
        for _ in range(supervision_steps):
            svi.step(x, y, state=state)
            state = svi.state

    Args:
        model: e.g. ``gram.model``.
        guide: e.g. ``gram.guide``.
        optim: a torch optimiser over every parameter to train, e.g. ``AdamW(gram.parameters(), fused=True)``.
        loss: the objective.
        clip_norm: largest global gradient norm; None leaves gradients as they are.

    Raises:
        TypeError: for a Pyro optimiser (pass it to ``pyro.infer.SVI`` instead).
    """

    def __init__(
        self,
        model: Callable[..., Any],
        guide: Callable[..., Any],
        optim: torch.optim.Optimizer,
        loss: TruncatedELBO,
        *,
        clip_norm: float | None = 1.0,
    ) -> None:
        if not isinstance(optim, torch.optim.Optimizer):
            raise TypeError(
                f"gp.SVI drives a torch optimiser, got {type(optim).__name__}: use pyro.infer.SVI for Pyro's"
            )
        TracePosterior.__init__(self)
        self.model, self.guide, self.optim = model, guide, optim
        self.elbo, self.clip_norm = loss, clip_norm
        self.loss, self.loss_and_grads = loss.loss, loss.loss_and_grads
        self._validated = False
        self.state: State | None = None

    def step(self, *args: Any, **kwargs: Any) -> float:
        """Take one gradient step and return the loss in nats (this waits for the device)."""
        return self.update(*args, **kwargs).loss.item()

    def update(self, *args: Any, **kwargs: Any) -> StepInfo:
        """Take one gradient step without waiting for the device and return its facts as tensors."""
        with pyro.validation_enabled(is_validation_enabled() and not self._validated):
            self.loss_and_grads(self.model, self.guide, *args, **kwargs)
        self._validated = True
        self.state = self.elbo.state
        norm = self._clip()
        self.optim.step()
        self.optim.zero_grad(set_to_none=True)
        info = self.elbo.info
        if info is None:
            raise RuntimeError("the loss recorded no StepInfo: pass a gram_ppl.TruncatedELBO")
        return replace(info, grad_norm=norm)

    def _clip(self) -> Tensor:
        parameters = [p for group in self.optim.param_groups for p in group["params"] if p.grad is not None]
        limit = float("inf") if self.clip_norm is None else self.clip_norm
        return torch.nn.utils.clip_grad_norm_(parameters, limit)

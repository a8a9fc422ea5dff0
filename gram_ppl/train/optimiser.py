"""The optimiser that every training loop here shares."""

from __future__ import annotations

from typing import Generic, TypeVar, cast

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gram_ppl.infer.schedule import warmup_cosine
from gram_ppl.train.run import Clock

M = TypeVar("M", bound=nn.Module)


class Optimiser(Generic[M]):
    """One fused AdamW under warm-up and half a cosine, with an exponential average of the weights.

    Args:
        model: whose parameters are trained.
        clock: tells how much of the training is done.
        lr: peak learning rate.
        betas: of AdamW.
        weight_decay: of AdamW.
        warmup: updates of linear warm-up.
        ema: decay of the averaged weights.

    Attributes:
        optim: the optimiser, to be stepped by the loop.
        averaged: the model with its averaged weights.
    """

    def __init__(
        self,
        model: M,
        clock: Clock,
        *,
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        warmup: int,
        ema: float,
    ) -> None:
        self._model, self._clock = model, clock
        self.optim = torch.optim.AdamW(model.parameters(), lr=lr, betas=betas, weight_decay=weight_decay, fused=True)
        self._schedule = LambdaLR(self.optim, lambda update: warmup_cosine(clock.progress, update, warmup=warmup))
        self._average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(ema))
        self.averaged = cast(M, self._average.module)

    def advance(self) -> None:
        """Take note of an update: in the average, on the clock, in the learning rate."""
        self._average.update_parameters(self._model)
        self._clock.update += 1
        self._schedule.step()

"""The record of a training run, and its clock."""

from __future__ import annotations

import json
import logging
import time
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gram_ppl.diagnostics import Gap
from gram_ppl.infer.checkpoint import save_checkpoint, write_text
from gram_ppl.infer.elbo import StepInfo
from gram_ppl.model import GRAM

logger = logging.getLogger(__name__)


@dataclass
class Clock:
    """Progress towards whichever comes first: the last update or the time limit.

    Args:
        updates: updates in all.
        max_minutes: time limit; None is no limit.
    """

    updates: int
    max_minutes: float | None = None
    update: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def progress(self) -> float:
        """Share of the training done, 1 at the end."""
        timed = 0.0 if self.max_minutes is None else self.seconds / (60 * self.max_minutes)
        return max(self.update / self.updates, timed)


@dataclass
class Run:
    """What a training run did: a row per evaluation and the best weights by prior accuracy.

    Args:
        folder: where ``best.safetensors``, ``last.safetensors`` and ``history.json`` go; None stores nothing.
        history: rows with ``update, seconds, loss, nll, grad_norm`` (means since the row before, nats per puzzle)
            and ``prior_accuracy, posterior_accuracy, kl`` of held-out puzzles.
        best: the row of the best weights.
        interrupted: whether Ctrl-C ended the run.
    """

    folder: Path | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    interrupted: bool = False
    _weights: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def record(self, clock: Clock, infos: list[StepInfo], gap: Gap, averaged: GRAM) -> str:
        """Add a row, keep and store the weights when no row has a higher prior accuracy; return the row in words."""
        row: dict[str, Any] = {"update": clock.update, "seconds": round(clock.seconds, 1), **_means(infos)}
        row |= {"prior_accuracy": gap.prior_accuracy, "posterior_accuracy": gap.posterior_accuracy, "kl": list(gap.kl)}
        self.history.append(row)
        if self.best is None or row["prior_accuracy"] >= self.best["prior_accuracy"]:
            self.best, self._weights = row, deepcopy(averaged.state_dict())
            self._save("best", averaged)
        if self.folder is not None:
            write_text(self.folder / "history.json", json.dumps(self.history, indent=1))
        if gap.warning and self._stays_open():
            logger.warning("update %d: %s", clock.update, gap.warning)
        return (
            f"loss {row['loss']:.2f} nats, KL {_listed(gap.kl)} nats, "
            f"prior {gap.prior_accuracy:.3f}, posterior {gap.posterior_accuracy:.3f}"
        )

    def _stays_open(self) -> bool:
        """Tell whether the gap has not closed by a fifth since the last look: in a healthy run it is wide at first."""
        gaps = [row["posterior_accuracy"] - row["prior_accuracy"] for row in self.history[-2:]]
        return len(gaps) == 2 and gaps[1] > 0.8 * gaps[0]

    def finish(self, gram: GRAM, averaged: GRAM) -> None:
        """Store the last averaged weights and give the best ones to the model."""
        self._save("last", averaged)
        gram.load_state_dict(self._weights or averaged.state_dict())

    def _save(self, name: str, gram: GRAM) -> None:
        if self.folder is not None:
            row = self.history[-1] if self.history else {}
            save_checkpoint(self.folder / f"{name}.safetensors", gram, model=repr(gram).splitlines(), **row)


def _means(infos: list[StepInfo]) -> dict[str, float]:
    columns = ("loss", "nll", "grad_norm")
    return {name: float(torch.stack([getattr(info, name) for info in infos]).mean()) for name in columns}


def _listed(kl: tuple[float, ...], most: int = 3) -> str:
    """Write the total and the first few transitions: ``3.0 (2.5 + 0.4 + 0.1 + ...)``."""
    shown = [f"{nats:.1f}" for nats in kl[:most]] + ["..."] * (len(kl) > most)
    return f"{sum(kl):.1f}" + (f" ({' + '.join(shown)})" if shown else "")

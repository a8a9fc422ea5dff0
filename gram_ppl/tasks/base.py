"""What the rest of the library asks of a task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from gram_ppl.types import Batch, TaskSpec


@runtime_checkable
class Task(Protocol):
    """Puzzles and their verification: a task draws questions and recognises answers, and knows of no model.

    Attributes:
        spec: the size of its tokens and vocabularies.
        test: held-out questions, each with one of its answers, for the final judgement.
        validation: other held-out questions, for choices made during training.

    Training batches never contain a held-out question.
    """

    spec: TaskSpec
    test: Batch
    validation: Batch

    def loader(self, batch_size: int, *, seed: int = 0, device: torch.device | str | None = None) -> Iterator[Batch]:
        """Stream training batches without end; the same ``seed`` gives the same stream.

        Args:
            batch_size: questions B in a batch.
            seed: of this stream; the test set does not depend on it.
            device: where the batches are put; None is the CPU, where they are drawn.
        """
        ...

    def is_valid(self, x: Tensor, y: Tensor) -> Tensor:
        """Tell which answers ``y`` ``(*, L)`` are complete, correct and in keeping with ``x`` ``(*, L)``.

        Leading dimensions broadcast: draws ``(W, B, L)`` against questions ``(B, L)`` give bools ``(W, B)``.
        """
        ...

    def solutions(self, x: Tensor, cap: int) -> Tensor:
        """List up to ``cap`` distinct answers ``(n, L)`` to one question ``(L,)``, always in the same order."""
        ...

    def count(self, x: Tensor, cap: int) -> int:
        """Count the answers to one question ``(L,)``, stopping at ``cap``."""
        ...

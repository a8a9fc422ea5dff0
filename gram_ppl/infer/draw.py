"""Sampling in width: many trajectories of the prior program for every question."""

from __future__ import annotations

import torch
from torch import Tensor

from gram_ppl.model.gram import GRAM, batch_shape, check_question
from gram_ppl.types import Draws, State


def draw(
    gram: GRAM,
    x: Tensor,
    *,
    width: int = 32,
    supervision_steps: int = 16,
    chunk: int | None = None,
) -> Draws:
    """Draw ``width`` answers to each question from p(y | x).

    The same distribution as ``Predictive(gram.model, num_samples=width, parallel=True)(x)``, and the same
    numbers from the same generator state when everything fits one chunk. Nothing but the current state
    of one chunk is kept, so memory does not grow with the number of transitions.

    Args:
        gram: the model.
        x: questions ``(*batch, L_x)``; ``gp.BLANK`` for an unconditional model.
        width: answers W for each question.
        supervision_steps: N_sup of each trajectory.
        chunk: trajectories in flight at once; None chooses by size.

    Raises:
        ValueError: when x does not fit the task or is empty, or a count is below 1.
    """
    check_question(x, gram.spec)
    for name, value in (("width", width), ("supervision_steps", supervision_steps), ("chunk", chunk)):
        if value is not None and value < 1:
            raise ValueError(f"{name} should be at least 1, got {value}")
    lead = batch_shape(x)
    if not lead.numel():
        raise ValueError(f"x should hold at least one question, got batch shape {tuple(lead)}")
    limit = chunk or default_chunk(gram)
    pieces = x.reshape(lead.numel(), x.shape[-1]).split(max(1, limit // width))
    y = torch.cat([_draw_piece(gram, piece, width, supervision_steps, limit) for piece in pieces], 1)
    y = y.unflatten(1, lead) if lead else y[:, 0]
    return Draws(x=x, y=y, supervision_steps=supervision_steps)


def default_chunk(gram: GRAM) -> int:
    """Return how many trajectories to run at once: one latent in a CPU's cache, or many on a GPU."""
    elements = 2**17 if gram.z_0.device.type == "cpu" else 2**26
    return max(1, elements // (gram.encoder.length * gram.dim))


def _draw_piece(gram: GRAM, x: Tensor, width: int, supervision_steps: int, limit: int) -> Tensor:
    rows = max(1, limit // batch_shape(x).numel())
    sizes = [min(rows, width - start) for start in range(0, width, rows)]
    return torch.cat([_draw_chunk(gram, x, size, supervision_steps) for size in sizes])


@torch.inference_mode()
def _draw_chunk(gram: GRAM, x: Tensor, width: int, supervision_steps: int) -> Tensor:
    lead = torch.Size((width, *batch_shape(x)))
    state = gram.initial_state(x if gram.start is None else x.expand(*lead, x.shape[-1]))
    e_x = gram.encoder(x)
    for _ in range(gram.transitions * supervision_steps):
        state = _transition(gram, state, e_x, lead)
    return gram.decode(state.h).expand(lead).sample()


def _transition(gram: GRAM, state: State, e_x: Tensor, lead: torch.Size) -> State:
    u, l = gram.backbone(state.h, state.l, e_x)
    return State(u if gram.noise is None else u + gram.noise.prior(u).expand(lead).sample(), l)

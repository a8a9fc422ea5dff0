"""Codec: tokens to embeddings, latents to distributions over tokens."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from gram_ppl.nn import SwiGLU
from gram_ppl.types import TaskSpec


class Encoder(nn.Module):
    """Embed a question: ``(*, L_x)`` tokens to ``e_x`` of shape ``(*, R + L, D)``.

    Token embeddings and a position table are added; R learned register tokens are prepended, and the tokens of an
    answer that has its own are appended; of these, the position table is all there is. That makes it the whole
    embedding of the empty question :data:`~gram_ppl.BLANK`.

    Args:
        spec: tokens and vocabularies of the task.
        dim: width D.
        registers: prepended learned tokens R (the paper's puzzle-embedding tokens).
    """

    def __init__(self, spec: TaskSpec, dim: int, registers: int = 0) -> None:
        super().__init__()
        self.spec, self.dim, self.registers = spec, dim, registers
        self.tokens = nn.Embedding(spec.input_vocab, dim) if spec.input_vocab else None
        self.positions = nn.Parameter(0.02 * torch.randn(registers + spec.latent_length, dim))

    def forward(self, x: Tensor) -> Tensor:
        embedded = self.positions.new_zeros(*x.shape, self.dim) if self.tokens is None else self.tokens(x)
        return pad_tokens(embedded, self.registers, self.spec.latent_length - self.spec.length) + self.positions


class TargetEncoder(nn.Module):
    """Embed an answer for the posterior: ``(*, L_y)`` tokens to ``(*, R + L, D)``, zero at all other tokens."""

    def __init__(self, spec: TaskSpec, dim: int, registers: int = 0) -> None:
        super().__init__()
        self.tokens = nn.Embedding(spec.output_vocab, dim)
        self.before = registers + spec.latent_length - spec.target_length

    def forward(self, y: Tensor) -> Tensor:
        return pad_tokens(self.tokens(y), self.before)


class Decoder(nn.Module):
    """Turn the high-level latent ``(*, R + L, D)`` into p(y | h): independent Categoricals over L_y tokens.

    The logits come from a SwiGLU (paper App. B): a linear layer stays unsure of tokens that the noise blurs.
    """

    def __init__(self, spec: TaskSpec, dim: int) -> None:
        super().__init__()
        self.logits = SwiGLU(dim, dim, spec.output_vocab)
        self.length = spec.target_length

    def forward(self, h: Tensor) -> dist.Independent:
        logits = self.logits(h[..., -self.length :, :]).float()
        return dist.Categorical(logits=logits).to_event(1)


def pad_tokens(embedded: Tensor, before: int, after: int = 0) -> Tensor:
    """Put zero tokens before and after ``(*, L, D)``."""
    return nn.functional.pad(embedded, (0, 0, before, after)) if before or after else embedded

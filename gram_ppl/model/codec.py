"""Codec: tokens to embeddings, latents to distributions over tokens."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from gram_ppl.nn import SwiGLU


class Blank:
    """The empty question of an unconditional model, with a batch shape: ``gp.BLANK.expand(64)``."""

    def __init__(self, *batch_shape: int) -> None:
        self.batch_shape = torch.Size(batch_shape)

    def expand(self, *batch_shape: int) -> Blank:
        """Return the empty question asked ``batch_shape`` times."""
        return Blank(*batch_shape)

    def to(self, *_args: object, **_kwargs: object) -> Blank:
        """Return self: there is nothing to move."""
        return self

    def __repr__(self) -> str:
        return f"Blank{tuple(self.batch_shape)}"


BLANK = Blank()


class Encoder(nn.Module):
    """Embed a question: ``(*, L)`` tokens to ``e_x`` of shape ``(*, R + L, D)``.

    Token embeddings and a position table are added; R learned register tokens are prepended.
    With ``vocab=0`` the question is :data:`BLANK` and every token gets one learned empty embedding.

    Args:
        vocab: distinct input tokens, 0 for the unconditional form.
        length: tokens L.
        dim: width D.
        registers: prepended learned tokens R (the paper's puzzle-embedding tokens).
    """

    def __init__(self, vocab: int, length: int, dim: int, registers: int = 0) -> None:
        super().__init__()
        self.vocab, self.length, self.registers = vocab, length, registers
        self.tokens = nn.Embedding(max(vocab, 1), dim)
        self.positions = nn.Parameter(0.02 * torch.randn(registers + length, dim))

    def forward(self, x: Tensor | Blank) -> Tensor:
        if isinstance(x, Blank):
            embedded = self.tokens.weight[0].expand(*x.batch_shape, self.length, -1)
        else:
            embedded = self.tokens(x)
        return pad_registers(embedded, self.registers) + self.positions


class TargetEncoder(nn.Module):
    """Embed an answer for the posterior: ``(*, L)`` tokens to ``(*, R + L, D)``, zero at the registers."""

    def __init__(self, vocab: int, dim: int, registers: int = 0) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab, dim)
        self.registers = registers

    def forward(self, y: Tensor) -> Tensor:
        return pad_registers(self.tokens(y), self.registers)


class Decoder(nn.Module):
    """Turn the high-level latent ``(*, R + L, D)`` into p(y | h): independent Categoricals over L tokens.

    The logits come from a SwiGLU (paper App. B): a linear layer stays unsure of tokens that the noise blurs.
    """

    def __init__(self, vocab: int, dim: int, registers: int = 0) -> None:
        super().__init__()
        self.logits = SwiGLU(dim, dim, vocab)
        self.registers = registers

    def forward(self, h: Tensor) -> dist.Independent:
        logits = self.logits(h[..., self.registers :, :]).float()
        return dist.Categorical(logits=logits).to_event(1)


def pad_registers(embedded: Tensor, registers: int) -> Tensor:
    """Prepend ``registers`` zero tokens to ``(*, L, D)``."""
    return nn.functional.pad(embedded, (0, 0, registers, 0)) if registers else embedded

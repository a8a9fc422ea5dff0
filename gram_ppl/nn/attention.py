"""Self-attention over the tokens of a latent."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gram_ppl.nn.norm import scaled_linear


class Attention(nn.Module):
    """Mix tokens by multi-head attention: ``(*, L, D)`` to ``(*, L, D)``.

    Args:
        dim: width D, a multiple of ``heads``.
        length: tokens L.
        heads: number of heads.
        rope: rotate queries and keys by position (Su et al. 2021); needs an even head width.
        pair_bias: add a learned bias ``(heads, L, L)`` to the scores: the constraint graph, learned.

    Raises:
        ValueError: when D does not divide into heads, or rope meets an odd head width.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, dim: int, length: int, *, heads: int = 4, rope: bool = True, pair_bias: bool = False) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"Attention needs dim divisible by heads, got dim={dim} and heads={heads}")
        if rope and dim // heads % 2:
            raise ValueError(f"RoPE needs an even head width, got {dim // heads}: change heads or pass rope=False")
        self.heads, self.rope = heads, rope
        self.qkv = scaled_linear(dim, 3 * dim)
        self.out = scaled_linear(dim, dim)
        self.bias = nn.Parameter(torch.zeros(heads, length, length)) if pair_bias else None
        if rope:
            cos, sin = rope_tables(length, dim // heads)
            self.register_buffer("cos", cos, persistent=False)
            self.register_buffer("sin", sin, persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        q, k, v = self.qkv(z).unflatten(-1, (3, self.heads, -1)).movedim(-3, 0).transpose(-3, -2)
        if self.rope:
            q, k = self._rotate(q), self._rotate(k)
        bias = None if self.bias is None else self.bias.to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.out(mixed.transpose(-3, -2).flatten(-2))

    def _rotate(self, z: Tensor) -> Tensor:
        first, second = z.chunk(2, -1)
        return z * self.cos.to(z.dtype) + torch.cat((-second, first), -1) * self.sin.to(z.dtype)


def rope_tables(length: int, width: int, base: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """Return the cosines and sines of rotary position encoding, each ``(L, width)``."""
    frequency = base ** (-torch.arange(0, width, 2) / width)
    angle = torch.outer(torch.arange(length), frequency).repeat(1, 2)
    return angle.cos(), angle.sin()

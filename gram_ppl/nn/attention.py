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
        causal: let a token see itself and the tokens before it only; such an attention also takes part of a sequence
            together with a :class:`Cache` of what came before.

    Raises:
        ValueError: when D does not divide into heads, rope meets an odd head width, or a cache an attention that is not
            causal.
    """

    cos: Tensor
    sin: Tensor
    future: Tensor | None

    def __init__(
        self,
        dim: int,
        length: int,
        *,
        heads: int = 4,
        rope: bool = True,
        pair_bias: bool = False,
        causal: bool = False,
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"Attention needs dim divisible by heads, got dim={dim} and heads={heads}")
        if rope and dim // heads % 2:
            raise ValueError(f"RoPE needs an even head width, got {dim // heads}: change heads or pass rope=False")
        self.heads, self.rope = heads, rope
        self.qkv = scaled_linear(dim, 3 * dim)
        self.out = scaled_linear(dim, dim)
        self.bias = nn.Parameter(torch.zeros(heads, length, length)) if pair_bias else None
        future = torch.full((length, length), -torch.inf).triu(1) if causal else None
        self.register_buffer("future", future, persistent=False)
        if rope:
            cos, sin = rope_tables(length, dim // heads)
            self.register_buffer("cos", cos, persistent=False)
            self.register_buffer("sin", sin, persistent=False)

    def forward(self, z: Tensor, cache: Cache | None = None) -> Tensor:
        q, k, v = self.qkv(z).unflatten(-1, (3, self.heads, -1)).movedim(-3, 0).transpose(-3, -2)
        if cache is not None and self.future is None:
            raise ValueError("a cache holds the past of a causal attention: build it as Attention(..., causal=True)")
        seen = 0 if cache is None else cache.seen
        if self.rope:
            q, k = self._rotate(q, seen), self._rotate(k, seen)
        if cache is not None:
            k, v = cache.append(k, v)
        mixed = attend(q, k, v, self._mask(seen, seen + z.shape[-2], q.dtype))
        return self.out(mixed.transpose(-3, -2).flatten(-2))

    def _rotate(self, z: Tensor, seen: int = 0) -> Tensor:
        rows = slice(seen, seen + z.shape[-2])
        first, second = z.chunk(2, -1)
        return z * self.cos[rows].to(z.dtype) + torch.cat((-second, first), -1) * self.sin[rows].to(z.dtype)

    def _mask(self, seen: int, upto: int, dtype: torch.dtype) -> Tensor | None:
        """Return what is added to the scores of tokens ``seen`` to ``upto``: the bias, and -inf for the future."""
        if self.future is None:
            return None if self.bias is None else self.bias.to(dtype)
        future = self.future[seen:upto, :upto].to(dtype)
        return future if self.bias is None else future + self.bias[:, seen:upto, :upto].to(dtype)


class Cache:
    """The keys and values of the tokens that a causal :class:`Attention` has seen: each token is computed once.

    Args:
        length: most tokens it will hold.

    >>> attention, z = Attention(8, 4, causal=True), torch.randn(4, 8)
    >>> cache = Cache(4)
    >>> parts = [attention(z[:3], cache), attention(z[3:], cache)]
    >>> torch.allclose(torch.cat(parts), attention(z), atol=1e-5)
    True
    """

    def __init__(self, length: int) -> None:
        self.length, self.seen = length, 0
        self._kv: Tensor | None = None

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add keys and values ``(*, heads, n, D / heads)`` of n further tokens and return those of all tokens seen."""
        if self._kv is None:
            self._kv = k.new_empty(2, *k.shape[:-2], self.length, k.shape[-1])
        start, self.seen = self.seen, self.seen + k.shape[-2]
        self._kv[0, ..., start : self.seen, :], self._kv[1, ..., start : self.seen, :] = k, v
        return self._kv[0, ..., : self.seen, :], self._kv[1, ..., : self.seen, :]

    def repeat(self, width: int) -> None:
        """Go on with ``width`` copies of a batch ``(B,)``, laid out as ``(width * B,)``."""
        if self._kv is not None:
            self._kv = torch.cat([self._kv] * width, 1)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Return ``softmax(q k' / sqrt(width) + mask) v`` of queries, keys and values ``(*, heads, L, width)``."""
    if mask is None:  # fused kernels want exactly one leading dimension, and on a CPU no mask
        q_, k_, v_ = (z.reshape(-1, *z.shape[-3:]) for z in (q, k, v))
        return F.scaled_dot_product_attention(q_, k_, v_).reshape(*q.shape[:-1], v.shape[-1])
    scores = (q * q.shape[-1] ** -0.5) @ k.mT + mask
    return scores.softmax(-1) @ v


def rope_tables(length: int, width: int, base: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """Return the cosines and sines of rotary position encoding, each ``(L, width)``."""
    frequency = base ** (-torch.arange(0, width, 2) / width)
    angle = torch.outer(torch.arange(length), frequency).repeat(1, 2)
    return angle.cos(), angle.sin()

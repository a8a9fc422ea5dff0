"""Autoregressive prediction: the answer token by token, each seeing the question and the tokens before it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from gram_ppl.baselines.base import Baseline
from gram_ppl.model.codec import Decoder
from gram_ppl.model.gram import batch_shape
from gram_ppl.nn import Attention, Block, Stack
from gram_ppl.nn.attention import Cache
from gram_ppl.types import TaskSpec


class Autoregressive(Baseline):
    """Predict the answer token by token: a causal Transformer over the sequence (start, x, y).

    ``p(y | x) = ∏_i p(y_i | x, y_1..y_{i-1})``, so log p(y | x) is exact: a yardstick for estimates of evidence. The
    tokens of the question are read, not modelled.

    Args:
        spec: tokens and vocabularies of the task.
        dim: width D, a multiple of ``heads``.
        layers: blocks of the stack.
        heads: attention heads.
        pair_bias: learn a bias for each head and pair of tokens, as in :class:`~gram_ppl.nn.Attention`.
        hidden: inner width of the SwiGLU; ``2 * dim`` by default.

    >>> import gram_ppl as gp
    >>> spec = gp.TaskSpec(length=4, input_vocab=3, output_vocab=3)
    >>> model = gp.baselines.Autoregressive(spec, dim=8, layers=1, heads=2)
    >>> x = torch.ones(5, 4, dtype=torch.long)
    >>> model.log_prob(x, model.sample(x, 3)).shape
    torch.Size([3, 5])
    """

    def __init__(
        self,
        spec: TaskSpec,
        *,
        dim: int = 512,
        layers: int = 8,
        heads: int = 4,
        pair_bias: bool = False,
        hidden: int | None = None,
    ) -> None:
        length = spec.length + spec.target_length
        super().__init__(spec, footprint=2 * layers * length * dim)
        self.tokens = nn.Embedding(1 + spec.input_vocab + spec.output_vocab, dim)
        self.positions = nn.Parameter(0.02 * torch.randn(length, dim))
        mixer = partial(Attention, heads=heads, pair_bias=pair_bias, causal=True)
        self.stack = Stack(dim, length, layers=layers, mixer=mixer, hidden=hidden)
        self.decoder = Decoder(spec, dim)

    def _log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        lead = torch.broadcast_shapes(batch_shape(x), batch_shape(y))
        sequence = torch.cat((self._prompt(x).expand(*lead, -1), self._answer(y[..., :-1]).expand(*lead, -1)), -1)
        h = self.stack(self.tokens(sequence) + self.positions)
        return self.decoder(h).log_prob(y)

    def _sample(self, x: Tensor, width: int) -> Tensor:
        caches = [Cache(len(self.positions)) for _ in self.stack]
        h = self._advance(self._prompt(x), caches)[:, -1:]
        for cache in caches:
            cache.repeat(width)
        y = [self.decoder(h.repeat(width, 1, 1)).sample()]
        while len(y) < self.spec.target_length:
            y.append(self.decoder(self._advance(self._answer(y[-1]), caches)).sample())
        return torch.cat(y, -1).unflatten(0, (width, len(x)))

    def _advance(self, sequence: Tensor, caches: Sequence[Cache]) -> Tensor:
        """Return the latents ``(B, n, D)`` of n further tokens; the caches hold the past and take these in."""
        seen = caches[0].seen
        z = self.tokens(sequence) + self.positions[seen : seen + sequence.shape[-1]]
        for block, cache in zip(self.stack, caches, strict=True):
            z = _step(cast(Block, block), z, cache)
        return z

    def _prompt(self, x: Tensor) -> Tensor:
        """Number the start token 0 and those of the question from 1."""
        return nn.functional.pad(1 + x, (1, 0))

    def _answer(self, y: Tensor) -> Tensor:
        return 1 + self.spec.input_vocab + y


def _step(block: Block, z: Tensor, cache: Cache) -> Tensor:
    """Do what the block does, its mixer with a cache."""
    z = block.norm(z + block.mixer(z, cache))
    return block.norm(z + block.mlp(z))

"""The post-norm residual block and a stack of it: the network called f_L or f_H."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from gram_ppl.nn.mlp import SwiGLU
from gram_ppl.nn.norm import RMSNorm


class MixerFactory(Protocol):
    """Builds a token mixer for width ``dim`` and ``length`` tokens, e.g. ``Attention`` or a partial of it."""

    def __call__(self, dim: int, length: int, /) -> nn.Module: ...


class Block(nn.Module):
    """Mix tokens, then channels, each a residual branch ended by RMSNorm: ``(*, L, D)`` to ``(*, L, D)``."""

    def __init__(self, dim: int, length: int, mixer: MixerFactory, hidden: int) -> None:
        super().__init__()
        self.mixer = mixer(dim, length)
        self.mlp = SwiGLU(dim, hidden)
        self.norm = RMSNorm(dim)

    def forward(self, z: Tensor) -> Tensor:
        z = self.norm(z + self.mixer(z))
        return self.norm(z + self.mlp(z))


class Stack(nn.Sequential):
    """A chain of blocks, ``(*, L, D)`` to ``(*, L, D)``; the output is normalised.

    Args:
        dim: width D.
        length: tokens L.
        layers: number of blocks.
        mixer: builds each block's token mixer.
        hidden: inner width of the channel SwiGLU; ``2 * dim`` by default.
    """

    def __init__(self, dim: int, length: int, *, layers: int, mixer: MixerFactory, hidden: int | None = None) -> None:
        if layers < 1:
            raise ValueError(f"a Stack needs at least 1 layer, got {layers}")
        super().__init__(*(Block(dim, length, mixer, hidden or 2 * dim) for _ in range(layers)))

    def forward(self, z: Tensor) -> Tensor:
        for block in self:
            z = block(z)
        return z

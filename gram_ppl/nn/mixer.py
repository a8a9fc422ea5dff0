"""Mixing of tokens without attention."""

from __future__ import annotations

from torch import Tensor, nn

from gram_ppl.nn.mlp import SwiGLU


class TokenMixer(nn.Module):
    """Mix tokens by a SwiGLU along the token axis: ``(*, L, D)`` to ``(*, L, D)`` (paper App. B, Sudoku).

    Args:
        dim: width D (every channel is mixed alike).
        length: tokens L.
        hidden: inner width; ``4 * L`` by default.
    """

    def __init__(self, dim: int, length: int, *, hidden: int | None = None) -> None:
        super().__init__()
        self.mlp = SwiGLU(length, hidden or 4 * length)

    def forward(self, z: Tensor) -> Tensor:
        return self.mlp(z.transpose(-1, -2)).transpose(-1, -2)

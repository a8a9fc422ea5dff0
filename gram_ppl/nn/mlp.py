"""Gated feed-forward network."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from gram_ppl.nn.norm import scaled_linear


class SwiGLU(nn.Module):
    """Map ``(*, d_in)`` to ``(*, d_out)``: ``W_o (silu(W_g z) * W_i z)`` (Shazeer 2020).

    Args:
        d_in: width of the input.
        hidden: inner width.
        d_out: width of the output; ``d_in`` by default.
        zero: start with W_o = 0, so that the network starts as the zero map.
    """

    def __init__(self, d_in: int, hidden: int, d_out: int | None = None, *, zero: bool = False) -> None:
        super().__init__()
        self.gate_in = scaled_linear(d_in, 2 * hidden)
        self.out = scaled_linear(hidden, d_out or d_in, zero=zero)

    def forward(self, z: Tensor) -> Tensor:
        gate, value = self.gate_in(z).chunk(2, -1)
        return self.out(F.silu(gate) * value)

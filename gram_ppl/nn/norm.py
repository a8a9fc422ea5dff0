"""Normalisation that ends every residual branch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    """Divide the last dimension by its root mean square; no gain (paper App. B, post-norm).

    Without it at the end of f_L and f_H the KL explodes in the first updates.
    Maps ``(*, D)`` to ``(*, D)``, computed in float32.
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, z: Tensor) -> Tensor:
        return F.rms_norm(z.float(), (self.dim,), eps=self.eps).to(z.dtype)

    def extra_repr(self) -> str:
        return f"{self.dim}"


def scaled_linear(d_in: int, d_out: int, *, zero: bool = False) -> nn.Linear:
    """Build a bias-free linear layer with variance-preserving normal weights, or zeros."""
    layer = nn.Linear(d_in, d_out, bias=False)
    with torch.no_grad():
        layer.weight.zero_() if zero else layer.weight.normal_(std=d_in**-0.5)
    return layer

"""Questions about pairs: one token for each pair of the answer's tokens, as in the upper triangle of an adjacency."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gram_ppl.model.codec import pad_tokens
from gram_ppl.types import TaskSpec


class PairEncoder(nn.Module):
    r"""Embed a question with one token for each pair of answer tokens onto the answer's n tokens: ``(*, R + n, D)``.

    .. math:: e_i = p_i + \sum_{j \ne i} E_j[x_{ij}]

    So the latent has n tokens instead of n(n+1)/2, and token i knows its row of the adjacency matrix from the start:
    attention can look up its neighbours by position.

    Args:
        spec: a task with ``length`` n(n-1)/2 and ``output_length`` n; x is the strict upper triangle, row by row.
        dim: width D.
        registers: prepended tokens R.

    Raises:
        ValueError: when the question does not have one token for each pair of answer tokens.

    >>> encoder = PairEncoder(TaskSpec(length=6, input_vocab=3, output_vocab=6, output_length=4), dim=8)
    >>> encoder(torch.ones(5, 6, dtype=torch.long)).shape
    torch.Size([5, 4, 8])
    """

    pair_of: Tensor

    def __init__(self, spec: TaskSpec, dim: int, registers: int = 0) -> None:
        super().__init__()
        n = spec.target_length
        if spec.length != n * (n - 1) // 2:
            raise ValueError(
                f"PairEncoder needs one question token for each pair of answer tokens, n(n-1)/2 = {n * (n - 1) // 2} "
                f"for n = {n}, got {spec.length}: use Encoder"
            )
        self.registers, self.length = registers, registers + n
        self.tokens = nn.Parameter(n**-0.5 * torch.randn(n, spec.input_vocab, dim))
        self.positions = nn.Parameter(0.5 * torch.randn(self.length, dim))
        self.register_buffer("pair_of", _pair_of(n), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        rows = F.one_hot(x, self.tokens.shape[1]).to(self.tokens.dtype)
        rows = F.pad(rows, (0, 0, 0, 1))[..., self.pair_of, :]
        return pad_tokens(torch.einsum("...ijv,jvd->...id", rows, self.tokens), self.registers) + self.positions


def _pair_of(n: int) -> Tensor:
    """Return the position of pair (i, j) in the question, ``(n, n)``; the diagonal points past its end."""
    i, j = torch.triu_indices(n, n, offset=1)
    position = torch.full((n, n), len(i))
    position[i, j] = position[j, i] = torch.arange(len(i))
    return position

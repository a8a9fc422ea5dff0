"""Codec: tokens to embeddings, latents to distributions over tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from gram_ppl.nn import SwiGLU
from gram_ppl.nn.norm import scaled_linear
from gram_ppl.types import TaskSpec


class QuestionEncoder(Protocol):
    """What a GRAM asks of its encoder, a module: e_x, and how many tokens it has, the answer's last."""

    length: int

    def __call__(self, x: Tensor, /) -> Tensor: ...


class EncoderFactory(Protocol):
    """Builds the network from x to e_x for a task, width ``dim`` and R ``registers``."""

    def __call__(self, spec: TaskSpec, dim: int, registers: int, /) -> QuestionEncoder: ...


class TokenDecoder(Protocol):
    """What a GRAM asks of its decoder, a module: p(y | h), and the lines of its story."""

    def __call__(self, h: Tensor, /) -> TorchDistribution: ...

    def story(self) -> list[str]: ...


class DecoderFactory(Protocol):
    """Builds the decoder for a task and width ``dim``."""

    def __call__(self, spec: TaskSpec, dim: int, /) -> TokenDecoder: ...


class Encoder(nn.Module):
    """Embed a question: ``(*, L_x)`` tokens to ``e_x`` of shape ``(*, R + L, D)``.

    Token embeddings and a position table are added; R register tokens are prepended, and the tokens of an
    answer that has its own are appended; of these, the position table is all there is. That makes it the whole
    embedding of the empty question :data:`~gram_ppl.BLANK`. Without it they are zero, and telling tokens apart is
    left to the mixer (a rotation, or weights for each token).

    Args:
        spec: tokens and vocabularies of the task.
        dim: width D.
        registers: prepended tokens R (the paper's puzzle-embedding tokens).
        positions: learn the position table; else it is zero and no parameter.

    Attributes:
        length: tokens R + L of the latent.
    """

    positions: Tensor

    def __init__(self, spec: TaskSpec, dim: int, registers: int = 0, *, positions: bool = True) -> None:
        super().__init__()
        self.spec, self.dim, self.registers = spec, dim, registers
        self.tokens = nn.Embedding(spec.input_vocab, dim) if spec.input_vocab else None
        self.length = registers + spec.latent_length
        if positions:
            self.positions = nn.Parameter(0.02 * torch.randn(self.length, dim))
        else:
            self.register_buffer("positions", torch.zeros(self.length, dim), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        embedded = self.positions.new_zeros(*x.shape, self.dim) if self.tokens is None else self.tokens(x)
        return pad_tokens(embedded, self.registers, self.spec.latent_length - self.spec.length) + self.positions


class Constant(nn.Module):
    """Embed the empty question ``(*, 0)`` as one learned e_x of shape ``(R + L, D)``, started at ``e_x``."""

    def __init__(self, e_x: Tensor) -> None:
        super().__init__()
        self.length = len(e_x)
        self.e_x = nn.Parameter(e_x.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.e_x.expand(*x.shape[:-1], *self.e_x.shape)


class TargetEncoder(nn.Module):
    """Embed an answer for the posterior: ``(*, L_y)`` tokens to ``(*, length, D)``, zero at all but the last L_y."""

    def __init__(self, spec: TaskSpec, dim: int, length: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(spec.output_vocab, dim)
        self.before = length - spec.target_length

    def forward(self, y: Tensor) -> Tensor:
        return pad_tokens(self.tokens(y), self.before)


class Decoder(nn.Module):
    """Turn the high-level latent ``(*, R + L, D)`` into p(y | h): independent Categoricals over L_y tokens.

    The logits come from a SwiGLU (paper App. B): a linear layer stays unsure of tokens that the noise blurs.

    Args:
        spec: tokens and vocabularies of the task.
        dim: width D.
        token: distribution of one token, built as ``token(logits=...)``; :class:`Greedy` decodes by argmax.
    """

    def __init__(self, spec: TaskSpec, dim: int, *, token: Callable[..., TorchDistribution] = dist.Categorical) -> None:
        super().__init__()
        self.logits = self._head(dim, spec.output_vocab)
        self.length, self.token = spec.target_length, token

    def forward(self, h: Tensor) -> TorchDistribution:
        logits = self.logits(h[..., -self.length :, :]).float()
        return self.token(logits=logits).to_event(1)

    def story(self) -> list[str]:
        """Return the lines of the generative story told by ``repr(gram)``."""
        token = getattr(self.token, "__name__", repr(self.token))
        return [f"y   ~ {token}({type(self).__name__}(h))"]

    @staticmethod
    def _head(d_in: int, d_out: int) -> nn.Module:
        return SwiGLU(d_in, d_in, d_out)


class LinearDecoder(Decoder):
    """A :class:`Decoder` whose logits come from one linear layer, as in HRM and TRM."""

    _head = staticmethod(scaled_linear)


class Greedy(dist.Categorical):
    """A Categorical that always draws its most probable token, the first among equals.

    With it a reasoner without noise has one answer, whatever the width. The density stays the Categorical's, so that
    training is by cross-entropy as ever; it is the density of an observed answer, not of the drawn ones.

    >>> Greedy(logits=torch.tensor([0.0, 0.2, 0.1])).sample((4,))
    tensor([1, 1, 1, 1])
    """

    def sample(self, sample_shape: Sequence[int] = torch.Size()) -> Tensor:
        return self.logits.argmax(-1).expand(self._extended_shape(torch.Size(sample_shape)))


def pad_tokens(embedded: Tensor, before: int, after: int = 0) -> Tensor:
    """Put zero tokens before and after ``(*, L, D)``."""
    return nn.functional.pad(embedded, (0, 0, before, after)) if before or after else embedded

"""GRAM in one file of plain PyTorch: model, guide, objective and sampling, without Pyro and without the library.

Read it to understand the mathematics; the test suite loads the library's weights into it and compares losses,
gradients and samples. Parameter names are those of ``gram_ppl.GRAM`` with its default attention backbone.

    x tokens --embed--> e_x
    repeat T times:  l <- f_L(l + h + e_x)  (K times);  u = f_H(h + l);  eps ~ Normal(mu(u), sigma(u));  h = u + eps
    y ~ Categorical(decode(h))

Source: Generative Recursive Reasoning, arXiv 2605.19376, Section 3. Run it to train on 4x4 Sudoku for a minute:

    python examples/mini_gram.py
"""

from __future__ import annotations

import itertools
import time

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Normal, kl_divergence
from torch.nn import functional as F


def linear(d_in: int, d_out: int, zero: bool = False) -> nn.Linear:
    layer = nn.Linear(d_in, d_out, bias=False)
    nn.init.zeros_(layer.weight) if zero else nn.init.normal_(layer.weight, std=d_in**-0.5)
    return layer


class SwiGLU(nn.Module):
    def __init__(self, d_in: int, hidden: int, d_out: int, zero: bool = False) -> None:
        super().__init__()
        self.gate_in = linear(d_in, 2 * hidden)
        self.out = linear(hidden, d_out, zero)

    def forward(self, z: Tensor) -> Tensor:
        gate, value = self.gate_in(z).chunk(2, -1)
        return self.out(F.silu(gate) * value)


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions."""

    def __init__(self, dim: int, length: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = linear(dim, 3 * dim), linear(dim, dim)
        width = dim // heads
        angle = torch.outer(torch.arange(length), 1e4 ** (-torch.arange(0, width, 2) / width)).repeat(1, 2)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        batch, length, dim = z.shape
        q, k, v = self.qkv(z).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, dim))

    def rotate(self, z: Tensor) -> Tensor:
        first, second = z.chunk(2, -1)
        return z * self.cos + torch.cat((-second, first), -1) * self.sin


class Block(nn.Module):
    """Attention and SwiGLU, each a residual branch followed by RMSNorm."""

    def __init__(self, dim: int, length: int) -> None:
        super().__init__()
        self.mixer = Attention(dim, length)
        self.mlp = SwiGLU(dim, 2 * dim, dim)

    def forward(self, z: Tensor) -> Tensor:
        z = F.rms_norm(z + self.mixer(z), z.shape[-1:], eps=1e-5)
        return F.rms_norm(z + self.mlp(z), z.shape[-1:], eps=1e-5)


class MiniGRAM(nn.Module):
    def __init__(self, length: int, x_vocab: int, y_vocab: int, dim: int = 64, T: int = 2, K: int = 2) -> None:
        super().__init__()
        self.T, self.K = T, K
        self.embed_x = nn.Embedding(x_vocab, dim)
        self.position = nn.Parameter(0.02 * torch.randn(length, dim))
        self.embed_y = nn.Embedding(y_vocab, dim)
        self.f_l = nn.Sequential(Block(dim, length), Block(dim, length))
        self.f_h = nn.Sequential(Block(dim, length), Block(dim, length))
        self.prior_head = SwiGLU(dim, dim, 2 * dim, zero=True)
        self.posterior_head = SwiGLU(dim, dim, 2 * dim, zero=True)
        self.decode = SwiGLU(dim, dim, y_vocab)
        self.register_buffer("z_0", torch.randn(2, dim))

    def load_library_weights(self, weights: dict[str, Tensor]) -> None:
        """Load the state_dict of a ``gram_ppl.GRAM``, whose modules are grouped by their role."""
        names = {
            "encoder.tokens": "embed_x",
            "encoder.positions": "position",
            "target.tokens": "embed_y",
            "backbone.": "",
            "noise.": "",
            "decoder.logits": "decode",
        }
        for theirs, ours in names.items():
            weights = {name.replace(theirs, ours): value for name, value in weights.items()}
        self.load_state_dict(weights)

    def initial_state(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shape = (*x.shape, self.z_0.shape[-1])
        return self.z_0[0].expand(shape), self.z_0[1].expand(shape)

    def propose(self, h: Tensor, l: Tensor, e_x: Tensor) -> tuple[Tensor, Tensor]:
        for _ in range(self.K):
            l = self.f_l(l + h + e_x)
        return self.f_h(h + l), l

    def prior(self, u: Tensor) -> Normal:
        return normal(self.prior_head(u))

    def posterior(self, u: Tensor, y: Tensor) -> Normal:
        return normal(self.posterior_head(u + self.embed_y(y)))

    def loss(self, x: Tensor, y: Tensor, state: tuple[Tensor, Tensor], beta: float, alpha: float):
        """Negative ELBO of one supervision step in nats, summed over the batch, and the detached state it ends in."""
        e_x = self.embed_x(x) + self.position
        (h, l), kl = state, 0.0
        for _ in range(self.T):
            u, l = self.propose(h, l, e_x)
            q, p = self.posterior(u, y), self.prior(u)
            kl = kl + alpha * kl_divergence(detach(q), p).sum() + (1 - alpha) * kl_divergence(q, detach(p)).sum()
            h = u + q.rsample()
        nll = -Categorical(logits=self.decode(h)).log_prob(y).sum()
        return nll + beta * kl, (h.detach(), l.detach())

    @torch.no_grad()
    def sample(self, x: Tensor, supervision_steps: int) -> Tensor:
        """Draw one answer per question from the prior program."""
        e_x = self.embed_x(x) + self.position
        h, l = self.initial_state(x)
        for _ in range(self.T * supervision_steps):
            u, l = self.propose(h, l, e_x)
            h = u + self.prior(u).sample()
        return Categorical(logits=self.decode(h)).sample()


def normal(raw: Tensor) -> Normal:
    loc, scale = raw.chunk(2, -1)
    return Normal(loc, F.softplus(scale - 1) + 1e-3, validate_args=False)


def detach(d: Normal) -> Normal:
    return Normal(d.loc.detach(), d.scale.detach(), validate_args=False)


def sudoku_boards() -> Tensor:
    """All 288 complete 4x4 boards, tokens 2..5 (0 is padding, 1 a blank cell)."""
    groups = [[4 * i + j for j in range(4)] for i in range(4)] + [[4 * j + i for j in range(4)] for i in range(4)]
    groups += [[4 * (a + i) + b + j for i in range(2) for j in range(2)] for a in (0, 2) for b in (0, 2)]
    rows = torch.tensor(list(itertools.permutations(range(2, 6))))
    boards = rows[torch.cartesian_prod(*[torch.arange(24)] * 4)].flatten(1)
    return boards[(boards[:, groups].sort(-1).values == torch.arange(2, 6)).all(-1).all(-1)]


def main(seconds: float = 60.0, supervision_steps: int = 2, batch: int = 64) -> None:
    torch.manual_seed(0)
    boards = sudoku_boards()
    model = MiniGRAM(length=16, x_vocab=6, y_vocab=6)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.1)
    start, update, loss = time.monotonic(), 0, torch.zeros(())
    while time.monotonic() < start + seconds:
        y = boards[torch.randint(288, (batch,))]
        clues = torch.rand(batch, 16).argsort(-1) < torch.randint(2, 9, (batch, 1))
        x = y.where(clues, 1)
        state = model.initial_state(x)
        for _ in range(supervision_steps):
            loss, state = model.loss(x, y, state, beta=3.0, alpha=0.8)
            optimizer.zero_grad()
            (loss / batch).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            update += 1
    y = model.sample(x, supervision_steps=8)
    valid = (y[:, None] == boards).all(-1).any(-1) & (y.eq(x) | x.eq(1)).all(-1)
    print(f"{update} updates, loss {loss / batch:.2f} nats per puzzle")
    print(f"{valid.float().mean():.0%} of {batch} prior draws on the last batch are valid")


if __name__ == "__main__":
    main()

"""GRAM: a recursive reasoner as a Pyro model and guide."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro.contrib.autoname import scope
from pyro.distributions import TorchDistribution
from pyro.infer.util import is_validation_enabled
from torch import Tensor, nn
from torch.distributions import Distribution

from gram_ppl.model.backbone import Backbone, BackboneFactory, Hierarchical
from gram_ppl.model.codec import (
    Constant,
    Decoder,
    DecoderFactory,
    Encoder,
    EncoderFactory,
    QuestionEncoder,
    TargetEncoder,
    TokenDecoder,
)
from gram_ppl.model.effects import batch_plates, pure, use_parameters
from gram_ppl.model.noise import Gaussian, Noise, NoiseFactory
from gram_ppl.types import State, TaskSpec


class Rollout(NamedTuple):
    """What a run of the model returns: the answer, its distribution and the terminal state."""

    y: Tensor
    p_y: Distribution
    state: State


class GRAM(nn.Module):
    """Generative recursive reasoner: p(y, eps | x) as a Pyro model, q(eps | x, y) as its guide.

    A transition proposes ``u`` from the latent state and the question, draws stochastic guidance
    ``eps`` and moves to ``h = u + eps``; a supervision step is T transitions and a decode. The
    program has one site per transition, ``eps_0, eps_1, ...`` with event ``(R + L, D)``, and one site
    ``y`` with event ``(L_y,)``, under a plate ``batch``.

    Args:
        spec: tokens and vocabularies of the task; one without question is the unconditional form.
        dim: width D.
        transitions: T, transitions in a supervision step.
        refinements: K, low-level refinements in a transition.
        backbone: builds the deterministic network, e.g. ``partial(Hierarchical, mixer=TokenMixer)``.
        noise: builds the guidance; None makes the recursion deterministic (``h = u``, no eps sites).
        registers: tokens R prepended to the question.
        encoder: builds the network from x to e_x.
        decoder: builds p(y | h), e.g. ``partial(Decoder, token=Greedy)`` to decode by argmax.
        start: the prior of z_0 given the stored draw of N(0, I), both ``(2, D)``, e.g. ``standard_normal``. It adds a
            site ``z_0`` to model and guide, sampled for each trajectory; None starts all of them from the stored draw.

    Raises:
        ValueError: when a size is not positive.

    Source: arXiv 2605.19376, Section 3, Eqs. 5-13 and Appendix B.

    >>> import gram_ppl as gp
    >>> gram = gp.GRAM(gp.TaskSpec(length=4, input_vocab=3, output_vocab=3), dim=8, transitions=2, refinements=1)
    >>> x = torch.ones(5, 4, dtype=torch.long)
    >>> gram(x, supervision_steps=2).y.shape
    torch.Size([5, 4])
    """

    z_0: Tensor
    encoder: QuestionEncoder
    backbone: Backbone
    noise: Noise | None
    decoder: TokenDecoder

    def __init__(
        self,
        spec: TaskSpec,
        *,
        dim: int = 512,
        transitions: int = 3,
        refinements: int = 6,
        backbone: BackboneFactory = Hierarchical,
        noise: NoiseFactory | None = Gaussian,
        registers: int = 0,
        encoder: EncoderFactory = Encoder,
        decoder: DecoderFactory = Decoder,
        start: Callable[[Tensor], TorchDistribution] | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("dim", dim, 1),
            ("transitions", transitions, 1),
            ("refinements", refinements, 1),
            ("registers", registers, 0),
        ):
            if value < least:
                raise ValueError(f"GRAM needs {name} of at least {least}, got {value}")
        self.spec, self.dim, self.transitions, self.refinements = spec, dim, transitions, refinements
        self.encoder, self.start = encoder(spec, dim, registers), start
        self.backbone = backbone(dim, self.encoder.length, refinements)
        self.noise = None if noise is None else noise(dim)
        self.target = None if noise is None else TargetEncoder(spec, dim, self.encoder.length)
        self.decoder = decoder(spec, dim)
        self.register_buffer("z_0", torch.randn(2, dim))

    def initial_state(self, x: Tensor) -> State:
        """Return z_0 for every question, ``(*batch, R + L, D)`` each, alike at every token.

        It is the draw stored in the state_dict or, with a ``start``, a new one: a Pyro sample ``z_0``.
        """
        return self._spread(self._z_0(x), x)

    def model(
        self, x: Tensor, y: Tensor | None = None, *, state: State | None = None, supervision_steps: int = 1
    ) -> Rollout:
        """Run the prior program p(eps, y | x), from ``state`` (default z_0) for N_sup steps.

        Args:
            x: question, ``(*batch, L_x)`` tokens; ``gp.BLANK`` for an unconditional model.
            y: answer ``(*batch, L_y)`` to observe; sampled when None.
            state: where to start; the state is never modified.
            supervision_steps: N_sup, so ``T * N_sup`` eps sites.

        Raises:
            ValueError: when x or y does not fit the task, or ``supervision_steps`` is below 1.
        """
        self._check(x, y, supervision_steps)
        use_parameters(self)
        with batch_plates(batch_shape(x)):
            final = self._recur(None if self.noise is None else self.noise.prior, x, state, supervision_steps)
            p_y = self.decode(final.h)
            return Rollout(pyro.sample("y", p_y, obs=y), p_y, final)

    def guide(
        self, x: Tensor, y: Tensor | None = None, *, state: State | None = None, supervision_steps: int = 1
    ) -> State:
        """Run the posterior program q(eps | x, y), with the arguments of :meth:`model`; return the terminal state.

        Raises:
            ValueError: when y is missing: the posterior is conditioned on the answer.
        """
        if y is None:
            raise ValueError("GRAM.guide is q(eps | x, y) and needs the answer y; to sample without one use GRAM.model")
        self._check(x, y, supervision_steps)
        use_parameters(self)
        with batch_plates(batch_shape(x)):
            if self.noise is None or self.target is None:
                return self._recur(None, x, state, supervision_steps)
            posterior, target = self.noise.posterior, pure(self.target, y)
            return self._recur(lambda u: posterior(u, target), x, state, supervision_steps)

    def forward(
        self,
        x: Tensor,
        y: Tensor | None = None,
        *,
        name: str | None = None,
        state: State | None = None,
        supervision_steps: int = 1,
    ) -> Rollout:
        """Run :meth:`model` inside another Pyro program, its sites prefixed by ``name/``."""
        with nullcontext() if name is None else scope(prefix=name):
            return self.model(x, y, state=state, supervision_steps=supervision_steps)

    def decode(self, h: Tensor) -> TorchDistribution:
        """Return p(y | h), independent Categoricals over L_y tokens."""
        return self.decoder(h)

    def given(self, x: Tensor) -> GRAM:
        """Return the generator p(y | x) of one question x ``(L_x,)``: the same program without question.

        It is asked ``gp.BLANK``. Its e_x starts as that of x and is a parameter of its own.

        Raises:
            ValueError: when x is not one question of the task.

        >>> import gram_ppl as gp
        >>> gram = gp.GRAM(gp.TaskSpec(length=4, input_vocab=3, output_vocab=3), dim=8, transitions=2, refinements=1)
        >>> generator = gram.given(torch.ones(4, dtype=torch.long))
        >>> generator(gp.BLANK).y.shape
        torch.Size([4])
        """
        check_question(x, self.spec)
        if x.ndim != 1:
            raise ValueError(f"given takes one question ({self.spec.length},), got {tuple(x.shape)}: pass a single row")
        generator = copy.deepcopy(self)
        generator.spec, generator.encoder = self.spec.without_question(), Constant(self.encoder(x))
        return generator

    def _z_0(self, x: Tensor) -> Tensor:
        if self.start is None:
            return self.z_0
        with batch_plates(batch_shape(x)):
            return pyro.sample("z_0", self.start(self.z_0))

    def _spread(self, z_0: Tensor, x: Tensor) -> State:
        lead = torch.broadcast_shapes(z_0.shape[:-2], batch_shape(x))
        h, l = z_0.unsqueeze(-2).expand(*lead, 2, self.encoder.length, self.dim).unbind(-3)
        return State(h, l)

    def _recur(
        self,
        noise: Callable[[Tensor], TorchDistribution] | None,
        x: Tensor,
        state: State | None,
        supervision_steps: int,
    ) -> State:
        h, l = pure(self._spread, self._z_0(x), x) if state is None else state
        e_x = pure(self.encoder, x)
        total = self.transitions * supervision_steps
        for t in range(total):
            u, l = pure(self.backbone, h, l, e_x, transition=(t, total))
            h = u if noise is None else self._guide_step(noise, u, t, total)
        return State(h, l)

    def _guide_step(self, noise: Callable[[Tensor], TorchDistribution], u: Tensor, t: int, total: int) -> Tensor:
        infer: Any = {"transition": (t, total), "event_dims": ("token", "dim")}
        eps = pyro.sample(f"eps_{t}", noise(u), infer=infer)
        return pure(torch.add, u, eps)

    def _check(self, x: Tensor, y: Tensor | None, supervision_steps: int) -> None:
        if supervision_steps < 1:
            raise ValueError(f"supervision_steps should be at least 1, got {supervision_steps}")
        check_question(x, self.spec)
        if y is not None:
            check_tokens("y", y, self.spec.target_length, self.spec.output_vocab)
            check_batches(x, y)

    def __repr__(self) -> str:
        return "\n".join(self._story())

    def _story(self) -> list[str]:
        question = "BLANK" if self.spec.length == 0 else "x"
        guidance = [] if self.noise is None else self.noise.story()
        size = sum(p.numel() for p in self.parameters())
        return [
            f"GRAM p(y | {question}): {self.spec.target_length} tokens, {self.spec.output_vocab} symbols, "
            f"D = {self.dim}, {size / 1e6:.2f} M parameters",
            f"  e_x = Encoder({question})",
            *(["  z_0 ~ p(z_0), for each trajectory"] if self.start is not None else []),
            f"  repeat N_sup x T = N_sup x {self.transitions} transitions",
            *(f"    {line}" for line in (*self.backbone.story(), *guidance)),
            "    h   = u + eps" if guidance else "    h   = u",
            *(f"  {line}" for line in self.decoder.story()),
        ]


def standard_normal(z_0: Tensor) -> TorchDistribution:
    """Return N(0, I) of the shape of z_0: the ``start`` that samples it anew for each trajectory."""
    return dist.Normal(torch.zeros_like(z_0), 1.0).to_event(2)


def batch_shape(x: Tensor) -> torch.Size:
    """Return the batch shape of a question: all but the token dimension."""
    return x.shape[:-1]


def check_batches(x: Tensor, y: Tensor) -> None:
    """Raise ValueError unless the batch shapes of question and answer broadcast."""
    try:
        torch.broadcast_shapes(batch_shape(x), y.shape[:-1])
    except RuntimeError as error:
        raise ValueError(
            f"x and y should have batch shapes that broadcast, got {tuple(batch_shape(x))} and {tuple(y.shape[:-1])}: "
            "pass one answer per question"
        ) from error


def check_question(x: Tensor, spec: TaskSpec) -> None:
    """Raise ValueError unless x is a question of the task."""
    if spec.length == 0 and x.shape[-1:] != (0,):
        raise ValueError(f"x should be gp.BLANK (the task has no question), got {tuple(x.shape)}")
    check_tokens("x", x, spec.length, spec.input_vocab)


def check_tokens(name: str, tokens: Tensor, length: int, vocab: int) -> None:
    """Raise ValueError unless ``tokens`` are whole numbers of shape ``(*, length)``, in range when Pyro validates."""
    if tokens.shape[-1:] != (length,):
        raise ValueError(f"{name} should have shape (*, {length}), got {tuple(tokens.shape)}")
    if tokens.is_floating_point() or tokens.dtype == torch.bool:
        raise ValueError(f"{name} should hold integer tokens, got {tokens.dtype}: convert with {name}.long()")
    if is_validation_enabled() and tokens.numel() and not (0 <= int(tokens.min()) and int(tokens.max()) < vocab):
        raise ValueError(
            f"{name} should hold tokens in 0..{vocab - 1}, got {int(tokens.min())}..{int(tokens.max())}: "
            "check the vocabulary of the task"
        )

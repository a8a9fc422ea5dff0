"""Distributions of eps: lazy, so that a network whose numbers nobody asks for never runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.kl import register_kl


class _Parameters:
    """The parameters of a distribution, computed at the first use and shared by its expansions.

    Values first asked for under ``no_grad`` have no graph; they are computed again when a graph is wanted.
    """

    def __init__(self, compute: Callable[[], tuple[Tensor, ...]]) -> None:
        self._compute = compute
        self._values: tuple[Tensor, ...] | None = None
        self._has_graph = False

    @property
    def values(self) -> tuple[Tensor, ...]:
        if self._values is None or (torch.is_grad_enabled() and not self._has_graph):
            self._values = tuple(value.float() for value in self._compute())
            self._has_graph = torch.is_grad_enabled()
        return self._values


class Guidance(TorchDistribution):
    """A distribution of eps over ``(L, D)`` whose network runs only when a number is asked of it.

    Under :class:`~gram_ppl.TruncatedELBO` or when replayed, many noise heads are never needed. The
    parameters are float32 whatever the network's dtype. To be a new kind of guidance, a subclass samples and
    registers its KL.

    Args:
        compute: returns the parameters, the location first, each broadcastable to ``shape``.
        shape: ``(*batch, L, D)``; the event is the last two dimensions.
    """

    arg_constraints = {}
    support = constraints.independent(constraints.real, 2)
    has_rsample = True

    def __init__(self, compute: Callable[[], tuple[Tensor, ...]] | _Parameters, shape: torch.Size) -> None:
        self._lazy = compute if isinstance(compute, _Parameters) else _Parameters(compute)
        super().__init__(shape[:-2], shape[-2:], validate_args=False)

    @property
    def loc(self) -> Tensor:
        """Location mu, broadcastable to ``(*batch, L, D)``."""
        return self._lazy.values[0]

    @property
    def mean(self) -> Tensor:
        return self.loc.expand(self._extended_shape())

    def expand(self, batch_shape: Sequence[int], _instance: None = None) -> Self:
        """Return the same distribution over a larger batch, its parameters still computed once."""
        return type(self)(self._lazy, torch.Size(batch_shape) + self.event_shape)

    def detach(self) -> Self:
        """Return the same distribution without gradient to its parameters."""
        return type(self)(lambda: tuple(value.detach() for value in self._lazy.values), self._extended_shape())


class LazyNormal(Guidance):
    """A diagonal Normal over ``(L, D)``, its location and scale computed when first asked for."""

    @property
    def scale(self) -> Tensor:
        """Scale sigma, broadcastable to ``(*batch, L, D)``."""
        return self._lazy.values[1]

    @property
    def variance(self) -> Tensor:
        return self.scale.square().expand(self._extended_shape())

    def rsample(self, sample_shape: Sequence[int] = torch.Size()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return torch.addcmul(self.loc, self.scale, noise)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density in nats, summed over tokens and dimensions: ``(*batch,)``."""
        density = torch.distributions.Normal(self.loc, self.scale, validate_args=False).log_prob(value).sum((-1, -2))
        return density.expand(torch.broadcast_shapes(density.shape, self.batch_shape))

    def entropy(self) -> Tensor:
        """Return the differential entropy in nats: ``(*batch,)``."""
        entropy = torch.distributions.Normal(self.loc, self.scale, validate_args=False).entropy().sum((-1, -2))
        return entropy.expand(self.batch_shape)


@register_kl(LazyNormal, LazyNormal)
def _kl_lazy_normal(q: LazyNormal, p: LazyNormal) -> Tensor:
    ratio = q.scale / p.scale
    shift = (q.loc - p.loc) / p.scale
    kl = (0.5 * (ratio.square() + shift.square() - 1) - ratio.log()).sum((-1, -2))
    return kl.expand(torch.broadcast_shapes(q.batch_shape, p.batch_shape))


class LazyDelta(Guidance):
    """A point mass over ``(L, D)``, its location computed when first asked for."""

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.mean)

    def rsample(self, sample_shape: Sequence[int] = torch.Size()) -> Tensor:
        return self.loc.expand(self._extended_shape(torch.Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-mass in nats, 0 at the location and minus infinity elsewhere: ``(*batch,)``."""
        mass = (value == self.loc).all(-1).all(-1).float().log()
        return mass.expand(torch.broadcast_shapes(mass.shape, self.batch_shape))


@register_kl(LazyDelta, LazyDelta)
def _squared_distance(q: LazyDelta, p: LazyDelta) -> Tensor:
    """Return half the squared distance of the locations, ``(*batch,)``: the KL of Normals of unit scale around them.

    The KL itself is infinite wherever they differ. Of Normals of one scale s it is this over s^2, so this is its rate
    as s falls to 0, and the weight of the KL stands for 1 / s^2.
    """
    distance = 0.5 * (q.loc - p.loc).square().sum((-1, -2))
    return distance.expand(torch.broadcast_shapes(q.batch_shape, p.batch_shape))

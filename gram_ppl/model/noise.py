"""Stochastic guidance: the distributions of eps given the proposal u, and given u and the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.distributions import constraints
from torch.distributions.kl import register_kl
from torch.nn import functional as F

from gram_ppl.nn import SwiGLU


class _Parameters:
    """The location and scale of a Normal, computed at the first use and shared by its expansions.

    Values first asked for under ``no_grad`` have no graph; they are computed again when a graph is wanted.
    """

    def __init__(self, compute: Callable[[], tuple[Tensor, Tensor]]) -> None:
        self._compute = compute
        self._values: tuple[Tensor, Tensor] | None = None
        self._has_graph = False

    @property
    def values(self) -> tuple[Tensor, Tensor]:
        if self._values is None or (torch.is_grad_enabled() and not self._has_graph):
            loc, scale = self._compute()
            self._values, self._has_graph = (loc.float(), scale.float()), torch.is_grad_enabled()
        return self._values


class LazyNormal(TorchDistribution):
    """A diagonal Normal over ``(L, D)`` whose network runs only when a number is asked of it.

    Under :class:`~gram_ppl.TruncatedELBO` or when replayed, many noise heads are never needed. The
    parameters are float32 whatever the network's dtype.

    Args:
        compute: returns loc and scale, each broadcastable to ``shape``.
        shape: ``(*batch, L, D)``; the event is the last two dimensions.
    """

    arg_constraints = {}
    support = constraints.independent(constraints.real, 2)
    has_rsample = True

    def __init__(self, compute: Callable[[], tuple[Tensor, Tensor]] | _Parameters, shape: torch.Size) -> None:
        self._lazy = compute if isinstance(compute, _Parameters) else _Parameters(compute)
        super().__init__(shape[:-2], shape[-2:], validate_args=False)

    @property
    def loc(self) -> Tensor:
        """Location mu, broadcastable to ``(*batch, L, D)``."""
        return self._lazy.values[0]

    @property
    def scale(self) -> Tensor:
        """Scale sigma, broadcastable to ``(*batch, L, D)``."""
        return self._lazy.values[1]

    @property
    def mean(self) -> Tensor:
        return self.loc.expand(self._extended_shape())

    @property
    def variance(self) -> Tensor:
        return self.scale.square().expand(self._extended_shape())

    def expand(self, batch_shape: Sequence[int], _instance: None = None) -> LazyNormal:
        """Return the same distribution over a larger batch, its parameters still computed once."""
        return LazyNormal(self._lazy, torch.Size(batch_shape) + self.event_shape)

    def detach(self) -> LazyNormal:
        """Return the same distribution without gradient to its parameters."""
        return LazyNormal(lambda: (self.loc.detach(), self.scale.detach()), self._extended_shape())

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


class Noise(Protocol):
    """What a GRAM asks of its noise, a module: the distribution of eps without and with sight of the answer."""

    def prior(self, u: Tensor) -> TorchDistribution: ...

    def posterior(self, u: Tensor, target: Tensor) -> TorchDistribution: ...


class NoiseFactory(Protocol):
    """Builds the noise of a GRAM of width ``dim``."""

    def __call__(self, dim: int, /) -> Noise: ...


class Gaussian(nn.Module):
    """Learned Gaussian guidance: ``p(eps | u)`` and ``q(eps | u, y)`` (paper Eqs. 8 and 12).

    Each is Normal with mean and scale from one SwiGLU. The means start at 0 and the scales at
    ``softplus(-1) + min_scale``, equal in both, so that the KL starts at 0.

    Args:
        dim: width D.
        hidden: inner width of the heads; D by default.
        min_scale: lower bound of sigma, above 0.
    """

    def __init__(self, dim: int, *, hidden: int | None = None, min_scale: float = 1e-3) -> None:
        super().__init__()
        if min_scale <= 0:
            raise ValueError(f"min_scale must be above 0 (a zero scale makes the KL infinite), got {min_scale}")
        self.min_scale = min_scale
        self.prior_head = SwiGLU(dim, hidden or dim, 2 * dim, zero=True)
        self.posterior_head = SwiGLU(dim, hidden or dim, 2 * dim, zero=True)

    def prior(self, u: Tensor) -> LazyNormal:
        """Return p(eps | u) for a proposal u of shape ``(*, L, D)``."""
        return LazyNormal(lambda: self._loc_scale(self.prior_head(u)), u.shape)

    def posterior(self, u: Tensor, target: Tensor) -> LazyNormal:
        """Return q(eps | u, y) for u ``(*, L, D)`` and the embedded answer ``(*, L, D)``."""
        shape = torch.broadcast_shapes(u.shape, target.shape)
        return LazyNormal(lambda: self._loc_scale(self.posterior_head(u + target)), shape)

    def _loc_scale(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        loc, scale = raw.float().chunk(2, -1)
        return loc, F.softplus(scale - 1) + self.min_scale

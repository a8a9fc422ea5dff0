"""The objective: an evidence lower bound of one supervision step, with truncated gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.infer import ELBO
from pyro.infer.util import is_validation_enabled
from pyro.poutine import Trace
from pyro.poutine.util import prune_subsample_sites
from pyro.util import check_model_guide_match, warn_if_nan
from torch import Tensor
from torch.distributions import kl_divergence

from gram_ppl.infer.handlers import ShareMessenger, TruncateMessenger
from gram_ppl.infer.schedule import Schedule
from gram_ppl.model.gram import Rollout
from gram_ppl.model.guidance import Guidance
from gram_ppl.types import State


@dataclass(frozen=True)
class StepInfo:
    """Facts of one evaluation of the loss, detached; nothing here is carried to the next step.

    Args:
        loss: the objective in nats, summed over the batch as Pyro does.
        nll: ``-log p(y | h)`` and every other observed site, in nats, summed over the batch.
        kl: unweighted KL(q || p) of each transition in nats, summed over the batch: ``(T,)``.
        grad_norm: global gradient norm before clipping, where a step was taken.
    """

    loss: Tensor
    nll: Tensor
    kl: Tensor
    grad_norm: Tensor | None = None


class TruncatedELBO(ELBO):
    """Negative ELBO of a supervision step: ``-log p(y | h_T) + sum_t beta * KL_bal(q_t || p_t)``, in nats.

    Guide and model share every transition, so one loss costs ``T * (K + 1)`` network calls. KLs are
    analytic. Sites that are not a GRAM's are treated as ``TraceMeanField_ELBO`` treats them; scale and
    mask are honoured everywhere. With the defaults and ``kl_weight=1`` it equals
    ``TraceMeanField_ELBO`` in value and gradient. The state the step arrives at is in :attr:`state`,
    detached, and its numbers in :attr:`info`.

    Args:
        kl_weight: beta, in nats of loss per nat of KL (summed over tokens and dimensions); a number or
            a function of the update index such as :class:`gram_ppl.Linear`.
        kl_transitions: ``"all"`` counts every transition; ``"last"`` only the last (paper Eq. 14), which
            lets the posterior pass the answer through uncounted transitions and leaves the prior untrained there.
        grad_transitions: how many final transitions carry gradient into the core; None is all of them.
        kl_balance: alpha in ``alpha KL(sg(q) || p) + (1 - alpha) KL(q || sg(p))``; None is the plain KL.
        free_nats: nats of KL per transition and sequence that cost nothing.
        num_particles: Monte-Carlo samples of the loss.
        vectorize_particles: draw them in an outer plate instead of a loop.
        max_plate_nesting: plates in the model, needed to vectorise; guessed from the first call if omitted.

    Raises:
        ValueError: on an option outside its range.

    Source: arXiv 2605.19376, Eqs. 13 and 14.
    """

    def __init__(
        self,
        *,
        kl_weight: Schedule = 1.0,
        kl_transitions: Literal["all", "last"] = "all",
        grad_transitions: int | None = None,
        kl_balance: float | None = None,
        free_nats: float = 0.0,
        num_particles: int = 1,
        vectorize_particles: bool = False,
        max_plate_nesting: float = float("inf"),
    ) -> None:
        super().__init__(
            num_particles=num_particles, vectorize_particles=vectorize_particles, max_plate_nesting=max_plate_nesting
        )
        if not callable(kl_weight) and kl_weight < 0:
            raise ValueError(f"kl_weight should be at least 0, got {kl_weight}: a negative weight rewards a wide KL")
        if kl_transitions not in ("all", "last"):
            raise ValueError(f'kl_transitions should be "all" or "last", got {kl_transitions!r}')
        if grad_transitions is not None and grad_transitions < 1:
            raise ValueError(f"grad_transitions should be at least 1 or None for all, got {grad_transitions}")
        if kl_balance is not None and not 0 <= kl_balance <= 1:
            raise ValueError(f"kl_balance should lie in [0, 1] or be None, got {kl_balance}")
        if free_nats < 0:
            raise ValueError(f"free_nats should be at least 0, got {free_nats}")
        self.kl_weight, self.kl_transitions, self.grad_transitions = kl_weight, kl_transitions, grad_transitions
        self.kl_balance, self.free_nats = kl_balance, free_nats
        self.updates = 0
        self.info: StepInfo | None = None
        self.state: State | None = None

    def loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Return the loss in nats as a number, without gradient."""
        with torch.no_grad():
            return self._estimate(model, guide, args, kwargs).item()

    def differentiable_loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Return the loss in nats as a scalar tensor with its graph; counts one update of the schedule."""
        loss = self._estimate(model, guide, args, kwargs)
        self.updates += 1
        return loss

    def loss_and_grads(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Accumulate the gradient and return the loss in nats as a detached scalar tensor."""
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        if loss.requires_grad:
            loss.backward(retain_graph=self.retain_graph)
        return loss.detach()

    def _estimate(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Tensor:
        parts = [self._particle(*traces) for traces in self._get_traces(model, guide, args, kwargs)]
        loss, nll, kl = (torch.stack(column).sum(0) / self.num_particles for column in zip(*parts, strict=True))
        if is_validation_enabled():
            warn_if_nan(loss, "loss")
        self.info = StepInfo(loss.detach(), nll.detach(), kl.detach())
        return loss

    def _get_trace(self, model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Trace, Trace]:
        truncate = nullcontext() if self.grad_transitions is None else TruncateMessenger(self.grad_transitions)
        with truncate, ShareMessenger():
            guide_trace = poutine.trace(guide).get_trace(*args, **kwargs)
            model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(*args, **kwargs)
        if is_validation_enabled():
            check_model_guide_match(model_trace, guide_trace, self.max_plate_nesting)
        returned = model_trace.nodes["_RETURN"]["value"]
        self.state = returned.state.detach() if isinstance(returned, Rollout) else None
        return prune_subsample_sites(model_trace), prune_subsample_sites(guide_trace)

    def _particle(self, model_trace: Trace, guide_trace: Trace) -> tuple[Tensor, Tensor, Tensor]:
        nll, kl, loss = _zero(model_trace), [], _zero(model_trace)
        for name, site in _samples(model_trace):
            if site["is_observed"]:
                nll = nll - _log_prob(site)
            elif name not in guide_trace.nodes:
                raise ValueError(
                    f"the model samples {name!r} but the guide does not: give the guide that site or observe it"
                )
            elif _is_transition(site, guide_trace.nodes[name]):
                counted, plain = self._transition_kl(guide_trace.nodes[name], site)
                loss = loss + counted
                kl.append(plain)
            else:
                loss = loss + _foreign_kl(guide_trace.nodes[name], site)
        for name, site in _samples(guide_trace):
            if name not in model_trace.nodes:
                loss = loss + _log_prob(site)
        return loss + nll, nll.detach(), torch.stack(kl) if kl else nll.detach().new_zeros(0)

    def _transition_kl(self, q: Any, p: Any) -> tuple[Tensor | float, Tensor]:
        t, total = p["infer"]["transition"]
        if self.kl_transitions == "last" and t < total - 1:
            with torch.no_grad():
                return 0.0, scale_and_mask(kl_divergence(q["fn"], p["fn"]), q["scale"], q["mask"]).sum()
        kl, plain = self._balanced(q["fn"], p["fn"])
        weight = self.kl_weight(self.updates) if callable(self.kl_weight) else self.kl_weight
        counted = scale_and_mask(weight * kl, q["scale"], q["mask"]).sum()
        return counted, scale_and_mask(plain, q["scale"], q["mask"]).sum().detach()

    def _balanced(self, q: Guidance, p: Guidance) -> tuple[Tensor, Tensor]:
        if self.kl_balance is None:
            plain = kl_divergence(q, p)
            return self._free(plain), plain
        to_prior, to_posterior = kl_divergence(q.detach(), p), kl_divergence(q, p.detach())
        alpha = self.kl_balance
        return alpha * self._free(to_prior) + (1 - alpha) * self._free(to_posterior), to_prior

    def _free(self, kl: Tensor) -> Tensor:
        return kl.clamp(min=self.free_nats) if self.free_nats else kl


def _samples(trace: Trace) -> Iterator[tuple[str, Any]]:
    return ((name, site) for name, site in trace.nodes.items() if site["type"] == "sample")


def _is_transition(site: Any, guide_site: Any) -> bool:
    guided = isinstance(site["fn"], Guidance) and isinstance(guide_site["fn"], Guidance)
    return guided and site["infer"].get("transition") is not None


def _log_prob(site: Any) -> Tensor:
    log_prob = site["fn"].log_prob(site["value"], *site["args"], **site["kwargs"])
    return scale_and_mask(log_prob, site["scale"], site["mask"]).sum()


def _foreign_kl(guide_site: Any, model_site: Any) -> Tensor:
    try:
        kl = kl_divergence(guide_site["fn"], model_site["fn"])
    except NotImplementedError:
        return _log_prob(guide_site) - _log_prob(model_site)
    return scale_and_mask(kl, guide_site["scale"], guide_site["mask"]).sum()


def _zero(trace: Trace) -> Tensor:
    """Return 0 on the device of the first sampled value."""
    return next(site["value"].new_zeros((), dtype=torch.float32) for _, site in _samples(trace))

"""Effect handlers over the pure transitions of a GRAM."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from pyro.infer import ELBO
from pyro.poutine.messenger import Messenger
from torch import Tensor


class ShareMessenger(Messenger):
    """Compute each pure call once while active: same function, same argument objects and same grad mode, same result.

    Guide and replayed model meet the same tensors, so the recursion runs once for both; where a site
    is intervened on or sampled anew its tensor differs and everything after it is recomputed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._memo: dict[tuple[Any, ...], tuple[tuple[Any, ...], Any]] = {}

    def __exit__(self, *exc: Any) -> None:
        self._memo.clear()
        super().__exit__(*exc)

    def _pyro_pure(self, msg: Any) -> None:
        msg["infer"]["share"] = key = (torch.is_grad_enabled(), msg["args"][0], *map(id, msg["args"][1:]))
        if key in self._memo:
            msg["value"], msg["done"] = self._memo[key][1], True

    def _pyro_post_pure(self, msg: Any) -> None:
        self._memo[msg["infer"]["share"]] = (msg["args"], msg["value"])  # the arguments stay alive: ids stay unique


class TruncateMessenger(Messenger):
    """Let only the last ``grad_transitions`` transitions of a program carry gradient into the core.

    Earlier ones run without a graph, so their proposal u is a constant to the noise heads.
    """

    def __init__(self, grad_transitions: int) -> None:
        super().__init__()
        self.grad_transitions = grad_transitions

    def _pyro_pure(self, msg: Any) -> None:
        if msg["infer"]["transition"] is None or msg["done"]:
            return
        t, total = msg["infer"]["transition"]
        first = total - self.grad_transitions
        fn, *args = msg["args"]
        if t < first:
            msg["value"], msg["done"] = torch.no_grad()(fn)(*args), True
        elif t == first and t > 0:
            h, l, e_x = args
            msg["value"], msg["done"] = fn(h.detach(), l.detach(), e_x), True


def share(elbo: ELBO) -> ELBO:
    """Return a copy of a stock ELBO whose guide and model share their pure transitions.

    The estimate and its gradient are unchanged; the recursion runs once instead of twice.

    >>> from pyro.infer import TraceMeanField_ELBO
    >>> fast = share(TraceMeanField_ELBO())
    """
    shared = copy.copy(elbo)
    shared.retain_graph = shared.retain_graph or (elbo.num_particles > 1 and not elbo.vectorize_particles)
    for name in ("loss", "loss_and_grads", "differentiable_loss"):
        method = getattr(type(elbo), name, None)
        if method is not None:
            setattr(shared, name, _sharing(MethodType(method, shared)))
    return shared


def _sharing(method: Callable[..., Tensor | float]) -> Callable[..., Tensor | float]:
    def run(*args: Any, **kwargs: Any) -> Tensor | float:
        with ShareMessenger():
            return method(*args, **kwargs)

    return run

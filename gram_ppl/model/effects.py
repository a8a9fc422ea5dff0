"""The two effects a GRAM performs besides Pyro's own: pure computation and the use of parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import pyro
import torch
from pyro.poutine.runtime import am_i_wrapped, effectful, get_plates
from torch import Tensor, nn

R = TypeVar("R")


@effectful(type="pure")
def _pure(fn: Callable[..., R], *args: object) -> R:
    return fn(*args)


def pure(fn: Callable[..., R], *args: object, transition: tuple[int, int] | None = None) -> R:
    """Call a deterministic function as an effect of type ``"pure"``.

    A handler may reuse the result when the same function meets the same argument objects again
    (:func:`gram_ppl.share`), or cut gradients (:class:`gram_ppl.TruncatedELBO`). Without a handler
    this is ``fn(*args)``.

    Args:
        fn: a function of its arguments alone.
        args: its arguments, compared by identity.
        transition: ``(t, total)`` when this computes transition t of ``total`` in this program.
    """
    return _pure(fn, *args, infer={"transition": transition})


@effectful(type="param")
def _param(fn: Callable[[], Tensor]) -> Tensor:
    return fn()


def use_parameters(module: nn.Module) -> None:
    """Announce a module's parameters to Pyro as ``param`` messages, once per program run.

    Stock ``SVI`` learns from these which parameters to update. The global parameter store is not
    written, so two models never meet in it and ``state_dict`` stays the only home of the weights.
    """
    if not am_i_wrapped():
        return
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            _param(lambda p=parameter: _announced(p), name=f"{type(module).__name__}_{id(module)}.{name}")


def _announced(parameter: nn.Parameter) -> Tensor:
    value = parameter.detach()
    value.unconstrained = lambda: parameter  # type: ignore[attr-defined]  # read by pyro.infer.SVI
    return value


@contextmanager
def batch_plates(batch_shape: torch.Size) -> Iterator[None]:
    """Enter a plate for each batch dimension that no enclosing plate already covers."""
    taken = {frame.dim for frame in get_plates()} if am_i_wrapped() else set()
    with ExitStack() as stack:
        for i, size in enumerate(reversed(batch_shape)):
            if -1 - i not in taken:
                stack.enter_context(pyro.plate("batch" if i == 0 else f"batch_{i}", size, dim=-1 - i))
        yield

"""Backbones: the deterministic part of a transition, ``propose(h, l, e_x) -> (u, l)``."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from gram_ppl.nn import Attention, MixerFactory, Stack


class Backbone(Protocol):
    """What a GRAM asks of its backbone, a module: the proposal, and the lines of its story."""

    def __call__(self, h: Tensor, l: Tensor, e_x: Tensor, /) -> tuple[Tensor, Tensor]: ...

    def story(self) -> list[str]: ...


class BackboneFactory(Protocol):
    """Builds a backbone for width ``dim``, ``length`` tokens and K ``refinements``."""

    def __call__(self, dim: int, length: int, refinements: int, /) -> Backbone: ...


class Hierarchical(nn.Module):
    """Refine the low-level latent K times, then propose the high-level one (paper Eqs. 5-6).

    ``l_k = f_L(l_{k-1} + h + e_x)`` for k = 1..K, then ``u = f_H(h + l_K)``: K + 1 network calls.
    With ``shared=False`` this is HRM's pair of networks, with ``shared=True`` TRM's single one.

    Args:
        dim: width D.
        length: tokens L, registers included.
        refinements: K, at least 1.
        layers: blocks in each network.
        mixer: builds each block's token mixer.
        hidden: inner width of the SwiGLU; ``2 * dim`` by default.
        shared: use one network as f_L and f_H.
    """

    def __init__(
        self,
        dim: int,
        length: int,
        refinements: int,
        *,
        layers: int = 2,
        mixer: MixerFactory = Attention,
        hidden: int | None = None,
        shared: bool = False,
    ) -> None:
        super().__init__()
        self.refinements = refinements
        self.f_l = Stack(dim, length, layers=layers, mixer=mixer, hidden=hidden)
        self.f_h = self.f_l if shared else Stack(dim, length, layers=layers, mixer=mixer, hidden=hidden)

    def forward(self, h: Tensor, l: Tensor, e_x: Tensor) -> tuple[Tensor, Tensor]:
        injected = h + e_x
        for _ in range(self.refinements):
            l = self.f_l(l + injected)
        return self.f_h(h + l), l

    def story(self) -> list[str]:
        """Return the lines of the generative story told by ``repr(gram)``."""
        f_h = "f_L" if self.f_h is self.f_l else "f_H"
        return [f"l   = f_L(l + h + e_x)   K = {self.refinements} times", f"u   = {f_h}(h + l)"]


class Flat(nn.Module):
    """Loop one network over a single latent (Universal / Looped Transformer).

    ``u = f(... f(f(h + e_x) + e_x) ... + e_x)``, K + 1 network calls, so that it costs what
    :class:`Hierarchical` costs; the low-level latent is passed through untouched.
    """

    def __init__(
        self,
        dim: int,
        length: int,
        refinements: int,
        *,
        layers: int = 2,
        mixer: MixerFactory = Attention,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        self.refinements = refinements
        self.f = Stack(dim, length, layers=layers, mixer=mixer, hidden=hidden)

    def forward(self, h: Tensor, l: Tensor, e_x: Tensor) -> tuple[Tensor, Tensor]:
        for _ in range(self.refinements + 1):
            h = self.f(h + e_x)
        return h, l

    def story(self) -> list[str]:
        """Return the lines of the generative story told by ``repr(gram)``."""
        return [f"u   = f(h + e_x)         K + 1 = {self.refinements + 1} times"]

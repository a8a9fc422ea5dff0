"""The published recursive reasoners as compositions of :class:`~gram_ppl.GRAM`, at their published sizes.

``changes`` are arguments of GRAM and come last: ``trm(spec, dim=64)`` is a narrower TRM, ``trm(spec,
decoder=LinearDecoder)`` one that samples its answers instead of decoding them by argmax. For other gradients than
through all of a supervision step see :class:`~gram_ppl.TruncatedELBO`, for the number of steps ``gp.fit``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from gram_ppl.model.backbone import Flat, Hierarchical
from gram_ppl.model.codec import Encoder, Greedy, LinearDecoder
from gram_ppl.model.gram import GRAM
from gram_ppl.nn import Attention, MixerFactory
from gram_ppl.types import TaskSpec

ATTENTION = partial(Attention, heads=8)
DETERMINISTIC: dict[str, Any] = {
    "dim": 512,
    "transitions": 3,
    "refinements": 6,
    "registers": 16,
    "noise": None,
    "encoder": partial(Encoder, positions=False),
    "decoder": partial(LinearDecoder, token=Greedy),
}


def looped_transformer(spec: TaskSpec, *, mixer: MixerFactory = ATTENTION, hidden: int = 1536, **changes: Any) -> GRAM:
    """Build a Looped Transformer: two layers looped over a single latent, the question injected at every loop.

    The GRAM paper (arXiv 2605.19376) compares with one; this has the size of :func:`trm`, 6.83 M parameters
    for Sudoku, and its computation, K + 1 = 7 loops in each of T = 3 transitions, without its low-level latent.
    Published results are without deep supervision: one supervision step.
    """
    backbone = partial(Flat, layers=2, mixer=mixer, hidden=hidden)
    return GRAM(spec, **(DETERMINISTIC | {"backbone": backbone} | changes))


def hrm(spec: TaskSpec, *, mixer: MixerFactory = ATTENTION, hidden: int = 1536, **changes: Any) -> GRAM:
    """Build the Hierarchical Reasoning Model (arXiv 2506.21734): f_L and f_H of four layers each, T = K = 2.

    27.3 M parameters for Sudoku, with and without the 1,026 of the halting head; one register, its puzzle token.
    Published training passes its gradient through the last l and the last h only; ``grad_transitions=1`` of
    :class:`~gram_ppl.TruncatedELBO`, the last transition, is the nearest.
    """
    backbone = partial(Hierarchical, layers=4, mixer=mixer, hidden=hidden)
    sizes = {"transitions": 2, "refinements": 2, "registers": 1}
    return GRAM(spec, **(DETERMINISTIC | sizes | {"backbone": backbone} | changes))


def trm(spec: TaskSpec, *, mixer: MixerFactory = ATTENTION, hidden: int = 1536, **changes: Any) -> GRAM:
    """Build the Tiny Recursive Model (arXiv 2510.04871): one network of two layers as f_L and f_H, T = 3, K = 6.

    For Sudoku 6.83 M parameters with attention, 5.03 M with ``mixer=partial(TokenMixer, hidden=512)``, to these
    digits with and without the 1,026 of the halting head. The registers stand for the published puzzle tokens and
    are no parameters: there too they are zero, but for one vector a puzzle that an optimiser of its own learns.
    Published training passes its gradient through the last transition only (``TruncatedELBO(grad_transitions=1)``).
    """
    backbone = partial(Hierarchical, shared=True, layers=2, mixer=mixer, hidden=hidden)
    return GRAM(spec, **(DETERMINISTIC | {"backbone": backbone} | changes))


def gram(spec: TaskSpec, *, mixer: MixerFactory = ATTENTION, hidden: int = 512, **changes: Any) -> GRAM:
    """Build the paper's own reasoner (arXiv 2605.19376, App. B): f_L and f_H of two layers each, T = 3, K = 4.

    10.0 M parameters for N-Queens 8, "about 10 M" in the paper. Without guidance it has 7.9 M, 7.4 M with
    :class:`LinearDecoder`, "about 7 M" in the paper. Its Sudoku takes ``refinements=6`` and
    ``mixer=partial(TokenMixer, hidden=512)``.
    """
    backbone = partial(Hierarchical, layers=2, mixer=mixer, hidden=hidden)
    sizes: dict[str, Any] = {"dim": 512, "transitions": 3, "refinements": 4, "registers": 16}
    return GRAM(spec, **(sizes | {"backbone": backbone} | changes))

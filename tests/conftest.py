"""Fixtures shared by the whole suite."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyro
import pytest
import torch

import gram_ppl as gp


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real data: ``GRAM_PPL_DATA``, or ``shared/data`` next to the checkout; skip without it."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("GRAM_PPL_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set GRAM_PPL_DATA to its folder")
    return folder


@pytest.fixture(autouse=True)
def fresh_start() -> None:
    """Start every test from one random state and an empty parameter store."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


@pytest.fixture
def spec() -> gp.TaskSpec:
    """Four tokens of three symbols."""
    return gp.TaskSpec(length=4, input_vocab=3, output_vocab=3)


@pytest.fixture
def backbone() -> Callable[..., torch.nn.Module]:
    """A hierarchical backbone of one layer and two heads."""
    return partial(gp.Hierarchical, layers=1, mixer=partial(gp.nn.Attention, heads=2))


@pytest.fixture
def build(spec: gp.TaskSpec, backbone: Callable[..., torch.nn.Module]) -> Callable[..., gp.GRAM]:
    """Build GRAMs of about a thousand parameters; ``seed`` and any constructor argument may be given."""

    def build(*, seed: int = 1, **options: object) -> gp.GRAM:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            arguments = {"spec": spec, "dim": 8, "transitions": 2, "refinements": 1, "backbone": backbone}
            gram = gp.GRAM(**(arguments | options))
            wake_heads(gram)
        return gram

    return build


def wake_heads(gram: gp.GRAM) -> None:
    """Move the noise heads and pair biases away from zero, where they start: KLs become several nats."""
    for name, parameter in gram.named_parameters():
        if name.startswith("noise") or name.endswith("bias"):
            parameter.data.add_(0.1 * torch.randn_like(parameter))


@pytest.fixture
def gram(build: Callable[..., gp.GRAM]) -> gp.GRAM:
    """The tiny GRAM most tests use: D = 8, L = 4, T = 2, K = 1."""
    return build()


@pytest.fixture
def batch() -> gp.Batch:
    """Three questions with an answer to each."""
    generator = torch.Generator().manual_seed(2)
    return gp.Batch(*(torch.randint(3, (3, 4), generator=generator) for _ in range(2)))


@pytest.fixture
def densities() -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """Compute log p(y, eps | x) and log q(eps | x, y) of every row in plain torch."""
    return plain_densities


def plain_densities(gram: gp.GRAM, x: torch.Tensor, y: torch.Tensor, eps: list[torch.Tensor]):
    (h, l), e_x, target = gram.initial_state(x), gram.encoder(x), gram.target(y)
    log_p, log_q = torch.zeros(()), torch.zeros(())
    for noise in eps:
        u, l = gram.backbone(h, l, e_x)
        log_p = log_p + plain_log_normal(gram.noise.prior_head(u), noise)
        log_q = log_q + plain_log_normal(gram.noise.posterior_head(u + target), noise)
        h = u + noise
    log_y = gram.decoder.logits(h).log_softmax(-1)
    return log_p + log_y.gather(-1, y.expand(h.shape[:-1])[..., None]).sum((-1, -2)), log_q


def plain_log_normal(raw: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    loc, raw_scale = raw.chunk(2, -1)
    scale = (1 + (raw_scale - 1).exp()).log() + 1e-3
    return (-0.5 * ((value - loc) / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)).sum((-1, -2))

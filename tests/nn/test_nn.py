"""Every network maps (*, L, D) to (*, L, D) and keeps the property it is named for."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from gram_ppl.nn import Attention, Block, RMSNorm, Stack, SwiGLU, TokenMixer
from gram_ppl.nn.attention import Cache, rope_tables

NETWORKS = {
    "rope": lambda: Attention(8, 4, heads=2),
    "pair bias": lambda: Attention(8, 4, heads=2, rope=False, pair_bias=True),
    "causal": lambda: Attention(8, 4, heads=2, causal=True),
    "causal pair bias": lambda: Attention(8, 4, heads=2, pair_bias=True, causal=True),
    "token mixer": lambda: TokenMixer(8, 4),
    "swiglu": lambda: SwiGLU(8, 16),
    "norm": lambda: RMSNorm(8),
    "block": lambda: Block(8, 4, partial(Attention, heads=2), 16),
    "stack": lambda: Stack(8, 4, layers=2, mixer=TokenMixer),
}

CAUSAL = {"rope": {}, "pair bias": {"pair_bias": True}, "no rope": {"rope": False}}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_leading_dimensions_are_a_batch(make, lead):
    net, z = make(), torch.randn(*lead, 4, 8)
    rows = torch.stack([net(row) for row in z.reshape(-1, 4, 8)]).reshape(z.shape)
    torch.testing.assert_close(net(z), rows, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [make for name, make in NETWORKS.items() if name != "norm"])
def test_every_parameter_receives_a_gradient(make):
    net = make()
    (net(torch.randn(3, 4, 8)) * torch.randn(3, 4, 8)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_rms_norm_returns_vectors_of_unit_mean_square():
    z = 50 * torch.randn(5, 4, 8)
    torch.testing.assert_close(RMSNorm(8)(z).square().mean(-1), torch.ones(5, 4), atol=1e-4, rtol=0)
    torch.testing.assert_close(RMSNorm(8)(z), RMSNorm(8)(3 * z), atol=1e-4, rtol=0)


def test_rms_norm_of_half_precision_is_computed_in_float32():
    z = (300 * torch.randn(5, 8)).half()  # the squares overflow float16
    normed = RMSNorm(8)(z)
    assert normed.dtype == torch.float16
    torch.testing.assert_close(normed.float(), RMSNorm(8)(z.float()), atol=2e-3, rtol=2e-3)


def test_a_stack_ends_normalised():
    z = 10 * torch.randn(3, 4, 8)
    out = Stack(8, 4, layers=2, mixer=TokenMixer)(z)
    torch.testing.assert_close(out.square().mean(-1), torch.ones(3, 4), atol=1e-3, rtol=0)


def test_rope_scores_depend_on_the_distance_of_positions_only():
    net = Attention(8, 6, heads=1)
    q, k = torch.randn(8), torch.randn(8)
    scores = net._rotate(q.expand(6, 8)) @ net._rotate(k.expand(6, 8)).T
    for distance in range(-5, 6):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=1e-5)
    assert (scores[0] - scores[0, 0]).abs().max() > 1e-2


def test_rope_tables_are_cosines_and_sines_of_one_angle():
    cos, sin = rope_tables(5, 4)
    torch.testing.assert_close(cos.square() + sin.square(), torch.ones(5, 4))
    torch.testing.assert_close(torch.atan2(sin, cos)[1], torch.tensor([1.0, 0.01, 1.0, 0.01]))


def test_without_positions_attention_commutes_with_permutations_and_with_rope_it_does_not():
    order, z = torch.tensor([2, 0, 3, 1]), torch.randn(4, 8)
    blind, sighted = Attention(8, 4, heads=2, rope=False), Attention(8, 4, heads=2)
    torch.testing.assert_close(blind(z[order]), blind(z)[order])
    assert (sighted(z[order]) - sighted(z)[order]).abs().max() > 1e-3


def test_a_zero_pair_bias_is_no_bias_and_another_one_is():
    plain = Attention(8, 4, heads=2)
    biased = Attention(8, 4, heads=2, pair_bias=True)
    biased.load_state_dict(plain.state_dict(), strict=False)
    z = torch.randn(3, 4, 8)
    torch.testing.assert_close(biased(z), plain(z))
    biased.bias.data[:, 0, 1] = -1e9  # token 0 is forbidden to look at token 1
    changed = z.clone()
    changed[:, 1] += 1
    torch.testing.assert_close(biased(z)[:, 0], biased(changed)[:, 0])
    assert (plain(z)[:, 0] - plain(changed)[:, 0]).abs().max() > 1e-3


@pytest.mark.parametrize("options", CAUSAL.values(), ids=CAUSAL.keys())
def test_a_causal_token_sees_itself_and_the_tokens_before_it(options):
    net, z = causal(**options), torch.randn(3, 4, 8)
    for j in range(4):
        changed = z.clone()
        changed[:, j] += 1
        difference = (net(changed) - net(z)).abs().amax((0, 2))
        assert (difference[:j] < 1e-6).all() and (difference[j:] > 1e-3).all()


@pytest.mark.parametrize("options", CAUSAL.values(), ids=CAUSAL.keys())
def test_the_last_causal_token_is_mixed_as_without_causality(options):
    net, z = causal(**options), torch.randn(3, 4, 8)
    free = Attention(8, 4, heads=2, **options)
    free.load_state_dict(net.state_dict())
    torch.testing.assert_close(net(z)[:, -1], free(z)[:, -1])


@pytest.mark.parametrize("options", CAUSAL.values(), ids=CAUSAL.keys())
@pytest.mark.parametrize("sizes", [(4,), (1, 3), (2, 2), (1, 1, 1, 1)], ids=str)
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=str)
def test_a_cached_sequence_in_parts_is_the_whole(options, sizes, lead):
    net, z, cache = causal(**options), torch.randn(*lead, 4, 8), Cache(4)
    parts = [net(part, cache) for part in z.split(sizes, -2)]
    torch.testing.assert_close(torch.cat(parts, -2), net(z), atol=1e-5, rtol=1e-5)
    assert cache.seen == 4


def test_a_repeated_cache_goes_on_with_copies_of_its_batch():
    net, z, cache = causal(), torch.randn(3, 2, 8), Cache(4)
    net(z, cache)
    cache.repeat(5)
    further = torch.randn(15, 2, 8)
    whole = torch.cat((z.repeat(5, 1, 1), further), -2)
    torch.testing.assert_close(net(further, cache), net(whole)[:, 2:], atol=1e-5, rtol=1e-5)


def causal(**options):
    """Build a causal attention whose bias, if any, is not zero."""
    net = Attention(8, 4, heads=2, causal=True, **options)
    if net.bias is not None:
        net.bias.data.normal_()
    return net


def test_a_cache_of_an_attention_that_looks_ahead_is_refused():
    with pytest.raises(ValueError, match="causal=True"):
        Attention(8, 4)(torch.randn(4, 8), Cache(4))


def test_swiglu_is_its_formula_and_starts_as_zero_on_request():
    net, z = SwiGLU(8, 5, 3), torch.randn(4, 8)
    gate, value = net.gate_in.weight.chunk(2)
    torch.testing.assert_close(net(z), (F.silu(z @ gate.T) * (z @ value.T)) @ net.out.weight.T)
    assert SwiGLU(8, 5, 3, zero=True)(z).abs().max() == 0


def test_token_mixer_treats_every_channel_alike():
    net, z, order = TokenMixer(8, 4), torch.randn(3, 4, 8), torch.randperm(8)
    torch.testing.assert_close(net(z[..., order]), net(z)[..., order])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Attention(8, 4, heads=3), "dim=8 and heads=3"),
        (lambda: Attention(6, 4, heads=2), "rope=False"),
        (lambda: Stack(8, 4, layers=0, mixer=TokenMixer), "at least 1 layer"),
    ],
)
def test_an_impossible_size_is_refused_at_construction(make, message):
    with pytest.raises(ValueError, match=message):
        make()

"""LazyNormal against torch's Normal, and the heads behind it."""

import pyro
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from gram_ppl import Gaussian, LazyNormal


@pytest.fixture
def parameters():
    return torch.randn(3, 4, 8), 0.2 + torch.rand(3, 4, 8)


def lazy(loc, scale):
    return LazyNormal(lambda: (loc, scale), loc.shape)


def plain(loc, scale):
    return Independent(Normal(loc, scale), 2)


class Counter:
    """Parameters that count how often they are computed."""

    def __init__(self, loc, scale):
        self.calls, self.values = 0, (loc, scale)

    def __call__(self):
        self.calls += 1
        return self.values


def test_density_entropy_and_moments_are_those_of_a_normal(parameters):
    ours, theirs = lazy(*parameters), plain(*parameters)
    value = torch.randn(5, 3, 4, 8)
    torch.testing.assert_close(ours.log_prob(value), theirs.log_prob(value))
    for name in ("mean", "variance", "stddev"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    assert (ours.batch_shape, ours.event_shape) == (theirs.batch_shape, theirs.event_shape)


def test_kl_is_that_of_two_normals(parameters):
    other = torch.randn(3, 4, 8), 0.2 + torch.rand(3, 4, 8)
    ours, theirs = (kl_divergence(d(*parameters), d(*other)) for d in (lazy, plain))
    torch.testing.assert_close(ours, theirs)
    assert ours.shape == (3,) and (ours > 0).all()
    assert kl_divergence(lazy(*parameters), lazy(*parameters)).abs().max() == 0


def test_expansion_adds_leading_dimensions_to_everything(parameters):
    ours, theirs = (d(*parameters).expand((2, 3)) for d in (lazy, plain))
    other = lazy(torch.zeros(3, 4, 8), torch.ones(3, 4, 8)).expand((2, 3))
    assert ours.batch_shape == (2, 3) and ours.shape((7,)) == (7, 2, 3, 4, 8)
    assert ours.rsample().shape == (2, 3, 4, 8)
    assert ours.mean.shape == ours.variance.shape == (2, 3, 4, 8)
    value = torch.randn(4, 8)
    torch.testing.assert_close(ours.log_prob(value), theirs.log_prob(value))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    assert kl_divergence(ours, other).shape == (2, 3)


def test_draws_of_an_expansion_differ_from_each_other(parameters):
    first, second = lazy(*parameters).expand((2, 3)).sample()
    assert (first - second).abs().min() > 0


def test_samples_have_the_mean_and_variance_of_the_normal(parameters):
    n, (loc, scale) = 4000, parameters
    samples = lazy(loc, scale).sample((n,))
    z_mean = (samples.mean(0) - loc) / (scale / n**0.5)
    z_variance = (samples.var(0) / scale.square() - 1) / (2 / n) ** 0.5
    for z in (z_mean, z_variance):  # 96 standard normals each: a maximum above 5 has probability 6e-5
        assert z.abs().max() < 5
        assert 0.6 < z.std() < 1.4


def test_the_sample_is_differentiable_in_location_and_scale(parameters):
    loc, scale = (p.requires_grad_() for p in parameters)
    d = lazy(loc, scale)
    sample = d.rsample()
    weights = torch.randn_like(sample)
    (sample * weights).sum().backward()
    torch.testing.assert_close(loc.grad, weights)
    torch.testing.assert_close(scale.grad, weights * ((sample - loc) / scale).detach(), atol=1e-5, rtol=1e-4)
    assert not d.sample().requires_grad


def test_the_network_runs_at_the_first_number_and_never_again(parameters):
    compute = Counter(*parameters)
    d = LazyNormal(compute, torch.Size((3, 4, 8)))
    wide = d.expand((5, 3)).expand((2, 5, 3))
    assert compute.calls == 0
    wide.rsample(), wide.log_prob(torch.zeros(4, 8)), d.entropy(), kl_divergence(d, d.detach())
    assert compute.calls == 1


def test_a_replayed_site_never_asks_for_its_head(parameters):
    compute = Counter(*parameters)

    def program():
        with pyro.plate("batch", 3, dim=-1):
            return pyro.sample("eps", LazyNormal(compute, torch.Size((3, 4, 8))))

    given = {"eps": torch.zeros(3, 4, 8)}
    trace = pyro.poutine.trace(pyro.poutine.condition(program, given)).get_trace()
    assert compute.calls == 0
    trace.log_prob_sum()
    assert compute.calls == 1


def test_a_sample_drawn_without_gradient_leaves_the_density_differentiable():
    loc, scale = torch.randn(4, 8, requires_grad=True), torch.ones(4, 8)
    d = LazyNormal(lambda: (2 * loc, scale), loc.shape)
    value = d.sample()
    d.log_prob(value).backward()
    torch.testing.assert_close(loc.grad, 2 * (value - 2 * loc).detach())


def test_detach_keeps_the_values_and_drops_the_gradient(parameters):
    loc, scale = (p.requires_grad_() for p in parameters)
    d = lazy(loc, scale)
    assert not d.detach().log_prob(torch.zeros(4, 8)).requires_grad
    torch.testing.assert_close(d.detach().log_prob(torch.zeros(4, 8)), d.log_prob(torch.zeros(4, 8)))


@pytest.mark.parametrize("min_scale", [0.0, -1.0])
def test_a_scale_that_may_reach_zero_is_refused(min_scale):
    with pytest.raises(ValueError, match="min_scale must be above 0"):
        Gaussian(8, min_scale=min_scale)


def test_guidance_starts_with_zero_mean_and_zero_kl():
    noise, u = Gaussian(8), torch.randn(3, 4, 8)
    q, p = noise.posterior(u, torch.randn(3, 4, 8)), noise.prior(u)
    assert p.loc.abs().max() == 0
    torch.testing.assert_close(p.scale, torch.full((3, 4, 8), torch.nn.functional.softplus(torch.tensor(-1.0)) + 1e-3))
    assert kl_divergence(q, p).abs().max() == 0


def test_the_scale_never_falls_below_its_bound():
    noise = Gaussian(8, min_scale=0.05)
    noise.prior_head.out.weight.data.normal_(std=1e3)
    scale = noise.prior(torch.randn(100, 4, 8)).scale
    assert scale.min() >= 0.05 and scale.min() < 0.06 and scale.max() > 100


def test_posterior_broadcasts_a_narrow_proposal_over_a_wide_answer():
    assert Gaussian(8).posterior(torch.randn(3, 4, 8), torch.randn(2, 3, 4, 8)).batch_shape == (2, 3)


def test_parameters_are_float32_under_autocast():
    noise = Gaussian(8)
    noise.prior_head.out.weight.data.normal_()
    with torch.autocast("cpu", torch.bfloat16):
        assert noise.prior_head(torch.randn(3, 4, 8)).dtype == torch.bfloat16
        d = noise.prior(torch.randn(3, 4, 8))
        assert {t.dtype for t in (d.loc, d.scale, d.rsample(), d.entropy())} == {torch.float32}
        assert not torch.equal(d.scale, d.scale.bfloat16().float())  # the softplus is in float32 too

"""What each ablation of the paper leaves of the guidance, and that every one is a program like any other."""

from functools import partial

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive, Trace_ELBO, TraceMeanField_ELBO
from torch.distributions import kl_divergence

import gram_ppl as gp
from gram_ppl.nn import Stack

ARGMAX = partial(gp.Decoder, token=gp.Greedy)
ABLATIONS = {
    "no guidance": {"noise": None},
    "noise only": {"noise": gp.NoiseOnly},
    "mean only": {"noise": gp.MeanOnly},
    "random z_0": {"start": gp.standard_normal},
    "random z_0, no guidance, argmax": {"start": gp.standard_normal, "noise": None, "decoder": ARGMAX},
}


@pytest.fixture(params=ABLATIONS.values(), ids=ABLATIONS.keys())
def ablated(request, build):
    return build(**request.param)


def trace(program, *args, **kwargs):
    return poutine.trace(program).get_trace(*args, **kwargs)


def many(gram, n, x):
    """Return eps_0 of ``n`` prior trajectories and the distribution it came from."""
    with pyro.plate("many", n, dim=-2):
        site = trace(gram.model, x).nodes["eps_0"]
    return site["value"], site["fn"]


def evaluate(elbo, gram, batch, seed=7):
    torch.manual_seed(seed)
    gram.zero_grad()
    loss = torch.as_tensor(elbo.loss_and_grads(gram.model, gram.guide, *batch))
    return loss, [torch.zeros(()) if p.grad is None else p.grad.clone() for p in gram.parameters()]


def test_every_ablation_has_the_loss_and_gradient_of_stock_mean_field(ablated, batch):
    (ours, grads), (stock, stock_grads) = (
        evaluate(make(), ablated, batch) for make in (gp.TruncatedELBO, TraceMeanField_ELBO)
    )
    torch.testing.assert_close(ours, stock, atol=1e-4, rtol=1e-5)
    for mine, other in zip(grads, stock_grads, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


def test_every_ablation_is_drawn_as_predictive_draws_it_at_one_seed(ablated, batch):
    torch.manual_seed(7)
    stock = Predictive(ablated.model, num_samples=5, parallel=True)(batch.x, supervision_steps=2)["y"]
    torch.manual_seed(7)
    with torch.no_grad():
        for _ in range(2):  # Predictive first runs the program twice to learn its shapes
            ablated.model(batch.x, supervision_steps=2)
    assert torch.equal(gp.draw(ablated, batch.x, width=5, supervision_steps=2).y, stock)


def test_every_ablation_runs_its_recursion_once(ablated, batch):
    calls = []
    for module in ablated.modules():
        if isinstance(module, Stack):
            module.register_forward_hook(lambda *_: calls.append(1))
    gp.TruncatedELBO().loss_and_grads(ablated.model, ablated.guide, *batch)
    assert len(calls) == 2 * (1 + 1)


def test_every_ablation_trains(ablated, batch):
    svi = gp.SVI(ablated.model, ablated.guide, torch.optim.Adam(ablated.parameters(), lr=1e-2), gp.TruncatedELBO())
    losses, state = [], None
    for update in range(60):  # two supervision steps for each batch
        state = ablated.initial_state(batch.x) if update % 2 == 0 else svi.state
        losses.append(svi.update(*batch, state=state).loss)
    assert torch.stack(losses[-10:]).mean() < 0.8 * torch.stack(losses[:10]).mean()


@pytest.mark.parametrize("noise", [gp.NoiseOnly, gp.MeanOnly])
def test_the_objective_weighs_balances_and_reports_the_kl_of_every_guidance(build, batch, noise):
    gram, values = build(noise=noise), []
    for weight, balance in ((1.0, None), (3.0, None), (3.0, 0.8)):
        elbo = gp.TruncatedELBO(kl_weight=weight, kl_balance=balance)
        values.append(evaluate(elbo, gram, batch))
    (plain, _), (heavy, unbalanced), (same, balanced) = values
    assert elbo.info.kl.shape == (2,) and elbo.info.kl.min() > 1e-2
    torch.testing.assert_close(heavy - plain, 2 * elbo.info.kl.sum(), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(heavy, same, atol=1e-4, rtol=1e-5)
    assert max((a - b).abs().max() for a, b in zip(unbalanced, balanced, strict=True)) > 1e-2


def test_noise_alone_has_mean_zero_and_the_scale_of_its_head(build, batch):
    gram, n = build(noise=gp.NoiseOnly), 4000
    eps, p = many(gram, n, batch.x)
    assert p.mean.abs().max() == 0
    assert p.scale.std() > 1e-3  # the heads are awake
    assert (eps.mean(0) / (p.stddev[0] / n**0.5)).abs().max() < 5  # 96 standard normals
    assert ((eps.square().mean(0) / p.variance[0] - 1) / (2 / n) ** 0.5).abs().max() < 5.5


def test_the_guide_of_noise_alone_sees_the_answer_in_the_scale(build, batch):
    gram = build(noise=gp.NoiseOnly)
    q, other = (trace(gram.guide, batch.x, y).nodes["eps_0"]["fn"] for y in (batch.y, (batch.y + 1) % 3))
    assert q.mean.abs().max() == other.mean.abs().max() == 0
    assert (q.scale - other.scale).abs().max() > 1e-3


def test_means_alone_have_no_variance(build, batch):
    eps, p = many(build(noise=gp.MeanOnly), 50, batch.x)
    assert p.variance.abs().max() == 0 and eps.var(0, correction=0).max() == 0
    assert torch.equal(eps, p.mean) and eps.abs().max() > 1e-3


def test_the_guide_of_means_alone_sees_the_answer_and_costs_half_a_squared_distance(build, batch):
    gram = build(noise=gp.MeanOnly)
    guide = trace(gram.guide, *batch)
    model = trace(poutine.replay(gram.model, trace=guide), *batch)
    q, p = (tr.nodes["eps_0"]["fn"] for tr in (guide, model))
    unit = (gp.LazyNormal(lambda d=d: (d.loc, torch.ones(())), d.shape()) for d in (q, p))
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(*unit))
    assert kl_divergence(q, p).min() > 1e-3 and kl_divergence(q, q).abs().max() == 0


def test_means_alone_have_no_bound_without_their_kl(build, batch):
    gram = build(noise=gp.MeanOnly)
    assert Trace_ELBO().loss(gram.model, gram.guide, *batch) == float("inf")


def test_a_point_has_its_mass_at_its_location():
    loc = torch.randn(3, 4, 8)
    point = gp.LazyDelta(lambda: (loc,), loc.shape)
    moved = loc.clone()
    moved[1, 0, 0] += 1
    assert point.log_prob(loc).tolist() == [0, 0, 0]
    assert point.log_prob(moved).tolist() == [0, float("-inf"), 0]
    assert point.expand((2, 3)).log_prob(moved).shape == (2, 3)
    assert torch.equal(point.expand((2, 3)).sample(), loc.expand(2, 3, 4, 8))


def test_the_sample_of_a_point_is_differentiable_and_that_of_a_detached_one_is_not():
    loc = torch.randn(3, 4, 8, requires_grad=True)
    point = gp.LazyDelta(lambda: (loc,), loc.shape)
    point.rsample((2,)).sum().backward()
    assert (loc.grad == 2).all()
    assert not point.detach().rsample().requires_grad


def test_greedy_draws_the_mode_and_keeps_the_density():
    logits = torch.randn(2, 3, 5)
    greedy, plain = gp.Greedy(logits=logits), torch.distributions.Categorical(logits=logits)
    assert torch.equal(greedy.expand((4, 2, 3)).sample((6,)), logits.argmax(-1).expand(6, 4, 2, 3))
    value = torch.randint(5, (2, 3))
    torch.testing.assert_close(greedy.log_prob(value), plain.log_prob(value))
    torch.testing.assert_close(greedy.entropy(), plain.entropy())


def test_a_greedy_model_answers_with_the_mode_of_its_own_distribution(build, batch):
    rollout = build(decoder=ARGMAX).model(batch.x)
    assert torch.equal(rollout.y, rollout.p_y.base_dist.probs.argmax(-1))


def test_a_linear_decoder_is_one_matrix(build):
    gram, h = build(decoder=gp.LinearDecoder), torch.randn(3, 4, 8)
    (matrix,) = gram.decoder.parameters()
    torch.testing.assert_close(gram.decode(h).base_dist.logits, (h @ matrix.T).log_softmax(-1))


def test_without_positions_the_question_is_its_tokens_and_the_registers_are_zero(build, batch):
    gram = build(encoder=partial(gp.Encoder, positions=False), registers=2)
    e_x = gram.encoder(batch.x)
    assert e_x[:, :2].abs().max() == 0
    assert torch.equal(e_x[:, 2:], gram.encoder.tokens(batch.x))
    assert "encoder.positions" not in gram.state_dict()


def test_a_random_z_0_is_standard_normal_and_new_for_each_trajectory(build, batch):
    gram, n = build(start=gp.standard_normal), 2000
    with pyro.plate("many", n, dim=-2):
        z_0 = trace(gram.model, batch.x).nodes["z_0"]["value"]
    assert z_0.shape == (n, 3, 2, 8) and len(z_0.flatten(0, 1).unique(dim=0)) == 3 * n
    assert (z_0.mean(0) * n**0.5).abs().max() < 5
    assert ((z_0.var(0) - 1) / (2 / n) ** 0.5).abs().max() < 5.5


def test_a_random_z_0_is_where_the_trajectory_starts(build, batch):
    gram = build(start=gp.standard_normal, noise=None, transitions=1)
    tr = trace(gram.model, batch.x)
    h, l = tr.nodes["z_0"]["value"][..., None, :].expand(3, 2, 4, 8).unbind(1)
    torch.testing.assert_close(tr.nodes["_RETURN"]["value"].state.h, gram.backbone(h, l, gram.encoder(batch.x))[0])


def test_an_initial_state_is_drawn_anew_only_with_a_start(build, gram, batch):
    random = build(start=gp.standard_normal)
    assert torch.equal(gram.initial_state(batch.x).h, gram.initial_state(batch.x).h)
    assert (random.initial_state(batch.x).h - random.initial_state(batch.x).h).abs().max() > 1e-3
    assert (random.initial_state(batch.x).h[0] - random.initial_state(batch.x).h[1]).abs().max() > 1e-3


def test_a_given_state_leaves_no_z_0_to_sample(build, batch):
    gram = build(start=gp.standard_normal)
    assert "z_0" not in trace(gram.model, batch.x, state=gram.initial_state(batch.x)).nodes


def test_a_random_z_0_costs_the_objective_nothing(build, batch):
    gram, elbo = build(start=gp.standard_normal, noise=None), gp.TruncatedELBO()
    assert torch.as_tensor(elbo.loss(gram.model, gram.guide, *batch)) == elbo.info.nll

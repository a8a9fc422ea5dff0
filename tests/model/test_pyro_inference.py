"""Stock Pyro inference runs on a GRAM and estimates what it estimates on any program."""

from functools import partial

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import (
    MCMC,
    NUTS,
    SVI,
    Importance,
    Predictive,
    RenyiELBO,
    Trace_ELBO,
    TraceMeanField_ELBO,
)
from pyro.infer.importance import psis_diagnostic, vectorized_importance_weights
from pyro.infer.mcmc.util import initialize_model

import gram_ppl as gp

ELBOS = {
    "truncated": lambda: gp.TruncatedELBO(),
    "trace": lambda: Trace_ELBO(),
    "mean field": lambda: TraceMeanField_ELBO(),
    "renyi": lambda: RenyiELBO(alpha=0.5, num_particles=2, vectorize_particles=True, max_plate_nesting=1),
}


X, Y = torch.tensor([[0, 1]]), torch.tensor([[1, 0]])


@pytest.fixture
def smallest_options():
    """D = 2, L = 2, T = 1: four latent numbers for each question."""
    backbone = partial(gp.Hierarchical, layers=1, mixer=partial(gp.nn.Attention, heads=1))
    return {"spec": gp.TaskSpec(2, 2, 2), "dim": 2, "transitions": 1, "backbone": backbone}


@pytest.fixture
def smallest(build, smallest_options):
    return build(**smallest_options)


def losses(elbo, gram, batch, n=20):
    """Evaluate a loss ``n`` times from one seed."""
    torch.manual_seed(5)
    return torch.tensor([elbo.loss(gram.model, gram.guide, *batch) for _ in range(n)])


def assert_falls(before, after, standard_errors=4):
    spread = ((before.var() + after.var()) / len(before)).sqrt()
    assert after.mean() < before.mean() - standard_errors * spread


@pytest.mark.parametrize("make", ELBOS.values(), ids=ELBOS.keys())
def test_stock_svi_trains_every_parameter(gram, batch, make):
    before, start = losses(make(), gram, batch), {n: p.clone() for n, p in gram.named_parameters()}
    svi = SVI(gram.model, gram.guide, pyro.optim.ClippedAdam({"lr": 2e-2}), loss=make())
    for _ in range(25):
        svi.step(*batch)
    assert_falls(before, losses(make(), gram, batch))
    assert [n for n, p in gram.named_parameters() if torch.equal(p, start[n])] == []


@pytest.mark.parametrize("name", ["truncated", "trace", "mean field"])  # Pyro's RenyiELBO has no differentiable loss
def test_an_elbo_module_trains_with_a_torch_optimiser(gram, batch, name):
    make = ELBOS[name]
    before = losses(make(), gram, batch)
    loss_fn = make()(gram.model, gram.guide)
    optim = torch.optim.Adam(gram.parameters(), lr=2e-2)
    with pyro.settings.context(module_local_params=True):
        for _ in range(25):
            optim.zero_grad()
            loss_fn(*batch).backward()
            optim.step()
    assert_falls(before, losses(make(), gram, batch))


def test_stock_svi_returns_the_loss_and_carries_a_state(gram, batch):
    svi = SVI(gram.model, gram.guide, pyro.optim.Adam({"lr": 0.0}), loss=TraceMeanField_ELBO())
    state = gram.guide(*batch).detach()
    torch.manual_seed(5)
    stepped = svi.step(*batch, state=state)
    torch.manual_seed(5)
    assert svi.evaluate_loss(*batch, state=state) == pytest.approx(stepped, rel=1e-5)
    torch.manual_seed(5)
    assert svi.evaluate_loss(*batch) != pytest.approx(stepped, rel=1e-3)


def test_two_grams_of_one_architecture_train_apart_and_leave_no_trace_in_the_store(build, batch):
    grams = [build(), build(seed=2)]
    for gram in grams:
        others = [p.clone() for g in grams if g is not gram for p in g.parameters()]
        mine = [p.clone() for p in gram.parameters()]
        SVI(gram.model, gram.guide, pyro.optim.Adam({"lr": 1e-2}), loss=Trace_ELBO()).step(*batch)
        assert not any(torch.equal(a, b) for a, b in zip(mine, gram.parameters(), strict=True))
        now = [p for g in grams if g is not gram for p in g.parameters()]
        assert all(torch.equal(a, b) for a, b in zip(others, now, strict=True))
    assert len(pyro.get_param_store()) == 0


def test_stock_svi_leaves_frozen_parameters_alone(gram, batch):
    gram.decoder.requires_grad_(False)
    before, free = gram.decoder.logits.out.weight.clone(), gram.encoder.positions.clone()
    SVI(gram.model, gram.guide, pyro.optim.Adam({"lr": 1e-2}), loss=gp.TruncatedELBO()).step(*batch)
    assert torch.equal(gram.decoder.logits.out.weight, before)
    assert not torch.equal(gram.encoder.positions, free)


def test_importance_weights_are_joint_over_guide(gram, batch, densities):
    importance = Importance(gram.model, gram.guide, num_samples=4)
    importance.run(*batch)
    for tr, weight in zip(importance.exec_traces, importance.log_weights, strict=True):
        log_p, log_q = densities(gram, *batch, [tr.nodes[f"eps_{t}"]["value"] for t in range(2)])
        torch.testing.assert_close(weight, (log_p - log_q).sum(), atol=1e-3, rtol=1e-4)


def test_vectorised_importance_weights_are_joint_over_guide(gram, batch, densities):
    weights, _, guide = vectorized_importance_weights(
        gram.model, gram.guide, *batch, num_samples=6, max_plate_nesting=1
    )
    log_p, log_q = densities(gram, *batch, [guide.nodes[f"eps_{t}"]["value"] for t in range(2)])
    torch.testing.assert_close(weights, (log_p - log_q).sum(-1), atol=1e-3, rtol=1e-4)


@torch.no_grad()
def test_importance_with_guide_and_with_prior_agree_on_the_evidence(smallest):
    prior = poutine.block(smallest.model, hide_types=["observe"])
    estimates, errors = [], []
    for guide in (smallest.guide, prior):
        weights, _, _ = vectorized_importance_weights(
            smallest.model, guide, X, Y, num_samples=20_000, max_plate_nesting=1
        )
        estimates.append(weights.exp().mean())
        errors.append(weights.exp().var() / len(weights))
    assert abs(estimates[0] - estimates[1]) < 4 * sum(errors).sqrt()
    assert sum(errors).sqrt() < 0.05 * estimates[1]


class Narrow(gp.Gaussian):
    """Posterior noise of a third of its scale: importance weights with a heavy tail."""

    def posterior(self, u, target):
        wide = super().posterior(u, target)
        return gp.LazyNormal(lambda: (wide.loc, wide.scale / 3), wide.shape())


def test_psis_tells_a_guide_that_is_too_narrow(build, smallest, smallest_options):
    squeezed = build(**smallest_options, noise=Narrow)
    prior = poutine.block(smallest.model, hide_types=["observe"])  # its weights are p(y | eps), at most 1
    options = {"num_particles": 2000, "max_plate_nesting": 1}
    assert psis_diagnostic(smallest.model, prior, X, Y, **options) < 0.7
    assert psis_diagnostic(squeezed.model, squeezed.guide, X, Y, **options) > 0.7


@pytest.mark.parametrize("parallel", [False, True], ids=["sequential", "parallel"])
def test_predictive_returns_every_site(gram, batch, parallel):
    drawn = Predictive(gram.model, num_samples=6, parallel=parallel)(batch.x, supervision_steps=2)
    assert {name: value.shape for name, value in drawn.items()} == {
        "y": (6, 3, 4),
        **{f"eps_{t}": (6, 3, 4, 8) for t in range(4)},
    }


def test_predictive_in_parallel_and_in_sequence_draw_from_one_distribution(gram, batch):
    few, many = 300, 3000
    sequential = Predictive(gram.model, num_samples=few)(batch.x)["y"]
    parallel = Predictive(gram.model, num_samples=many, parallel=True)(batch.x)["y"]
    p, q = (torch.nn.functional.one_hot(y, 3).float().mean(0) for y in (sequential, parallel))
    z = (p - q) / (q * (1 - q) * (1 / few + 1 / many)).sqrt()
    assert z.abs().max() < 4.5  # 36 frequencies


@pytest.mark.parametrize("parallel", [False, True], ids=["sequential", "parallel"])
def test_predictive_with_the_guide_answers_from_posterior_noise(gram, batch, parallel):
    gram.noise.posterior_head.out.weight.data.mul_(3)  # the posterior is far from the prior
    options = {"guide": gram.guide, "num_samples": 5, "parallel": parallel}
    observed = Predictive(gram.model, **options)(*batch)
    assert observed["eps_0"].shape == (5, 3, 4, 8)
    resampled = Predictive(poutine.uncondition(gram.model), **options)(*batch)
    assert resampled["y"].shape == (5, 3, 4)
    assert len(resampled["y"].unique(dim=0)) > 1
    q = poutine.trace(gram.guide).get_trace(*batch).nodes["eps_0"]["fn"]
    p = poutine.trace(gram.model).get_trace(*batch).nodes["eps_0"]["fn"]
    for drawn in (observed, resampled):
        assert q.log_prob(drawn["eps_0"]).mean() > p.log_prob(drawn["eps_0"]).mean()


def test_the_potential_of_mcmc_is_the_negative_joint_density(smallest, densities):
    start, potential, *_ = initialize_model(smallest.model, (X, Y))
    eps = torch.randn(1, 2, 2)
    assert set(start) == {"eps_0"}
    torch.testing.assert_close(potential({"eps_0": eps}), -densities(smallest, X, Y, [eps])[0].sum())


def test_nuts_moves(smallest):
    mcmc = MCMC(NUTS(smallest.model, max_tree_depth=3), num_samples=5, warmup_steps=5, disable_progbar=True)
    mcmc.run(X, Y)
    eps = mcmc.get_samples()["eps_0"]
    assert eps.shape == (5, 1, 2, 2)
    assert len(eps.unique(dim=0)) > 1 and eps.isfinite().all()

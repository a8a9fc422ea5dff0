"""Sharing the pure transitions changes the cost of an objective and nothing else."""

import gc
import weakref

import pytest
import torch
from pyro import poutine
from pyro.infer import RenyiELBO, Trace_ELBO, TraceMeanField_ELBO

import gram_ppl as gp
from gram_ppl.infer.handlers import ShareMessenger

PLATE = {"vectorize_particles": True, "max_plate_nesting": 1}
ELBOS = {
    "trace": Trace_ELBO(),
    "trace of three": Trace_ELBO(num_particles=3),
    "trace of three in a plate": Trace_ELBO(num_particles=3, **PLATE),
    "mean field": TraceMeanField_ELBO(),
    "mean field of three": TraceMeanField_ELBO(num_particles=3),
    "renyi": RenyiELBO(alpha=0.5, num_particles=2),
    "renyi in a plate": RenyiELBO(alpha=0.5, num_particles=2, **PLATE),
}


@pytest.fixture
def calls(gram):
    """The network calls made so far, one entry each."""
    made = []
    for network in (gram.backbone.f_l, gram.backbone.f_h):
        network.register_forward_hook(lambda module, args, out: made.append(weakref.ref(out)))
    return made


def evaluate(elbo, gram, batch):
    gram.zero_grad(set_to_none=True)
    torch.manual_seed(7)
    loss = elbo.loss_and_grads(gram.model, gram.guide, *batch)
    return loss, [p.grad for p in gram.parameters()]


@pytest.mark.parametrize("elbo", ELBOS.values(), ids=ELBOS.keys())
def test_a_shared_objective_is_the_objective(gram, batch, elbo):
    loss, grads = evaluate(elbo, gram, batch)
    shared_loss, shared_grads = evaluate(gp.share(elbo), gram, batch)
    assert shared_loss == pytest.approx(loss, rel=1e-5)
    for grad, shared in zip(grads, shared_grads, strict=True):
        torch.testing.assert_close(shared, grad, atol=1e-4 * float(1 + grad.abs().max()), rtol=1e-4)
    torch.manual_seed(7)
    value = elbo.loss(gram.model, gram.guide, *batch)
    torch.manual_seed(7)
    assert gp.share(elbo).loss(gram.model, gram.guide, *batch) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("elbo", [Trace_ELBO(), TraceMeanField_ELBO()], ids=["trace", "mean field"])
def test_sharing_halves_the_network_calls(gram, batch, calls, elbo):
    for run, expected in ((elbo, 8), (gp.share(elbo), 4)):
        calls.clear()
        run.loss_and_grads(gram.model, gram.guide, *batch)
        assert len(calls) == expected


def test_a_shared_objective_makes_a_module(gram, batch):
    torch.manual_seed(7)
    loss = TraceMeanField_ELBO().differentiable_loss(gram.model, gram.guide, *batch)
    torch.manual_seed(7)
    torch.testing.assert_close(gp.share(TraceMeanField_ELBO())(gram.model, gram.guide)(*batch), loss)


def test_sharing_leaves_the_objective_it_copies_alone(gram, batch, calls):
    elbo = Trace_ELBO(num_particles=2)
    gp.share(elbo)
    elbo.loss(gram.model, gram.guide, *batch)
    assert len(calls) == 2 * 8
    assert not elbo.retain_graph


def test_what_follows_an_intervened_site_is_computed_again(gram, batch, calls):
    eps = torch.randn(3, 4, 8)
    plain = poutine.trace(poutine.condition(gram.model, {"eps_0": eps})).get_trace(*batch)
    calls.clear()
    with ShareMessenger():
        first = poutine.trace(gram.model).get_trace(*batch)
        assert len(calls) == 4
        clamped = poutine.trace(poutine.condition(gram.model, {"eps_0": eps})).get_trace(*batch)
        assert len(calls) == 6  # the first transition is the same, the second is not
    torch.testing.assert_close(clamped.nodes["eps_1"]["fn"].loc, plain.nodes["eps_1"]["fn"].loc)
    assert not torch.equal(clamped.nodes["eps_1"]["fn"].loc, first.nodes["eps_1"]["fn"].loc)


def test_another_question_or_state_is_not_shared(gram, batch, calls):
    with ShareMessenger():
        gram.model(batch.x)
        gram.model(batch.x.clone())
        assert len(calls) == 8
        gram.model(batch.x, state=gram.initial_state(batch.x))
    assert len(calls) == 12


def test_nothing_computed_without_gradient_is_shared_with_a_program_that_wants_one(gram, batch):
    with ShareMessenger():
        with torch.no_grad():
            guide = poutine.trace(gram.guide).get_trace(*batch)
        model = poutine.trace(poutine.replay(gram.model, trace=guide)).get_trace(*batch)
        model.log_prob_sum().backward()
    assert gram.backbone.f_l[0].mlp.out.weight.grad.abs().max() > 0


def test_a_handler_can_be_entered_again_and_starts_empty(gram, batch, calls):
    handler = ShareMessenger()
    for _ in range(2):
        with handler:
            gram.model(batch.x)
    assert len(calls) == 8


@pytest.mark.parametrize("fails", [False, True], ids=["after success", "after an error"])
def test_no_activation_outlives_the_handler(gram, batch, calls, fails):
    def program():
        gram.model(batch.x)
        if fails:
            raise RuntimeError("stop")

    try:
        with ShareMessenger():
            program()
            assert any(ref() is not None for ref in calls)
    except RuntimeError:
        pass
    gc.collect()
    assert not any(ref() is not None for ref in calls)

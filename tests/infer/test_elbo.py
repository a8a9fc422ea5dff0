"""TruncatedELBO against stock objectives and against hand-written losses."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch.distributions import kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode

import gram_ppl as gp
from gram_ppl.nn import Stack

SEED = 7


def evaluate(elbo, model, guide, *args, modules=None, **kwargs):
    """Return the loss and the gradient of every parameter at one seed."""
    modules = modules or [model.__self__]
    for module in modules:
        module.zero_grad(set_to_none=True)
    torch.manual_seed(SEED)
    loss = torch.as_tensor(elbo.loss_and_grads(model, guide, *args, **kwargs))
    return loss, [p.grad for module in modules for p in module.parameters()]


def assert_same(first, second):
    (loss, grads), (other_loss, other_grads) = first, second
    torch.testing.assert_close(loss, other_loss, atol=1e-4, rtol=1e-5)
    for grad, other in zip(grads, other_grads, strict=True):
        zero = torch.zeros(())
        torch.testing.assert_close(zero if grad is None else grad, zero if other is None else other, **tolerance(other))


def tolerance(tensor):
    size = 1.0 if tensor is None else max(1.0, float(tensor.abs().max()))
    return {"atol": 2e-5 * size, "rtol": 1e-4}


def by_hand(gram, batch, count=lambda q, p: kl_divergence(q, p).sum(), cut=0, supervision_steps=1):
    """Return the objective in plain torch: transitions before ``cut`` run without gradient into the core."""
    torch.manual_seed(SEED)
    (h, l), e_x, target = gram.initial_state(batch.x), gram.encoder(batch.x), gram.target(batch.y)
    kls = []
    for t in range(gram.transitions * supervision_steps):
        if t < cut:
            with torch.no_grad():
                u, l = gram.backbone(h, l, e_x)
        else:
            u, l = gram.backbone(h.detach() if t == cut else h, l, e_x)
        q, p = gram.noise.posterior(u, target), gram.noise.prior(u)
        kls.append(count(q, p))
        h = u + q.loc + q.scale * torch.randn(u.shape)
    return -gram.decode(h).log_prob(batch.y).sum(), kls


def hand_gradient(gram, loss):
    gram.zero_grad(set_to_none=True)
    loss.backward()
    return loss.detach(), [p.grad for p in gram.parameters()]


PARTICLES = {
    "one": {},
    "three": {"num_particles": 3},
    "three in a plate": {"num_particles": 3, "vectorize_particles": True, "max_plate_nesting": 1},
    "three in a guessed plate": {"num_particles": 3, "vectorize_particles": True},
}


@pytest.mark.parametrize("options", PARTICLES.values(), ids=PARTICLES.keys())
@pytest.mark.parametrize("supervision_steps", [1, 2])
def test_the_plain_objective_is_mean_field_elbo_in_value_and_gradient(gram, batch, options, supervision_steps):
    run = (gram.model, gram.guide, *batch)
    ours, theirs = gp.TruncatedELBO(**options), TraceMeanField_ELBO(**options)
    if options.get("vectorize_particles") and "max_plate_nesting" not in options:
        evaluate(ours, *run), evaluate(theirs, *run)  # the first call spends random numbers on guessing the plates
    assert_same(
        evaluate(ours, *run, supervision_steps=supervision_steps),
        evaluate(theirs, *run, supervision_steps=supervision_steps),
    )


def test_the_plain_objective_is_the_formula(gram, batch):
    nll, kls = by_hand(gram, batch)
    elbo = gp.TruncatedELBO()
    assert_same(evaluate(elbo, gram.model, gram.guide, *batch), hand_gradient(gram, nll + sum(kls)))
    torch.testing.assert_close(elbo.info.nll, nll.detach(), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(elbo.info.kl, torch.stack(kls).detach(), atol=1e-4, rtol=1e-5)


def test_the_plain_objective_agrees_with_trace_elbo_on_average(gram, batch):
    n = 150
    ours = torch.tensor([gp.TruncatedELBO().loss(gram.model, gram.guide, *batch) for _ in range(n)])
    theirs = torch.tensor([Trace_ELBO().loss(gram.model, gram.guide, *batch) for _ in range(n)])
    error = ((ours.var() + theirs.var()) / n).sqrt()
    assert (ours.mean() - theirs.mean()).abs() < 4 * error
    assert ours.var() < theirs.var()


@pytest.mark.parametrize("alpha", [0.0, 0.8, 1.0])
def test_balance_changes_the_gradient_and_not_the_value(gram, batch, alpha):
    def balanced(q, p):
        return alpha * kl_divergence(q.detach(), p).sum() + (1 - alpha) * kl_divergence(q, p.detach()).sum()

    nll, kls = by_hand(gram, batch, balanced)
    loss, grads = evaluate(gp.TruncatedELBO(kl_balance=alpha), gram.model, gram.guide, *batch)
    assert_same((loss, grads), hand_gradient(gram, nll + sum(kls)))
    plain, plain_grads = evaluate(gp.TruncatedELBO(), gram.model, gram.guide, *batch)
    torch.testing.assert_close(loss, plain, atol=1e-4, rtol=1e-5)
    assert max((a - b).abs().max() for a, b in zip(grads, plain_grads, strict=True) if a is not None) > 1e-2


@pytest.mark.parametrize("balance", [None, 0.8])
def test_the_weight_multiplies_the_kl_alone(gram, batch, balance):
    elbo = gp.TruncatedELBO(kl_weight=0.25, kl_balance=balance)
    loss, _ = evaluate(elbo, gram.model, gram.guide, *batch)
    nll, kls = by_hand(gram, batch)
    torch.testing.assert_close(loss, (nll + 0.25 * sum(kls)).detach(), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(elbo.info.kl, torch.stack(kls).detach(), atol=1e-4, rtol=1e-5)


def test_the_weight_follows_its_schedule_by_updates_and_not_by_evaluations(gram, batch):
    elbo = gp.TruncatedELBO(kl_weight=lambda update: 2.0 * update)
    with torch.no_grad():
        nll, kls = by_hand(gram, batch)
    for update in range(3):
        for _ in range(2):
            torch.manual_seed(SEED)
            evaluated = elbo.loss(gram.model, gram.guide, *batch)
            assert evaluated == pytest.approx(float(nll + 2 * update * sum(kls)), rel=1e-4)
        assert elbo.updates == update
        evaluate(elbo, gram.model, gram.guide, *batch)


def test_free_nats_are_given_to_every_transition_of_every_sequence(gram, batch):
    nll, kls = by_hand(gram, batch, kl_divergence)
    per_sequence = torch.stack(kls).detach()
    free = float(per_sequence.median())
    for balance in (None, 0.8):
        elbo = gp.TruncatedELBO(free_nats=free, kl_balance=balance)
        loss, _ = evaluate(elbo, gram.model, gram.guide, *batch)
        torch.testing.assert_close(loss, nll.detach() + per_sequence.clamp(min=free).sum(), atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(elbo.info.kl, per_sequence.sum(1), atol=1e-4, rtol=1e-5)


def test_all_kl_for_free_leaves_the_prior_without_gradient(gram, batch):
    evaluate(gp.TruncatedELBO(free_nats=1e6), gram.model, gram.guide, *batch)
    assert all(p.grad is None or p.grad.abs().max() == 0 for p in gram.noise.prior_head.parameters())
    assert gram.noise.posterior_head.out.weight.grad.abs().max() > 0


def test_counting_the_last_kl_is_paper_equation_14(gram, batch):
    elbo = gp.TruncatedELBO(kl_transitions="last", grad_transitions=1, kl_weight=0.5)
    result = evaluate(elbo, gram.model, gram.guide, *batch)
    nll, kls = by_hand(gram, batch, cut=1)
    assert_same(result, hand_gradient(gram, nll + 0.5 * kls[-1]))
    torch.testing.assert_close(elbo.info.kl, torch.stack(kls).detach(), atol=1e-4, rtol=1e-5)


def test_an_uncounted_transition_does_not_train_the_prior(gram, batch):
    def prior_gradient(clamped):
        elbo = gp.TruncatedELBO(kl_transitions=clamped, grad_transitions=1)
        gram.zero_grad()
        torch.manual_seed(SEED)
        trace_model, trace_guide = elbo._get_trace(gram.model, gram.guide, batch, {})
        first = trace_model.nodes["eps_0"]["fn"]
        loss, *_ = elbo._particle(trace_model, trace_guide)
        return torch.autograd.grad(loss, first.loc, allow_unused=True)[0]

    assert prior_gradient("last") is None
    assert prior_gradient("all").abs().max() > 0


def test_truncation_detaches_the_core_and_still_trains_every_head(gram, batch):
    result = evaluate(gp.TruncatedELBO(grad_transitions=1), gram.model, gram.guide, *batch)
    nll, kls = by_hand(gram, batch, cut=1)
    assert_same(result, hand_gradient(gram, nll + sum(kls)))


@pytest.mark.parametrize(("kept", "cut"), [(1, 3), (2, 2), (3, 1), (4, 0), (9, 0)])
def test_truncation_counts_from_the_end_of_the_rollout(gram, batch, kept, cut):
    result = evaluate(gp.TruncatedELBO(grad_transitions=kept), gram.model, gram.guide, *batch, supervision_steps=2)
    nll, kls = by_hand(gram, batch, cut=cut, supervision_steps=2)
    assert_same(result, hand_gradient(gram, nll + sum(kls)))


def test_truncation_changes_the_gradient_and_not_the_value(gram, batch):
    whole, grads = evaluate(gp.TruncatedELBO(), gram.model, gram.guide, *batch)
    cut, cut_grads = evaluate(gp.TruncatedELBO(grad_transitions=1), gram.model, gram.guide, *batch)
    torch.testing.assert_close(whole, cut)
    assert max((a - b).abs().max() for a, b in zip(grads, cut_grads, strict=True)) > 1e-2


def test_a_deterministic_reasoner_has_the_cross_entropy_as_its_loss(build, batch):
    gram = build(noise=None)
    state, e_x = gram.initial_state(batch.x), gram.encoder(batch.x)
    for _ in range(2):
        state = gp.State(*gram.backbone(*state, e_x))
    entropy = torch.nn.functional.cross_entropy(gram.decoder.logits(state.h).mT, batch.y, reduction="sum")
    elbo = gp.TruncatedELBO()
    assert_same(evaluate(elbo, gram.model, gram.guide, *batch), hand_gradient(gram, entropy))
    assert elbo.info.kl.shape == (0,)


def test_a_masked_row_counts_as_a_dropped_row(gram, batch):
    keep = torch.tensor([True, False, True])
    for options in ({}, {"kl_balance": 0.8, "grad_transitions": 1}, {"free_nats": 3.0}):
        elbo, noise = gp.TruncatedELBO(**options), torch.randn(2, 3, 4, 8)
        masked = [fixed_noise(poutine.mask(program, mask=keep), noise) for program in (gram.model, gram.guide)]
        dropped = [fixed_noise(program, noise[:, keep]) for program in (gram.model, gram.guide)]
        assert_same(
            evaluate(elbo, *masked, *batch, modules=[gram]),
            evaluate(elbo, *dropped, batch.x[keep], batch.y[keep], modules=[gram]),
        )


def fixed_noise(program, noise):
    """Let a guide's transition t sample ``loc + scale * noise[t]``."""

    class Fixed(poutine.messenger.Messenger):
        def _pyro_sample(self, msg):
            if msg["name"].startswith("eps") and msg["value"] is None:
                fn = msg["fn"]
                msg["value"], msg["done"] = fn.loc + fn.scale * noise[int(msg["name"][4:])], True

    def run(*args, **kwargs):
        with Fixed():
            return program(*args, **kwargs)

    return run


def test_scale_multiplies_value_and_gradient(gram, batch):
    scaled = [poutine.scale(program, scale=0.25) for program in (gram.model, gram.guide)]
    loss, grads = evaluate(gp.TruncatedELBO(), gram.model, gram.guide, *batch)
    quarter = 0.25 * loss, [0.25 * g for g in grads]
    assert_same(evaluate(gp.TruncatedELBO(), *scaled, *batch, modules=[gram]), quarter)


class Larger(torch.nn.Module):
    """A user's program around a GRAM, with a latent of its own in front of the question."""

    def __init__(self, gram, prior, posterior):
        super().__init__()
        self.gram, self.prior, self.posterior = gram, prior, posterior
        self.loc = torch.nn.Parameter(torch.tensor(0.3))

    def model(self, x, y, image):
        taste = pyro.sample("taste", self.prior())
        answer = self.gram(x, y, name="board")
        pyro.sample("image", dist.Normal(taste, 1.0), obs=image)
        return answer

    def guide(self, x, y, image):
        pyro.sample("taste", self.posterior(self.loc))
        pyro.sample("spare", dist.Normal(self.loc, 1.0), infer={"is_auxiliary": True})
        with pyro.contrib.autoname.scope(prefix="board"):
            self.gram.guide(x, y)


ANALYTIC = (lambda: dist.Normal(0.0, 2.0), lambda loc: dist.Normal(loc, 0.5))
SAMPLED = (lambda: dist.Gumbel(0.0, 2.0), lambda loc: dist.Normal(loc, 0.5))


@pytest.mark.parametrize(("prior", "posterior"), [ANALYTIC, SAMPLED], ids=["analytic", "sampled"])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_a_latent_of_the_user_is_treated_as_mean_field_elbo_treats_it(gram, batch, prior, posterior, scale):
    program = Larger(gram, prior, posterior)
    scaled = [poutine.scale(f, scale=scale) for f in (program.model, program.guide)]
    arguments = (*scaled, *batch, torch.tensor(1.5))
    assert_same(
        evaluate(gp.TruncatedELBO(), *arguments, modules=[program]),
        evaluate(TraceMeanField_ELBO(), *arguments, modules=[program]),
    )


def test_the_weight_leaves_a_latent_of_the_user_alone(gram, batch):
    program = Larger(gram, *ANALYTIC)
    arguments = (program.model, program.guide, *batch, torch.tensor(1.5))
    elbo = gp.TruncatedELBO(kl_weight=0.0)
    loss, _ = evaluate(elbo, *arguments, modules=[program])
    whole, _ = evaluate(gp.TruncatedELBO(), *arguments, modules=[program])
    torch.testing.assert_close(whole - loss, elbo.info.kl.sum(), atol=1e-3, rtol=1e-4)


def test_a_latent_without_a_guide_is_refused(gram, batch):
    def model(x, y):
        pyro.sample("taste", dist.Normal(0.0, 1.0))
        return gram(x, y)

    with pyro.validation_enabled(False), pytest.raises(ValueError, match="'taste' but the guide does not"):
        gp.TruncatedELBO().loss(model, gram.guide, *batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kl_weight": -1.0}, "kl_weight"),
        ({"kl_transitions": "first"}, "kl_transitions"),
        ({"grad_transitions": 0}, "grad_transitions"),
        ({"kl_balance": 1.5}, "kl_balance"),
        ({"free_nats": -0.1}, "free_nats"),
    ],
)
def test_an_option_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=f"{message} should"):
        gp.TruncatedELBO(**options)


@pytest.mark.parametrize("options", [{}, {"grad_transitions": 1}, {"kl_transitions": "last"}], ids=str)
def test_a_loss_costs_one_recursion(build, batch, options):
    gram, calls = build(transitions=3, refinements=2), []
    for module in gram.modules():
        if isinstance(module, Stack):
            module.register_forward_hook(lambda *_: calls.append("network"))
    for head in (gram.noise.prior_head, gram.noise.posterior_head):
        head.register_forward_hook(lambda *_: calls.append("head"))
    gp.TruncatedELBO(**options).loss_and_grads(gram.model, gram.guide, *batch)
    assert calls.count("network") == 3 * (2 + 1)
    assert calls.count("head") == 2 * 3


class HostReads(TorchDispatchMode):
    """Counts the operations that make the host wait for a device."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "masked_select", "unique"):
            self.names.append(name)
        return func(*args, **(kwargs or {}))


def test_a_loss_never_makes_the_host_wait(gram, batch):
    arguments = (gram.model, gram.guide, *batch)
    for elbo in (gp.TruncatedELBO(), gp.TruncatedELBO(kl_balance=0.8, grad_transitions=1, free_nats=1.0)):
        with pyro.validation_enabled(False), HostReads() as reads:
            elbo.loss_and_grads(*arguments)
        assert reads.names == []
    with pyro.validation_enabled(False), HostReads() as reads:
        TraceMeanField_ELBO().loss_and_grads(*arguments)
    assert reads.names != []  # the counter counts


def test_an_update_of_svi_never_makes_the_host_wait(gram, batch):
    optim = torch.optim.AdamW(gram.parameters(), fused=True)
    svi = gp.SVI(gram.model, gram.guide, optim, gp.TruncatedELBO())
    svi.update(*batch)
    with pyro.validation_enabled(False), HostReads() as reads:
        svi.update(*batch)
    assert reads.names == []


def test_the_state_is_the_guides_terminal_state_detached(gram, batch):
    elbo = gp.TruncatedELBO()
    evaluate(elbo, gram.model, gram.guide, *batch)
    torch.manual_seed(SEED)
    state = gram.guide(*batch)
    torch.testing.assert_close(elbo.state.h, state.h)
    torch.testing.assert_close(elbo.state.l, state.l)
    assert not elbo.state.h.requires_grad and not elbo.state.l.requires_grad


def test_a_program_that_returns_no_rollout_has_no_state(gram, batch):
    def model(x, y):
        gram(x, y)

    elbo = gp.TruncatedELBO()
    elbo.loss(model, gram.guide, *batch)
    assert elbo.state is None and torch.isfinite(elbo.info.loss)


def test_the_facts_of_a_step_carry_no_graph(gram, batch):
    elbo = gp.TruncatedELBO(num_particles=2)
    loss, _ = evaluate(elbo, gram.model, gram.guide, *batch)
    assert not any(t.requires_grad for t in (elbo.info.loss, elbo.info.nll, elbo.info.kl))
    torch.testing.assert_close(elbo.info.loss, loss)
    torch.testing.assert_close(elbo.info.nll + elbo.info.kl.sum(), loss)


def test_particles_in_a_loop_and_in_a_plate_have_one_mean(gram, batch):
    n = 60
    means, errors = [], []
    for plate in (False, True):
        elbo = gp.TruncatedELBO(num_particles=4, vectorize_particles=plate, max_plate_nesting=1)
        losses = torch.tensor([elbo.loss(gram.model, gram.guide, *batch) for _ in range(n)])
        means.append(losses.mean())
        errors.append(losses.var() / n)
    assert (means[0] - means[1]).abs() < 4 * sum(errors).sqrt()


def test_autocast_of_the_networks_leaves_the_loss_in_float32(gram, batch):
    elbo = gp.TruncatedELBO()
    with torch.autocast("cpu", torch.bfloat16):
        loss, grads = evaluate(elbo, gram.model, gram.guide, *batch)
    exact, _ = evaluate(gp.TruncatedELBO(), gram.model, gram.guide, *batch)
    assert {t.dtype for t in (loss, elbo.info.kl, elbo.info.nll, *grads)} == {torch.float32}
    assert loss == pytest.approx(float(exact), rel=0.1)

"""gp.SVI keeps the contract of pyro.infer.SVI and adds a clip and a state."""

from copy import deepcopy

import pyro
import pytest
import torch

import gram_ppl as gp

OPTIONS = {"lr": 1e-2, "betas": (0.8, 0.9), "eps": 1e-6}


def ours(gram, elbo=None, clip_norm=None, optim=torch.optim.Adam, **options):
    return gp.SVI(
        gram.model,
        gram.guide,
        optim(gram.parameters(), **(options or OPTIONS)),
        elbo or gp.TruncatedELBO(),
        clip_norm=clip_norm,
    )


def at_seed(call, *args, **kwargs):
    torch.manual_seed(7)
    return call(*args, **kwargs)


def gradient_norm(gram, batch):
    twin = deepcopy(gram)
    at_seed(gp.TruncatedELBO().loss_and_grads, twin.model, twin.guide, *batch)
    return torch.stack([p.grad.square().sum() for p in twin.parameters()]).sum().sqrt()


def test_steps_are_those_of_stock_svi_with_the_same_optimiser(gram, batch):
    twin = deepcopy(gram)
    fused, stock = ours(gram), pyro.infer.SVI(twin.model, twin.guide, pyro.optim.Adam(OPTIONS), gp.TruncatedELBO())
    for seed in range(3):
        losses = []
        for svi in (fused, stock):
            torch.manual_seed(seed)
            losses.append(svi.step(*batch))
        assert isinstance(losses[0], float)
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for p, q in zip(gram.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-5, rtol=1e-4)


def test_evaluation_is_the_loss_of_the_step_and_changes_nothing(gram, batch):
    svi, before = ours(gram), deepcopy(gram.state_dict())
    evaluated = at_seed(svi.evaluate_loss, *batch)
    assert all(torch.equal(value, before[name]) for name, value in gram.state_dict().items())
    assert all(p.grad is None for p in gram.parameters())
    assert at_seed(svi.step, *batch) == pytest.approx(evaluated, rel=1e-6)
    assert not all(torch.equal(value, before[name]) for name, value in gram.state_dict().items())


def test_an_update_reports_the_facts_of_its_step(gram, batch):
    norm = gradient_norm(gram, batch)
    info = at_seed(ours(gram).update, *batch)
    torch.testing.assert_close(info.grad_norm, norm, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(info.nll + info.kl.sum(), info.loss)
    assert info.kl.shape == (2,)
    assert not any(t.requires_grad for t in (info.loss, info.nll, info.kl, info.grad_norm))


@pytest.mark.parametrize("clip", [0.5, None, 1e9])
def test_the_gradient_is_clipped_by_its_global_norm(gram, batch, clip):
    norm, before = gradient_norm(gram, batch), [p.clone() for p in gram.parameters()]
    at_seed(ours(gram, clip_norm=clip, optim=torch.optim.SGD, lr=1e-3).update, *batch)
    moved = torch.stack([(p - q).square().sum() for p, q in zip(gram.parameters(), before, strict=True)]).sum().sqrt()
    torch.testing.assert_close(moved, 1e-3 * (norm if clip != 0.5 else torch.tensor(0.5)), rtol=1e-2, atol=0)
    assert norm > 5


def test_the_state_is_handed_over_detached(gram, batch):
    svi = ours(gram)
    twin = deepcopy(gram)
    at_seed(svi.step, *batch)
    arrived = at_seed(twin.guide, *batch)  # of the weights before the step
    torch.testing.assert_close(svi.state.h, arrived.h)
    torch.testing.assert_close(svi.state.l, arrived.l)
    assert not svi.state.h.requires_grad
    before = svi.state.h.clone()
    svi.step(*batch, state=svi.state)
    assert not torch.equal(svi.state.h, before)


def test_an_evaluation_between_steps_leaves_the_carried_state(gram, batch):
    svi = ours(gram)
    svi.step(*batch)
    carried = svi.state
    svi.evaluate_loss(*batch)
    assert svi.state is carried


def test_gradients_do_not_pile_up_over_steps(gram, batch):
    svi = ours(gram, lr=0.0)
    first, second = (at_seed(svi.update, *batch).grad_norm for _ in range(2))
    torch.testing.assert_close(first, second)


def test_only_the_optimisers_parameters_move(gram, batch):
    before = deepcopy(gram.state_dict())
    optim = torch.optim.SGD(gram.noise.parameters(), lr=1e-3)
    gp.SVI(gram.model, gram.guide, optim, gp.TruncatedELBO()).step(*batch)
    moved = {name.split(".")[0] for name, value in gram.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"noise"}


def test_an_optimiser_of_pyro_is_refused(gram):
    with pytest.raises(TypeError, match=r"got Adam|got PyroOptim"):
        gp.SVI(gram.model, gram.guide, pyro.optim.Adam({"lr": 1e-3}), gp.TruncatedELBO())

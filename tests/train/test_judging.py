"""What a fit looks at: prior draws, a posterior rollout, its record and its clock."""

from itertools import pairwise

import pytest
import torch
from torch.distributions import kl_divergence

import gram_ppl as gp
from gram_ppl.diagnostics import Gap
from gram_ppl.infer import StepInfo
from gram_ppl.infer.schedule import warmup_cosine
from gram_ppl.train import Run, posterior_rollout
from gram_ppl.train.run import Clock


class Offsetting(torch.nn.Module):
    """A backbone that proposes the question itself, so that an identity decoder answers ``(x + offset) % 3``."""

    def forward(self, h, l, e_x):
        return e_x, l


@pytest.fixture
def copycat(build):
    """A deterministic GRAM that answers ``x``."""
    gram = build(backbone=lambda *sizes: Offsetting(), noise=None)
    gram.encoder.positions.data.zero_()
    gram.encoder.tokens.weight.data.copy_(100 * torch.eye(3, 8))
    gram.decoder.logits = torch.nn.Linear(8, 3, bias=False)
    gram.decoder.logits.weight.data.copy_(torch.eye(3, 8))
    return gram


def test_the_kl_of_a_posterior_rollout_is_the_mean_over_puzzles(gram, batch):
    torch.manual_seed(7)
    _, kl = posterior_rollout(gram, batch, supervision_steps=2)
    torch.manual_seed(7)
    (h, l), e_x, target, expected = gram.initial_state(batch.x), gram.encoder(batch.x), gram.target(batch.y), []
    for _ in range(4):
        u, l = gram.backbone(h, l, e_x)
        q, p = gram.noise.posterior(u, target), gram.noise.prior(u)
        expected.append(kl_divergence(q, p).mean())
        h = u + q.rsample()
    torch.testing.assert_close(kl, torch.stack(expected).detach(), rtol=1e-4, atol=1e-4)


def test_a_posterior_rollout_decodes_the_posteriors_state(gram, batch):
    gram.decoder.logits.out.weight.data.mul_(1e4)  # the decoder has no doubt left
    torch.manual_seed(7)
    y, kl = posterior_rollout(gram, batch, supervision_steps=2)
    torch.manual_seed(7)
    h = gram.guide(*batch, supervision_steps=2).h
    assert torch.equal(y, gram.decoder.logits(h).argmax(-1))
    assert not kl.requires_grad


def test_a_rollout_without_noise_has_no_kl(build, batch):
    assert posterior_rollout(build(noise=None), batch, supervision_steps=2)[1].shape == (0,)


@pytest.mark.parametrize(("shift", "accuracy"), [(0, 1.0), (2, 0.0)])
def test_judging_gives_the_share_of_valid_answers(copycat, task, shift, accuracy):
    copycat.decoder.logits.weight.data = copycat.decoder.logits.weight.data.roll(shift, 0)
    gap = gp.Judge(puzzles=None, width=2, supervision_steps=1)(copycat, task)
    assert (gap.prior_accuracy, gap.posterior_accuracy) == (accuracy, accuracy)
    assert gap.warning is None and gap.kl == ()


def test_judging_looks_at_the_first_puzzles_only(copycat, task):
    seen = []
    copycat.encoder.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    gp.Judge(puzzles=5, width=2, supervision_steps=1)(copycat, task)
    assert seen and all(torch.equal(x, task.validation.x[:5]) for x in seen)


def gap(prior):
    return Gap(prior_accuracy=prior, posterior_accuracy=0.9, gap=0.9 - prior, interval=(0.0, 1.0), kl=(1.0, 2.0))


def facts(loss):
    zero = torch.zeros(())
    return StepInfo(loss=torch.tensor(loss), nll=zero, kl=torch.zeros(2), grad_norm=zero)


def test_a_run_keeps_the_weights_of_the_highest_prior_accuracy(gram, tmp_path):
    run = Run(tmp_path)
    for update, prior in enumerate((0.2, 0.8, 0.5)):
        gram.z_0.fill_(update)
        run.record(Clock(9, update=update), [facts(1.0)], gap(prior), gram)
    run.finish(gram, gram)
    assert run.best["update"] == 1 and (gram.z_0 == 1).all()
    assert gp.load_checkpoint(tmp_path / "best.safetensors", gram)["prior_accuracy"] == 0.8
    assert (gram.z_0 == 1).all()
    assert gp.load_checkpoint(tmp_path / "last.safetensors", gram)["prior_accuracy"] == 0.5
    assert (gram.z_0 == 2).all()


def test_a_row_holds_the_means_since_the_row_before(gram):
    run = Run()
    told = run.record(Clock(9, update=7), [facts(1.0), facts(4.0)], gap(0.25), gram)
    assert run.history[0]["loss"] == 2.5
    assert told == "loss 2.50 nats, KL 3.0 (1.0 + 2.0) nats, prior 0.250, posterior 0.900"


def test_the_learning_rate_warms_up_and_falls_to_its_floor():
    factors = [warmup_cosine(update / 100, update, warmup=10, floor=0.1) for update in range(101)]
    assert factors[0] == pytest.approx(0.1) and factors[100] == pytest.approx(0.1)
    assert max(factors) > 0.95
    assert all(a < b for a, b in pairwise(factors[:10]))
    assert all(a > b for a, b in pairwise(factors[10:]))
    assert warmup_cosine(0.5, 50, warmup=0, floor=0.1) == pytest.approx(0.55)


def test_progress_is_that_of_the_first_limit_to_come():
    assert Clock(10, update=3).progress == pytest.approx(0.3)
    assert Clock(10, max_minutes=1e9, update=3).progress == pytest.approx(0.3)
    assert Clock(10, max_minutes=1e-9, update=3).progress > 1

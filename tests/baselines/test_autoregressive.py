"""The autoregressive family looks back only, and computes each token once."""

import pytest
import torch
from torch.nn import functional as F

import gram_ppl as gp
from gram_ppl.nn.attention import Cache


def latents(model, x, y):
    """Return the latents ``(*, L_x + L_y, D)`` that a likelihood is decoded from; the last L_y give the answer."""
    seen = []
    handle = model.decoder.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    model.log_prob(x, y)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("pair_bias", [False, True], ids=["plain", "pair bias"])
def test_a_token_of_the_answer_changes_later_conditionals_only(autoregressive, any_spec, question, pair_bias):
    model, x = autoregressive(any_spec, pair_bias=pair_bias), question(any_spec, 3)
    y = torch.randint(3, (3, 4))
    before = latents(model, x, y)[:, -4:]
    for j in range(4):
        after = latents(model, x, (y + F.one_hot(torch.tensor(j), 4)) % 3)[:, -4:]
        torch.testing.assert_close(after[:, : j + 1], before[:, : j + 1], atol=1e-6, rtol=0)
        assert ((after - before)[:, j + 1 :].abs().amax((0, 2)) > 1e-3).all()


def test_the_likelihood_is_the_product_of_the_conditionals(autoregressive, any_spec, question):
    model, x, y = autoregressive(any_spec), question(any_spec, 3), torch.randint(3, (3, 4))
    every = torch.cartesian_prod(*[torch.arange(3)] * 4)
    log_p = model.log_prob(x[:, None], every)
    total = torch.zeros(3)
    for i in range(4):
        before, upto = ((every[:, :j] == y[:, None, :j]).all(-1) for j in (i, i + 1))
        mass = [log_p.masked_fill(~kept, -torch.inf).logsumexp(-1) for kept in (before, upto)]
        logits = model.decoder.logits(latents(model, x, y))[:, i - 4]
        conditional = logits.log_softmax(-1).gather(-1, y[:, i : i + 1])[:, 0]
        torch.testing.assert_close(mass[1] - mass[0], conditional, atol=1e-4, rtol=1e-4)
        total = total + conditional
    torch.testing.assert_close(model.log_prob(x, y), total)


@pytest.mark.parametrize("sizes", [[4, 1, 1, 1, 1], [1] * 8, [3, 5], [8]], ids=str)
@pytest.mark.parametrize("pair_bias", [False, True], ids=["plain", "pair bias"])
def test_a_sequence_in_parts_has_the_latents_of_the_whole(autoregressive, spec, sizes, pair_bias):
    model = autoregressive(spec, pair_bias=pair_bias)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_()
    sequence = torch.randint(7, (3, 8))
    whole = model.stack(model.tokens(sequence) + model.positions)
    caches = [Cache(8) for _ in model.stack]
    parts = [model._advance(part, caches) for part in sequence.split(sizes, -1)]
    torch.testing.assert_close(torch.cat(parts, -2), whole, atol=1e-5, rtol=1e-5)


def test_sampling_computes_each_token_of_question_and_answer_once(autoregressive, spec, batch):
    model, tokens = autoregressive(spec), []
    model.stack[0].mixer.qkv.register_forward_hook(lambda module, args, out: tokens.append(out.shape[:-1].numel()))
    model.sample(batch.x, 10)
    assert tokens == [3 * (1 + 4), 30, 30, 30]


def test_heads_that_do_not_divide_the_width_are_refused(spec):
    with pytest.raises(ValueError, match="dim=8 and heads=3"):
        gp.baselines.Autoregressive(spec, dim=8, heads=3)

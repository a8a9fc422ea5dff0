"""Direct prediction is a product of Categoricals, and its most probable answer is one answer."""

from functools import partial

import pytest
import torch

import gram_ppl as gp


def test_the_distribution_is_a_product_over_tokens(direct, spec, batch):
    model = direct(spec)
    tokens = model(batch.x).base_dist.logits.log_softmax(-1)
    product = sum(tokens[:, i].gather(-1, batch.y[:, i : i + 1])[:, 0] for i in range(4))
    torch.testing.assert_close(model.log_prob(batch.x, batch.y), product)


def test_a_greedy_draw_is_the_one_most_probable_answer(direct, any_spec, question):
    model, x = direct(any_spec), question(any_spec, 2, 3)
    every = torch.cartesian_prod(*[torch.arange(3)] * 4)
    best = every[model.log_prob(x[..., None, :], every).argmax(-1)]
    assert torch.equal(model.predict(x), best)
    drawn = model.draw(x, 7, chunk=5, greedy=True)
    assert torch.equal(drawn.y, best.expand(7, 2, 3, 4))
    assert len(model.sample(x, 50).unique(dim=0)) > 1


def test_a_greedy_draw_draws_nothing(direct, spec, batch):
    model = direct(spec)
    before = torch.get_rng_state()
    model.draw(batch.x, greedy=True)
    assert torch.equal(torch.get_rng_state(), before)
    model.draw(batch.x)
    assert not torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "mixer", [gp.nn.TokenMixer, partial(gp.nn.Attention, rope=False, pair_bias=True)], ids=["token mixer", "pair bias"]
)
def test_any_mixer_of_the_library_serves(direct, spec, batch, mixer):
    assert direct(spec, mixer=mixer).log_prob(*batch).shape == (3,)

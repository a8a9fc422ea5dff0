"""Questions about pairs of answer tokens, embedded onto the answer."""

import re
from functools import partial

import pytest
import torch

import gram_ppl as gp

SPEC = gp.TaskSpec(length=6, input_vocab=3, output_vocab=6, output_length=4)
PAIRS = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


@pytest.fixture
def encoder():
    return gp.PairEncoder(SPEC, 8, 2)


def test_each_token_sums_over_its_pairs(encoder):
    x = torch.randint(3, (6,))
    expected = encoder.positions.clone()
    for token, (i, j) in zip(x.tolist(), PAIRS, strict=True):
        expected[2 + i] += encoder.tokens[j, token]
        expected[2 + j] += encoder.tokens[i, token]
    torch.testing.assert_close(encoder(x), expected)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_leading_shapes_and_every_parameter(encoder, lead):
    e_x = encoder(torch.randint(3, (*lead, 6)))
    assert e_x.shape == (*lead, encoder.length, 8) == (*lead, 6, 8)
    e_x.square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_a_gram_with_it_has_a_latent_of_the_answers_tokens(build):
    gram = build(spec=SPEC, encoder=gp.PairEncoder)
    x, y = torch.randint(3, (5, 6)), torch.randint(6, (5, 4))
    rollout = gram.model(x, y)
    assert rollout.state.h.shape == (5, 4, 8)
    assert gram.guide(x, y).h.shape == (5, 4, 8)
    svi = gp.SVI(gram.model, gram.guide, torch.optim.SGD(gram.parameters(), 1e-3), gp.TruncatedELBO())
    svi.step(x, y)
    assert svi.state.h.shape == (5, 4, 8)
    assert gp.draw(gram, x, width=3, supervision_steps=2).y.shape == (3, 5, 4)


def test_the_direct_baseline_takes_it_too():
    direct = gp.baselines.Direct(SPEC, dim=8, layers=1, encoder=gp.PairEncoder)
    assert direct.log_prob(torch.ones(5, 6, dtype=torch.long), torch.zeros(5, 4, dtype=torch.long)).shape == (5,)


def test_a_question_without_pairs_is_refused():
    message = "one question token for each pair of answer tokens, n(n-1)/2 = 6 for n = 4, got 5"
    with pytest.raises(ValueError, match=re.escape(message)):
        gp.GRAM(gp.TaskSpec(5, 3, 3, output_length=4), dim=8, encoder=partial(gp.PairEncoder))

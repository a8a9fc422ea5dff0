"""Every family is a normalised distribution over answers, samples what it says and gives draws like a GRAM's."""

import pytest
import torch
from scipy.stats import chi2

import gram_ppl as gp

EVERY = torch.cartesian_prod(*[torch.arange(3)] * 4)  # the 81 answers of four tokens and three symbols
PLACE = torch.tensor([27, 9, 3, 1])


def test_probabilities_of_all_answers_sum_to_one(family, any_spec, question):
    total = family(any_spec).log_prob(question(any_spec, 5, 1), EVERY).logsumexp(-1)
    torch.testing.assert_close(total, torch.zeros(5), atol=1e-5, rtol=0)


def test_samples_follow_the_likelihood(family, any_spec, question):
    model, width = family(any_spec), 4000
    x = question(any_spec, 3)
    expected = width * model.log_prob(x[:, None], EVERY).exp()
    assert (expected - width / 81).abs().max() > 4 * (width / 81) ** 0.5  # a uniform sampler would not pass
    places = (model.sample(x, width, chunk=5000) * PLACE).sum(-1)
    seen = torch.stack([torch.bincount(column, minlength=81) for column in places.T])
    for row, wanted in zip(seen, expected, strict=True):
        assert_drawn_from(row, wanted)


def assert_drawn_from(seen, expected):
    """Compare counts with their expectation by chi-square; cells with fewer than five are taken together."""
    few = expected < 5
    seen, expected = (torch.cat((n[~few], n[few].sum()[None])) for n in (seen, expected))
    statistic = ((seen - expected).square() / expected.clamp(min=1e-9)).sum().item()
    low, high = chi2.ppf([1e-5, 1 - 1e-5], len(expected) - 1)
    assert low < statistic < high


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=str)
def test_leading_dimensions_are_a_batch(family, any_spec, question, lead):
    model, x, y = family(any_spec), question(any_spec, *lead), torch.randint(3, (*lead, 4))
    count = torch.Size(lead).numel()
    rows = [model.log_prob(*row) for row in zip(x.reshape(count, -1), y.reshape(count, -1), strict=True)]
    torch.testing.assert_close(model.log_prob(x, y).flatten(), torch.stack(rows), atol=1e-5, rtol=1e-5)
    drawn = model.draw(x, 5)
    assert drawn.y.shape == (5, *lead, 4) and torch.equal(drawn.x, x)
    assert (drawn.width, drawn.supervision_steps) == (5, 1)


def test_batch_shapes_of_question_and_answer_broadcast(family, any_spec, question):
    model, x, y = family(any_spec), question(any_spec, 3), torch.randint(3, (5, 3, 4))
    torch.testing.assert_close(model.log_prob(x, y), model.log_prob(x.expand(5, 3, -1), y), atol=1e-5, rtol=1e-5)


def test_a_blank_is_the_question_of_a_task_without_one(family):
    model = family(gp.TaskSpec(0, 0, 3, output_length=4))
    assert model.log_prob(gp.BLANK, EVERY).shape == (81,)
    assert model.sample(gp.BLANK, 5).shape == (5, 4)


def test_every_token_of_the_question_matters(family):
    model = family(gp.TaskSpec(length=5, input_vocab=2, output_vocab=3, output_length=4))
    x, y = torch.zeros(5, dtype=torch.long), torch.zeros(4, dtype=torch.long)
    changed = x + torch.eye(5, dtype=torch.long)
    assert (model.log_prob(changed, y) - model.log_prob(x, y)).abs().min() > 1e-3


def test_every_parameter_receives_a_gradient(family, any_spec, question):
    model = family(any_spec)
    model.log_prob(question(any_spec, 8), torch.randint(3, (8, 4))).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("chunk", [1, 2, 7, 15, 60])
def test_chunks_of_any_size_answer_every_question_in_its_place(family, any_spec, question, chunk):
    model, x = sure(family(any_spec)), question(any_spec, 2, 3)
    best = EVERY[model.log_prob(x[..., None, :], EVERY).argmax(-1)]
    assert torch.equal(model.sample(x, 11, chunk=chunk), best.expand(11, 2, 3, 4))


def sure(model):
    """Leave the model no doubt: its draws are then its most probable answers."""
    model.decoder.logits.out.weight.data.mul_(1e5)
    return model


def test_no_more_answers_than_the_chunk_are_drawn_at_once(family, any_spec, question):
    model, x = family(any_spec), question(any_spec, 3)
    drawn, sample = [], model._sample
    model._sample = lambda x, width: drawn.append(len(x) * width) or sample(x, width)
    for width, chunk in ((11, 12), (2, 4), (5, 4), (3, 1)):
        drawn.clear()
        model.sample(x, width, chunk=chunk)
        assert max(drawn) <= chunk and sum(drawn) == 3 * width


def test_a_larger_model_draws_fewer_answers_at_once(family, any_spec):
    assert family(any_spec, dim=16).footprint == 2 * family(any_spec).footprint


def test_drawn_answers_can_be_trained_on_and_the_model_is_as_it_was(family, any_spec, question):
    model, x = family(any_spec).train(), question(any_spec, 3)
    y = model.sample(x, 1)[0]
    assert not y.is_inference() and not y.requires_grad
    assert model.training and torch.is_grad_enabled() and all(p.grad is None for p in model.parameters())
    model.log_prob(x, y).sum().backward()
    y[0] = 0  # and edited


def test_a_checkpoint_brings_the_model_back(family, any_spec, question, tmp_path):
    first, second, x = family(any_spec), family(any_spec), question(any_spec, 3)
    gp.save_checkpoint(tmp_path / "model.safetensors", first)
    gp.load_checkpoint(tmp_path / "model.safetensors", second)
    y = torch.randint(3, (3, 4))
    assert torch.equal(first.log_prob(x, y), second.log_prob(x, y))


@pytest.mark.parametrize("name", ["width", "chunk"])
def test_a_count_below_one_is_refused(family, spec, batch, name):
    with pytest.raises(ValueError, match=f"{name} should be at least 1, got 0"):
        family(spec).draw(batch.x, **{name: 0})


def test_what_does_not_fit_the_task_is_refused(family, spec, batch):
    model = family(spec)
    with pytest.raises(ValueError, match="x should hold at least one question"):
        model.draw(batch.x[:0])
    with pytest.raises(ValueError, match=r"x should have shape \(\*, 4\)"):
        model.sample(batch.x[:, :3], 2)
    with pytest.raises(ValueError, match=r"x should have shape \(\*, 4\)"):
        model.log_prob(batch.x[:, :3], batch.y)
    with pytest.raises(ValueError, match=r"y should have shape \(\*, 4\)"):
        model.log_prob(batch.x, batch.y[:, :3])
    with pytest.raises(ValueError, match="batch shapes that broadcast"):
        model.log_prob(batch.x, batch.y[:2])

"""gp.draw is Pyro's Predictive, faster."""

import re
import weakref

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive

import gram_ppl as gp


def frequencies(y):
    return torch.nn.functional.one_hot(y, 3).float().mean(0)


class Echo(torch.nn.Module):
    """A backbone that proposes the question itself."""

    def forward(self, h, l, e_x):
        return e_x, l


def assert_one_distribution(first, second, width):
    """Compare 36 token frequencies of two independent sets of draws."""
    p, q = frequencies(first), frequencies(second)
    error = ((p * (1 - p) + q * (1 - q) + 1 / width) / width).sqrt()
    assert ((p - q) / error).abs().max() < 4.5


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("lead", [(3,), (2, 3)], ids=str)
def test_draws_are_predictives_at_one_seed(gram, steps, lead):
    x = torch.randint(3, (*lead, 4))
    torch.manual_seed(7)
    stock = Predictive(gram.model, num_samples=5, parallel=True)(x, supervision_steps=steps)["y"]
    torch.manual_seed(7)
    with torch.no_grad():
        for _ in range(2):  # Predictive first runs the program twice to learn its shapes
            gram.model(x, supervision_steps=steps)
    drawn = gp.draw(gram, x, width=5, supervision_steps=steps)
    assert torch.equal(drawn.y, stock)
    assert torch.equal(drawn.x, x) and (drawn.width, drawn.supervision_steps) == (5, steps)


def test_draws_are_the_program_under_a_plate_at_one_seed(gram, batch):
    torch.manual_seed(7)
    with torch.no_grad(), poutine.trace(), pyro.plate("width", 5, dim=-2):
        y = gram.model(batch.x, supervision_steps=2).y
    torch.manual_seed(7)
    assert torch.equal(gp.draw(gram, batch.x, width=5, supervision_steps=2).y, y)


def test_a_single_question_needs_no_batch(gram):
    assert gp.draw(gram, torch.tensor([0, 1, 2, 0]), width=5, supervision_steps=1).y.shape == (5, 4)


def test_an_unconditional_model_draws_answers_to_nothing(build):
    gram = build(spec=gp.TaskSpec(0, 0, 3, output_length=4))
    assert gp.draw(gram, gp.BLANK, width=5, supervision_steps=1).y.shape == (5, 4)
    assert gp.draw(gram, gp.BLANK.expand(3, 0), width=5, supervision_steps=1, chunk=6).y.shape == (5, 3, 4)


@pytest.mark.parametrize("chunk", [1, 2, 7, 15, 60])
def test_chunks_of_any_size_answer_every_question_in_its_place(build, chunk):
    gram = build(backbone=lambda *sizes: Echo(), noise=None)
    gram.encoder.positions.data.zero_()
    gram.encoder.tokens.weight.data.copy_(100 * torch.eye(3, 8))
    gram.decoder.logits = torch.nn.Linear(8, 3, bias=False)
    gram.decoder.logits.weight.data.copy_(torch.eye(3, 8))
    x = torch.randint(3, (2, 3, 4))
    y = gp.draw(gram, x, width=11, supervision_steps=1, chunk=chunk).y
    assert torch.equal(y, x.expand(11, 2, 3, 4))


def test_chunks_draw_from_the_distribution_of_the_whole(gram, batch):
    width = 2000
    whole = gp.draw(gram, batch.x, width=width, supervision_steps=2)
    chunked = gp.draw(gram, batch.x, width=width, supervision_steps=2, chunk=3 * 300)
    assert_one_distribution(whole.y, chunked.y, width)


def test_no_more_trajectories_than_the_chunk_are_in_flight(gram, batch):
    rows = []
    gram.decoder.register_forward_hook(lambda module, args, out: rows.append(args[0].shape[:-2].numel()))
    for width, chunk in ((11, 12), (2, 4), (5, 4), (3, 1)):
        rows.clear()
        gp.draw(gram, batch.x, width=width, supervision_steps=1, chunk=chunk)
        assert max(rows) <= chunk and sum(rows) == 3 * width


def test_the_loop_multiplies_cost_by_width_only_after_the_first_noise(gram, batch):
    rows = []
    gram.backbone.f_h.register_forward_hook(lambda module, args, out: rows.append(out.shape[:-2].numel()))
    gp.draw(gram, batch.x, width=5, supervision_steps=2)
    assert rows == [3, 15, 15, 15]


@pytest.mark.parametrize("width", [1, 16])
def test_a_deterministic_reasoner_gives_one_answer_at_any_width(build, batch, width):
    gram = build(noise=None)
    gram.decoder.logits.out.weight.data.mul_(1e4)  # the decoder has no doubt left
    y = gp.draw(gram, batch.x, width=width, supervision_steps=2).y
    assert (y == y[0]).all()


def test_a_noisy_reasoner_gives_several_answers_even_without_doubt_in_the_decoder(gram, batch):
    gram.decoder.logits.out.weight.data.mul_(1e4)
    y = gp.draw(gram, batch.x, width=64, supervision_steps=2).y
    assert len(y.unique(dim=0)) > 1


def test_draws_change_with_depth(gram, batch):
    deep, shallow = (gp.draw(gram, batch.x, width=500, supervision_steps=n).y for n in (4, 1))
    assert (frequencies(deep) - frequencies(shallow)).abs().max() > 0.05


def test_drawn_answers_can_be_trained_on(gram, batch):
    y = gp.draw(gram, batch.x, width=1, supervision_steps=1).y[0]
    assert not y.is_inference() and not y.requires_grad
    gp.TruncatedELBO().loss_and_grads(gram.model, gram.guide, batch.x, y)
    y[0] = 0  # and edited


def test_no_graph_is_built(gram, batch):
    wanted = []
    for network in (gram.backbone, gram.decoder):
        network.register_forward_pre_hook(lambda module, args: wanted.append(any(z.requires_grad for z in args)))
    gp.draw(gram, batch.x, width=2, supervision_steps=1)
    assert wanted == [False] * 3


def test_nothing_but_the_current_state_is_kept(gram, batch):
    def most_alive(steps):
        outputs, counts = [], []

        def count(module, args, out):
            outputs.append(weakref.ref(out))
            counts.append(sum(ref() is not None for ref in outputs))

        networks = (gram.backbone.f_l, gram.backbone.f_h, gram.noise.prior_head)
        handles = [network.register_forward_hook(count) for network in networks]
        gp.draw(gram, batch.x, width=9, supervision_steps=steps)
        for handle in handles:
            handle.remove()
        assert len(outputs) == 2 * 3 * steps
        return max(counts)

    assert most_alive(1) == most_alive(6) < 6


def test_drawing_leaves_the_model_as_it_was(gram, batch):
    before = {name: value.clone() for name, value in gram.state_dict().items()}
    gram.train()
    gp.draw(gram, batch.x, width=2, supervision_steps=1)
    assert gram.training and torch.is_grad_enabled()
    assert all(torch.equal(value, before[name]) for name, value in gram.state_dict().items())
    assert all(p.grad is None for p in gram.parameters())


@pytest.mark.parametrize("name", ["width", "supervision_steps", "chunk"])
def test_a_count_below_one_is_refused(gram, batch, name):
    with pytest.raises(ValueError, match=re.escape(f"{name} should be at least 1, got 0")):
        gp.draw(gram, batch.x, **{name: 0})


def test_no_question_is_refused(gram, batch):
    with pytest.raises(ValueError, match="at least one question"):
        gp.draw(gram, batch.x[:0])

"""The published reasoners and the rows of the paper's ablation table, as compositions of GRAM."""

from functools import partial

import pytest
import torch

import gram_ppl as gp
from gram_ppl.model.presets import gram, hrm, looped_transformer, trm
from gram_ppl.nn import TokenMixer

TINY = {"spec": gp.TaskSpec(4, 3, 3), "dim": 16, "hidden": 16, "transitions": 2, "refinements": 2, "registers": 2}
TOKENS = partial(TokenMixer, hidden=512)
FLAT = partial(gp.Flat, layers=2, hidden=16, mixer=partial(gp.nn.Attention, heads=8))
ARGMAX = partial(gp.Decoder, token=gp.Greedy)

DETERMINISTIC = {
    "looped transformer": looped_transformer,
    "hrm": hrm,
    "trm": trm,
    "trm of tokens": partial(trm, mixer=TOKENS),
    "no guidance": partial(gram, noise=None, decoder=ARGMAX),
    "mean only": partial(gram, noise=gp.MeanOnly, decoder=ARGMAX),
}
STOCHASTIC = {
    "trm, sampled answer": partial(trm, decoder=gp.LinearDecoder),
    "trm, random z_0": partial(trm, start=gp.standard_normal),
    "gram": gram,
    "gram of tokens": partial(gram, mixer=TOKENS),
    "flat": partial(gram, backbone=FLAT),
    "noise only": partial(gram, noise=gp.NoiseOnly, decoder=ARGMAX),
    "guidance, argmax": partial(gram, decoder=ARGMAX),
}
EVERY = DETERMINISTIC | STOCHASTIC


def tiny(make, seed=1):
    """Build a small one whose noise heads have left zero and whose z_0 and answers tell trajectories apart."""
    torch.manual_seed(seed)
    reasoner = make(**TINY)
    for name, parameter in reasoner.named_parameters():
        if name.startswith("noise"):
            parameter.data.add_(0.3 * torch.randn_like(parameter))
    return reasoner


@pytest.fixture(params=EVERY.values(), ids=EVERY.keys())
def make(request):
    return request.param


def question(*lead):
    return torch.randint(3, (*lead, 4))


def millions(make, spec):
    with torch.device("meta"):
        return sum(p.numel() for p in make(spec).parameters()) / 1e6


SUDOKU, QUEENS = gp.TaskSpec(81, 11, 11), gp.TaskSpec(64, 3, 3)
# Without the halting head of the published ones, two linear outputs with a bias: 0.001 M, which changes no digit here.
SIZES = {
    "trm of tokens": (partial(trm, mixer=TOKENS), SUDOKU, 5.03, 0.005),
    "trm": (trm, SUDOKU, 6.83, 0.005),
    "hrm": (hrm, SUDOKU, 27.3, 0.05),
    "looped transformer": (looped_transformer, SUDOKU, 6.83, 0.005),
    "gram": (gram, QUEENS, 10.0, 0.05),
    "gram without guidance": (partial(gram, noise=None), QUEENS, 7.9, 0.05),
    "gram without guidance, linear": (partial(gram, noise=None, decoder=gp.LinearDecoder), QUEENS, 7.4, 0.05),
}


@pytest.mark.parametrize(("make", "spec", "published", "precision"), SIZES.values(), ids=SIZES.keys())
def test_a_preset_has_the_published_size(make, spec, published, precision):
    assert millions(make, spec) == pytest.approx(published, abs=precision)


def test_a_published_latent_has_97_tokens():
    assert all(
        make(SUDOKU, dim=8).encoder.length == 81 + 16
        for make in (partial(trm, mixer=TOKENS), partial(gram, mixer=TOKENS))
    )


def test_the_networks_of_hrm_are_two_and_that_of_trm_is_one():
    two, one, flat = (tiny(make).backbone for make in (hrm, trm, looped_transformer))
    assert two.f_l is not two.f_h and one.f_l is one.f_h
    assert (len(two.f_l), len(one.f_l), len(flat.f)) == (4, 2, 2)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=str)
def test_leading_dimensions_are_a_batch(make, lead):
    assert tiny(make)(question(*lead), supervision_steps=2).y.shape == (*lead, 4)


def test_every_parameter_receives_a_gradient(make):
    reasoner = tiny(make)
    gp.TruncatedELBO().loss_and_grads(reasoner.model, reasoner.guide, question(6), question(6))
    assert [n for n, p in reasoner.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == []


def test_a_checkpoint_carries_the_whole_preset(make, tmp_path):
    first, second = tiny(make), tiny(make, seed=2)
    gp.save_checkpoint(tmp_path / "best.safetensors", first)
    gp.load_checkpoint(tmp_path / "best.safetensors", second)
    x, states = question(3), []
    for reasoner in (first, second):
        torch.manual_seed(4)
        states.append(reasoner.model(x).state)
    assert torch.equal(states[0].h, states[1].h)


def test_repr_names_the_decoder_and_the_guidance(make):
    reasoner = tiny(make)
    story = repr(reasoner).splitlines()
    assert story[-1].strip() == reasoner.decoder.story()[0]
    assert ("    h   = u + eps" in story) == (reasoner.noise is not None)


def distinct(reasoner, width, chunk=None):
    drawn = gp.draw(reasoner, torch.tensor([[0, 1, 2, 0], [2, 2, 1, 0]]), width=width, supervision_steps=2, chunk=chunk)
    return [len(y.unique(dim=0)) for y in drawn.y.unbind(1)]


@pytest.mark.parametrize("make", DETERMINISTIC.values(), ids=DETERMINISTIC.keys())
@pytest.mark.parametrize(("width", "chunk"), [(1, None), (64, None), (64, 7)])
def test_a_deterministic_preset_has_one_answer_at_any_width(make, width, chunk):
    assert distinct(tiny(make), width, chunk) == [1, 1]


@pytest.mark.parametrize("make", STOCHASTIC.values(), ids=STOCHASTIC.keys())
def test_a_stochastic_preset_has_several_answers(make):
    assert min(distinct(tiny(make), 64)) > 1


def test_an_unknown_change_is_refused():
    with pytest.raises(TypeError, match="layer_norm"):
        trm(gp.TaskSpec(4, 3, 3), layer_norm=True)

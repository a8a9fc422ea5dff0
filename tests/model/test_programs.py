"""The contract of the model and the guide, for every backbone, mixer, noise and encoder."""

import itertools
import re
from functools import partial

import pytest
import torch
from pyro import poutine

import gram_ppl as gp
from gram_ppl.nn import Attention, TokenMixer

MIXERS = {
    "rope": partial(Attention, heads=2),
    "pair bias": partial(Attention, heads=2, rope=False, pair_bias=True),
    "tokens": TokenMixer,
}
BACKBONES = {"separate": gp.Hierarchical, "shared": partial(gp.Hierarchical, shared=True), "flat": gp.Flat}
NOISES = {"gaussian": gp.Gaussian, "none": None}
SPECS = {
    "same tokens": gp.TaskSpec(4, 3, 3),
    "own tokens": gp.TaskSpec(5, 3, 3, output_length=4),
    "blank": gp.TaskSpec(0, 0, 3, output_length=4),
}
CHANGES = {
    "noise only": {"noise": gp.NoiseOnly},
    "mean only": {"noise": gp.MeanOnly},
    "random z_0": {"start": gp.standard_normal},
    "random z_0 alone": {"start": gp.standard_normal, "noise": None},
    "no positions": {"encoder": partial(gp.Encoder, positions=False)},
    "linear decoder": {"decoder": gp.LinearDecoder},
    "argmax": {"decoder": partial(gp.Decoder, token=gp.Greedy)},
}


def compose(backbone, mixer, noise, registers, spec):
    """Return constructor arguments; K = 2, so that the last call of a transition is not the second."""
    return {
        "spec": SPECS[spec],
        "backbone": partial(BACKBONES[backbone], layers=1, mixer=MIXERS[mixer]),
        "noise": NOISES[noise],
        "registers": registers,
        "refinements": 2,
    }


EVERY = [
    pytest.param(compose(*case), id="-".join(map(str, case)))
    for case in itertools.product(BACKBONES, MIXERS, NOISES, (0, 2), SPECS)
] + [
    pytest.param(compose("separate", "rope", "gaussian", 2, spec) | CHANGES[change], id=f"{change}-{spec}")
    for change, spec in itertools.product(CHANGES, SPECS)
]


@pytest.fixture(params=EVERY)
def options(request):
    """Constructor arguments of every composition, and of every single change of one of them."""
    return request.param


@pytest.fixture
def any_gram(build, options):
    return build(**options)


def question(gram, *lead):
    return torch.randint(3, (*lead, gram.spec.length))


def trace(program, *args, **kwargs):
    return poutine.trace(program).get_trace(*args, **kwargs)


def sites(tr):
    return {n: s["value"].shape for n, s in tr.nodes.items() if s["type"] == "sample" and not n.startswith("batch")}


def latent_shapes(gram, lead, count):
    event = (gram.encoder.registers + gram.spec.latent_length, 8)
    start = {} if gram.start is None else {"z_0": (*lead, 2, 8)}
    return start if gram.noise is None else start | {f"eps_{t}": (*lead, *event) for t in range(count)}


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=str)
def test_sites_have_their_names_and_shapes(any_gram, lead):
    x, y = question(any_gram, *lead), torch.randint(3, (*lead, 4))
    latent = latent_shapes(any_gram, lead, 2)
    assert sites(trace(any_gram.model, x)) == latent | {"y": (*lead, 4)}
    assert sites(trace(any_gram.model, x, y)) == latent | {"y": (*lead, 4)}
    assert sites(trace(any_gram.guide, x, y)) == latent


def test_every_parameter_receives_a_gradient(any_gram):
    gp.TruncatedELBO().loss_and_grads(any_gram.model, any_gram.guide, question(any_gram, 3), torch.randint(3, (3, 4)))
    silent = [n for n, p in any_gram.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert silent == []


def test_a_state_dict_carries_the_whole_model(build, options):
    first, second = build(**options), build(**options, seed=2)
    x = question(first, 3)
    assert not torch.equal(first.z_0, second.z_0)
    second.load_state_dict(first.state_dict())
    answers = []
    for gram in (first, second):
        torch.manual_seed(4)
        answers.append(gram.model(x, supervision_steps=2))
    assert torch.equal(answers[0].state.h, answers[1].state.h)
    assert torch.equal(answers[0].y, answers[1].y)


def test_repr_tells_the_generative_story(any_gram, options):
    story = repr(any_gram)
    assert ("    eps " in story) == ("h   = u + eps" in story) == (options["noise"] is not None)
    assert ("eps ~ Normal(mu(u), sigma(u))" in story) == (options["noise"] is gp.Gaussian)
    assert ("z_0 ~ p(z_0)" in story) == ("start" in options)
    assert ("y   ~ Categorical(Decoder(h))" in story) == ("decoder" not in options)
    assert ("p(y | BLANK)" in story) == (options["spec"].length == 0)
    hierarchical = isinstance(any_gram.backbone, gp.Hierarchical)
    assert ("l   = f_L(l + h + e_x)   K = 2 times" in story) == hierarchical
    assert ("u   = f_H(h + l)" in story) == (hierarchical and any_gram.backbone.f_h is not any_gram.backbone.f_l)
    assert ("K + 1 = 3 times" in story) == (not hierarchical)


def test_z_0_is_one_fixed_draw_in_the_state_dict_and_not_a_parameter(gram, batch):
    before = gram.z_0.clone()
    gp.TruncatedELBO().loss_and_grads(gram.model, gram.guide, *batch)
    assert torch.equal(gram.state_dict()["z_0"], before)
    assert "z_0" not in dict(gram.named_parameters())
    state = gram.initial_state(batch.x)
    assert torch.equal(state.h, before[0].expand(3, 4, 8)) and torch.equal(state.l, before[1].expand(3, 4, 8))


@pytest.mark.parametrize("program", ["model", "guide"])
def test_two_supervision_steps_are_two_calls_chained_by_the_state(gram, batch, program):
    run = getattr(gram, program)

    def terminal(**kwargs):
        returned = run(*batch, **kwargs)
        return returned.state if program == "model" else returned

    torch.manual_seed(4)
    together = terminal(supervision_steps=2)
    torch.manual_seed(4)
    chained = terminal(state=terminal())
    assert torch.equal(together.h, chained.h) and torch.equal(together.l, chained.l)


def test_a_rollout_names_the_answer_its_distribution_and_the_state(gram, batch):
    torch.manual_seed(4)
    rollout = gram.model(batch.x)
    torch.manual_seed(4)
    nodes = trace(gram.model, batch.x).nodes
    assert torch.equal(rollout.y, nodes["y"]["value"])
    torch.testing.assert_close(gram.decode(rollout.state.h).log_prob(batch.y), rollout.p_y.log_prob(batch.y))
    assert gram.model(*batch).y is batch.y


def test_the_terminal_state_is_proposal_plus_noise(gram, batch):
    nodes = trace(gram.model, batch.x).nodes
    state, e_x = gram.initial_state(batch.x), gram.encoder(batch.x)
    for t in range(2):
        u, l = gram.backbone(*state, e_x)
        torch.testing.assert_close(nodes[f"eps_{t}"]["fn"].loc, gram.noise.prior(u).loc)
        state = gp.State(u + nodes[f"eps_{t}"]["value"], l)
    torch.testing.assert_close(nodes["_RETURN"]["value"].state.h, state.h)
    torch.testing.assert_close(nodes["y"]["fn"].base_dist.logits, gram.decode(state.h).base_dist.logits)


@pytest.mark.parametrize("shared", [False, True])
def test_a_hierarchical_transition_refines_k_times_and_proposes_once(shared):
    net = gp.Hierarchical(8, 4, 2, mixer=TokenMixer, shared=shared)
    h, l, e_x = torch.randn(3, 3, 4, 8)
    refined = net.f_l(net.f_l(l + h + e_x) + h + e_x)
    u, l = net(h, l, e_x)
    torch.testing.assert_close(l, refined)
    torch.testing.assert_close(u, net.f_h(h + refined))
    assert (net.f_h is net.f_l) == shared


def test_a_flat_transition_loops_one_network_k_plus_one_times():
    net = gp.Flat(8, 4, 2, mixer=TokenMixer)
    h, l, e_x = torch.randn(3, 3, 4, 8)
    u, passed = net(h, l, e_x)
    torch.testing.assert_close(u, net.f(net.f(net.f(h + e_x) + e_x) + e_x))
    assert passed is l


def test_the_guide_reads_the_answer_and_the_model_does_not(gram, batch):
    other = (batch.y + 1) % 3
    q, q_other = (trace(gram.guide, batch.x, y).nodes["eps_0"]["fn"].loc for y in (batch.y, other))
    p, p_other = (trace(gram.model, batch.x, y).nodes["eps_0"]["fn"].loc for y in (batch.y, other))
    assert (q - q_other).abs().max() > 1e-3
    assert torch.equal(p, p_other)


def test_registers_have_no_answer_and_see_the_question(build):
    gram = build(registers=2)
    x = torch.zeros(1, 4, dtype=torch.long)
    assert torch.equal(gram.target(x)[:, :2], torch.zeros(1, 2, 8))
    h = torch.randn(1, 6, 8)
    torch.testing.assert_close(gram.decode(h).base_dist.logits, gram.decoder.logits(h[:, 2:]).log_softmax(-1))
    registers = [gram.backbone(*gram.initial_state(x), gram.encoder(x + i))[0][:, :2] for i in range(2)]
    assert (registers[0] - registers[1]).abs().max() > 1e-3


def test_a_blank_question_answers_with_its_batch_shape(build):
    gram = build(spec=gp.TaskSpec(0, 0, 3, output_length=4))
    assert gram(gp.BLANK).y.shape == (4,)
    assert gram(gp.BLANK.expand(2, 3, 0)).y.shape == (2, 3, 4)


LONG = torch.long
WRONG_QUESTIONS = {
    "length": (torch.zeros(3, 5, dtype=LONG), "x should have shape (*, 4), got (3, 5)"),
    "float": (torch.zeros(3, 4), "x should hold integer tokens, got torch.float32"),
    "bool": (torch.zeros(3, 4, dtype=torch.bool), "x should hold integer tokens, got torch.bool"),
    "too large": (torch.full((3, 4), 3), "x should hold tokens in 0..2, got 3..3"),
    "negative": (torch.full((3, 4), -1), "x should hold tokens in 0..2, got -1..-1"),
    "blank": (gp.BLANK.expand(3, 0), "x should have shape (*, 4), got (3, 0)"),
}


@pytest.mark.parametrize(("x", "message"), WRONG_QUESTIONS.values(), ids=WRONG_QUESTIONS.keys())
def test_a_wrong_question_is_refused_by_model_guide_and_draw(gram, batch, x, message):
    for program in (gram.model, gram, lambda x: gram.guide(x, batch.y), lambda x: gp.draw(gram, x)):
        with pytest.raises(ValueError, match=re.escape(message)):
            program(x)


@pytest.mark.parametrize("case", ["length", "float", "bool", "too large", "negative"])
def test_a_wrong_answer_is_refused_by_model_and_guide(gram, batch, case):
    y, message = WRONG_QUESTIONS[case]
    for program in (gram.model, gram.guide):
        with pytest.raises(ValueError, match=re.escape(message.replace("x should", "y should"))):
            program(batch.x, y)


def test_tokens_to_an_unconditional_model_are_refused(build, batch):
    with pytest.raises(ValueError, match=re.escape("x should be gp.BLANK (the task has no question), got (3, 4)")):
        build(spec=gp.TaskSpec(0, 0, 3, output_length=4)).model(batch.x)


@pytest.mark.parametrize("spec", ["same tokens", "own tokens"])
def test_a_model_given_its_question_is_the_same_program_without_question(build, spec):
    gram = build(spec=SPECS[spec], registers=2)
    x = question(gram)
    generator = gram.given(x)
    assert generator.spec == gp.TaskSpec(0, 0, 3, output_length=4)
    for ask in ({}, {"y": torch.randint(3, (4,))}):
        torch.manual_seed(3)
        conditional = trace(gram.model, x, **ask)
        torch.manual_seed(3)
        unconditional = trace(generator.model, gp.BLANK, **ask)
        assert conditional.log_prob_sum() == unconditional.log_prob_sum()
        assert torch.equal(conditional.nodes["y"]["value"], unconditional.nodes["y"]["value"])
    before = gram.encoder(x).clone()
    generator.encoder.e_x.data.zero_()
    assert torch.equal(gram.encoder(x), before)


def test_more_than_one_question_cannot_be_given(gram, batch):
    with pytest.raises(ValueError, match=re.escape("given takes one question (4,), got (3, 4)")):
        gram.given(batch.x)


def test_a_guide_without_an_answer_is_refused(gram, batch):
    with pytest.raises(ValueError, match="needs the answer y"):
        gram.guide(batch.x)


@pytest.mark.parametrize("steps", [0, -1])
def test_fewer_than_one_supervision_step_is_refused(gram, batch, steps):
    for program in (gram.model, gram.guide):
        with pytest.raises(ValueError, match=f"supervision_steps should be at least 1, got {steps}"):
            program(*batch, supervision_steps=steps)


@pytest.mark.parametrize(("name", "value"), [("dim", 0), ("transitions", 0), ("refinements", 0), ("registers", -1)])
def test_an_impossible_size_is_refused(build, name, value):
    with pytest.raises(ValueError, match=f"GRAM needs {name} of at least"):
        build(**{name: value})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 3, 3), "length"), ((4, -1, 3), "input_vocab"), ((4, 3, 0), "output_vocab"), ((4, 3, 3, (2, 3)), "holds 6")],
)
def test_an_impossible_task_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        gp.TaskSpec(*arguments)


def test_batches_that_do_not_match_are_refused(gram, batch):
    for program in (gram.model, gram.guide):
        with pytest.raises(ValueError, match=r"broadcast, got \(3,\) and \(2,\)"):
            program(batch.x, batch.y[:2])

"""Pyro's handlers mean on a GRAM what they mean on any program."""

from contextlib import ExitStack

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.contrib.autoname import scope

import gram_ppl as gp


def trace(program, *args, **kwargs):
    return poutine.trace(program).get_trace(*args, **kwargs)


def latents(tr):
    return [name for name, site in tr.nodes.items() if site["type"] == "sample" and "eps" in name]


def next_prior(gram, x, eps):
    """Return the prior of the transition after ``eps``, in plain torch."""
    u, l = gram.backbone(*gram.initial_state(x), gram.encoder(x))
    u, _ = gram.backbone(u + eps, l, gram.encoder(x))
    return gram.noise.prior(u)


def test_log_prob_is_the_joint_density(gram, batch, densities):
    tr = trace(gram.model, *batch)
    log_p, log_q = densities(gram, *batch, [tr.nodes[f"eps_{t}"]["value"] for t in range(2)])
    torch.testing.assert_close(tr.log_prob_sum(), log_p.sum())
    replayed = trace(poutine.replay(gram.guide, trace=tr), *batch)
    torch.testing.assert_close(replayed.log_prob_sum(), log_q.sum())


def test_condition_clamps_a_site_and_recomputes_what_follows(gram, batch):
    eps = torch.randn(3, 4, 8)
    nodes = trace(poutine.condition(gram.model, {"eps_0": eps}), batch.x).nodes
    assert nodes["eps_0"]["is_observed"] and not nodes["eps_1"]["is_observed"]
    torch.testing.assert_close(nodes["eps_1"]["fn"].loc, next_prior(gram, batch.x, eps).loc)


def test_do_cuts_a_site_off_its_prior_and_moves_what_follows(gram, batch):
    eps = torch.randn(3, 4, 8)
    intervened = trace(poutine.do(gram.model, {"eps_0": eps}), batch.x)
    torch.testing.assert_close(intervened.nodes["eps_1"]["fn"].loc, next_prior(gram, batch.x, eps).loc)


def test_uncondition_samples_the_answer_again(gram, batch):
    tr = trace(poutine.uncondition(gram.model), *batch)
    assert not tr.nodes["y"]["is_observed"]
    assert not torch.equal(tr.nodes["y"]["value"], batch.y)


def test_block_hides_a_site(gram, batch):
    assert latents(trace(poutine.block(gram.model, hide=["eps_0"]), *batch)) == ["eps_1"]


def test_replay_repeats_the_run(gram, batch):
    first = trace(gram.model, batch.x)
    again = trace(poutine.replay(gram.model, trace=first), batch.x)
    assert torch.equal(first.nodes["_RETURN"]["value"].state.h, again.nodes["_RETURN"]["value"].state.h)
    assert torch.equal(first.nodes["y"]["value"], again.nodes["y"]["value"])


def test_a_masked_row_has_no_density(gram, batch, densities):
    keep = torch.tensor([True, False, True])
    tr = trace(poutine.mask(gram.model, mask=keep), *batch)
    log_p, _ = densities(gram, *batch, [tr.nodes[f"eps_{t}"]["value"] for t in range(2)])
    torch.testing.assert_close(tr.log_prob_sum(), log_p[keep].sum())


def test_scale_multiplies_the_density(gram, batch, densities):
    tr = trace(poutine.scale(gram.model, scale=0.25), *batch)
    log_p, _ = densities(gram, *batch, [tr.nodes[f"eps_{t}"]["value"] for t in range(2)])
    torch.testing.assert_close(tr.log_prob_sum(), 0.25 * log_p.sum())


def test_a_scope_and_a_scale_reach_every_site(gram, batch):
    with poutine.trace() as tr, scope(prefix="board"), poutine.scale(scale=0.5):
        gram(batch.x)
    assert latents(tr.trace) == ["board/eps_0", "board/eps_1"]
    assert {tr.trace.nodes[name]["scale"] for name in ("board/eps_0", "board/eps_1", "board/y")} == {0.5}


def test_a_name_prefixes_every_site(gram, batch):
    plain, named = trace(gram, *batch).nodes, trace(gram, *batch, name="board").nodes
    sampled = [name for name, site in plain.items() if site["type"] == "sample"]
    assert [name for name, site in named.items() if site["type"] == "sample"] == [f"board/{name}" for name in sampled]


def test_two_named_grams_live_in_one_program(build, batch):
    first, second = build(), build(seed=2)

    def program():
        return second(first(batch.x, name="first").y, name="second")

    tr = trace(program)
    assert latents(tr) == ["first/eps_0", "first/eps_1", "second/eps_0", "second/eps_1"]
    parameters = [name for name, site in tr.nodes.items() if site["type"] == "param"]
    assert len(parameters) == len(list(first.parameters())) + len(list(second.parameters()))


@pytest.mark.parametrize("sizes", [(5,), (5, 2)], ids=["one", "two"])
def test_outer_plates_widen_every_site(gram, batch, sizes):
    def program():
        with ExitStack() as stack:
            for i, size in enumerate(sizes):
                stack.enter_context(pyro.plate(f"outer_{i}", size, dim=-2 - i))
            gram(*batch)

    lead = (*reversed(sizes), 3)
    tr = trace(program)
    tr.compute_log_prob()
    for name in latents(tr):
        value = tr.nodes[name]["value"]
        assert value.shape == (*lead, 4, 8) and tr.nodes[name]["log_prob"].shape == lead
        assert len(value.flatten(0, -3).unique(dim=0)) == torch.Size(lead).numel()
    assert tr.nodes["y"]["log_prob"].shape == lead
    assert tr.nodes["y"]["fn"].shape() == (*lead, 4)


def test_an_outer_plate_gives_every_slice_the_density_of_its_own_run(gram, batch, densities):
    def program():
        with pyro.plate("outer", 5, dim=-2):
            gram(*batch)

    tr = trace(program)
    tr.compute_log_prob()
    total = sum(tr.nodes[name]["log_prob"] for name in ("eps_0", "eps_1", "y"))
    torch.testing.assert_close(total, densities(gram, *batch, [tr.nodes[f"eps_{t}"]["value"] for t in range(2)])[0])


def test_work_before_the_first_sample_is_not_repeated_over_an_outer_plate(gram, batch):
    rows = []
    gram.backbone.f_h.register_forward_hook(lambda module, args, out: rows.append(out.shape[:-2].numel()))
    with pyro.plate("outer", 5, dim=-2):
        gram(batch.x)
    assert rows == [3, 15]


def test_the_batch_plate_of_a_caller_is_reused(gram, batch):
    def program():
        with pyro.plate("puzzles", 3, dim=-1):
            bias = pyro.sample("bias", dist.Normal(0.0, 1.0))
            return bias, gram(*batch)

    tr = trace(program)
    assert "batch" not in tr.nodes
    assert [frame.name for frame in tr.nodes["eps_0"]["cond_indep_stack"]] == ["puzzles"]


def test_every_site_is_independent_over_the_batch(gram, batch):
    for name in ("eps_0", "eps_1", "y"):
        (frame,) = trace(gram.model, *batch).nodes[name]["cond_indep_stack"]
        assert (frame.dim, frame.size) == (-1, 3)


def test_a_trained_generator_is_the_prior_of_a_larger_program(build):
    gram = build(spec=gp.TaskSpec(0, 0, 3, output_length=4))
    image = torch.randn(4)

    def camera(image):
        board = gram(gp.BLANK, name="board")
        with pyro.plate("cells", 4):
            pyro.sample("pixels", dist.Normal(board.y.float(), 1.0), obs=image)
        return board.y

    importance = pyro.infer.Importance(camera, num_samples=5)
    importance.run(image)
    for tr, weight in zip(importance.exec_traces, importance.log_weights, strict=True):
        y = tr.nodes["board/y"]["value"].float()
        torch.testing.assert_close(
            torch.as_tensor(weight), dist.Normal(y, 1.0).log_prob(image).sum(), atol=1e-4, rtol=1e-4
        )

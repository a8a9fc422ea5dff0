"""gp.fit is reproducible, keeps its best weights, stops politely and says when the answer leaks."""

import json
import logging

import pytest
import torch

import gram_ppl as gp
from gram_ppl.train.run import Clock


def weights(gram):
    return {name: value.clone() for name, value in gram.state_dict().items()}


def equal(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_one_seed_gives_one_result_whatever_the_global_generator(build, task, short):
    grams = [build() for _ in range(3)]
    rows = []
    for gram, seed in zip(grams, (3, 3, 4), strict=True):
        torch.rand(seed)
        rows.append([row | {"seconds": 0} for row in gp.fit(gram, task, seed=seed, **short).history])
    assert equal(weights(grams[0]), weights(grams[1])) and rows[0] == rows[1]
    assert not equal(weights(grams[0]), weights(grams[2]))


def test_the_loss_falls_and_the_prior_coordinates_its_tokens(task, backbone):
    gram = gp.GRAM(task.spec, dim=16, transitions=2, refinements=1, backbone=backbone)
    judge = gp.Judge(puzzles=64, width=8, supervision_steps=2)
    loss = gp.TruncatedELBO(kl_weight=1.0, kl_balance=0.8)
    options = {"lr": 2e-2, "warmup": 10, "ema": 0.95, "batch_size": 32, "progress": False}
    run = gp.fit(gram, task, updates=150, loss=loss, judge=judge, judge_every=50, **options)
    error = (0.25 / 64) ** 0.5  # of a share over 64 questions, at most
    independent = 2 * 0.5**4  # share of valid answers when each token picks its offset alone
    assert run.history[-1]["loss"] < 0.7 * run.history[0]["loss"]
    assert run.best["prior_accuracy"] > independent + 4 * error
    assert abs(judge(gram, task).prior_accuracy - run.best["prior_accuracy"]) < 4 * error


def test_history_has_a_row_at_every_look_and_one_after_the_last_update(gram, task, short, tmp_path):
    run = gp.fit(gram, task, folder=tmp_path, **short)
    assert [row["update"] for row in run.history] == [5, 10, 12]
    for row in run.history:
        assert list(row) == [
            *("update", "seconds", "loss", "nll", "grad_norm"),
            *("prior_accuracy", "posterior_accuracy", "kl"),
        ]
        assert len(row["kl"]) == 2 * 2
    assert json.loads((tmp_path / "history.json").read_text()) == run.history


def test_losses_are_in_nats_per_puzzle(gram, task, short):
    run = gp.fit(gram, task, lr=0.0, **short | {"updates": 40, "judge_every": 40})
    losses = []
    for batch, _ in zip(task.loader(100, seed=5), range(5), strict=False):
        elbo = gp.TruncatedELBO(kl_weight=3.0, kl_balance=0.8)
        first = elbo.loss(gram.model, gram.guide, *batch)
        losses.append((first + elbo.loss(gram.model, gram.guide, *batch, state=elbo.state)) / 200)
    assert run.history[0]["loss"] == pytest.approx(sum(losses) / 5, rel=0.1)


def test_the_model_ends_with_the_weights_of_its_best_look(gram, task, short, tmp_path):
    run = gp.fit(gram, task, folder=tmp_path, lr=0.1, **short | {"judge_every": 2})
    assert run.best["prior_accuracy"] == max(row["prior_accuracy"] for row in run.history)
    best = weights(gram)
    facts = gp.load_checkpoint(tmp_path / "best.safetensors", gram)
    assert equal(best, weights(gram))
    assert {name: facts[name] for name in run.best} == run.best
    last = gp.load_checkpoint(tmp_path / "last.safetensors", gram)
    assert last["update"] == 12


def test_a_finished_fit_stores_nothing_without_a_folder(gram, task, short, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not gp.fit(gram, task, **short).interrupted
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("batches", "rows"), [(0, 0), (1, 1), (4, 2)])
def test_an_interrupt_leaves_a_checkpoint_that_loads(gram, interrupted_task, short, tmp_path, batches, rows):
    run = gp.fit(gram, interrupted_task(interrupt_after=batches), folder=tmp_path, **short)
    assert run.interrupted and len(run.history) == rows
    left = weights(gram)
    gp.load_checkpoint(tmp_path / ("best.safetensors" if rows else "last.safetensors"), gram)
    assert equal(left, weights(gram))
    last = gp.load_checkpoint(tmp_path / "last.safetensors", gram)
    assert last.get("update", 0) == 2 * batches


def test_an_error_of_the_task_is_not_an_interrupt(gram, interrupted_task, short):
    class Broken(interrupted_task):
        def loader(self, *args, **kwargs):
            yield gp.Batch(self.test.x[:16], self.test.y[:16])
            raise RuntimeError("the disk is gone")

    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="the disk is gone"):
        gp.fit(gram, Broken(), **short)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_time_limit_ends_the_fit_with_a_look(gram, task, short):
    run = gp.fit(gram, task, max_minutes=1e-9, **short)
    assert [row["update"] for row in run.history] == [1]
    assert not run.interrupted


def test_the_state_is_carried_over_the_supervision_steps_of_a_batch(gram, task):
    from gram_ppl.train.fit import deep_supervision

    svi = gp.SVI(gram.model, gram.guide, torch.optim.SGD(gram.parameters(), lr=0.0), gp.TruncatedELBO())
    starts = []
    gram.backbone.register_forward_pre_hook(lambda module, args: starts.append(args[0].detach().clone()))
    steps = deep_supervision(svi, gram, task.loader(16), 3)
    arrived = []
    for _ in range(6):
        next(steps)
        arrived.append(svi.state.h)
    first = starts[::2]  # two transitions in a step
    initial = gram.initial_state(task.test.x[:16]).h
    for step in range(6):
        assert torch.equal(first[step], initial if step % 3 == 0 else arrived[step - 1])


def test_a_leak_of_the_answer_is_seen_in_the_gap_and_logged(build, task, caplog):
    gram = build(dim=16)
    judge = gp.Judge(puzzles=64, width=4, supervision_steps=2)
    loss = gp.TruncatedELBO(kl_weight=0.0, kl_transitions="last")
    options = {"lr": 1e-2, "warmup": 10, "ema": 0.9, "batch_size": 32, "progress": False}
    with caplog.at_level(logging.WARNING, logger="gram_ppl"):
        run = gp.fit(gram, task, updates=150, loss=loss, judge=judge, judge_every=75, **options)
    row = run.history[-1]
    assert row["posterior_accuracy"] > 0.9 and row["prior_accuracy"] < 0.6
    assert "the posterior passes the answer through the noise" in caplog.text


@pytest.mark.parametrize("name", ["updates", "supervision_steps", "batch_size", "judge_every"])
def test_a_count_below_one_is_refused(gram, task, short, name):
    with pytest.raises(ValueError, match=f"fit needs {name} of at least 1, got 0"):
        gp.fit(gram, task, **short | {name: 0})


def test_a_gap_that_is_closing_is_not_warned_of(gram, caplog):
    run = gp.Run()
    info = gp.StepInfo(*(torch.zeros(()) for _ in range(2)), kl=torch.zeros(2), grad_norm=torch.zeros(()))
    with caplog.at_level(logging.WARNING, logger="gram_ppl"):
        for prior in (0.1, 0.4, 0.7):
            run.record(Clock(9), [info], gp.prior_posterior_gap(prior, 1.0, trials=500), gram)
        assert not caplog.records
        run.record(Clock(9), [info], gp.prior_posterior_gap(0.5, 1.0, trials=500), gram)
    assert len(caplog.records) == 1

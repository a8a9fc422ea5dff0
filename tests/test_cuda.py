"""Where there is a GPU: the programs follow their inputs there, and a loss never makes the host wait."""

import pyro
import pytest
import torch

import gram_ppl as gp

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_a_loss_never_makes_the_host_wait(gram, batch):
    gram, x, y = gram.cuda(), batch.x.cuda(), batch.y.cuda()
    elbo = gp.TruncatedELBO(kl_balance=0.8)
    with pyro.validation_enabled(False):
        elbo.differentiable_loss(gram.model, gram.guide, x, y).backward()
        torch.cuda.set_sync_debug_mode("error")
        try:
            elbo.differentiable_loss(gram.model, gram.guide, x, y).backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert elbo.state.h.is_cuda


def test_fit_and_draw_run_on_the_device_of_the_model(build):
    task = gp.tasks.Sudoku(box=2, held_out=8, validation=8)
    gram = build(spec=task.spec).cuda()
    judge = gp.Judge(puzzles=8, width=2, supervision_steps=2)
    run = gp.fit(gram, task, updates=4, batch_size=8, judge=judge, judge_every=2, progress=False)
    draws = gp.draw(gram, task.test.x.cuda(), width=3, supervision_steps=2)
    assert draws.y.is_cuda and gram.z_0.is_cuda
    assert len(run.history) == 2
    assert float(gp.overall(gp.to_datatree(draws, task=task))["draws"]) == 24

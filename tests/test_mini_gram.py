"""The library and its oracle, one file of plain PyTorch, compute the same numbers."""

import importlib.util
from pathlib import Path

import pytest
import torch
from pyro.infer import Predictive

import gram_ppl as gp


@pytest.fixture(scope="module")
def mini_gram():
    path = Path(__file__).parents[1] / "examples" / "mini_gram.py"
    module_spec = importlib.util.spec_from_file_location("mini_gram", path)
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


@pytest.fixture
def gram(build):
    return build(transitions=2, refinements=2, backbone=gp.Hierarchical)


@pytest.fixture
def mini(gram, mini_gram):
    mini = mini_gram.MiniGRAM(length=4, x_vocab=3, y_vocab=3, dim=8, T=2, K=2)
    mini.load_library_weights(gram.state_dict())
    return mini


def gradients_in_the_oracles_names(gram, mini_gram):
    """Load the library's gradients as if they were weights."""
    carrier = mini_gram.MiniGRAM(length=4, x_vocab=3, y_vocab=3, dim=8, T=2, K=2)
    gradients = {name: p.grad for name, p in gram.named_parameters()}
    carrier.load_library_weights(gradients | {"z_0": gram.z_0})
    return dict(carrier.named_parameters())


@pytest.mark.parametrize(("beta", "alpha"), [(1.0, 0.8), (3.0, 0.8), (0.5, 0.0)])
def test_losses_gradients_and_states_agree(gram, mini, mini_gram, batch, beta, alpha):
    state = mini.initial_state(batch.x)
    elbo = gp.TruncatedELBO(kl_weight=beta, kl_balance=alpha)
    for _ in range(2):  # supervision steps, the state carried between them
        torch.manual_seed(7)
        theirs, their_state = mini.loss(*batch, state, beta, alpha)
        mini.zero_grad()
        theirs.backward()
        gram.zero_grad()
        torch.manual_seed(7)
        ours = elbo.loss_and_grads(gram.model, gram.guide, *batch, state=gp.State(*state))
        torch.testing.assert_close(ours, theirs.detach(), atol=1e-4, rtol=1e-5)
        for name, gradient in gradients_in_the_oracles_names(gram, mini_gram).items():
            expected = mini.get_parameter(name).grad
            scale = float(1 + expected.abs().max())
            torch.testing.assert_close(gradient.detach(), expected, atol=1e-5 * scale, rtol=1e-4, msg=name)
        for mine, other in zip(elbo.state, their_state, strict=True):
            torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)
        state = their_state


@pytest.mark.parametrize("steps", [1, 3])
def test_samples_agree(gram, mini, batch, steps):
    x = batch.x.repeat(20, 1)
    answers = []
    for run in (
        lambda: mini.sample(x, steps),
        lambda: gram.model(x, supervision_steps=steps).y,
        lambda: gp.draw(gram, x, width=1, supervision_steps=steps).y[0],
    ):
        torch.manual_seed(7)
        answers.append(run())
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])


def test_predictive_draws_from_the_oracles_distribution(gram, mini, batch):
    width = 3000
    stock = Predictive(gram.model, num_samples=width, parallel=True)(batch.x, supervision_steps=2)["y"]
    oracle = mini.sample(batch.x.repeat(width, 1), 2).unflatten(0, (width, 3))
    p, q = (torch.nn.functional.one_hot(y, 3).float().mean(0) for y in (stock, oracle))
    z = (p - q) / ((p * (1 - p) + q * (1 - q) + 1 / width) / width).sqrt()
    assert z.abs().max() < 4.5  # 36 frequencies


def test_the_oracle_knows_all_boards(mini_gram):
    boards = mini_gram.sudoku_boards()
    assert len(boards) == len(boards.unique(dim=0)) == 288
    task = gp.tasks.Sudoku(box=2, held_out=1)
    assert task.is_valid(torch.ones_like(boards), boards).all()

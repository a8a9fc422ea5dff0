"""Baselines are trained by maximum likelihood, on the clock and with the averaging of a GRAM."""

import math

import pytest
import torch

import gram_ppl as gp


class Twins:
    """Four equal tokens answer every question: three answers, and none of the tokens is certain."""

    spec = gp.TaskSpec(length=4, input_vocab=3, output_vocab=3)

    def __init__(self):
        self.test, self.validation = (next(self.loader(64, seed=seed)) for seed in (1, 2))

    def loader(self, batch_size, *, seed=0, device=None):
        generator = torch.Generator().manual_seed(seed)
        while True:
            x = torch.randint(3, (batch_size, 4), generator=generator)
            yield gp.Batch(x, torch.randint(3, (batch_size, 1), generator=generator).expand(-1, 4))

    def is_valid(self, x, y):
        return (y == y[..., :1]).all(-1)

    def solutions(self, x, cap):
        return torch.arange(3)[:cap, None].expand(-1, 4)

    def count(self, x, cap):
        return min(3, cap)


SHORT = {"updates": 12, "batch_size": 16, "warmup": 2, "look_every": 5, "progress": False}


@pytest.fixture
def task():
    return Twins()


def weights(model):
    return torch.cat([value.flatten() for value in model.state_dict().values()]).clone()


@pytest.fixture
def built(family, spec):
    """Build the same model at every call."""

    def built(**options):
        torch.manual_seed(1)
        return family(spec, **options)

    return built


def trained(model, task, **options):
    return weights(model), gp.baselines.fit(model, task, **SHORT | options), weights(model)


def test_coordinated_tokens_need_the_autoregressive_family(direct, autoregressive, task):
    options = {
        "updates": 120,
        "batch_size": 64,
        "lr": 1e-2,
        "warmup": 10,
        "ema": 0.9,
        "look_every": 60,
        "progress": False,
    }
    for model, choices, valid in ((autoregressive(task.spec), 1, 1.0), (direct(task.spec), 4, 1 / 27)):
        history = gp.baselines.fit(model, task, **options)
        assert history[0]["loss"] > history[1]["loss"]
        assert history[1]["validation_loss"] == pytest.approx(choices * math.log(3), rel=0.1)
        found = gp.overall(gp.to_datatree(model.draw(task.test.x, 32), task))
        assert abs(found["valid"] - valid) < 0.03 + 4 * (valid * (1 - valid) / (32 * 64)) ** 0.5
    greedy = gp.overall(gp.to_datatree(model.draw(task.test.x, 32, greedy=True), task))
    assert greedy["distinct"] == 1


def test_one_seed_gives_one_result_and_the_global_generator_is_left_alone(built, task):
    runs = []
    for seed in (3, 3, 4):
        model = built()
        torch.rand(seed)
        before = torch.get_rng_state()
        runs.append(trained(model, task, seed=seed))
        assert torch.equal(torch.get_rng_state(), before)
    (_, first, a), (_, second, b), (_, _, c) = runs
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert [row | {"seconds": 0} for row in first] == [row | {"seconds": 0} for row in second]


def test_history_has_a_row_at_every_look_and_one_after_the_last_update(built, task):
    _, history, _ = trained(built(), task)
    assert [row["update"] for row in history] == [5, 10, 12]
    assert all(list(row) == ["update", "seconds", "loss", "validation_loss"] for row in history)


def test_losses_are_means_in_nats_per_puzzle(built, task):
    model = built()
    _, history, _ = trained(model, task, lr=0.0, weight_decay=0.0)
    batches = [-model.log_prob(*batch).mean() for batch, _ in zip(task.loader(16), range(12), strict=False)]
    for row, losses in zip(history, (batches[:5], batches[5:10], batches[10:]), strict=True):
        assert row["loss"] == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


def test_the_model_ends_with_its_averaged_weights(built, task):
    model = built()
    _, history, _ = trained(model, task)
    assert history[-1]["validation_loss"] == pytest.approx(-model.log_prob(*task.validation).mean().item(), rel=1e-5)
    _, _, still = trained(built(), task, ema=1.0)  # an average that keeps its first weights, those of one update
    _, _, once = trained(built(), task, updates=1)
    _, _, moved = trained(built(), task, ema=0.0)
    assert torch.equal(still, once) and not torch.equal(moved, once)


def test_a_time_limit_ends_the_fit_with_a_look(built, task):
    _, history, _ = trained(built(), task, max_minutes=1e-9)
    assert [row["update"] for row in history] == [1]


def test_a_tiny_clip_norm_stops_the_weights_and_none_clips_nothing(built, task):
    options = {"updates": 1, "weight_decay": 0.0}
    start, _, clipped = trained(built(), task, clip_norm=1e-12, **options)  # far below the eps of AdamW
    _, _, free = trained(built(), task, clip_norm=None, **options)
    assert (clipped - start).abs().max() < 1e-2 * (free - start).abs().max()


@pytest.mark.parametrize("name", ["updates", "batch_size", "look_every"])
def test_a_count_below_one_is_refused(built, task, name):
    with pytest.raises(ValueError, match=f"fit needs {name} of at least 1, got 0"):
        trained(built(), task, **{name: 0})

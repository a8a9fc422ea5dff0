"""Every file under configs/ composes, and builds what it names."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

import gram_ppl as gp
from gram_ppl.configuration import config_path

SPECS = {"sudoku_4x4": gp.TaskSpec(16, 6, 6), "sudoku_extreme": gp.TaskSpec(81, 11, 11)}


def choices(group):
    return sorted(path.stem for path in (Path(config_path()) / group).glob("*.yaml"))


def composed(*overrides):
    with initialize_config_dir(version_base=None, config_dir=str(config_path())):
        return compose("sudoku", list(overrides))


@pytest.mark.parametrize("model", choices("model"))
def test_every_model_is_built_for_its_task(model):
    spec = SPECS["sudoku_4x4" if "4x4" in model else "sudoku_extreme"]
    gram = instantiate(composed(f"model={model}").model)(spec)
    assert isinstance(gram, gp.GRAM)
    assert gram.spec == spec


@pytest.mark.parametrize("objective", choices("objective"))
def test_every_objective_is_a_truncated_elbo(objective):
    assert isinstance(instantiate(composed(f"objective={objective}").objective), gp.TruncatedELBO)


def test_eq14_counts_and_differentiates_the_last_transition_only():
    elbo = instantiate(composed("objective=eq14").objective)
    assert (elbo.kl_transitions, elbo.grad_transitions) == ("last", 1)


@pytest.mark.parametrize("fit", choices("fit"))
def test_every_fit_calls_fit_with_arguments_it_has(fit):
    call = instantiate(composed(f"fit={fit}").fit)
    assert call.func is gp.fit
    assert isinstance(call.keywords["judge"], gp.Judge)


@pytest.mark.parametrize("task", choices("task"))
def test_choosing_a_task_chooses_all_that_goes_with_it(task):
    config = composed(f"task={task}")
    assert set(config.draw) == {"puzzles", "width", "supervision_steps"}
    assert config.model._target_ == "gram_ppl.GRAM"


def test_the_default_task_is_the_main_job():
    task = instantiate(composed().task)
    assert len(task.test.x) == 500
    assert task.clues == (2, 8)

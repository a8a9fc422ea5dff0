"""Every file under configs/ composes, and builds what it names."""

from inspect import signature
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

import gram_ppl as gp
from gram_ppl.configuration import config_path

SPECS = {"sudoku_4x4": gp.TaskSpec(16, 6, 6), "sudoku_extreme": gp.TaskSpec(81, 11, 11)}


def choices(group, pattern="*"):
    return sorted(path.stem for path in (Path(config_path()) / group).glob(f"{pattern}.yaml"))


def composed(*overrides, program="sudoku"):
    with initialize_config_dir(version_base=None, config_dir=str(config_path())):
        return compose(program, list(overrides))


@pytest.mark.parametrize("model", choices("model", "sudoku_*"))
def test_every_model_is_built_for_its_task(model):
    spec = SPECS["sudoku_4x4" if "4x4" in model else "sudoku_extreme"]
    gram = instantiate(composed(f"model={model}").model)(spec)
    assert isinstance(gram, gp.GRAM)
    assert gram.spec == spec


@pytest.mark.parametrize("objective", choices("objective"))
def test_every_objective_is_a_truncated_elbo(objective):
    config = composed("experiment=nqueens8_gram", f"objective={objective}", program="reproduce")
    assert isinstance(instantiate(config.objective), gp.TruncatedELBO)


def test_eq14_counts_and_differentiates_the_last_transition_only():
    elbo = instantiate(composed("objective=eq14").objective)
    assert (elbo.kl_transitions, elbo.grad_transitions) == ("last", 1)


@pytest.mark.parametrize("fit", ["default", *choices("fit", "sudoku_*")])
def test_every_fit_calls_fit_with_arguments_it_has(fit):
    call = instantiate(composed(f"fit={fit}").fit)
    assert call.func is gp.fit
    assert isinstance(call.keywords["judge"], gp.Judge)


@pytest.mark.parametrize("task", sorted({*choices("task")} & {*choices("model")}))
def test_choosing_a_task_chooses_all_that_goes_with_it(task):
    config = composed(f"task={task}")
    assert set(config.draw) == {"puzzles", "width", "supervision_steps"}
    assert config.model._target_ == "gram_ppl.GRAM"


@pytest.mark.parametrize("fit", ["likelihood", "recursive"])
def test_the_fits_of_the_tables_take_what_is_configured(fit):
    call = instantiate(composed("experiment=nqueens8_gram", f"fit={fit}", program="reproduce").fit)
    assert call.func is {"likelihood": gp.baselines.fit, "recursive": gp.fit}[fit]
    signature(call.func).bind(None, None, seed=0, **call.keywords)


def test_the_weight_of_the_kl_rises_to_six():
    config = composed("experiment=nqueens8_gram", "size=cpu", program="reproduce")
    weight = instantiate(config.objective).kl_weight
    assert [weight(update) for update in (0, 600, 1200, 5000)] == [1.0, 3.5, 6.0, 6.0]


def test_the_default_task_is_the_main_job():
    task = instantiate(composed().task)
    assert len(task.test.x) == 500
    assert task.clues == (2, 8)

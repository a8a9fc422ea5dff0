"""Neither importing nor using the library changes anything that other code shares."""

import logging
import random
import subprocess
import sys
import warnings

import numpy as np
import pyro
import pyro.infer.util
import pytest
import sympy  # noqa: F401 - PyTorch imports it with the first optimiser, and it sets a filter of its own
import torch

import gram_ppl as gp

IMPORT = """
import logging, random, sys, warnings
import numpy, torch, pyro, pyro.infer.util
import safetensors.torch, tqdm.auto  # what these do at import is theirs

def world():
    return {
        "distribution validation": torch.distributions.Distribution._validate_args,
        "pyro validation": pyro.infer.util.is_validation_enabled(),
        "pyro settings": pyro.settings.get(),
        "parameters": list(pyro.get_param_store().keys()),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "grad": torch.is_grad_enabled(),
        "torch generator": torch.get_rng_state().tolist(),
        "numpy generator": str(numpy.random.get_state()),
        "python generator": random.getstate(),
        "filters": list(map(str, warnings.filters)),
        "handlers": list(map(str, logging.root.handlers)),
        "level": logging.root.level,
        "excepthook": sys.excepthook,
        "numpy errors": numpy.geterr(),
    }

before = world()
import gram_ppl
after = world()
print("changed:", [name for name in before if before[name] != after[name]])
print("arviz:", "arviz" in sys.modules)
"""


def test_importing_changes_nothing():
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["changed: []", "arviz: False"]
    assert done.stderr == ""


def world():
    return {
        "distribution validation": torch.distributions.Distribution._validate_args,
        "pyro validation": pyro.infer.util.is_validation_enabled(),
        "pyro settings": pyro.settings.get(),
        "parameters": list(pyro.get_param_store().keys()),
        "dtype": torch.get_default_dtype(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "numpy generator": str(np.random.get_state()),  # noqa: NPY002 - the one that other code shares
        "python generator": random.getstate(),
        "filters": list(map(str, warnings.filters)),
        "handlers": list(logging.root.handlers),
        "stack": list(pyro.poutine.runtime._PYRO_STACK),
    }


def fit(gram, batch):
    task = gp.tasks.Sudoku(box=2, held_out=4, validation=4)
    sudoku = gp.GRAM(task.spec, dim=8, transitions=1, refinements=1)
    before = torch.get_rng_state()
    judge = gp.Judge(puzzles=4, width=2, supervision_steps=1)
    gp.fit(sudoku, task, updates=3, batch_size=4, judge=judge, judge_every=2, progress=False)
    assert torch.equal(torch.get_rng_state(), before)


def fit_baseline(gram, batch):
    task = gp.tasks.NQueens(5, validation=4)
    direct = gp.baselines.Direct(task.spec, dim=8, layers=1)
    before = torch.get_rng_state()
    gp.baselines.fit(direct, task, updates=3, batch_size=4, progress=False)
    assert torch.equal(torch.get_rng_state(), before)


def step(gram, batch):
    svi = gp.SVI(gram.model, gram.guide, torch.optim.Adam(gram.parameters()), gp.TruncatedELBO(grad_transitions=1))
    svi.step(*batch)
    svi.evaluate_loss(*batch)


def failing_step(gram, batch):
    svi = gp.SVI(gram.model, gram.guide, torch.optim.Adam(gram.parameters()), gp.TruncatedELBO(grad_transitions=1))
    with pytest.raises(ValueError, match="y should"):
        svi.step(batch.x, batch.y[:, :2])


def draw(gram, batch):
    gp.draw(gram, batch.x, width=2, supervision_steps=1)


def stock(gram, batch):
    pyro.infer.SVI(gram.model, gram.guide, pyro.optim.Adam({"lr": 1e-3}), gp.share(pyro.infer.Trace_ELBO())).step(
        *batch
    )


@pytest.mark.parametrize("use", [fit, fit_baseline, step, failing_step, draw, stock])
@pytest.mark.parametrize("validate", [False, True], ids=["validation off", "validation on"])
def test_using_the_library_changes_nothing(gram, batch, use, validate):
    with pyro.validation_enabled(validate):
        before = world()
        use(gram, batch)
        after = world()
    assert [name for name in before if before[name] != after[name]] == []

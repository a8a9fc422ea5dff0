"""Tiny baselines of the four-token task, and tasks without question or with answers of their own length."""

import pytest
import torch

import gram_ppl as gp

SPECS = {
    "aligned": gp.TaskSpec(length=4, input_vocab=3, output_vocab=3),
    "own answer": gp.TaskSpec(length=5, input_vocab=2, output_vocab=3, output_length=4),
    "no question": gp.TaskSpec(length=0, input_vocab=0, output_vocab=3, output_length=4),
}


@pytest.fixture(params=SPECS.values(), ids=SPECS.keys())
def any_spec(request) -> gp.TaskSpec:
    return request.param


@pytest.fixture
def question():
    """Draw questions of a task with a batch shape in front."""

    def question(spec: gp.TaskSpec, *lead: int) -> torch.Tensor:
        return torch.randint(max(spec.input_vocab, 1), (*lead, spec.length))

    return question


@pytest.fixture
def direct():
    def build(spec: gp.TaskSpec, **options: object) -> gp.baselines.Direct:
        return gp.baselines.Direct(spec, **({"dim": 8, "layers": 2} | options))

    return build


@pytest.fixture
def autoregressive():
    def build(spec: gp.TaskSpec, **options: object) -> gp.baselines.Autoregressive:
        return gp.baselines.Autoregressive(spec, **({"dim": 8, "layers": 2, "heads": 2} | options))

    return build


@pytest.fixture(params=["direct", "autoregressive"])
def family(request):
    return request.getfixturevalue(request.param)

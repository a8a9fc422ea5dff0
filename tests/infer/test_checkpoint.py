"""A checkpoint is read back whole or refused, and never leaves a half-written file."""

import json
import os
import re

import pytest
import torch
from safetensors.torch import save_file

import gram_ppl as gp


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "best.safetensors"


@pytest.fixture
def weights(gram):
    return {name: value.clone() for name, value in gram.state_dict().items()}


def unchanged(module, weights):
    return all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("shared", [False, True], ids=["f_L and f_H", "f_L = f_H"])
def test_weights_buffers_and_facts_come_back(build, path, shared):
    def make(seed):
        return build(seed=seed, backbone=lambda *sizes: gp.Hierarchical(*sizes, mixer=gp.nn.TokenMixer, shared=shared))

    first, second = make(1), make(2)
    facts = {"prior_accuracy": 0.5, "kl": [1.0, 2.0], "note": "×"}
    assert gp.save_checkpoint(path, first, **facts) == path
    assert gp.load_checkpoint(path, second) == facts
    assert unchanged(second, first.state_dict())
    assert (second.backbone.f_h is second.backbone.f_l) == shared


def test_the_facts_lie_beside_the_weights_as_json(gram, path):
    gp.save_checkpoint(path, gram, update=3)
    assert json.loads(path.with_suffix(".json").read_text()) == {"update": 3}
    assert {file.name for file in path.parent.iterdir()} == {"best.safetensors", "best.json"}


def test_a_checkpoint_replaces_the_one_before(gram, path):
    gp.save_checkpoint(path, gram, update=1)
    gram.z_0.fill_(3.0)
    gp.save_checkpoint(path, gram, update=2)
    gram.z_0.zero_()
    assert gp.load_checkpoint(path, gram) == {"update": 2}
    assert (gram.z_0 == 3).all()


def test_a_missing_file_is_named(gram, path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*best\.safetensors"):
        gp.load_checkpoint(path, gram)


def truncated(path, gram):
    gp.save_checkpoint(path, gram)
    path.write_bytes(path.read_bytes()[:-100])


def cut_in_the_header(path, gram):
    gp.save_checkpoint(path, gram)
    path.write_bytes(path.read_bytes()[:50])


def pickled(path, gram):
    torch.save(gram.state_dict(), path)


def pickled_the_old_way(path, gram):
    torch.save(gram.state_dict(), path, _use_new_zipfile_serialization=False)


SPOILT = {
    "truncated": (truncated, "truncated"),
    "header": (cut_in_the_header, "truncated"),
    "empty": (lambda path, gram: path.write_bytes(b""), "is empty"),
    "text": (lambda path, gram: path.write_text("weights" * 100), "no safetensors file"),
    "zip": (pickled, "a pickle, which is never loaded"),
    "pickle": (pickled_the_old_way, "a pickle, which is never loaded"),
    "foreign": (lambda path, gram: save_file(gram.state_dict(), path), "no gram_ppl checkpoint"),
}


@pytest.mark.parametrize(("spoil", "message"), SPOILT.values(), ids=SPOILT.keys())
def test_a_spoilt_file_is_refused_and_the_model_stays(gram, path, weights, spoil, message):
    path.parent.mkdir()
    spoil(path, gram)
    with pytest.raises(gp.CheckpointError, match=message):
        gp.load_checkpoint(path, gram)
    assert unchanged(gram, weights)


OTHERS = {
    "wider": ({"dim": 16}, "expected (2, 16)"),
    "noiseless": ({"noise": None}, "unexpected noise."),
    "registers": ({"registers": 1}, "encoder.positions is (4, 8), expected (5, 8)"),
    "another mixer": (
        {"backbone": lambda *sizes: gp.Hierarchical(*sizes, layers=1, mixer=gp.nn.TokenMixer)},
        "missing",
    ),
}


@pytest.mark.parametrize(("options", "message"), OTHERS.values(), ids=OTHERS.keys())
def test_another_architecture_is_refused_with_the_difference(build, gram, path, options, message):
    gp.save_checkpoint(path, gram)
    other = build(**options)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(gp.CheckpointError, match=re.escape(message)):
        gp.load_checkpoint(path, other)
    assert unchanged(other, before)


@pytest.mark.parametrize("name", ["best.pt", "best", "best.safetensors.tmp"])
def test_another_suffix_is_refused(gram, tmp_path, name):
    with pytest.raises(ValueError, match=r"ends in \.safetensors"):
        gp.save_checkpoint(tmp_path / name, gram)


def test_facts_that_are_not_json_are_refused_before_anything_is_written(gram, path):
    gp.save_checkpoint(path, gram, update=1)
    with pytest.raises(ValueError, match="must be JSON values"):
        gp.save_checkpoint(path, gram, loss=torch.zeros(3))
    assert gp.load_checkpoint(path, gram) == {"update": 1}


@pytest.mark.parametrize("failing", [1, 2], ids=["weights", "json"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_an_interrupted_write_leaves_a_whole_checkpoint_and_no_other_file(gram, path, monkeypatch, failing, error):
    gp.save_checkpoint(path, gram, update=1)
    replace, calls = os.replace, []

    def interrupted(source, target):
        calls.append(target)
        if len(calls) == failing:
            raise error
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(type(error)):
        gp.save_checkpoint(path, gram, update=2)
    assert gp.load_checkpoint(path, gram) == {"update": failing}
    assert {file.name for file in path.parent.iterdir()} == {"best.safetensors", "best.json"}

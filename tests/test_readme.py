"""The programs in the README run as they stand."""

import re
from pathlib import Path

import pytest
import torch

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def names():
    """Run every Python block in order, as a reader would, and return what they defined."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) == 4
    defined = {}
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"README block {number}", "exec"), defined)
    return defined


def test_training_reports_a_loss_and_hands_on_a_detached_state(names):
    assert names["loss"] > 0
    assert names["state"].h.shape == (64, 16, 64)
    assert not names["state"].h.requires_grad


def test_predictive_and_draw_agree_in_shape_and_the_tree_holds_the_draws(names):
    assert names["samples"]["y"].shape == names["draws"].y.shape == (32, 20, 16)
    assert names["tree"]["posterior_predictive"]["y"].sizes == {"chain": 1, "draw": 32, "puzzle": 20, "cell": 16}


def test_the_composed_model_has_scoped_sites_and_weights_that_see_the_pixels(names):
    trace = names["posterior"].exec_traces[0]
    assert {"board/eps_0", "board/eps_1", "board/y", "pixels"} <= set(trace.nodes)
    weights = torch.stack(names["posterior"].log_weights)
    seen = torch.stack([t.nodes["pixels"]["log_prob_sum"] for t in names["posterior"].exec_traces])
    assert torch.allclose(weights, seen, atol=1e-3)


def test_the_presets_have_the_sizes_they_are_said_to_have(names):
    sizes = {name: sum(p.numel() for p in names[name].parameters()) / 1e6 for name in ("trm", "hrm")}
    assert (round(sizes["trm"], 2), round(sizes["hrm"], 1)) == (6.83, 27.3)
    assert names["deterministic"].noise is None

"""Training step of the library against the same step in plain PyTorch (examples/mini_gram.py).

Both hold the same weights and do forward, backward, global-norm clip and fused AdamW. Times are medians of
interleaved steps (A B A B ...); peak memory is that of one process each, above the memory before the first step.

    python benchmarks/train_step.py --threads 2
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyro
import torch
from memory import peak_growth
from pyro.infer import TraceMeanField_ELBO
from torch.utils._python_dispatch import TorchDispatchMode

import gram_ppl as gp

LENGTH, VOCAB, DIM, T, K, BATCH = 81, 11, 128, 3, 6, 16
SYNCHRONISING = ("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "item")


class CountSynchronisations(TorchDispatchMode):
    """Count operations that make the host wait for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ in SYNCHRONISING
        return func(*args, **(kwargs or {}))


def mini_gram() -> Any:
    """Import examples/mini_gram.py, which is a program and not part of the package."""
    path = Path(__file__).parents[1] / "examples" / "mini_gram.py"
    spec = importlib.util.spec_from_file_location("mini_gram", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build() -> tuple[gp.GRAM, torch.nn.Module, torch.Tensor, torch.Tensor]:
    """Return the library's model, the oracle with the same weights, and one batch."""
    torch.manual_seed(0)
    gram = gp.GRAM(gp.TaskSpec(LENGTH, VOCAB, VOCAB), dim=DIM, transitions=T, refinements=K)
    mini = mini_gram().MiniGRAM(LENGTH, VOCAB, VOCAB, dim=DIM, T=T, K=K)
    mini.load_library_weights(gram.state_dict())
    x, y = torch.randint(1, VOCAB, (2, BATCH, LENGTH))
    return gram, mini, x, y


def plain_step(mini: Any, x: torch.Tensor, y: torch.Tensor) -> Callable[[], None]:
    """Return the oracle's training step."""
    optim = torch.optim.AdamW(mini.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        loss, _ = mini.loss(x, y, mini.initial_state(x), 3.0, 0.8)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(mini.parameters(), 1.0)
        optim.step()
        optim.zero_grad(set_to_none=True)

    return step


def library_step(gram: gp.GRAM, x: torch.Tensor, y: torch.Tensor, loss: Any = None) -> Callable[[], None]:
    """Return the library's training step, as gp.fit takes it."""
    loss = loss or gp.TruncatedELBO(kl_weight=3.0, kl_balance=0.8)
    optim = torch.optim.AdamW(gram.parameters(), lr=1e-4, fused=True)
    svi = gp.SVI(gram.model, gram.guide, optim, loss)
    return lambda: svi.update(x, y, state=gram.initial_state(x)) and None


def stock_step(gram: gp.GRAM, x: torch.Tensor, y: torch.Tensor) -> Callable[[], None]:
    """Return a step of stock Pyro: TraceMeanField_ELBO, guide and model each running the recursion."""
    elbo = TraceMeanField_ELBO()(gram.model, gram.guide)
    optim = torch.optim.AdamW(gram.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        with pyro.validation_enabled(False):
            elbo(x, y).backward()
        torch.nn.utils.clip_grad_norm_(gram.parameters(), 1.0)
        optim.step()
        optim.zero_grad(set_to_none=True)

    return step


def network_calls(gram: gp.GRAM, step: Callable[[], None]) -> int:
    """Count calls of f_L and f_H in one step."""
    calls: Counter[str] = Counter()
    networks = [m for m in gram.modules() if isinstance(m, gp.nn.Stack)]
    handles = [m.register_forward_hook(lambda *_: calls.update(["call"])) for m in networks]
    step()
    for handle in handles:
        handle.remove()
    return calls["call"]


def peak_memory(which: str, threads: int) -> float:
    """Return the peak resident memory of a few steps in a process of its own, in MiB above its start."""
    command = [sys.executable, __file__, "--memory-of", which, "--threads", str(threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_memory(which: str) -> None:
    """Print by how many MiB five steps raise this process's memory."""
    gram, mini, x, y = build()
    step = plain_step(mini, x, y) if which == "plain" else library_step(gram, x, y)
    print(peak_growth(lambda: [step() for _ in range(5)]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--memory-of", choices=["plain", "library"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.memory_of:
        return measure_memory(arguments.memory_of)
    gram, mini, x, y = build()
    steps = {
        "plain PyTorch": plain_step(mini, x, y),
        "gp.SVI, TruncatedELBO": library_step(gram, x, y),
        "stock TraceMeanField_ELBO": stock_step(gram, x, y),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(arguments.steps + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if i >= 2:
                seconds[name].append(time.perf_counter() - start)
    elbo = gp.TruncatedELBO(kl_weight=3.0, kl_balance=0.8)
    with CountSynchronisations() as synchronisations, pyro.validation_enabled(False):
        elbo.differentiable_loss(gram.model, gram.guide, x, y, state=gram.initial_state(x))
    print(f"D={DIM} L={LENGTH} T={T} K={K} batch={BATCH}")
    print(f"{arguments.threads} threads, torch {torch.__version__}, seed 0")
    plain = seconds["plain PyTorch"]
    for name, times in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(times, plain, strict=True))
        print(f"{name:28s} {statistics.median(times) * 1e3:8.1f} ms   {ratio:5.2f}x")
    memory = {which: peak_memory(which, arguments.threads) for which in ("plain", "library")}
    ratio = memory["library"] / memory["plain"]
    calls = network_calls(gram, steps["gp.SVI, TruncatedELBO"])
    print(f"peak memory: plain {memory['plain']:.0f} MiB, library {memory['library']:.0f} MiB   {ratio:.2f}x")
    print(f"network calls in a step: {calls} (T (K + 1) = {T * (K + 1)})")
    print(f"host synchronisations in a loss: {synchronisations.count}")
    return None


if __name__ == "__main__":
    main()

"""Sampling in width: gp.draw against stock Predictive(parallel=True), the same number of trajectories.

Times are medians of interleaved calls (A B A B ...); peak memory is that of one process each, above the memory
before the call, at two depths: it must not grow with the number of transitions.

    python benchmarks/draw.py --threads 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from memory import peak_growth
from pyro.infer import Predictive

import gram_ppl as gp

LENGTH, VOCAB, DIM, T, K, PUZZLES, WIDTH = 81, 11, 128, 3, 6, 2, 32


def calls(steps: int) -> dict[str, Callable[[], torch.Tensor]]:
    """Return both ways to draw WIDTH answers to PUZZLES questions."""
    torch.manual_seed(0)
    gram = gp.GRAM(gp.TaskSpec(LENGTH, VOCAB, VOCAB), dim=DIM, transitions=T, refinements=K)
    x = torch.randint(1, VOCAB, (PUZZLES, LENGTH))
    predictive = Predictive(gram.model, num_samples=WIDTH, parallel=True)
    return {
        "Predictive(parallel=True)": lambda: predictive(x, supervision_steps=steps)["y"],
        "gp.draw": lambda: gp.draw(gram, x, width=WIDTH, supervision_steps=steps).y,
    }


def peak_memory(name: str, steps: int, threads: int) -> float:
    """Return the peak memory of one call in a process of its own, in MiB."""
    command = [sys.executable, __file__, "--memory-of", name, "--depth", str(steps), "--threads", str(threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--depth", type=int, default=2, help="supervision steps of a rollout")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--memory-of")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    ways = calls(arguments.depth)
    if arguments.memory_of:
        calls(1)[arguments.memory_of]()
        return print(peak_growth(ways[arguments.memory_of]))
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(arguments.repeats + 1):
        for name, call in ways.items():
            start = time.perf_counter()
            call()
            if i:
                seconds[name].append(time.perf_counter() - start)
    stock, fast = seconds.values()
    print(f"D={DIM} L={LENGTH} T={T} K={K} N_sup={arguments.depth}, {PUZZLES} puzzles x width {WIDTH}")
    print(f"{arguments.threads} threads, torch {torch.__version__}, seed 0")
    for name, times in seconds.items():
        memory = [peak_memory(name, depth, arguments.threads) for depth in (arguments.depth, 8 * arguments.depth)]
        print(
            f"{name:26s} {statistics.median(times) * 1e3:8.1f} ms   peak "
            f"{memory[0]:6.0f} MiB at N_sup={arguments.depth}, {memory[1]:6.0f} MiB at N_sup={8 * arguments.depth}"
        )
    print(f"gp.draw is {statistics.median(a / b for a, b in zip(stock, fast, strict=True)):.2f}x faster")
    return None


if __name__ == "__main__":
    main()

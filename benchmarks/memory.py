"""Peak memory of a call, for the benchmarks (Linux)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def peak_growth(call: Callable[[], object]) -> float:
    """Return by how many MiB the resident memory of this process peaks above its start during ``call``."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    call()
    return (_status("VmHWM") - before) / 1024


def _status(key: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1])

"""Panels for the answers to one question, with their captions and the headline above them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from gram_ppl.diagnostics.datatree import read
from gram_ppl.diagnostics.plots.canvas import GREEN, INK, RED, new_figure
from gram_ppl.diagnostics.plots.layout import Layout

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def answers_to(puzzle: int, y: Tensor) -> Tensor:
    """Return the answers ``(W, 1, L)`` to one puzzle of ``y (W, B, L)``."""
    if not 0 <= puzzle < y.shape[1]:
        raise IndexError(f"expected a puzzle from 0 to {y.shape[1] - 1}, got {puzzle}")
    return y[:, puzzle : puzzle + 1]


def new_panels(layout: Layout, count: int, figure: Figure | None) -> tuple[Figure, Sequence[Axes]]:
    """Place boards from the top left; margins are in inches so that captions fit whatever the number of boards."""
    across = min(count, 1 if layout.columns > 3 * layout.rows + 20 else 5)
    down = -(-count // across)
    wide, high = max(1.25, layout.columns * layout.cell_inches), layout.rows * layout.cell_inches
    size = (max(3.8, across * (wide + 0.25) + 0.25), down * (high + 0.55) + 0.7)
    figure = figure or new_figure(*size, constrained=False)
    left, gap = 0.25 / size[0], 0.25 / wide
    right = (0.25 + across * wide + (across - 1) * 0.25) / size[0]
    spaces = {"left": left, "right": right, "wspace": gap, "top": 1 - 1.05 / size[1], "bottom": 0.15 / size[1]}
    axes = figure.subplots(down, across, squeeze=False, gridspec_kw=spaces | {"hspace": 0.55 / high}).flatten()
    for spare in axes[count:]:
        spare.remove()
    return figure, list(axes[:count])


def caption(ax: Axes, share: str, verdict: bool | None) -> None:
    """Write the share of an answer above it, and whether it is valid."""
    ax.set_title(share + ("\n" if verdict is not None else ""), fontsize=9, color=INK, linespacing=1.3)
    if verdict is not None:
        text, colour = ("✓ valid", GREEN) if verdict else ("✗ invalid", RED)
        ax.annotate(
            text, (0.5, 1), (0, 4), "axes fraction", textcoords="offset points", ha="center", color=colour, fontsize=9
        )


def headline(tree: xr.DataTree, puzzle: int, counts: Tensor, shown: int) -> str:
    """Say how many answers a puzzle got, and how many of its solutions are among them."""
    distinct, valid = int((counts > 0).sum()), read(tree, "sample_stats", "valid")
    first = f"Puzzle {puzzle}: {distinct} distinct in {int(counts.sum())} draws" + (
        f", {shown} shown" if shown < distinct else ""
    )
    if valid is None:
        return first
    found, known = int((valid[:, puzzle] & (counts > 0)).sum()), read(tree, "constant_data", "n_solutions")
    total = "" if known is None or known[puzzle].isnan() else f" of {int(known[puzzle])}"
    return f"{first}\n{found}{total} solutions found, {float(valid[:, puzzle].double().mean()):.0%} of draws valid"

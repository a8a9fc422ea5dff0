"""Pictures of boards: one board, all answers to a puzzle, where the answers differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gram_ppl.diagnostics.coverage import cell_entropy as entropy_of_cells
from gram_ppl.diagnostics.datatree import from_datatree, read, shares_cells
from gram_ppl.diagnostics.plots.canvas import (
    BLUE,
    CLUE_FILL,
    CONFLICT_FILL,
    GREY,
    INK,
    LINE,
    RED,
    new_axes,
)
from gram_ppl.diagnostics.plots.layout import Layout
from gram_ppl.diagnostics.plots.panels import answers_to, caption, headline, new_panels
from gram_ppl.select.vote import multiplicity

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


def board(
    tokens: Tensor,
    clues: Tensor | None = None,
    *,
    layout: Layout | None = None,
    conflicts: Tensor | None = None,
    valid: bool | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one board: clues bold on grey, guesses blue, conflicting cells red.

    Args:
        tokens: tokens ``(L,)``.
        clues: True where the token was given ``(L,)``.
        layout: grid, boxes and symbols; default one row of numbers.
        conflicts: True where a cell breaks a rule ``(L,)``.
        valid: False draws a red frame, for an answer whose wrong cells are not known.
        title: text above the board.
        ax: where to draw; default a new figure.

    Raises:
        ValueError: when the layout does not hold the tokens.
    """
    layout = layout or Layout(1, len(tokens))
    if layout.rows * layout.columns != len(tokens):
        raise ValueError(
            f"expected {layout.rows}×{layout.columns} tokens, got {len(tokens)}; pass a layout that holds them"
        )
    side = layout.cell_inches
    ax = ax or new_axes(layout.columns * side + 0.2, layout.rows * side + (0.45 if title else 0.2))
    given, wrong = _mask(clues, tokens), _mask(conflicts, tokens)
    _fill(ax, layout, given, wrong)
    _rule(ax, layout, frame=RED if valid is False else INK, weight=2.6 if valid is False else 1.6)
    _write(ax, layout, tokens, given, wrong)
    if title:
        ax.set_title(title, fontsize=9, color=INK)
    return ax


def solutions(tree: xr.DataTree, puzzle: int = 0, *, max_boards: int = 12, figure: Figure | None = None) -> Figure:
    """Draw a puzzle and its distinct answers, the most frequent first, with their share and whether they are valid.

    A question with tokens of its own is not drawn: it does not lie on the grid of the answers.

    Args:
        tree: from :func:`to_datatree`; without a task there is no verdict, and without ``grid`` in the attributes the
            tokens lie in one row.
        puzzle: index of the puzzle.
        max_boards: answers drawn at most.
        figure: where to draw; default a new one. A figure passed in keeps its size.

    Raises:
        IndexError: when there is no such puzzle.
    """
    draws, layout = from_datatree(tree), Layout.of(tree)
    counts = multiplicity(answers_to(puzzle, draws.y))[:, 0]
    order = counts.argsort(descending=True, stable=True)[: min(max_boards, int((counts > 0).sum()))].tolist()
    asked = shares_cells(tree)
    figure, panels = new_panels(layout, asked + len(order), figure)
    given = _of_puzzle(read(tree, "constant_data", "given"), puzzle)
    if asked:
        board(draws.x[puzzle], given, layout=layout, title="question\n", ax=panels[0])
    valid, conflicts = read(tree, "sample_stats", "valid"), read(tree, "sample_stats", "conflicts")
    for ax, w in zip(panels[asked:], order, strict=True):
        verdict = None if valid is None else bool(valid[w, puzzle])
        wrong = None if conflicts is None else conflicts[w, puzzle]
        board(
            draws.y[w, puzzle], given, layout=layout, conflicts=wrong, valid=verdict if wrong is None else None, ax=ax
        )
        caption(ax, f"{int(counts[w])} of {draws.width} ({int(counts[w]) / draws.width:.0%})", verdict)
    figure.suptitle(headline(tree, puzzle, counts, len(order)), fontsize=10, color=INK, x=0.02, y=0.985, ha="left")
    return figure


def cell_entropy(tree: xr.DataTree, puzzle: int = 0, *, ax: Axes | None = None) -> Axes:
    """Draw a heat map of each cell's entropy over the draws, in nats, with the clues written in.

    The colour bar is marked at log k, the entropy of k equally likely tokens.

    Args:
        tree: from :func:`to_datatree`.
        puzzle: index of the puzzle.
        ax: where to draw; default a new figure.

    Raises:
        IndexError: when there is no such puzzle.
    """
    draws, layout = from_datatree(tree), Layout.of(tree)
    entropy = entropy_of_cells(answers_to(puzzle, draws.y))[0]
    side = layout.cell_inches * 1.4
    ax = ax or new_axes(layout.columns * side + 1.5, max(1.4, layout.rows * side + 0.5))
    choices = max(2, int(np.ceil(float(entropy.exp().max()) - 1e-9)))
    heat = entropy.numpy().reshape(layout.rows, layout.columns)
    extent = (0, layout.columns, layout.rows, 0)
    image = ax.imshow(heat, cmap="YlGnBu", vmin=0, vmax=np.log(choices), extent=extent, interpolation="nearest")
    given = _of_puzzle(read(tree, "constant_data", "given"), puzzle)
    _rule(ax, layout, frame=INK, weight=1.6)
    if given is not None:
        _write(ax, layout, draws.x[puzzle], given, _mask(None, given), only=given)
    _entropy_bar(ax, image, choices)
    ax.set_title(f"puzzle {puzzle}: entropy of each cell", fontsize=9, color=INK)
    return ax


def _of_puzzle(mask: Tensor | None, puzzle: int) -> Tensor | None:
    return None if mask is None else mask[puzzle]


def _mask(mask: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like, dtype=torch.bool) if mask is None else mask


def _fill(ax: Axes, layout: Layout, given: Tensor, wrong: Tensor) -> None:
    from matplotlib.patches import Rectangle

    for cell in (given | wrong).nonzero().flatten().tolist():
        row, column = divmod(cell, layout.columns)
        fill = CONFLICT_FILL if wrong[cell] else CLUE_FILL
        ax.add_patch(Rectangle((column, row), 1, 1, facecolor=fill, edgecolor="none", zorder=0))


def _rule(ax: Axes, layout: Layout, frame: str, weight: float) -> None:
    """Draw the lines: thin between cells, thick between boxes, the frame in its own colour."""
    from matplotlib.patches import Rectangle

    rows, columns, box = layout.rows, layout.columns, layout.box
    for thick, colour, width in ((False, LINE, 0.7), (True, INK, 1.3)):
        ax.hlines([r for r in range(1, rows) if _is_thick(r, box) == thick], 0, columns, colour, linewidth=width)
        ax.vlines([c for c in range(1, columns) if _is_thick(c, box) == thick], 0, rows, colour, linewidth=width)
    ax.add_patch(
        Rectangle((0, 0), columns, rows, fill=False, edgecolor=frame, linewidth=weight, zorder=4, clip_on=False)
    )
    ax.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal")
    ax.set_axis_off()


def _is_thick(line: int, box: int | None) -> bool:
    return box is not None and line % box == 0


def _write(ax: Axes, layout: Layout, tokens: Tensor, given: Tensor, wrong: Tensor, only: Tensor | None = None) -> None:
    cells = range(len(tokens)) if only is None else only.nonzero().flatten().tolist()
    place: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": _font_size(ax, layout)}
    for cell in cells:
        row, column = divmod(cell, layout.columns)
        colour = RED if wrong[cell] else INK if given[cell] else BLUE
        weight = "bold" if given[cell] else "normal"
        ax.text(column + 0.5, row + 0.53, layout.text(int(tokens[cell])), color=colour, fontweight=weight, **place)


def _font_size(ax: Axes, layout: Layout) -> float:
    box = ax.get_window_extent()
    cell = min(box.width / layout.columns, box.height / layout.rows) * 72 / ax.figure.dpi
    longest = max(map(len, layout.symbols or ["00"]))
    return float(np.clip(cell * min(0.6, 1.1 / longest), 4, 16))


def _entropy_bar(ax: Axes, image: AxesImage, choices: int) -> None:
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.9, pad=0.04)
    ticks = sorted({1, 2, choices} | {k for k in (3, 4, 6, 8) if k < choices})
    bar.set_ticks([np.log(k) for k in ticks], labels=[f"{np.log(k):.2f} = log {k}" if k > 1 else "0" for k in ticks])
    bar.set_label("nats", fontsize=9, color=GREY)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)

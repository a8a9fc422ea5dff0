"""Pictures of coloured graphs: one graph, all answers to a question."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from gram_ppl.diagnostics.datatree import from_datatree, read
from gram_ppl.diagnostics.plots.canvas import BLUE, INK, LINE, RED, new_axes
from gram_ppl.diagnostics.plots.layout import Layout
from gram_ppl.diagnostics.plots.panels import answers_to, caption, headline, new_panels
from gram_ppl.select.vote import multiplicity
from gram_ppl.tasks.coloring_rules import FIRST_COLOR, ColoringRules

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The rest of Okabe and Ito's palette; the colour's number is written in the node as well.
FILLS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", BLUE, LINE)
_PANEL = Layout(5, 5)


def graph(x: Tensor, y: Tensor | None = None, *, title: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw one graph with its nodes on a circle, the first on top, clockwise.

    Without an answer a node shows its number, from 1; with one its colour, from 1. A node without a colour stays
    white, and an edge whose ends do not have two different colours is thick, red and dashed.

    Args:
        x: tokens of the pairs of nodes ``(n(n-1)/2,)``.
        y: tokens of the nodes ``(n,)``.
        title: text above the graph.
        ax: where to draw; default a new figure.

    Raises:
        ValueError: when x does not hold a token for every pair of some number of nodes, or y for every node.
    """
    rules = _rules(x, y)
    ax = ax or new_axes(2.2, 2.4 if title else 2.2)
    angle = np.pi / 2 - 2 * np.pi * np.arange(rules.n) / rules.n
    nodes = np.stack([np.cos(angle), np.sin(angle)], -1)
    edges = rules.decode(x).edges.numpy()
    bad = np.zeros(len(edges), dtype=bool) if y is None else rules.edges_in_conflict(x, y)[x == 2].numpy()
    _draw_edges(ax, nodes[edges[~bad]], nodes[edges[bad]])
    _draw_nodes(ax, nodes, None if y is None else y.tolist())
    ax.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal")
    ax.set_axis_off()
    if title:
        ax.set_title(title, fontsize=9, color=INK)
    return ax


def coloring(tree: xr.DataTree, puzzle: int = 0, *, max_graphs: int = 9, figure: Figure | None = None) -> Figure:
    """Draw a graph and its distinct answers, the most frequent first, with their share and whether they are valid.

    Args:
        tree: from :func:`to_datatree` with a colouring task; without a task there is no verdict.
        puzzle: index of the graph.
        max_graphs: answers drawn at most.
        figure: where to draw; default a new one. A figure passed in keeps its size.

    Raises:
        IndexError: when there is no such puzzle.
        ValueError: when the questions of the tree are not graphs.
    """
    draws = from_datatree(tree)
    counts = multiplicity(answers_to(puzzle, draws.y))[:, 0]
    order = counts.argsort(descending=True, stable=True)[: min(max_graphs, int((counts > 0).sum()))].tolist()
    figure, (question, *answers) = new_panels(_PANEL, 1 + len(order), figure)
    graph(draws.x[puzzle], title="question\n", ax=question)
    valid = read(tree, "sample_stats", "valid")
    for ax, w in zip(answers, order, strict=True):
        graph(draws.x[puzzle], draws.y[w, puzzle], ax=ax)
        share = f"{int(counts[w])} of {draws.width} ({int(counts[w]) / draws.width:.0%})"
        caption(ax, share, None if valid is None else bool(valid[w, puzzle]))
    figure.suptitle(headline(tree, puzzle, counts, len(order)), fontsize=10, color=INK, x=0.02, y=0.985, ha="left")
    return figure


def _rules(x: Tensor, y: Tensor | None) -> ColoringRules:
    n = (1 + isqrt(1 + 8 * len(x))) // 2
    if n * (n - 1) // 2 != len(x) or (y is not None and len(y) != n):
        got = "" if y is None else f" and {len(y)} for its nodes"
        raise ValueError(
            f"expected a token for each of n(n-1)/2 pairs of nodes and each of n nodes, got {len(x)} for pairs{got}"
        )
    return ColoringRules(n, colors=max(2, 0 if y is None else int(y.max()) - FIRST_COLOR + 1))


def _draw_edges(ax: Axes, good: np.ndarray, bad: np.ndarray) -> None:
    from matplotlib.collections import LineCollection

    ax.add_collection(LineCollection(list(good), colors=INK, linewidths=0.9, zorder=1))
    ax.add_collection(LineCollection(list(bad), colors=RED, linewidths=3, linestyles=[(0, (2, 1))], zorder=2))


def _draw_nodes(ax: Axes, nodes: np.ndarray, tokens: Sequence[int] | None) -> None:
    from matplotlib.patches import Circle

    radius = min(0.17, 2 / len(nodes))
    for i, (across, up) in enumerate(nodes.tolist()):
        color = -1 if tokens is None else tokens[i] - FIRST_COLOR
        fill = FILLS[color % len(FILLS)] if color >= 0 else "white"
        ax.add_patch(Circle((across, up), radius, facecolor=fill, edgecolor=INK, linewidth=1, zorder=3))
        text = str(i + 1) if tokens is None else str(color + 1) if color >= 0 else ""
        size = float(np.clip(45 * radius, 3, 8))
        ax.text(across, up - 0.01, text, ha="center", va="center_baseline", fontsize=size, color=INK, zorder=4)

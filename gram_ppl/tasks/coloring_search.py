"""Enumerate the colourings of a graph, each once whatever the names of its colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def colorings(adjacency: Tensor, colors: int) -> Iterator[list[int]]:
    """Yield every colouring of one graph, of those that differ by the names of the colours only one.

    A node joins an open class of nodes or opens the next one. The node with the fewest classes left is placed first,
    and among those the one with the most neighbours.

    Args:
        adjacency: ``(n, n)`` bool.
        colors: colours that may be used.

    Returns:
        The colour of each node from 0, always in the same order.

    Source: D. Brélaz, *New methods to color the vertices of a graph*, Communications of the ACM 22 (1979).

    >>> list(colorings(torch.tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).bool(), colors=2))
    [[1, 0, 1]]
    """
    order = adjacency.sum(-1).argsort(descending=True, stable=True)
    rows = adjacency[order][:, order].tolist()
    neighbours = [sum(1 << node for node, joined in enumerate(row) if joined) for row in rows]
    places = order.argsort().tolist()
    for classes in _classes(neighbours, colors):
        yield [next(k for k, nodes in enumerate(classes) if nodes >> place & 1) for place in places]


def _classes(neighbours: Sequence[int], colors: int) -> Iterator[tuple[int, ...]]:
    """Yield the classes of nodes as bits, given the neighbours of each node as bits."""
    stack: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = [((1 << len(neighbours)) - 1, (), ())]
    while stack:
        waiting, classes, blocked = stack.pop()
        if not waiting:
            yield classes
            continue
        hardest = _most_blocked(waiting, blocked)
        node = hardest & -hardest
        near, waiting = neighbours[node.bit_length() - 1], waiting ^ node
        if len(classes) < colors:
            stack.append((waiting, (*classes, node), (*blocked, near)))
        free = (k for k in reversed(range(len(classes))) if not blocked[k] & node)
        stack.extend((waiting, _joined(classes, k, node), _joined(blocked, k, near)) for k in free)


def _joined(classes: tuple[int, ...], k: int, nodes: int) -> tuple[int, ...]:
    return (*classes[:k], classes[k] | nodes, *classes[k + 1 :])


def _most_blocked(waiting: int, blocked: Sequence[int]) -> int:
    """Return the waiting nodes that the largest number of classes is shut to."""
    at_least = [waiting]
    for nodes in blocked:
        raised = [level & nodes for level in at_least]
        at_least = [waiting, *(a | b for a, b in zip(at_least[1:], raised, strict=False)), raised[-1]]
    return next(level for level in reversed(at_least) if level)


def all_colorings(adjacency: Tensor, colors: int, most: int) -> tuple[Tensor, Tensor]:
    """List every canonical colouring of many graphs at once, node by node.

    Args:
        adjacency: ``(B, n, n)`` bool.
        colors: colours that may be used.
        most: refuse to hold more colourings than this.

    Returns:
        The graph ``(M,)`` that each colouring is of, in increasing order, and its colours ``(M, n)`` int8 from 0.

    Raises:
        ValueError: when more than ``most`` colourings, whole or in part, would be held.
    """
    graph, y = torch.arange(len(adjacency)), torch.zeros(len(adjacency), 0, dtype=torch.int8)
    names = torch.arange(colors, dtype=torch.int8)
    opened = graph.new_zeros(len(graph))
    for node in range(adjacency.shape[-1]):
        clash = (adjacency[graph, node, :node, None] & (y[..., None] == names)).any(1)
        rows, color = ((names <= opened[:, None]) & ~clash).nonzero(as_tuple=True)
        if len(rows) > most:
            raise ValueError(
                f"expected at most {most:,} colourings in all, got more at node {node}: "
                "raise the edge probability or take fewer or smaller graphs"
            )
        graph, y = graph[rows], torch.cat([y[rows], color[:, None].to(torch.int8)], -1)
        opened = torch.maximum(opened[rows], color + 1)
    return graph, y

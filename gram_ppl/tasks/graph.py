"""Graphs, and pieces of larger ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Graph:
    """An undirected graph without self loops, each edge held once.

    Args:
        n: number of nodes, which are 0..n-1.
        edges: ``(m, 2)`` long, in any order and direction; repeated edges become one.
        name: for messages and titles.

    Raises:
        ValueError: for another shape or dtype, a node outside 0..n-1 or a self loop.

    >>> Graph(3, torch.tensor([[2, 1], [0, 1], [1, 2]])).edges.tolist()
    [[0, 1], [1, 2]]
    """

    n: int
    edges: Tensor
    name: str = ""

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"expected a graph of at least 1 node, got n={self.n}")
        edges = self.edges
        if edges.ndim != 2 or edges.shape[-1] != 2 or edges.dtype != torch.long:
            raise ValueError(f"expected edges (m, 2) of torch.long, got {tuple(edges.shape)} of {edges.dtype}")
        if len(edges) and not (0 <= int(edges.min()) and int(edges.max()) < self.n):
            raise ValueError(
                f"expected nodes 0..{self.n - 1} in the edges, got {int(edges.min())}..{int(edges.max())}: count from 0"
            )
        loops = edges[edges[:, 0] == edges[:, 1]]
        if len(loops):
            raise ValueError(f"expected no self loop, got one at node {int(loops[0, 0])}: it cannot be coloured")
        object.__setattr__(self, "edges", edges.sort(-1).values.unique(dim=0))

    def __repr__(self) -> str:
        return f"Graph(n={self.n}, edges={len(self.edges)}, name={self.name!r})"

    @property
    def adjacency(self) -> Tensor:
        """Which nodes are joined: ``(n, n)`` bool, symmetric."""
        joined = torch.zeros(self.n, self.n, dtype=torch.bool)
        joined[self.edges[:, 0], self.edges[:, 1]] = True
        return joined | joined.T

    def subgraph(self, nodes: Tensor) -> Graph:
        """Keep the nodes ``(k,)``, which become 0..k-1 in that order, and the edges between them.

        Raises:
            ValueError: for a node that is not there or comes twice, or no node at all.
        """
        if nodes.ndim != 1 or len(nodes.unique()) < len(nodes) or not set(nodes.tolist()) <= set(range(self.n)):
            raise ValueError(f"expected distinct nodes of 0..{self.n - 1} as (k,), got {nodes.tolist()}")
        joined = self.adjacency[nodes][:, nodes].triu()
        return Graph(len(nodes), joined.nonzero(), self.name and f"{self.name}{nodes.tolist()}")


def induced_subgraphs(graph: Graph, n: int, count: int, generator: torch.Generator) -> list[Graph]:
    """Draw connected pieces of n nodes each, with all edges the graph has between them.

    This is how larger graphs are used: a question has one token for each pair of nodes, so the number of nodes is
    fixed when a model is trained. A piece grows from a node drawn uniformly by nodes drawn uniformly among those joined
    to it; its nodes stay in the graph's order. Pieces may overlap or repeat.

    Args:
        graph: the larger graph.
        n: nodes of a piece.
        count: pieces to draw.
        generator: the source of all randomness.

    Raises:
        ValueError: when no connected part of the graph has n nodes, or n or ``count`` is below 1.
    """
    if n < 1 or count < 1:
        raise ValueError(f"expected at least 1 piece of at least 1 node, got count={count} and n={n}")
    adjacency = graph.adjacency
    starts = (_reached(adjacency).sum(-1) >= n).nonzero().flatten()
    if not len(starts):
        raise ValueError(f"expected a connected part of {n} nodes or more, got none in {graph}: take smaller pieces")
    return [graph.subgraph(_grown(adjacency, starts, n, generator)) for _ in range(count)]


def _reached(adjacency: Tensor) -> Tensor:
    """Tell which nodes are joined by a path ``(n, n)``, every node with itself."""
    paths = adjacency | torch.eye(len(adjacency), dtype=torch.bool)
    for _ in range(len(adjacency).bit_length()):
        paths = (paths.float() @ paths.float()) > 0
    return paths


def _grown(adjacency: Tensor, starts: Tensor, n: int, generator: torch.Generator) -> Tensor:
    nodes = torch.zeros(len(adjacency), dtype=torch.bool)
    nodes[_one_of(starts, generator)] = True
    for _ in range(n - 1):
        nodes[_one_of((adjacency[nodes].any(0) & ~nodes).nonzero().flatten(), generator)] = True
    return nodes.nonzero().flatten()


def _one_of(nodes: Tensor, generator: torch.Generator) -> Tensor:
    return nodes[torch.randint(len(nodes), (), generator=generator)]

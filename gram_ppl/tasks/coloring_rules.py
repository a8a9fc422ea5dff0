"""Graphs and their colourings as tokens: encoding, checking and solving."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional as F

from gram_ppl.tasks.coloring_search import colorings
from gram_ppl.tasks.graph import Graph
from gram_ppl.types import TaskSpec

PAD, NO_EDGE, EDGE, FIRST_COLOR = 0, 1, 2, 3


class ColoringRules:
    """Encode graphs of n nodes, and check and list their colourings (paper Section 4).

    A question x has one token for each pair of nodes, the strict upper triangle of the adjacency matrix row by row:
    0 pad, 1 no edge, 2 edge. An answer y has one token for each node: 3 + colour. The number of tokens is tied to n, so
    a model is asked about a larger graph in pieces: :meth:`Graph.subgraph`, :func:`induced_subgraphs`.

    The names of the colours carry no meaning, and an answer is valid in *canonical* form only: colours numbered by
    first appearance in node order, as the paper lists them. So distinct valid answers are distinct solutions, as many
    as ``count`` says. ``canonical`` brings any answer into that form: ``is_valid(x, canonical(y))`` equals
    ``is_proper(x, y)``, and judging ``canonical(draws.y)`` forgives a model the names.

    Args:
        n: nodes, at least 2.
        colors: colours that may be used, at least 2.

    Attributes:
        symbols: the text of each token of y.

    Raises:
        ValueError: for n or ``colors`` below 2.

    >>> rules = ColoringRules(4, colors=3)
    >>> square = rules.encode(Graph(4, torch.tensor([[0, 1], [1, 2], [2, 3], [0, 3]])))
    >>> square.tolist()
    [2, 1, 2, 2, 1, 2]
    >>> rules.solutions(square, cap=10).tolist()
    [[3, 4, 3, 4], [3, 4, 3, 5], [3, 4, 5, 4]]
    """

    def __init__(self, n: int, colors: int = 3) -> None:
        if n < 2:
            raise ValueError(f"expected a graph of at least 2 nodes, got n={n}: a smaller one has no edge")
        if colors < 2:
            raise ValueError(f"expected at least 2 colours, got {colors}: fewer colour no edge")
        self.n, self.colors = n, colors
        self.symbols = ("", "", "", *map(str, range(1, colors + 1)))
        pairs = n * (n - 1) // 2
        self.spec = TaskSpec(length=pairs, input_vocab=3, output_vocab=FIRST_COLOR + colors, output_length=n)

    def encode(self, graph: Graph) -> Tensor:
        """Turn a graph of exactly n nodes into a question ``(n(n-1)/2,)``.

        Raises:
            ValueError: when the graph has another number of nodes.
        """
        if graph.n != self.n:
            raise ValueError(
                f"expected a graph of exactly {self.n} nodes, got {graph}: take ColoringRules({graph.n}), "
                "or ask about pieces of the graph, see induced_subgraphs"
            )
        return graph.adjacency[node_pairs(self.n)].long() + NO_EDGE

    def decode(self, x: Tensor) -> Graph:
        """Turn one question ``(n(n-1)/2,)`` back into its graph.

        Raises:
            ValueError: for another shape or a token that x does not have.
        """
        self._check_question(x)
        return Graph(self.n, torch.stack(node_pairs(self.n), -1)[x.cpu() == EDGE])

    def adjacency(self, x: Tensor) -> Tensor:
        """Tell which nodes of questions ``x`` ``(*, n(n-1)/2)`` are joined: ``(*, n, n)`` bool."""
        apart = ~torch.eye(self.n, dtype=torch.bool, device=x.device)
        return (x == EDGE)[..., pair_positions(self.n).to(x.device)] & apart

    def canonical(self, y: Tensor) -> Tensor:
        """Number the colours of answers ``y`` ``(*, n)`` by first appearance; tokens that are no colours stay.

        >>> ColoringRules(4).canonical(torch.tensor([5, 3, 5, 4])).tolist()
        [3, 4, 3, 5]
        """
        seen = y[..., None] == torch.arange(FIRST_COLOR, FIRST_COLOR + self.colors, device=y.device)
        first = torch.where(seen.any(-2), seen.int().argmax(-2), self.n)
        number = first.argsort(dim=-1, stable=True).argsort(dim=-1)
        return torch.where(seen.any(-1), FIRST_COLOR + number.gather(-1, seen.int().argmax(-1)), y)

    def is_valid(self, x: Tensor, y: Tensor) -> Tensor:
        """Tell which answers ``y`` ``(*, n)`` are proper colourings of ``x`` ``(*, n(n-1)/2)`` in canonical form.

        Leading dimensions broadcast. Works on the device of its inputs.

        Raises:
            ValueError: for a wrong length, or tokens that are not integers.
        """
        return self.is_proper(x, y) & (y == self.canonical(y)).all(-1)

    def is_proper(self, x: Tensor, y: Tensor) -> Tensor:
        """Tell which answers give each node a colour and the ends of each edge two, whatever the colours' names."""
        return ~self.edges_in_conflict(x, y).any(-1) & self._colored(y).all(-1)

    def conflicting_edges(self, x: Tensor, y: Tensor) -> Tensor:
        """Count the edges ``(*,)`` whose ends have the same colour; an edge with an end that has none counts too.

        The paper reports its sum over the test set. The colours' names make no difference.
        """
        return self.edges_in_conflict(x, y).sum(-1)

    def edges_in_conflict(self, x: Tensor, y: Tensor) -> Tensor:
        """Mark the tokens ``(*, n(n-1)/2)`` of the edges whose ends do not have two different colours."""
        self._check("x", x, self.spec.length)
        self._check("y", y, self.n)
        first, second = (y[..., end.to(y.device)] for end in node_pairs(self.n))
        return (x == EDGE) & ((first == second) | ~self._colored(first) | ~self._colored(second))

    def conflicts(self, x: Tensor, y: Tensor) -> Tensor:
        """Mark the nodes ``(*, n)`` that have no colour, or lie on an edge whose ends have the same."""
        ends = F.one_hot(torch.stack(node_pairs(self.n)), self.n).sum(0).float().to(y.device)
        return (self.edges_in_conflict(x, y).float() @ ends > 0) | ~self._colored(y)

    def solutions(self, x: Tensor, cap: int) -> Tensor:
        """List up to ``cap`` canonical colourings ``(n_solutions, n)`` of one question, always in the same order.

        Raises:
            ValueError: for another shape, a token that x does not have, or ``cap`` below 1.
        """
        found = torch.tensor(list(self._search(x, cap)), dtype=torch.long, device=x.device).reshape(-1, self.n)
        return self.canonical(FIRST_COLOR + found)

    def count(self, x: Tensor, cap: int) -> int:
        """Count the canonical colourings of one question, stopping at ``cap``; raises as ``solutions`` does."""
        return sum(1 for _ in self._search(x, cap))

    def _search(self, x: Tensor, cap: int) -> Iterator[list[int]]:
        if cap < 1:
            raise ValueError(f"expected a cap of at least 1 solution, got {cap}")
        self._check_question(x)
        return islice(colorings(self.adjacency(x.cpu()), self.colors), cap)

    def _colored(self, y: Tensor) -> Tensor:
        return (y >= FIRST_COLOR) & (y < FIRST_COLOR + self.colors)

    def _check_question(self, x: Tensor) -> None:
        if x.shape != (self.spec.length,):
            raise ValueError(
                f"expected one question x of shape ({self.spec.length},), got {tuple(x.shape)}: pass a single row"
            )
        self._check_edges("x", x)

    def _check_edges(self, name: str, x: Tensor) -> None:
        self._check(name, x, self.spec.length)
        if not bool(((x >= PAD) & (x <= EDGE)).all()):
            raise ValueError(f"expected tokens 0..2 in {name} (1 no edge, 2 edge), got {int(x.min())}..{int(x.max())}")

    def _check(self, name: str, tokens: Tensor, length: int) -> None:
        if tokens.shape[-1:] != (length,):
            raise ValueError(f"expected {name} of shape (*, {length}), got {tuple(tokens.shape)}: is n={self.n} right?")
        if tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
            raise ValueError(f"expected integer tokens in {name}, got {tokens.dtype}: decode logits with argmax first")


@lru_cache(maxsize=16)
def node_pairs(n: int) -> tuple[Tensor, Tensor]:
    """Return the two nodes ``(n(n-1)/2,)`` of each token of a question."""
    first, second = torch.triu_indices(n, n, offset=1)
    return first, second


@lru_cache(maxsize=16)
def pair_positions(n: int) -> Tensor:
    """Return the position of each pair of nodes among the tokens of a question: ``(n, n)``, 0 on the diagonal."""
    positions = torch.zeros(n, n, dtype=torch.long)
    positions[node_pairs(n)] = torch.arange(n * (n - 1) // 2)
    return positions + positions.T

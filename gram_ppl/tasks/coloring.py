"""Random graphs to colour: several colourings each, all of them known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from gram_ppl.tasks.coloring_rules import FIRST_COLOR, NO_EDGE, ColoringRules, node_pairs, pair_positions
from gram_ppl.tasks.coloring_search import all_colorings
from gram_ppl.tasks.solved import Solved
from gram_ppl.tasks.stream import Draw, HeldOut, draw_distinct, generator, stream
from gram_ppl.types import Batch

PUBLISHED = {8: (7002, 255), 10: (13465, 192)}
"""Graphs to train on and to test on in the paper's Section 4, by number of nodes."""

_MOST = 5_000_000
_CHUNK = 1024
_TRAIN, _SPLIT, _GRAPHS = 0, 1, 2


class GivenColoring(ColoringRules):
    """Colour graphs that are given, every canonical colouring of each known.

    A training graph is drawn uniformly, then its answer uniformly among all its canonical colourings.

    The split is by question, as the paper's: a test graph may be a training graph with its nodes numbered anew.

    Args:
        n: nodes of every graph.
        colors: colours that may be used.
        train: graphs to train on ``(N, n(n-1)/2)``, tokens as from ``encode``; a repeated graph counts once.
        test: held-out graphs.
        validation: other held-out graphs, for choices made during training; default none.
        augment: number the nodes of every training pair anew at random, and then its colours by first appearance.
            A question that becomes a held-out one is drawn again, so that none is ever trained on.
        seed: of the answers to the held-out graphs and, with the loader's own, of the training stream.

    Raises:
        ValueError: for graphs of another size, a graph that cannot be coloured, no graph to train on, a graph that is
            held out twice or held out and trained on, or more than five million colourings of one set.

    >>> from gram_ppl.tasks import Graph
    >>> rules = ColoringRules(4)
    >>> square = Graph(4, torch.tensor([[0, 1], [1, 2], [2, 3], [0, 3]]))
    >>> path = Graph(4, torch.tensor([[0, 1], [1, 2], [2, 3]]))
    >>> task = GivenColoring(4, train=rules.encode(path)[None], test=rules.encode(square)[None])
    >>> task.is_valid(*task.test)
    tensor([True])
    """

    def __init__(
        self,
        n: int,
        colors: int = 3,
        *,
        train: Tensor,
        test: Tensor,
        validation: Tensor | None = None,
        augment: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(n, colors)
        self.augment, self.seed = augment, seed
        self.train = self._solved("train", train.unique(dim=0))
        self.test = self._answered("test", test)
        self.validation = self._answered("validation", test[:0] if validation is None else validation)
        self._known = self._checked_split()

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(n={self.n}, colors={self.colors}, train={len(self.train)}, "
            f"test={len(self.test.x)}, seed={self.seed})"
        )

    def loader(self, batch_size: int, *, seed: int = 0, device: torch.device | str | None = None) -> Iterator[Batch]:
        """Stream training batches, x ``(batch_size, n(n-1)/2)`` and y ``(batch_size, n)``, none with a held-out graph.

        Args:
            batch_size: questions in a batch.
            seed: of this stream.
            device: where the batches are put; None is the CPU, where they are drawn.

        Raises:
            ValueError: for a ``batch_size`` below 1.
        """
        return stream(self._draw, self._known, batch_size, generator(self.seed, _TRAIN, seed), device)

    def relabel(self, batch: Batch, order: Tensor) -> Batch:
        """Number the nodes anew: node i of the result is node ``order[..., i]`` ``(B, n)`` of the batch."""
        first, second = node_pairs(self.n)
        pairs = pair_positions(self.n)[order[:, first], order[:, second]]
        return Batch(batch.x.gather(-1, pairs), self.canonical(batch.y.gather(-1, order)))

    def _draw(self, count: int, generator: torch.Generator) -> Batch:
        rows = torch.randint(len(self.train), (count,), generator=generator)
        batch = self._drawn(self.train, rows, generator)
        if not self.augment:
            return batch
        return self.relabel(batch, torch.rand(count, self.n, generator=generator).argsort(-1))

    def _drawn(self, solved: Solved, rows: Tensor, generator: torch.Generator) -> Batch:
        return Batch(*(tokens.long() for tokens in solved.draw(rows, generator)))

    def _answered(self, name: str, x: Tensor) -> Batch:
        return self._drawn(self._solved(name, x), torch.arange(len(x)), generator(self.seed, _SPLIT, len(x)))

    def _solved(self, name: str, x: Tensor) -> Solved:
        if x.ndim != 2:
            raise ValueError(
                f"expected {name} graphs (N, {self.spec.length}), got {tuple(x.shape)}: stack the questions"
            )
        self._check_edges(name, x)
        graph, colors = all_colorings(self.adjacency(x), self.colors, _MOST)
        counts = torch.bincount(graph, minlength=len(x))
        if not bool(counts.all()):
            row = int((counts == 0).int().argmax())
            raise ValueError(
                f"expected {name} graphs that {self.colors} colours can colour, got {self.decode(x[row])} that they "
                "cannot: leave it out or allow more colours"
            )
        return Solved(x.to(torch.int8), colors + FIRST_COLOR, torch.cat([counts.new_zeros(1), counts.cumsum(0)]))

    def _checked_split(self) -> HeldOut:
        if not len(self.train):
            raise ValueError("expected graphs to train on, got none")
        questions = torch.cat([self.test.x, self.validation.x])
        held_out = HeldOut(questions)
        twice = len(questions) - len(questions.unique(dim=0))
        trained = int(held_out.contains(self.train.x.long()).sum())
        if twice or trained:
            raise ValueError(
                f"expected distinct graphs in train, test and validation, got {trained} both trained on and held out "
                f"and {twice} held out twice: keep each in one place"
            )
        return held_out


class GraphColoring(GivenColoring):
    """Colour random graphs of n nodes (paper Section 4).

    Every pair of nodes is joined with probability p, and a graph is kept when it can be coloured and is new. The paper
    does not state p. By default p = 4 / n, at most 1/2: four neighbours for a node are a little fewer than the 4.7
    beyond which large random graphs lose their last colouring in 3 colours, so that graphs of every size are both hard
    and open. Half of the graphs drawn are then kept, with 7.2 colourings on average for n = 8 and 17 for n = 10.

    Args:
        n: nodes, at least 3.
        colors: colours that may be used.
        edge_probability: p, or the two ends of a range that each graph draws its own p from; default ``min(1/2, 4/n)``.
        train: distinct graphs to train on; default the paper's 7,002 for n = 8 and 13,465 for n = 10, else 10,000.
        test: distinct graphs held out; default the paper's 255 for n = 8 and 192 for n = 10, else 200.
        validation: further distinct graphs held out, for choices made during training.
        augment: number the nodes of every training pair anew, see :class:`GivenColoring`.
        seed: of the graphs and, with the loader's own, of the training stream.

    Raises:
        ValueError: for n below 3, a probability outside (0, 1), a negative size, or fewer distinct graphs than asked.

    >>> task = GraphColoring(8)
    >>> len(task.train), len(task.validation.x), len(task.test.x)
    (7002, 100, 255)
    """

    def __init__(
        self,
        n: int = 8,
        colors: int = 3,
        *,
        edge_probability: float | Sequence[float] | None = None,
        train: int | None = None,
        test: int | None = None,
        validation: int = 100,
        augment: bool = True,
        seed: int = 0,
    ) -> None:
        if n < 3:
            raise ValueError(f"expected random graphs of at least 3 nodes, got n={n}: smaller ones leave no choice")
        published = PUBLISHED.get(n, (10_000, 200))
        sizes = [published[1] if test is None else test, validation, published[0] if train is None else train]
        if min(sizes) < 0:
            raise ValueError(f"expected at least 0 graphs, got train={train}, test={test} and validation={validation}")
        self.edge_probability = _range(min(0.5, 4 / n) if edge_probability is None else edge_probability)
        draw = partial(_colorable, ColoringRules(n, colors), self.edge_probability)
        tests, held, trained = _distinct(draw, sum(sizes), generator(seed, _GRAPHS)).split(sizes)
        super().__init__(n, colors, train=trained, test=tests, validation=held, augment=augment, seed=seed)


def _range(edge_probability: float | Sequence[float]) -> tuple[float, float]:
    low, high = (edge_probability, edge_probability) if isinstance(edge_probability, int | float) else edge_probability
    if not 0 < low <= high < 1:
        raise ValueError(f"expected an edge probability in (0, 1) or a range of them, got {edge_probability}")
    return low, high


def _distinct(draw: Draw, count: int, generator: torch.Generator) -> Tensor:
    try:
        return draw_distinct(draw, count, generator).x
    except ValueError as error:
        raise ValueError(
            f"expected {count} distinct graphs with a colouring, found fewer: ask for fewer graphs, "
            "or another edge probability"
        ) from error


def _colorable(
    rules: ColoringRules, edge_probability: tuple[float, float], count: int, generator: torch.Generator
) -> Batch:
    """Draw up to ``count`` graphs that can be coloured, without an answer; several at once, as many cannot."""
    (low, high), size = edge_probability, max(count, _CHUNK)
    p = low + (high - low) * torch.rand(size, 1, generator=generator)
    x = NO_EDGE + (torch.rand(size, rules.spec.length, generator=generator) < p).long()
    graph, _ = all_colorings(rules.adjacency(x), rules.colors, _MOST)
    kept = x[graph.unique()][:count]
    return Batch(kept, kept[:, :0])

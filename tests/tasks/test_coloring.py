"""Colourings of graphs: their rules, their enumeration, and the random graphs to train and test on."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import combinations, islice, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from gram_ppl.tasks import ColoringRules, GivenColoring, GraphColoring, Task
from gram_ppl.tasks.coloring_search import all_colorings, colorings

RULES = ColoringRules(5)
PAIRS = list(combinations(range(5), 2))
EVERY = torch.tensor(list(product((3, 4, 5), repeat=5)))
SQUARE, PATH = torch.tensor([2, 1, 2, 2, 1, 2]), torch.tensor([2, 1, 1, 2, 1, 2])
SQUARES = torch.tensor([[2, 1, 2, 2, 1, 2], [1, 2, 2, 2, 2, 1], [2, 2, 1, 1, 2, 2]])
"""The three ways to number the nodes of a square."""


@cache
def eight(seed: int = 0) -> GraphColoring:
    return GraphColoring(8, seed=seed)


def small(**options: object) -> GraphColoring:
    arguments = {"n": 5, "train": 60, "test": 20, "validation": 10}
    return GraphColoring(**(arguments | options))  # type: ignore[arg-type]


def given_task(**options: object) -> GivenColoring:
    arguments = {"n": 4, "train": PATH[None], "test": SQUARE[None]}
    return GivenColoring(**(arguments | options))  # type: ignore[arg-type]


def first_seen(colors: tuple[int, ...]) -> tuple[int, ...]:
    """Number colours by first appearance, by the definition."""
    return tuple(3 + list(dict.fromkeys(colors)).index(color) for color in colors)


def rows(x: Tensor) -> set[tuple[int, ...]]:
    return {tuple(row) for row in x.tolist()}


questions = st.lists(st.integers(1, 2), min_size=10, max_size=10).map(torch.tensor)
answers = st.lists(st.integers(0, 6), min_size=5, max_size=5).map(torch.tensor)


@settings(max_examples=50, deadline=None)
@given(questions)
def test_decoding_undoes_encoding(x: Tensor) -> None:
    graph = RULES.decode(x)
    assert [tuple(edge) for edge in graph.edges.tolist()] == [p for p, t in zip(PAIRS, x, strict=True) if t == 2]
    assert torch.equal(RULES.encode(graph), x)
    assert torch.equal(RULES.adjacency(x), graph.adjacency)


@settings(max_examples=40, deadline=None)
@given(questions)
def test_an_answer_is_valid_exactly_when_it_is_proper_and_its_colours_are_numbered_in_order(x: Tensor) -> None:
    edges = [pair for pair, token in zip(PAIRS, x, strict=True) if token == 2]
    proper = [all(y[i] != y[j] for i, j in edges) for y in EVERY.tolist()]
    ordered = [first_seen(y) == y for y in map(tuple, EVERY.tolist())]
    expected = [p and o for p, o in zip(proper, ordered, strict=True)]
    assert RULES.is_proper(x, EVERY).tolist() == proper
    assert RULES.is_valid(x, EVERY).tolist() == expected
    assert RULES.is_valid(x, RULES.canonical(EVERY)).tolist() == proper
    assert RULES.count(x, cap=1000) == sum(expected)
    assert rows(RULES.solutions(x, cap=1000)) == rows(EVERY[torch.tensor(expected)])


def test_the_canonical_form_numbers_colours_by_first_appearance_and_keeps_other_tokens() -> None:
    canonical = RULES.canonical(EVERY)
    assert canonical.tolist() == [list(first_seen(tuple(y))) for y in EVERY.tolist()]
    assert torch.equal(RULES.canonical(canonical), canonical)
    assert RULES.canonical(torch.tensor([0, 5, 6, 4, 5])).tolist() == [0, 3, 6, 4, 3]


@settings(max_examples=100, deadline=None)
@given(questions, answers)
def test_conflicts_are_the_edges_without_two_colours_and_their_ends(x: Tensor, y: Tensor) -> None:
    colored = [3 <= token < 6 for token in y.tolist()]
    bad = [
        token == 2 and not (colored[i] and colored[j] and y[i] != y[j])
        for (i, j), token in zip(PAIRS, x.tolist(), strict=True)
    ]
    ends = {node for pair, is_bad in zip(PAIRS, bad, strict=True) if is_bad for node in pair}
    assert RULES.edges_in_conflict(x, y).tolist() == bad
    assert RULES.conflicting_edges(x, y) == sum(bad)
    assert RULES.conflicts(x, y).tolist() == [i in ends or not colored[i] for i in range(5)]
    assert bool(RULES.is_proper(x, y)) == (not RULES.conflicts(x, y).any())


def test_draws_are_judged_against_their_questions() -> None:
    x, y = torch.randint(1, 3, (7, 10)), torch.randint(2, 6, (3, 7, 5))
    for judge in (RULES.is_valid, RULES.is_proper, RULES.conflicting_edges, RULES.conflicts, RULES.edges_in_conflict):
        each = torch.stack([torch.stack([judge(x[b], y[w, b]) for b in range(7)]) for w in range(3)])
        assert torch.equal(judge(x, y), each)


def test_a_complete_graph_needs_as_many_colours_as_nodes() -> None:
    x = torch.full((6,), 2)
    assert ColoringRules(4, colors=3).count(x, cap=9) == 0
    assert ColoringRules(4, colors=3).solutions(x, cap=9).shape == (0, 4)
    assert ColoringRules(4, colors=4).solutions(x, cap=9).tolist() == [[3, 4, 5, 6]]


def test_a_cap_keeps_the_first_solutions() -> None:
    x = torch.ones(10, dtype=torch.long)
    whole = RULES.solutions(x, cap=1000)
    assert len(whole) == RULES.count(x, cap=1000) == 41  # S(5, 1) + S(5, 2) + S(5, 3), Stirling's second kind
    assert torch.equal(RULES.solutions(x, cap=7), whole[:7])
    assert RULES.count(x, cap=7) == 7


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(2, 4), st.randoms(use_true_random=False))
def test_both_searches_list_the_same_colourings_each_once(n: int, colors: int, random) -> None:
    joined = torch.tensor([[random.random() < 0.4 for _ in range(n)] for _ in range(n)]).triu(1)
    adjacency = joined | joined.T
    one_by_one = [first_seen(tuple(y)) for y in colorings(adjacency, colors)]
    graph, at_once = all_colorings(torch.stack([torch.zeros_like(adjacency), adjacency]), colors, most=10_000)
    assert torch.equal(graph, graph.sort().values)
    assert len(one_by_one) == len(set(one_by_one)) == int((graph == 1).sum())
    assert set(one_by_one) == rows(at_once[graph == 1] + 3)


def test_more_colourings_than_allowed_are_refused() -> None:
    empty = torch.zeros(1, 5, 5, dtype=torch.bool)
    assert len(all_colorings(empty, 3, most=41)[1]) == 41
    with pytest.raises(ValueError, match="expected at most 40 colourings in all, got more at node 4"):
        all_colorings(empty, 3, most=40)


def test_the_papers_task_has_its_sizes_and_no_graph_twice() -> None:
    task = eight()
    assert isinstance(task, Task)
    assert (task.spec.length, task.spec.input_vocab, task.spec.output_vocab, task.spec.target_length) == (28, 3, 6, 8)
    assert (len(task.train), len(task.test.x), len(task.validation.x)) == (7002, 255, 100)
    assert len(rows(torch.cat([task.train.x.long(), task.test.x, task.validation.x]))) == 7002 + 255 + 100
    for x, y in (task.test, task.validation):
        assert x.dtype == y.dtype == torch.long
        assert task.is_valid(x, y).all()
    assert repr(task) == "GraphColoring(n=8, colors=3, train=7002, test=255, seed=0)"
    assert task.edge_probability == (0.5, 0.5)


@pytest.mark.parametrize("augment", [True, False])
def test_training_batches_are_valid_and_never_held_out(augment: bool) -> None:
    task = small(augment=augment)
    held, trained, seen = rows(torch.cat([task.test.x, task.validation.x])), rows(task.train.x), set()
    for x, y in islice(task.loader(64), 30):
        assert (x.shape, y.shape, x.dtype, y.dtype) == ((64, 10), (64, 5), torch.long, torch.long)
        assert task.is_valid(x, y).all()
        seen |= rows(x)
    assert not seen & held
    assert seen - trained if augment else seen == trained


def test_without_rejection_new_numbers_would_leak_held_out_graphs() -> None:
    task = small()
    batch = next(task.loader(256))
    orders = torch.rand(256, 5).argsort(-1)
    assert rows(task.relabel(batch, orders).x) & rows(task.test.x)


def test_a_relabelled_pair_is_the_same_graph_and_colouring_with_other_numbers() -> None:
    task = small()
    batch, orders = next(task.loader(32)), torch.rand(32, 5).argsort(-1)
    again = task.relabel(batch, orders)
    assert task.is_valid(*again).all()
    for i, order in enumerate(orders):
        assert torch.equal(task.adjacency(again.x[i]), task.adjacency(batch.x[i])[order][:, order])
        assert tuple(again.y[i].tolist()) == first_seen(tuple(batch.y[i][order].tolist()))


def test_streams_repeat_with_their_seed_and_differ_without() -> None:
    task, again, other = small(), small(), small(seed=1)
    torch.testing.assert_close(again.test, task.test)
    first, same = (list(islice(t.loader(16, seed=3), 3)) for t in (task, again))
    torch.testing.assert_close(first, same)
    assert not torch.equal(first[0].x, next(task.loader(16, seed=4)).x)
    assert not torch.equal(other.test.x, task.test.x)
    assert not torch.equal(next(other.loader(16, seed=3)).x, first[0].x)


def test_drawing_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    next(small().loader(8))
    torch.testing.assert_close(torch.get_rng_state(), state)


@pytest.mark.parametrize("augment", [True, False])
def test_answers_are_uniform_over_all_canonical_colourings(augment: bool) -> None:
    task = given_task(test=SQUARES[:0], train=SQUARES, augment=augment)
    x, y = next(task.loader(12_000))
    pairs, counts = torch.cat([x, y], -1).unique(dim=0, return_counts=True)
    assert len(pairs) == sum(task.count(square, cap=100) for square in SQUARES) == 9
    assert chisquare(counts.numpy()).pvalue > 1e-3


def test_edges_come_with_the_probability_or_range_that_was_asked_for() -> None:
    fixed, ranged = (small(n=7, edge_probability=p, train=200) for p in (0.2, (0.01, 0.39)))
    shares = [(task.train.x == 2).float().mean(-1) for task in (fixed, ranged)]
    one_graph = (0.2 * 0.8 / 21) ** 0.5
    assert abs(float(shares[0].mean()) - 0.2) < 4 * one_graph / 200**0.5
    assert float(shares[0].std()) < 1.2 * one_graph < float(shares[1].std())
    assert (fixed.edge_probability, ranged.edge_probability) == ((0.2, 0.2), (0.01, 0.39))


def test_given_graphs_are_taken_as_they_are_and_repeated_ones_once() -> None:
    rules = ColoringRules(4)
    x = torch.stack([rules.encode(rules.decode(question)) for question in (PATH, PATH, SQUARES[1])])
    task = given_task(train=x, validation=SQUARES[2:])
    assert rows(task.train.x) == rows(x)
    assert len(task.train) == 2
    assert torch.equal(task.validation.x, SQUARES[2:])
    seen = set().union(*(rows(batch.x) for batch in islice(task.loader(64), 20)))
    assert seen & rows(SQUARES) == rows(SQUARES[1:2])


COMPLETE, TWICE = torch.full((1, 6), 2), torch.stack([SQUARE, SQUARE])
BAD: dict[str, Callable[[], object]] = {
    "expected random graphs of at least 3 nodes, got n=2": lambda: GraphColoring(2),
    "expected at least 0 graphs, got train=-1, test=None and validation=100": lambda: GraphColoring(8, train=-1),
    "in (0, 1) or a range of them, got 1.0": lambda: small(edge_probability=1.0),
    "in (0, 1) or a range of them, got (0.5, 0.2)": lambda: small(edge_probability=(0.5, 0.2)),
    "expected 90 distinct graphs with a colouring, found fewer": lambda: small(n=3),
    "expected graphs to train on, got none": lambda: given_task(train=PATH[None][:0]),
    "expected train graphs that 3 colours can colour, got Graph(n=4, edges=6": lambda: given_task(train=COMPLETE),
    "expected test graphs that 3 colours can colour": lambda: given_task(test=COMPLETE),
    "got 1 both trained on and held out and 0 held out twice": lambda: given_task(test=PATH[None]),
    "got 0 both trained on and held out and 1 held out twice": lambda: given_task(test=TWICE),
    "got 0 both trained on and held out and 1 held out": lambda: given_task(validation=SQUARE[None]),
    "expected train of shape (*, 10), got (1, 6): is n=5 right?": lambda: given_task(n=5),
    "expected test graphs (N, 6), got (6,): stack the questions": lambda: given_task(test=SQUARE),
    "expected tokens 0..2 in train (1 no edge, 2 edge), got 2..3": lambda: given_task(train=PATH[None] + 1),
    "expected integer tokens in train, got torch.float32": lambda: given_task(train=PATH[None].float()),
    "expected a batch size of at least 1, got 0": lambda: given_task().loader(0),
    "expected a graph of at least 2 nodes, got n=1": lambda: ColoringRules(1),
    "expected at least 2 colours, got 1": lambda: ColoringRules(4, colors=1),
    "expected a graph of exactly 5 nodes, got Graph(n=4, edges=4": lambda: RULES.encode(
        ColoringRules(4).decode(SQUARE)
    ),
    "expected one question x of shape (10,), got (2, 10)": lambda: RULES.count(torch.ones(2, 10).long(), cap=1),
    "expected tokens 0..2 in x (1 no edge, 2 edge), got 3..3": lambda: RULES.decode(torch.full((10,), 3)),
    "expected a cap of at least 1 solution, got 0": lambda: RULES.solutions(torch.ones(10).long(), cap=0),
    "expected y of shape (*, 5), got (4,): is n=5 right?": lambda: RULES.is_valid(torch.ones(10).long(), PATH[:4]),
    "expected integer tokens in y, got torch.float32": lambda: RULES.conflicts(torch.ones(10).long(), torch.ones(5)),
}


@pytest.mark.parametrize(("message", "call"), BAD.items(), ids=BAD)
def test_what_cannot_be_is_refused(message: str, call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()

"""Graphs, pieces of larger ones, and the files they are read from."""

from __future__ import annotations

import csv
import gzip
import re
import tarfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gram_ppl.tasks import ColoringRules, Graph, induced_subgraphs, read_dimacs

TEXT = "c a square\nc\n\np edge 5 4\ne 2 1\ne 2 3\r\ne 3 4\n  e 1  4\ne 1 2\n"
FORM = "expected 'c ...', one 'p edge N M', then 'e I J' with nodes 1..N"
PETERSEN = Graph(
    10, torch.tensor([pair for i in range(5) for pair in ((i, (i + 1) % 5), (i, i + 5), (i + 5, (i + 2) % 5 + 5))])
)
CLOSED_QUICKLY = ["1-FullIns_3", "DSJC125.1", "anna", "david", "miles250", "miles500"]
CLOSED_QUICKLY += ["myciel3", "myciel4", "queen5_5", "queen6_6", "r125.1"]
"""Real graphs that the search proves to need every one of their colours within milliseconds."""


def parsed(text: str) -> Graph:
    return read_dimacs(BytesIO(text.encode()), "some.col")


def is_connected(graph: Graph) -> bool:
    reached, joined = torch.eye(graph.n)[0] > 0, graph.adjacency
    for _ in range(graph.n):
        reached = reached | joined[reached].any(0)
    return bool(reached.all())


def test_edges_are_kept_once_in_order() -> None:
    graph = Graph(4, torch.tensor([[3, 0], [1, 2], [0, 3], [0, 1]]), "small")
    assert graph.edges.tolist() == [[0, 1], [0, 3], [1, 2]]
    assert repr(graph) == "Graph(n=4, edges=3, name='small')"
    assert torch.equal(graph.adjacency, graph.adjacency.T)
    assert graph.adjacency.triu().nonzero().tolist() == graph.edges.tolist()
    assert Graph(2, torch.zeros(0, 2, dtype=torch.long)).adjacency.sum() == 0


def test_a_subgraph_keeps_the_edges_between_its_nodes_in_the_order_given() -> None:
    nodes = torch.tensor([7, 0, 5, 2])
    piece = PETERSEN.subgraph(nodes)
    assert torch.equal(piece.adjacency, PETERSEN.adjacency[nodes][:, nodes])
    assert piece.name == ""
    assert Graph(3, torch.tensor([[0, 2]]), "path").subgraph(torch.tensor([2, 0])).name == "path[2, 0]"


def test_induced_subgraphs_are_connected_pieces_that_repeat_with_the_seed() -> None:
    far = Graph(14, torch.cat([PETERSEN.edges, torch.tensor([[10, 11], [11, 12]])]), "two parts")
    first, same, other = (induced_subgraphs(far, 6, 20, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert [piece.name for piece in first] == [piece.name for piece in same] != [piece.name for piece in other]
    for piece in first:
        nodes = torch.tensor([int(word) for word in re.findall(r"\d+", piece.name)])
        assert (piece.n, len(nodes)) == (6, 6)
        assert torch.equal(nodes, nodes.sort().values)
        assert torch.equal(piece.adjacency, far.adjacency[nodes][:, nodes])
        assert is_connected(piece)
    assert len({piece.name for piece in first}) > 10


def test_cutting_pieces_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    induced_subgraphs(PETERSEN, 8, 3, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.get_rng_state(), state)


def edges(*pairs: tuple[int, int]) -> Tensor:
    return torch.tensor(pairs)


BAD: dict[str, Callable[[], object]] = {
    "expected a graph of at least 1 node, got n=0": lambda: Graph(0, edges((0, 1))),
    "expected edges (m, 2) of torch.long, got (2,) of torch.int64": lambda: Graph(2, torch.tensor([0, 1])),
    "expected edges (m, 2) of torch.long, got (1, 2) of torch.int32": lambda: Graph(2, edges((0, 1)).int()),
    "expected nodes 0..1 in the edges, got 1..2: count from 0": lambda: Graph(2, edges((1, 2))),
    "expected no self loop, got one at node 1": lambda: Graph(3, edges((0, 2), (1, 1))),
    "expected distinct nodes of 0..9 as (k,), got [1, 1]": lambda: PETERSEN.subgraph(torch.tensor([1, 1])),
    "expected distinct nodes of 0..9 as (k,), got [10]": lambda: PETERSEN.subgraph(torch.tensor([10])),
    "expected distinct nodes of 0..9 as (k,), got [[1]]": lambda: PETERSEN.subgraph(torch.tensor([[1]])),
    "expected a graph of at least 1 node": lambda: PETERSEN.subgraph(torch.tensor([], dtype=torch.long)),
    "got count=0 and n=4": lambda: induced_subgraphs(PETERSEN, 4, 0, torch.Generator()),
    "got count=1 and n=0": lambda: induced_subgraphs(PETERSEN, 0, 1, torch.Generator()),
    "expected a connected part of 11 nodes": lambda: induced_subgraphs(PETERSEN, 11, 1, torch.Generator()),
}


@pytest.mark.parametrize(("message", "call"), BAD.items(), ids=BAD)
def test_what_is_no_graph_or_piece_is_refused(message: str, call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("count", [5, 4, 8], ids=["lines", "edges", "edges both ways"])
@pytest.mark.parametrize("kind", ["edge", "col"])
def test_a_file_is_read_whatever_its_m_counts(count: int, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "square.col"
    path.write_text(TEXT.replace("p edge 5 4", f"p {kind} 5 {count}"))
    graph = read_dimacs(path)
    assert (graph.n, graph.name, graph.edges.tolist()) == (5, "square", [[0, 1], [0, 3], [1, 2], [2, 3]])


def test_compression_is_told_from_the_content(tmp_path: Path) -> None:
    path = tmp_path / "square.col.gz"
    path.write_bytes(gzip.compress(TEXT.encode()))
    for graph in (read_dimacs(str(path)), read_dimacs(BytesIO(path.read_bytes()), "square")):
        assert (graph.n, len(graph.edges), graph.name) == (5, 4, "square")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"square\.col\.gz: expected a whole gzip file"):
        read_dimacs(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "some.col: expected 'c ...'"),
        ("c only a comment", "got no 'p' line; is it a .col file?"),
        ("e 1 2\np edge 2 1", f"some.col, line 1: {FORM}, got 'e 1 2': the 'p' line must come first"),
        ("p edge 2 1\np edge 2 1", f"some.col, line 2: {FORM}, got 'p edge 2 1': it is the second 'p' line"),
        ("c\np edge 3 1\ne 2 2", f"some.col, line 3: {FORM}, got 'e 2 2': a self loop"),
        ("p edge 3 1\ne 0 2", "line 2"),
        ("p edge 3 1\n\ne 1 4", f"some.col, line 3: {FORM}, got 'e 1 4': N is 3"),
        ("p edge 3 1\ne 1", "line 2"),
        ("p edge 3 1\ne 1 2 3", "line 2"),
        ("p edge 3 1\ne 1 -2", "line 2"),
        ("p edge 3 1\ne 1 ²", "line 2"),
        ("p edge 0 0", "line 1"),
        ("p edge 3 -1", "line 1"),
        ("p edge 9999999999 0", "line 1"),
        ("p cnf 3 1", "line 1"),
        ("comment", "line 1"),
        ("p edge 3 3\ne 1 2\ne 2 3", "some.col: expected 3 edges as its 'p' line says, got 2 lines with 2 edges"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_refused_with_its_name_and_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        parsed(text)
    assert str(error.value).startswith("some.col")


def test_bytes_that_are_no_text_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"some\.col: expected UTF-8 text, got other bytes"):
        read_dimacs(BytesIO(b"p edge \xff"), "some.col")
    with pytest.raises(FileNotFoundError, match=r"expected a DIMACS graph at .*none\.col, found none; check the path"):
        read_dimacs(tmp_path / "none.col")


words = st.sampled_from(
    ["p", "edge", "col", "e", "c", "0", "1", "2", "3", "-1", "x", "\n", "\np edge 3 1\n", "\ne 1 2\n"]
)
contents = st.one_of(
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda tail: b"\x1f\x8b\x08" + tail),
    st.lists(words, max_size=12).map(lambda parts: " ".join(parts).encode()),
)


@settings(max_examples=300, deadline=None)
@given(contents)
def test_any_content_is_a_graph_or_an_error_that_names_the_file(content: bytes) -> None:
    assert outcome(content).startswith(("Graph(n=", "some.col"))


def outcome(content: bytes) -> str:
    try:
        return repr(read_dimacs(BytesIO(content), "some.col"))
    except ValueError as error:
        return str(error)


@pytest.fixture(scope="module")
def instances(data_dir: Path) -> dict[str, tuple[Graph, dict[str, str]]]:
    """Real graphs by name, each with what is known of it."""
    return {graph.name: (graph, known) for graph, known in read_archive(data_dir / "graphs/dimacs_col_small.tar.gz")}


def read_archive(path: Path) -> Iterator[tuple[Graph, dict[str, str]]]:
    with tarfile.open(path) as archive:
        for known in csv.DictReader(archive.extractfile("dimacs_col/INDEX.csv").read().decode().splitlines()):
            yield read_dimacs(archive.extractfile(f"dimacs_col/{known['file']}"), known["file"]), known


def test_real_graphs_have_the_sizes_of_their_index(instances: dict) -> None:
    assert len(instances) == 43
    for graph, known in instances.values():
        assert (graph.n, len(graph.edges)) == (int(known["n"]), int(known["m_unique"]))


@pytest.mark.parametrize("name", CLOSED_QUICKLY)
def test_a_real_graph_needs_exactly_its_chromatic_number_of_colours(name: str, instances: dict) -> None:
    graph, known = instances[name]
    rules = ColoringRules(graph.n, int(known["chi_upper"]))
    x = rules.encode(graph)
    (y,) = rules.solutions(x, cap=1)
    assert rules.is_valid(x, y)
    assert (y[graph.edges[:, 0]] != y[graph.edges[:, 1]]).all()
    assert ColoringRules(graph.n, rules.colors - 1).count(x, cap=1) == 0


def test_pieces_of_real_graphs_are_questions_of_eight_nodes(instances: dict) -> None:
    rules = ColoringRules(8)
    for graph, _ in instances.values():
        for piece in induced_subgraphs(graph, 8, 2, torch.Generator().manual_seed(0)):
            x = rules.encode(piece)
            assert rules.is_valid(x, rules.solutions(x, cap=5)).all()
            assert int((x == 2).sum()) == len(piece.edges) >= 7

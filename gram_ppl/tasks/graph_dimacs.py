"""Reading the graphs of the DIMACS colouring challenge, plain or gzipped."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import BinaryIO

import torch

from gram_ppl.tasks.graph import Graph

_GZIP = b"\x1f\x8b"
_MOST_DIGITS = 9
_FORM = "expected 'c ...', one 'p edge N M', then 'e I J' with nodes 1..N"


def read_dimacs(source: str | Path | BinaryIO, name: str = "") -> Graph:
    r"""Read one graph in the DIMACS ``.col`` format.

    A line is a comment ``c ...``, the problem ``p edge N M`` or ``p col N M`` (once, before the edges), or an edge
    ``e I J`` between nodes counted from 1. An edge may come again or the other way round, as it does in published
    files, so M may count the lines, the edges, or every edge twice. Compression is told from the content.

    Args:
        source: the file, or an open binary file, as ``tarfile.extractfile`` gives one.
        name: the file's name, for messages and the graph; default the source's own, which for a member of an archive
            may be the archive's.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: for any other line or a self loop, with the file's name and the line; when M says that edges are
            missing; for a broken gzip or a file that is not text.

    >>> from io import BytesIO
    >>> read_dimacs(BytesIO(b"c a triangle\np edge 3 3\ne 1 2\ne 2 3\ne 3 1\n"))
    Graph(n=3, edges=3, name='graph')
    """
    if isinstance(source, str | Path):
        if not Path(source).is_file():
            raise FileNotFoundError(f"expected a DIMACS graph at {source}, found none; check the path")
        with Path(source).open("rb") as file:
            return read_dimacs(file, name)
    path = name or str(getattr(source, "name", "graph"))
    n, m, edges = _parsed(_text(source.read(), path), path)
    stem = Path(path).name.removesuffix(".gz").removesuffix(".col")
    graph = Graph(n, torch.tensor(edges, dtype=torch.long).reshape(-1, 2), stem)
    distinct = len(graph.edges)
    if m not in (len(edges), distinct, 2 * distinct):
        raise ValueError(
            f"{path}: expected {m} edges as its 'p' line says, got {len(edges)} lines with {distinct} edges; "
            "is the file cut short?"
        )
    return graph


def _text(content: bytes, path: str) -> str:
    try:
        return (gzip.decompress(content) if content.startswith(_GZIP) else content).decode()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: expected a whole gzip file, got a broken one ({error}); fetch it again") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text, got other bytes ({error}); is it a .col file?") from error


def _parsed(text: str, path: str) -> tuple[int, int, list[tuple[int, int]]]:
    """Return N, M and the edges as listed, nodes counted from 0."""
    n, m, edges = 0, 0, []
    for number, line in enumerate(text.split("\n"), start=1):
        match line.split():
            case [] | ["c", *_]:
                continue
            case ["p", "edge" | "col", nodes, lines] if not n and _number(nodes) > 0 and _number(lines) >= 0:
                n, m = _number(nodes), _number(lines)
            case ["e", i, j] if 0 < _number(i) <= n and 0 < _number(j) <= n and _number(i) != _number(j):
                edges.append((_number(i) - 1, _number(j) - 1))
            case words:
                raise ValueError(f"{path}, line {number}: {_FORM}, got {line[:80]!r}{_hint(words, n)}")
    if not n:
        raise ValueError(f"{path}: {_FORM}, got no 'p' line; is it a .col file?")
    return n, m, edges


def _number(word: str) -> int:
    return int(word) if word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS else -1


def _hint(words: list[str], n: int) -> str:
    if words[0] == "p" and n:
        return ": it is the second 'p' line"
    if words[0] == "e" and not n:
        return ": the 'p' line must come first"
    return ": a self loop cannot be coloured" if len(words) == 3 and words[1] == words[2] else f": N is {n}"

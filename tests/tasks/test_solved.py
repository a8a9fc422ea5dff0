"""Questions with all their solutions, grouped."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from gram_ppl.tasks.solved import Solved

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 99)), min_size=1, max_size=30, unique=True)


def grouped(pairs: list[tuple[int, int]]) -> Solved:
    x, y = torch.tensor(pairs).unbind(-1)
    return Solved.from_pairs(x[:, None], y[:, None])


def listed(solved: Solved) -> list[tuple[int, list[int]]]:
    ends = zip(solved.first[:-1].tolist(), solved.first[1:].tolist(), strict=True)
    return [(int(x), solved.y[a:b, 0].tolist()) for x, (a, b) in zip(solved.x, ends, strict=True)]


@given(PAIRS)
def test_grouping_keeps_every_pair_in_its_order(pairs: list[tuple[int, int]]) -> None:
    expected = {x: [y for other, y in pairs if other == x] for x, _ in sorted(pairs)}
    assert dict(listed(grouped(pairs))) == expected
    assert grouped(pairs).counts.tolist() == [len(ys) for ys in expected.values()]


@given(PAIRS, st.randoms(use_true_random=False))
def test_a_selection_keeps_each_questions_solutions(pairs: list[tuple[int, int]], random) -> None:
    solved = grouped(pairs)
    rows = [random.randrange(len(solved)) for _ in range(random.randrange(5))]
    chosen = solved.select(torch.tensor(rows, dtype=torch.long))
    assert len(chosen) == len(rows)
    assert listed(chosen) == [listed(solved)[row] for row in rows]


@given(PAIRS, st.integers(0, 2**32))
def test_an_answer_drawn_is_a_solution_of_its_question(pairs: list[tuple[int, int]], seed: int) -> None:
    solved = grouped(pairs)
    drawn = solved.draw(torch.arange(len(solved)), torch.Generator().manual_seed(seed))
    assert {(int(x), int(y)) for x, y in zip(*drawn, strict=True)} <= set(pairs)

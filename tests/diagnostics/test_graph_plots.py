"""Pictures of graphs show the colours, and the edges that are wrong."""

from __future__ import annotations

import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from gram_ppl.diagnostics import plots, to_datatree
from gram_ppl.diagnostics.plots import canvas, graphs
from gram_ppl.tasks import ColoringRules
from gram_ppl.types import Draws

SQUARE = torch.tensor([2, 1, 2, 2, 1, 2])
GOOD, BAD, BLANK = torch.tensor([3, 4, 3, 5]), torch.tensor([3, 3, 4, 5]), torch.tensor([3, 4, 0, 4])
TREE = to_datatree(Draws(SQUARE[None], torch.stack([BAD, GOOD, GOOD, BLANK])[:, None], 1), ColoringRules(4))


def nodes(ax: Axes) -> list[str]:
    return [to_hex(patch.get_facecolor()).upper() for patch in ax.patches if isinstance(patch, Circle)]


def words(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def edges(ax: Axes) -> tuple[int, int]:
    """Count the edges drawn as right and as wrong."""
    right, wrong = ax.collections
    assert to_hex(wrong.get_color()[0]).upper() == canvas.RED
    assert wrong.get_linewidth()[0] > 2 * right.get_linewidth()[0]
    return len(right.get_segments()), len(wrong.get_segments())


def test_a_question_shows_its_nodes_by_number_on_a_circle() -> None:
    ax = plots.graph(SQUARE, title="a square")
    assert (words(ax), ax.get_title(), edges(ax)) == (["1", "2", "3", "4"], "a square", (4, 0))
    assert nodes(ax) == ["#FFFFFF"] * 4
    places = torch.tensor([text.get_position() for text in ax.texts])
    torch.testing.assert_close(places, torch.tensor([[0.0, 1], [1, 0], [0, -1], [-1, 0]]), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("y", "shown", "wrong"),
    [(GOOD, ["1", "2", "1", "3"], 0), (BAD, ["1", "1", "2", "3"], 1), (BLANK, ["1", "2", "", "2"], 2)],
    ids=["right", "same colour", "no colour"],
)
def test_an_answer_shows_colours_and_marks_the_edges_in_conflict(y: torch.Tensor, shown: list[str], wrong: int) -> None:
    ax = Figure().subplots()
    assert plots.graph(SQUARE, y, ax=ax) is ax
    assert (words(ax), edges(ax)) == (shown, (4 - wrong, wrong))
    assert nodes(ax) == [graphs.FILLS[int(word) - 1] if word else "#FFFFFF" for word in shown]


def test_distinct_answers_come_by_frequency_with_share_and_verdict(tmp_path) -> None:
    figure = plots.coloring(TREE)
    question, often, *rare = figure.axes
    assert question.get_title().strip() == "question"
    assert (often.get_title().strip(), edges(often)) == ("2 of 4 (50%)", (4, 0))
    assert [words(ax)[-1] for ax in (often, *rare)] == ["✓ valid", "✗ invalid", "✗ invalid"]
    assert [edges(ax)[1] for ax in rare] == [1, 2]
    headline = "Puzzle 0: 3 distinct in 4 draws\n1 of 3 solutions found, 50% of draws valid"
    assert figure.get_suptitle() == headline
    figure.savefig(tmp_path / "coloring.png")


def test_a_given_figure_is_drawn_on_with_at_most_so_many_answers() -> None:
    figure = Figure(figsize=(9, 3))
    assert plots.coloring(TREE, max_graphs=1, figure=figure) is figure
    assert len(figure.axes) == 2
    assert figure.get_size_inches().tolist() == [9, 3]
    assert "3 distinct in 4 draws, 1 shown" in figure.get_suptitle()


def test_without_a_task_there_is_no_verdict() -> None:
    figure = plots.coloring(to_datatree(Draws(SQUARE[None], GOOD[None, None], 1)))
    assert words(figure.axes[1]) == ["1", "2", "1", "3"]


def test_what_is_no_graph_is_refused() -> None:
    with pytest.raises(ValueError, match=r"each of n\(n-1\)/2 pairs of nodes and each of n nodes, got 5 for pairs"):
        plots.graph(torch.ones(5, dtype=torch.long))
    with pytest.raises(ValueError, match="got 6 for pairs and 5 for its nodes"):
        plots.graph(SQUARE, torch.full((5,), 3))
    with pytest.raises(IndexError, match="from 0 to 0"):
        plots.coloring(TREE, 1)

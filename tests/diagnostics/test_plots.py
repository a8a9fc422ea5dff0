"""Pictures show the draws, on the axes they are given, and leave the rest of matplotlib alone."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator

import matplotlib
import matplotlib.pyplot
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gram_ppl.diagnostics import answer_entropy, cell_entropy, coverage_curve, ideal_coverage, plots, to_datatree
from gram_ppl.diagnostics.interval import mean_interval
from gram_ppl.diagnostics.plots import canvas
from gram_ppl.tasks import SudokuRules
from gram_ppl.types import Draws

HISTORY = [
    {"update": 10, "prior_accuracy": 0.1, "posterior_accuracy": 0.3, "kl": (1.0, 2.0)},
    {"update": 20, "prior_accuracy": None, "posterior_accuracy": 0.6},
    {"update": 30, "prior_accuracy": 0.4, "posterior_accuracy": float("nan"), "kl": [3.0, 1.0]},
    {"update": 40, "prior_accuracy": 0.5, "posterior_accuracy": 0.7, "kl": None, "loss": 3.0},
]

PICTURES = {
    "board": lambda tree: plots.board(torch.arange(4)).figure,
    "solutions": plots.solutions,
    "cell_entropy": lambda tree: plots.cell_entropy(tree).figure,
    "coverage": lambda tree: plots.coverage(tree).figure,
    "gap": lambda tree: plots.gap(HISTORY, task_entropy=1.0),
}
every_picture = pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES.keys())


@pytest.fixture(autouse=True)
def matplotlib_unchanged() -> Iterator[None]:
    """Fail a test after which settings, backend or open figures of matplotlib differ."""
    backend = matplotlib.get_backend()  # chooses one where none was chosen, which changes the settings
    settings = matplotlib.rcParams.copy()
    yield
    assert matplotlib.rcParams == settings
    assert matplotlib.get_backend() == backend
    assert matplotlib.pyplot.get_fignums() == []


def words(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def fills(ax: Axes) -> dict[tuple[int, int], str]:
    """Return the colour of each filled cell by (row, column)."""
    patches = [patch for patch in ax.patches if isinstance(patch, Rectangle) and patch.get_fill()]
    return {(int(patch.get_y()), int(patch.get_x())): to_hex(patch.get_facecolor()).upper() for patch in patches}


def frame(ax: Axes) -> str:
    (patch,) = [patch for patch in ax.patches if not patch.get_fill()]
    return to_hex(patch.get_edgecolor()).upper()


@every_picture
def test_every_picture_can_be_saved(tree, picture: Callable, tmp_path) -> None:
    figure = picture(tree)
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "picture.png")
    height, width, _ = matplotlib.image.imread(tmp_path / "picture.png").shape
    assert (width, height) == pytest.approx(tuple(figure.get_size_inches() * figure.dpi), abs=1)


@every_picture
def test_no_picture_needs_pyplot(tree, picture: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(matplotlib, "pyplot")
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    picture(tree).canvas.draw()


@every_picture
def test_without_matplotlib_the_error_names_the_extra(tree, picture: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"gram-ppl\[plots\]"):
        picture(tree)


@pytest.mark.parametrize("name", ["board", "cell_entropy", "coverage"])
def test_given_axes_are_drawn_on(tree, name: str) -> None:
    ax = Figure().subplots()
    assert getattr(plots, name)(torch.arange(9) if name == "board" else tree, ax=ax) is ax
    assert ax.has_data() or ax.texts


@pytest.mark.parametrize("name", ["solutions", "gap"])
def test_a_given_figure_is_drawn_on_and_keeps_its_size(tree, name: str) -> None:
    figure = Figure(figsize=(11, 3))
    assert getattr(plots, name)(HISTORY if name == "gap" else tree, figure=figure) is figure
    assert len(figure.axes) >= 2
    assert figure.get_size_inches().tolist() == [11, 3]


def test_a_board_shows_its_symbols_clues_and_conflicts() -> None:
    rules = SudokuRules(box=2)
    question = rules.encode("1... .... .... ...4")
    answer = rules.encode("1234 3412 2143 4324")
    layout = plots.Layout(4, 4, box=2, symbols=rules.symbols)
    ax = plots.board(
        answer, question != rules.blank, layout=layout, conflicts=rules.conflicts(question, answer), title="one board"
    )
    assert "".join(words(ax)) == "1234341221434324"
    assert ax.get_title() == "one board"
    assert [text.get_fontweight() == "bold" for text in ax.texts] == (question != rules.blank).tolist()
    conflicts = {divmod(int(c), 4) for c in rules.conflicts(question, answer).nonzero()}
    assert conflicts
    expected = dict.fromkeys(conflicts, canvas.CONFLICT_FILL)
    assert fills(ax) == {(0, 0): canvas.CLUE_FILL, (3, 3): canvas.CLUE_FILL} | expected
    red = [divmod(i, 4) for i, text in enumerate(ax.texts) if text.get_color() == canvas.RED]
    assert set(red) == conflicts


def test_lines_between_boxes_are_thick() -> None:
    ax = plots.board(torch.arange(16), layout=plots.Layout(4, 4, box=2))
    thick = {}
    for lines in ax.collections:
        for segment in lines.get_segments():
            (x0, y0), (x1, _) = segment.tolist()
            thick[("column", x0) if x0 == x1 else ("row", y0)] = lines.get_linewidth()[0] > 1
    assert thick == {(kind, line): line == 2 for kind in ("row", "column") for line in (1, 2, 3)}


def test_a_board_without_layout_is_one_row_of_numbers() -> None:
    ax = plots.board(torch.tensor([3, 1, 12]))
    assert words(ax) == ["3", "1", "12"]
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 3), (1, 0))


@pytest.mark.parametrize(("valid", "colour"), [(None, canvas.INK), (True, canvas.INK), (False, canvas.RED)])
def test_only_an_invalid_board_has_a_red_frame(valid: bool | None, colour: str) -> None:
    assert frame(plots.board(torch.arange(3), valid=valid)) == colour


def test_a_layout_that_does_not_hold_the_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 2×2 tokens, got 3"):
        plots.board(torch.arange(3), layout=plots.Layout(2, 2))


def test_solutions_are_ordered_by_frequency_with_share_and_verdict(few_tree) -> None:
    figure = plots.solutions(few_tree)
    question, often, once = figure.axes
    assert question.get_title().strip() == "question"
    assert words(question) == ["·"] * 4
    assert (words(often), often.get_title().strip()) == (["A", "B", "B", "A", "✓ valid"], "3 of 4 (75%)")
    assert (words(once), once.get_title().strip()) == (["A", "A", "B", "B", "✗ invalid"], "1 of 4 (25%)")
    headline = "Puzzle 0: 2 distinct in 4 draws\n1 of 2 solutions found, 75% of draws valid"
    assert figure.get_suptitle() == headline
    assert set(fills(once).values()) == {canvas.CONFLICT_FILL}
    assert fills(often) == {}


def test_only_the_most_frequent_solutions_are_shown(few_tree) -> None:
    figure = plots.solutions(few_tree, 1, max_boards=2)
    assert len(figure.axes) == 3
    assert "3 distinct in 4 draws, 2 shown" in figure.get_suptitle()
    assert figure.axes[1].get_title().startswith("2 of 4")
    assert fills(figure.axes[0]) == {(0, 0): canvas.CLUE_FILL}


def test_a_task_without_conflicts_has_red_frames(few: Draws, small_task) -> None:
    class Plain(type(small_task)):
        conflicts = None

        def is_valid(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return small_task.is_valid(x, y)

    figure = plots.solutions(to_datatree(few, Plain(2)))
    assert [frame(ax) for ax in figure.axes] == [canvas.INK, canvas.INK, canvas.RED]


def test_an_unknown_number_of_solutions_is_not_claimed(few: Draws, small_task) -> None:
    for cap in (1, None):
        figure = plots.solutions(to_datatree(few, small_task, cap=cap))
        assert "\n1 solutions found" in figure.get_suptitle()


def test_without_a_task_there_is_no_verdict(few: Draws) -> None:
    figure = plots.solutions(to_datatree(few))
    assert [words(ax) for ax in figure.axes] == [["1"] * 4, ["2", "3", "3", "2"], ["2", "2", "3", "3"]]
    assert figure.get_suptitle() == "Puzzle 0: 2 distinct in 4 draws"


@pytest.mark.parametrize("picture", [plots.solutions, plots.cell_entropy])
@pytest.mark.parametrize("puzzle", [-1, 2])
def test_a_puzzle_that_is_not_there_is_refused(few_tree, picture: Callable, puzzle: int) -> None:
    with pytest.raises(IndexError, match="from 0 to 1"):
        picture(few_tree, puzzle)


def test_the_heat_map_shows_the_entropy_of_each_cell(few: Draws, few_tree) -> None:
    ax = plots.cell_entropy(few_tree, 1)
    (image,) = ax.images
    np.testing.assert_allclose(image.get_array(), cell_entropy(few.y)[1].reshape(2, 2))
    assert image.get_clim() == pytest.approx((0, math.log(2)))
    assert words(ax) == ["A"]
    bar = ax.figure.axes[1]
    assert [label.get_text() for label in bar.get_yticklabels()] == ["0", "0.69 = log 2"]


def test_a_heat_map_without_any_choice_is_zero(few: Draws) -> None:
    same = Draws(few.x, few.y[:1].expand(3, -1, -1), 1)
    assert float(answer_entropy(same.y).sum()) == 0
    ax = plots.cell_entropy(to_datatree(same))
    assert not ax.images[0].get_array().any()
    assert words(ax) == []


def test_the_curve_is_the_mean_coverage_with_its_interval(tree, draws: Draws, task) -> None:
    ax = plots.coverage(tree, level=0.9)
    n_solutions = torch.tensor([task.count(x) for x in draws.x]).double()
    curve = coverage_curve(draws.y, task.is_valid(draws.x, draws.y), n_solutions)
    w = torch.arange(1, 17)
    lines = {line.get_label(): line for line in ax.lines}
    reached, ideal = lines["draws"], lines["ideal: uniform over solutions"]
    np.testing.assert_array_equal(reached.get_xdata(), w)
    np.testing.assert_allclose(reached.get_ydata(), curve.mean(-1))
    np.testing.assert_allclose(ideal.get_ydata(), ideal_coverage(n_solutions, w[:, None]).mean(-1))
    (band,) = ax.collections
    assert band.get_label() == "90% interval"
    low, high = (end.clamp(0, 1) for end in mean_interval(curve, 0.9))
    corners = band.get_paths()[0].vertices
    for i, x in enumerate(w.tolist()):
        heights = corners[corners[:, 0] == x, 1]
        assert (heights.min(), heights.max()) == pytest.approx((float(low[i]), float(high[i])))
    assert "6 of 6 puzzles" in ax.get_title()


def test_puzzles_without_a_count_do_not_enter_the_curve(few: Draws, small_task) -> None:
    ax = plots.coverage(to_datatree(few, small_task, cap=1))
    assert "1 of 2 puzzles" in ax.get_title()
    (line,) = [line for line in ax.lines if line.get_label() == "draws"]
    np.testing.assert_allclose(line.get_ydata(), [0.25, 0.5, 0.75, 1])


def test_many_draws_are_shown_on_a_logarithmic_axis(task, sample) -> None:
    x = torch.full((2, 9), task.blank)
    scales = [plots.coverage(to_datatree(sample(task, x, width=w), task)).get_xscale() for w in (64, 65)]
    assert scales == ["linear", "log"]


def test_a_curve_needs_a_task(draws: Draws, task) -> None:
    for tree in (to_datatree(draws), to_datatree(draws, task, cap=None)):
        with pytest.raises(ValueError, match="build it with to_datatree"):
            plots.coverage(tree)


def test_the_gap_shows_both_accuracies_without_what_is_missing() -> None:
    above, below = plots.gap(HISTORY, task_entropy=2.5).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in above.lines}
    assert lines == {
        "posterior (0.70)": [[10, 0.3], [20, 0.6], [40, 0.7]],
        "prior (0.50)": [[10, 0.1], [30, 0.4], [40, 0.5]],
    }
    lines = {line.get_label(): line.get_xydata().tolist() for line in below.lines}
    assert lines["all transitions"] == [[10, 3], [30, 4]]
    assert {y for _, y in lines["the task needs"]} == {2.5}
    assert [band.get_label() for band in below.collections] == ["transition 1", "transition 2"]


def test_many_transitions_are_lumped_and_lose_no_nats() -> None:
    kl = np.random.default_rng(0).random((3, 20))
    history = [{"update": i, "prior_accuracy": 0.5, "kl": row} for i, row in enumerate(kl)]
    _, below = plots.gap(history).axes
    names = [*(f"transition {t}" for t in range(1, 6)), "transitions 6 to 20"]
    assert [band.get_label() for band in below.collections] == names
    top = [below.collections[-1].get_paths()[0].vertices[:, 1].max(), below.lines[0].get_ydata().max()]
    assert top == pytest.approx([kl.sum(-1).max()] * 2)


def test_one_accuracy_alone_is_drawn() -> None:
    above, below = plots.gap([{"update": 1, "posterior_accuracy": 0.25}]).axes
    assert [line.get_label() for line in above.lines] == ["posterior (0.25)"]
    assert below.get_legend() is None


@pytest.mark.parametrize("history", [[], [{"update": 1, "kl": (1.0,)}], [{"update": 1, "prior_accuracy": None}]])
def test_a_history_without_accuracy_is_refused(history: list) -> None:
    with pytest.raises(ValueError, match="evaluate during training"):
        plots.gap(history)


def test_a_layout_reads_the_attributes_of_a_tree(few: Draws, few_tree) -> None:
    assert plots.Layout.of(few_tree) == plots.Layout(2, 2, None, ["", "·", "A", "B"])
    assert plots.Layout.of(to_datatree(few)) == plots.Layout(1, 4)
    assert plots.Layout(1, 4).text(3) == "3"
    assert plots.Layout.of(few_tree).text(3) == "B"

"""Tables of hand-made draws hold the numbers counted by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch

from gram_ppl.diagnostics import clustered_wilson, mean_interval, overall, summary, to_datatree, wilson
from gram_ppl.types import Draws

COLUMNS = [
    *("draws", "distinct", "valid", "valid_low", "valid_high", "solutions", "found", "coverage", "ideal"),
    *("vote_share", "vote_valid", "entropy"),
]
SKEW, SPREAD = -0.75 * math.log(0.75) - 0.25 * math.log(0.25), 1.5 * math.log(2)


def test_each_puzzle_has_its_numbers(few_tree) -> None:
    table = summary(few_tree, round_to=None)
    assert list(table.columns) == COLUMNS
    assert table.index.name == "puzzle"
    expected = {
        "draws": [4, 4],
        "distinct": [2, 3],
        "valid": [0.75, 0.25],
        "solutions": [2, 1],
        "found": [1, 1],
        "coverage": [0.5, 1.0],
        "ideal": [1 - 0.5**4, 1.0],
        "vote_share": [0.75, 0.5],
        "vote_valid": [True, False],
        "entropy": [SKEW, SPREAD],
    }
    for name, values in expected.items():
        assert table[name].tolist() == pytest.approx(values), name
    low, high = wilson(torch.tensor([3, 1]), 4)
    assert table["valid_low"].tolist() == pytest.approx(low.tolist())
    assert table["valid_high"].tolist() == pytest.approx(high.tolist())


def test_the_table_is_rounded_on_request(few_tree) -> None:
    assert summary(few_tree)["entropy"].tolist() == [round(SKEW, 3), round(SPREAD, 3)]
    assert summary(few_tree, round_to=1)["entropy"].tolist() == [0.6, 1.0]


def test_the_level_widens_the_interval(few_tree) -> None:
    narrow, wide = (summary(few_tree, level=level, round_to=None) for level in (0.5, 0.99))
    assert (wide["valid_low"] < narrow["valid_low"]).all()
    assert (wide["valid_high"] > narrow["valid_high"]).all()


def test_counts_print_as_whole_numbers(few_tree) -> None:
    text = summary(few_tree).to_string()
    head, _, first, second = text.splitlines()
    assert head.split() == COLUMNS
    assert first.split() == ["0", "4", "2", "0.75", "0.301", "0.954", "2", "1", "0.5", "0.938", "0.75", "True", "0.562"]
    assert second.split()[-2:] == ["False", "1.040"]


def test_a_count_above_the_cap_is_missing(few: Draws, small_task) -> None:
    tree = to_datatree(few, small_task, cap=1)
    table = summary(tree)
    assert table["solutions"].isna().tolist() == [True, False]
    assert table["coverage"].isna().tolist() == [True, False]
    assert table["ideal"].isna().tolist() == [True, False]
    assert table["found"].tolist() == [1, 1]
    assert "<NA>" in table.to_string()
    row = overall(tree)
    assert (row["counted"], row["coverage"], row["ideal"], row["ratio"]) == (1, 1, 1, 1)
    assert math.isnan(row["coverage_low"])


def test_columns_that_need_a_task_are_absent_without_one(few: Draws) -> None:
    tree = to_datatree(few)
    assert list(summary(tree).columns) == ["draws", "distinct", "vote_share", "entropy"]
    assert list(overall(tree).index) == ["puzzles", "draws", "distinct", "vote_share", "entropy"]


def test_without_a_count_validity_remains(few: Draws, small_task) -> None:
    tree = to_datatree(few, small_task, cap=None)
    assert "valid" in summary(tree)
    assert not {"solutions", "found", "coverage", "ideal"} & set(summary(tree))
    assert overall(tree)["valid"] == 0.5
    assert "coverage" not in overall(tree)


def test_overall_pools_the_puzzles(few_tree) -> None:
    row = overall(few_tree)
    assert isinstance(row, pd.Series)
    expected = {
        "puzzles": 2,
        "draws": 8,
        "distinct": 2.5,
        "vote_share": 0.625,
        "vote_valid": 0.5,
        "entropy": (SKEW + SPREAD) / 2,
        "valid": 0.5,
        "counted": 2,
        "coverage": 0.75,
        "coverage_low": 0,
        "coverage_high": 1,
        "ideal": 0.96875,
        "ratio": 0.75 / 0.96875,
    }
    assert row[list(expected)].to_dict() == pytest.approx(expected)
    interval = clustered_wilson(torch.tensor([0.75, 0.25]), 4)
    assert (row["valid_low"], row["valid_high"]) == pytest.approx(tuple(map(float, interval)))
    assert set(row.index) == {*expected, "valid_low", "valid_high"}
    assert "ratio" in row.to_string()


def test_overall_is_the_mean_of_the_table(tree) -> None:
    table, row = summary(tree, round_to=None), overall(tree, level=0.9)
    for name in ("distinct", "valid", "coverage", "ideal", "vote_share", "vote_valid", "entropy"):
        assert row[name] == pytest.approx(table[name].mean()), name
    low, high = mean_interval(torch.tensor(table["coverage"].to_numpy()), 0.9)
    assert (row["coverage_low"], row["coverage_high"]) == pytest.approx((max(0, float(low)), min(1, float(high))))


def test_a_uniform_sampler_reaches_the_ideal(task, sample) -> None:
    blank = torch.full((300, 9), task.blank)
    row = overall(to_datatree(sample(task, blank, width=16), task))
    error = (row["coverage_high"] - row["coverage_low"]) / 3.92
    assert row["valid"] == 1
    assert abs(row["coverage"] - row["ideal"]) < 4 * error


def test_an_always_wrong_sampler_has_zeros_and_no_warning(task) -> None:
    draws = Draws(x=torch.full((3, 9), task.blank), y=torch.full((4, 3, 9), 2), supervision_steps=1)
    row = overall(to_datatree(draws, task))
    assert (row["valid"], row["coverage"], row["vote_valid"], row["entropy"]) == (0, 0, 0, 0)
    assert row["valid_low"] == 0
    assert row["valid_high"] == pytest.approx(float(wilson(0, 3).high))


def test_a_task_that_contradicts_itself_is_an_error(few: Draws, small_task) -> None:
    class TooFew(type(small_task)):
        def count(self, x: torch.Tensor, cap: int = 1000) -> int:
            return 0

    tree = to_datatree(few, TooFew(2))
    for tabulate in (summary, overall):
        with pytest.raises(ValueError, match="is_valid and count"):
            tabulate(tree)

"""Tables of what the draws achieve: one row per puzzle, and one for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gram_ppl.diagnostics.coverage import answer_entropy, coverage, distinct_answers, distinct_valid, ideal_coverage
from gram_ppl.diagnostics.datatree import from_datatree, read
from gram_ppl.diagnostics.interval import clustered_wilson, mean_interval, wilson
from gram_ppl.select.vote import multiplicity

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def summary(tree: xr.DataTree, *, level: float = 0.95, round_to: int | None = 3) -> pd.DataFrame:
    """Tabulate the draws of each puzzle.

    ================================= ==========================================================================
    ``draws``, ``distinct``           draws W and distinct answers among them
    ``valid``, ``_low``, ``_high``    share of valid draws and its Wilson interval (draws of a puzzle are
                                      independent)
    ``solutions``                     exact number of solutions n; missing where it exceeds the cap
    ``found``                         distinct valid answers
    ``coverage``                      ``found / solutions``
    ``ideal``                         expected coverage of W independent uniform draws over the solutions
    ``vote_share``, ``vote_valid``    share of the most frequent answer, and whether it is valid
    ``entropy``                       plug-in entropy of the whole answer in nats, at most log W
    ================================= ==========================================================================

    Columns that need a task are absent when the tree was built without one.

    Args:
        tree: from :func:`to_datatree`, or the InferenceData made of it.
        level: confidence level.
        round_to: decimals; None keeps all.

    Raises:
        ValueError: when the tree holds no draws, or more distinct valid answers than solutions.
    """
    import pandas as pd

    columns = {name: column.cpu().numpy() for name, column in _columns(tree, level).items()}
    table = pd.DataFrame(columns, index=pd.RangeIndex(from_datatree(tree).x.shape[0], name="puzzle"))
    if "solutions" in table:
        table["solutions"] = table["solutions"].astype("Int64")
    return table if round_to is None else table.round(round_to)


def overall(tree: xr.DataTree, *, level: float = 0.95) -> pd.Series:
    """Pool all puzzles into one row.

    Puzzles, not draws, are taken as independent: the interval of ``valid`` is a score interval with the effective
    number of trials, that of ``coverage`` is Student's t over puzzles. ``counted`` puzzles have a known number of
    solutions and enter ``coverage``, ``ideal`` and their ``ratio``.

    Args:
        tree: from :func:`to_datatree`.
        level: confidence level.

    Raises:
        ValueError: as :func:`summary`.
    """
    import pandas as pd

    columns = _columns(tree, level)
    row: dict[str, float] = {"puzzles": len(columns["draws"]), "draws": float(columns["draws"].sum())}
    for name in ("distinct", "vote_share", "vote_valid", "entropy"):
        row |= {name: float(columns[name].double().mean())} if name in columns else {}
    row |= _pooled_validity(columns, level) if "valid" in columns else {}
    row |= _pooled_coverage(columns, level) if "coverage" in columns else {}
    return pd.Series(row, name="overall")


def _columns(tree: xr.DataTree, level: float) -> dict[str, Tensor]:
    y, valid = from_datatree(tree).y, read(tree, "sample_stats", "valid")
    n_solutions = read(tree, "constant_data", "n_solutions")
    columns = {"draws": torch.full(y.shape[1:2], len(y)), "distinct": distinct_answers(y)}
    if valid is not None:
        columns |= _validity(valid, level)
    if valid is not None and n_solutions is not None:
        columns |= _solutions(y, valid, n_solutions)
    return columns | _agreement(y, valid) | {"entropy": answer_entropy(y)}


def _validity(valid: Tensor, level: float) -> dict[str, Tensor]:
    interval = wilson(valid.sum(0), len(valid), level)
    return {"valid": valid.double().mean(0), "valid_low": interval.low, "valid_high": interval.high}


def _solutions(y: Tensor, valid: Tensor, n_solutions: Tensor) -> dict[str, Tensor]:
    found, width = distinct_valid(y, valid), len(y)
    return {
        "solutions": n_solutions,
        "found": found,
        "coverage": coverage(found, n_solutions),
        "ideal": ideal_coverage(n_solutions, width),
    }


def _agreement(y: Tensor, valid: Tensor | None) -> dict[str, Tensor]:
    counts, winner = multiplicity(y).max(0)
    agreement = {"vote_share": counts.double() / len(y)}
    return agreement if valid is None else agreement | {"vote_valid": valid.gather(0, winner[None])[0]}


def _pooled_validity(columns: dict[str, Tensor], level: float) -> dict[str, float]:
    interval = clustered_wilson(columns["valid"], int(columns["draws"][0]), level)
    low, high = float(interval.low), float(interval.high)
    return {"valid": float(columns["valid"].mean()), "valid_low": low, "valid_high": high}


def _pooled_coverage(columns: dict[str, Tensor], level: float) -> dict[str, float]:
    reached, ideal = columns["coverage"], columns["ideal"]
    low, high = (float(end.clamp(0, 1)) for end in mean_interval(reached, level))
    return {
        "counted": float((~reached.isnan()).sum()),
        "coverage": float(reached.nanmean()),
        "coverage_low": low,
        "coverage_high": high,
        "ideal": float(ideal.nanmean()),
        "ratio": float(reached.nanmean() / ideal.nanmean()),
    }

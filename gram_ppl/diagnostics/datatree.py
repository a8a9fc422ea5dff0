"""Draws as an xarray.DataTree in ArviZ's groups: the only module that knows ArviZ."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gram_ppl.types import Draws

if TYPE_CHECKING:
    import xarray as xr

    from gram_ppl.tasks.base import Task

CELLS, TOKENS = ("puzzle", "cell"), ("puzzle", "token")
DRAWN = ("chain", "draw", "puzzle")


def to_datatree(
    draws: Draws,
    task: Task | None = None,
    *,
    y: Tensor | None = None,
    prior: Mapping[str, Tensor] | None = None,
    posterior: Mapping[str, Tensor] | None = None,
    cap: int | None = 1000,
) -> xr.DataTree:
    """Lay out draws as an ``xarray.DataTree`` whose groups follow the InferenceData schema.

    ======================== ============================================================================
    ``posterior_predictive`` ``y (chain, draw, puzzle, cell)``, the answers drawn from p(y | x)
    ``constant_data``        ``x (puzzle, cell)``; with a task ``given`` (not blank) and ``n_solutions``
    ``sample_stats``         with a task ``valid (chain, draw, puzzle)`` and, where it has them, ``conflicts``
    ``observed_data``        ``y (puzzle, cell)``, on request
    ``prior``, ``posterior`` ``eps`` of p and of q ``(chain, draw, puzzle, cell, feature)``, on request
    ======================== ============================================================================

    Where the question has tokens of its own (the task's ``spec.output_length``; without a task, where their number is
    another one), x is ``(puzzle, token)``, nothing is ``given``, and ``eps`` lies on ``position``: tokens, then cells.

    A chain is one trained model, so there is one; a draw is one trajectory. Root attributes hold the library, time,
    ``width``, ``supervision_steps`` and what pictures need: ``grid``, ``box`` and ``symbols`` (JSON) of the task.

    Args:
        draws: questions ``(B, L_x)`` and answers ``(W, B, L_y)``.
        task: verifies and counts. Its optional attributes ``blank`` (token of an open cell), ``box`` (side of a box),
            ``symbols`` (text of each token of y) and ``conflicts(x, y) -> (*, L_y)`` mask are used where present.
        y: one known answer to each question ``(B, L_y)``.
        prior: site name to noise drawn from the prior ``(W, B, L, D)``.
        posterior: site name to noise drawn from the posterior ``(W, B, L, D)``.
        cap: solutions counted per puzzle before its ``n_solutions`` is given as NaN (not known); None: do not count.

    Raises:
        ValueError: when a shape does not fit the draws.

    Source: https://python.arviz.org/en/stable/schema/schema.html
    """
    import xarray as xr

    _check_batch(draws)
    groups = {"posterior_predictive": _group(draws, {"y": ((*DRAWN, "cell"), draws.y[None])})}
    groups["constant_data"] = _group(draws, _question(draws, task) | _counts(draws, task, cap))
    if task is not None:
        groups["sample_stats"] = _group(draws, _verdicts(draws, task))
    if y is not None:
        groups["observed_data"] = _group(draws, {"y": (CELLS, y)})
    for name, noise in (("prior", prior), ("posterior", posterior)):
        if noise is not None:
            dims = (*DRAWN, "position" if _lies_apart(draws, task) and draws.x.shape[-1] else "cell", "feature")
            groups[name] = _group(draws, {site: (dims, eps[None]) for site, eps in noise.items()})
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(_attributes(draws, task))
    return tree


def to_inference_data(draws: Draws, task: Task | None = None, **options: Any) -> Any:
    """Convert draws to what the installed ArviZ takes: ``InferenceData`` on 0.x, the ``DataTree`` itself from 1.0 on.

    Args:
        draws: questions and answers, see :func:`to_datatree`.
        task: see :func:`to_datatree`.
        options: the keyword arguments of :func:`to_datatree`.

    Raises:
        importlib.metadata.PackageNotFoundError: when ArviZ is not installed.
    """
    tree = to_datatree(draws, task, **options)
    if int(metadata.version("arviz").split(".")[0]) > 0:
        return tree
    import arviz

    return arviz.from_datatree(tree)


def from_datatree(tree: xr.DataTree) -> Draws:
    """Recover the draws from a tree or an InferenceData; several chains become more draws.

    Raises:
        ValueError: when the tree holds no answers.
    """
    x, y = read(tree, "constant_data", "x"), read(tree, "posterior_predictive", "y")
    if x is None or y is None:
        raise ValueError("expected constant_data/x and posterior_predictive/y in the tree; build it with to_datatree")
    return Draws(x=x, y=y, supervision_steps=int(tree.attrs["supervision_steps"]))


def read(tree: xr.DataTree, group: str, name: str) -> Tensor | None:
    """Return one variable with chains and draws as one leading axis ``(W, B, ...)``, or None where it is absent."""
    if group not in tree or name not in tree[group]:
        return None
    array = tree[group][name]
    values = np.array(array.values)
    return torch.from_numpy(values.reshape(-1, *values.shape[2:]) if "draw" in array.dims else values)


def shares_cells(tree: xr.DataTree) -> bool:
    """Tell whether the tokens of a question lie on the cells of its answers, so that one grid shows both."""
    return "cell" in tree["constant_data"]["x"].dims


def save_netcdf(tree: xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write the tree to a NetCDF file that appears whole or not at all; ``xarray.load_datatree`` reads it back."""
    path = Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        partial = Path(folder) / path.name
        tree.to_netcdf(partial)
        os.replace(partial, path)


def _group(draws: Draws, variables: Mapping[str, tuple[tuple[str, ...], Tensor]]) -> xr.Dataset:
    """Build a dataset with coordinates from ``{name: (dims, values)}`` and check every shape against the draws."""
    import xarray as xr

    (width, puzzles, cells), tokens = draws.y.shape, draws.x.shape[-1]
    sizes = {"chain": 1, "draw": width, "puzzle": puzzles, "cell": cells, "token": tokens, "position": tokens + cells}
    for name, (dims, values) in variables.items():
        expected = tuple(sizes.get(dim, size) for dim, size in zip_longest(dims, values.shape))
        if expected != tuple(values.shape):
            raise ValueError(
                f"expected {name} as {dims} of sizes {expected}, got {tuple(values.shape)}; match the draws"
            )
    dataset = xr.Dataset({name: (dims, values.detach().cpu().numpy()) for name, (dims, values) in variables.items()})
    return dataset.assign_coords({dim: np.arange(size) for dim, size in dataset.sizes.items()})


def _check_batch(draws: Draws) -> None:
    if draws.x.ndim != 2 or draws.y.ndim != 3:
        raise ValueError(
            f"expected questions (B, L_x) and answers (W, B, L_y), got {tuple(draws.x.shape)} and "
            f"{tuple(draws.y.shape)}; draw for a batch, x[None] for one question"
        )


def _lies_apart(draws: Draws, task: Task | None) -> bool:
    """Tell whether the questions have tokens of their own."""
    return draws.x.shape[-1] != draws.y.shape[-1] if task is None else task.spec.output_length is not None


def _question(draws: Draws, task: Task | None) -> dict[str, tuple[tuple[str, ...], Tensor]]:
    if _lies_apart(draws, task):
        return {"x": (TOKENS, draws.x)}
    blank = getattr(task, "blank", None)
    return {"x": (CELLS, draws.x)} | ({} if blank is None else {"given": (CELLS, draws.x != blank)})


def _counts(draws: Draws, task: Task | None, cap: int | None) -> dict[str, tuple[tuple[str, ...], Tensor]]:
    if task is None or cap is None:
        return {}
    # One more than the cap is asked for, so that a count that stopped is told from one that is exactly the cap.
    counts = torch.tensor([task.count(x, cap + 1) for x in draws.x], dtype=torch.float64)
    return {"n_solutions": (("puzzle",), counts.where(counts <= cap, torch.nan))}


def _verdicts(draws: Draws, task: Task) -> dict[str, tuple[tuple[str, ...], Tensor]]:
    verdicts: dict[str, tuple[tuple[str, ...], Tensor]] = {"valid": (DRAWN, task.is_valid(draws.x, draws.y)[None])}
    conflicts = getattr(task, "conflicts", None)
    if conflicts is not None:
        verdicts["conflicts"] = ((*DRAWN, "cell"), conflicts(draws.x, draws.y)[None])
    return verdicts


def _attributes(draws: Draws, task: Task | None) -> dict[str, Any]:
    attributes = {
        "inference_library": "gram_ppl",
        "inference_library_version": _version("gram-ppl"),
        "created_at": datetime.now(UTC).isoformat(),
        "supervision_steps": draws.supervision_steps,
        "width": draws.width,
    }
    return attributes | ({} if task is None else _appearance(task))


def _appearance(task: Task) -> dict[str, Any]:
    grid, box, symbols = task.spec.grid, getattr(task, "box", None), getattr(task, "symbols", None)
    found = {"grid": grid and list(grid), "box": box, "symbols": symbols and json.dumps(list(symbols))}
    return {name: value for name, value in found.items() if value is not None}


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"

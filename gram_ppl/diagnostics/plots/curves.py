"""Curves: solutions found against width, prior and posterior accuracy against training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gram_ppl.diagnostics.coverage import coverage_curve, ideal_coverage
from gram_ppl.diagnostics.datatree import from_datatree, read
from gram_ppl.diagnostics.interval import mean_interval
from gram_ppl.diagnostics.plots.canvas import BLUE, GREY, INK, ORANGE, new_axes, new_figure, tidy

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def coverage(tree: xr.DataTree, *, level: float = 0.95, ax: Axes | None = None) -> Axes:
    """Draw mean coverage against the number of draws, with its interval and the curve of an ideal sampler.

    Puzzles whose number of solutions is not known do not count; the title says how many do.

    Args:
        tree: from :func:`to_datatree`, built with a task.
        level: confidence level of the band, over puzzles.
        ax: where to draw; default a new figure.

    Raises:
        ValueError: when validity or the number of solutions is not in the tree.
    """
    curve, ideal = _curves(tree)
    w, (low, high) = np.arange(1, len(curve) + 1), mean_interval(curve, level)
    ax = ax or new_axes(5.2, 3.4)
    ax.fill_between(
        w, low.clamp(0, 1), high.clamp(0, 1), color=BLUE, alpha=0.2, linewidth=0, label=f"{level:.0%} interval"
    )
    ax.plot(w, curve.nanmean(-1), color=BLUE, linewidth=2, label="draws", **_dots(w))
    ax.plot(
        w, ideal.nanmean(-1), color=INK, linewidth=1.4, linestyle=(0, (4, 2)), label="ideal: uniform over solutions"
    )
    if len(w) > 64:
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:.0f}")
    ax.set(xlabel="draws w", ylabel="share of all solutions found", ylim=(0, 1.03), xlim=(1, max(2, len(w))))
    ax.set_title(
        f"coverage, mean of {int((~curve[0].isnan()).sum())} of {curve.shape[1]} puzzles", fontsize=10, color=INK
    )
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    tidy(ax)
    return ax


def gap(
    history: Sequence[Mapping[str, Any]], *, task_entropy: float | None = None, figure: Figure | None = None
) -> Figure:
    """Draw prior and posterior accuracy over training, and below them the nats each transition spends.

    Args:
        history: rows with ``update`` and any of ``prior_accuracy``, ``posterior_accuracy`` and ``kl`` (nats per
            transition); a value that is missing, None or NaN is left out.
        task_entropy: nats the task needs, the mean of log n_solutions: a line in the lower panel.
        figure: where to draw; default a new one.

    Raises:
        ValueError: when no row has an accuracy.
    """
    figure = figure or new_figure(5.6, 4.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _accuracy_panel(above, history)
    _kl_panel(below, history, task_entropy)
    return figure


def _curves(tree: xr.DataTree) -> tuple[Tensor, Tensor]:
    """Return ``(W, B)`` coverage of the draws and of the ideal sampler."""
    y, valid = from_datatree(tree).y, read(tree, "sample_stats", "valid")
    n_solutions = read(tree, "constant_data", "n_solutions")
    if valid is None or n_solutions is None:
        raise ValueError("expected validity and n_solutions in the tree; build it with to_datatree(draws, task)")
    return coverage_curve(y, valid, n_solutions), ideal_coverage(n_solutions, torch.arange(1, len(y) + 1)[:, None])


def _dots(x: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """Mark points only where they are few enough to be told apart."""
    return {"marker": "o", "markersize": 3.5} if len(x) <= 40 else {}


def _series(history: Sequence[Mapping[str, Any]], name: str) -> dict[float, Any]:
    return {row["update"]: row[name] for row in history if row.get(name) is not None and not np.isnan(row[name]).any()}


def _accuracy_panel(ax: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    prior, posterior = _series(history, "prior_accuracy"), _series(history, "posterior_accuracy")
    if not prior and not posterior:
        raise ValueError("expected rows with prior_accuracy or posterior_accuracy, got none; evaluate during training")
    both = sorted(prior.keys() & posterior.keys())
    ax.fill_between(both, [prior[u] for u in both], [posterior[u] for u in both], color=ORANGE, alpha=0.18, linewidth=0)
    for values, name, colour, style in ((posterior, "posterior", ORANGE, "--"), (prior, "prior", BLUE, "-")):
        if values:
            label = f"{name} ({list(values.values())[-1]:.2f})"
            ax.plot(
                list(values),
                list(values.values()),
                style,
                color=colour,
                linewidth=2,
                label=label,
                **_dots(list(values)),
            )
    ax.set(ylabel="accuracy", ylim=(-0.02, 1.03))
    ax.set_title("prior and posterior accuracy; the shaded gap is what the prior cannot follow", fontsize=9, color=INK)
    ax.legend(frameon=False, fontsize=9, loc="best", title="last value in brackets", title_fontsize=8)
    tidy(ax)


def _kl_panel(ax: Axes, history: Sequence[Mapping[str, Any]], task_entropy: float | None) -> None:
    spent = _series(history, "kl")
    ax.set(xlabel="update", ylabel="KL (nats)")
    tidy(ax)
    if spent:
        _stack_transitions(ax, list(spent), np.array(list(spent.values()), dtype=float).T)
    if task_entropy is not None:
        ax.axhline(task_entropy, color=INK, linewidth=1.4, linestyle=(0, (4, 2)), label="the task needs")
    if spent or task_entropy is not None:
        ax.legend(frameon=False, fontsize=8, loc="upper right", ncols=2)


def _stack_transitions(ax: Axes, updates: Sequence[float], kl: np.ndarray) -> None:
    from matplotlib import colormaps

    shown, names = _lumped(kl)
    colours = colormaps["cividis"](np.linspace(0.15, 0.9, len(shown)))
    ax.stackplot(updates, shown, colors=colours, labels=names, alpha=0.75, linewidth=0)
    ax.plot(updates, kl.sum(0), color=GREY, linewidth=1.2, label="all transitions", **_dots(updates))
    ax.set_ylim(0, 1.6 * max(float(kl.sum(0).max()), 1e-3))  # room for the legend above the bands


def _lumped(kl: np.ndarray, most: int = 6) -> tuple[np.ndarray, list[str]]:
    """Keep at most ``most`` bands of ``(T, updates)``, the later transitions summed into the last, with their names."""
    names = [f"transition {t}" for t in range(1, len(kl) + 1)]
    if len(kl) <= most:
        return kl, names
    later = kl[most - 1 :].sum(0, keepdims=True)
    return np.concatenate([kl[: most - 1], later]), [*names[: most - 1], f"transitions {most} to {len(kl)}"]

"""Figures that stay out of pyplot, and the colours of every picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart under every common colour-vision deficiency.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#007A5A", "#C4410B"
INK, GREY, LINE = "#1A1A1A", "#6B6B6B", "#B5B5B5"
CLUE_FILL, CONFLICT_FILL = "#ECECEC", "#FBD9C8"


def new_figure(width: float, height: float, *, constrained: bool = True) -> Figure:
    """Make a figure of this size in inches that no pyplot state refers to.

    Raises:
        ImportError: when matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib; install it with: pip install 'gram-ppl[plots]'") from error
    figure = Figure(figsize=(width, height), layout="constrained" if constrained else None)
    FigureCanvasAgg(figure)
    return figure


def new_axes(width: float, height: float) -> Axes:
    """Make one axes in a figure of its own."""
    return new_figure(width, height).subplots()


def tidy(ax: Axes) -> None:
    """Leave only the two axis lines and a faint horizontal grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color=LINE, linewidth=0.6, alpha=0.6)
    ax.set_axisbelow(True)

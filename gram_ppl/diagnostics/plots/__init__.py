"""Pictures of draws and of training; each needs matplotlib and none touches pyplot.

A function draws on the axes or figure it is given, or on a new figure, and returns it: ``.savefig("board.png")`` on a
figure, ``ax.figure.savefig`` on axes.
"""

from gram_ppl.diagnostics.plots.curves import coverage, gap
from gram_ppl.diagnostics.plots.graphs import coloring, graph
from gram_ppl.diagnostics.plots.grids import board, cell_entropy, solutions
from gram_ppl.diagnostics.plots.layout import Layout

__all__ = ["Layout", "board", "cell_entropy", "coloring", "coverage", "gap", "graph", "solutions"]

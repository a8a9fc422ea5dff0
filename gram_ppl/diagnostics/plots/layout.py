"""How the tokens of a task are laid out and written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Layout:
    """Where each token lies and what stands for it.

    Args:
        rows: rows of the grid.
        columns: columns of the grid.
        box: side of the boxes drawn with thick lines, as in Sudoku; None for no boxes.
        symbols: text of each token, indexed by token; None writes the token's number.
    """

    rows: int
    columns: int
    box: int | None = None
    symbols: Sequence[str] | None = None

    @classmethod
    def of(cls, tree: xr.DataTree) -> Layout:
        """Read the layout from the tree's attributes; without ``grid`` the tokens lie in one row."""
        rows, columns = tree.attrs.get("grid", (1, tree["posterior_predictive"].sizes["cell"]))
        box, symbols = tree.attrs.get("box"), tree.attrs.get("symbols")
        return cls(int(rows), int(columns), box and int(box), symbols and json.loads(symbols))

    @property
    def cell_inches(self) -> float:
        """Side of one cell at which a board is readable and not larger than it needs to be."""
        return max(0.17, min(0.42, 2.0 / max(self.rows, self.columns)))

    def text(self, token: int) -> str:
        """Return what is written for a token."""
        return str(token) if self.symbols is None else self.symbols[token]

"""Puzzles to train on and to be judged by: every task offers data and verification, and knows of no model."""

from gram_ppl.tasks.base import Task
from gram_ppl.tasks.coloring import GivenColoring, GraphColoring
from gram_ppl.tasks.coloring_rules import ColoringRules
from gram_ppl.tasks.graph import Graph, induced_subgraphs
from gram_ppl.tasks.graph_dimacs import read_dimacs
from gram_ppl.tasks.nqueens import NQueens
from gram_ppl.tasks.nqueens_rules import NQueensRules
from gram_ppl.tasks.sudoku import Sudoku
from gram_ppl.tasks.sudoku_csv import SudokuTable, read_sudoku_csv
from gram_ppl.tasks.sudoku_extreme import SudokuExtreme, fetch_sudoku_extreme
from gram_ppl.tasks.sudoku_generation import SudokuGeneration
from gram_ppl.tasks.sudoku_rules import SudokuRules
from gram_ppl.tasks.sudoku_solver import SudokuSolver
from gram_ppl.tasks.sudoku_symmetry import Symmetry

__all__ = [
    "ColoringRules",
    "GivenColoring",
    "Graph",
    "GraphColoring",
    "NQueens",
    "NQueensRules",
    "Sudoku",
    "SudokuExtreme",
    "SudokuGeneration",
    "SudokuRules",
    "SudokuSolver",
    "SudokuTable",
    "Symmetry",
    "Task",
    "fetch_sudoku_extreme",
    "induced_subgraphs",
    "read_dimacs",
    "read_sudoku_csv",
]

"""What a recurrent cell is: its declaration, its pointwise equations and their derivative.

A new cell is one file here and one entry in `CELLS`; tests, layers and files loop over it.
"""

from __future__ import annotations

from elman.cells.base import ACTIVATIONS, Cell, numpy_namespace
from elman.cells.gru import GRU
from elman.cells.lstm import LSTM
from elman.cells.rnn import RNN

__all__ = ["ACTIVATIONS", "CELLS", "GRU", "LSTM", "RNN", "Cell", "numpy_namespace"]

CELLS: dict[str, type[Cell]] = {cell.name: cell for cell in (RNN, LSTM, GRU)}

"""Parquet and Arrow files as tables of cells, read by pyarrow."""

from __future__ import annotations

from elman.readers.roles import Table
from elman.tasks.tables import read_cells

__all__ = ["read_parquet"]


def read_parquet(path: str) -> Table:
    """Read all columns; lists in cells are sequences.

    Args:
        path: a Parquet or Arrow file.

    Raises:
        UsageError: if pyarrow is missing.
        DataError: if the file is broken.
    """
    cells = read_cells(path)
    names = list(cells)
    n_rows = len(cells[names[0]]) if names else 0
    return Table(path, "a table of Arrow", names, cells, range(n_rows), unit="row")

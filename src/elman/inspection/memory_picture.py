"""The picture of who remembers how far."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from elman.inspection.pictures import COLOURS, Path
from elman.inspection.plots import canvas, finish, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from elman.inspection.memory import MemoryComparison

__all__ = ["memory"]

# The colours that these cells have in all pictures; own cells get what is left.
_OF_CELL = {"rnn": COLOURS[1], "gru": COLOURS[2], "lstm": COLOURS[0]}
_FLOOR = 1e-8  # gradients below are nothing to anybody


def memory(found: Sequence[MemoryComparison], path: Path, *, title: str | None) -> Figure:
    """Draw a row per problem: what is remembered over the lag, and the gradient by lag after training.

    Args:
        found: one or more problems.
        path: .png, .svg or .pdf to write, if any.
        title: a line above the picture.
    """
    figure, grid = canvas("plot", len(found), 2, size=(10.0, 0.6 + 3.0 * len(found)))
    for row, comparison in zip(grid, found, strict=True):
        left, right = row
        others = iter(COLOURS[3:] * len(comparison.remembered))
        for (cell, shares), marker in zip(comparison.remembered.items(), itertools.cycle("sDovP^")):
            colour = _OF_CELL.get(cell) or next(others)
            left.plot(comparison.lags, shares, color=colour, marker=marker, markersize=5, linewidth=1.8, label=cell)
            median = comparison.curves[cell].quantile(0.5)
            shown = np.where(median > _FLOOR, median, np.nan)
            right.plot(np.arange(len(median)), shown, color=colour, linewidth=1.8, label=cell)
        left.set_xscale("log", base=2)
        left.set_xticks(comparison.lags, [str(lag) for lag in comparison.lags])
        left.minorticks_off()
        left.set(ylim=(-0.04, 1.04), xlabel="lag, steps", ylabel="remembered (0 is guessing)")
        left.set_title(f"{comparison.title}: who remembers how far", fontsize=10, loc="left")
        right.axhline(0.01, color="#888888", linewidth=0.8, linestyle=":")
        right.set_yscale("log")
        right.set(xlabel="lag k, steps back", ylabel="gradient, share of lag 0")
        right.set_title("and how far its gradient reaches", fontsize=10, loc="left")
        for axes in row:
            tidy(axes)
            axes.legend(frameon=False, fontsize=9)
    return finish(figure, path, title)

"""The norm of a gradient by how many steps it has gone back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.layers import Recurrent
from elman.ragged import Ragged
from elman.training.watch.listening import State

__all__ = ["GROWN", "lag_norms", "lag_zero"]

Array = NDArray[Any]

#: How many times that of lag 0 a gradient must become to be called exploding.
GROWN = 10.0


def lag_norms(layer: Recurrent, x: Ragged, d_state: State, begin: NDArray[np.int64], *, lags: int) -> dict[str, Array]:
    """Give the norm of the gradient of the state by lag, in every sequence.

    Args:
        layer: that was heard.
        x: what came into it, in its own order of time.
        d_state: gradient with respect to the state after every step, each part (N, ·).
        begin: (B,) row within its sequence at which the lag is 0.
        lags: K, the longest lag.

    Returns:
        "state", all of it together, and where it has several parts each of them -> (B, K + 1); NaN before the
        beginning of a sequence.
    """
    squares = {part: np.einsum("nh,nh->n", d, d) for part, d in zip(layer.cell.states, d_state, strict=True)}
    rows = x.offsets[:-1, None] + begin[:, None] - np.arange(lags + 1)
    beyond = rows < x.offsets[:-1, None]
    by_part = {"state": np.sum(list(squares.values()), axis=0), **(squares if len(squares) > 1 else {})}
    return {
        part: np.where(beyond, np.nan, np.sqrt(square[np.maximum(rows, 0)]))
        if len(square)
        else np.full(rows.shape, np.nan)
        for part, square in by_part.items()
    }


def lag_zero(lengths: NDArray[np.int64], at: NDArray[np.int64], *, turned: bool, per_step: bool) -> NDArray[np.int64]:
    """Give the row of lag 0 in every sequence, in the order of time of a recurrence, (B,).

    Args:
        lengths: (B,).
        at: (B,) step of the loss.
        turned: whether the recurrence reads from the end.
        per_step: whether there is a loss for every step; else it is that of the sequence.
    """
    if not per_step:
        return lengths - 1
    return lengths - 1 - at if turned else at

"""Sums, maxima and softmax over the steps of each sequence.

The order of additions depends on the sequence alone, never on what else is in the batch: so a
sequence alone has the same bits as in a batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.ragged import Ragged

__all__ = ["maxima", "softmax", "spread", "sums"]

Array = NDArray[Any]


def sums(x: Ragged) -> Array:
    """Add up the steps of every sequence.

    Args:
        x: values (N, F).

    Returns:
        (B, F); zeros for a sequence of no steps.
    """
    return _reduce(np.add, x)


def maxima(x: Ragged) -> Array:
    """Find the greatest value of every feature in every sequence.

    Args:
        x: values (N, F); complex ones are compared by their real parts.

    Returns:
        (B, F); zeros for a sequence of no steps.
    """
    return _reduce(np.maximum, x)


def spread(rows: Array, x: Ragged) -> Array:
    """Give every step the row of its sequence.

    Args:
        rows: (B, ...).
        x: whose steps these are.

    Returns:
        (N, ...).
    """
    return np.repeat(rows, x.lengths if x.uniform is None else x.uniform, axis=0)


def softmax(scores: Array, x: Ragged) -> Array:
    """exp(s) / Σ exp(s) over the steps of every sequence, without overflow.

    Args:
        scores: (N,).
        x: whose steps these are.

    Returns:
        (N,); every sequence with a step sums to 1.
    """
    e = np.exp(scores - spread(_reduce_column(np.maximum, scores.real, x), x))
    out: Array = e / spread(_reduce_column(np.add, e, x), x)
    return out


def _reduce(ufunc: np.ufunc, x: Ragged) -> Array:
    """Apply a ufunc of two to the steps of every sequence, one after another."""
    values, lengths = x.values, x.lengths
    n_sequences, features = len(lengths), values.shape[1]
    longest = int(lengths.max(initial=0))
    if features == 1:
        return _reduce_column(ufunc, values[:, 0], x)[:, None]
    # NumPy reduces the first axis of (T, F) row after row, and so do the steps below.
    if x.uniform:
        return ufunc.reduce(values.reshape(n_sequences, longest, features), axis=1)  # type: ignore[no-any-return]
    out = np.zeros((n_sequences, features), values.dtype)
    if n_sequences <= longest:
        ends = x.offsets.tolist()
        for index, row in enumerate(out):
            if ends[index] < ends[index + 1]:
                ufunc.reduce(values[ends[index] : ends[index + 1]], axis=0, out=row)
        return out
    # Many short sequences: step after step over those that still run, the longest first.
    order = np.argsort(-lengths, kind="stable")
    starts = x.offsets[:-1][order]
    running = n_sequences - np.cumsum(np.bincount(lengths, minlength=longest + 1))
    total = np.zeros_like(out)
    for step in range(longest):
        active = int(running[step])
        rows = values[starts[:active] + step]
        if step == 0:
            total[:active] = rows
        else:
            ufunc(total[:active], rows, out=total[:active])
    out[order] = total
    return out


def _reduce_column(ufunc: np.ufunc, values: Array, x: Ragged) -> Array:
    """Apply a ufunc of two to one number per step (N,); zeros (B,) for sequences of no steps."""
    out = np.zeros(len(x), values.dtype)
    filled = x.lengths > 0
    if filled.any():
        # reduceat knows no empty segments. Without them the others stand wall to wall, as it needs them. For rows of
        # many features it is the slower way: 0.8 ms against 0.4 ms for 64 sequences of 40 to 400 steps, 64 features.
        out[filled] = ufunc.reduceat(values, x.offsets[:-1][filled])
    return out

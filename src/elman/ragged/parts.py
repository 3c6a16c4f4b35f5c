"""From what users give to values and lengths: padded arrays and lists taken apart, and checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DataError, DataTypeError, UsageError, say

__all__ = ["checked_lengths", "parts_of_dense", "parts_of_list"]

Array = NDArray[Any]


def checked_lengths(lengths: ArrayLike, where: str = "Ragged") -> NDArray[np.int64]:
    """Give the lengths as a new (B,) int64 array, or say which one is wrong.

    Args:
        lengths: (B,) whole numbers.
        where: who speaks in messages.
    """
    given = np.asarray(lengths)
    if given.ndim != 1:
        raise DataError(say(where, "lengths has the wrong number of axes", expected="(batch,)", got=given.shape))
    if given.dtype.kind not in "iu" and given.size:
        raise DataTypeError(say(where, "lengths must be whole numbers", expected="integers", got=given.dtype))
    lengths = np.array(given, np.int64)
    if lengths.min(initial=0) < 0:
        index = int(np.argmin(lengths >= 0))
        raise DataError(say(where, f"lengths[{index}] is negative", expected=">= 0", got=int(lengths[index])))
    return lengths


def parts_of_dense(
    x: Array, lengths: ArrayLike | None, *, where: str, pad_value: float | None = None
) -> tuple[Array, NDArray[np.int64] | None]:
    """Take a (B, T, ...) array apart into values, sequence after sequence, and lengths.

    Args:
        x: padded.
        lengths: (B,) how many steps of each row count, or None.
        where: who speaks in messages.
        pad_value: what stands past the end of a short sequence, or None.

    Returns:
        (N, ...) values and (B,) lengths; None for lengths that are all T.
    """
    if x.ndim not in (2, 3):
        raise DataError(
            say(where, "x has the wrong number of axes", expected="(B, T, F) or (B, T)", got=f"shape {x.shape}")
        )
    n_sequences, steps = x.shape[:2]
    if pad_value is not None:
        if lengths is not None:
            raise UsageError(say(where, "lengths and pad_value say the same thing", expected="one of them"))
        lengths = _unpadded_lengths(x, pad_value, where)
    if lengths is None:
        return np.ascontiguousarray(x).reshape(n_sequences * steps, *x.shape[2:]), None
    checked = checked_lengths(lengths, where)
    if len(checked) != n_sequences:
        expected = f"{n_sequences} lengths (x.shape = {x.shape})"
        raise DataError(say(where, "lengths does not fit x", expected=expected, got=len(checked)))
    if checked.max(initial=0) > steps:
        index = int(np.argmax(checked > steps))
        wrong, expected = f"lengths[{index}] goes past the end", f"at most {steps} (x.shape = {x.shape})"
        raise DataError(say(where, wrong, expected=expected, got=int(checked[index])))
    return np.ascontiguousarray(x[np.arange(steps) < checked[:, None]]), checked


def _unpadded_lengths(x: Array, pad_value: float, where: str) -> NDArray[np.int64]:
    """Find where the last step of every row of x (B, T, ...) stands that holds something else than the pad value."""
    if isinstance(pad_value, bool) or not isinstance(pad_value, int | float | np.integer | np.floating):
        raise UsageError(say(where, "pad_value is no number", expected="a number such as 0", got=repr(pad_value)))
    filled = ~np.isnan(x) if pad_value != pad_value else x != pad_value
    if x.ndim == 3:
        filled = filled.any(axis=2)
    if not x.shape[1]:
        return np.zeros(len(x), np.int64)
    last = x.shape[1] - np.argmax(filled[:, ::-1], axis=1)  # of a row without a filled step this says all of them
    return np.where(filled.any(axis=1), last, 0)


def parts_of_list(arrays: list[Array], *, where: str) -> tuple[Array, NDArray[np.int64]]:
    """Join (T_i, F) or (T_i,) arrays to values and lengths.

    Args:
        arrays: one per sequence.
        where: who speaks in messages.
    """
    if not arrays:
        raise DataError(say(where, "x has 0 samples", expected="at least 1 sequence", got="an empty list"))
    # A sequence of no steps is often written [], which has no features to compare.
    filled = [array for array in arrays if array.shape != (0,)] or arrays
    tail = filled[0].shape[1:]
    form = f"(steps, {tail[0]})" if tail else "(steps,)"
    for index, array in enumerate(arrays):
        if array.shape == (0,):
            continue
        if array.ndim not in (1, 2):
            wrong, expected = f"x[{index}] has the wrong number of axes", "(steps, features) or (steps,)"
            raise DataError(say(where, wrong, expected=expected, got=f"shape {array.shape}"))
        if array.shape[1:] != tail:
            wrong = f"x[{index}] does not match the sequences before it"
            raise DataError(say(where, wrong, expected=form, got=f"shape {array.shape}"))
    return np.concatenate(filled), np.array([len(array) for array in arrays], np.int64)

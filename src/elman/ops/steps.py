"""Steps of a stream: what is bound once, so that each step is one call without arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.ops.core import native

__all__ = ["Advance", "Stepper", "Take", "door"]

Array = NDArray[Any]

#: Goes one step on: given the ticks of the weights' clock and the side (0 or 1) on which the state lies now; the new
#: state goes to the other side, so that a step that fails has changed nothing.
Advance = Callable[[int, int], None]

#: Takes the input of a step if it is exactly right, and says 0 (not taken), 1 (one row) or 2 (a row for each stream).
Take = Callable[[Any], int]


class Stepper(NamedTuple):
    """One layer of a stream, bound to its places in memory.

    Attributes:
        out: where the output of every step lies, (n, F); may be where the input lies.
        advance: goes one step on, reading the input where it was bound; None where there is nothing to do.
    """

    out: Array
    advance: Advance | None


def door(rows: Array, *, end: int | None) -> Take:
    """Give the quick way of the input of a step into its place; what it does not take has to be looked at.

    Args:
        rows: where it goes, numbers (n, F) or token ids (n,).
        end: one past the last token id; None for numbers.

    Example:
        >>> rows = np.zeros((1, 2), np.float32)
        >>> take = door(rows, end=None)
        >>> take("no numbers"), take(np.array([1.0, np.nan])), rows.tolist()
        (0, 0, [[0.0, 0.0]])
    """
    if native is None:
        return lambda x: 0
    if end is not None:
        return native.IdsDoor(rows, end).take  # type: ignore[no-any-return]
    kind = native.NumbersDoor32 if rows.dtype == np.float32 else native.NumbersDoor64
    return kind(rows).take  # type: ignore[no-any-return]

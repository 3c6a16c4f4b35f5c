"""Lookup of a row per token id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.ops.weights import Weights

__all__ = ["backward", "forward"]

Array = NDArray[Any]


def forward(ids: Array, weights: Weights) -> Array:
    """Give the row of every id.

    Args:
        ids: (N,) integers in [0, V).
        weights: weight (V, F).

    Returns:
        (N, F).
    """
    rows: Array = weights["weight"][ids]
    return rows


def backward(dy: Array, ids: Array, grads: Mapping[str, Array]) -> None:
    """Add every row of dy to the gradient of the row that it came from.

    Args:
        dy: (N, F).
        ids: (N,) as in `forward`.
        grads: the gradient of weight is added into this.
    """
    np.add.at(grads["weight"], ids, dy)

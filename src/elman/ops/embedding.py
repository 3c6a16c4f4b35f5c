"""Lookup of a row per token id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.ops.core import native
from elman.ops.weights import Weights
from elman.ops.workspace import current

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
    weight = weights["weight"]
    rows: Array = current().take((len(ids), weight.shape[1]), weight.dtype)
    # Ids are checked where they enter; "wrap" is the mode that checks nothing and so copies straight into `out`.
    np.take(weight, ids, axis=0, out=rows, mode="wrap")
    return rows


def backward(dy: Array, ids: Array, grads: Mapping[str, Array]) -> None:
    """Add every row of dy to the gradient of the row that it came from.

    Args:
        dy: (N, F).
        ids: (N,) as in `forward`.
        grads: the gradient of weight is added into this.
    """
    d_weight = grads["weight"]
    if native is not None and d_weight.dtype in (np.float32, np.float64):
        native.add_rows(np.ascontiguousarray(ids, np.int64), np.ascontiguousarray(dy, d_weight.dtype), d_weight)
    else:
        np.add.at(d_weight, ids, dy)

"""Lookup of a row per token id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.ops.core import native
from elman.ops.steps import Stepper
from elman.ops.weights import Weights
from elman.ops.workspace import current, empty_aligned

__all__ = ["backward", "forward", "stepper"]

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


def stepper(ids: Array, weights: Weights) -> Stepper | None:
    """Bind the lookup to places in memory.

    Args:
        ids: where the token ids lie (n,).
        weights: weight (V, F).

    Returns:
        None where there is no native kernel.
    """
    weight = weights["weight"]
    if native is None or weight.dtype not in (np.float32, np.float64):
        return None
    y = empty_aligned((len(ids), weight.shape[1]), weight.dtype)
    make = native.LookupSteps32 if weight.dtype == np.float32 else native.LookupSteps64
    return Stepper(y, make(weight, ids, y).advance)


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

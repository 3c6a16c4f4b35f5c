"""In what numbers a model's parameters are held, and its products are made."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from elman.errors import UsageError, say
from elman.ops.weights import PRECISIONS

__all__ = ["checked_dtype", "checked_precision"]


def checked_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Give float32 or float64; None, which NumPy takes for float64, is neither.

    Args:
        dtype: that a model is to have.

    Raises:
        UsageError: if it is anything else.
    """
    try:
        found = None if dtype is None else np.dtype(dtype)
    except (TypeError, ValueError):
        found = None
    if found is None or str(found) not in ("float32", "float64"):
        raise UsageError(say("Sequential", "dtype is not accepted", expected="float32 or float64", got=repr(dtype)))
    return found


def checked_precision(precision: object, dtype: np.dtype[Any]) -> str:
    """Give what products are made in.

    Args:
        precision: that a model is to have; None for its dtype.
        dtype: of the model.

    Raises:
        UsageError: if there is no such precision, or not with this dtype.
    """
    if precision is None or (isinstance(precision, str) and precision == str(dtype)):
        return str(dtype)
    if precision not in PRECISIONS:
        expected = f"one of {[str(dtype), *PRECISIONS]}"
        cure = "Write dtype='float64' for float64 throughout" if precision == "float64" else None
        raise UsageError(
            say("Sequential", "precision is not accepted", expected=expected, got=repr(precision), cure=cure)
        )
    if dtype != np.float32:
        cure = "Leave one of the two out"
        wrong = f"precision={precision!r} rounds the products of float32 weights"
        raise UsageError(say("Sequential", wrong, expected="dtype='float32'", got=f"dtype={str(dtype)!r}", cure=cure))
    return str(precision)

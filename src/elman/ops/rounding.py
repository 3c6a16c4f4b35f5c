"""Weights in fewer bytes: rounded to 16 or 8 bits, and back without loss."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["STORAGES", "Storage", "from_int8", "rounded", "to_int8"]

Array = NDArray[Any]

#: How a model may hold the weights of its products: bfloat16 is the upper half of a float32; int8 is whole numbers
#: of at most 127 times one scale per row.
Storage = Literal["bfloat16", "int8"]
STORAGES: tuple[Storage, ...] = ("int8", "bfloat16")

_MOST = np.float32(127)
# As in the native core: rows whose largest number is smaller are taken for zero.
_LEAST = np.float32(1e-30)


def to_int8(weight: Array) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round every row to whole numbers from -127 to 127 times a scale of its own.

    The scale is the largest magnitude of the row over 127, rounded up to 17 bits: so every product of the two is exact
    in float32, and rounding what is rounded changes nothing.

    Args:
        weight: (rows, K), finite.

    Returns:
        whole (rows, K); scale (rows,), 0 for rows of zeros.

    Example:
        >>> whole, scale = to_int8(np.array([[1.0, -127.0, 0.4]], np.float32))
        >>> whole, scale
        (array([[   1, -127,    0]], dtype=int8), array([1.], dtype=float32))
    """
    values = np.asarray(weight, np.float32)
    top = np.abs(values).max(axis=1, initial=0)
    scale = top / _MOST
    scale = ((scale.view(np.uint32) + np.uint32(0x7F)) & ~np.uint32(0x7F)).view(np.float32)
    scale[top < _LEAST] = 0
    whole = np.rint(values / np.where(scale == 0, np.float32(np.inf), scale)[:, None])
    return whole.astype(np.int8), scale


def from_int8(whole: Array, scale: Array) -> NDArray[np.float32]:
    """Give the weights that `to_int8` has left.

    Args:
        whole: (rows, K) int8.
        scale: (rows,) float32.

    Returns:
        (rows, K).
    """
    weight: NDArray[np.float32] = whole.astype(np.float32) * np.asarray(scale, np.float32)[:, None]
    return weight


def rounded(weight: Array, storage: Storage) -> NDArray[np.float32]:
    """Give the float32 weights that are left of a matrix once it is stored in fewer bytes.

    Args:
        weight: (rows, K), finite.
        storage: "bfloat16" (to the nearest, ties to even) or "int8".

    Example:
        >>> rounded(np.array([[1.003]]), "bfloat16")
        array([[1.]], dtype=float32)
    """
    if storage == "int8":
        return from_int8(*to_int8(weight))
    bits = np.asarray(weight, np.float32).view(np.uint32)
    nearest = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    kept: NDArray[np.float32] = (nearest & np.uint32(0xFFFF0000)).view(np.float32)
    return kept

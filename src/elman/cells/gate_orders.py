"""How each system orders the gates in its weights, as names, and the one function that reorders.

The orders of other systems are those of their sources and documentation; see `docs` of each in
the name given. PyTorch, flax and equinox have ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say

__all__ = ["ORDERS", "gate_block", "reorder"]

Array = NDArray[Any]

ORDERS: dict[str, dict[str, tuple[str, ...]]] = {
    "rnn": dict.fromkeys(("elman", "torch", "keras", "onednn", "onnx", "haste"), ("h",)),
    "lstm": {
        "elman": ("i", "f", "g", "o"),
        "torch": ("i", "f", "g", "o"),
        "keras": ("i", "f", "g", "o"),
        "onednn": ("i", "f", "g", "o"),
        "onnx": ("i", "o", "f", "g"),
        "haste": ("i", "g", "f", "o"),
        "char-rnn": ("i", "f", "o", "g"),
        "thinc": ("f", "i", "o", "g"),
        "openvino": ("f", "i", "g", "o"),
    },
    "gru": {
        "elman": ("r", "z", "n"),
        "torch": ("r", "z", "n"),
        "keras": ("z", "r", "n"),
        "onednn": ("z", "r", "n"),
        "onnx": ("z", "r", "n"),
        "haste": ("z", "r", "n"),
    },
}


def gate_block(weight: Array, gate: str, *, order: Sequence[str]) -> Array:
    """Give the rows of one gate, a view.

    Args:
        weight: (G·H, ...) with one block of H rows per gate.
        gate: the gate's name.
        order: names of the blocks, in order.

    Example:
        >>> import numpy as np
        >>> gate_block(np.arange(8), "f", order=("i", "f", "g", "o"))
        array([2, 3])
    """
    _check_blocks(weight, order)
    height = len(weight) // len(order)
    start = tuple(order).index(gate) * height
    return weight[start : start + height]


def reorder(weight: Array, from_: Sequence[str], to: Sequence[str]) -> Array:
    """Bring the gate blocks of a weight into another order (a copy).

    Args:
        weight: (G·H, ...) with one block of H rows per gate.
        from_: names of the blocks as they stand.
        to: names of the blocks as they shall stand.

    Raises:
        UsageError: if the names are not the same, or the rows do not divide into the blocks.

    Example:
        >>> import numpy as np
        >>> reorder(np.arange(4), ("i", "f", "g", "o"), ("i", "o", "f", "g"))
        array([0, 3, 1, 2])
    """
    if sorted(from_) != sorted(to):
        raise UsageError(say("reorder", "the two orders name different gates", expected=tuple(from_), got=tuple(to)))
    return np.concatenate([gate_block(weight, gate, order=from_) for gate in to])


def _check_blocks(weight: Array, order: Sequence[str]) -> None:
    if len(weight) % len(order):
        expected = f"a multiple of {len(order)} rows for gates {', '.join(order)}"
        raise UsageError(say("gate order", "the rows do not divide into gates", expected=expected, got=weight.shape))

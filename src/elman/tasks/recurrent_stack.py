"""Recurrent layers one after another, as the tasks build them."""

from __future__ import annotations

from elman.errors import UsageError, say
from elman.layers import LAYERS, Bidirectional, Dropout, Layer, Recurrent

__all__ = ["recurrent_stack"]

_RECURRENT = {name: layer for name, layer in LAYERS.items() if issubclass(layer, Recurrent)}


def recurrent_stack(
    cell: str,
    units: int,
    *,
    layers: int,
    where: str,
    bidirectional: bool = False,
    dropout: float = 0.0,
    return_sequences: bool = True,
) -> list[Layer]:
    """Make a stack of layers with dropout between them.

    Args:
        cell: of all of them.
        units: of each, in each direction.
        layers: how many.
        where: who asks, for messages.
        bidirectional: whether they read from both ends.
        dropout: share of the numbers that are dropped between two.
        return_sequences: whether the last one gives every step.

    Raises:
        UsageError: if there is no such cell.
    """
    if cell not in _RECURRENT:
        expected = "one of " + ", ".join(_RECURRENT)
        raise UsageError(say(where, "cell is not accepted", expected=expected, got=repr(cell)))
    stack: list[Layer] = []
    for index in range(layers):
        last = index == layers - 1
        layer = _RECURRENT[cell](units, return_sequences=return_sequences or not last)
        stack.append(Bidirectional(layer) if bidirectional else layer)
        if not last and dropout:
            stack.append(Dropout(dropout))
    return stack

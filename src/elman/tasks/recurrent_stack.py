"""Recurrent layers one after another, as the tasks build them."""

from __future__ import annotations

from elman.errors import UsageError, say
from elman.layers import LAYERS, Bidirectional, Dropout, Layer, Recurrent

__all__ = ["recurrent_layer", "recurrent_stack"]

_RECURRENT = {name: layer for name, layer in LAYERS.items() if issubclass(layer, Recurrent)}


def recurrent_layer(cell: str, units: int, *, return_sequences: bool, where: str) -> Recurrent:
    """Make the layer of a cell.

    Args:
        cell: its name.
        units: H.
        return_sequences: whether every step has an output.
        where: who asks, for messages.

    Raises:
        UsageError: if there is no such cell.
    """
    if cell not in _RECURRENT:
        expected = "one of " + ", ".join(_RECURRENT)
        raise UsageError(say(where, "cell is not accepted", expected=expected, got=repr(cell)))
    return _RECURRENT[cell](units, return_sequences=return_sequences)


def recurrent_stack(
    cell: str,
    units: int,
    *,
    layers: int,
    bidirectional: bool,
    dropout: float,
    return_sequences: bool,
    where: str,
) -> list[Layer]:
    """Make a stack of layers with dropout between them.

    Args:
        cell: of all of them.
        units: of each, in each direction.
        layers: how many.
        bidirectional: whether they read from both ends.
        dropout: share of the numbers that are dropped between two.
        return_sequences: whether the last one gives every step.
        where: who asks, for messages.
    """
    stack: list[Layer] = []
    for index in range(layers):
        last = index == layers - 1
        layer = recurrent_layer(cell, units, return_sequences=return_sequences or not last, where=where)
        stack.append(Bidirectional(layer) if bidirectional else layer)
        if not last and dropout:
            stack.append(Dropout(dropout))
    return stack

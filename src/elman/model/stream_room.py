"""The room in which streams go on: their input and state, and every layer bound to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.model.foundation import Foundation
from elman.ops.steps import Advance, Take, door
from elman.ops.workspace import empty_aligned
from elman.training.loop import State

__all__ = ["Room", "lay_out"]

Array = NDArray[Any]


class Room(NamedTuple):
    """What n streams need to go on.

    Attributes:
        sides: the state, every part twice, (2, n, ·): it is read from one side and written to the other.
        first: what comes in, (n,) token ids or (n, I).
        advances: run the layers, one after the other.
        give: what comes out, by what the door says of the form: nothing, one row, all rows.
        take: the door.
    """

    sides: State
    first: Array
    advances: tuple[Advance, ...]
    give: tuple[Callable[[], Array], ...]
    take: Take


def lay_out(model: Foundation, n: int, state: State, *, tokens: bool) -> Room:
    """Make room for streams and bind every layer to it; scratch memory comes from the active workspace.

    Args:
        model: built.
        n: streams.
        state: of them, each part (n, ·).
        tokens: whether token ids come in.
    """
    size: int = model.input_size  # type: ignore[assignment]  # a model that is built has one
    dtype = model.dtype
    first = empty_aligned((n,) if tokens else (n, size), np.int64 if tokens else dtype)
    first.fill(0)
    take = door(first, end=size if tokens else None)
    sides = tuple(tuple(_two_sides(part) for part in parts) for parts in state)
    rows, sequences = first, True
    advances: list[Advance] = []
    for layer, parts in zip(model.layers, sides, strict=True):
        rows, advance = layer.stepper(rows, state=parts, input_size=size, sequences=sequences, dtype=dtype)
        if advance is not None:
            advances.append(advance)
        size, sequences = layer.output_size(size), layer.gives_sequences(sequences)
    give = (rows.copy, rows[0].copy if n else rows.copy, rows.copy)
    # Without streams nothing is taken at the door, and who looks at x says why.
    return Room(sides, first, tuple(advances), give, take if n else _nothing)


def _two_sides(part: Array) -> Array:
    """Give room for a part of the state, twice, the first holding it."""
    room = empty_aligned((2, *part.shape), part.dtype)
    room[:] = part
    return room


def _nothing(x: Any) -> int:
    return 0

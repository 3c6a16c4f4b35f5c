"""The named weights of one layer and the clock that says when they changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

__all__ = ["PRECISIONS", "Clock", "Weights"]

#: What float32 weights can be multiplied in beside float32, by the native core's names.
PRECISIONS = ("bfloat16",)


class Clock:
    """A counter that whoever changes weights moves on.

    What is derived from weights (their packed form in the native core) is kept together with the
    `ticks` at which it was made, and made again when they differ.
    """

    __slots__ = ("ticks",)

    def __init__(self) -> None:
        self.ticks = 0

    def __repr__(self) -> str:
        return f"Clock(ticks={self.ticks})"


class Weights(dict[str, NDArray[Any]]):
    """The arrays of one layer by name, with the clock they share with the whole model.

    Args:
        mapping: name -> array; arrays are kept, not copied.
        clock: the model's clock; a new one if None.
        precision: what products with these weights are made in, one of `PRECISIONS`, or "int8" for weights that are
            not trained; None for the arrays' own dtype.
    """

    __slots__ = ("__weakref__", "clock", "precision")

    clock: Clock
    precision: str | None

    def __init__(
        self, mapping: Mapping[str, NDArray[Any]], clock: Clock | None = None, precision: str | None = None
    ) -> None:
        super().__init__(mapping)
        self.clock = Clock() if clock is None else clock
        self.precision = precision

"""What a forward pass of a recurrence keeps for the way back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.ops.noise import QUIET, Noise
from elman.ragged import Ragged

__all__ = ["RecurrenceTape"]

Array = NDArray[Any]


class RecurrenceTape(NamedTuple):
    """Everything that `recurrence.backward` needs beside the weights; read only.

    Attributes:
        x: the input, values (N, I) or token ids (N,).
        y: the output h of every step, (N, H).
        initial: the state before the first step, each (B, ·); None for zeros.
        kept: what the kernel keeps of every step, each (N, ·): in NumPy the cell's tape, rows as in x; in the
            native core the gates and the cell state in the kernel's own layout (src/native/views.h).
        noise: what was done at random.
    """

    x: Ragged
    y: Array
    initial: tuple[Array, ...] | None
    kept: tuple[Array, ...]
    noise: Noise = QUIET

    @property
    def nbytes(self) -> int:
        """Bytes that are kept beyond the input."""
        masks = [mask for mask in self.noise if isinstance(mask, np.ndarray)]
        return int(sum(array.nbytes for array in (self.y, *self.kept, *(self.initial or ()), *masks)))

    def __repr__(self) -> str:
        kept = ", ".join(str(array.shape) for array in self.kept)
        return f"RecurrenceTape(x={self.x!r}, y={self.y.shape}, kept=[{kept}], {self.nbytes:,} bytes)"

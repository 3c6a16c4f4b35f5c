"""Scaling: every channel to mean 0 and standard deviation 1, learned from the data that is trained on."""

from __future__ import annotations

from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, say

__all__ = ["Scaler"]

Array = NDArray[Any]

# Standard deviations below this share of the largest number are what rounding has left of a constant.
_ROUNDING = 16 * np.finfo(np.float64).eps


class Scaler(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """(x − mean) / scale for every channel; a channel that never changes keeps its scale and becomes 0.

    Attributes:
        mean: (F,) of the training data.
        scale: (F,) standard deviations, 1 where a channel never changes.

    Example:
        >>> scaler = Scaler.learn(np.array([[1.0, 5.0], [3.0, 5.0]]))
        >>> scaler.apply(np.array([[4.0, 5.0]]), where="predict")
        array([[2., 0.]])
    """

    mean: list[float]
    scale: list[float]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.scale) or not all(0 < scale < np.inf for scale in self.scale):
            raise ValueError("mean and scale must be as long as each other, and every scale above 0")

    @classmethod
    def learn(cls, values: Array) -> Self:
        """Find mean and standard deviation of every channel.

        Args:
            values: (N, F) float64, finite, N >= 1.
        """
        # A constant is centred on itself: the mean of equal numbers may be off by a rounding.
        constant = values.max(0) == values.min(0)
        mean = np.where(constant, values[0], values.mean(0))
        scale = values.std(0)
        constant |= scale <= _ROUNDING * np.abs(values).max(0)
        return cls(mean.tolist(), np.where(constant, 1.0, scale).tolist())

    def apply(self, values: Array, *, where: str) -> Array:
        """Scale values (N, F).

        Args:
            values: float64.
            where: who asks, for messages.

        Raises:
            DataError: if a number is so far from those of the training that float32 cannot hold it.
        """
        with np.errstate(over="ignore"):
            scaled: Array = (values - np.array(self.mean)) / np.array(self.scale)
        most = np.finfo(np.float32).max
        if scaled.size and not np.abs(scaled).max() <= most:
            row, channel = np.argwhere(~(np.abs(scaled) <= most))[0]
            wrong = "a number is too large for float32, measured by the spread of the training data"
            got = f"{values[row, channel]} where the standard deviation was {self.scale[channel]:.3g}"
            raise DataError(say(where, wrong, got=got))
        return scaled

    def undo(self, values: Array) -> Array:
        """Give scaled values (N, F) back in their units, float64."""
        undone: Array = values.astype(np.float64) * np.array(self.scale) + np.array(self.mean)
        return undone

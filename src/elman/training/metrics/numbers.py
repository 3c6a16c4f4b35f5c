"""Metrics of numbers: how far predictions are from their targets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from elman.ops.losses import Loss
from elman.ops.losses.base import Targets
from elman.training.metrics.base import Array, Mean

__all__ = ["MeanAbsoluteError", "MeanSquaredError", "RootMeanSquaredError"]


@dataclass(frozen=True)
class MeanAbsoluteError(Mean):
    """Mean of |prediction − target|, over columns and rows."""

    name: ClassVar[str] = "mae"
    fits: ClassVar[frozenset[Targets]] = frozenset({"numbers"})

    def rows(self, prediction: Array, target: Array, loss: Loss) -> Array:
        """Give the mean of every row; see `Mean`."""
        each: Array = np.abs(prediction - target).mean(axis=1, dtype=np.float64)
        return each


@dataclass(frozen=True)
class MeanSquaredError(Mean):
    """Mean of (prediction − target)², over columns and rows."""

    name: ClassVar[str] = "mse"
    fits: ClassVar[frozenset[Targets]] = frozenset({"numbers"})

    def rows(self, prediction: Array, target: Array, loss: Loss) -> Array:
        """Give the mean of every row; see `Mean`."""
        each: Array = np.square(prediction - target, dtype=np.float64).mean(axis=1)
        return each


@dataclass(frozen=True)
class RootMeanSquaredError(MeanSquaredError):
    """Square root of the mean of (prediction − target)² over the whole epoch."""

    name: ClassVar[str] = "rmse"

    def result(self, sums: Array, loss: Loss) -> float:
        """Give √(Σ w·d² / Σ w); see `Mean`."""
        return math.sqrt(super().result(sums, loss))

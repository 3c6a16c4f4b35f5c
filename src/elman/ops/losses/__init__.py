"""Losses, each with its gradient, reduced to Σ w·l / Σ w over all targets.

Example:
    >>> get("mse")
    SquaredError()
    >>> get({"type": "huber", "delta": 2.0})
    Huber(delta=2.0)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elman.ops.losses.base import Loss
from elman.ops.losses.distances import AbsoluteError, Cosine, Huber, SquaredError
from elman.ops.losses.entropies import BinaryCrossEntropy, CategoricalCrossEntropy, CrossEntropy
from elman.ops.losses.sequences import CTC
from elman.ops.options import find

__all__ = [
    "CTC",
    "LOSSES",
    "AbsoluteError",
    "BinaryCrossEntropy",
    "CategoricalCrossEntropy",
    "Cosine",
    "CrossEntropy",
    "Huber",
    "Loss",
    "SquaredError",
    "get",
]

#: Every name of every loss, Keras's included.
LOSSES: dict[str, type[Loss]] = {
    "squared_error": SquaredError,
    "mse": SquaredError,
    "mean_squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "mae": AbsoluteError,
    "mean_absolute_error": AbsoluteError,
    "huber": Huber,
    "huber_loss": Huber,
    "cosine": Cosine,
    "cosine_similarity": Cosine,
    "cross_entropy": CrossEntropy,
    "sparse_categorical_crossentropy": CrossEntropy,
    "categorical_crossentropy": CategoricalCrossEntropy,
    "categorical_cross_entropy": CategoricalCrossEntropy,
    "binary_crossentropy": BinaryCrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "ctc": CTC,
}


def get(loss: str | Mapping[str, Any] | Loss) -> Loss:
    """Give the loss that a name, a config or a loss stands for.

    Args:
        loss: "mse", {"type": "huber", "delta": 2.0}, or an object such as Huber(2.0).

    Raises:
        UsageError: if there is no such loss or option.
    """
    return find(loss, LOSSES, Loss, what="loss")

"""Weights of sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, DataTypeError, say
from elman.tasks.frames import is_series
from elman.tasks.inputs import Sequences

__all__ = ["read_weights"]


def read_weights(sample_weight: Any, sequences: Sequences, *, where: str) -> NDArray[np.float64] | None:
    """Check the weights of sequences.

    Args:
        sample_weight: one number >= 0 per sequence, not all zero; the name of a column for a frame in long form.
        sequences: what they belong to.
        where: who asks, for messages.

    Returns:
        (B,), or None if none are given.

    Raises:
        DataError: if they do not fit, or one is negative or not finite, or all are zero.
        DataTypeError: if they are no numbers.
    """
    if sample_weight is None:
        return None
    if sequences.groups is not None:
        sample_weight = sequences.groups.per_series(sample_weight, where=where, name="sample_weight")
    try:
        weights = np.asarray(sample_weight.to_numpy() if is_series(sample_weight) else sample_weight, np.float64)
    except (ValueError, TypeError):
        wrong = "sample_weight holds what is no number"
        raise DataTypeError(say(where, wrong, expected="one number per sequence")) from None
    if weights.ndim == 0:
        weights = np.full(len(sequences), weights)
    if weights.shape != (len(sequences),):
        wrong = "sample_weight does not fit X"
        raise DataError(say(where, wrong, expected=f"shape ({len(sequences)},)", got=f"shape {weights.shape}"))
    good = np.isfinite(weights) & (weights >= 0)
    if not good.all():
        index = int(np.argmin(good))
        wrong = "sample_weight is out of range"
        raise DataError(say(where, wrong, expected="numbers >= 0", got=f"{weights[index]} at index {index}"))
    if not weights.any():
        wrong = "sample_weight is zero for all sequences, so nothing could be learned"
        raise DataError(say(where, wrong, expected="at least one above zero"))
    return weights

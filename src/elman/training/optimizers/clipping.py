"""Gradients that are too long, made shorter."""

from __future__ import annotations

import math

import numpy as np

from elman.ops.flat import sum_of_squares
from elman.training.parameters import Parameters

__all__ = ["clip_global_norm"]


def clip_global_norm(parameters: Parameters, max_norm: float) -> float:
    """Scale all gradients so that their joint norm is at most `max_norm`.

    The factor is min(1, max_norm / (norm + 1e-6)), as torch has it (Pascanu et al. 2013).

    Args:
        parameters: whose grads (P,) are scaled in place.
        max_norm: > 0.

    Returns:
        The norm before scaling, summed in float64; the gradients are left alone if it is not finite.
    """
    grads = parameters.grads
    norm = math.sqrt(sum_of_squares(grads))
    coefficient = max_norm / (norm + 1e-6)
    if coefficient < 1.0 and math.isfinite(norm):
        np.multiply(grads, coefficient, out=grads)
    return norm

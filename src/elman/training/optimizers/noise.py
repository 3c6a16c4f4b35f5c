"""Noise on gradients."""

from __future__ import annotations

import math

import numpy as np

from elman.training.parameters import Parameters

__all__ = ["add_gradient_noise"]

# The exponent of the paper.
_DECAY = 0.55


def add_gradient_noise(parameters: Parameters, rng: np.random.Generator, *, variance: float, step: int) -> None:
    """Add normal noise to all gradients, of a variance that falls with the steps; Neelakantan et al. 2015.

        σ² = variance / (1 + step)^0.55

    Args:
        parameters: whose grads (P,) are changed in place; the gaps between them stay zero.
        rng: drawn from.
        variance: of the first step, >= 0.
        step: how many steps were taken before.

    Example:
        >>> from elman import layers
        >>> parts = [layers.Dense(100, name="dense")]
        >>> parameters = Parameters.build(parts, 100, dtype="float64", rng=None)
        >>> add_gradient_noise(parameters, np.random.default_rng(0), variance=0.01, step=0)
        >>> f"{parameters.grads.std():.2f}"
        '0.10'
    """
    scale = math.sqrt(variance / (1 + step) ** _DECAY)
    for grad in parameters.named_grads().values():
        kind = np.float32 if grad.dtype == np.float32 else np.float64
        grad += scale * rng.standard_normal(grad.shape, kind)

"""Normalisation of every row over its features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.ops.weights import Weights
from elman.ops.workspace import current

__all__ = ["NormTape", "backward", "forward"]

Array = NDArray[Any]


class NormTape(NamedTuple):
    """What the way back needs: x̂, the rows with mean 0 and variance 1 (N, F), and 1 / σ (N, 1)."""

    normed: Array
    scale: Array

    @property
    def nbytes(self) -> int:
        """Bytes that are kept beyond the input."""
        return int(self.normed.nbytes + self.scale.nbytes)


def forward(x: Array, weights: Weights, *, epsilon: float) -> tuple[Array, NormTape]:
    """Normalise every row, then scale and shift; Ba, Kiros & Hinton 2016.

        x̂ = (x − mean(x)) / √(var(x) + ε)        y = weight ⊙ x̂ + bias

    Args:
        x: (N, F).
        weights: weight (F,), bias (F,).
        epsilon: ε, keeps a row of equal numbers from dividing by zero.

    Returns:
        y (N, F); what `backward` needs.
    """
    features = x.shape[1]
    take, dtype = current().take, np.result_type(x, weights["weight"])
    # einsum adds every row up in one fixed order, in a third of the time of sum.
    normed = np.subtract(x, np.einsum("nf->n", x)[:, None] / features, out=take(x.shape, dtype))
    variance = np.einsum("nf,nf->n", normed, normed)[:, None] / features
    scale = 1 / np.sqrt(variance + epsilon)
    np.multiply(normed, scale, out=normed)
    y = np.multiply(normed, weights["weight"], out=take(x.shape, dtype))
    np.add(y, weights["bias"], out=y)
    return y, NormTape(normed, scale.astype(dtype, copy=False))


def backward(dy: Array, tape: NormTape, weights: Weights, grads: Mapping[str, Array], *, want_dx: bool) -> Array | None:
    """Take the normalisation back.

        d_x̂ = weight ⊙ dy        dx = (d_x̂ − mean(d_x̂) − x̂ mean(d_x̂ ⊙ x̂)) / σ

    Args:
        dy: gradient with respect to y (N, F).
        tape: from `forward`.
        weights: as in `forward`.
        grads: gradients of weight and bias are added into these.
        want_dx: whether dx is needed.

    Returns:
        dx (N, F), or None.
    """
    normed, scale = tape
    weight_grad, bias_grad = grads["weight"], grads["bias"]
    weight_grad += np.einsum("nf,nf->f", dy, normed)
    bias_grad += dy.sum(axis=0)
    if not want_dx:
        return None
    features = dy.shape[1]
    take = current().take
    d_normed: Array = np.multiply(dy, weights["weight"], out=take(dy.shape, normed.dtype))
    mean = np.einsum("nf->n", d_normed)[:, None] / features
    along = np.einsum("nf,nf->n", d_normed, normed)[:, None] / features
    np.subtract(d_normed, mean, out=d_normed)
    np.subtract(d_normed, np.multiply(normed, along, out=take(dy.shape, normed.dtype)), out=d_normed)
    np.multiply(d_normed, scale, out=d_normed)
    return d_normed

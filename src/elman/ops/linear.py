"""The row-wise product with a pointwise function: y = φ(x Wᵀ + b)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.cells import ACTIVATIONS, numpy_namespace
from elman.ops.core import native
from elman.ops.steps import Stepper
from elman.ops.weights import Weights
from elman.ops.workspace import current, empty_aligned

__all__ = ["LINEAR_ACTIVATIONS", "backward", "forward", "softmax", "stepper"]

Array = NDArray[Any]

LINEAR_ACTIVATIONS = (*ACTIVATIONS, "softmax")


def softmax(a: Array) -> Array:
    """exp(a) / Σ exp(a) over the last axis, without overflow.

    Args:
        a: (..., K).
    """
    e = np.exp(a - a.real.max(axis=-1, keepdims=True))
    out: Array = e / e.sum(axis=-1, keepdims=True)
    return out


def forward(x: Array, weights: Weights, *, activation: str | None) -> Array:
    """Multiply every row by the weights and apply the activation.

    Args:
        x: (N, I).
        weights: weight (O, I), bias (O,).
        activation: None, "tanh", "sigmoid", "relu" or "softmax".

    Returns:
        y (N, O).
    """
    workspace = current()
    kernel = workspace.kernel(weights, _make_kernel)
    if kernel is not None:
        y: Array = workspace.take((len(x), kernel.n_outputs), x.dtype)
        kernel.native.forward(weights.clock.ticks, _CODES[activation], x, y)
        return y
    a: Array = x @ weights["weight"].T
    a += weights["bias"]
    if activation is None:
        return a
    if activation == "softmax":
        return softmax(a)
    y = ACTIVATIONS[activation].value(numpy_namespace, a)
    return y


def backward(
    dy: Array,
    x: Array,
    y: Array,
    weights: Weights,
    grads: Mapping[str, Array],
    *,
    activation: str | None,
    want_dx: bool,
) -> Array | None:
    """Take the product back.

    Args:
        dy: gradient with respect to y (N, O).
        x: input of `forward` (N, I).
        y: output of `forward` (N, O).
        weights: as in `forward`.
        grads: gradients of weight and bias are added into these.
        activation: as in `forward`.
        want_dx: whether dx is needed.

    Returns:
        dx (N, I), or None.
    """
    workspace = current()
    kernel = workspace.kernel(weights, _make_kernel)
    if kernel is not None:
        dy = np.ascontiguousarray(dy, y.dtype)
        dz = None if activation is None else workspace.take(dy.shape, dy.dtype)
        dx = workspace.take(x.shape, x.dtype) if want_dx else None
        kernel.native.backward(
            weights.clock.ticks, _CODES[activation], dy, x, y, dz, dx, grads["weight"], grads["bias"]
        )
        return dx
    if activation is None:
        d_a = dy
    elif activation == "softmax":
        d_a = y * (dy - (dy * y).sum(axis=-1, keepdims=True))
    else:
        d_a = dy * ACTIVATIONS[activation].slope(y)
    weight_grad, bias_grad = grads["weight"], grads["bias"]
    weight_grad += d_a.T @ x
    bias_grad += d_a.sum(0)
    return d_a @ weights["weight"] if want_dx else None


def stepper(x: Array, weights: Weights, *, activation: str | None) -> Stepper | None:
    """Bind the product to places in memory.

    Args:
        x: where the rows lie (n, I).
        weights: as in `forward`.
        activation: as in `forward`.

    Returns:
        None where there is no native kernel.
    """
    kernel = current().kernel(weights, _make_kernel)
    if kernel is None:
        return None
    y = empty_aligned((len(x), kernel.n_outputs), x.dtype)
    make = getattr(native, "LinearSteps32" if x.dtype == np.float32 else "LinearSteps64")
    return Stepper(y, make(kernel.native, _CODES[activation], x, y).advance)


class _Kernel:
    """One layer's native kernel."""

    __slots__ = ("n_outputs", "native")

    def __init__(self, weights: Weights) -> None:
        weight = weights["weight"]
        make = getattr(native, "Linear32" if weight.dtype == np.float32 else "Linear64")
        self.native = make(weight, weights["bias"], format=weights.precision or "")
        self.n_outputs = len(weight)


def _make_kernel(weights: Weights) -> _Kernel | None:
    return None if native is None or weights["weight"].dtype not in (np.float32, np.float64) else _Kernel(weights)


# How the native core writes an activation.
_CODES: dict[str | None, int] = (
    {} if native is None else {None if name == "identity" else name: k for k, name in enumerate(native.ACTIVATIONS)}
)

"""Losses, each with its gradient, reduced to Σ w·l / Σ w over all rows.

Cross-entropy takes logits. Of a softmax followed by cross-entropy the gradient with respect to the
logits is p − t, which is exact where −log of a rounded probability is not; so a model that ends in
`Dense(..., activation="softmax")` gives these losses its last layer's pre-activation
(`Dense.logits`).
"""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, say
from elman.ops.core import native
from elman.ops.flat import sum_of_squares
from elman.ops.workspace import current

__all__ = [
    "CLASS_TARGETS",
    "FROM_LOGITS",
    "LOSSES",
    "LossFunction",
    "categorical_cross_entropy",
    "softmax_cross_entropy",
    "squared_error",
]

Array = NDArray[Any]
Result = tuple[float, float, Array | None]


class LossFunction(Protocol):
    """What a loss looks like: see `squared_error`."""

    def __call__(  # noqa: D102
        self, prediction: Array, target: Array, /, *, weights: Array | None = None, want_grad: bool = True
    ) -> Result: ...


def squared_error(prediction: Array, target: Array, *, weights: Array | None = None, want_grad: bool = True) -> Result:
    """Mean of (prediction − target)², over the columns and then over the rows.

    Args:
        prediction: (M, K).
        target: (M, K).
        weights: (M,) >= 0, of the rows; all 1 if None.
        want_grad: whether the gradient is needed.

    Returns:
        The mean loss, Σ w, and the gradient of the mean loss (M, K) or None.

    Raises:
        DataError: if the shapes differ.
    """
    if target.shape != prediction.shape:
        raise DataError(say("loss", "the target does not fit", expected=prediction.shape, got=target.shape))
    difference = prediction - target
    if weights is None:
        flat = difference.reshape(-1)
        n_numbers = len(flat)
        if n_numbers == 0:
            return _nothing(prediction, want_grad)
        # Not by BLAS, whose bits depend on its threads; complex numbers come from gradient checks.
        total = sum_of_squares(flat) if flat.dtype.kind == "f" else (flat @ flat).item()
        loss = total / n_numbers
        return loss, float(len(difference)), difference * (2.0 / n_numbers) if want_grad else None
    total = float(weights.sum())
    if total == 0:
        return _nothing(prediction, want_grad)
    share = (weights / (total * difference.shape[1]))[:, None].astype(target.dtype)
    weighted = difference * share
    return (weighted * difference).sum().item(), total, 2 * weighted if want_grad else None


def softmax_cross_entropy(
    logits: Array, target: Array, *, weights: Array | None = None, want_grad: bool = True
) -> Result:
    """Mean of −log softmax(logits)[target].

    Args:
        logits: (M, K).
        target: (M,) integers in [0, K).
        weights: (M,) >= 0, of the rows; all 1 if None.
        want_grad: whether the gradient is needed.

    Returns:
        The mean loss in nats, Σ w, and the gradient of the mean loss (M, K) or None.

    Raises:
        DataError: if there is not one target per row, or one is outside of [0, K).
    """
    n_rows, n_classes = logits.shape
    _check_classes(target, n_rows, n_classes)
    total = float(n_rows) if weights is None else float(weights.sum())
    if total == 0:
        return _nothing(logits, want_grad)
    if native is not None and logits.dtype in (np.float32, np.float64):
        logits = np.ascontiguousarray(logits)
        d_logits = current().take(logits.shape, logits.dtype) if want_grad else None
        target = np.ascontiguousarray(target, np.int64)
        each_weight = None if weights is None else np.ascontiguousarray(weights, logits.dtype)
        return native.cross_entropy(logits, target, each_weight, 1 / total, d_logits) / total, total, d_logits
    rows = np.arange(n_rows)
    probability, log_sum, shifted = _softmax(logits)
    each = log_sum - shifted[rows, target]
    if weights is None:
        loss = each.sum().item() / total
    else:
        share = (weights / total).astype(logits.real.dtype)
        loss = (each * share).sum().item()
    if not want_grad:
        return loss, total, None
    probability[rows, target] -= 1
    probability *= 1 / total if weights is None else share[:, None]
    return loss, total, probability


def categorical_cross_entropy(
    logits: Array, target: Array, *, weights: Array | None = None, want_grad: bool = True
) -> Result:
    """Mean of −Σ_k target_k · log softmax(logits)_k.

    Args:
        logits: (M, K).
        target: (M, K), one-hot or other probabilities.
        weights: (M,) >= 0, of the rows; all 1 if None.
        want_grad: whether the gradient is needed.

    Returns:
        The mean loss in nats, Σ w, and the gradient of the mean loss (M, K) or None.

    Raises:
        DataError: if the shapes differ.
    """
    if target.shape != logits.shape:
        raise DataError(say("loss", "the target does not fit", expected=logits.shape, got=target.shape))
    total = float(len(logits)) if weights is None else float(weights.sum())
    if total == 0:
        return _nothing(logits, want_grad)
    probability, log_sum, shifted = _softmax(logits)
    if weights is None:
        share = np.full((len(logits), 1), 1 / total, logits.real.dtype)
    else:
        share = (weights / total).astype(logits.real.dtype)[:, None]
    loss = ((log_sum[:, None] - shifted) * target * share).sum().item()
    if not want_grad:
        return loss, total, None
    return loss, total, (probability * target.sum(axis=1, keepdims=True) - target) * share


def _softmax(logits: Array) -> tuple[Array, Array, Array]:
    """Give softmax (M, K), log Σ exp of the shifted logits (M,), and the shifted logits (M, K)."""
    shifted = logits - logits.real.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(axis=1)
    e /= total[:, None]
    return e, np.log(total), shifted


def _check_classes(target: Array, n_rows: int, n_classes: int) -> None:
    if target.shape != (n_rows,):
        raise DataError(say("loss", "the target does not fit", expected=(n_rows,), got=target.shape))
    if target.dtype.kind not in "iu":
        raise DataError(say("loss", "targets are no classes", expected="integers", got=f"dtype {target.dtype}"))
    if n_rows and not (target.min() >= 0 and target.max() < n_classes):
        row = int(np.argmax((target < 0) | (target >= n_classes)))
        got = f"{target[row]} at target {row}"
        raise DataError(say("loss", "a target is not a class", expected=f"0 to {n_classes - 1}", got=got))


def _nothing(prediction: Array, want_grad: bool) -> Result:
    """Answer for a batch in which nothing counts: a loss of 0, said aloud."""
    warnings.warn(
        say("loss", "no target has a weight above zero, so the loss is 0 and nothing is learned"),
        RuntimeWarning,
        stacklevel=3,
    )
    return 0.0, 0.0, np.zeros_like(prediction) if want_grad else None


LOSSES: dict[str, LossFunction] = {
    "mse": squared_error,
    "mean_squared_error": squared_error,
    "squared_error": squared_error,
    "cross_entropy": softmax_cross_entropy,
    "sparse_categorical_crossentropy": softmax_cross_entropy,
    "categorical_crossentropy": categorical_cross_entropy,
}

#: Losses whose prediction is logits: the last layer has no activation, or a softmax that is set aside.
FROM_LOGITS: frozenset[LossFunction] = frozenset({softmax_cross_entropy, categorical_cross_entropy})

#: Losses whose target is one class per row, (M,) integers.
CLASS_TARGETS: frozenset[LossFunction] = frozenset({softmax_cross_entropy})

"""Losses of probabilities, computed from logits.

Of a softmax followed by cross-entropy the gradient with respect to the logits is p − t, and so it is
of a sigmoid; that is exact where −log of a rounded probability is not. So a model that ends in
`Dense(..., activation="softmax")` or `"sigmoid"` gives these losses its last layer's pre-activation
(`Dense.logits`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike

from elman.errors import DataError, say
from elman.ops import kernels
from elman.ops.core import native
from elman.ops.kernels import Kernel
from elman.ops.losses.base import (
    Array,
    Loss,
    Result,
    Targets,
    nothing_counts,
    refuse,
    shares,
    sum_of,
    total_weight,
)
from elman.ops.options import checked_number
from elman.ops.workspace import current

__all__ = ["BinaryCrossEntropy", "CategoricalCrossEntropy", "CrossEntropy"]


@dataclass(frozen=True)
class _Entropy(Loss):
    """Base of the cross-entropies: their one option, checked."""

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        where = f"loss '{self.name}'"
        checked = checked_number(where, "label_smoothing", self.label_smoothing, low=0.0, high=1.0)
        object.__setattr__(self, "label_smoothing", checked)


@dataclass(frozen=True)
class CrossEntropy(_Entropy):
    """Mean of −log softmax(logits)[target], in nats; the target of a row is its class.

    Args:
        label_smoothing: ε in [0, 1): the target becomes 1 − ε for the class and ε / K for each of the K classes
            (Szegedy et al. 2016), as in torch and Keras.

    Raises:
        UsageError: if label_smoothing is out of range.

    Example:
        >>> loss, total, gradient = CrossEntropy()(np.zeros((2, 4)), np.array([0, 3]))
        >>> round(loss, 4), total, gradient.tolist()[0]
        (1.3863, 2.0, [-0.375, 0.125, 0.125, 0.125])
    """

    name: ClassVar[str] = "cross_entropy"
    activation: ClassVar[Literal["softmax", "sigmoid"] | None] = "softmax"
    targets: ClassVar[Targets] = "class"

    def __call__(
        self, logits: Array, target: Array, /, *, weights: Array | None = None, want_grad: bool = True
    ) -> Result:
        """Compute value and gradient of logits (M, K) and classes (M,); see `Loss`."""
        n_rows, n_classes = logits.shape
        _check_classes(target, n_rows, n_classes)
        total = total_weight(logits, weights)
        if total == 0:
            return nothing_counts(logits, want_grad)
        smoothing = self.label_smoothing
        if native is not None and not smoothing and logits.dtype in (np.float32, np.float64):
            logits = np.ascontiguousarray(logits)
            d_logits = current().take(logits.shape, logits.dtype) if want_grad else None
            target = np.ascontiguousarray(target, np.int64)
            each_weight = None if weights is None else np.ascontiguousarray(weights, logits.dtype)
            return native.cross_entropy(logits, target, each_weight, 1 / total, d_logits) / total, total, d_logits
        rows = np.arange(n_rows)
        probability, log_sum, shifted = _softmax(logits)
        each = log_sum - (1 - smoothing) * shifted[rows, target]
        if smoothing:
            each -= smoothing / n_classes * shifted.sum(axis=1)
        share = shares(logits, weights, total)
        loss = sum_of(each[:, None] * share)
        if not want_grad:
            return loss, total, None
        probability[rows, target] -= 1 - smoothing
        if smoothing:
            probability -= smoothing / n_classes
        probability *= share
        return loss, total, probability

    def runs_on(self, dtype: DTypeLike) -> Kernel:
        """Say which code computes the loss: label smoothing is NumPy's."""
        if self.label_smoothing:
            return Kernel(None, "label smoothing: a few passes over the outputs")
        return kernels.of_loss("cross_entropy", dtype)


@dataclass(frozen=True)
class CategoricalCrossEntropy(_Entropy):
    """Mean of −Σ_k target_k · log softmax(logits)_k, in nats; the target of a row is a probability per class.

    Args:
        label_smoothing: ε in [0, 1): the target t becomes (1 − ε) t + ε / K, as in Keras.

    Raises:
        UsageError: if label_smoothing is out of range.

    Example:
        >>> loss, _, gradient = CategoricalCrossEntropy()(np.zeros((1, 2)), np.array([[0.75, 0.25]]))
        >>> round(loss, 4), gradient.tolist()
        (0.6931, [[-0.25, 0.25]])
    """

    name: ClassVar[str] = "categorical_crossentropy"
    activation: ClassVar[Literal["softmax", "sigmoid"] | None] = "softmax"
    targets: ClassVar[Targets] = "distribution"

    def __call__(
        self, logits: Array, target: Array, /, *, weights: Array | None = None, want_grad: bool = True
    ) -> Result:
        """Compute value and gradient of logits (M, K) and probabilities (M, K); see `Loss`."""
        if target.shape != logits.shape:
            refuse(logits.shape, target.shape)
        total = total_weight(logits, weights)
        if total == 0:
            return nothing_counts(logits, want_grad)
        if self.label_smoothing:
            target = target * (1 - self.label_smoothing) + self.label_smoothing / logits.shape[1]
        probability, log_sum, shifted = _softmax(logits)
        share = shares(logits, weights, total)
        loss = sum_of((log_sum[:, None] - shifted) * target * share)
        if not want_grad:
            return loss, total, None
        return loss, total, (probability * target.sum(axis=1, keepdims=True) - target) * share


@dataclass(frozen=True)
class BinaryCrossEntropy(_Entropy):
    """Mean of −t log σ(a) − (1 − t) log(1 − σ(a)), over the columns and then over the rows, in nats.

    Every column is a question of its own, answered by a logit a; the target t is the probability of yes.

    Args:
        label_smoothing: ε in [0, 1): the target t becomes (1 − ε) t + ε / 2, as in Keras.

    Raises:
        UsageError: if label_smoothing is out of range.

    Example:
        >>> loss, _, gradient = BinaryCrossEntropy()(np.array([[0.0], [1e3]]), np.array([[1.0], [1.0]]))
        >>> round(loss, 4), gradient.tolist()
        (0.3466, [[-0.25], [0.0]])
    """

    name: ClassVar[str] = "binary_crossentropy"
    activation: ClassVar[Literal["softmax", "sigmoid"] | None] = "sigmoid"
    targets: ClassVar[Targets] = "binary"

    def __call__(
        self, logits: Array, target: Array, /, *, weights: Array | None = None, want_grad: bool = True
    ) -> Result:
        """Compute value and gradient of logits (M, K) and probabilities (M, K); see `Loss`."""
        if target.shape != logits.shape:
            refuse(logits.shape, target.shape)
        total = total_weight(logits, weights)
        if total == 0:
            return nothing_counts(logits, want_grad)
        if self.label_smoothing:
            target = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        # −log σ(a) = log(1 + e^−a), written with e^−|a| only, which never overflows.
        positive = logits.real >= 0
        small = np.exp(np.where(positive, -logits, logits))
        each = np.where(positive, logits, 0) - logits * target + np.log1p(small)
        share = shares(logits, weights, total * logits.shape[1])
        loss = sum_of(each * share)
        if not want_grad:
            return loss, total, None
        return loss, total, (np.where(positive, 1, small) / (1 + small) - target) * share


def _softmax(logits: Array) -> tuple[Array, Array, Array]:
    """Give softmax (M, K), log Σ exp of the shifted logits (M,), and the shifted logits (M, K)."""
    shifted = logits - logits.real.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(axis=1)
    e /= total[:, None]
    return e, np.log(total), shifted


def _check_classes(target: Array, n_rows: int, n_classes: int) -> None:
    if target.shape != (n_rows,):
        refuse((n_rows,), target.shape)
    if target.dtype.kind not in "iu":
        raise DataError(say("loss", "targets are no classes", expected="integers", got=f"dtype {target.dtype}"))
    if n_rows and not (target.min() >= 0 and target.max() < n_classes):
        row = int(np.argmax((target < 0) | (target >= n_classes)))
        got = f"{target[row]} at target {row}"
        raise DataError(say("loss", "a target is not a class", expected=f"0 to {n_classes - 1}", got=got))

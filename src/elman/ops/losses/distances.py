"""Losses of numbers: how far a prediction is from its target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from elman.ops.flat import sum_of_squares
from elman.ops.losses.base import Array, Loss, Result, nothing_counts, refuse, shares, sum_of, total_weight
from elman.ops.options import checked_number

__all__ = ["AbsoluteError", "Cosine", "Huber", "SquaredError"]


@dataclass(frozen=True)
class SquaredError(Loss):
    """Mean of (prediction − target)², over the columns and then over the rows.

    Example:
        >>> loss, total, gradient = SquaredError()(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]))
        >>> loss, total, gradient.tolist()
        (2.5, 1.0, [[1.0, -2.0]])
    """

    name: ClassVar[str] = "squared_error"

    def __call__(
        self, prediction: Array, target: Array, /, *, weights: Array | None = None, want_grad: bool = True
    ) -> Result:
        """Compute value and gradient of rows (M, K); see `Loss`."""
        if target.shape != prediction.shape:
            refuse(prediction.shape, target.shape)
        difference = prediction - target
        if weights is None:
            flat = difference.reshape(-1)
            n_numbers = len(flat)
            if n_numbers == 0:
                return nothing_counts(prediction, want_grad)
            # Not by BLAS, whose bits depend on its threads; complex numbers come from gradient checks.
            total = sum_of_squares(flat) if flat.dtype.kind == "f" else (flat @ flat).item()
            loss = total / n_numbers
            return loss, float(len(difference)), difference * (2.0 / n_numbers) if want_grad else None
        total = total_weight(prediction, weights)
        if total == 0:
            return nothing_counts(prediction, want_grad)
        weighted = difference * shares(prediction, weights, total * difference.shape[1])
        return sum_of(weighted * difference), total, 2 * weighted if want_grad else None


class _Distance(Loss):
    """Base of losses that are a mean over columns and rows of f(prediction − target)."""

    def each(self, difference: Array) -> tuple[Array, Array]:
        """Give f and its slope for every number.

        Args:
            difference: (M, K).
        """
        raise NotImplementedError

    def __call__(
        self, prediction: Array, target: Array, /, *, weights: Array | None = None, want_grad: bool = True
    ) -> Result:
        """Compute value and gradient of rows (M, K); see `Loss`."""
        if target.shape != prediction.shape:
            refuse(prediction.shape, target.shape)
        total = total_weight(prediction, weights)
        if total == 0:
            return nothing_counts(prediction, want_grad)
        value, slope = self.each(prediction - target)
        share = shares(prediction, weights, total * prediction.shape[1])
        return sum_of(value * share), total, slope * share if want_grad else None


@dataclass(frozen=True)
class AbsoluteError(_Distance):
    """Mean of |prediction − target|, over the columns and then over the rows.

    Where a prediction meets its target exactly, the gradient is 0, the subgradient that leaves it there.

    Example:
        >>> loss, _, gradient = AbsoluteError()(np.array([[1.0, 4.0]]), np.array([[0.0, 4.0]]))
        >>> loss, gradient.tolist()
        (0.5, [[0.5, 0.0]])
    """

    name: ClassVar[str] = "absolute_error"

    def each(self, difference: Array) -> tuple[Array, Array]:
        """Give |d| and its sign; see `_Distance`."""
        sign = np.sign(difference.real)
        return difference * sign, sign


@dataclass(frozen=True)
class Huber(_Distance):
    """Squared for small differences, absolute for large ones (Huber 1964), mean over columns and rows.

        |d| ≤ δ: d² / 2        |d| > δ: δ (|d| − δ / 2)

    This is the formula of torch's `HuberLoss` and of Keras's `Huber`; torch's `SmoothL1Loss` is 1 / δ of it.

    Args:
        delta: δ > 0.

    Raises:
        UsageError: if delta is out of range.

    Example:
        >>> loss, _, gradient = Huber(delta=2.0)(np.array([[1.0, 5.0]]), np.array([[0.0, 0.0]]))
        >>> loss, gradient.tolist()
        (4.25, [[0.5, 1.0]])
    """

    name: ClassVar[str] = "huber"
    delta: float = 1.0

    def __post_init__(self) -> None:
        checked = checked_number(f"loss '{self.name}'", "delta", self.delta, low=0.0, open_low=True)
        object.__setattr__(self, "delta", checked)

    def each(self, difference: Array) -> tuple[Array, Array]:
        """Give f and its slope; see `_Distance`."""
        # With c = d cut to [−δ, δ] both lines of the formula are c (d − c / 2), and c is the slope.
        cut = np.clip(difference, -self.delta, self.delta)
        return cut * (difference - cut / 2), cut


@dataclass(frozen=True)
class Cosine(Loss):
    """1 − cos of the angle between prediction and target, mean over the rows: 0 where they point one way, up to 2.

    Keras's `cosine_similarity` is −cos: less by 1, with the same gradient. A row in which either vector is
    no longer than 1e-8 has no direction: its loss is 1 and its gradient 0, where the quotient would be 0 / 0.

    Example:
        >>> loss, _, gradient = Cosine()(np.array([[3.0, 0.0], [0.0, 0.0]]), np.array([[0.0, 2.0], [1.0, 1.0]]))
        >>> loss
        1.0
        >>> [[round(number, 3) for number in row] for row in gradient.tolist()]
        [[0.0, -0.167], [0.0, 0.0]]
    """

    name: ClassVar[str] = "cosine"

    def __call__(
        self, prediction: Array, target: Array, /, *, weights: Array | None = None, want_grad: bool = True
    ) -> Result:
        """Compute value and gradient of rows (M, K); see `Loss`."""
        if target.shape != prediction.shape:
            refuse(prediction.shape, target.shape)
        total = total_weight(prediction, weights)
        if total == 0:
            return nothing_counts(prediction, want_grad)
        # In double precision: squares of float32 numbers beyond 1e19 would be infinite.
        p, t = (rows.astype(np.result_type(rows.dtype, np.float64)) for rows in (prediction, target))
        p_length, t_length = (np.sqrt((rows * rows).sum(axis=1, keepdims=True)) for rows in (p, t))
        has_direction = (p_length.real > _SHORTEST) & (t_length > _SHORTEST)
        p_length, t_length = np.where(has_direction, p_length, 1), np.where(has_direction, t_length, 1)
        p_unit, t_unit = np.where(has_direction, p / p_length, 0), np.where(has_direction, t / t_length, 0)
        cosine = (p_unit * t_unit).sum(axis=1, keepdims=True)
        share = shares(p, weights, total)
        loss = sum_of((1 - cosine) * share)
        if not want_grad:
            return loss, total, None
        return loss, total, ((cosine * p_unit - t_unit) / p_length * share).astype(prediction.dtype)


_SHORTEST = 1e-8  # below this torch, too, no longer divides by the length

"""What a loss is, and the reduction that all share: Σ w·l / Σ w over the rows."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Literal, NoReturn

import numpy as np
from numpy.typing import DTypeLike, NDArray

from elman.errors import DataError, say
from elman.ops import kernels
from elman.ops.kernels import Kernel
from elman.ops.options import Named

__all__ = ["Array", "Loss", "Result", "Targets", "nothing_counts", "refuse", "shares", "sum_of", "total_weight"]

Array = NDArray[Any]
Result = tuple[float, float, Array | None]

#: What the target of one row is: K numbers; a class; a probability for each of K classes that exclude each other;
#: a probability for each of K yes-or-no questions; or, for a whole sequence, labels in order.
Targets = Literal["numbers", "class", "distribution", "binary", "labels"]


class Loss(Named):
    """Base of the losses: called, they give value and gradient together.

    Attributes:
        activation: the activation whose input the loss takes; as that of the last layer it is set aside. None
            for a loss of the outputs themselves.
        targets: what a target is, see `Targets`.
    """

    activation: ClassVar[Literal["softmax", "sigmoid"] | None] = None
    targets: ClassVar[Targets] = "numbers"

    def __call__(
        self, prediction: Any, target: Any, /, *, weights: Array | None = None, want_grad: bool = True
    ) -> Result:
        """Compute the mean loss of a batch and its gradient.

        Args:
            prediction: (M, K), what the last layer gives, or its input where `activation` is set aside; for
                labels a Ragged of such rows.
            target: (M, K) numbers, (M,) classes, or a Ragged of labels.
            weights: (M,) >= 0, of the rows (of the sequences, for labels); all 1 if None.
            want_grad: whether the gradient is needed.

        Returns:
            The mean loss Σ w·l / Σ w, Σ w, and the gradient of the mean loss with respect to the prediction
            (M, K), or None.

        Raises:
            DataError: if the target does not fit.
        """
        raise NotImplementedError

    def runs_on(self, dtype: DTypeLike) -> Kernel:
        """Say which code computes the loss; see `Sequential.explain`.

        Args:
            dtype: of the outputs.
        """
        return kernels.ARITHMETIC


def refuse(expected: object, got: object) -> NoReturn:
    """Say that the shape of a target does not fit.

    Args:
        expected: the shape that would.
        got: the target's.

    Raises:
        DataError: always.
    """
    raise DataError(say("loss", "the target does not fit", expected=expected, got=got))


def total_weight(prediction: Array, weights: Array | None) -> float:
    """Give Σ w.

    Args:
        prediction: (M, K).
        weights: (M,), or None for all 1.
    """
    return float(len(prediction)) if weights is None else float(weights.sum())


def shares(prediction: Array, weights: Array | None, total: float) -> Any:
    """Give w / Σ w of every row, (M, 1) in the prediction's dtype; one number if all are alike.

    Args:
        prediction: (M, K).
        weights: (M,), or None for all 1.
        total: Σ w > 0.
    """
    return 1 / total if weights is None else (weights / total).astype(prediction.real.dtype)[:, None]


def sum_of(parts: Array) -> Any:
    """Sum numbers in double precision, in an order that depends on nothing but their number.

    Args:
        parts: of any shape; complex numbers come from gradient checks.
    """
    return parts.sum(dtype=np.result_type(parts.dtype, np.float64)).item()


def nothing_counts(prediction: Array, want_grad: bool) -> Result:
    """Answer for a batch in which nothing counts: a loss of 0, said aloud.

    Args:
        prediction: (M, K).
        want_grad: whether a gradient, of zeros, is wanted.
    """
    warnings.warn(
        say("loss", "no target has a weight above zero, so the loss is 0 and nothing is learned"),
        RuntimeWarning,
        stacklevel=3,
    )
    return 0.0, 0.0, np.zeros_like(prediction) if want_grad else None

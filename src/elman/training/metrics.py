"""Figures beside the loss, gathered from the outputs that training and evaluation see anyway."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say

__all__ = ["METRICS", "Meter", "accuracy", "check_names"]

Array = NDArray[Any]
Metric = Callable[[Array, Array], Array]


def accuracy(prediction: Array, target: Array) -> Array:
    """Say of every row whether the prediction is right.

    Classes (M,) are compared with the greatest output; a single output (M, 1) with its target by
    which side of 0.5 they are on; several outputs by which is the greatest.

    Args:
        prediction: (M, K).
        target: (M,) classes or (M, K) numbers.

    Returns:
        (M,) booleans.
    """
    if target.ndim == 1:
        right: Array = prediction.argmax(1) == target
    elif target.shape[1] == 1:
        right = ((prediction > 0.5) == (target > 0.5))[:, 0]
    else:
        right = prediction.argmax(1) == target.argmax(1)
    return right


METRICS: dict[str, Metric] = {"accuracy": accuracy}


def check_names(metrics: Sequence[str] | str | None) -> tuple[str, ...]:
    """Give the names of known metrics, Keras's short "acc" included.

    Args:
        metrics: names, or a single one.

    Raises:
        UsageError: if there is no such metric.
    """
    given = [metrics] if isinstance(metrics, str) else metrics or ()
    if not isinstance(given, Iterable):
        expected = f"some of {sorted(METRICS)}"
        raise UsageError(say("compile", "metrics is no list of names", expected=expected, got=repr(metrics)))
    names = tuple("accuracy" if name == "acc" else name for name in given)
    for name in names:
        if not isinstance(name, str) or name not in METRICS:
            raise UsageError(
                say("compile", "there is no such metric", expected=f"some of {sorted(METRICS)}", got=repr(name))
            )
    return names


class Meter:
    """Weighted means of metrics over the batches of an epoch.

    Args:
        names: of METRICS.
    """

    __slots__ = ("_metrics", "_sums", "_weight")

    def __init__(self, names: Sequence[str]) -> None:
        self._metrics = {name: METRICS[name] for name in names}
        self._sums = dict.fromkeys(names, 0.0)
        self._weight = 0.0

    def observe(self, prediction: Array, target: Array, weights: Array | None) -> None:
        """Add the rows of one batch.

        Args:
            prediction: (M, K), not kept.
            target: (M,) or (M, K).
            weights: (M,) or None.
        """
        self._weight += len(prediction) if weights is None else float(weights.sum())
        for name, metric in self._metrics.items():
            rows = metric(prediction, target)
            self._sums[name] += float(np.count_nonzero(rows) if weights is None else rows @ weights)

    def results(self) -> dict[str, float]:
        """Give the means so far; NaN where nothing has counted."""
        return {name: total / self._weight if self._weight else float("nan") for name, total in self._sums.items()}

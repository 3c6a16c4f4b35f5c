"""What a metric is: sums gathered over the batches of an epoch, and the figure they give at its end."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say
from elman.ops.losses import Loss
from elman.ops.losses.base import Targets
from elman.ops.options import Named

__all__ = ["Array", "Mean", "Measure", "Meter", "Metric"]

Array = NDArray[Any]


class Metric(Named):
    """Base of the metrics, frozen dataclasses whose fields are options.

    A figure of an epoch comes from sums over all of its targets, never from means of batches.

    Attributes:
        fits: what targets may be, see `elman.ops.losses.base.Targets`.
    """

    fits: ClassVar[frozenset[Targets]]

    @property
    def label(self) -> str:
        """What the figure is called in the history."""
        return self.name

    def check(self, loss: Loss) -> None:
        """Refuse a loss whose targets the metric cannot use.

        Args:
            loss: of the model.

        Raises:
            UsageError: naming both.
        """
        if loss.targets not in self.fits:
            expected = "a loss whose targets are " + " or ".join(_WORDS[kind] for kind in _WORDS if kind in self.fits)
            got = f"loss '{loss.name}', whose targets are {_WORDS[loss.targets]}"
            raise UsageError(say("compile", f"metric '{self.label}' does not fit the loss", expected=expected, got=got))

    def check_outputs(self, n_outputs: int, loss: Loss) -> None:
        """Refuse a model with too few or too many outputs; asked before it is built.

        Args:
            n_outputs: K, of the last layer.
            loss: of the model.

        Raises:
            DataError, UsageError: naming the metric and the number.
        """

    def sums(self, prediction: Any, target: Any, weights: Array | None, loss: Loss) -> Array:
        """Give what one batch adds.

        Args:
            prediction: (M, K), what the loss sees: logits, where it takes logits; a Ragged for labels.
            target: (M,) classes, (M, K) numbers, or a Ragged of labels.
            weights: (M,), or None for all 1.
            loss: of the model.

        Returns:
            float64 of one shape for all batches.
        """
        raise NotImplementedError

    def result(self, sums: Array, loss: Loss) -> float:
        """Give the figure; NaN where nothing has counted.

        Args:
            sums: added up over batches.
            loss: of the model.
        """
        raise NotImplementedError


class Mean(Metric):
    """Base of the metrics that are a weighted mean over rows."""

    def rows(self, prediction: Array, target: Array, loss: Loss) -> Array:
        """Give the figure of every row, (M,) numbers or booleans."""
        raise NotImplementedError

    def sums(self, prediction: Any, target: Any, weights: Array | None, loss: Loss) -> Array:
        """Give Σ w·m and Σ w; see `Metric`."""
        rows = self.rows(prediction, target, loss)
        if weights is None:
            return np.array([rows.sum(dtype=np.float64), len(rows)])
        return np.array([(rows * weights).sum(dtype=np.float64), weights.sum()])

    def result(self, sums: Array, loss: Loss) -> float:
        """Give Σ w·m / Σ w; see `Metric`."""
        total, weight = sums.tolist()
        return total / weight if weight else math.nan


class Measure(NamedTuple):
    """A metric of one model.

    Attributes:
        name: of the figure in the history, as the user named it.
        metric: what is gathered.
        loss: of the model, which says what outputs and targets are.
        config: the JSON form, from which the same measure comes again.
    """

    name: str
    metric: Metric
    loss: Loss
    config: str | dict[str, Any]


class Meter:
    """Gather metrics over the batches of an epoch.

    Args:
        measures: from `elman.metrics.get`.
    """

    __slots__ = ("_measures", "_sums")

    def __init__(self, measures: Iterable[Measure]) -> None:
        self._measures = tuple(measures)
        self._sums: list[Array | None] = [None] * len(self._measures)

    def observe(self, prediction: Any, target: Any, weights: Array | None) -> None:
        """Add one batch.

        Args:
            prediction: what the loss saw (M, K), not kept.
            target: (M,), (M, K) or a Ragged of labels.
            weights: (M,) or None.
        """
        for index, (_, metric, loss, _) in enumerate(self._measures):
            sums, before = metric.sums(prediction, target, weights, loss), self._sums[index]
            self._sums[index] = sums if before is None else before + sums

    def sums(self) -> list[Array | None]:
        """Give what has been gathered so far, for `go_back`."""
        return list(self._sums)

    def go_back(self, sums: list[Array | None]) -> None:
        """Forget what has been gathered since.

        Args:
            sums: of then.
        """
        self._sums = list(sums)

    def results(self) -> dict[str, float]:
        """Give the figures so far; NaN where nothing has counted."""
        return {
            name: math.nan if sums is None else metric.result(sums, loss)
            for (name, metric, loss, _), sums in zip(self._measures, self._sums, strict=True)
        }


_WORDS: dict[Targets, str] = {
    "numbers": "numbers",
    "class": "classes",
    "distribution": "one-hot or other probabilities of classes",
    "binary": "yes or no",
    "labels": "label sequences",
}

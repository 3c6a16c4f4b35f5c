"""Metrics of label sequences, of models with the loss "ctc"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from elman.ops.ctc import greedy_decode
from elman.ops.losses import CTC, Loss
from elman.ops.losses.base import Targets
from elman.training.metrics.base import Array, Metric

__all__ = ["LabelErrorRate", "edit_distance"]


@dataclass(frozen=True)
class LabelErrorRate(Metric):
    """Edits that turn what is read into the labels, per label: Σ w·distance / Σ w·labels over the whole epoch.

    Read is the likeliest class of every step, repeats joined and blanks left out, as by
    `elman.ctc.greedy_decode`. The rate is above 1 where more is read into a sequence than it holds.
    """

    name: ClassVar[str] = "label_error_rate"
    fits: ClassVar[frozenset[Targets]] = frozenset({"labels"})

    def sums(self, prediction: Any, target: Any, weights: Array | None, loss: Loss) -> Array:
        """Give Σ w·distance and Σ w·labels; see `Metric`."""
        if not np.isfinite(prediction.values).all():
            return np.full(2, math.nan)  # nothing can be read; the loss tells that training went wrong
        blank = loss.blank if isinstance(loss, CTC) else 0
        read = greedy_decode(prediction.values, prediction.lengths, blank=blank)
        edits = np.array([edit_distance(ids, labels) for ids, labels in zip(read, target, strict=True)], np.float64)
        if weights is None:
            return np.array([edits.sum(), float(target.n_steps)])
        return np.array([(edits * weights).sum(), (target.lengths * weights).sum()])

    def result(self, sums: Array, loss: Loss) -> float:
        """Give the quotient; see `Metric`."""
        edits, labels = sums.tolist()
        return edits / labels if labels else math.nan


def edit_distance(a: NDArray[np.integer[Any]], b: NDArray[np.integer[Any]]) -> int:
    """Count the insertions, deletions and substitutions that turn one sequence into another (Levenshtein 1966).

    Args:
        a: (M,) ids.
        b: (N,) ids.

    Example:
        >>> edit_distance(np.array([1, 2, 3, 4]), np.array([2, 5, 4, 4]))
        3
    """
    # row[j] is the distance between the first i of a and the first j of b. An insertion depends on its left
    # neighbour; with j taken off, the best chain of insertions is a running minimum.
    places = np.arange(len(b) + 1)
    row = places
    for label in a:
        with_it = np.minimum(row[1:] + 1, row[:-1] + (b != label))
        row = np.minimum.accumulate(np.concatenate([row[:1] + 1, with_it]) - places) + places
    return int(row[-1])

"""How a batch is cut into segments of time, and what running it so costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.layers import Layer

__all__ = ["FORWARD_SHARE", "Plan", "borders_of", "count_over_time", "steps_ahead", "stride_of"]

# What forward without a tape takes of the time of forward and backward: by count of products a third; of one long
# sequence through LSTM(128), where products are of a matrix and a vector, 0.37 to 0.42 were measured.
FORWARD_SHARE = 0.4


class Plan(NamedTuple):
    """How a batch is cut.

    Attributes:
        n_segments: into so many.
        kept: states at borders that are kept at once on a level, >= 2.
    """

    n_segments: int
    kept: int


def count_over_time(layers: Sequence[Layer]) -> tuple[int, bool]:
    """Count the layers, from the first on, that see steps, and say whether the last of them gives one row per sequence.

    Args:
        layers: of a model.
    """
    for index, layer in enumerate(layers):
        if not layer.gives_sequences(True):
            return index + 1, True
    return len(layers), False


def borders_of(lengths: NDArray[np.int64], n_segments: int) -> list[int]:
    """Cut time so that segments hold about equally many steps: fewer sequences run at the end.

    Args:
        lengths: (B,), one at least above 0.
        n_segments: >= 1.

    Returns:
        0, the borders between segments, and the greatest length; no segment has more than an n-th of all steps and
        one per sequence.

    Example:
        >>> borders_of(np.array([100, 20, 0]), 4)
        [0, 15, 40, 70, 100]
    """
    ends = np.sort(lengths)
    # Σ min(length, t), the steps up to time t, is straight between lengths.
    steps = np.cumsum(ends) - ends + np.arange(len(ends), 0, -1) * ends
    shares = np.linspace(0, int(lengths.sum()), n_segments + 1)[1:-1]
    times = np.floor(np.interp(shares, np.append(0, steps), np.append(0, ends))).astype(np.int64)
    return np.unique([0, *times.tolist(), int(ends[-1])]).tolist()  # type: ignore[no-any-return]


def steps_ahead(n_segments: int, kept: int) -> int:
    """Count how many segments are run forward without a tape, beside the once that each is run with one.

    Args:
        n_segments: >= 1.
        kept: states kept on a level.

    Example:
        >>> steps_ahead(10, kept=10), steps_ahead(100, kept=10)
        (9, 180)
    """
    if n_segments == 1:
        return 0
    stride = stride_of(n_segments, kept)
    whole, rest = divmod(n_segments, stride)
    inside = whole * steps_ahead(stride, kept) + (steps_ahead(rest, kept) if rest else 0)
    return (whole if rest else whole - 1) * stride + inside


def stride_of(n_segments: int, kept: int) -> int:
    """Give how many segments lie between states that are kept, so that there are no more than allowed.

    Args:
        n_segments: >= 1.
        kept: states kept on a level.
    """
    stride = 1
    while stride * kept < n_segments:
        stride *= kept
    return stride

"""Windows over one long sequence of tokens, walked by parallel streams that carry state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, say
from elman.ragged import Ragged
from elman.training.batches import Batch
from elman.training.checks import check_count

__all__ = ["StreamBatches"]

Array = NDArray[Any]


class StreamBatches:
    """Cut one long sequence of tokens into parallel streams and walk them window by window.

    Each of the N − 1 transitions (a token and the one after it) is in exactly one stream, so all
    are learned once per epoch; the numbers of transitions of two streams differ by at most one.
    The state is carried from window to window and reset where an epoch starts (truncated
    backpropagation through time, Williams & Peng 1990). In the last window some streams may be one
    step shorter. One single step left over joins the window before, so that no step of training
    rests on a handful of tokens.

    Args:
        ids: (N,) integers, N >= 2; they may be mapped from disk, for only what a window needs is read.
        n_streams: from 1 to N − 1; the batch size.
        steps: window length >= 1.
        unit: what a token is called in progress reports.

    Raises:
        DataError: if there are fewer than two tokens or more streams than transitions.
        UsageError: if a count is less than 1.

    Example:
        >>> batches = StreamBatches(np.arange(8), n_streams=2, steps=3)
        >>> [(batch.x.split(), batch.reset_state) for batch in batches]
        [([array([0, 1, 2, 3]), array([4, 5, 6])], True)]
    """

    carries_state = True
    draws_first = True  # nothing is random

    def __init__(self, ids: Array, *, n_streams: int, steps: int, unit: str = "characters") -> None:
        check_count("n_streams", n_streams)
        check_count("steps", steps)
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise DataError(
                say(
                    "StreamBatches",
                    "ids is no sequence of tokens",
                    expected="(N,) integers",
                    got=f"{ids.shape} {ids.dtype}",
                )
            )
        n_transitions = len(ids) - 1
        if n_transitions < n_streams:
            raise DataError(
                say(
                    "StreamBatches",
                    f"{len(ids):,} tokens are too few for {n_streams:,} streams",
                    expected=f"at least {n_streams + 1:,}",
                    cure="Give more data or a smaller n_streams",
                )
            )
        self.ids, self.n_streams, self.steps, self.unit = ids, int(n_streams), int(steps), unit
        self.n_items = n_transitions
        short, longer = divmod(n_transitions, self.n_streams)
        # The longer streams stand first, so a window's lengths only fall.
        self.lengths = np.full(self.n_streams, short, np.int64)
        self.lengths[:longer] += 1
        self.starts = np.cumsum(self.lengths) - self.lengths
        longest = int(self.lengths[0])
        self._n_windows = -(-longest // self.steps)
        if self.steps > 1 and self._n_windows > 1 and longest % self.steps == 1:
            self._n_windows -= 1

    def __len__(self) -> int:
        return self._n_windows

    def __iter__(self) -> Iterator[Batch]:
        ids, starts, n_streams = self.ids, self.starts[:, None], self.n_streams
        whole = (
            Ragged(ids[: n_streams * self.steps], np.full(n_streams, self.steps))
            if len(ids) > n_streams * self.steps
            else None
        )
        for begin in range(0, self._n_windows * self.steps, self.steps):
            end = begin + self.steps if begin < (self._n_windows - 1) * self.steps else int(self.lengths[0])
            even = end <= self.lengths[-1]
            if n_streams == 1:
                values, target = ids[begin:end], ids[begin + 1 : end + 1]
            else:
                times = np.arange(begin, end)
                places = starts + times
                rows = places.reshape(-1) if even else places[times < self.lengths[:, None]]
                values, target = ids[rows], ids[rows + 1]
            values, target = np.ascontiguousarray(values, np.int64), np.ascontiguousarray(target, np.int64)
            if whole is not None and even and end - begin == self.steps:
                x = whole.with_values(values)
            else:
                x = Ragged.trusted(values, np.minimum(self.lengths, end) - begin)
            yield Batch(x, target, None, begin == 0)

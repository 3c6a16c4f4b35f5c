"""What training runs over: batches of sequences, and windows over streams that carry state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, say
from elman.ragged import Ragged
from elman.training.checks import check_count

__all__ = ["Batch", "SequenceBatches", "StreamBatches", "check_count", "part_of"]

Array = NDArray[Any]


class Batch(NamedTuple):
    """What one step of training sees.

    Attributes:
        x: the input; a view of the user's data where its order allows.
        target: (M,) classes or (M, K) numbers, one row per step of x or per sequence; or a Ragged of labels.
        weights: (M,) >= 0, or None for all 1.
        reset_state: whether to begin from the zero state, or from where the batch before ended.
    """

    x: Ragged
    target: Array | Ragged
    weights: Array | None
    reset_state: bool


class SequenceBatches:
    """Cut a data set into batches of sequences; every `iter` is one epoch.

    Without shuffling, and for batches of one sequence, a batch is made of views and costs about a
    microsecond; otherwise its rows are gathered.

    Args:
        x: the data set, B sequences.
        target: one row per step of x if `per_step`, else one per sequence, be it an array or a Ragged of labels.
        weights: likewise, or None.
        batch_size: sequences per batch; the last one may have fewer.
        per_step: what a row of target belongs to.
        shuffle: draws a new order for every epoch; None keeps the order given.

    Raises:
        UsageError: if batch_size is less than 1.

    Example:
        >>> x = Ragged.from_dense(np.zeros((5, 8, 2)))
        >>> batches = SequenceBatches(x, np.zeros((40, 1)), batch_size=2, per_step=True)
        >>> [batch.x.n_sequences for batch in batches]
        [2, 2, 1]
    """

    carries_state = False
    unit = "sequences"

    def __init__(
        self,
        x: Ragged,
        target: Array | Ragged,
        weights: Array | None = None,
        *,
        batch_size: int,
        per_step: bool,
        shuffle: np.random.Generator | None = None,
    ) -> None:
        check_count("batch_size", batch_size)
        self.x, self.target, self.weights = x, target, weights
        self.batch_size, self.per_step, self.shuffle = int(batch_size), per_step, shuffle
        self.n_items = len(x)

    def __len__(self) -> int:
        return -(-self.n_items // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        if self.shuffle is None:
            return self._slices(range(0, self.n_items, self.batch_size))
        order = self.shuffle.permutation(self.n_items)
        return self._slices(order.tolist()) if self.batch_size == 1 else self._gathers(order)

    def _slices(self, starts: range | list[int]) -> Iterator[Batch]:
        """Give the batch that begins at each of these sequences, as views."""
        x, target, weights, per_step, size = self.x, self.target, self.weights, self.per_step, self.batch_size
        values, last, steps = x.values, self.n_items, x.uniform
        # Batches of the same shape share lengths and offsets: nothing is computed for them.
        whole = part_of(x, 0, size) if steps is not None and last >= size else None
        for start in starts:
            stop = min(start + size, last)
            if whole is not None and steps is not None and stop - start == size:
                first, end = start * steps, stop * steps
                part = whole.with_values(values[first:end])
            else:
                first, end = int(x.offsets[start]), int(x.offsets[stop])
                part = part_of(x, start, stop)
            rows = slice(first, end) if per_step else slice(start, stop)
            yield Batch(part, target[rows], None if weights is None else weights[rows], True)

    def _gathers(self, order: NDArray[np.int64]) -> Iterator[Batch]:
        """Give batches of sequences taken in this order, as copies."""
        x, target, weights = self.x, self.target, self.weights
        for start in range(0, self.n_items, self.batch_size):
            indices = order[start : start + self.batch_size]
            part = x.select(indices)
            if self.per_step:
                rows = np.repeat(x.offsets[indices] - part.offsets[:-1], part.lengths)
                rows += np.arange(part.n_steps)
            else:
                rows = indices
            yield Batch(part, target[rows], None if weights is None else weights[rows], True)


class StreamBatches:
    """Cut one long sequence of tokens into parallel streams and walk them window by window.

    Each of the N − 1 transitions (a token and the one after it) is in exactly one stream, so all
    are learned once per epoch; the numbers of transitions of two streams differ by at most one.
    The state is carried from window to window and reset where an epoch starts (truncated
    backpropagation through time, Williams & Peng 1990). In the last window some streams may be one
    step shorter. One single step left over joins the window before, so that no step of training
    rests on a handful of tokens.

    Args:
        ids: (N,) integers, N >= 2.
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
        self._bounds = [*range(0, longest, self.steps), longest]
        if self.steps > 1 and len(self._bounds) > 2 and self._bounds[-1] - self._bounds[-2] == 1:
            del self._bounds[-2]

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __iter__(self) -> Iterator[Batch]:
        ids, starts, n_streams = self.ids, self.starts[:, None], self.n_streams
        whole = (
            Ragged(ids[: n_streams * self.steps], np.full(n_streams, self.steps))
            if len(ids) > n_streams * self.steps
            else None
        )
        for begin, end in zip(self._bounds[:-1], self._bounds[1:], strict=True):
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


def part_of(x: Ragged, start: int, stop: int) -> Ragged:
    """Give the sequences [start, stop) of a batch, as a view.

    Args:
        x: the batch.
        start: index of the first sequence.
        stop: one past the index of the last.
    """
    return x[start:stop]

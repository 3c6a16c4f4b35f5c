"""Windows over one long sequence of tokens, walked by parallel streams that carry state."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DataError, say
from elman.ragged import Ragged
from elman.training.batches import Batch
from elman.training.checks import check_count
from elman.training.links import Hop, Link

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

    Where documents begin, the state begins anew, in the middle of a window too; what follows the last token of a
    document is not learned.

    With a generator every epoch begins at another place, and the text goes on from its end to its beginning, as if it
    stood there twice; so windows and streams have other borders each time, and still every transition comes once.

    Args:
        ids: (N,) integers, N >= 2; they may be mapped from disk, for only what a window needs is read.
        n_streams: from 1 to N − 1; the batch size.
        steps: window length >= 1.
        unit: what a token is called in progress reports.
        documents: (D,) places of ids at which documents begin, in their order, such as `Corpus.starts`; None for one
            document. Documents of no tokens change nothing. Not for layers with a learned initial state.
        rng: draws the place at which an epoch begins; None begins with the first token each time.

    Raises:
        DataError: if there are fewer than two tokens or more streams than transitions, documents are no places, or
            none of them has two tokens.
        UsageError: if a count is less than 1.

    Example:
        >>> batches = StreamBatches(np.arange(8), n_streams=2, steps=3)
        >>> [(batch.x.split(), batch.reset_state) for batch in batches]
        [([array([0, 1, 2, 3]), array([4, 5, 6])], True)]
        >>> batches = StreamBatches(np.arange(8), n_streams=2, steps=3, documents=[0, 2, 5])
        >>> [batch.x.split() for batch in batches]
        [[array([0]), array([2, 3]), array([], dtype=int64), array([5, 6])]]
    """

    carries_state = True
    draws_first = True  # the place at which it begins, at most

    def __init__(
        self,
        ids: Array,
        *,
        n_streams: int,
        steps: int,
        unit: str = "characters",
        documents: ArrayLike | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
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
        self.ids, self.n_streams, self.steps, self.unit, self.rng = ids, int(n_streams), int(steps), unit, rng
        self.documents = None if documents is None else _begins(documents, len(ids))
        self.n_items = n_transitions - (0 if self.documents is None else int(self.documents[1:].sum()))
        if not self.n_items:
            wrong = "no document has two tokens, so there is nothing to learn"
            raise DataError(say("StreamBatches", wrong, cure="documents are the places at which they begin"))
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

    @property
    def largest(self) -> NDArray[np.int64]:
        """The lengths of the sequences of the largest batch."""
        longest = max(end - begin for begin, end in (self._window(0), self._window(self._n_windows - 1)))
        return np.minimum(self.lengths, longest)

    def _window(self, number: int) -> tuple[int, int]:
        """Say where a window begins and ends in its streams; the last one may have a step more."""
        begin = number * self.steps
        return begin, begin + self.steps if number < self._n_windows - 1 else int(self.lengths[0])

    def __iter__(self) -> Iterator[Batch]:
        n_transitions = len(self.ids) - 1
        starts = self.starts[:, None]
        if self.rng is not None:
            starts = starts + self.rng.integers(n_transitions)
        return self._windows(starts, n_transitions) if self.documents is None else self._parts(starts, self.documents)

    def _windows(self, starts: NDArray[np.int64], n_transitions: int) -> Iterator[Batch]:
        """Give windows of streams that begin at these places (B, 1)."""
        ids, n_streams = self.ids, self.n_streams
        whole = (
            Ragged(ids[: n_streams * self.steps], np.full(n_streams, self.steps))
            if len(ids) > n_streams * self.steps
            else None
        )
        for begin, end in map(self._window, range(self._n_windows)):
            even = end <= self.lengths[-1]
            if n_streams == 1 and starts[0, 0] + end <= n_transitions:
                begin_at, end_at = starts[0, 0] + begin, starts[0, 0] + end
                values, target = ids[begin_at:end_at], ids[begin_at + 1 : end_at + 1]
            else:
                times = np.arange(begin, end)
                places = starts + times
                rows = places.reshape(-1) if even else places[times < self.lengths[:, None]]
                rows %= n_transitions  # past the end comes the beginning
                values, target = ids[rows], ids[rows + 1]
            values, target = np.ascontiguousarray(values, np.int64), np.ascontiguousarray(target, np.int64)
            if whole is not None and even and end - begin == self.steps:
                x = whole.with_values(values)
            else:
                x = Ragged.trusted(values, np.minimum(self.lengths, end) - begin)
            yield Batch(x, target, None, begin == 0)

    def _parts(self, starts: NDArray[np.int64], begins: NDArray[np.bool_]) -> Iterator[Batch]:
        """Give windows whose sequences are parts of documents: a stream that comes to another one begins a sequence."""
        ends = np.append(begins[1:], False)
        before = np.arange(self.n_streams)  # the sequence of the window before in which each stream ended
        hops: list[Hop] = []
        reset = True
        for first, stop in map(self._window, range(self._n_windows)):
            times = np.arange(first, stop)
            running = times < self.lengths[:, None]
            places = (starts + times)[running] % (len(self.ids) - 1)
            streams = np.repeat(np.arange(self.n_streams), running.sum(1))
            opens = begins[places]
            heads = np.append(True, streams[1:] != streams[:-1])
            sequence = np.cumsum(opens | heads) - 1
            learned = ~ends[places]
            rows = places[learned]
            values, target = (np.ascontiguousarray(self.ids[at], np.int64) for at in (rows, rows + 1))
            x = Ragged.trusted(values, np.bincount(sequence[learned], minlength=sequence[-1] + 1))
            origin = np.where(opens, -1, before[streams])[opens | heads]
            before[streams] = sequence  # the last one of a stream stays
            hops.append(Hop(origin, None))
            if len(rows):
                yield Batch(x, target, None, reset, None if reset else Link(tuple(hops)))
                hops, reset = [], False


def _begins(documents: ArrayLike, n_tokens: int) -> NDArray[np.bool_]:
    """Say of every token whether a document begins with it."""
    given = np.asarray(documents)
    accepted = given.ndim == 1 and given.dtype.kind in "iu" and bool((np.diff(given) >= 0).all())
    if not accepted or (len(given) and not (given[0] >= 0 and given[-1] <= n_tokens)):
        expected = f"(documents,) integers from 0 to {n_tokens} in their order"
        raise DataError(
            say("StreamBatches", "documents are no places of ids", expected=expected, got=reprlib.repr(documents))
        )
    begins = np.zeros(n_tokens, np.bool_)
    begins[given[given < n_tokens]] = True  # a last one at the end has no tokens
    return begins

"""Truncated backpropagation through time: windows of batches, and how a state gets from one to the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say
from elman.training.batches import Batch
from elman.training.links import Hop, Link

__all__ = ["Truncate", "TruncatedBatches", "read_truncate"]

Array = NDArray[Any]

#: Steps between updates and steps that gradients go back; one number for both.
Truncate = int | tuple[int, int]


def read_truncate(value: object) -> tuple[int, int]:
    """Give (k1, k2) of what a user gave.

    Args:
        value: k1, or (k1, k2).

    Raises:
        UsageError: if it is neither, or k2 is less than k1.

    Example:
        >>> read_truncate(20), read_truncate((20, 50))
        ((20, 20), (20, 50))
    """
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    accepted = len(pair) == 2 and all(
        isinstance(number, int | np.integer) and not isinstance(number, bool) and number >= 1 for number in pair
    )
    if not accepted or pair[1] < pair[0]:
        expected = "k or (k1, k2): an update every k1 >= 1 steps, gradients through k2 >= k1"
        raise UsageError(say("fit", "truncate is not accepted", expected=expected, got=repr(value)))
    return int(pair[0]), int(pair[1])


class TruncatedBatches:
    """Walk batches window by window: an update every k1 steps, gradients through at most k2 steps.

    That is BPTT(k2; k1) of Williams & Peng 1990. The losses of k1 steps at a time are learned from; their gradient
    goes through these steps and the k2 − k1 before them, and no further. Every step is judged once. With k2 above k1
    windows overlap: what lies before the part that gradients go through is run forward again, with the weights of now,
    from the state where that part of the window before began.

    Where there is one target per sequence, a window judges the sequences that end in it, and windows in which none
    ends give no update. A sequence begins anew where it begins, unless the batches carry their state: then gradients
    end at the border of a batch.

    Args:
        batches: of whole sequences.
        steps: k1.
        back: k2 >= k1.
        per_step: whether there is a target for every step, or one per sequence.

    Example:
        >>> from elman import Ragged
        >>> from elman.training import SequenceBatches
        >>> x = Ragged(np.arange(7.0)[:, None], [5, 2])
        >>> whole = SequenceBatches(x, np.zeros((7, 1)), batch_size=2, per_step=True)
        >>> for batch in TruncatedBatches(whole, steps=2, back=3, per_step=True):
        ...     print([part.ravel().tolist() for part in batch.x], batch.weights)
        [[0.0, 1.0], [5.0, 6.0]] None
        [[1.0, 2.0, 3.0], [6.0]] [0. 1. 1. 0.]
        [[3.0, 4.0], []] [0. 1.]
    """

    carries_state = True

    def __init__(self, batches: Any, *, steps: int, back: int, per_step: bool) -> None:
        self.batches, self.steps, self.back, self.per_step = batches, steps, back, per_step
        self.unit, self.n_items = batches.unit, batches.n_items
        self._counted: int | None = None

    def __len__(self) -> int:
        """Give the number of windows: those of the epoch before, and until then a guess from the largest batch."""
        if self._counted is not None:
            return self._counted
        lengths = getattr(self.batches, "largest", np.ones(1, np.int64))
        each = -(-lengths // self.steps)
        return len(self.batches) * max(1, int(each.max(initial=1)) if self.per_step else len(np.unique(each)))

    @property
    def largest(self) -> NDArray[np.int64] | None:
        """The lengths of the sequences of the largest window, if the batches know their own."""
        lengths = getattr(self.batches, "largest", None)
        return None if lengths is None else np.minimum(lengths, self.back)

    def __iter__(self) -> Iterator[Batch]:
        counted = 0
        hops: list[Hop] = []  # from where the state of the last window is, to where a batch begins
        for batch in self.batches:
            if batch.reset_state:
                hops = []
            link: Link | None = batch.link
            hops += [] if link is None else link.hops
            reset, began, ended = batch.reset_state, 0, 0  # where the gradients of the window before began and ended
            overlaps = False
            for begin, stop, rows, weights in self._windows(batch):
                if begin < ended:
                    overlaps, start = True, began
                else:
                    overlaps, start = False, ended
                if begin > start:
                    hops.append(Hop(None, batch.x.window(start, begin)))
                chain = Link(tuple(hops), overlaps) if hops or overlaps else None
                yield Batch(batch.x.window(begin, stop), batch.target[rows], weights, reset, chain)
                hops, reset, began, ended = [], False, begin, stop
                counted += 1
            longest = int(batch.x.lengths.max(initial=0))
            if ended < longest:
                hops.append(Hop(None, batch.x.window(ended, longest)))
        self._counted = counted

    def _windows(self, batch: Batch) -> Iterator[tuple[int, int, Any, Any]]:
        """Give the windows in which something counts: where each begins and ends, its target rows and their weights."""
        x = batch.x
        weights: Any = batch.weights  # an array: models whose targets are ragged are refused
        longest = int(x.lengths.max(initial=0))
        for first in range(0, longest if self.per_step else max(longest, 1), self.steps):
            stop = min(first + self.steps, longest)
            begin = max(0, first - (self.back - self.steps))
            rows: Any = slice(None)
            if self.per_step:
                rows = x.window_rows(begin, stop)
                own = None if weights is None else weights[rows]
                if begin < first:
                    lengths = x.window(begin, stop).lengths
                    times = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
                    own = np.where(times >= first - begin, 1.0 if own is None else own, 0.0)
            else:
                ends = (x.lengths <= stop) & ((x.lengths > first) | (first == 0))
                own = weights if ends.all() else ends * (1.0 if weights is None else weights)
            if own is None or own.any():
                yield begin, stop, rows, own

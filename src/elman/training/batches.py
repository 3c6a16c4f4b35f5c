"""What training runs over: batches of the sequences of a data set."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, UsageError, say
from elman.ragged import Ragged
from elman.training.checks import check_count, check_flag
from elman.training.links import Link

__all__ = ["Batch", "SequenceBatches", "part_of"]

Array = NDArray[Any]

# Numbers gathered at once: many small batches are gathered together and cut apart as views, and what was gathered still
# lies in the second-level cache when its batches are used. To shuffle 100 sequences (10, 3) in batches of 10 cost 24 us
# a step when each batch was gathered alone, 6 us so.
GATHER = 65_536

# Batches among which sequences of similar lengths are sought: few enough that batches differ from epoch to epoch.
POOL = 100


class Batch(NamedTuple):
    """What one step of training sees.

    Attributes:
        x: the input; a view of the user's data where its order allows.
        target: (M,) classes or (M, K) numbers, one row per step of x or per sequence; or a Ragged, of labels or of
            rows for steps that the model makes of its own.
        weights: (M,) >= 0, a Ragged like the target, or None for all 1.
        reset_state: whether to begin from the zero state, or from where the batch before ended.
        link: how the state gets here from the batch before; None where it is handed on as it is.
    """

    x: Ragged
    target: Array | Ragged
    weights: Array | Ragged | None
    reset_state: bool
    link: Link | None = None


class SequenceBatches:
    """Cut a data set into batches of sequences; every `iter` is one epoch.

    In the order given, and for batches of one sequence, a batch is made of views and costs about a microsecond;
    otherwise its rows are gathered, those of many small batches at once.

    Args:
        x: the data set, B sequences.
        target: one row per step of x if `per_step`, else one per sequence: an array, or a Ragged of labels.
        weights: likewise, or None.
        batch_size: greatest number of sequences in a batch; only the last one may have fewer if there is no budget.
            None where there is one.
        per_step: what a row of target belongs to.
        shuffle: draws a new order for every epoch; None keeps the order given.
        bucket_by_length: whether sequences of similar lengths come together: sorted by length among about 100
            batches drawn at random, the batches in random order; without shuffle all are sorted, short ones first.
        token_budget: greatest sum of lengths in a batch.
        carry_state: whether sequence i of a batch goes on where sequence i of the batch before it ended; the first
            batch of an epoch begins anew. The order is kept then.
        where: who asks, for messages.

    Raises:
        UsageError: if a count is less than 1, or neither batch_size nor token_budget is given, or carry_state comes
            with what changes the order.
        DataError: if a sequence is longer than the budget, or the sequences do not divide into batches that carry
            their state.

    Example:
        >>> x = Ragged.from_dense(np.zeros((5, 8, 2)))
        >>> batches = SequenceBatches(x, np.zeros((40, 1)), batch_size=2, per_step=True)
        >>> [batch.x.n_sequences for batch in batches]
        [2, 2, 1]
        >>> batches = SequenceBatches(x, np.zeros((5, 1)), per_step=False, token_budget=24)
        >>> [batch.x.n_steps for batch in batches]
        [24, 16]
    """

    unit = "sequences"
    draws_first = True  # the order of an epoch is drawn by `iter`

    def __init__(
        self,
        x: Ragged,
        target: Array | Ragged,
        weights: Array | Ragged | None = None,
        *,
        batch_size: int | None = None,
        per_step: bool,
        shuffle: np.random.Generator | None = None,
        bucket_by_length: bool = False,
        token_budget: int | None = None,
        carry_state: bool = False,
        where: str = "fit",
    ) -> None:
        self.x, self.target, self.weights = x, target, weights
        self.per_step, self.shuffle = per_step, shuffle
        self.bucket_by_length = check_flag("fit", "bucket_by_length", bucket_by_length)
        self.carries_state = check_flag("fit", "carry_state", carry_state)
        self.n_items = len(x)
        if batch_size is not None or token_budget is None:
            check_count("batch_size", batch_size)
        if token_budget is not None:
            check_count("token_budget", token_budget)
            self._check_budget(int(token_budget))
        self.batch_size = None if batch_size is None else int(batch_size)
        self.token_budget = None if token_budget is None else int(token_budget)
        if self.carries_state:
            self._check_carrying(where)
        self._n_batches = len(self._cuts(self._order(None))) - 1
        # Of sequences of one length: a batch of each size and length, whose lengths and offsets others share.
        self._like: dict[tuple[int, int], Ragged] = {}

    def __len__(self) -> int:
        """Give the number of batches: of the epoch begun last, as under a budget an epoch may have one more."""
        return self._n_batches

    def __iter__(self) -> Iterator[Batch]:
        order = self._order(self.shuffle)
        cuts = self._cuts(order)
        self._n_batches = len(cuts) - 1
        if order is None:
            return self._slices(self.x, self.target, self.weights, itertools.pairwise(cuts), {})
        if self.bucket_by_length and self.shuffle is not None:
            order, cuts = _shuffled(order, cuts, self.shuffle)
        if self._n_batches == self.n_items:
            spans = ((place, place + 1) for place in order.tolist())
            return self._slices(self.x, self.target, self.weights, spans, {})
        return self._gathers(order, cuts)

    @property
    def most_sequences(self) -> int:
        """How many of the longest sequences may come together in one batch."""
        size = self.batch_size or self.n_items
        if self.token_budget is None:
            return size
        together = np.cumsum(np.sort(self.x.lengths)[::-1])
        return min(size, int(np.searchsorted(together, self.token_budget, side="right")))

    @property
    def most_short_sequences(self) -> int:
        """How many of the shortest sequences may come together in one batch: no batch holds more sequences."""
        size = self.batch_size or self.n_items
        if self.token_budget is None:
            return size
        together = np.cumsum(np.sort(self.x.lengths))
        return min(size, int(np.searchsorted(together, self.token_budget, side="right")))

    @property
    def largest(self) -> NDArray[np.int64]:
        """The lengths of the longest sequences that may come together in one batch."""
        return np.sort(self.x.lengths)[-self.most_sequences :]

    def _order(self, shuffle: np.random.Generator | None) -> NDArray[np.int64] | None:
        """Give the sequences in the order of an epoch; None for the order given."""
        lengths = self.x.lengths
        if shuffle is None:
            return np.argsort(lengths, kind="stable") if self.bucket_by_length else None
        order = shuffle.permutation(self.n_items)
        if self.bucket_by_length:
            pools = np.arange(self.n_items) // self._pool()
            order = order[np.lexsort((lengths[order], pools))]
        return order

    def _pool(self) -> int:
        """Say among how many sequences those of similar lengths are sought."""
        size = self.n_items if self.batch_size is None else self.batch_size
        if self.token_budget is not None:
            size = min(size, self.token_budget * self.n_items // max(self.x.n_steps, 1))
        return POOL * max(size, 1)

    def _cuts(self, order: NDArray[np.int64] | None) -> list[int]:
        """Give where in this order each batch begins, and the end."""
        last, size, budget = self.n_items, self.batch_size or self.n_items, self.token_budget
        if budget is None:
            return [*range(0, last, size), last]
        ends = self.x.offsets if order is None else np.append(0, np.cumsum(self.x.lengths[order]))
        cuts = [0]
        while (start := cuts[-1]) < last:
            full = int(np.searchsorted(ends, ends[start] + budget, side="right")) - 1
            cuts.append(min(full, start + size))
        return cuts

    def _slices(
        self,
        x: Ragged,
        target: Array | Ragged,
        weights: Array | Ragged | None,
        spans: Iterable[tuple[int, int]],
        like: dict[tuple[int, int], Ragged],
    ) -> Iterator[Batch]:
        """Give the batch of the sequences in each of these spans, as views.

        Args:
            x: sequences.
            target: of these.
            weights: of these.
            spans: (start, stop) of each batch.
            like: batch size and length -> a batch of sequences of that length. Batches of one shape share lengths
                and offsets, so that nothing is computed for them.
        """
        per_step, carries, values, steps = self.per_step, self.carries_state, x.values, x.uniform
        reset = True
        for start, stop in spans:
            if steps is not None:
                first, end = start * steps, stop * steps
                whole = like.get((stop - start, steps))
                if whole is None:
                    whole = like[stop - start, steps] = part_of(x, start, stop)
                    assert whole.uniform == steps  # asked here once, for all that share it
                part = whole.with_values(values[first:end])
            else:
                first, end = int(x.offsets[start]), int(x.offsets[stop])
                part = part_of(x, start, stop)
            rows = slice(first, end) if per_step else slice(start, stop)
            yield Batch(part, target[rows], None if weights is None else weights[rows], reset)
            reset = not carries

    def _gathers(self, order: NDArray[np.int64], cuts: list[int]) -> Iterator[Batch]:
        """Give batches of sequences taken in this order, as copies."""
        x, target, weights = self.x, self.target, self.weights
        steps = x.uniform
        if steps is None:
            ends = np.append(0, np.cumsum(x.lengths[order]))[cuts].tolist()
        else:
            ends = [steps * cut for cut in cuts]
        begin, n_rows = 0, GATHER // (x.features or 1)
        while begin < len(cuts) - 1:
            until = max(bisect.bisect_right(ends, ends[begin] + n_rows) - 1, begin + 1)
            base = cuts[begin]
            indices = order[base : cuts[until]]
            part = x.select(indices)
            rows = indices
            if self.per_step:
                rows = np.repeat(x.offsets[indices] - part.offsets[:-1], part.lengths)
                rows += np.arange(part.n_steps)
            spans = [(cuts[k] - base, cuts[k + 1] - base) for k in range(begin, until)]
            yield from self._slices(part, target[rows], None if weights is None else weights[rows], spans, self._like)
            begin = until

    def _check_budget(self, budget: int) -> None:
        """Refuse a budget that a single sequence is above."""
        longest = int(self.x.lengths.max(initial=0))
        if longest > budget:
            index = int(np.argmax(self.x.lengths))
            wrong = f"sequence {index} alone is longer than token_budget"
            cure = "Raise token_budget, or cut the sequences into shorter ones"
            raise DataError(say("fit", wrong, expected=f"at most {budget:,} steps", got=f"{longest:,}", cure=cure))

    def _check_carrying(self, where: str) -> None:
        """Refuse what does not go with a state that is carried from batch to batch."""
        others = {"shuffle": self.shuffle is not None, "bucket_by_length": self.bucket_by_length}
        others["token_budget"] = self.token_budget is not None
        if any(others.values()):
            given = " and ".join(name for name, there in others.items() if there)
            wrong = f"carry_state does not go with {given}"
            cure = "Sequence i of a batch goes on where sequence i of the batch before it ended: the order has to stay"
            raise UsageError(say(where, wrong, cure=cure))
        n_items, size = self.n_items, self.batch_size or 1
        if left := n_items % size:
            wrong = f"{n_items} sequences do not divide into batches of {size} that carry their state"
            got, cure = f"{left} left over", f"Leave out {left} of them, or take a batch_size that divides {n_items}"
            if left == n_items:
                wrong = f"{n_items} sequences do not fill a batch of {size} that carries its state"
                got, cure = f"{n_items} sequences", f"Take batch_size={n_items}, or a smaller one that divides it"
            raise DataError(say(where, wrong, expected="whole batches", got=got, cure=cure))


def _shuffled(
    order: NDArray[np.int64], cuts: list[int], rng: np.random.Generator
) -> tuple[NDArray[np.int64], list[int]]:
    """Give whole batches in another order."""
    parts = [order[start:stop] for start, stop in itertools.pairwise(cuts)]
    places = rng.permutation(len(parts)).tolist()
    sizes = [len(parts[place]) for place in places]
    return np.concatenate([parts[place] for place in places]), [0, *itertools.accumulate(sizes)]


def part_of(x: Ragged, start: int, stop: int) -> Ragged:
    """Give the sequences [start, stop) of a batch, as a view.

    Args:
        x: the batch.
        start: index of the first sequence.
        stop: one past the index of the last.
    """
    return x[start:stop]

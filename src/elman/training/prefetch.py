"""The next batch is prepared while this one computes: one thread, a batch or two ahead, nothing else changed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import Any, NamedTuple

from elman.errors import UsageError, say
from elman.training.batches import Batch
from elman.training.checks import check_count
from elman.training.protocols import Batches

__all__ = ["Prefetched", "in_time"]

# The batches that begin an epoch are prepared as they are used, to see what that costs.
_TRIED = 16
# Handing a batch to another thread takes 20 to 200 us, and the thread competes with those that compute. So preparing
# must take this much: seconds per batch, and share of the time.
_LEAST, _SHARE = 300e-6, 0.03


class _Failed(NamedTuple):
    """What ended the preparing: an exception, or None at the end of the epoch."""

    error: BaseException | None


class Prefetched:
    """Prepare batches in a thread of their own, a few ahead of who uses them.

    Order, batches and random draws are those of the batches themselves; what they raise is raised where the batch was
    to come. When an epoch ends, for whatever reason, its thread ends.

    Args:
        batches: whose `iter` begins an epoch and is called by the thread that trains. They must not draw from a
            generator that the training draws from as well, such as `rng` of `fit_batches`.
        ahead: how many batches wait at most.

    Raises:
        UsageError: if these are no batches, or ahead is no count.

    Example:
        >>> import numpy as np
        >>> from elman.training import StreamBatches
        >>> batches = StreamBatches(np.arange(8), n_streams=2, steps=3)
        >>> [batch.x.split() for batch in Prefetched(batches)]
        [[array([0, 1, 2, 3]), array([4, 5, 6])]]
    """

    def __init__(self, batches: Batches, *, ahead: int = 1) -> None:
        check_count("ahead", ahead)
        if not all(hasattr(batches, name) for name in ("carries_state", "unit", "n_items")):
            expected = "such as SequenceBatches or StreamBatches"
            raise UsageError(say("Prefetched", "these are no batches", expected=expected, got=repr(batches)))
        self.batches, self.ahead = batches, int(ahead)
        self.carries_state, self.unit, self.n_items = batches.carries_state, batches.unit, batches.n_items

    def __len__(self) -> int:
        return len(self.batches)

    def __getattr__(self, name: str) -> Any:
        # What some batches say of themselves, and others do not.
        if name in ("largest", "documents"):
            return getattr(self.batches, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'", name=name, obj=self)

    def __iter__(self) -> Iterator[Batch]:
        return _prepared(iter(self.batches), self.ahead)


def in_time(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Give the batches of an epoch, prepared in a thread where that has turned out to be worth it.

    That is done only for batches that say of themselves, by `draws_first`, that all that is random in an epoch is drawn
    when it begins: then the thread changes the time and nothing else.

    Args:
        batches: every `iter` is one epoch.
    """
    source = iter(batches)
    if not getattr(batches, "draws_first", False):
        yield from source
        return
    began, preparing = perf_counter(), 0.0
    for _ in range(_TRIED):
        before = perf_counter()
        batch = next(source, None)
        if batch is None:
            return
        preparing += perf_counter() - before
        yield batch
    worth = preparing > max(_TRIED * _LEAST, _SHARE * (perf_counter() - began))
    yield from _prepared(source, 1) if worth else source


def _prepared(source: Iterator[Batch], ahead: int) -> Iterator[Batch]:
    """Give what an iterator gives, which a thread goes through.

    Args:
        source: only the thread touches it from now on.
        ahead: how many batches wait at most.
    """
    ready: queue.Queue[Batch | _Failed] = queue.Queue(ahead)
    wanted = threading.Event()
    wanted.set()

    def prepare() -> None:
        end = _Failed(None)
        try:
            for batch in source:
                ready.put(batch)
                if not wanted.is_set():
                    return
        except BaseException as error:
            end = _Failed(error)
        ready.put(end)

    # Were it no daemon, an interpreter that ends while a generator is suspended would wait for it for ever.
    worker = threading.Thread(target=prepare, name="elman-prepare", daemon=True)
    worker.start()
    try:
        while not isinstance(item := ready.get(), _Failed):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        wanted.clear()
        while worker.is_alive():
            try:  # room for what it still wants to put
                ready.get_nowait()
            except queue.Empty:
                worker.join(0.01)

"""Batches prepared ahead are the same batches, and nobody is left behind when an epoch ends."""

import itertools
import signal
import threading
import time
import traceback

import numpy as np
import pytest

from elman import Sequential, layers
from elman.errors import DivergedError, Interrupted, UsageError
from elman.ragged import Ragged
from elman.training import Callback, Prefetched, SequenceBatches, StreamBatches, prefetch
from elman.training.batches import Batch
from elman.training.prefetch import in_time


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "elman-prepare"]


@pytest.fixture(autouse=True)
def nobody_is_left():
    yield
    assert threads() == []


@pytest.fixture
def always(monkeypatch):
    """Prepare everything but the first batch in a thread, whatever it costs."""
    monkeypatch.setattr(prefetch, "_TRIED", 1)
    monkeypatch.setattr(prefetch, "_LEAST", -1.0)
    monkeypatch.setattr(prefetch, "_SHARE", -1.0)


class Numbered:
    """Batches that are their numbers, and say when they were made."""

    carries_state, unit, draws_first = False, "steps", True

    def __init__(self, n, *, fail_at=None):
        self.n_items, self.fail_at, self.made = n, fail_at, []

    def __len__(self):
        return self.n_items

    def __iter__(self):
        for number in range(self.n_items):
            if number == self.fail_at:
                raise LookupError(f"no batch {number}")
            self.made.append((number, threading.current_thread().name))
            yield number


def ragged(rng, n=40):
    lengths = rng.integers(0, 9, n)
    return Ragged(rng.standard_normal((lengths.sum(), 3)).astype(np.float32), lengths), rng.integers(0, 4, n)


def same(one, other):
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left.x.values, right.x.values)
        np.testing.assert_array_equal(left.x.lengths, right.x.lengths)
        np.testing.assert_array_equal(left.target, right.target)
        assert left.reset_state == right.reset_state


def sources(rng):
    x, y = ragged(rng)
    yield lambda: SequenceBatches(x, y, batch_size=7, per_step=False, shuffle=np.random.default_rng(3))
    yield lambda: SequenceBatches(
        x, y, token_budget=30, per_step=False, shuffle=np.random.default_rng(4), bucket_by_length=True
    )
    yield lambda: StreamBatches(np.arange(1000, dtype=np.uint16), n_streams=3, steps=11)


def test_order_and_draws_are_the_same_over_epochs(rng, always):
    for make in sources(rng):
        plain, thread, chosen = make(), Prefetched(make(), ahead=2), make()
        for _ in range(3):
            expected = list(plain)
            same(list(thread), expected)
            same(list(in_time(chosen)), expected)
        assert len(thread) == len(plain)
        assert (thread.n_items, thread.unit, thread.carries_state) == (plain.n_items, plain.unit, plain.carries_state)


def test_training_is_the_same_to_the_bit(rng, always, monkeypatch):
    x, y = ragged(rng, 60)
    x = list(x.split())
    seen = []

    class Look(Callback):
        def on_batch_end(self, batch, logs):
            seen.append(len(threads()))

    def trained():
        model = Sequential([layers.LSTM(6, dropout=0.2), layers.Dense(4)])
        model.compile("adam", "cross_entropy", metrics=["accuracy"])
        history = model.fit(
            x, y, batch_size=8, epochs=3, validation_split=0.2, callbacks=[Look()], verbose=0, rng=5
        )  # fmt: skip
        return model, history

    ahead, history = trained()
    assert max(seen) == 1
    monkeypatch.setattr(prefetch, "_LEAST", 1e9)
    seen.clear()
    plain, expected = trained()
    assert max(seen) == 0
    np.testing.assert_array_equal(ahead.parameters.flat, plain.parameters.flat)
    np.testing.assert_array_equal(history.batches, expected.batches)
    assert history.history == expected.history


def test_batches_wait_and_no_more_of_them_than_asked_for():
    batches = Numbered(20)
    epoch = iter(Prefetched(batches, ahead=2))
    assert next(epoch) == 0
    deadline = time.monotonic() + 10
    while len(batches.made) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(batches.made) == 4  # one is used, two wait, one is made and has no room yet
    assert list(epoch) == list(range(1, 20))
    assert {name for _, name in batches.made} == {"elman-prepare"}


def test_only_what_takes_its_time_is_prepared_ahead(monkeypatch):
    clock = [0.0]  # of our own: a machine that stands still for a moment decides nothing
    monkeypatch.setattr(prefetch, "perf_counter", lambda: clock[0])

    class Timed(Numbered):
        def __iter__(self):
            for number in super().__iter__():
                clock[0] += self.takes
                yield number

    def n_ahead(takes, *, use, n=40, draws_first=True):
        batches = Timed(n)
        batches.takes, batches.draws_first = takes, draws_first
        seen = []
        for number in in_time(batches):
            seen.append(number)
            clock[0] += use
        assert seen == list(range(n))
        return sum(name == "elman-prepare" for _, name in batches.made)

    assert n_ahead(1e-3, use=1e-3) == 40 - prefetch._TRIED
    assert n_ahead(1e-3, use=30e-3) == 40 - prefetch._TRIED
    assert n_ahead(1e-3, use=40e-3) == 0  # long as it is, it is little beside what is done with them
    assert n_ahead(1e-4, use=0.0) == 0  # handing them over would take as long
    assert n_ahead(1e-3, use=1e-3, draws_first=False) == 0
    assert n_ahead(1e-3, use=0.0, n=3) == n_ahead(1e-3, use=0.0, n=0) == 0


def test_an_exception_comes_where_its_batch_was_to_come():
    seen = []
    with pytest.raises(LookupError, match="no batch 5") as caught:
        seen.extend(Prefetched(Numbered(9, fail_at=5)))  # extend keeps what came before
    shown = "".join(traceback.format_exception(caught.value))
    assert "raise LookupError" in shown  # where it happened
    assert list(itertools.islice(Prefetched(Numbered(9, fail_at=5)), 5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("stop", ["break", "raise", "close"])
def test_who_leaves_early_leaves_no_thread(stop):
    batches = Numbered(10_000)
    if stop == "raise":
        with pytest.raises(ZeroDivisionError):
            for number in Prefetched(batches):
                1 / (3 - number)
    else:
        epoch = iter(Prefetched(batches))
        for number in epoch:
            if number == 3:
                break
        epoch.close()
    assert threads() == [] and len(batches.made) < 20


def fit(batches, callbacks=()):
    model = Sequential([layers.Embedding(9, 4), layers.GRU(5, return_sequences=True), layers.Dense(9)])
    model.compile("sgd", "cross_entropy")
    model.build(9, ids=True, rng=0)
    return model.fit_batches(batches, callbacks=callbacks, verbose=0)


def test_a_training_that_diverges_leaves_no_thread(rng, always):
    class Spoil(Callback):
        def on_batch_end(self, batch, logs):
            self.model.parameters.flat[:] = np.nan

    with pytest.raises(DivergedError) as caught:
        fit(StreamBatches(rng.integers(0, 9, 5000), n_streams=5, steps=10), [Spoil()])
    assert caught.value.__traceback__ is not None and threads() == []  # while its frames are still held


def test_control_c_finishes_the_batch_and_a_second_one_stops_a_wait(always):
    class Press(Callback):
        def on_batch_end(self, batch, logs):
            signal.raise_signal(signal.SIGINT)

    ids = np.arange(5000) % 9
    with pytest.raises(Interrupted):
        fit(StreamBatches(ids, n_streams=5, steps=10), [Press()])
    assert threads() == []

    class Stuck(Numbered):
        def __iter__(self):
            yield from itertools.islice(StreamBatches(ids, n_streams=5, steps=10), 9)
            main = threading.main_thread().ident
            for _ in range(2):  # while who trains waits for a batch
                time.sleep(0.05)
                signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.2)
            yield Batch(None, None, None, True)

    began = time.monotonic()
    with pytest.raises(Interrupted):
        fit(Stuck(1000))
    assert time.monotonic() - began < 20


def test_what_batches_say_of_themselves_is_handed_on():
    batches = StreamBatches(np.arange(9) % 3, n_streams=2, steps=3, documents=[0, 4])
    assert Prefetched(batches).largest.tolist() == batches.largest.tolist()
    assert not hasattr(Prefetched(Numbered(1)), "largest")
    model = Sequential([layers.GRU(3, return_sequences=True, initial_state="learned"), layers.Dense(3)])
    model.compile("sgd", "cross_entropy")
    model.build(3, ids=True)
    with pytest.raises(UsageError, match="learned initial state, and documents begin in the middle"):
        model.fit_batches(Prefetched(batches), verbose=0)


def test_ahead_is_a_count():
    with pytest.raises(UsageError, match="ahead: this is no count, expected an integer >= 1, got 0"):
        Prefetched(Numbered(3), ahead=0)

"""A model opened for inspection: a private copy in double precision, and the data in windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from elman.engines.native import Engine
from elman.errors import DataError, NotFittedError, UsageError, say
from elman.model import Sequential
from elman.model.data import DataOptions, own_steps, read_data, read_input
from elman.model.double import doubled, twins, widened
from elman.ops.losses import Loss
from elman.ragged import Ragged
from elman.tasks import Task
from elman.training import progress
from elman.training.batches import Batch
from elman.training.loop import State
from elman.training.watch import Heard, Recurrence, listen, recurrences

__all__ = ["Looked", "Opened", "Passed", "Places", "engine_of", "look", "open_model", "twins", "unwrapped", "widened"]

Array = NDArray[Any]

# Steps that are taken back at once: their gates and gradients in float64 are some 100 MB for 128 units.
_STEPS_AT_ONCE = 8192


def engine_of(model: Any, where: str, *, loss: Loss | None = None) -> Engine:
    """Make an engine in float64 that belongs to the caller alone; the model is left as it is.

    Args:
        model: a Sequential that is built, or a task that holds one.
        where: who asks, for messages.
        loss: of the engine.

    Raises:
        UsageError: if it is no model.
        NotFittedError: if it has no weights yet.
    """
    model = unwrapped(model, where)
    model.parameters  # noqa: B018 - says so where there are no weights yet
    return doubled(model, loss)


def unwrapped(model: Any, where: str) -> Sequential:
    """Give the Sequential that a model is, or that a task holds.

    Args:
        model: either.
        where: who asks, for messages.

    Raises:
        NotFittedError: if it is a task that was not fitted.
        UsageError: if it is neither.
    """
    if isinstance(model, Task) and not hasattr(model, "model_"):
        raise NotFittedError(say(where, f"{type(model).__name__} is not fitted yet", cure="Call fit first"))
    inner = getattr(model, "model_", model)
    if not isinstance(inner, Sequential):
        raise UsageError(say(where, "model is none", expected="a Sequential", got=type(model).__name__))
    return inner


class Places(NamedTuple):
    """Steps of sequences whose losses are looked at.

    Attributes:
        sequence: (P,) index of the sequence.
        step: (P,) index of the step in it; its last one where there is one loss per sequence.
    """

    sequence: NDArray[np.int64]
    step: NDArray[np.int64]


class Passed(NamedTuple):
    """A pass over windows, forward and back.

    Attributes:
        x: the windows, one per place.
        at: (P,) row within its window of the step whose loss it is.
        heard: what every recurrence did, by name.
        scale: what gradients of the mean loss are multiplied by to be those of the sum over the windows.
        first: index of the first of these places.
    """

    x: Ragged
    at: NDArray[np.int64]
    heard: dict[str, Heard]
    scale: float
    first: int


class Opened:
    """A model in float64 together with data.

    Attributes:
        engine: runs it; its gradients are those of the pass before.
        x: the input, float64 or token ids.
        target: as `read_data` gives it.
        weights: of the targets, or None.
        per_step: whether there is a loss for every step.
        causal: whether step t depends on steps up to t only, so that windows may begin anywhere.
        found: the recurrences by name.
        where: who asks, for progress.
        verbose: 0 silent; else passes that take long show how far they are.
    """

    def __init__(
        self, model: Any, x: Any, y: Any, where: str, options: DataOptions, *, verbose: progress.Verbose = 0
    ) -> None:
        progress.check_verbose(verbose, where)
        self.where, self.verbose = where, verbose
        model = unwrapped(model, where)
        if model.loss is None:
            cure = "Call model.compile(optimizer, loss): gradients are those of a loss"
            raise UsageError(say(where, "the model is not compiled", cure=cure))
        data = read_data(model, x, y, where=where, **options)
        self.engine = engine_of(model, where, loss=model.loss)
        self.x: Ragged = widened(data.x)
        self.target: Array | Ragged = widened(data.target)
        self.weights, self.per_step = data.weights, data.per_step
        self.causal = all(layer.causal for layer in model.layers) and own_steps(model.layers) is None
        self.found = _recurrences(self.engine, where)

    def places(self, count: int, *, lags: int, latest: int | None = None) -> Places:
        """Choose steps, spread evenly over the data.

        Those that look back over `lags` steps come first; where they are fewer than asked for, so do those that
        look back half as far as is possible.

        Args:
            count: at most so many.
            lags: how far back one would like to look.
            latest: the last step to choose from, if any.

        Raises:
            DataError: if there is no step that counts.
        """
        lengths, offsets = self.x.lengths, self.x.offsets
        if self.per_step:
            step = np.arange(self.x.n_steps) - np.repeat(offsets[:-1], lengths)
            sequence = np.repeat(np.arange(len(lengths)), lengths)
            counts = np.ones(len(step), bool) if self.weights is None else np.asarray(self.weights) > 0
        else:
            step, sequence = lengths - 1, np.arange(len(lengths))
            counts = lengths > 0
        if latest is not None and self.per_step:
            counts &= step <= latest
        if not counts.any():
            raise DataError(say("inspection", "no step has a loss", expected="at least one step that counts"))
        if self.causal:
            far = min(lags, int(step[counts].max()))
            chosen = counts & (step >= far)
            if chosen.sum() < count:
                chosen = counts & (step >= far // 2)
        else:
            chosen = counts
        index = np.flatnonzero(chosen)
        index = index[np.unique(np.linspace(0, len(index) - 1, min(count, len(index))).round().astype(int))]
        return Places(sequence[index], step[index])

    def place(self, step: int) -> Places:
        """Give one step of the first sequence.

        Args:
            step: its index; negative ones count from the end.

        Raises:
            UsageError: if there is no such step, or no loss at it.
        """
        length = int(self.x.lengths[0]) if len(self.x) else 0
        index = step + length if step < 0 else step
        if not 0 <= index < length or not (self.per_step or index == length - 1):
            expected = f"a step from 0 to {length - 1}" if self.per_step else f"{length - 1}, where the loss is"
            raise UsageError(say("inspection", "there is no loss at this step", expected=expected, got=step))
        return Places(np.zeros(1, np.int64), np.full(1, index))

    def starts(self, places: Places, lags: int) -> NDArray[np.int64]:
        """Give the step at which the window of every place begins, (P,).

        Args:
            places: from `places`.
            lags: steps back from a place that its window holds, besides its own.
        """
        return np.maximum(places.step - lags, 0) if self.causal else np.zeros_like(places.step)

    def passes(
        self, places: Places, *, lags: int, state: State | None = None, listening: bool = True
    ) -> Iterator[Passed]:
        """Run forward and back over the steps before every place, some windows at a time.

        Every window has a loss at its place alone. It begins in the state that the model is in there; where
        layers look both ways it is the whole sequence.

        Args:
            places: from `places`.
            lags: steps back from a place that its window holds, besides its own.
            state: of the model where the windows begin, as `state_at` gives it; worked out if None.
            listening: whether recurrences are listened to.
        """
        starts = self.starts(places, lags)
        stops = places.step + 1 if self.causal else self.x.lengths[places.sequence]
        if state is None and starts.any():
            state = self.state_at(places.sequence, starts)
        sizes = np.maximum(stops - starts, 1)
        at_once = max(1, _STEPS_AT_ONCE // int(sizes.max()))
        firsts = range(0, len(starts), at_once)
        for first in progress.watch(firsts, total=len(firsts), what=self.where, verbose=self.verbose):
            part = slice(first, first + at_once)
            sequence, at = places.sequence[part], (places.step - starts)[part]
            batch = self._batch(sequence, starts[part], stops[part], at)
            begin = None if state is None else tuple(tuple(p[part] for p in parts) for parts in state)
            with listen(self.found if listening else {}) as heard:
                _, weight, _ = self.engine.loss_and_gradients(batch, state=begin, want_state=False)
            scale = float(len(at)) if not self.per_step else weight
            yield Passed(batch.x, at, heard, scale, first)

    def _batch(self, sequence: Array, starts: Array, stops: Array, at: Array) -> Batch:
        """Cut windows out of the sequences, with a loss at one row of each."""
        sizes = stops - starts
        x = self.x
        rows = np.repeat(x.offsets[sequence] + starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        windows = Ragged(x.values[rows], sizes)
        if not self.per_step:
            target = self.target.select(sequence) if isinstance(self.target, Ragged) else self.target[sequence]
            return Batch(windows, target, None, True)
        weights = np.zeros(len(rows))
        weights[windows.offsets[:-1] + at] = 1
        return Batch(windows, self.target[rows], weights, True)

    def state_at(self, sequence: Array, starts: Array) -> State:
        """Give the state of the model before some steps, each part (P, ·).

        Args:
            sequence: (P,) index of the sequence.
            starts: (P,) index of the step in it.
        """
        nothing = Ragged(self.x.values[:0], np.zeros(len(starts), np.int64))
        out = [[part.copy() for part in parts] for parts in self.engine.forward(nothing)[1]]
        for b in np.unique(sequence[starts > 0]):
            mine = np.flatnonzero((sequence == b) & (starts > 0))
            state, done, steps = None, 0, self.x[int(b)]
            for start in np.unique(starts[mine]):
                _, state = self.engine.forward(Ragged(steps[done:start], [start - done]), state=state)
                done = int(start)
                rows = mine[starts[mine] == start]
                for parts, given in zip(out, state, strict=True):
                    for part, value in zip(parts, given, strict=True):
                        part[rows] = value
        return tuple(tuple(parts) for parts in out)


def open_model(
    model: Any, x: Any, y: Any, where: str, *, verbose: progress.Verbose = 0, **options: Unpack[DataOptions]
) -> Opened:
    """Copy a model in double precision and check the data it is to be looked at with.

    Args:
        model: built and compiled, or a task that holds such a model.
        x: sequences.
        y: targets.
        where: who asks, for messages.
        verbose: 0 silent; else what takes long shows how far it is.
        options: sample_weight, class_weight, lengths and pad_value, as in `fit`.

    Raises:
        UsageError: if the model is not compiled or has no recurrent layer.
        NotFittedError: if it has no weights.
        DataError: if the data does not fit.
    """
    return Opened(model, x, y, where, options, verbose=verbose)


class Looked(NamedTuple):
    """A forward pass over sequences that was listened to.

    Attributes:
        engine: that ran it, in float64.
        x: the input.
        found: the recurrences by name.
        heard: what every one of them did.
    """

    engine: Engine
    x: Ragged
    found: dict[str, Recurrence]
    heard: dict[str, Heard]


def look(model: Any, x: Any, where: str, **options: Any) -> Looked:
    """Run a model forward over sequences, in float64, and listen to its recurrences.

    Args:
        model: built, or a task that holds such a model.
        x: sequences.
        where: who asks, for messages.
        options: lengths and pad_value, as in `fit`.

    Raises:
        UsageError: if the model has no recurrent layer.
        NotFittedError: if it has no weights.
        DataError: if x does not fit.
    """
    model = unwrapped(model, where)
    engine = engine_of(model, where)
    batch, _ = read_input(model, x, where=where, **options)
    batch = widened(batch)
    if batch.n_steps == 0:
        raise DataError(say(where, "x has no steps", expected="at least one"))
    found = _recurrences(engine, where)
    with listen(found) as heard:
        engine.forward(batch)
    return Looked(engine, batch, found, heard)


def _recurrences(engine: Engine, where: str) -> dict[str, Recurrence]:
    """Give the recurrences of a model that has some."""
    found = recurrences(engine.layers)
    if not found:
        cure = "Inspect a model with an RNN, LSTM or GRU layer"
        raise UsageError(say(where, "the model has no recurrent layer", cure=cure))
    return found

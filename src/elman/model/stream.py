"""A model that goes on step by step: sequences of which nobody knows the end, one or many at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DataError, UsageError, say
from elman.layers import check_carry
from elman.model import stream_file
from elman.model.data import checked_state, read_input
from elman.model.foundation import Foundation
from elman.model.stream_room import Room, lay_out
from elman.ops.steps import Advance, Take
from elman.ops.workspace import Workspace, activate
from elman.ragged import Ragged, refuse_masked
from elman.training.checks import check_count
from elman.training.loop import State

__all__ = ["Stream"]

Array = NDArray[Any]


class Stream:
    """Sequences that go on step by step, made by `model.stream()`.

    Outputs are those of `predict` over the whole sequences, to the last bit, however they are cut into steps and
    chunks. Nothing is drawn at random. The weights are those of the model at every step: packed once, and again after
    they have changed, so training may go on beside it.

    A stream belongs to one thread at a time; give each thread its own. A call that fails changes nothing.

    Attributes:
        ids: of the streams, in the order of their rows in x; ids are never given twice.

    Example:
        >>> from elman import Sequential, layers
        >>> model = Sequential([layers.GRU(8, return_sequences=True), layers.Dense(2)])
        >>> model.build(3, rng=0)
        >>> x = np.random.default_rng(0).standard_normal((5, 3))
        >>> stream = model.stream()
        >>> outs = [stream.step(numbers) for numbers in x]
        >>> np.array_equal(outs, model.predict(x[None])[0])
        True
    """

    ids: tuple[int, ...]
    _next_id: int
    _side: int
    _tokens: bool
    _room: Room
    _advances: tuple[Advance, ...]
    _give: tuple[Callable[[], Array], ...]
    _take: Take

    def __init__(self, model: Foundation, batch: int = 1) -> None:
        model._engine_for("stream")
        check_carry(model.layers, where="stream")
        if type(batch) is not int or batch != 0:  # nobody yet is a way to begin
            check_count("batch", batch)
        self._model = model
        self._token = [True]  # whoever has taken it is using the stream
        self._workspace = Workspace()
        self._clock = model.parameters.clock
        self._next_id = int(batch)
        self._lay(range(int(batch)), self._first_state(int(batch)), tokens=model._comes_as_ids(model.ids))

    def step(self, x: ArrayLike) -> Array:
        """Go one step on with every stream.

        Args:
            x: (n, I) numbers or (n,) token ids, a row for each of the n streams; for a single stream (I,) numbers or
                one id will do.

        Returns:
            What the last layer gives, (n, K); (K,) where x had no axis of streams.

        Raises:
            DataError: if x does not fit.
            UsageError: if there are no streams, or another thread is using them.
        """
        # Every line counts here: at 64 units they take 0.6 µs beside the kernel's 1.5. Taking the token out of a list
        # is as safe as a lock and costs a third; and `del` is no call, behind which a signal could raise before `try`.
        try:
            del self._token[0]
        except IndexError:
            raise _in_use("step") from None
        try:
            form = self._take(x) or self._look_at(x)
            side, ticks = self._side, self._clock.ticks
            for advance in self._advances:
                advance(ticks, side)
            self._side = 1 - side
            return self._give[form]()
        finally:
            self._token.append(True)

    def chunk(self, xs: Any) -> Any:
        """Go several steps on at once, every stream by as many as there are for it.

        Args:
            xs: what `predict` takes for n sequences, such as (n, steps, I) numbers, (n, steps) token ids or a list
                of n arrays of any lengths, empty ones too; for a single stream (steps, I) or (steps,) will do.

        Returns:
            What `predict` gives, in the form of xs; (steps, K), or (K,) of a model that gives one row per sequence,
            where xs had no axis of streams.

        Raises:
            DataError: if xs does not fit.
            UsageError: if there are no streams, or another thread is using them.
        """
        with self._turn("chunk"):
            n = self._some("chunk")
            alone = n == 1 and self._is_one_sequence(xs)
            if alone:
                refuse_masked(xs, "chunk", "xs")
                xs = [np.asarray(xs)]
            batch, restore = read_input(self._model, xs, where="chunk")
            if len(batch) != n:
                expected = f"{n}, one for each stream"
                raise DataError(say("chunk", "the number of sequences is wrong", expected=expected, got=len(batch)))
            out, last = self._model._engine_for("chunk").forward(batch, state=self._state())
            self._put(last)
            given = restore(out)
            return given[0] if alone else given

    @property
    def state(self) -> State:
        """Where the streams have got to: a tuple over the layers, as `predict` gives and takes it; a copy.

        Set it to go on from elsewhere; every part has a row for each stream.

        Raises:
            UsageError: if what is set does not fit.
        """
        with self._turn("state"):
            return tuple(tuple(part.copy() for part in parts) for parts in self._state())

    @state.setter
    def state(self, state: State) -> None:
        with self._turn("state"):
            n, model = len(self.ids), self._model
            self._put(
                checked_state(model.layers, state, n_sequences=n, dtype=model.dtype, where="state", who="the stream")
            )

    def reset(self, rows: Any = None) -> None:
        """Let streams begin anew.

        Args:
            rows: their places in x: integers, or a mask (n,); all if None.

        Raises:
            UsageError: if there are no such rows.
        """
        with self._turn("reset"):
            chosen = np.arange(len(self.ids)) if rows is None else self._rows_at(rows)
            state = tuple(tuple(part.copy() for part in parts) for parts in self._state())
            for parts, begins in zip(state, self._first_state(len(chosen)), strict=True):
                for part, begin in zip(parts, begins, strict=True):
                    part[chosen] = begin
            self._put(state)

    def join(self, n: int = 1) -> list[int]:
        """Let new streams begin beside the others; their rows come last.

        Args:
            n: how many.

        Returns:
            Their ids.

        Raises:
            UsageError: if n is no count.
        """
        check_count("n", n)
        with self._turn("join"):
            new = list(range(self._next_id, self._next_id + int(n)))
            begins = self._first_state(int(n))
            state = tuple(
                tuple(np.concatenate(pair) for pair in zip(parts, begin, strict=True))
                for parts, begin in zip(self._state(), begins, strict=True)
            )
            self._lay([*self.ids, *new], state, tokens=self._tokens, next_id=self._next_id + int(n))
            return new

    def leave(self, ids: int | Iterable[int]) -> None:
        """Let streams end; the others keep their ids, their order and their state.

        Args:
            ids: one or several of `ids`.

        Raises:
            UsageError: if there is no such stream; none has left then.
        """
        given = np.atleast_1d(np.asarray([*ids] if isinstance(ids, Iterable) else ids))
        if given.size and given.dtype.kind not in "iu":
            raise UsageError(say("leave", "ids are no integers", expected="ids of streams", got=repr(ids)))
        gone = set(given.tolist())
        with self._turn("leave"):
            if unknown := sorted(gone.difference(self.ids)):
                expected = "ids of streams that are there (see ids)"
                raise UsageError(say("leave", "there is no such stream", expected=expected, got=unknown))
            stays = [row for row, name in enumerate(self.ids) if name not in gone]
            state = tuple(tuple(part[stays] for part in parts) for parts in self._state())
            self._lay([self.ids[row] for row in stays], state, tokens=self._tokens)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write state and ids of all streams to a file, atomically and durably.

        Args:
            path: where; its folder must exist.

        Raises:
            SaveError: if it cannot be written; what stood there before is untouched.
        """
        with self._turn("save"):
            stream_file.save(path, self._model, self._state(), ids=self.ids, next_id=self._next_id)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on with the streams that `save` wrote, in the place of those that are here.

        Args:
            path: the file.

        Raises:
            UsageError: if there is no such file.
            ModelFileError: if it is no whole file, or holds the state of another model.
        """
        with self._turn("load"):
            ids, state, next_id = stream_file.load(path, self._model)
            self._lay(ids, state, tokens=self._tokens, next_id=max(self._next_id, next_id))

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Stream({len(self.ids)} of '{self._model.name}')"

    @contextmanager
    def _turn(self, where: str) -> Iterator[None]:
        """Hold the streams for one call."""
        try:
            del self._token[0]
        except IndexError:
            raise _in_use(where) from None
        try:
            yield
        finally:
            self._token.append(True)

    def _first_state(self, n: int) -> State:
        return tuple(layer.first_state(n, self._model.dtype) for layer in self._model.layers)

    def _state(self) -> State:
        """Give the state as it lies, to be read or written."""
        return tuple(tuple(part[self._side] for part in parts) for parts in self._room.sides)

    def _put(self, state: State) -> None:
        """Write a state that fits; to the other side first, so that an interruption leaves all of the old one."""
        for parts, values in zip(self._room.sides, state, strict=True):
            for part, value in zip(parts, values, strict=True):
                part[1 - self._side] = value
        self._side = 1 - self._side

    def _lay(self, ids: Iterable[int], state: State, *, tokens: bool, next_id: int | None = None) -> None:
        """Make room for these streams and bind every layer to it; nothing changes if that fails or is interrupted."""
        names, after = tuple(ids), self._next_id if next_id is None else next_id
        with activate(self._workspace):
            room = lay_out(self._model, len(names), state, tokens=tokens)
        new = names, after, tokens, 0, room, room.advances, room.give, room.take
        # One statement without a call in it: no signal comes in between and leaves half of each.
        self.ids, self._next_id, self._tokens, self._side, self._room, self._advances, self._give, self._take = new

    def _rows_at(self, rows: Any) -> Array:
        """Give the places of rows as integers."""
        every = np.arange(len(self.ids))
        try:
            if isinstance(rows, slice):
                return every[rows]
            return np.atleast_1d(every[np.asarray(rows) if np.size(rows) else every[:0]])  # [] would be one of floats
        except (IndexError, ValueError):
            expected = f"integers below {len(every)}, or a mask of {len(every)}"
            raise UsageError(say("reset", "there are no such rows", expected=expected, got=repr(rows))) from None

    def _some(self, where: str) -> int:
        if not self.ids:
            raise UsageError(say(where, "there are no streams", expected="at least one", cure="Call join() first"))
        return len(self.ids)

    def _may_change(self) -> bool:
        """Tell whether the model leaves open if token ids or numbers come in."""
        first = self._model.layers[0]
        return first.takes_ids and not first.needs_ids and self._model.ids is None

    def _is_one_sequence(self, xs: Any) -> bool:
        """Tell whether xs has no axis of streams; a list may be of sequences or of steps."""
        if isinstance(xs, Ragged):
            return False
        if isinstance(xs, list | tuple):
            axes, first = (1 + np.ndim(xs[0]), xs[0]) if xs else (1, xs)
        else:
            axes, first = np.ndim(xs), xs
        if self._may_change():
            return axes == 1 or (axes == 2 and not _whole(first))
        return axes == (1 if self._tokens else 2)

    def _look_at(self, x: Any) -> int:
        """Bring the input of a step into its place, or say what is wrong with it."""
        n = self._some("step")
        refuse_masked(x, "step", "x")
        try:
            array = np.asarray(x)
        except (ValueError, TypeError) as error:
            raise DataError(say("step", f"x is not an array ({error})", expected=self._expected(n))) from None
        tokens = self._tokens
        if self._may_change():
            tokens = array.ndim == 0 or (array.ndim == 1 and n > 1 and _whole(array))
        if tokens != self._tokens:
            self._lay(self.ids, self._state(), tokens=tokens)
        shape = self._room.first.shape
        alone = n == 1 and array.shape == shape[1:]
        if array.shape != shape and not alone:
            raise DataError(say("step", "x does not fit", expected=self._expected(n), got=f"shape {array.shape}"))
        if tokens and array.dtype.kind not in "iu":
            cure = "Token ids are integers: pass x.astype(int)" if array.dtype.kind == "f" else None
            raise DataError(say("step", "x holds no token ids", expected="integers", got=array.dtype, cure=cure))
        batch, _ = read_input(self._model, array.reshape(n, 1, *shape[1:]), where="step")
        self._room.first[...] = batch.values
        return 1 if alone else 2

    def _expected(self, n: int) -> str:
        shape = self._room.first.shape
        alone = "one id" if self._tokens else f"{shape[1:]}"
        return f"{shape}, a row for each stream" + (f", or {alone}" if n == 1 else "")


def _whole(array: Any) -> bool:
    return np.asarray(array).dtype.kind in "iu"


def _in_use(where: str) -> UsageError:
    cure = "Give each thread a stream of its own: model.stream()"
    return UsageError(say(where, "the stream is in the middle of another call", cure=cure))

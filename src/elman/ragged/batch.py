"""The batch type: sequences of any lengths in one array.

`values` holds sequence after sequence; `lengths` says where each ends. Reversal, the last step,
selection and time windows are index arithmetic.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import DataError, say
from elman.ragged.parts import checked_lengths, parts_of_dense, parts_of_list

__all__ = ["Ragged", "dense_to_ragged", "list_to_ragged"]

Array = NDArray[Any]


class Ragged:
    """A batch of sequences, each as long as it is.

    Args:
        values: (N, F) numbers or (N,) token ids, sequence after sequence; N is the sum of the lengths.
        lengths: (B,) integers >= 0.

    Attributes:
        values: as given, C-contiguous.
        lengths: (B,) int64.
        offsets: (B + 1,) int64; sequence b is `values[offsets[b]:offsets[b + 1]]`.

    Raises:
        DataError: if a length is negative or the lengths do not add up to the values.
        DataTypeError: if the lengths are not integers.

    Example:
        >>> import numpy as np
        >>> batch = Ragged(np.arange(8.0).reshape(4, 2), lengths=[1, 0, 3])
        >>> batch
        Ragged(3 sequences, 4 steps, 2 features, float64)
        >>> batch[2][0]
        array([2., 3.])
        >>> batch.to_dense().shape
        (3, 3, 2)
    """

    __slots__ = ("_cache", "_uniform", "lengths", "offsets", "values")

    values: Array
    lengths: NDArray[np.int64]
    offsets: NDArray[np.int64]
    _uniform: int | None  # -1 until somebody asks
    _cache: list[NDArray[np.int64]]  # rows in the order of `reverse`, once asked for; shared by all of these lengths

    def __init__(self, values: Array, lengths: ArrayLike) -> None:
        self.lengths = checked_lengths(lengths)
        self.offsets = _offsets(self.lengths)
        values = np.ascontiguousarray(values)
        if values.ndim not in (1, 2):
            raise DataError(
                say("Ragged", "values has the wrong number of axes", expected="(N, F) or (N,)", got=values.shape)
            )
        if len(values) != self.offsets[-1]:
            raise DataError(
                say(
                    "Ragged",
                    "lengths do not add up to the number of steps",
                    expected=f"a sum of {len(values)} (values.shape = {values.shape})",
                    got=int(self.offsets[-1]),
                )
            )
        self.values = values
        self._uniform = -1
        self._cache = []

    @staticmethod
    def trusted(values: Array, lengths: NDArray[np.int64], offsets: NDArray[np.int64] | None = None) -> Ragged:
        """Make a Ragged of parts known to fit together, without any check.

        Args:
            values: (N, F) or (N,), C-contiguous.
            lengths: (B,) int64, adding up to N.
            offsets: (B + 1,) int64 if at hand.
        """
        ragged = _new(Ragged)
        ragged.values = values
        ragged.lengths = lengths
        ragged.offsets = _offsets(lengths) if offsets is None else offsets
        ragged._uniform = -1
        ragged._cache = []
        return ragged

    def with_values(self, values: Array) -> Ragged:
        """Give other values to the same sequences; lengths and offsets are shared, nothing is checked.

        Args:
            values: (N, F) or (N,), C-contiguous.
        """
        ragged = _new(Ragged)
        ragged.values = values
        ragged.lengths = self.lengths
        ragged.offsets = self.offsets
        ragged._uniform = self._uniform
        ragged._cache = self._cache
        return ragged

    @staticmethod
    def from_list(sequences: Sequence[ArrayLike]) -> Ragged:
        """Join a list of (T_i, F) arrays, or of (T_i,) arrays of ids.

        Args:
            sequences: at least one; all of the same number of features.

        Raises:
            DataError: if the list is empty or the arrays differ in features.
        """
        return list_to_ragged([np.asarray(sequence) for sequence in sequences], where="Ragged.from_list")

    @staticmethod
    def from_dense(x: ArrayLike, lengths: ArrayLike | None = None, *, pad_value: float | None = None) -> Ragged:
        """Take a (B, T, F) or (B, T) array apart; without lengths and pad value nothing is copied.

        Args:
            x: the padded array.
            lengths: (B,) how many steps of each row count; all T if None.
            pad_value: what stands past the end of a short sequence, NaN too: the last steps that hold
                nothing else are cut off. Steps before the last other one stay, whatever they hold.

        Raises:
            DataError: if x has other axes, or a length is negative or greater than T.
            UsageError: if lengths and pad_value are given, or pad_value is no number.

        Example:
            >>> Ragged.from_dense([[7, 0, 5, 0, 0], [0, 0, 0, 0, 0], [1, 2, 3, 4, 0]], pad_value=0).split()
            [array([7, 0, 5]), array([], dtype=int64), array([1, 2, 3, 4])]
        """
        return dense_to_ragged(np.asarray(x), lengths, pad_value=pad_value, where="Ragged.from_dense")

    @property
    def n_sequences(self) -> int:
        """B, the number of sequences."""
        return len(self.lengths)

    @property
    def n_steps(self) -> int:
        """N, the sum of the lengths."""
        return len(self.values)

    @property
    def features(self) -> int | None:
        """F, or None when the values are token ids."""
        return self.values.shape[1] if self.values.ndim == 2 else None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the values."""
        return self.values.dtype

    @property
    def uniform(self) -> int | None:
        """The length that all sequences have, or None when they differ (or when there are none)."""
        if self._uniform == -1:
            lengths = self.lengths
            same = len(lengths) > 0 and bool((lengths == lengths[0]).all())
            self._uniform = int(lengths[0]) if same else None
        return self._uniform

    def to_dense(self, fill: float = 0) -> Array:
        """Pad to (B, T, F) or (B, T), T the greatest length; a copy-free reshape when all are equal.

        Args:
            fill: what stands past the end of a short sequence.
        """
        n_sequences, tail = len(self.lengths), self.values.shape[1:]
        if self.uniform is not None:
            return self.values.reshape(n_sequences, self.uniform, *tail)
        steps = int(self.lengths.max(initial=0))
        dense = np.full((n_sequences, steps, *tail), fill, self.values.dtype)
        dense[np.arange(steps) < self.lengths[:, None]] = self.values
        return dense

    def split(self) -> list[Array]:
        """Give the sequences as a list of views."""
        ends = self.offsets.tolist()
        return [self.values[start:stop] for start, stop in itertools.pairwise(ends)]

    def reverse(self, *, out: Array | None = None) -> Ragged:
        """Turn every sequence around in time (a copy).

        Args:
            out: where the values go, C-contiguous, shaped and typed like `values`; a new array if None.

        Raises:
            DataError: if `out` overlaps the values.
        """
        values = self.values
        if out is None:
            out = np.empty_like(values)
        elif np.may_share_memory(out, values):
            raise DataError(say("Ragged.reverse", "out overlaps the values", cure="Give an array of its own"))
        if self.uniform is not None:
            shape = (len(self.lengths), self.uniform, *values.shape[1:])
            out.reshape(shape)[:] = values.reshape(shape)[:, ::-1]
            return self.with_values(out)
        if not self._cache:
            ends = np.repeat(self.offsets[:-1] + self.offsets[1:] - 1, self.lengths)
            self._cache.append(ends - np.arange(len(values)))
        # The rows are all there; "wrap" is the mode that checks nothing and so copies straight into `out`.
        np.take(values, self._cache[0], axis=0, out=out, mode="wrap")
        return self.with_values(out)

    def last(self, initial: Array | None = None) -> Array:
        """Give the last step of every sequence, (B, F) or (B,).

        Args:
            initial: (B, F), what a sequence of no steps gives; zeros if None.
        """
        # An empty sequence has no last row: it reads row 0 of a stand-in and is overwritten below.
        empty = self.lengths == 0
        if len(self.values) == 0:
            rows = np.zeros((len(self.lengths), *self.values.shape[1:]), self.values.dtype)
        else:
            rows = self.values[np.where(empty, 0, self.offsets[1:] - 1)]
        rows[empty] = 0 if initial is None else initial[empty]
        return rows

    def select(self, indices: ArrayLike) -> Ragged:
        """Give the sequences at these positions, in this order, repeats allowed (a copy).

        Args:
            indices: (K,) integers in [-B, B), or a (B,) mask.
        """
        chosen = np.arange(len(self.lengths))[np.asarray(indices)]
        lengths = self.lengths[chosen]
        if self.uniform:  # whole blocks: a tenth of the time that rows take
            blocks = self.values.reshape(len(self.lengths), -1)[chosen]
            offsets = np.arange(len(chosen) + 1) * self.uniform
            ragged = Ragged.trusted(blocks.reshape(-1, *self.values.shape[1:]), lengths, offsets)
            ragged._uniform = self.uniform if len(chosen) else None
            return ragged
        offsets = _offsets(lengths)
        # Row k of the result stands (offsets of its old place − offsets of its new place) further on in the old values.
        rows = np.arange(int(offsets[-1])) + np.repeat(self.offsets[:-1][chosen] - offsets[:-1], lengths)
        return Ragged.trusted(self.values[rows], lengths, offsets)

    def window(self, start: int, stop: int) -> Ragged:
        """Cut steps [start, stop) out of every sequence; shorter ones give what they have.

        Args:
            start: first step, >= 0.
            stop: one past the last step, >= start.
        """
        rows, lengths, offsets = self._window(start, stop)
        return Ragged.trusted(self.values[rows], lengths, offsets)

    def window_rows(self, start: int, stop: int) -> slice | NDArray[np.int64]:
        """Say which rows of `values` `window` gives: for rows of targets that go with the steps.

        Args:
            start: first step, >= 0.
            stop: one past the last step, >= start.
        """
        return self._window(start, stop)[0]

    def _window(self, start: int, stop: int) -> tuple[slice | NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Give the rows of a window, its lengths and its offsets."""
        if not 0 <= start <= stop:
            raise DataError(say("Ragged.window", "bad bounds", expected="0 <= start <= stop", got=(start, stop)))
        begins = np.minimum(self.lengths, start)
        lengths = np.minimum(self.lengths, stop) - begins
        offsets = _offsets(lengths)
        n_steps = int(offsets[-1])
        if len(lengths) == 1:  # one stream: a view, no copy
            return slice(int(begins[0]), int(begins[0]) + n_steps), lengths, offsets
        return np.arange(n_steps) + np.repeat(self.offsets[:-1] + begins - offsets[:-1], lengths), lengths, offsets

    def __len__(self) -> int:
        return len(self.lengths)

    @overload  # an array has __index__, too, but comes here first
    def __getitem__(self, index: slice | NDArray[Any]) -> Ragged: ...  # type: ignore[overload-overlap]

    @overload
    def __getitem__(self, index: SupportsIndex) -> Array: ...
    def __getitem__(self, index: SupportsIndex | slice | NDArray[Any]) -> Array | Ragged:
        # As with an array of B rows: one position gives a view of that sequence, a slice a Ragged of views.
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self.lengths))
            if step != 1:
                return self.select(np.arange(start, stop, step))
            own = self.offsets[start : max(start, stop) + 1]
            return Ragged.trusted(self.values[own[0] : own[-1]], self.lengths[start:stop], own - own[0])
        if isinstance(index, np.ndarray) and index.ndim:
            return self.select(index)
        position = range(len(self.lengths))[index]  # a bad position raises IndexError, as in a list
        view: Array = self.values[self.offsets[position] : self.offsets[position + 1]]
        return view

    def __iter__(self) -> Iterator[Array]:
        return iter(self.split())

    def __repr__(self) -> str:
        what = "token ids" if self.values.ndim == 1 else f"{self.values.shape[1]} features"
        return f"Ragged({len(self.lengths)} sequences, {len(self.values)} steps, {what}, {self.values.dtype})"


_new = object.__new__


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def dense_to_ragged(x: Array, lengths: ArrayLike | None, *, where: str, pad_value: float | None = None) -> Ragged:
    """Take a (B, T, ...) array apart into its sequences; `where` speaks in messages."""
    values, found = parts_of_dense(x, lengths, where=where, pad_value=pad_value)
    if found is not None:
        return Ragged.trusted(values, found)
    n_sequences, steps = x.shape[:2]
    offsets = np.arange(n_sequences + 1, dtype=np.int64) * steps
    ragged = Ragged.trusted(values, np.full(n_sequences, steps, np.int64), offsets)
    ragged._uniform = steps if n_sequences else None
    return ragged


def list_to_ragged(arrays: list[Array], *, where: str) -> Ragged:
    """Join (T_i, F) or (T_i,) arrays; `where` speaks in messages."""
    return Ragged.trusted(*parts_of_list(arrays, where=where))

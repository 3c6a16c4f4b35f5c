"""One row per step or per sequence, out of whatever form users give such things in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, DataTypeError, say
from elman.ragged import Ragged, refuse_masked

__all__ = ["RowReader"]

Array = NDArray[Any]


@dataclass(frozen=True)
class RowReader:
    """Read arrays that go with a batch of sequences, and say where they do not.

    Attributes:
        name: of the argument, such as "y".
        where: who speaks in messages.
        expected: what is accepted, in words.
        x: the batch.
        per_step: whether there is a row per step, or one per sequence.
        padded: steps of the array that x was cut out of, if it was.
    """

    name: str
    where: str
    expected: str
    x: Ragged
    per_step: bool
    padded: int | None = None

    def read(self, y: Any) -> Array:
        """Give the rows: (N, ...) or (B, ...); what a row looks like is not checked.

        Args:
            y: an array of B sequences or B rows; per step also a list of B arrays, or a Ragged.

        Raises:
            DataError: if numbers or lengths do not fit x.
            DataTypeError: if y holds no real numbers, or is masked.
        """
        if self.per_step and isinstance(y, Ragged):
            self._check_lengths(y.lengths)
            return y.values
        if self.per_step and isinstance(y, list | tuple):
            return self._join([self.numbers(part, f"{self.name}[{index}]") for index, part in enumerate(y)])
        if self.per_step and isinstance(y, np.ndarray) and y.dtype.kind == "O" and y.ndim == 1:
            return self.read(list(y))  # an array of arrays of several lengths
        array = self.numbers(y, self.name)
        if array.ndim == 0:
            self.refuse(f"{self.name} is a single number", got=array.item())
        n_sequences = len(self.x)
        if len(array) != n_sequences:
            got = f"{len(array)} (shape {array.shape})"
            self.refuse(f"x and {self.name} differ in length", expected=f"{n_sequences} of them", got=got)
        if not self.per_step:
            return array
        if array.ndim == 1:
            self._refuse_one_each(f"shape {array.shape}")
        steps = int(self.x.lengths.max()) if self.padded is None else self.padded
        if array.shape[1] != steps:
            got = f"{array.shape[1]} (shape {array.shape})"
            cure = "For one target per sequence leave return_sequences=False on the last recurrent layer"
            self.refuse(
                f"x and {self.name} differ in steps",
                expected=f"{steps} steps",
                got=got,
                cure=cure if array.ndim == 2 and self.name == "y" else None,
            )
        if self.x.uniform == steps:
            return array.reshape(n_sequences * steps, *array.shape[2:])
        # What stands past the ends of the sequences does not count.
        rows: Array = array[np.arange(steps) < self.x.lengths[:, None]]
        return rows

    def check_finite(self, rows: Array) -> None:
        """Refuse NaN and infinity, naming the first.

        Args:
            rows: (M, ...).
        """
        finite = np.isfinite(rows)
        if finite.all():
            return
        row = int(np.argmin(finite.reshape(len(rows), -1).all(1)))
        value = rows[row][~finite[row]][0] if rows.ndim > 1 else rows[row]
        kind = "NaN" if np.isnan(value) else "infinity"
        self.refuse(f"{self.name} contains {kind}", expected="finite numbers", got=f"{value} {self.at(row)}")

    def numbers(self, y: Any, name: str) -> Array:
        """Give y as an array of real numbers.

        Args:
            y: what came.
            name: of it, for messages.

        Raises:
            DataError: if it is no array.
            DataTypeError: if it holds no real numbers, or is masked.
        """
        refuse_masked(y, self.where, name, cure="What shall not count gets sample_weight=0")
        try:
            array = np.asarray(y)
            if array.dtype.kind == "O":
                array = np.array(array.tolist(), np.float64)  # objects that are numbers; None and text are not
        except TypeError:
            raise DataTypeError(
                say(self.where, f"{name} holds objects that are not numbers", expected=self.expected)
            ) from None
        except ValueError as error:
            self.refuse(f"{name} is not an array of numbers ({error})", got=type(y).__name__)
        if array.dtype.kind not in "fiub":
            wrong = "Complex data not supported" if array.dtype.kind == "c" else f"{name} holds no real numbers"
            named = array.dtype.kind in "UST" and name == "y"
            cure = "Number names of classes: names, y = np.unique(y, return_inverse=True)" if named else None
            raise DataTypeError(say(self.where, wrong, expected=self.expected, got=f"dtype {array.dtype}", cure=cure))
        return array.astype(np.int64) if array.dtype.kind == "b" else array

    def at(self, row: int) -> str:
        """Name the sequence, and the step, that a row belongs to."""
        if not self.per_step:
            return f"at sequence {row}"
        sequence = int(np.searchsorted(self.x.offsets, row, side="right")) - 1
        return f"at sequence {sequence}, step {row - int(self.x.offsets[sequence])}"

    def refuse(self, wrong: str, *, got: object, expected: object = None, cure: str | None = None) -> NoReturn:
        """Raise `DataError`.

        Args:
            wrong: what is wrong.
            got: what came.
            expected: what would have been accepted; the reader's own words if None.
            cure: the likely next step.
        """
        expected = self.expected if expected is None else expected
        raise DataError(say(self.where, wrong, expected=expected, got=got, cure=cure))

    def _join(self, parts: list[Array]) -> Array:
        """Join one array per sequence."""
        if any(part.ndim == 0 for part in parts):
            self._refuse_one_each(f"a list of {len(parts)} numbers")
        self._check_lengths(np.array([len(part) for part in parts], np.int64))
        tails = {part.shape[1:] for part in parts if part.size} or {parts[0].shape[1:]}
        if len(tails) > 1:
            self.refuse(f"the arrays of {self.name} differ in shape", got=", ".join(sorted(map(str, tails))))
        tail = tails.pop()  # a sequence of no steps is often written [], which has no shape to compare
        return np.concatenate([part.reshape(len(part), *tail) for part in parts])

    def _check_lengths(self, lengths: NDArray[np.int64]) -> None:
        """Refuse sequences that are not as many or as long as those of x."""
        x, name = self.x, self.name
        if len(lengths) != len(x):
            self.refuse(f"x and {name} differ in length", expected=f"{len(x)} sequences", got=len(lengths))
        differ = lengths != x.lengths
        if differ.any():
            index = int(np.argmax(differ))
            expected = f"{x.lengths[index]} steps"
            self.refuse(f"{name}[{index}] is not as long as x[{index}]", expected=expected, got=int(lengths[index]))

    def _refuse_one_each(self, got: str) -> NoReturn:
        wrong = f"{self.name} has one value per sequence, the model one output per step"
        cure = "For one output per sequence leave return_sequences=False on the last recurrent layer"
        self.refuse(wrong, got=got, cure=cure)
